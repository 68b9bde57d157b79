"""The backbone's ImageNet weights, from a local file, Keras's release or (VGG16's) a mirror."""

from pathlib import Path

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.models.pretrained.backbones import fetch_backbone
from dogs_vs_cats.paths import project_root


def main() -> None:
    """Fetch the weights, or take them from ``weights.path``."""
    arguments = parse_arguments("Fetch the backbone's ImageNet weights", weights="the .weights.h5 file to write")
    given = arguments.settings.weights.path
    backbone = arguments.settings.bottleneck.backbone
    fetch_backbone(backbone, arguments.weights, None if given is None else project_root() / Path(given).expanduser())


if __name__ == "__main__":
    run(main)
