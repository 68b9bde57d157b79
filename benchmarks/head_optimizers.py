"""The head by the compiled RMSprop and by Keras's: ``python benchmarks/head_optimizers.py 1 2 3 4 5``.

Their last bits differ, so the heads do. For each seed named, this trains one by each on the project's own features
(``dvc repro bottleneck`` first), as the settings say but for the seed and the optimizer, which is RMSprop at their
rate, and prints what they reach on the test split, their means, and the differences pair by pair. On a GPU both are the
same.
"""

import argparse
from pathlib import Path
from unittest.mock import patch

import numpy as np

from dogs_vs_cats.runtime import import_backend

import_backend()
import keras  # noqa: E402

from dogs_vs_cats.data.examples import Examples, Parts  # noqa: E402
from dogs_vs_cats.evaluation.metrics import correct, losses  # noqa: E402
from dogs_vs_cats.models.features import open_bottleneck  # noqa: E402
from dogs_vs_cats.models.networks.building import build_head  # noqa: E402
from dogs_vs_cats.models.reproducibility import prepare  # noqa: E402
from dogs_vs_cats.models.saved import predict  # noqa: E402
from dogs_vs_cats.settings.params import load_settings  # noqa: E402
from dogs_vs_cats.settings.training_settings import TrainVgg16Settings  # noqa: E402
from dogs_vs_cats.training import fitting  # noqa: E402
from dogs_vs_cats.training.tensorflow_only import CompiledRMSprop  # noqa: E402

OPTIMIZERS = {"Keras's": keras.optimizers.RMSprop, "compiled": CompiledRMSprop}


def main() -> None:
    """Train both for each seed, print each and what they come to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="+")
    seeds = parser.parse_args().seeds
    settings = load_settings(Path("params.yaml")).train_vgg16
    parts = [
        open_bottleneck(Path("data/arrays"), Path("data/features"), split) for split in ("train", "validation", "test")
    ]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in OPTIMIZERS}
    for seed in seeds:
        for name, optimizer in OPTIMIZERS.items():
            accuracy, log_loss = _reach(optimizer, settings, seed, *parts)
            print(f"{name}, seed {seed}: accuracy {accuracy:.4f}, log-loss {log_loss:.4f}", flush=True)
            found[name].append((accuracy, log_loss))
    if len(seeds) > 1:
        reached = {name: np.array(pairs) for name, pairs in found.items()}
        for name, values in {**reached, "compiled less Keras's": reached["compiled"] - reached["Keras's"]}.items():
            (accuracy, log_loss), spread = values.mean(0), values.std(0, ddof=1)
            print(f"{name}: accuracy {accuracy:.4f} (sd {spread[0]:.4f}), log-loss {log_loss:.4f} (sd {spread[1]:.4f})")


def _reach(
    optimizer: type[keras.optimizers.Optimizer],
    settings: TrainVgg16Settings,
    seed: int,
    train: Examples,
    validation: Examples,
    test: Examples,
) -> tuple[float, float]:
    prepare(seed, mixed_precision=settings.mixed_precision)
    model = build_head(settings.network, train.inputs.shape[1:])
    with patch.object(fitting, "build_optimizer", lambda chosen, *_: optimizer(chosen.learning_rate)):
        changed = settings.model_copy(update={"seed": seed})
        fitting.train(model, Parts(train, validation), changed, show_progress=False)
    probabilities = predict(model, test.inputs)
    return float(correct(test.labels, probabilities).mean()), float(losses(test.labels, probabilities).mean())


if __name__ == "__main__":
    main()
