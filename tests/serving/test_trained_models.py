"""Photos as people have them, classified by a project's models: what is read, what is refused, what is told."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.data.arrays import Dataset, write_dataset
from dogs_vs_cats.data.decoding.photos import decode
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.probabilities import apply_temperature
from dogs_vs_cats.serving.classifying import LARGEST_FILE, Answer, Classifier, Unread
from dogs_vs_cats.serving.trained_models import classify, find_model, find_photos, open_classifier
from tests.conftest import both_classes, encoded
from tests.photo_project import (
    CNN,
    SIZE,
    TEMPERATURES,
    description,
    photo,
    write_comparison,
    write_project,
    write_trained,
)

# Keras 3.15 copies TensorFlow's variables in a way that NumPy 2 calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that nothing here changes."""
    project = tmp_path_factory.mktemp("trained")
    write_project(project)
    return project


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    shutil.copytree(trained, tmp_path / "project")
    return tmp_path / "project"


def second(answer: Answer | Unread) -> float:
    assert isinstance(answer, Answer), answer
    return answer.second


def one(trained: Path, folder: Path, data: bytes) -> Answer | Unread:
    """What the CNN says of a file."""
    (folder / "photo").write_bytes(data)
    (answer,) = classify(folder / "photo", model="scratch", project=trained)
    return answer


@pytest.mark.parametrize("kind", ["scratch", "vgg16"])
def test_probabilities_are_the_networks_of_the_decoded_photo_calibrated(
    trained: Path, tmp_path: Path, kind: str
) -> None:
    data = [encoded(photo(seed), "JPEG") for seed in range(4)]
    for number, content in enumerate(data):
        (tmp_path / f"{number}.jpg").write_bytes(content)
    answers = list(classify(tmp_path, model=kind, project=trained))
    by_tensorflow = list(classify(tmp_path, model=kind, project=trained, engine="tensorflow"))
    with open_classifier(trained, kind) as classifier:
        given = np.asarray(classifier.compute(np.stack([decode(content, SIZE, "bilinear") for content in data])))
    expected = apply_temperature(both_classes(given), TEMPERATURES[kind])[:, 1]
    assert [second(answer) for answer in answers] == pytest.approx(expected, abs=1e-12)
    assert [second(answer) for answer in by_tensorflow] == pytest.approx(expected, abs=1e-5)
    for answer, given_second in zip(answers, expected, strict=True):
        assert isinstance(answer, Answer)
        assert answer.label == ("dogs" if given_second > 0.5 else "cats")
        assert answer.probability == pytest.approx(max(given_second, 1 - given_second))
    assert [Path(answer.photo).name for answer in answers] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]


def test_the_model_that_the_comparison_found_better_is_the_default(project: Path) -> None:
    for better in ("vgg16", "scratch"):
        write_comparison(project, better=better)
        assert find_model(project).kind == better
        assert find_model(project).temperature == TEMPERATURES[better]
    assert find_model(project, "vgg16").kind == "vgg16"


def test_many_photos_run_on_several_processes_in_their_order(trained: Path, tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}.png").write_bytes(encoded(photo(number), "PNG"))
    (tmp_path / "07.png").write_bytes(b"no photo")
    answers = list(classify(tmp_path, model="vgg16", project=trained))
    alone = list(classify(*(answer.photo for answer in answers[:9]), model="vgg16", project=trained))
    assert [Path(answer.photo).stem for answer in answers] == [f"{number:02}" for number in range(30)]
    assert answers[:9] == alone
    assert isinstance(answers[7], Unread)
    assert isinstance(answers[29], Answer)


