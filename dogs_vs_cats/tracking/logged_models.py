"""Models in MLflow's format, which load with MLflow, Keras and its backend alone."""

import json
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogs_vs_cats.runtime import backend, backend_version

if TYPE_CHECKING:
    import keras

DIGEST_TAG = "weights_sha256"
"""The tag by which a registered version is found again: the digest of its trained weights."""


def as_tag(names: Sequence[str]) -> str:
    """Return names as the text of a tag, from which ``from_tag`` reads them whatever they have in them."""
    return json.dumps([*names], ensure_ascii=False)


def from_tag(text: str) -> list[str]:
    """Return the names of a tag; those of version 0.1 are divided by commas."""
    try:
        names = json.loads(text)
    except ValueError:
        return text.split(", ")
    return [str(name) for name in names] if isinstance(names, list) else [text]


def save_model(model: "keras.Model", folder: Path) -> None:
    """Write a model in MLflow's format, with its signature and the packages it needs.

    Args:
        model: takes one tensor and returns one.
        folder: where to; it must not exist.
    """
    import numpy as np
    from mlflow.keras import save_model as save
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    def specified(tensor: Any) -> TensorSpec:
        return TensorSpec(np.dtype(tensor.dtype), tuple(-1 if size is None else size for size in tensor.shape))

    signature = ModelSignature(
        Schema([specified(tensor) for tensor in model.inputs]), Schema([specified(tensor) for tensor in model.outputs])
    )
    # Given, not inferred: that loads the model in a process of its own (15 s) and lists both builds of TensorFlow.
    with warnings.catch_warnings():
        # Keras 3.15 reads its variables in a way that NumPy 2 calls outdated.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        save(model, str(folder), signature=signature, pip_requirements=requirements())


def requirements() -> list[str]:
    """What a logged model needs to be loaded elsewhere, with the versions it was made by."""
    packages = [f"{package}=={version(package)}" for package in ("keras", "numpy", "mlflow")]
    return [f"{backend()}=={backend_version()}", *packages]
