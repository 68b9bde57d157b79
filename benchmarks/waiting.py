"""How fast batches reach a training, and how long it waits for them: KERAS_BACKEND=jax python -m benchmarks.waiting.

Photos lie in a file of the size and type that the decode stage leaves, in the system's cache. The network is the one of
params.yaml. On TensorFlow only the feeding alone is measured: there a compiled function asks for the batches.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dogs_vs_cats.data.examples import Examples, Parts
from dogs_vs_cats.models.networks.building import build_cnn
from dogs_vs_cats.models.reproducibility import prepare
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.settings.training_settings import TrainScratchSettings
from dogs_vs_cats.training import batches
from dogs_vs_cats.training.fitting import train


def main() -> None:
    """Measure on this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=150, help="pixels a side (%(default)s)")
    parser.add_argument("--batches", type=int, default=10, help="in an epoch (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="of which the first is not counted (%(default)s)")
    options = parser.parse_args()
    settings = load_settings(Path("params.yaml")).train_scratch
    settings = settings.model_copy(update={"epochs": options.epochs, "early_stopping": None})
    count = settings.batch * options.batches
    with tempfile.TemporaryDirectory() as folder:
        shape = (count, options.size, options.size, 3)
        np.save(Path(folder) / "images.npy", np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))
        examples = Examples(np.load(Path(folder) / "images.npy", mmap_mode="r"), np.arange(count, dtype=np.uint8) % 2)
        told = f"{keras.backend.backend()}, {options.size} pixels, batches of {settings.batch}: "
        print(f"{told}the feeding alone {alone(examples, settings):,.0f} photos a second")
        if keras.backend.backend() != "tensorflow":
            seconds, waited = in_training(examples, settings, options.size)
            photos = count * (options.epochs - 1)
            share = percent(waited / seconds, 2)
            print(f"{told}the training {photos / seconds:,.0f} photos a second, {share} of it waiting")


def alone(examples: Examples, settings: TrainScratchSettings) -> float:
    """Photos a second where nothing else is done; the best of three passes."""
    fed = batches.Batches(examples, settings.batch, "softmax", shuffle_seed=1)
    dataset, taken = fed.as_dataset(), []
    for epoch in range(3):
        fed.begin_epoch(epoch)
        began = time.perf_counter()
        for batch in dataset:
            last = batch
        keras.ops.convert_to_numpy(last[0])
        taken.append(time.perf_counter() - began)
    return len(examples.labels) / min(taken)


def in_training(examples: Examples, settings: TrainScratchSettings, size: int) -> tuple[float, float]:
    """Seconds of the epochs but the first, and those of them in which the training waited for a batch."""
    waits = [0.0]

    class Timed(batches.Reader):  # what Keras itself asks
        def __getitem__(self, index: int) -> tuple[Any, ...]:
            began = time.perf_counter()
            try:
                return super().__getitem__(index)
            finally:
                waits[-1] += time.perf_counter() - began

    batches.Reader = Timed  # type: ignore[misc]
    ends: list[float] = []

    def ended(*_: object) -> None:
        ends.append(time.perf_counter())
        waits.append(0.0)

    few = Examples(examples.inputs[: settings.batch], examples.labels[: settings.batch])
    prepare(1)
    train(build_cnn(settings.network, size), Parts(examples, few), settings, log=ended, show_progress=False)
    return ends[-1] - ends[0], sum(waits[1:])


if __name__ == "__main__":
    main()
