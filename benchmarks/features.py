"""VGG16's features, from arrays on disk to features on disk, against the bare forward passes of what one might use."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.measuring import Figure, Options, ratios, take_turns
from benchmarks.vgg16_peers import PEERS, Forward
from benchmarks.winograd_products import multiply
from dogs_vs_cats.models.features import compare, open_engine
from dogs_vs_cats.models.ncnn.engine import NcnnPool, count_workers
from dogs_vs_cats.models.ncnn.networks import vgg16_network
from dogs_vs_cats.models.ncnn.stacking import STACKED
from dogs_vs_cats.models.pretrained.backbones import build_extractor, scaling_values
from dogs_vs_cats.models.pretrained.weights import write_weights
from dogs_vs_cats.processes import Submit, worker_processes
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.settings.photo_settings import BottleneckSettings
from tests.vgg16 import random_tensors

SIZE = 150
BATCH = 32
COUNT = 2 * BATCH


def figures(options: Options) -> Iterator[Figure]:
    """TensorFlow first, then each peer on the same batches in the same turns."""
    tensors = random_tensors()
    weights = options.folder / "vgg16.weights.h5"
    write_weights(tensors, weights)
    on_disk = options.folder / "images.npy"
    np.save(on_disk, np.random.default_rng(1).integers(0, 256, (COUNT, SIZE, SIZE, 3), dtype=np.uint8))
    images = np.load(on_disk, mmap_mode="r")
    batches = [np.array(images[start : start + BATCH], np.float32) for start in range(0, COUNT, BATCH)]
    forwards: list[tuple[str, Forward]] = [("TensorFlow", _tensorflow(weights))]
    for name, build in PEERS.items():
        try:
            forwards.append((name, build(tensors, SIZE)))
        except ImportError as error:
            yield Figure("features", f"{name}'s forward pass", note=f"not installed: pip install {error.name}")
    with (
        open_engine(BottleneckSettings(engine="ncnn", batch=BATCH), weights, images) as extract,
        NcnnPool(vgg16_network(tensors), scaling_values("imagenet"), count_workers(SIZE)) as singly,
        worker_processes(count_workers(SIZE)) as submit,
    ):
        out = options.folder / "features.npy"
        extract(images, out)
        list(singly.compute(images))
        scaled = [_scaled(batch) for batch in batches]
        for name, forward in forwards:
            inputs = batches if name == "TensorFlow" else scaled
            compare(np.load(out)[:BATCH], forward(inputs[0]))  # the same network, or no comparison
        sides = [_pass(forward, batches if name == "TensorFlow" else scaled) for name, forward in forwards]
        ours, alone, products, *others = take_turns(
            options.repeats,
            lambda: extract(images, out),
            lambda: list(singly.compute(images)),
            lambda: _multiply(submit),
            *sides,
        )
    yield Figure("features, disk to disk", "ncnn, all layers a photo at a time", ratios(alone, ours))
    yield Figure(
        "features, disk to disk", "such convolutions' matrix products alone, by OpenBLAS", ratios(ours, products),
        note="how many times as long",
    )  # fmt: skip
    for (name, _), seconds in zip(forwards, others, strict=True):
        goal = 1.8 if name == "TensorFlow" else None
        yield Figure("features, disk to disk", f"{name}'s bare forward pass", ratios(seconds, ours), goal=goal)


def _tensorflow(weights: Path) -> Forward:
    import_backend()
    import tensorflow as tf

    model = build_extractor(SIZE, weights, BottleneckSettings())
    run = tf.function(lambda batch: model(batch, training=False))
    return lambda batch: np.asarray(run(tf.constant(batch)))


def _scaled(batch: np.ndarray) -> np.ndarray:
    """What the article's other frameworks would get: scaled before, outside the timing."""
    factor, offset, _ = scaling_values("imagenet")
    return np.asarray(batch[..., ::-1] * np.asarray(factor, np.float32) + np.asarray(offset, np.float32))


def _multiply(submit: Submit) -> None:
    for future in [submit(multiply, SIZE) for _ in range(COUNT // STACKED)]:
        future.result()


def _pass(forward: Forward, batches: list[np.ndarray]) -> Callable[[], None]:
    def run() -> None:
        for batch in batches:
            forward(batch)

    return run
