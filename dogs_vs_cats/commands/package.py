"""``dogs-vs-cats package``: a trained model as one that ``mlflow models serve`` gives photos to."""

import argparse
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Write the model to a folder, or register it in MLflow."""
    parser = argparse.ArgumentParser(
        prog="dogs-vs-cats package",
        description="Make an MLflow model that takes photos as base64, decodes and calibrates as predict does, and "
        "needs neither this project nor TensorFlow.",
    )
    parser.add_argument("folder", nargs="?", type=Path, help="where to write it (none: register it in MLflow)")
    parser.add_argument(
        "--model", choices=["scratch", "vgg16"], help="which (the one that the comparison found better)"
    )
    given = parser.parse_args(arguments)

    # Here, not above: --help and bad arguments are answered at once.
    from dogs_vs_cats.errors import WorkflowError
    from dogs_vs_cats.files import whole_folder
    from dogs_vs_cats.serving.packaging import register_photo_model, write_photo_model
    from dogs_vs_cats.serving.trained_models import find_model
    from dogs_vs_cats.settings.params import load_settings

    if given.folder is not None and given.folder.exists():
        raise WorkflowError(f"{given.folder}: is there already; name a new folder")
    trained = find_model(Path(), given.model)
    if given.folder is None:
        address = register_photo_model(trained, load_settings(Path("params.yaml")).tracking, Path())
    else:
        with whole_folder(given.folder) as partial:
            write_photo_model(trained, partial)
        address = str(given.folder)
    print(f"{address}: {trained.kind}; serve it with: mlflow models serve --env-manager local --model-uri {address}")
