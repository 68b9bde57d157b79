"""How fast batches reach a training, how long it waits for them, and what it computes: python -m benchmarks.waiting.

Photos lie in a file of the size and type that the decode stage leaves, in the system's cache. The network is the one of
params.yaml. Its operations are twice its multiply-adds, three times, for a step goes back as well as forth; those of
the changes of images are not counted. On TensorFlow without a GPU a compiled function asks for the batches, so that no
waiting is measured. KERAS_BACKEND=jax measures JAX.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dogs_vs_cats.data.examples import Examples, Parts
from dogs_vs_cats.models.costs import cost
from dogs_vs_cats.models.networks.building import build_cnn
from dogs_vs_cats.models.reproducibility import prepare
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.runtime import gpu_names
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.settings.training_settings import TrainScratchSettings
from dogs_vs_cats.training import batches
from dogs_vs_cats.training.fitting import train

NUMBERS = ("float32", "tf32", "bfloat16")


def main() -> None:
    """Measure on this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=150, help="pixels a side (%(default)s)")
    parser.add_argument("--batches", type=int, default=10, help="in an epoch (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="of which the first is not counted (%(default)s)")
    parser.add_argument("--numbers", choices=NUMBERS, default="float32", help="that steps compute with (%(default)s)")
    parser.add_argument("--peak", type=float, help="teraflops a second of the device in these numbers, by its maker")
    options = parser.parse_args()
    tensor_float_32(allowed=options.numbers == "tf32")
    settings = load_settings(Path("params.yaml")).train_scratch
    settings = settings.model_copy(update={"epochs": options.epochs, "early_stopping": None})
    count = settings.batch * options.batches
    with tempfile.TemporaryDirectory() as folder:
        shape = (count, options.size, options.size, 3)
        np.save(Path(folder) / "images.npy", np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))
        examples = Examples(np.load(Path(folder) / "images.npy", mmap_mode="r"), np.arange(count, dtype=np.uint8) % 2)
        told = f"{keras.backend.backend()}, {', '.join(gpu_names()) or 'CPU'}, {options.numbers}, "
        told += f"{options.size} pixels, batches of {settings.batch}: "
        print(f"{told}the feeding alone {alone(examples, settings):,.0f} photos a second")
        prepare(1)
        keras.mixed_precision.set_global_policy("mixed_bfloat16" if options.numbers == "bfloat16" else "float32")
        model = build_cnn(settings.network, options.size)
        operations = 6 * cost(model).multiply_adds
        seconds, waited = in_training(model, examples, settings)
        photos = count * (options.epochs - 1) / seconds
        teraflops = photos * operations / 1e12
        share = "" if options.peak is None else f", {percent(teraflops / options.peak)} of the device's"
        waits = "" if waited is None else f", {percent(waited / seconds, 2)} of it waiting"
        print(f"{told}the training {photos:,.0f} photos a second, {teraflops:.3g} teraflops a second{share}{waits}")


def tensor_float_32(*, allowed: bool) -> None:
    """Let float32 products be computed in TF32, or not; only GPUs can."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(allowed)
    elif keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if allowed else "float32")
    else:
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


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


def in_training(model: keras.Model, examples: Examples, settings: TrainScratchSettings) -> tuple[float, float | None]:
    """Seconds of the epochs but the first, and those of them in which the training waited for a batch, where known."""
    waits, ends = [0.0], list[float]()
    asked = batches.Reader.__getitem__

    def timed(reader: batches.Reader, index: int) -> tuple[Any, ...]:
        began = time.perf_counter()
        try:
            return asked(reader, index)
        finally:
            waits[-1] += time.perf_counter() - began

    def ended(*_: object) -> None:
        ends.append(time.perf_counter())
        waits.append(0.0)

    batches.Reader.__getitem__ = timed  # type: ignore[method-assign]
    few = Examples(examples.inputs[: settings.batch], examples.labels[: settings.batch])
    train(model, Parts(examples, few), settings, log=ended, show_progress=False)
    return ends[-1] - ends[0], sum(waits[1:]) if any(waits) else None


if __name__ == "__main__":
    main()
