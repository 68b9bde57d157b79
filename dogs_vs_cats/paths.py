"""Where the stages leave what is used outside them, from the project's folder: as ``dvc.yaml`` has it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

IMAGES = Path("data/images")
ARRAYS = Path("data/arrays")
FEATURES = Path("data/features")
BACKBONE_WEIGHTS = Path("data/weights/backbone.weights.h5")
MODELS = Path("models")
HEAD_WEIGHTS = Path("models/vgg16.weights.h5")
COMPARISON = Path("reports/comparison.json")
COMPARISON_METRICS = Path("reports/comparison_metrics.json")
PLOTS = Path("reports/plots")


@dataclass(frozen=True)
class Prepared:
    """What the stages before training leave for models to learn from.

    Attributes:
        arrays: the folder of decoded photos.
        features: the folder of bottleneck features.
        backbone: the backbone's ImageNet weights.
        head: the weights of the head on those features, which fine-tuning starts from.
        project: the project's folder, from which messages name files.
    """

    arrays: Path = ARRAYS
    features: Path = FEATURES
    backbone: Path = BACKBONE_WEIGHTS
    head: Path = HEAD_WEIGHTS
    project: Path = Path()

    @classmethod
    def of(cls, project: Path) -> Self:
        """Return the places in a project's folder."""
        return cls(project / ARRAYS, project / FEATURES, project / BACKBONE_WEIGHTS, project / HEAD_WEIGHTS, project)

    def name(self, path: Path) -> Path:
        """Return a path as messages name it."""
        return path.relative_to(self.project) if path.is_relative_to(self.project) else path


def project_root() -> Path:
    """The folder whose tracker and resumable trainings this run uses.

    DVC runs queued experiments in a temporary copy of the project and names the real one in ``DVC_ROOT``.
    """
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()
