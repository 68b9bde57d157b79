"""What a user sees of a stage that goes wrong: one message, a status that is not 0, no traceback."""

from collections.abc import Callable

import pytest

from dogs_vs_cats.cli import run
from dogs_vs_cats.errors import WorkflowError


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
