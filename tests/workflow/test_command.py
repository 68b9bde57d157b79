"""What a user sees of a stage that goes wrong: one message, a status that is not 0, no traceback."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dogs_vs_cats.workflow.entry import run
from dogs_vs_cats.workflow.errors import WorkflowError
from tests.conftest import ROOT


def _raise(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (WorkflowError("photos.zip: not a zip; choose another"), 1, "error: photos.zip: not a zip; choose another"),
        (OSError(28, "No space left on device", "data/a.npy"), 1, "error: data/a.npy: No space left on device"),
        (MemoryError(), 1, "error: out of memory"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
    ],
)
def test_an_error_the_user_can_act_on_is_one_line(
    capsys: pytest.CaptureFixture[str], error: BaseException, status: int, told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(_raise(error))
    printed = capsys.readouterr().err
    assert ended.value.code == status
    assert printed.startswith(told)
    assert len(printed.splitlines()) == 1


def test_a_programming_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run(_raise(ZeroDivisionError()))


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
from dogs_vs_cats.workflow.entry import run
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
