"""``make torture``: its subjects are there, its counts are right, and it knows a fault when it sees one."""

import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.torture.__main__ import SUBJECTS, main
from benchmarks.torture.cases import Task, chance, told_fault
from benchmarks.torture.hostile_input import settings, zips


def test_every_subject_has_its_function() -> None:
    for name, (module, most) in SUBJECTS.items():
        assert callable(getattr(import_module(f"benchmarks.torture.{module}"), name))
        assert most > 0


def test_a_table_of_counts_is_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "counts.md"
    monkeypatch.setattr(sys, "argv", ["torture", "--only", "settings", "zips", "--cases", "6", "--table", str(table)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    lines = table.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "| subject | tried | held | faults | minutes |"
    assert [line.split("|")[1:5] for line in lines[2:]] == [
        [" settings ", " 6 ", " 6 ", " 0 "],
        [" zips ", " 6 ", " 6 ", " 0 "],
    ]
    assert capsys.readouterr().out.endswith(table.read_text(encoding="utf-8"))


@pytest.mark.parametrize("subject", [settings, zips])
def test_a_seed_repeats_the_cases_and_time_ends_them(subject: object, tmp_path: Path) -> None:
    assert callable(subject)
    until = time.monotonic() + 600
    tried = []
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(number)
        folder.mkdir()
        tried.append([case for case, _ in subject(Task(folder, chance(seed), 8, until))])
    assert tried[0] == tried[1] != tried[2]
    assert len(tried[0]) == 8
    assert not [*subject(Task(tmp_path, chance(1), 8, time.monotonic() - 1))]


@pytest.mark.parametrize(
    ("status", "printed", "told"),
    [
        (0, "fine", ""),
        (1, "error: photos.zip: damaged", ""),
        (255, "ERROR: failed to reproduce 'split': failed to run", ""),
        (0, "Traceback (most recent call last):\nValueError: x", "a traceback: ValueError: x"),
        (1, "something", "exit status 1 without a line that says why"),
        (-11, "", "killed by signal 11"),
    ],
)
def test_a_command_that_ends_without_a_line_that_says_why_is_a_fault(status: int, printed: str, told: str) -> None:
    assert told_fault(status, printed)[: len(told)] == told
    assert bool(told_fault(status, printed)) == bool(told)
