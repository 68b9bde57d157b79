"""The card says what the comparison knows, in Hugging Face's format, whatever classes and files are called."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from dogs_vs_cats.data.arrays import Dataset, write_dataset
from dogs_vs_cats.evaluation.comparison import Comparison, Mistake
from dogs_vs_cats.reports.model_card import WEIGHTS_LICENCES, Loading, by_mlflow, card_of_project
from dogs_vs_cats.serving.trained_models import find_model
from dogs_vs_cats.settings.catalogue import BackboneName
from tests.photo_project import SIZE, TEMPERATURES, write_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose models made a mistake."""
    root = tmp_path_factory.mktemp("project")
    write_project(root)
    (root / "data/arrays").mkdir()
    write_dataset(
        root / "data/arrays", Dataset("zip", ["cats", "dogs"], [], SIZE, "d" * 64, {"train": 1234}, "bilinear")
    )
    comparison = Comparison.read(root / "reports/comparison.json")
    mistake = Mistake(
        index=0, file="test/cats/1: a.jpg", true_class="cats", predicted_class="dogs", probabilities=[0.1, 0.9]
    )
    models = {
        name: model.model_copy(
            update={"mistakes": [mistake], "calibrated": model.calibrated.model_copy(update={"log_loss": 0.125})}
        )
        for name, model in comparison.models.items()
    }
    comparison.model_copy(update={"models": models}).write(root / "reports/comparison.json")
    return root


def _parts(text: str) -> tuple[dict[str, Any], str]:
    nothing, front, body = text.split("---\n", 2)
    assert not nothing
    values: dict[str, Any] = yaml.safe_load(front)
    return values, body


@pytest.mark.parametrize(("kind", "licence"), [("scratch", "apache-2.0"), ("vgg16", "cc-by-4.0")])
def test_the_card_has_the_comparisons_results_and_the_weights_licence(project: Path, kind: str, licence: str) -> None:
    front, body = _parts(card_of_project(project, find_model(project, kind).description, Loading("onnx", "print(1)")))
    result = Comparison.read(project / "reports/comparison.json").models[kind]
    assert (front["library_name"], front["license"], front["datasets"]) == ("onnx", licence, ["zip"])
    (index,) = front["model-index"]
    (results,) = index["results"]
    assert index["name"] == result.name
    assert results["task"]["type"] == "image-classification"
    assert results["dataset"] == {"name": "2 test photos", "type": "zip", "split": "test"}
    values = {metric["type"]: metric["value"] for metric in results["metrics"]}
    assert values["accuracy"] == result.accuracy
    assert values["log_loss"] == result.calibrated.log_loss
    assert "| its 95 % interval (Wilson) | 34.24 % to 100.00 % | the same |" in body
    for told in (
        result.weights,
        "d" * 64,
        "| train | 1,234 photos |",
        f"divided by {TEMPERATURES[kind]:.3f}",
        "`test/cats/1: a.jpg`, of `cats`: `dogs` with 90.0 % before calibration",
        "```python\nprint(1)\n```",
        "1. `cats`\n2. `dogs`\n",
    ):
        assert told in body
    assert ("VGG16" in body) == (kind == "vgg16")
    assert "{learned}" not in body
    assert "&" not in body


def test_a_registered_models_card_has_the_uncalibrated_figures_that_it_reaches(project: Path) -> None:
    description = find_model(project, "vgg16").description
    front, body = _parts(card_of_project(project, description, by_mlflow(description)))
    result = Comparison.read(project / "reports/comparison.json").models["vgg16"]
    (results,) = front["model-index"][0]["results"]
    values = {metric["type"]: metric["value"] for metric in results["metrics"]}
    assert front["library_name"] == "mlflow"
    assert values["log_loss"] == result.log_loss != result.calibrated.log_loss
    assert f"takes decoded photos, `(n, {SIZE}, {SIZE}, 3)` uint8, and gives P(`dogs`) of each" in body
    assert f"are not calibrated. `dogs-vs-cats predict` calibrates them: it divides the logits by {5:.3f}" in body
    assert 'mlflow.pyfunc.load_model(".")' in body


def test_drawn_pictures_and_a_missing_test_split_are_told(project: Path) -> None:
    path = project / "reports/comparison.json"
    before = Comparison.read(path)
    try:
        before.model_copy(update={"source": "drawn", "split": "validation"}).write(path)
        front, body = _parts(card_of_project(project, find_model(project, "scratch").description, Loading("onnx", "")))
    finally:
        before.write(path)
    assert front["datasets"] == ["drawn"]
    assert "The pictures were drawn by the program." in body
    assert "There is no test split." in body


def test_every_backbones_weights_have_a_licence() -> None:
    assert set(get_args(BackboneName)) == set(WEIGHTS_LICENCES)
