"""Outputs are whole or absent, and a failed write names the output."""

import errno
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dogs_vs_cats.files import temporary_folder, whole_file, whole_folder
from tests.conftest import ROOT


def test_a_file_appears_when_it_is_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "made" / "report.txt"
    for text in ("old", "new"):
        with whole_file(path) as partial:
            partial.write_text(text)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), whole_file(path) as partial:
        partial.write_text("half, then what cannot be written: \udcff", encoding="utf-8")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_when_it_is_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "images"
    for name in ("old", "new"):
        with whole_folder(path) as partial:
            (partial / name).touch()
            assert not (path / name).exists()
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(IsADirectoryError), whole_folder(path) as partial:
        partial.write_text("a folder cannot be written to")
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_run_left_is_not_taken_over(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "images") as partial:
        left = partial
    left.mkdir()
    (left / "stale").touch()
    with whole_folder(tmp_path / "images"):
        pass
    assert not list((tmp_path / "images").iterdir())


def test_a_failed_write_names_the_output_and_not_the_hidden_file(tmp_path: Path) -> None:
    path = tmp_path / "images"
    with pytest.raises(OSError, match="full") as nameless, whole_folder(path):
        raise OSError(errno.ENOSPC, "full")
    assert nameless.value.filename == str(path)
    with pytest.raises(OSError, match="full") as hidden, whole_folder(path) as folder, whole_file(folder / "a.npy"):
        raise OSError(errno.ENOSPC, "full")
    assert hidden.value.filename == str(path / "a.npy")


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    # As DVC links outputs to its cache.
    cached, path = tmp_path / "cached", tmp_path / "report.txt"
    cached.write_text("old")
    path.symlink_to(cached)
    with whole_file(path) as partial:
        partial.write_text("new")
    assert (path.is_symlink(), path.read_text(), cached.read_text()) == (False, "new", "old")
    folder, link = tmp_path / "folder", tmp_path / "images"
    folder.mkdir()
    link.symlink_to(folder)
    with whole_folder(link) as made:
        (made / "new").touch()
    assert (link.is_symlink(), [*link.iterdir()], [*folder.iterdir()]) == (False, [link / "new"], [])


def test_the_library_makes_no_temporary_folder_that_a_killed_process_leaves_for_ever() -> None:
    makers = re.compile(r"TemporaryDirectory|mkdtemp|NamedTemporaryFile|mkstemp")
    found = [path for path in (ROOT / "dogs_vs_cats").rglob("*.py") if makers.search(path.read_text(encoding="utf-8"))]
    assert found == [ROOT / "dogs_vs_cats" / "files.py"]


def test_a_temporary_folder_is_gone_after_the_block_and_others_of_killed_processes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old = time.time() - 3600
    killed = "import os\nfrom dogs_vs_cats.files import temporary_folder as make\n"
    killed += "with make() as made: print(made, flush=True); os.kill(os.getpid(), 9)"
    done = subprocess.run(
        [sys.executable, "-c", killed],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    left = Path(done.stdout.strip())
    assert left.parent == tmp_path
    assert left.exists()
    with temporary_folder() as folder:
        assert left.exists()  # so new that its owner may be about to lock it
        for path in (left, folder):
            os.utime(path, (old, old))
        with temporary_folder():
            assert not left.exists()
            assert folder.exists()
    assert list(tmp_path.iterdir()) == []
