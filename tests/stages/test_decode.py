"""The decode stage on a small images folder: order, labels, digest, and what it says of a damaged one."""

import hashlib
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from dogs_vs_cats.data.arrays import has_split, open_split, read_dataset
from dogs_vs_cats.data.decoding.index import COLUMNS, ImagesFacts, IndexedPhoto, write_facts, write_index
from dogs_vs_cats.data.decoding.photos import Fingerprint, inspect
from dogs_vs_cats.errors import WorkflowError
from stages import decode

ROOT = Path(__file__).parent.parent.parent
SIZE = 32


class Workspace:
    """An images folder with photos of one colour each, and where the stage leaves its arrays."""

    def __init__(self, folder: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.images, self.arrays, self.params = folder / "images", folder / "arrays", folder / "params.yaml"
        values["decode"]["size"] = SIZE
        self.params.write_text(yaml.safe_dump(values))
        self.colours: dict[str, tuple[int, int, int]] = {}
        photos = [
            self.paint(f"{split}/{label}/{label[:3]}.{number}.png", split, label)
            for split, count in (("train", 5), ("validation", 2), ("test", 1))
            for label in ("cats", "dogs")
            for number in range(count)
        ]
        photos += [self.paint(f"unlabelled/{number}.png", "unlabelled", None) for number in (1, 2, 3)]
        write_index(self.images, reversed(photos))
        write_facts(self.images, ImagesFacts("zip", ["cats", "dogs"], ["4"]))

    def paint(self, file: str, split: str, label: str | None) -> IndexedPhoto:
        number = len(self.colours)
        self.colours[file] = (number * 9, 255 - number, 7)
        path = self.images / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 10), self.colours[file]).save(path)
        fingerprint = inspect(path.read_bytes())
        assert isinstance(fingerprint, Fingerprint)
        return IndexedPhoto(file, label, split, fingerprint)

    def command(self) -> list[str]:
        return ["--params", str(self.params), "--images", str(self.images), "--arrays", str(self.arrays)]

    def decode(self) -> None:
        self.monkeypatch.setattr(sys, "argv", ["decode", *self.command()])
        decode.main()

    def nothing_is_left(self) -> bool:
        return {path.name for path in self.images.parent.iterdir()} == {"images", "params.yaml"}


@pytest.fixture
def workspace(tmp_path: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Workspace:
    return Workspace(tmp_path, values, monkeypatch)


def test_images_labels_and_files_are_in_the_index_order(workspace: Workspace) -> None:
    workspace.decode()
    for name, count in (("train", 10), ("validation", 4), ("test", 2)):
        split = open_split(workspace.arrays, name)
        assert split.images.shape == (count, SIZE, SIZE, 3)
        assert split.files == sorted(split.files)
        assert [tuple(image[0, 0].tolist()) for image in split.images] == [workspace.colours[f] for f in split.files]
        assert split.labels is not None
        assert split.labels.tolist() == [int("/dogs/" in file) for file in split.files]
    unlabelled = open_split(workspace.arrays, "unlabelled")
    assert unlabelled.files == ["unlabelled/1.png", "unlabelled/2.png", "unlabelled/3.png"]
    assert unlabelled.labels is None


def test_the_data_set_is_described_and_its_index_digested(workspace: Workspace) -> None:
    workspace.decode()
    dataset = read_dataset(workspace.arrays)
    assert (dataset.source, dataset.classes, dataset.size) == ("zip", ["cats", "dogs"], SIZE)
    assert dataset.unlabelled_rejected == ["4"]
    assert dataset.counts == {"train": 10, "validation": 4, "test": 2, "unlabelled": 3}
    assert dataset.digest == hashlib.sha256((workspace.images / "index.csv").read_bytes()).hexdigest()


def test_running_again_gives_the_same_bytes(workspace: Workspace) -> None:
    workspace.decode()
    first = {path.name: path.read_bytes() for path in workspace.arrays.iterdir()}
    workspace.decode()
    assert {path.name: path.read_bytes() for path in workspace.arrays.iterdir()} == first


def test_a_split_without_photos_has_no_arrays(workspace: Workspace) -> None:
    index = workspace.images / "index.csv"
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join(line for line in lines if not line.startswith("test/")))
    workspace.decode()
    assert not has_split(workspace.arrays, "test")
    assert "test" not in read_dataset(workspace.arrays).counts


def test_a_missing_photo_is_named_with_its_repair(workspace: Workspace) -> None:
    (workspace.images / "validation/dogs/dog.1.png").unlink()
    with pytest.raises(WorkflowError, match=r"validation/dogs/dog\.1\.png: missing, though .* dvc repro -f split"):
        workspace.decode()
    assert workspace.nothing_is_left()


def test_a_photo_damaged_since_is_named_with_its_repair(workspace: Workspace) -> None:
    (workspace.images / "train/cats/cat.3.png").write_bytes(b"text")
    with pytest.raises(WorkflowError, match=r"train/cats/cat\.3\.png: not a picture; .*dvc repro -f split"):
        workspace.decode()
    assert workspace.nothing_is_left()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x,cats,train,0,zz,3,3", "line 3 is damaged"),
        ("x,cats,train,0", "line 3 is damaged"),
        ("x,cats,holdout,0,0,3,3", "line 3 is damaged"),
        ("x,,train,0,0,3,3", "line 3 is damaged"),
        ("x,cows,train,0,0,3,3", "x is of class cows, an unknown one"),
    ],
)
def test_a_damaged_line_of_the_index_is_named_with_its_repair(workspace: Workspace, line: str, said: str) -> None:
    index = workspace.images / "index.csv"
    lines = index.read_text().splitlines()
    index.write_text("\n".join([*lines[:2], line, *lines[3:]]))
    with pytest.raises(WorkflowError, match=rf"index\.csv: {said}; .*dvc repro -f split"):
        workspace.decode()
    assert workspace.nothing_is_left()


@pytest.mark.parametrize("text", [None, "", "file,class\n", f"{','.join(COLUMNS)}\n", '"file', "\udcff"])
def test_an_index_that_is_none_is_named_with_its_repair(workspace: Workspace, text: str | None) -> None:
    index = workspace.images / "index.csv"
    index.unlink()
    if text is not None:
        index.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(WorkflowError, match=r"index\.csv: .*dvc repro -f split"):
        workspace.decode()


@pytest.mark.parametrize("facts", [None, {"source": "zip"}, []])
def test_missing_facts_are_named_with_their_repair(workspace: Workspace, facts: object) -> None:
    path = workspace.images / "dataset.json"
    path.unlink()
    if facts is not None:
        path.write_text(json.dumps(facts))
    with pytest.raises(WorkflowError, match=r"dataset\.json: missing or damaged.*dvc repro -f split"):
        workspace.decode()


def test_a_full_disk_is_one_line_and_leaves_nothing(workspace: Workspace) -> None:
    most = 5000  # bytes a file may have: less than the training images
    done = subprocess.run(
        [sys.executable, "-m", "stages.decode", *workspace.command()],
        cwd=ROOT, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"error: {workspace.arrays}/train_images.npy: File too large\n"
    assert workspace.nothing_is_left()


def test_arrays_of_an_earlier_run_are_replaced_as_a_whole(workspace: Workspace) -> None:
    workspace.arrays.mkdir()
    np.save(workspace.arrays / "stale.npy", np.zeros(3))
    workspace.decode()
    assert not (workspace.arrays / "stale.npy").exists()
