"""Models out of MLflow's registry, opened for photos by TensorFlow."""

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.data.decoding.photos import RESAMPLING
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import temporary_folder
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.serving.classifying import Classifier, Compute
from dogs_vs_cats.settings.addresses import redacted
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.settings.sections import Resampling
from dogs_vs_cats.tracking.connection import is_new_database, quiet_mlflow, reason
from dogs_vs_cats.tracking.logged_models import from_tag
from dogs_vs_cats.tracking.tracked_runs import client, tracking_uri

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

URI_PREFIX = "models:/"
_URI = re.compile(rf"{URI_PREFIX}(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
_BATCH = 32  # photos at a time; another number of them is traced anew
_DIMENSIONS = 4
_OTHER = "not a model that this workflow trained, which takes decoded photos of two classes"


def by_keras(model: "keras.Model") -> Compute:
    """How a Keras model runs on any number of photos."""

    def run(photos: NDArray[np.uint8]) -> NDArray[np.floating]:
        parts = [model.predict_on_batch(photos[start : start + _BATCH]) for start in range(0, len(photos), _BATCH)]
        return np.concatenate(parts)

    return run


def open_registered(uri: str, project: Path) -> Classifier:
    """Load a version of a registered model.

    Args:
        uri: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.
        project: the folder with ``params.yaml``, whose ``tracking`` section says where MLflow is.

    Returns:
        The model, calibrated by the temperature that the comparison left at the run that trained it, if it did.

    Raises:
        WorkflowError: if MLflow does not answer or does not have it, or if it takes no decoded photos.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise WorkflowError(f"{uri}: write {URI_PREFIX}NAME@ALIAS or {URI_PREFIX}NAME/VERSION")
    settings = load_settings(project / "params.yaml").tracking
    address = tracking_uri(settings, project)
    if is_new_database(address):
        raise WorkflowError(
            f"{uri}: no MLflow database at {redacted(address)}; train and register models with: dvc repro"
        )
    quiet_mlflow()
    from mlflow.exceptions import MlflowException

    try:
        mlflow = client(settings, project)
        version = _find(mlflow, match)
        run = mlflow.get_run(version.run_id)
        model = _load(version, address)
    except (MlflowException, OSError) as error:
        why = reason(error).rstrip(".")
        raise WorkflowError(f"{uri}: {why}; train and register models with: dvc repro") from None
    classes = from_tag((version.tags or {}).get("classes", ""))
    resampling = run.data.params.get("resampling", "lanczos")
    shape = model.inputs[0].shape
    fits = len(shape) == _DIMENSIONS and model.inputs[0].dtype == "uint8" and len(model.outputs[0].shape) == 1
    if len(classes) != 2 or resampling not in RESAMPLING or not fits:  # noqa: PLR2004
        raise WorkflowError(f"{uri}: {_OTHER}")
    # The last two are version 0.1's names.
    names = ("test/temperature", "val/temperature", "test_temperature", "validation_temperature")
    temperatures = (run.data.metrics.get(name) for name in names)
    return Classifier(
        name=f"{URI_PREFIX}{version.name}/{version.version}",
        classes=(classes[0], classes[1]),
        size=int(shape[1]),
        resampling=cast("Resampling", resampling),
        temperature=next((found for found in temperatures if found is not None), None),
        compute=by_keras(model),
    )


def _find(mlflow: "MlflowClient", match: re.Match[str]) -> "ModelVersion":
    if match["alias"]:
        return mlflow.get_model_version_by_alias(match["name"], match["alias"])
    return mlflow.get_model_version(match["name"], match["version"])


def _load(version: "ModelVersion", address: str) -> Any:
    import mlflow

    with temporary_folder() as folder:
        # Not by its models:/ address, which MLflow looks up where the whole process and its children are pointed at.
        path = mlflow.artifacts.download_artifacts(version.source, dst_path=str(folder), tracking_uri=address)
        if "keras" not in mlflow.models.get_model_info(path).flavors:
            raise WorkflowError(f"{URI_PREFIX}{version.name}/{version.version}: {_OTHER}")
        import_backend()
        import mlflow.keras

        with warnings.catch_warnings():
            # Keras 3.15 reads its variables in a way that NumPy 2 calls outdated.
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            return mlflow.keras.load_model(path, custom_objects=compiled_by_version_0_1())


def compiled_by_version_0_1() -> dict[str, Any]:
    """Return stand-ins for this project's classes that models registered by version 0.1 were saved with.

    Only training uses an optimizer and a loss, so Keras's own take their place.
    """
    import keras

    return {"dogs_vs_cats>CompiledRMSprop": keras.optimizers.RMSprop, "dogs_vs_cats>LogitHinge": keras.losses.Hinge}
