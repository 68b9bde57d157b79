"""The split stage on small sources: what it lays out, lists and refuses."""

import csv
import io
import json
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from dogs_vs_cats.data.sources.fetching import fetch
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.params import Settings
from stages import split

ROOT = Path(__file__).parent.parent.parent


def photo(seed: int, picture_format: str = "JPEG") -> bytes:
    """Soft random blobs, different for every seed."""
    blobs = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(blobs).resize((80, 60), Image.Resampling.BICUBIC).save(file, picture_format)
    return file.getvalue()


def cats_and_dogs(count: int = 20) -> dict[str, bytes]:
    """As many photos of each."""
    cats = {f"train/cat.{number}.jpg": photo(number) for number in range(count)}
    return cats | {f"train/dog.{number}.jpg": photo(1000 + number) for number in range(count)}


def zipped(path: Path, entries: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


class Workspace:
    """A raw source, settings, and where the stage leaves its results."""

    def __init__(self, folder: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.values, self.monkeypatch = folder, values, monkeypatch
        self.raw, self.images = folder / "data/raw", folder / "data/images"
        self.rejected = folder / "reports/rejected.csv"
        self.raw.mkdir(parents=True)
        (self.raw / "source.json").write_text('{"source": "zip"}')
        self.lists = folder / "exclude"
        self.lists.mkdir()

    def source(self, labelled: dict[str, bytes], unlabelled: dict[str, bytes] | None = None) -> None:
        zipped(self.raw / "train.zip", labelled)
        if unlabelled:
            zipped(self.raw / "test.zip", unlabelled)

    def command(self, **settings: object) -> list[str]:
        self.values["split"] |= settings
        params = self.folder / "params.yaml"
        params.write_text(yaml.safe_dump(self.values))
        paths = {"params": params, "raw": self.raw, "exclude": self.lists}
        paths |= {"images": self.images, "rejected": self.rejected}
        return [f"--{name}={path}" for name, path in paths.items()]

    def split(self, **settings: object) -> None:
        self.monkeypatch.setattr(sys, "argv", ["split", *self.command(**settings)])
        split.main()

    def index(self) -> list[dict[str, str]]:
        with (self.images / "index.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def reasons(self) -> dict[str, str]:
        with self.rejected.open(newline="") as file:
            return {row["file"]: row["reason"] for row in csv.DictReader(file)}

    def left_over(self) -> list[Path]:
        """Everything under ``data`` that is neither the source nor a whole result."""
        return [path for path in (self.folder / "data").iterdir() if path.name not in ("raw", "images")]


@pytest.fixture
def workspace(tmp_path: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Workspace:
    return Workspace(tmp_path, values, monkeypatch)


def test_photos_are_laid_out_by_split_and_class_as_they_came(workspace: Workspace) -> None:
    photos = cats_and_dogs()
    workspace.source(photos, {"test/1.jpg": photo(7001), "test/2.jpg": photo(7002)})
    workspace.split()
    index = workspace.index()
    assert Counter((row["split"], row["class"]) for row in index) == {
        ("train", "cats"): 14, ("validation", "cats"): 4, ("test", "cats"): 2,
        ("train", "dogs"): 14, ("validation", "dogs"): 4, ("test", "dogs"): 2,
        ("unlabelled", ""): 2,
    }  # fmt: skip
    for row in index:
        folder, _, name = row["file"].rpartition("/")
        assert folder == (f"{row['split']}/{row['class']}" if row["class"] else "unlabelled")
        original = photos.get(f"train/{name}") or photo(7000 + int(name[0]))
        assert (workspace.images / row["file"]).read_bytes() == original
        assert (row["width"], row["height"]) == ("80", "60")
        assert len(row["sha256"]) == 64
        assert len(row["perceptual_hash"]) == 16
    assert [row["file"] for row in index] == sorted(row["file"] for row in index)
    files = [path for path in workspace.images.rglob("*") if path.is_file()]
    assert len(files) == len(index) + len(["index.csv", "dataset.json"])
    facts = json.loads((workspace.images / "dataset.json").read_text())
    assert facts == {"source": "zip", "classes": ["cats", "dogs"], "unlabelled_rejected": []}
    assert workspace.rejected.read_text() == "file,reason\n"
    assert not workspace.left_over()


def test_running_again_gives_the_same_bytes(workspace: Workspace) -> None:
    workspace.source(cats_and_dogs(), {"1.jpg": b"", "2.jpg": photo(7002)})

    def everything() -> dict[str, bytes]:
        files = [path for path in [*workspace.images.rglob("*"), workspace.rejected] if path.is_file()]
        return {str(path): path.read_bytes() for path in files}

    workspace.split()
    first = everything()
    workspace.split()
    assert everything() == first


def test_duplicates_stay_on_one_side_of_the_split(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    photos = cats_and_dogs(30)
    subjects = {name.rpartition("/")[2]: name for name in photos}

    def repeat(name: str, subject: int, data: bytes) -> None:
        photos[f"train/{name}"] = data
        subjects[name] = f"train/cat.{subject}.jpg"

    for number in range(5):
        repeat(f"cat.{100 + number}.jpg", number, photo(number))  # equal bytes
        repeat(f"cat.{200 + number}.png", 10 + number, photo(10 + number, "PNG"))  # equal pixels but for compression
        repeat(f"dog.{300 + number}.jpg", 20 + number, photo(20 + number))  # a cat called a dog
    workspace.source(photos)
    workspace.split()
    sides = defaultdict(set)
    for row in workspace.index():
        sides[subjects[row["file"].rpartition("/")[2]]].add(row["split"])
    assert len(sides) == 60
    assert all(len(side) == 1 for side in sides.values())
    assert "15 groups of 30 photos" in capsys.readouterr().out


def test_unlabelled_photos_are_not_grouped_with_labelled_ones(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = cats_and_dogs()
    workspace.source(photos, {"1.jpg": photos["train/cat.0.jpg"], "2.jpg": photos["train/cat.0.jpg"]})
    workspace.split()
    assert "duplicates: none" in capsys.readouterr().out
    assert Counter(row["split"] for row in workspace.index())["unlabelled"] == 2


def test_what_does_not_decode_is_listed_with_its_reason(workspace: Workspace) -> None:
    good, bomb = cats_and_dogs(), io.BytesIO()
    Image.new("1", (12_000, 10_000)).save(bomb, "PNG")
    bad = {
        "train/cat.90.jpg": b"",
        "train/cat.91.jpg": b"This is a text.\n",
        "train/dog.92.jpg": photo(3)[:700],
        "train/dog.93.png": bomb.getvalue(),
    }
    workspace.source(good | bad, {"1.jpg": photo(7001), "2.jpg": b"", "10.jpg": b"text"})
    workspace.split()
    assert workspace.reasons() == {
        "train/cat.90.jpg": "no bytes",
        "train/cat.91.jpg": "not a picture",
        "train/dog.92.jpg": "truncated",
        "train/dog.93.png": "12000 x 10000 pixels, more than the limit of 100000000",
        "2.jpg": "no bytes",
        "10.jpg": "not a picture",
    }
    assert len(workspace.index()) == len(good) + 1
    assert json.loads((workspace.images / "dataset.json").read_text())["unlabelled_rejected"] == ["2", "10"]


@pytest.mark.parametrize("source", ["folder", "zip"])
def test_every_file_of_a_source_is_accounted_for(
    workspace: Workspace, settings: Settings, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    formats = {"jfif": "JPEG", "jpe": "JPEG", "avif": "AVIF", "jp2": "JPEG2000", "ppm": "PPM", "webp": "WEBP"}
    entries = {f"cats/{number}.jpg": photo(number) for number in range(20)}
    entries |= {f"dogs/{number}.{ending}": photo(100 + number, formats[ending])
                for number, ending in enumerate([*formats] * 3)}  # fmt: skip
    entries |= {
        "cats/90.jpg": b"",
        "cats/91.jpg": photo(91)[:700],
        "cats/92.cr2": b"raw",
        "dogs/93": b"",
        "dogs/94": b"",
    }
    entries |= {"cats/.DS_Store": b"", "cats/Thumbs.db": b"", "__MACOSX/cats/._1.jpg": b""}
    path = workspace.folder / "photos"
    if source == "zip":
        zipped(path, entries)
    else:
        for name, data in entries.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    fetch(settings.download.model_copy(update={"source": source, "path": str(path)}), workspace.raw)
    workspace.split()
    assert workspace.reasons() == {
        "cats/90.jpg": "no bytes",
        "cats/91.jpg": "truncated",
        "cats/92.cr2": "the ending .cr2 is not read",
        "dogs/93": "no ending, such as .jpg",
        "dogs/94": "no ending, such as .jpg",
    }
    assert Counter(row["class"] for row in workspace.index()) == {"cats": 20, "dogs": 18}
    printed = capsys.readouterr().out
    assert "2 photos that do not decode, listed in" in printed
    assert "(no bytes: 1, truncated: 1)" in printed
    assert f"rejected: 3 files that are no photos, listed in {workspace.rejected}" in printed
    assert "(no ending, such as .jpg: 2, the ending .cr2 is not read: 1)" in printed
    assert "rejected: 3 hidden system files, such as .DS_Store or Thumbs.db, not listed" in printed
    assert "not used" not in printed


def test_photos_over_the_limit_are_counted(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    workspace.source(cats_and_dogs())
    workspace.split(images=20)
    assert "not used: 20 photos more than split.images (20)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cats", "dogs", "told"),
    [
        (60, 10, "warning: 60 photos of cats and 10 of dogs: always saying cats is right on 86 %; add photos of dogs"),
        (10, 20, "warning: 20 photos of dogs and 10 of cats: always saying dogs is right on 67 %; add photos of cats"),
        (19, 10, None),
        (10, 10, None),
    ],
)
def test_uneven_classes_draw_a_warning(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], cats: int, dogs: int, told: str | None
) -> None:
    photos = {f"cats/{number}.jpg": photo(number) for number in range(cats)}
    photos |= {f"dogs/{number}.jpg": photo(1000 + number) for number in range(dogs)}
    workspace.source(photos, {f"{number}.jpg": photo(7000 + number) for number in range(30)})
    workspace.split()
    printed = capsys.readouterr().out
    assert told in printed if told else "warning" not in printed
    named = "class_weight: balanced, in train_scratch and train_vgg16, makes both classes count alike in training"
    assert (named in printed) == (told is not None)


def test_a_class_of_heic_photos_without_their_reader_names_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    heic = (ROOT / "tests/data/decoding/two_colours.heic").read_bytes()
    workspace.source({name: heic if "dog" in name else data for name, data in cats_and_dogs().items()})
    told = (
        r"dog\.0\.jpg: a HEIC photo: pi-heif is not installed; run make setup, or pip install pi-heif; none of the 20"
    )
    with pytest.raises(WorkflowError, match=told):
        workspace.split()


def test_a_class_that_is_rejected_as_a_whole_stops_the_stage(workspace: Workspace) -> None:
    photos = {name: b"" if "dog" in name else data for name, data in cats_and_dogs().items()}
    workspace.source(photos)
    with pytest.raises(WorkflowError, match=r"train/dog\.0\.jpg: no bytes; none of the 20 photos of class dogs"):
        workspace.split()
    assert len(workspace.reasons()) == 20
    assert not workspace.images.exists()
    assert not workspace.left_over()


def test_excluded_photos_are_in_no_split_and_are_told(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    workspace.source(cats_and_dogs() | {"train/cat.90.jpg": b""}, {"3.jpg": photo(7001)})
    workspace.split()
    before = workspace.index()
    mine = workspace.lists / "mine.csv"
    mine.write_text("file,reason\ncat.3.jpg,a logo\ntrain/dog.4.jpg,\n")
    workspace.split(exclude=str(mine))
    gone = {row["file"] for row in before} - {row["file"] for row in workspace.index()}
    assert {file.rpartition("/")[2] for file in gone} == {"cat.3.jpg", "dog.4.jpg"}
    # All others stay where they were.
    assert workspace.index() == [row for row in before if row["file"] not in gone]
    assert workspace.reasons() == {
        "train/cat.3.jpg": f"excluded by {mine}: a logo",
        "train/dog.4.jpg": f"excluded by {mine}",
        "train/cat.90.jpg": "no bytes",
    }
    printed = capsys.readouterr().out
    assert f"excluded: 2 photos by {mine} (train/cat.3.jpg, train/dog.4.jpg)" in printed
    assert "rejected: 1 photos that do not decode" in printed


def test_an_empty_list_changes_no_byte(workspace: Workspace) -> None:
    workspace.source(cats_and_dogs())
    workspace.split()
    without = (workspace.images / "index.csv").read_bytes(), workspace.rejected.read_bytes()
    (workspace.lists / "none.csv").write_text("file\n")
    workspace.split(exclude=str(workspace.lists / "none.csv"))
    assert ((workspace.images / "index.csv").read_bytes(), workspace.rejected.read_bytes()) == without


def test_only_as_many_photos_as_asked_for_are_laid_out(workspace: Workspace) -> None:
    workspace.source(cats_and_dogs(), {"1.jpg": photo(7001)})
    workspace.split(images=20)
    index = workspace.index()
    assert Counter(row["class"] for row in index) == {"cats": 10, "dogs": 10, "": 1}
    assert len([path for path in workspace.images.rglob("*.jpg") if path.is_file()]) == 21
    assert not workspace.rejected.read_text().splitlines()[1:]


def test_asking_for_more_photos_than_decode_is_an_error(workspace: Workspace) -> None:
    workspace.source(cats_and_dogs() | {"train/cat.99.jpg": b""})
    with pytest.raises(WorkflowError, match=r"split\.images: 41 photos asked for, there are 40"):
        workspace.split(images=41)
    assert not workspace.images.exists()


def test_photos_of_one_name_and_odd_names_are_kept_apart(workspace: Workspace) -> None:
    photos = {f"{kind}/{day}/{name}": photo(hash_ * 1000 + number) for hash_, (kind, day, name, number) in enumerate(
        (kind, day, name, number)
        for kind in ("bees", "wasps")
        for day in ("monday", "tuesday")
        for number, name in enumerate(("1.jpg", "2.JPG", "a:b?.jpg", "-.jpg", "ünïcode name.jpg"))
    )}  # fmt: skip
    workspace.source(photos)
    workspace.split(validation=0.3)
    index = workspace.index()
    assert len({row["file"].casefold() for row in index}) == len(photos)
    assert sorted((workspace.images / row["file"]).read_bytes() for row in index) == sorted(photos.values())
    assert not [row["file"] for row in index if set(row["file"]) & set(':?*<>"\\')]
    assert json.loads((workspace.images / "dataset.json").read_text())["classes"] == ["bees", "wasps"]


def divided(**counts: int) -> dict[str, bytes]:
    """Photos of two classes in folders of splits, so many of each class."""
    return {
        f"pets/{folder}/{kind}/{number}.jpg": photo(10_000 * place + 1000 * side + number)
        for place, (folder, count) in enumerate(counts.items())
        for side, kind in enumerate(("cats", "dogs"))
        for number in range(count)
    }


def of_folder(workspace: Workspace, photos: dict[str, bytes]) -> Counter[tuple[str, str]]:
    """How many photos of each folder of the source are in each split."""
    names = {data: name.split("/")[1] for name, data in photos.items()}
    return Counter((names[(workspace.images / row["file"]).read_bytes()], row["split"]) for row in workspace.index())


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Training", "VALID", "Test"),
        ("TRAIN", "validation", "test"),
        ("training_set", "val-data", "TestSet"),
    ],
)
def test_a_sources_own_splits_are_kept(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], train: str, validation: str, test: str
) -> None:
    photos = divided(**{train: 6, validation: 5, test: 10})
    workspace.source(photos)
    workspace.split()
    assert of_folder(workspace, photos) == {(train, "train"): 12, (validation, "validation"): 10, (test, "test"): 20}
    assert "split: the source's own test, train, validation kept as they are" in capsys.readouterr().out


def test_splits_inside_of_class_folders_are_kept_too(workspace: Workspace) -> None:
    photos = divided(train=6, val=5, test=10)
    swapped = {f"{pets}/{kind}/{folder}/{name}": data for path, data in photos.items()
               for pets, folder, kind, name in [path.split("/")]}  # fmt: skip
    workspace.source(swapped)
    workspace.split()
    assert of_folder(workspace, photos) == {("train", "train"): 12, ("val", "validation"): 10, ("test", "test"): 20}


def test_kaggles_names_in_own_splits_are_kept_too(workspace: Workspace) -> None:
    photos = {f"pets/{folder}/{kind[:3]}.{name}": data for path, data in divided(train=6, val=5).items()
              for _, folder, kind, name in [path.split("/")]}  # fmt: skip
    workspace.source(photos)
    workspace.split(test=0.0)
    assert of_folder(workspace, photos) == {("train", "train"): 12, ("val", "validation"): 10}


@pytest.mark.parametrize(
    ("given", "expected", "told"),
    [
        (
            {"train": 20, "test": 5},
            {("train", "train"): 32, ("train", "validation"): 8, ("test", "test"): 10},
            "validation is cut from train",
        ),
        (
            {"train": 20, "val": 5},
            {("train", "train"): 36, ("train", "test"): 4, ("val", "validation"): 10},
            "test is cut from train",
        ),
    ],
)
def test_what_a_sources_own_splits_lack_is_cut_from_training(
    workspace: Workspace,
    capsys: pytest.CaptureFixture[str],
    given: dict[str, int],
    expected: dict[tuple[str, str], int],
    told: str,
) -> None:
    photos = divided(**given)
    workspace.source(photos)
    workspace.split()
    assert of_folder(workspace, photos) == expected
    assert told in capsys.readouterr().out


def test_own_splits_are_mixed_where_they_are_to_be_ignored(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = divided(train=10, test=10)
    workspace.source(photos)
    workspace.split(own="ignore")
    assert Counter(row["split"] for row in workspace.index()) == {"train": 28, "validation": 8, "test": 4}
    assert "own" not in capsys.readouterr().out


def test_own_splits_are_kept_beside_unlabelled_photos(workspace: Workspace) -> None:
    photos = divided(train=20, val=5) | {"pets/test/1.jpg": photo(7001), "pets/test/2.jpg": photo(7002)}
    workspace.source(photos)
    workspace.split()
    assert of_folder(workspace, photos) == {
        ("train", "train"): 36, ("train", "test"): 4, ("val", "validation"): 10, ("test", "unlabelled"): 2,
    }  # fmt: skip


def test_a_limit_holds_for_each_of_the_own_splits(workspace: Workspace) -> None:
    photos = divided(train=20, val=10, test=10)
    workspace.source(photos)
    workspace.split(images=40)
    assert of_folder(workspace, photos) == {("train", "train"): 20, ("val", "validation"): 10, ("test", "test"): 10}


def test_duplicates_across_own_splits_are_listed_and_not_moved(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = divided(train=6, val=5, test=5)
    photos["pets/test/cats/copy.jpg"] = photos["pets/train/cats/0.jpg"]
    photos["pets/val/dogs/copy.png"] = photo(1001, "PNG")  # of train/dogs/1.jpg
    photos["pets/train/dogs/again.jpg"] = photos["pets/train/dogs/2.jpg"]
    workspace.source(photos)
    workspace.split()
    assert Counter(row["split"] for row in workspace.index()) == {"train": 13, "validation": 11, "test": 11}
    assert workspace.reasons() == {
        "pets/test/cats/copy.jpg": "kept in test, though nearly equal to pets/train/cats/0.jpg in train",
        "pets/train/cats/0.jpg": "kept in train, though nearly equal to pets/test/cats/copy.jpg in test",
        "pets/train/dogs/1.jpg": "kept in train, though nearly equal to pets/val/dogs/copy.png in validation",
        "pets/val/dogs/copy.png": "kept in validation, though nearly equal to pets/train/dogs/1.jpg in train",
    }
    printed = capsys.readouterr().out
    assert "duplicates: 3 groups of 6 photos in all, not moved between the source's own splits" in printed
    assert f"duplicates: 4 photos with one in another split, listed in {workspace.rejected}" in printed


@pytest.mark.parametrize(
    ("leave", "told"),
    [
        (
            "pets/val/dogs",
            "split: the source's own validation photos are none of class dogs; add some, or set split.own",
        ),
        ("pets/train/cats", "split: the source's own train photos are none of class cats"),
        (
            "pets/train",
            "split: the source has test and validation folders, none to train on; add one, or set split.own",
        ),
    ],
)
def test_own_splits_that_lack_a_class_or_training_are_refused(workspace: Workspace, leave: str, told: str) -> None:
    photos = divided(train=6, val=5, test=5)
    workspace.source({name: data for name, data in photos.items() if not name.startswith(f"{leave}/")})
    with pytest.raises(WorkflowError) as caught:
        workspace.split()
    assert told in str(caught.value)
    assert not workspace.left_over()
    workspace.split(own="ignore")


def run(command: Iterable[str], before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stages.split", *command],
        cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=before,
    )  # fmt: skip


def test_a_full_disk_is_one_line_and_leaves_nothing(workspace: Workspace) -> None:
    workspace.source(cats_and_dogs())
    most = 1000  # bytes a file may have: less than a photo
    done = run(workspace.command(), lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
    assert done.returncode == 1
    assert done.stderr == f"error: {workspace.images}: File too large\n"
    assert not workspace.images.exists()
    assert not workspace.left_over()


def test_a_damaged_source_is_one_line_and_leaves_nothing(workspace: Workspace) -> None:
    workspace.source(cats_and_dogs())
    archive = workspace.raw / "train.zip"
    archive.write_bytes(archive.read_bytes()[:10_000])
    done = run(workspace.command())
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "train.zip" in done.stderr
    assert not workspace.left_over()


def test_one_hostile_picture_costs_no_other(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    header = struct.pack(">IIBBBBB", 1, 100_000_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    workspace.source(cats_and_dogs() | {"train/cat.20.jpg": data})
    workspace.split()
    assert workspace.reasons() == {"train/cat.20.jpg": "1 x 100000000 pixels, more than the limit of 65535 a side"}
    assert len(workspace.index()) == 40
    assert "rejected: 1 photos that do not decode" in capsys.readouterr().out


def test_photos_of_one_colour_are_used_and_listed_as_doubtful(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (3, 3, 3)).save(file, "PNG")
    workspace.source(cats_and_dogs() | {"train/cat.20.jpg": file.getvalue()})
    workspace.split()
    listed = (workspace.folder / "reports/doubtful.csv").read_text()
    assert listed == "file,reason\ntrain/cat.20.jpg,all but of one colour\n"
    assert workspace.reasons() == {}
    assert len(workspace.index()) == 41
    assert (
        "doubtful: 1 photos that are all but of one colour (train/cat.20.jpg); they are used" in capsys.readouterr().out
    )
    workspace.source(cats_and_dogs())
    workspace.split()
    assert (workspace.folder / "reports/doubtful.csv").read_text() == "file,reason\n"


def test_the_rule_for_sixteen_bits_is_told_and_what_it_guessed_is_listed(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = cats_and_dogs()
    for number, bits in enumerate((8, 12, 12, 16)):
        values = np.asarray(Image.open(io.BytesIO(photo(2000 + number))).convert("L")).astype(np.uint16) << (bits - 8)
        values[0, 0] = 2**bits - 1
        file = io.BytesIO()
        Image.fromarray(values).save(file, "PNG")
        photos[f"train/cat.{20 + number}.png"] = file.getvalue()
    file = io.BytesIO()
    Image.fromarray(np.full((40, 60), 7, np.uint16)).save(file, "TIFF")
    workspace.source(photos | {"train/dog.20.tif": file.getvalue()})
    workspace.split()
    reason = "its values use {} of sixteen bits, by which they are scaled"
    with (workspace.folder / "reports/doubtful.csv").open(newline="") as listed:
        assert {row["file"]: row["reason"] for row in csv.DictReader(listed)} == {
            "train/cat.20.png": reason.format(8),
            "train/cat.21.png": reason.format(12),
            "train/cat.22.png": reason.format(12),
            "train/dog.20.tif": f"all but of one colour; {reason.format(8)}",
        }
    assert len(workspace.index()) == 45
    printed = capsys.readouterr().out
    assert (
        "sixteen bits a channel: 2 photos that use 8, 2 photos that use 12, 1 photo that uses 16; each is scaled by "
        "the fewest of 8, 10, 12, 14, 16 bits that hold its largest value; those that use less than 16 are listed in "
        f"{workspace.folder / 'reports/doubtful.csv'}\n"
    ) in printed
    assert "doubtful: 1 photos that are all but of one colour (train/dog.20.tif)" in printed
