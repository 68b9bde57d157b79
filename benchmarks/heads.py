"""Whether several heads at a time give a search more trials an hour: in one pass over the features, or in processes."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.head import COUNT, FEATURES, HEAD, random_features
from benchmarks.measuring import Figure, Options, ratios
from dogs_vs_cats.processes import worker_processes
from dogs_vs_cats.settings.training_settings import HeadSettings

BATCH = 32
HEADS = {
    "the article's": HEAD,
    "small": {"pooling": "global_average", "dense": [256], "dropout": [0.5], "output": "sigmoid"},
}
AT_A_TIME = 4

_steps: dict[tuple[str, int], Any] = {}


def figures(options: Options) -> Iterator[Figure]:
    """Epochs of four heads, in turns: one after another, in one pass, and in two processes with half of the cores."""
    random_features(options.folder)
    cores = os.cpu_count() or 1
    with worker_processes(1) as whole, worker_processes(1) as first, worker_processes(1) as second:
        for name in HEADS:
            alone, together, halves = [], [], []
            for _ in range(options.repeats + 1):
                alone.append(whole(epoch, name, 1, AT_A_TIME, cores, options.folder).result())
                together.append(whole(epoch, name, AT_A_TIME, 1, cores, options.folder).result())
                began = time.perf_counter()
                both = [
                    submit(epoch, name, 1, AT_A_TIME // 2, max(cores // 2, 1), options.folder)
                    for submit in (first, second)
                ]
                wait(both)
                halves.append(time.perf_counter() - began)
                [one.result() for one in both]
            # The first turn builds TensorFlow's graphs.
            what = f"heads an hour, {name}"
            yield Figure(f"{what}, {AT_A_TIME} in one pass", "one after another", ratios(alone[1:], together[1:]))
            yield Figure(f"{what}, two processes", "one with all cores", ratios(alone[1:], halves[1:]))


def epoch(name: str, heads: int, times: int, threads: int, folder: Path) -> float:
    """Train so many heads in one pass over the features, so many times; return the seconds.

    Args:
        name: of the head.
        heads: in one pass.
        times: passes.
        threads: for TensorFlow, which reads that when a process first computes.
        folder: with the features.
    """
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(variable, str(threads))
    import keras

    from dogs_vs_cats.models.networks.building import head_on

    if (name, heads) not in _steps:
        inputs = keras.layers.Input(FEATURES)
        network = HeadSettings.model_validate(HEADS[name])
        each = []
        for number in range(heads):
            own = keras.layers.Input(FEATURES)
            each.append(keras.Model(own, head_on(own, network), name=f"head_{number}")(inputs))
        model = keras.Model(inputs, each)
        model.compile(keras.optimizers.RMSprop(0.001), ["binary_crossentropy"] * heads)
        _steps[name, heads] = model
    model, features = _steps[name, heads], np.load(folder / "features.npy", mmap_mode="r")
    labels = (np.arange(COUNT) % 2).astype(np.float32)[:, np.newaxis]
    began = time.perf_counter()
    for turn in range(times):
        order = np.random.default_rng(turn).permutation(COUNT)
        for start in range(0, COUNT, BATCH):
            rows = order[start : start + BATCH]
            model.train_on_batch(features[rows], [labels[rows]] * heads)
    return time.perf_counter() - began
