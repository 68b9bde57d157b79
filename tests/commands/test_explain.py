"""``dogs-vs-cats explain`` leaves whole pictures and a line for each, or one line that says what is wrong."""

import math
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from PIL import Image

from dogs_vs_cats.commands import predict
from dogs_vs_cats.commands.explain import main
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.serving.classifying import LARGEST_FILE, Answer
from dogs_vs_cats.serving.photo_cards import answer_card
from dogs_vs_cats.serving.side_by_side import open_side_by_side
from dogs_vs_cats.serving.trained_models import classify
from tests.commands.calling import DOGS_VS_CATS, HUGE, call
from tests.conftest import ROOT, changed, encoded
from tests.photo_project import (
    CNN,
    HEAD,
    TEMPERATURES,
    description,
    photo,
    write_comparison,
    write_project,
    write_trained,
)

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


@pytest.mark.parametrize("views", [False, True])
def test_explain_predict_and_the_page_say_the_same_of_photos_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, views: bool
) -> None:
    write_project(tmp_path)
    if views:
        network, seen = CNN | {"pooling_end": "global_average"}, {"flip": True, "scales": [1.0, 1.5]}
        write_trained(description("scratch", network, views=seen), tmp_path)
        pooled = {"pooling": ("average",), "mirrored": True}
        write_trained(description("vgg16", HEAD | {"pooling": "flatten"}, **pooled), tmp_path)
        write_comparison(tmp_path)
    # Of another size than the models', for which a large JPEG is decoded at another scale.
    values = changed(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")), **{"decode.size": 640})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    turned = Image.Exif()
    turned[0x0112] = 6
    for name, data in {
        "odd.jpg": encoded(photo(1, 97, 61), "JPEG"),
        "large.jpg": encoded(photo(2, 1501, 1333), "JPEG"),
        "turned.jpg": encoded(photo(3, 301, 77), "JPEG", exif=turned),
        "grey.jpg": encoded(photo(4, 33, 250).convert("L"), "JPEG"),
    }.items():
        Path(name).write_bytes(data)
        kinds = ("scratch", "vgg16") if name == "odd.jpg" else ("scratch",)
        capsys.readouterr()
        call(main, name, *(f"--model={kind}" for kind in kinds))
        printed = capsys.readouterr()
        assert printed.err == ""
        said = re.findall(r"it says (\w+) ([\d.]+) %", printed.out)
        with open_side_by_side(Path()) as page:
            shown = page.say(name, data).answers
        for kind, (label, share) in zip(kinds, said, strict=True):
            (answer,) = classify(name, model=kind)
            assert isinstance(answer, Answer)
            assert label == answer.label
            assert float(share) == pytest.approx(100 * answer.probability, abs=0.051)
            assert shown[kind].second == pytest.approx(answer.second, abs=1e-9)


def test_explain_predict_and_the_page_write_a_certain_answer_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    data = encoded(photo(1), "JPEG")
    Path("sure.jpg").write_bytes(data)
    (answer,) = classify("sure.jpg", model="scratch")
    assert isinstance(answer, Answer)
    # Such a temperature that the answer is neither certain nor told from that by six digits.
    logit = math.log(answer.probability / (1 - answer.probability)) * TEMPERATURES["scratch"]
    monkeypatch.setitem(TEMPERATURES, "scratch", logit / 20)
    write_comparison(tmp_path)
    capsys.readouterr()
    call(predict.main, "sure.jpg", "--model=scratch")
    call(main, "sure.jpg", "--model=scratch")
    with open_side_by_side(Path()) as page:
        shown = answer_card(page, "sure.jpg", page.say("sure.jpg", data))
    printed = capsys.readouterr().out
    assert printed.count("over 99.9999 %") == 2
    assert "over 99.9999 %" in shown
    assert "100.0 %" not in printed + shown


def test_without_a_comparison_it_is_told_that_probabilities_are_not_calibrated(
    tiny_project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tiny_project)
    call(main, str(PHOTO), "--model", "scratch")
    told = capsys.readouterr().err
    assert told.startswith("the probability of the CNN from scratch is not calibrated: reports/comparison.json: no com")
    assert told.endswith("compare them with: dvc repro compare\n")


def test_photo_that_is_none_is_refused_by_name(tiny_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_project)
    with pytest.raises(FileNotFoundError, match="no-such"):
        call(main, "no-such.jpg")
    with pytest.raises(WorkflowError, match=r"params\.yaml: not a picture"):
        call(main, "params.yaml")
    assert not Path("reports/explain/no-such").exists()
    assert not Path("reports/explain/params").exists()


def test_a_photo_that_takes_too_much_is_refused_by_name_before_there_is_a_model(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "huge.png").write_bytes(HUGE)
    done = subprocess.run(
        [DOGS_VS_CATS, "explain", "huge.png"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: huge.png: 1 x 100000000 pixels, more than the limit of 65535 a side; give a photo that other programs "
        "can open\n"
    )
    assert not (tmp_path / "reports").exists()


def test_what_is_no_file_for_a_photo_is_refused_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "large.jpg").touch()
    os.truncate(tmp_path / "large.jpg", LARGEST_FILE + 1)
    for path, told in {
        str(tmp_path / "pipe.jpg"): "not a regular file",
        "/dev/zero": "not a regular file",
        str(tmp_path): "not a regular file",
        str(tmp_path / "large.jpg"): "more than 300 MB",
    }.items():
        with pytest.raises(WorkflowError, match=f"^{re.escape(path)}: {told}; give a photo"):
            call(main, path)


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
