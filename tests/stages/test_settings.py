"""The settings stage: its schema is whole or as it was."""

import json
import resource
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

COMMAND = [sys.executable, "-m", "stages.settings", "--params", "params.yaml", "--schema"]


def test_a_full_disk_leaves_the_schema_that_was_there(tmp_path: Path) -> None:
    schema = tmp_path / "reports" / "params.schema.json"
    subprocess.run([*COMMAND, str(schema)], cwd=ROOT, check=True)
    whole = schema.read_text()
    assert "split" in json.loads(whole)["properties"]
    done = subprocess.run(
        [*COMMAND, str(schema)], cwd=ROOT, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, f"error: {schema}: File too large\n")
    assert schema.read_text() == whole
    assert [path.name for path in schema.parent.iterdir()] == [schema.name]
