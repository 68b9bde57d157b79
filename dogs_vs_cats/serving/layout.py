"""Where the stages leave what is used outside them, from the project's folder: as ``dvc.yaml`` has it."""

from pathlib import Path

IMAGES = Path("data/images")
ARRAYS = Path("data/arrays")
FEATURES = Path("data/features")
BACKBONE_WEIGHTS = Path("data/weights/vgg16.weights.h5")
MODELS = Path("models")
COMPARISON = Path("reports/comparison.json")
PLOTS = Path("reports/plots")
