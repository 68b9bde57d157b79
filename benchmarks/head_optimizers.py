"""The head by the compiled RMSprop and by Keras's: ``python benchmarks/head_optimizers.py 1 2 3 4 5``.

Their last bits differ, so the heads do. For each seed named, this trains one by each on the project's own features, as
the settings say but for RMSprop and the seed (``dvc repro bottleneck`` first), and prints what they reach on the test
split, their means, and the differences pair by pair.
"""

import argparse
from pathlib import Path
from unittest.mock import patch

import numpy as np

from dogs_vs_cats.quiet_tensorflow import import_tensorflow

import_tensorflow()
import keras  # noqa: E402

from dogs_vs_cats.bottleneck.features import open_bottleneck  # noqa: E402
from dogs_vs_cats.examples import Examples  # noqa: E402
from dogs_vs_cats.fitting.optimizers import BY_NAME  # noqa: E402
from dogs_vs_cats.fitting.training import train  # noqa: E402
from dogs_vs_cats.keras_models.models import predict  # noqa: E402
from dogs_vs_cats.keras_models.networks import build_head  # noqa: E402
from dogs_vs_cats.keras_models.reproducibility import prepare  # noqa: E402
from dogs_vs_cats.scoring.evaluation import correct, losses  # noqa: E402
from dogs_vs_cats.workflow.settings import TrainVgg16Settings, load_settings  # noqa: E402

OPTIMIZERS = {"Keras's": keras.optimizers.RMSprop, "compiled": BY_NAME["rmsprop"]}


def main() -> None:
    """Train both for each seed, print each and what they come to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="+")
    seeds = parser.parse_args().seeds
    settings = load_settings(Path("params.yaml")).train_vgg16
    parts = [
        open_bottleneck(Path("data/arrays"), Path("data/features"), split) for split in ("train", "validation", "test")
    ]
    reached = {
        name: np.array([_reach(optimizer, settings, seed, parts) for seed in seeds])
        for name, optimizer in OPTIMIZERS.items()
    }
    for name, found in reached.items():
        for seed, (accuracy, log_loss) in zip(seeds, found, strict=True):
            print(f"{name}, seed {seed}: accuracy {accuracy:.4f}, log-loss {log_loss:.4f}")
    if len(seeds) > 1:
        first, second = reached.values()
        for name, found in {**reached, "difference": second - first}.items():
            (accuracy, log_loss), spread = found.mean(0), found.std(0, ddof=1)
            print(f"{name}: accuracy {accuracy:.4f} (sd {spread[0]:.4f}), log-loss {log_loss:.4f} (sd {spread[1]:.4f})")


def _reach(
    optimizer: type[keras.optimizers.Optimizer], settings: TrainVgg16Settings, seed: int, parts: list[Examples]
) -> tuple[float, float]:
    training, validation, test = parts
    prepare(seed)
    model = build_head(settings.network, training.inputs.shape[1:])
    by_rmsprop = settings.optimizer.model_copy(update={"name": "rmsprop"})
    with patch.dict(BY_NAME, rmsprop=optimizer):
        changed = settings.model_copy(update={"optimizer": by_rmsprop, "seed": seed})
        train(model, training, validation, changed, show_progress=False)
    probabilities = predict(model, test.inputs)
    return float(correct(test.labels, probabilities).mean()), float(losses(test.labels, probabilities).mean())


if __name__ == "__main__":
    main()
