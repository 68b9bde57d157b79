"""A trained model as one that others serve: with its decoding, its calibration and its code, in MLflow's format."""

import json
from importlib.metadata import version
from pathlib import Path

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import digest_of, temporary_folder
from dogs_vs_cats.reports.model_card import CARD, Loading, card_of_project
from dogs_vs_cats.reports.publishing import CHAMPION
from dogs_vs_cats.serving.trained_models import TrainedModel
from dogs_vs_cats.settings.params import TrackingSettings
from dogs_vs_cats.tracking.connection import quiet_mlflow
from dogs_vs_cats.tracking.logged_models import DIGEST_TAG, as_tag
from dogs_vs_cats.tracking.tracked_runs import client, reopened_run, set_alias

_LOADING = Loading(
    "mlflow",
    """import base64
from pathlib import Path

import mlflow

model = mlflow.pyfunc.load_model(".")
print(model.predict([base64.b64encode(Path("cat.jpg").read_bytes()).decode()]))""",
)
# What photo_model.py and what it imports need. TensorFlow is not among it.
_PACKAGES = ("mlflow", "ncnn", "numpy", "pillow", "pydantic", "pyyaml", "scipy")


def write_photo_model(trained: TrainedModel, project: Path, folder: Path) -> None:
    """Write a model that takes photos as base64, in MLflow's format, and its card.

    Args:
        trained: the model.
        project: the folder that it was found in.
        folder: where to; it must not exist.

    Raises:
        WorkflowError: if the model's weights are missing or damaged.
    """
    quiet_mlflow()
    from mlflow.pyfunc import save_model

    description, here = trained.description, Path(__file__).parent
    facts = {
        "name": trained.kind,
        "classes": description.classes,
        "size": description.size,
        "resampling": description.resampling,
        "temperature": trained.temperature,
        "scaling": description.channel_scaling,
        "side": description.side,
    }
    with temporary_folder() as temporary:
        network = temporary / "network"
        network.mkdir()
        trained.network().write(network)
        (network / "classifier.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        save_model(
            folder,
            python_model=str(here / "photo_model.py"),
            code_paths=[str(here.parent)],
            artifacts={"network": str(network)},
            pip_requirements=[f"{package}=={version(package)}" for package in _PACKAGES],
        )
    (folder / CARD).write_text(card_of_project(project, description, _LOADING), encoding="utf-8")


def register_photo_model(trained: TrainedModel, settings: TrackingSettings, root: Path) -> str:
    """Register a model that takes photos, at the run that trained it, as the new champion of its kind.

    Args:
        trained: the model.
        settings: the ``tracking`` section; the model is registered beside its ``registered_model``, as ``NAME-photos``.
        root: the project's folder.

    Returns:
        The model's address, ``models:/NAME-photos@champion``.

    Raises:
        WorkflowError: if the model's weights are missing or damaged, or if MLflow does not have it afterwards.
    """
    name, tags = f"{settings.registered_model}-photos", {DIGEST_TAG: digest_of(trained.weights)}
    address = f"models:/{name}@{CHAMPION}"
    with reopened_run(settings, root, tags) as run:
        run.log_folder(
            lambda folder: write_photo_model(trained, root, folder),
            f"{trained.kind}-photos",
            registered_model=name,
            version_tags={**tags, "kind": trained.kind, "classes": as_tag(trained.description.classes)},
        )
    set_alias(settings.model_copy(update={"registered_model": name}), root, CHAMPION, tags)
    from mlflow.exceptions import MlflowException

    try:
        found = client(settings, root).get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        found = None
    if found is None or found.tags.get(DIGEST_TAG) != tags[DIGEST_TAG]:
        raise WorkflowError(f"{address}: not in MLflow yet; once the model's training is there: make send")
    return address
