"""``dogs-vs-cats package``: a trained model as one that ``mlflow models serve`` gives photos to."""

from pathlib import Path

import click

from dogs_vs_cats.commands.options import PATH
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import whole_folder
from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.settings.params import load_settings


@click.command()
@click.argument("folder", type=PATH, required=False)
@click.option("--model", type=click.Choice([*KINDS]), help="Which; without it, the better one.")
def main(folder: Path | None, model: str | None) -> None:
    """Make an MLflow model that takes photos as base64.

    It decodes and calibrates as predict does, and needs neither this project nor TensorFlow. It is written to FOLDER,
    or else registered in MLflow.
    """
    if folder is not None and folder.exists():
        raise WorkflowError(f"{folder}: is there already; name a new folder")
    from dogs_vs_cats.serving import packaging
    from dogs_vs_cats.serving.trained_models import find_model

    trained = find_model(Path(), model)
    if folder is None:
        address = packaging.register_photo_model(trained, load_settings(Path("params.yaml")).tracking, Path())
    else:
        with whole_folder(folder) as partial:
            packaging.write_photo_model(trained, Path(), partial)
        address = str(folder)
    print(f"{address}: {trained.kind}; serve it with: mlflow models serve --env-manager local --model-uri {address}")
