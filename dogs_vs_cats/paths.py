"""Where the stages leave what is used outside them, from the project's folder: as ``dvc.yaml`` has it."""

import os
from pathlib import Path

IMAGES = Path("data/images")
ARRAYS = Path("data/arrays")
FEATURES = Path("data/features")
BACKBONE_WEIGHTS = Path("data/weights/vgg16.weights.h5")
MODELS = Path("models")
COMPARISON = Path("reports/comparison.json")
PLOTS = Path("reports/plots")


def project_root() -> Path:
    """The folder whose tracker and resumable trainings this run uses.

    DVC runs queued experiments in a temporary copy of the project and names the real one in ``DVC_ROOT``.
    """
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()
