"""What a user sees of a stage that is called wrong: its options, one message, no traceback, and soon."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("stage", sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py")))
def test_a_stage_tells_its_options_and_refuses_bad_settings_without_importing_tensorflow(
    tmp_path: Path, stage: str
) -> None:
    (tmp_path / "params.yaml").write_text("split: 3\n", encoding="utf-8")
    options = subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout
    required = re.findall(r"^  (--[a-z0-9-]+)", options, re.MULTILINE)
    assert required[0] == "--params"
    given = ["--params", str(tmp_path / "params.yaml"), *(text for name in required[1:] for text in (name, "nowhere"))]
    code = f"""
import sys
from dogs_vs_cats.cli import run
from stages.{stage} import main
sys.argv[1:] = {given!r}
try:
    run(main)
finally:
    print([name for name in ("tensorflow", "mlflow", "sklearn") if name in sys.modules])
"""
    refused = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert refused.returncode == 1
    assert "params.yaml: split is 3" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == "[]\n"
