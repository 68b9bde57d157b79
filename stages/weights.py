"""VGG16's ImageNet weights, from a local file, Keras's release or a mirror, checked by digest."""

from pathlib import Path

from dogs_vs_cats.weights import fetch_vgg16
from stages.command import parse_arguments, project_root, run


def main() -> None:
    """Fetch the weights, or take them from ``weights.path``."""
    arguments = parse_arguments("Fetch VGG16's ImageNet weights", weights="the .weights.h5 file to write")
    given = arguments.settings.weights.path
    fetch_vgg16(arguments.weights, None if given is None else project_root() / Path(given).expanduser())


if __name__ == "__main__":
    run(main)
