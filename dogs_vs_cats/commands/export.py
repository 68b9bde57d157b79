"""``dogs-vs-cats export``: a trained model in another program's format."""

from pathlib import Path

import click

from dogs_vs_cats.commands.options import PATH
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import whole_folder
from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.runtime import backend, import_backend
from dogs_vs_cats.serving.formats import FORMATS, check_format


@click.command()
@click.option("--format", "name", type=click.Choice([*FORMATS]), required=True, help="Which.")
@click.argument("model", type=click.Choice([*KINDS]))
@click.argument("folder", type=PATH, metavar="OUT")
def main(name: str, model: str, folder: Path) -> None:
    """Write a model for ONNX Runtime, LiteRT, TensorFlow or OpenVINO into the new folder OUT.

    It takes decoded photos, and gives the probability of each class as predict does.
    """
    if folder.exists():
        raise WorkflowError(f"{folder}: is there already; name a new folder")
    check_format(name)
    if backend() != "tensorflow":
        raise WorkflowError(f"export: TensorFlow writes every format; set KERAS_BACKEND=tensorflow, not {backend()}")
    from dogs_vs_cats.serving.trained_models import find_model

    trained = find_model(Path(), model)
    import_backend()
    from dogs_vs_cats.serving.exporting import write_format

    with whole_folder(folder) as partial:
        write_format(trained, Path(), name, partial)
    print(f"{folder / FORMATS[name].file}: {trained.description.name}")
