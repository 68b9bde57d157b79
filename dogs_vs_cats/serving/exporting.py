"""A trained model in the formats of other programs, as Keras itself exports it: photos in, calibrated classes out."""

import logging
import re
import warnings
from pathlib import Path

import keras
import onnx
from keras import ops

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.portable import portable
from dogs_vs_cats.models.probabilities import CLIP
from dogs_vs_cats.reports.model_card import CARD, Loading, card_of_project, decoding
from dogs_vs_cats.serving.formats import FORMATS
from dogs_vs_cats.serving.trained_models import TrainedModel

# What TensorFlow puts around the system's own words, such as those for a full disk.
_TENSORFLOWS = re.compile(r"^\{\{.*?\}\} (\S+; )?| \[Op:\w+\]$")


def write_format(trained: TrainedModel, project: Path, name: str, folder: Path) -> None:
    """Write a model from photos (n, size, size, 3) uint8 to calibrated probabilities (n, 2) float32, and its card.

    Args:
        trained: the model.
        project: the folder that it was found in.
        name: of ``FORMATS``.
        folder: where to.

    Raises:
        WorkflowError: if weights are missing or not the description's, or the format cannot express the model.
    """
    form, size = FORMATS[name], trained.description.size
    file = str(folder / form.file)  # for OpenVINO Keras takes no Path
    model = portable(calibrated(trained.keras_model(), trained.temperature))
    photos = keras.InputSpec(shape=(None, size, size, 3), dtype="uint8", name="photos")
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras and the converters warn of what they themselves do
        try:
            model.export(file, format=form.keras, verbose=False, input_signature=[photos])
            if name == "onnx":
                onnx.checker.check_model(file)  # tf2onnx leaves what it does not know as it is
        except OSError:
            raise
        except Exception as error:  # every converter has errors of its own
            first = str(error).strip().partition("\n")[0] or type(error).__name__
            reason = _TENSORFLOWS.sub("", first)
            raise WorkflowError(
                f"--format {name}: the {trained.description.name} could not be written: {reason}; mend that, or choose "
                "another format"
            ) from error
    loading = Loading(form.library, f"{decoding(trained.description)}\n{form.loading}\nprint(answers)")
    (folder / CARD).write_text(card_of_project(project, trained.description, loading), encoding="utf-8")


def calibrated(model: keras.Model, temperature: float) -> keras.Model:
    """Build a model that says what ``predict`` says.

    Args:
        model: from photos to P(second class), (n,).
        temperature: divides the logits.

    Returns:
        A model from the same photos to calibrated probabilities of both classes, (n, 2).
    """
    clipped = ops.clip(model.output, CLIP, 1 - CLIP)
    second = ops.sigmoid((ops.log(clipped) - ops.log(1 - clipped)) / temperature)
    return keras.Model(model.input, ops.stack([1 - second, second], axis=1), name=model.name)
