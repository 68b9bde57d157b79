"""``dogs-vs-cats explain`` leaves whole pictures and a line for each, or one line that says what is wrong."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from dogs_vs_cats.commands.explain import main
from dogs_vs_cats.errors import WorkflowError
from tests.commands.calling import call

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SCRATCH = {"scratch_grad_cam", "scratch_filters", *(f"scratch_maps_{number:02}" for number in (1, 2, 3))}
VGG16 = {"vgg16_grad_cam", "vgg16_filters", *(f"vgg16_maps_{number:02}" for number in range(1, 14))}
PHOTO = Path("data/images/test/dogs/dog.1.png")


def test_both_models_are_explained_with_a_line_a_picture(
    tiny_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tiny_project)
    call(main, str(PHOTO), "--output", str(tmp_path / "out"))
    lines = capsys.readouterr().out.splitlines()
    written = {path.stem: path for path in (tmp_path / "out").iterdir()}
    assert set(written) == {"kernels"} | SCRATCH | VGG16
    assert {line.partition(": ")[0] for line in lines} == {str(path) for path in written.values()}
    assert len(lines) == len(written)
    for path in written.values():
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"


def test_pictures_go_to_a_folder_named_after_the_photo_and_are_the_same_twice(
    tiny_project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tiny_project)
    twice = []
    for _ in range(2):
        call(main, str(PHOTO), "--model", "scratch")
        folder = Path("reports/explain/dog.1")
        twice.append({path.stem: path.read_bytes() for path in folder.iterdir()})
    assert set(twice[0]) == {"kernels"} | SCRATCH
    assert twice[0] == twice[1]
    assert "where the CNN from scratch looks; it says " in capsys.readouterr().out


def test_photo_that_is_none_is_refused_by_name(tiny_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_project)
    with pytest.raises(FileNotFoundError, match="no-such"):
        call(main, "no-such.jpg")
    with pytest.raises(WorkflowError, match=r"params\.yaml: not a picture"):
        call(main, "params.yaml")
    assert not Path("reports/explain/no-such").exists()
    assert not Path("reports/explain/params").exists()


def test_without_a_trained_model_the_command_that_makes_one_is_named(
    tiny_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(tiny_project / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    photo = str(tiny_project / PHOTO)
    with pytest.raises(WorkflowError, match=r"models/scratch\.json: no trained model there; run dvc repro train_scr"):
        call(main, photo)
    with pytest.raises(WorkflowError, match="run dvc repro train_vgg16"):
        call(main, photo, "--model", "vgg16")
    assert not (tmp_path / "reports").exists()


def test_help_and_wrong_arguments_need_no_tensorflow(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "--output" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        call(main, "photo.jpg", "--model", "resnet")
