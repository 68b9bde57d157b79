"""What a user sees of a stage that goes wrong: one message, a status that is not 0, no traceback."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.errors import WorkflowError
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


@pytest.mark.parametrize(
    ("stage", "folder", "told"),
    [
        ("settings", ROOT, "stage 1 of 11: Check params.yaml as a whole; leave its JSON schema for editors\n"),
        ("train_scratch", ROOT, "stage 7 of 11: The network from scratch\n"),
        ("compare", ROOT, "stage 11 of 11: The models on photos that none was tuned on, and what can be claimed\n"),
        ("another", ROOT, ""),
        (None, ROOT, ""),
        ("compare", ROOT / "docs", ""),
    ],
)
def test_a_stage_that_dvc_runs_says_which_of_how_many_it_is(
    stage: str | None, folder: Path, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    if stage is not None:
        monkeypatch.setenv("DVC_STAGE", stage)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["stage", "--params", str(ROOT / "params.yaml")])
    parse_arguments("A stage")
    assert capsys.readouterr().out == told