def test_a_file_that_is_no_photo_is_told_and_the_rest_go_on(trained: Path, tmp_path: Path) -> None:
    whole = encoded(photo(1), "JPEG")
    names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    for name, content in zip(names, (b"text", whole, whole[: len(whole) // 2], b""), strict=True):
        (tmp_path / name).write_bytes(content)
    answers = list(classify(*(tmp_path / name for name in names), model="scratch", project=trained))
    assert [answer.reason if isinstance(answer, Unread) else "" for answer in answers] == [
        "not a picture", "", "truncated", "no bytes",
    ]  # fmt: skip


def test_a_photo_that_vanishes_or_is_far_too_large_is_told(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "large.jpg").touch()
    with (tmp_path / "large.jpg").open("r+b") as file:
        file.truncate(LARGEST_FILE + 1)  # sparse: it takes no disk
    with open_classifier(trained, "scratch") as classifier:
        answers = list(classifier.classify([tmp_path / "gone.jpg", tmp_path / "large.jpg"]))
    assert [answer.reason for answer in answers if isinstance(answer, Unread)] == [
        "No such file or directory",
        "more than 300 MB",
    ]


def test_twenty_thousand_pixels_a_side_are_refused_before_they_take_memory(trained: Path, tmp_path: Path) -> None:
    answer = one(trained, tmp_path, encoded(Image.new("1", (20_000, 20_000)), "PNG"))
    assert isinstance(answer, Unread)
    assert "400000000 pixels, more than the limit" in answer.reason


def test_the_rotation_that_the_camera_noted_is_honoured(trained: Path, tmp_path: Path) -> None:
    upright = photo(2)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    turned = encoded(upright.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    expected = second(one(trained, tmp_path, encoded(upright, "PNG")))
    assert second(one(trained, tmp_path, turned)) == pytest.approx(expected, abs=1e-12)
    sideways = encoded(upright.transpose(Image.Transpose.ROTATE_90), "PNG")
    assert abs(second(one(trained, tmp_path, sideways)) - expected) > 1e-4


def test_of_an_animation_the_first_frame_counts(trained: Path, tmp_path: Path) -> None:
    frames = [photo(seed).convert("P") for seed in (3, 4)]
    moving = one(trained, tmp_path, encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert second(moving) == second(one(trained, tmp_path, encoded(frames[0], "GIF")))
    assert second(moving) != second(one(trained, tmp_path, encoded(frames[1], "GIF")))


def test_sixteen_bits_and_cmyk_are_read_as_what_they_show(trained: Path, tmp_path: Path) -> None:
    grey = np.asarray(photo(5).convert("L"))
    eight = second(one(trained, tmp_path, encoded(Image.fromarray(grey), "PNG")))
    sixteen = Image.fromarray(grey.astype(np.uint16) * 256)
    assert second(one(trained, tmp_path, encoded(sixteen, "PNG"))) == eight
    cmyk = one(trained, tmp_path, encoded(photo(5).convert("CMYK"), "JPEG", quality=95))
    rgb = one(trained, tmp_path, encoded(photo(5), "JPEG", quality=95))
    assert second(cmyk) == pytest.approx(second(rgb), abs=0.02)


def test_what_is_no_photo_at_all_is_refused_before_anything_loads(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("text")
    with pytest.raises(WorkflowError, match=r"nowhere\.jpg: no such file or folder"):
        find_photos([tmp_path / "nowhere.jpg"])
    with pytest.raises(WorkflowError, match="empty: no photos in this folder"):
        find_photos([tmp_path / "empty"])
    with pytest.raises(WorkflowError, match="/dev/null: no file or folder"):
        find_photos([Path("/dev/null")])


def test_photos_of_folders_in_a_folder_are_found(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "a.png", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "lost.jpg").symlink_to(tmp_path / "nowhere")
    assert find_photos([tmp_path, tmp_path / "notes.txt"]) == [
        tmp_path / "a.png", tmp_path / "b/2.JPG", tmp_path / "lost.jpg", tmp_path / "notes.txt",
    ]  # fmt: skip


def test_what_is_missing_is_named_with_the_command_that_makes_it(project: Path) -> None:
    (project / "data/weights/backbone.weights.h5").unlink()
    with pytest.raises(WorkflowError, match=r"no backbone there; fetch it with: dvc repro weights"):
        find_model(project)
    (project / "reports/comparison.json").write_text("{}")
    with pytest.raises(WorkflowError, match=r"comparison\.json: damaged.*dvc repro -f compare"):
        find_model(project)
    (project / "reports/comparison.json").unlink()
    with pytest.raises(WorkflowError, match=r"comparison\.json: no comparison.*dvc repro compare"):
        find_model(project)
    (project / "models/vgg16.weights.h5").unlink()
    with pytest.raises(
        WorkflowError, match=r"comparison\.json: no comparison.*train and compare the models.*dvc repro"
    ):
        find_model(project)
    (project / "models/scratch.json").unlink()
    with pytest.raises(WorkflowError, match=r"scratch\.json: no trained model there; run dvc repro train_scratch"):
        find_model(project, "scratch")
    with (
        pytest.raises(WorkflowError, match=r"model resnet: choose scratch, vgg16, fine_tuned or models:/NAME@ALIAS"),
        open_classifier(project, "resnet"),
    ):
        pass


def test_a_model_that_was_trained_since_the_comparison_is_refused(project: Path) -> None:
    other = description("scratch", CNN | {"dense": [7]})
    write_trained(other, project)
    assert find_model(project, "vgg16").temperature == TEMPERATURES["vgg16"]
    with pytest.raises(WorkflowError, match=r"scratch\.weights\.h5 was trained anew since.*dvc repro compare"):
        find_model(project, "scratch")
    write_comparison(project)
    assert find_model(project, "scratch").description == other


def test_a_model_of_other_classes_or_another_size_than_the_data_is_refused(project: Path) -> None:
    write_comparison(project, classes=("cows", "dogs"))
    with pytest.raises(WorkflowError, match=r"compares models of cows and dogs, vgg16 is one of cats and dogs"):
        find_model(project)
    write_comparison(project)
    (project / "data/arrays").mkdir()
    write_dataset(project / "data/arrays", Dataset("zip", ["cats", "dogs"], [], 64, "0" * 64, {"train": 1}))
    with pytest.raises(WorkflowError, match=r"vgg16\.json: trained on cats and dogs at 48 pixels, .* at 64"):
        find_model(project)


def test_a_description_that_does_not_say_how_photos_were_resized_means_lanczos(project: Path) -> None:
    path = project / "models/scratch.json"
    described = json.loads(path.read_text())
    del described["resampling"]
    path.write_text(json.dumps(described))
    (project / "photo.jpg").write_bytes(encoded(photo(6), "JPEG"))
    (answer,) = classify(project / "photo.jpg", model="scratch", project=project)
    with open_classifier(project, "scratch") as classifier:
        lanczos = classifier.probabilities(decode(encoded(photo(6), "JPEG"), SIZE, "lanczos")[None])
    assert second(answer) == pytest.approx(float(lanczos[0]))


def test_a_model_that_diverged_is_named() -> None:
    diverged = Classifier("scratch", ("a", "b"), SIZE, "lanczos", 1.0, lambda photos: np.full(len(photos), np.nan))
    with pytest.raises(WorkflowError, match="the model scratch gives no numbers"):
        diverged.probabilities(np.zeros((1, SIZE, SIZE, 3), np.uint8))


def test_a_head_on_pooled_maps_is_left_to_tensorflow(project: Path) -> None:
    head = {"pooling": "flatten", "dense": [], "dropout": [], "output": "sigmoid"}
    changes = {"pooling": ("average",), "layers": ("block4_pool",), "mirrored": True, "features": (1, 1, 1024)}
    write_trained(description("vgg16", head, **changes), project)
    write_comparison(project)
    with (
        pytest.raises(
            WorkflowError, match=r"VGG16 transfer model is not run by ncnn, .*VGG16's maps that are not pooled"
        ),
        open_classifier(project, "vgg16", engine="ncnn"),
    ):
        pass
    photo().save(project / "photo.png")
    photo().transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(project / "mirrored.png")
    photo(1).save(project / "other.png")
    photos = (project / f"{name}.png" for name in ("photo", "mirrored", "other"))
    first, mirrored, other = classify(*photos, model="vgg16", project=project)
    assert second(other) != pytest.approx(second(first), abs=1e-3)
    assert second(first) == pytest.approx(second(mirrored), abs=1e-5)
