"""The download stage's command: what it leaves, and what it says when it fails."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from dogs_vs_cats.data.raw.raw_photos import labelled, read_source
from tests.conftest import ROOT, changed, users_environment


def run_stage(folder: Path, values: dict[str, Any], **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "stages.download", "--raw", "data/raw"],
        cwd=folder,
        env={**users_environment(), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A zip beside the project's files."""
    path = tmp_path / "project" / "photos.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("train/cat.0.jpg", "train/dog.0.jpg"):
            archive.writestr(name, name)
    return path


def test_drawn_pictures_are_equal_to_the_byte_on_every_run(tmp_path: Path, values: dict[str, Any]) -> None:
    drawn = {"download.drawn.images": 60, "download.drawn.test_images": 2, "download.drawn.size": 64}
    files = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        result = run_stage(tmp_path / name, changed(values, **drawn))
        assert (result.returncode, result.stderr) == (0, "")
        raw = tmp_path / name / "data" / "raw"
        files.append({path.relative_to(raw): path.read_bytes() for path in raw.rglob("*") if path.is_file()})
    assert len(files[0]) == 63
    assert files[0] == files[1]


def test_a_relative_path_is_taken_from_the_project_even_in_a_copy_of_it(
    tmp_path: Path, photos: Path, values: dict[str, Any]
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    settings = changed(values, **{"download.source": "zip", "download.path": photos.name})
    result = run_stage(copy, settings, DVC_ROOT=str(photos.parent))
    assert (result.returncode, result.stderr) == (0, "")
    assert read_source(copy / "data" / "raw") == "zip"
    assert [photo.label for photo in labelled(copy / "data" / "raw")] == ["cats", "dogs"]


def test_a_truncated_zip_ends_the_stage_with_one_line_and_nothing_left(photos: Path, values: dict[str, Any]) -> None:
    photos.write_bytes(photos.read_bytes()[:-30])
    result = run_stage(photos.parent, changed(values, **{"download.source": "zip", "download.path": photos.name}))
    assert result.returncode == 1
    assert result.stderr == f"error: {photos}: truncated, its table of contents is missing; get the zip again\n"
    assert list((photos.parent / "data").iterdir()) == []
