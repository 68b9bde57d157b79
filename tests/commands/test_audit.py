"""``dogs-vs-cats audit`` on a small project that the split and decode stages made."""

import csv
import io
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from dogs_vs_cats.commands import audit
from dogs_vs_cats.data.arrays import open_split
from dogs_vs_cats.errors import WorkflowError
from stages import decode, split
from tests.commands.calling import call
from tests.conftest import ROOT, changed
from tests.reports.test_comparison import Page

WRONG, ODD, SMALL = "wasp_3.jpg", "bee_5.jpg", "bee_7.jpg"


def photo(seed: int, size: tuple[int, int] = (80, 60)) -> bytes:
    """Soft random blobs, different for every seed."""
    blobs = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(blobs).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def stage(main: Any, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["stage", *arguments])
    main()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bees and wasps: one of the wrong class, one unlike all, one small, one a copy, two of one name."""
    folder = tmp_path_factory.mktemp("project")
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    (folder / "params.yaml").write_text(yaml.safe_dump(changed(values, **{"decode.size": 32})))
    raw, images, arrays = folder / "data/raw", folder / "data/images", folder / "data/arrays"
    raw.mkdir(parents=True)
    (folder / "exclude").mkdir()
    (raw / "source.json").write_text('{"source": "folder"}')
    with zipfile.ZipFile(raw / "train.zip", "w") as archive:
        for number in range(40):
            archive.writestr(f"bee/a/bee_{number}.jpg", photo(number, (20, 15) if number == 7 else (80, 60)))
            archive.writestr(f"wasp/a/wasp_{number}.jpg", photo(1000 + number))
        archive.writestr("wasp/b/wasp_3.jpg", photo(5000))
        archive.writestr("bee/b/copy.jpg", photo(2))
    with pytest.MonkeyPatch.context() as monkeypatch:
        params = f"--params={folder / 'params.yaml'}"
        paths = [f"--raw={raw}", f"--exclude={folder / 'exclude'}", f"--images={images}"]
        stage(split.main, monkeypatch, params, *paths, f"--rejected={folder / 'rejected.csv'}")
        stage(decode.main, monkeypatch, params, f"--images={images}", f"--arrays={arrays}")
    (folder / "data/features").mkdir()
    random = np.random.default_rng(1)
    for name in ("train", "validation", "test"):
        opened = open_split(arrays, name)
        assert opened.labels is not None
        kinds = np.array(
            [1 - label if WRONG in file else label for label, file in zip(opened.labels, opened.files, strict=True)]
        )
        features = random.random((len(kinds), 1, 1, 512)).astype(np.float32)
        features[kinds == 0, ..., :256] += 2
        features[kinds == 1, ..., 256:] += 2
        for row, file in enumerate(opened.files):
            if ODD in file:
                features[row] = np.where(np.arange(512) % 9 == 0, 9, 0)
        np.save(folder / "data/features" / f"{name}.npy", features)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def rows(project: Path) -> list[dict[str, str]]:
    with (project / "reports/audit.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_kind_of_fault_is_listed_by_its_name_in_the_source(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(audit.main)
    found = rows(project)
    labels = {row["file"]: row for row in found if row["reason"] == "label"}
    # The split keeps both photos called wasp_3.jpg, under names of its own.
    assert {"wasp/a/wasp_3.jpg", "wasp/b/wasp_3.jpg"} >= {name for name in labels if "bee_5" not in name}
    assert labels["wasp/a/wasp_3.jpg"]["class"] == "wasp"
    assert labels["wasp/a/wasp_3.jpg"]["suggested_class"] == "bee"
    contents = [row["file"] for row in found if row["reason"] == "content"]
    assert contents[0] == "bee/a/bee_5.jpg"
    duplicates = [row for row in found if row["reason"] == "duplicate"]
    assert {duplicates[0]["file"], duplicates[0]["duplicate_of"]} == {"bee/b/copy.jpg", "bee/a/bee_2.jpg"}
    assert [row["file"] for row in found if row["reason"] == "size"] == ["bee/a/bee_7.jpg"]
    assert all(0 <= float(row["score"]) < 1 for row in found)
    printed = capsys.readouterr().out
    assert printed.startswith("82 photos: ")
    assert "reports/audit.html" in printed


def test_the_page_loads_nothing_and_shows_what_was_found(project: Path) -> None:
    call(audit.main, "--show", "3")
    text = (project / "reports/audit.html").read_text(encoding="utf-8")
    page = Page(text)
    assert {"script", "link", "iframe"}.isdisjoint(tag for tag, _ in page.elements)
    images = page.all("img")
    assert images
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in images)
    assert not re.search(r"url\(|@import|https?:", re.sub(r'"data:[^"]*"', "", text))
    for words in ("bee/a/bee_5.jpg", "wasp/a/wasp_3.jpg", "20 x 15 pixels", "byte for byte"):
        assert words in text


def test_the_audit_is_the_same_again(project: Path) -> None:
    def results() -> list[bytes]:
        return [(project / "reports" / name).read_bytes() for name in ("audit.csv", "audit.html")]

    call(audit.main)
    first = results()
    call(audit.main)
    assert results() == first


def test_its_list_can_be_excluded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(audit.main)
    shutil.copy("reports/audit.csv", "exclude/mine.csv")
    listed = {row["file"] for row in rows(project)}
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    Path("params.yaml").write_text(yaml.safe_dump(changed(values, **{"split.exclude": "exclude/mine.csv"})))
    paths = ["--raw=data/raw", "--exclude=exclude", "--images=data/images", "--rejected=reports/rejected.csv"]
    stage(split.main, monkeypatch, "--params=params.yaml", *paths)
    with Path("data/images/index.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 82 - len(listed)
    with pytest.raises(WorkflowError, match=r"data/arrays: made from other photos.*dvc repro bottleneck"):
        call(audit.main)


def test_without_features_the_command_that_makes_them_is_named(project: Path) -> None:
    shutil.rmtree(project / "data/features")
    with pytest.raises(WorkflowError, match=r"data/features/train\.npy: no such file; run: dvc repro bottleneck"):
        call(audit.main)
    assert not (project / "reports").exists()


def test_a_photo_that_is_gone_is_named_and_nothing_is_written(project: Path) -> None:
    for path in (project / "data/images").rglob("bee_5.jpg"):
        path.unlink()
    with pytest.raises(WorkflowError, match=r"bee_5\.jpg: missing; make it again with: dvc repro -f split"):
        call(audit.main)
    assert not (project / "reports").exists()


@pytest.mark.parametrize("argument", ["--folds=1", "--top=0", "--show=0", "--seed=-1"])
def test_a_number_that_makes_no_sense_is_refused(project: Path, argument: str) -> None:
    with pytest.raises(WorkflowError, match=argument.partition("=")[0]):
        call(audit.main, argument)
