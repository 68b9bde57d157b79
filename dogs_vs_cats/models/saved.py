"""A trained model on disk: its weights, and the description it is built again from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from dogs_vs_cats.data.arrays import release
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.models.kinds.registry import KINDS, parse_description
from dogs_vs_cats.models.pretrained.weights import save_network
from dogs_vs_cats.models.probabilities import average_log_odds, class_probabilities
from dogs_vs_cats.paths import Prepared

if TYPE_CHECKING:
    import keras

    from dogs_vs_cats.models.opened import OpenNetwork


def write_model(model: "keras.Model", description: Description, weights: Path) -> None:
    """Write ``NAME.weights.h5`` and beside it ``NAME.json``; equal weights give equal bytes.

    Raises:
        OSError: if the disk is full.
    """
    save_network(model, weights)
    with whole_file(describing(weights)) as partial:
        partial.write_text(description.model_dump_json(indent=2) + "\n", encoding="utf-8")


def describing(weights: Path) -> Path:
    """The description beside ``NAME.weights.h5``: ``NAME.json``."""
    return weights.with_name(weights.name.removesuffix(".weights.h5") + ".json")


_NONE = "null"
"""In place of a description: the settings leave this model out."""


def write_no_model(weights: Path) -> None:
    """Write what says that the settings leave a model out: ``null`` in place of its weights and its description."""
    for path in (weights, describing(weights)):  # DVC warns of empty files
        with whole_file(path) as partial:
            partial.write_text(f"{_NONE}\n", encoding="utf-8")


def trained_kinds(models: Path) -> list[str]:
    """Return the kinds of model that are there, or should be: all but those that the settings leave out."""
    paths = {kind: describing(models / f"{kind}.weights.h5") for kind in KINDS}
    return [kind for kind in KINDS if not KINDS[kind].optional or _says_model(paths[kind])]


def _says_model(description: Path) -> bool:
    return description.exists() and description.read_bytes().strip() != _NONE.encode()


class Predictor:
    """A trained model, ready to predict.

    Attributes:
        description: what it is.
        model: the Keras network, with its trained weights.
    """

    def __init__(self, description: Description, model: "keras.Model") -> None:
        self.description, self.model = description, model

    @property
    def parameters(self) -> int:
        """Numbers in the network that training changes; the backbone's own are not counted in the head's."""
        return sum(layer.count_params() for layer in self.model.layers if layer.trainable)

    def predict(self, inputs: NDArray[Any], batch: int = 64) -> NDArray[np.float64]:
        """Return the probabilities of each input's classes, (n, classes), each between 0 and 1.

        Args:
            inputs: what ``description.inputs`` gives.
            batch: inputs a forward pass.
        """
        return predict(self.description.judge(self.model), inputs, batch)

    def probabilities(self, prepared: Prepared, split: str) -> NDArray[np.float64]:
        """Return the probabilities of a split's photos, (n, classes), in the arrays' order.

        Args:
            prepared: what the workflow left.
            split: train, validation, test or unlabelled.

        Raises:
            WorkflowError: if arrays or features are missing or damaged, or the model's output is no probability.
        """
        views = self.description.view_inputs(prepared, split)
        probabilities = average_log_odds([self.predict(inputs) for inputs in views])
        if not np.isfinite(probabilities).all():
            raise WorkflowError(
                f"the {self.description.kind} model's output is not a number; its training diverged: lower its "
                "learning_rate"
            )
        return probabilities

    def open(self, backbone: Path) -> "OpenNetwork":
        """Lay the model open between photo and class, as ``Description.open``."""
        return self.description.open(self.model, backbone)


def predict(model: "keras.Model", inputs: NDArray[Any], batch: int = 64) -> NDArray[np.float64]:
    """Return a network's probabilities, (n, classes)."""
    parts = []
    for start in range(0, len(inputs), batch):
        parts.append(class_probabilities(model.predict_on_batch(np.array(inputs[start : start + batch]))))
        release(inputs)
    return np.concatenate(parts)


def read_description(weights: Path) -> Description:
    """Read what the weights ``NAME.weights.h5`` belong to, from ``NAME.json`` beside them.

    Raises:
        WorkflowError: if that is missing or damaged; it names the stage that makes it.
    """
    path = describing(weights)
    kind = path.stem
    if kind in KINDS and KINDS[kind].optional and path.exists() and not _says_model(path):
        raise WorkflowError(
            f"{path}: there is no such model while {KINDS[kind].stage}.block is null; set it, and run dvc repro"
        )
    try:
        return parse_description(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WorkflowError(f"{path}: no trained model there; {advice(weights)}") from None
    except UnicodeDecodeError:
        raise WorkflowError(f"{path}: not a model's description (no text); {advice(weights)}") from None
    except ValueError as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise WorkflowError(f"{path}: not a model's description ({reason}); {advice(weights)}") from None


@contextmanager
def loading(weights: Path) -> Iterator[None]:
    """Name the file, and the stage that makes it, in what goes wrong while weights are read in the ``with`` block.

    Raises:
        WorkflowError: if they are missing, or do not fit their description.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise WorkflowError(f"{error.filename or weights}: no trained model there; {advice(weights)}") from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise WorkflowError(
            f"{weights}: its weights do not fit {describing(weights).name} ({reason}); {advice(weights)}"
        ) from None


def advice(weights: Path) -> str:
    """The command that makes a model."""
    kind = describing(weights).stem
    return f"run dvc repro {KINDS[kind].stage if kind in KINDS else f'train_{kind}'}"


def load_predictor(weights: Path) -> Predictor:
    """Load a trained model.

    Args:
        weights: its ``NAME.weights.h5``; ``NAME.json`` is beside it.

    Returns:
        The model and its description.

    Raises:
        WorkflowError: if either file is missing or does not fit the other; it names the stage that makes them.
    """
    description = read_description(weights)
    with loading(weights):
        model = description.build()
        model.load_weights(weights)
    return Predictor(description, model)
