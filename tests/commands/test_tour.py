"""The tour shows the pictures that its command makes, no others; they are small, and of drawn animals only."""

import re
from pathlib import Path

import pytest
from PIL import Image

from dogs_vs_cats.commands.main import COMMANDS
from dogs_vs_cats.commands.tour import COMMITTED, main
from dogs_vs_cats.data.arrays import read_dataset, write_dataset
from dogs_vs_cats.errors import WorkflowError
from tests.commands.calling import call
from tests.conftest import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def shown() -> set[str]:
    """The pictures that the page links to."""
    text = (ROOT / "docs/tour.md").read_text(encoding="utf-8")
    return set(re.findall(r"!\[[^\]]{20,}\]\(pictures/tour/(\w+\.png)\)", text))


def test_the_command_makes_the_pictures_of_the_page(tiny_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_project)
    call(main)
    made = {path.name: path for path in COMMITTED.iterdir()}
    assert set(made) == shown()
    for path in made.values():
        with Image.open(path) as image:
            assert image.mode == "P"
            assert image.width <= 900


def test_committed_pictures_are_those_and_small() -> None:
    committed = {path.name: path.stat().st_size for path in (ROOT / COMMITTED).iterdir()}
    assert set(committed) == shown()
    assert sum(committed.values()) < 1_500_000


def test_other_photos_do_not_get_into_the_committed_folder(
    tiny_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = read_dataset(tiny_project / "data/arrays")
    (tmp_path / "data/arrays").mkdir(parents=True)
    write_dataset(tmp_path / "data/arrays", type(drawn)(**{**vars(drawn), "source": "zip"}))
    (tmp_path / "params.yaml").write_bytes((tiny_project / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkflowError, match=r"not the drawn sample.*--output"):
        call(main)
    with pytest.raises(WorkflowError, match="dvc repro compare"):
        call(main, "--output", "mine")
    assert not (tmp_path / "docs").exists()


def test_commands_of_the_page_exist() -> None:
    text = (ROOT / "docs/tour.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^dogs-vs-cats (\w+)", text, flags=re.MULTILINE))
    assert named == {"networks", "explain", "predict"}
    assert "explain" in COMMANDS
    stages = set(re.findall(r"^dvc repro (\w+)", text, flags=re.MULTILINE))
    assert stages == {"decode", "train_scratch", "compare"}
    assert all((ROOT / f"stages/{stage}.py").is_file() for stage in stages)
