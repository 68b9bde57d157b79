"""The head's test accuracy over several random splits: ``python benchmarks/head_over_splits.py 1 2 3``.

One split's test photos may be easier or harder than another's. This takes all labelled photos of the project's own
arrays and features (``dvc repro bottleneck`` first), deals them out anew for each seed named, trains the head as the
settings say, and prints its accuracy on the photos held out. Near-duplicates are not kept together here.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np

from dogs_vs_cats.runtime import import_tensorflow

import_tensorflow()
from dogs_vs_cats.data.examples import Examples, Parts  # noqa: E402
from dogs_vs_cats.models.features import open_bottleneck  # noqa: E402
from dogs_vs_cats.models.networks.building import build_head  # noqa: E402
from dogs_vs_cats.models.probabilities import predicted  # noqa: E402
from dogs_vs_cats.models.reproducibility import prepare  # noqa: E402
from dogs_vs_cats.models.saved import predict  # noqa: E402
from dogs_vs_cats.settings.params import load_settings  # noqa: E402
from dogs_vs_cats.training.fitting import train  # noqa: E402


def main() -> None:
    """Train on each split, print each accuracy, their mean and spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="+")
    settings = load_settings(Path("params.yaml"))
    parts = [
        open_bottleneck(Path("data/arrays"), Path("data/features"), split) for split in ("train", "validation", "test")
    ]
    inputs = np.concatenate([part.inputs for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    ends = np.cumsum([len(part.labels) for part in parts])[:-1]
    accuracies = []
    for seed in parser.parse_args().seeds:
        dealt = np.split(np.random.default_rng(seed).permutation(len(labels)), ends)
        training, validation, test = (Examples(inputs[where], labels[where]) for where in dealt)
        prepare(settings.train_vgg16.seed)
        model = build_head(settings.train_vgg16.network, inputs.shape[1:])
        train(model, Parts(training, validation), settings.train_vgg16, show_progress=False)
        right = predicted(predict(model, test.inputs)) == test.labels
        accuracies.append(float(right.mean()))
        print(f"split {seed}: {accuracies[-1]:.4f} on {len(right)} photos", flush=True)
    if len(accuracies) > 1:
        print(f"mean {statistics.mean(accuracies):.4f}, standard deviation {statistics.stdev(accuracies):.4f}")


if __name__ == "__main__":
    main()
