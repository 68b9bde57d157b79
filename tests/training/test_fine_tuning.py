"""Fine-tuning from cached maps, for real, on tiny pictures and VGG16 with random weights."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dogs_vs_cats.data.arrays import open_split, read_dataset, write_dataset
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.kinds.fine_tuned import FineTunedModel
from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.models.maps import Cut, View, bottom, open_maps
from dogs_vs_cats.models.pretrained.backbones import build_backbone, scale_layers
from dogs_vs_cats.models.pretrained.weights import write_weights
from dogs_vs_cats.models.saved import load_predictor, read_description, trained_kinds
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.reports.comparison import Compared, figures, render
from dogs_vs_cats.reports.examining import compare_models
from dogs_vs_cats.serving.classifying import Answer
from dogs_vs_cats.serving.packaging import write_photo_model
from dogs_vs_cats.serving.photo_cards import answer_card
from dogs_vs_cats.serving.side_by_side import open_side_by_side
from dogs_vs_cats.serving.trained_models import classify, find_model
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.tracking.making import made_from
from dogs_vs_cats.tracking.tracked_runs import client, tracking_uri
from dogs_vs_cats.training.recording import Outputs, train_and_record
from tests.conftest import ROOT, answers_elsewhere, encoded
from tests.search.conftest import prepare
from tests.vgg16 import random_tensors

# Keras 3.15 copies TensorFlow's variables in a way that NumPy 2 calls outdated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning", "ignore:.*Any type hint is inferred:UserWarning"
)

CUT = Cut("vgg16", "imagenet", 32, "block4_pool")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photos: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> Path:
    """A project in which all three models were trained."""
    folder = tmp_path_factory.mktemp("project")
    # So small that a head's output stays away from 0 and 1.
    write_weights([tensor * np.float32(0.75) for tensor in random_tensors()], folder / "vgg16.weights.h5")
    project = prepare(folder, *photos, folder / "vgg16.weights.h5")
    project.set(
        **{
            "train_scratch.epochs": 1,
            "train_scratch.network.convolutions": [{"filters": 4, "kernel": 3}],
            "train_vgg16.epochs": 1,
            "train_vgg16.network.dense": [],
            "train_vgg16.network.dropout": [],
            "fine_tune.block": "block5",
            "fine_tune.epochs": 3,
            "fine_tune.mixup": 0.2,
            "fine_tune.optimizer.learning_rate": 0.0001,
        }
    )
    settings = load_settings(folder / "params.yaml")
    for kind, description in KINDS.items():
        outputs = Outputs(folder / "models" / f"{kind}.weights.h5", folder / "reports" / kind)
        train_and_record(description, Prepared.of(folder), settings, outputs, folder)
    return folder


def test_maps_are_those_of_the_backbone_and_of_mirrored_photos_and_are_computed_once(folder: Path) -> None:
    import keras

    prepared = Prepared.of(folder)
    inputs = keras.Input((32, 32, 3))
    frozen = bottom(build_backbone("vgg16", 32, prepared.backbone), "block4_pool")
    network = keras.Model(inputs, frozen(scale_layers(inputs, "imagenet")))
    for view in (View("train"), View("train", mirrored=True), View("validation")):
        images = open_split(prepared.arrays, view.split).images[:9]
        expected = network.predict_on_batch(np.float32(images[:, :, ::-1] if view.mirrored else images))
        maps = open_maps(prepared, CUT, view, [view])
        assert maps.dtype == np.float16
        assert np.abs(maps[:9] - expected).max() <= 1e-3 * np.ptp(expected)
    (kept,) = (folder / "data" / "maps").iterdir()
    assert {file.name for file in kept.glob("*.npy")} == {"train.npy", "train_mirrored.npy", "validation.npy"}
    before = [file.stat().st_mtime_ns for file in sorted(kept.glob("*.npy"))]
    FineTunedModel.of(load_settings(folder / "params.yaml"), prepared).examples(prepared, "train")
    assert [file.stat().st_mtime_ns for file in sorted(kept.glob("*.npy"))] == before


def test_its_run_in_mlflow_says_what_it_is(folder: Path) -> None:
    tracker = client(load_settings(folder / "params.yaml").tracking, folder)
    experiment = tracker.get_experiment_by_name("dogs-vs-cats")
    assert experiment is not None
    (run,) = tracker.search_runs([experiment.experiment_id], "tags.kind = 'fine_tuned'")
    assert str(run.info.run_name).startswith("fine-tuned vgg16 · ")
    assert run.data.params["settings.block"] == "block5"
    assert run.data.params["settings.cut"] == "block4_pool"
    assert run.data.metrics["val/log_loss"] == pytest.approx(
        json.loads((folder / "reports/fine_tuned/metrics.json").read_text())["validation"]["log_loss"], rel=1e-5
    )


@pytest.fixture(scope="module")
def compared(folder: Path) -> Compared:
    """The comparison of all three, which is written, too."""
    rules = load_settings(folder / "params.yaml").compare
    compared = compare_models(Prepared.of(folder), folder / "models", folder / "reports", rules)
    compared.comparison.write(folder / "reports" / "comparison.json")
    return compared


def test_the_report_and_the_page_show_all_three_models(folder: Path, compared: Compared) -> None:
    page = render(compared, figures(compared, 5), made_from(folder / "params.yaml", compared.counts))
    assert "Three networks compared" in page
    assert page.count("fine-tuned VGG16") > 3
    image = open_split(folder / "data/arrays", "validation").images[0]
    with open_side_by_side(folder) as models:
        seen = models.say("photo.png", encoded(Image.fromarray(image)))
        assert list(seen.answers) == ["scratch", "vgg16", "fine_tuned"]
        looks = models.look(seen)
        card = answer_card(models, "photo.png", seen, looks)
    assert looks["fine_tuned"] is not None
    assert "Where the fine-tuned VGG16 looks" in card
    assert "Both" not in card


def test_each_registered_model_answers_where_this_project_is_not_installed(
    folder: Path, compared: Compared, tmp_path: Path
) -> None:
    tracking = load_settings(folder / "params.yaml").tracking
    versions = client(tracking, folder).search_model_versions("name = 'dogs-vs-cats'")
    by_kind = {version.tags["kind"]: f"models:/dogs-vs-cats/{version.version}" for version in versions}
    assert sorted(by_kind) == ["fine_tuned", "scratch", "vgg16"]
    images = open_split(folder / "data/arrays", "validation").images
    answers = answers_elsewhere(tmp_path, images, *by_kind.values(), tracker=tracking_uri(tracking, folder))
    expected = {kind: compared.candidates[kind].probabilities[:, 1] for kind in by_kind}
    # The head was trained on features that are not the photos' own.
    expected["vgg16"] = find_model(folder, "vgg16").keras_model().predict_on_batch(images)
    for kind, answer in zip(by_kind, answers, strict=True):
        near = 0.05 * float(np.ptp(expected[kind]))  # maps have 16 bits a value
        assert answer == pytest.approx(expected[kind], abs=near), kind


def test_comparison_predict_and_package_agree_on_a_photo(folder: Path, compared: Compared, tmp_path: Path) -> None:
    prepared = Prepared.of(folder)
    assert list(compared.candidates) == ["scratch", "vgg16", "fine_tuned"]
    assert compared.comparison.models["fine_tuned"].name == "fine-tuned VGG16"
    found = find_model(folder, "fine_tuned")
    images = open_split(prepared.arrays, "validation").images[:5]
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    given = np.clip(compared.candidates["fine_tuned"].probabilities[:5, 1], 1e-7, 1 - 1e-7)
    expected = 1 / (1 + np.exp(-np.log(given / (1 - given)) / found.temperature))
    near = 0.05 * float(np.ptp(expected))  # maps have 16 bits a value
    assert np.ptp(given) > 0.01
    for engine in ("ncnn", "tensorflow"):
        answers = list(classify(tmp_path, model="fine_tuned", project=folder, engine=engine))
        said = [answer.second for answer in answers if isinstance(answer, Answer)]
        assert said == pytest.approx(expected, abs=near)
    write_photo_model(found, folder, tmp_path / "package")
    package = mlflow.pyfunc.load_model(str(tmp_path / "package"))
    sent = [base64.b64encode((tmp_path / f"{number}.png").read_bytes()).decode() for number in range(5)]
    packaged = [answer.probabilities["dogs"] for answer in package.predict(sent)]
    assert packaged == pytest.approx(expected, abs=near)


KILLED_AFTER_AN_EPOCH = """
import os, signal, sys
from pathlib import Path
from tests.training.test_fine_tuning import fit
def log(_, epoch, __):
    if epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
fit(Path(sys.argv[1]), Path(sys.argv[2]), log)
"""


def fit(folder: Path, checkpoint: Path | None, log: object = None) -> list[NDArray[np.float32]]:
    """Fine-tune; return the weights."""
    from dogs_vs_cats.data.examples import Parts
    from dogs_vs_cats.models.reproducibility import prepare as seed
    from dogs_vs_cats.training.fitting import train

    prepared, settings = Prepared.of(folder), load_settings(folder / "params.yaml")
    description, section = FineTunedModel.of(settings, prepared), settings.fine_tune
    parts = Parts(description.examples(prepared, "train"), description.examples(prepared, "validation"))
    seed(section.seed)
    model = description.build()
    description.initialise(model, parts.training.inputs, section.seed, prepared)
    train(model, parts, section, checkpoint=checkpoint, log=log, show_progress=False)  # type: ignore[arg-type]
    weights: list[NDArray[np.float32]] = model.get_weights()
    return weights


def test_a_killed_fine_tuning_resumes_to_the_same_bits(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_AFTER_AN_EPOCH, str(folder), str(tmp_path / "state")]
    ended = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert ended.returncode == -signal.SIGKILL
    logged: list[int] = []
    resumed = fit(folder, tmp_path / "state", lambda _, epoch, __: logged.append(epoch))
    assert logged == [1, 2, 3]
    kept = load_predictor(folder / "models" / "fine_tuned.weights.h5").model.get_weights()
    for ours, theirs in zip(resumed, kept, strict=True):
        assert np.array_equal(ours, theirs)


@pytest.fixture
def project(folder: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    shutil.copytree(folder, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


def test_there_must_be_a_head_of_the_same_features(project: Path) -> None:
    prepared, settings = Prepared.of(project), load_settings(project / "params.yaml")
    described = project / "models" / "vgg16.json"
    described.write_text(described.read_text().replace('"imagenet"', '"article"'))
    with pytest.raises(WorkflowError, match=r"vgg16\.json: a head of other features.*dvc repro train_vgg16"):
        FineTunedModel.of(settings, prepared)
    described.write_text("{")
    with pytest.raises(WorkflowError, match=r"vgg16\.json: a head of other features"):
        FineTunedModel.of(settings, prepared)
    prepared.head.unlink()
    with pytest.raises(
        WorkflowError, match=r"vgg16\.weights\.h5: no trained head to fine-tune; .*dvc repro train_vgg16"
    ):
        FineTunedModel.of(settings, prepared)


def test_more_maps_than_the_disk_holds_are_told_before_any_is_computed(project: Path) -> None:
    prepared = Prepared.of(project)
    dataset = read_dataset(prepared.arrays)
    shutil.rmtree(project / "data" / "maps")
    write_dataset(prepared.arrays, replace(dataset, counts={"train": 10**12, "validation": 40}))
    description = FineTunedModel.of(load_settings(project / "params.yaml"), prepared)
    message = (
        r"maps after block4_pool of 2,000,000,000,040 photos and mirror images take 8192000\.00 GB, the disk has "
        r"[0-9.]+ GB free; free some, or set fine_tune\.block to a later block, or to null"
    )
    with pytest.raises(WorkflowError, match=message):
        description.examples(prepared, "train")
    assert not list((project / "data" / "maps").rglob("*.npy"))


def test_damaged_maps_are_named(project: Path) -> None:
    prepared = Prepared.of(project)
    (file,) = (project / "data" / "maps").rglob("validation.npy")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WorkflowError, match=r"validation\.npy: damaged .*; remove it, and run again"):
        open_maps(prepared, CUT, View("validation"), [View("validation")])


def test_a_state_of_other_maps_is_not_resumed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, prepared = load_settings(project / "params.yaml"), Prepared.of(project)
    (finished,) = (project / "models" / ".unfinished").glob("fine_tuned-*")
    (finished / "finished.json").unlink()
    (maps,) = (project / "data" / "maps").rglob("train.npy")
    array = np.load(maps)
    array[0] += 1
    np.save(maps, array)
    outputs = Outputs(project / "models/fine_tuned.weights.h5", project / "reports/fine_tuned")
    train_and_record(FineTunedModel, prepared, settings, outputs, project)
    printed = capsys.readouterr().out
    assert f"{finished}: holds an unfinished training of other settings or data" in printed
    assert "going on after epoch" not in printed


def test_without_a_block_the_stage_says_that_there_is_no_model(project: Path) -> None:
    shutil.copy(ROOT / "params.yaml", project / "params.yaml")
    paths = {"arrays": "data/arrays", "features": "data/features", "backbone": "data/weights/backbone.weights.h5"}
    paths |= {"head": "models/vgg16.weights.h5", "model": "models/fine_tuned.weights.h5"}
    options = [f"--{name}={project / path}" for name, path in paths.items()]
    command = [sys.executable, "-m", "stages.fine_tune", "--params", str(project / "params.yaml"), *options]
    done = subprocess.run(
        [*command, "--reports", str(project / "reports/fine_tuned")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "fine_tune.block is null, so there is no fine-tuned model" in done.stdout
    assert trained_kinds(project / "models") == ["scratch", "vgg16"]
    assert (project / "models/fine_tuned.weights.h5").read_bytes() == b"null\n"
    assert (project / "reports/fine_tuned/metrics.json").read_text() == "{}\n"
    message = r"fine_tuned\.json: there is no such model while fine_tune\.block is null; set it, and run dvc repro"
    with pytest.raises(WorkflowError, match=message):
        read_description(project / "models/fine_tuned.weights.h5")
