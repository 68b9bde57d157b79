"""Every backbone's features on each engine that one might use, against TensorFlow's bare forward pass.

ONNX Runtime and OpenVINO get what Keras exports of the same network, in float32. The project's own way is
``bottleneck.engine: auto``, from arrays on disk to features on disk.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.measuring import Figure, Options, ratios, take_turns
from dogs_vs_cats.models.engines import Forward, open_onnx
from dogs_vs_cats.models.features import TOLERANCE, difference, open_engine
from dogs_vs_cats.models.pretrained.backbones import build_extractor
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.settings.catalogue import BACKBONES, BackboneName
from dogs_vs_cats.settings.photo_settings import BottleneckSettings
from tests.photo_project import write_backbone

SIZE = 224
COUNT = BATCH = 32


def figures(options: Options) -> Iterator[Figure]:
    """Each backbone on every engine, in the same turns."""
    import_backend()
    images = np.random.default_rng(1).integers(0, 256, (COUNT, SIZE, SIZE, 3), dtype=np.uint8)
    for name in BACKBONES:
        if options.backbones and name not in options.backbones:
            continue
        yield from _of_backbone(name, images, options)


def _of_backbone(name: BackboneName, images: np.ndarray, options: Options) -> Iterator[Figure]:
    import tensorflow as tf

    from dogs_vs_cats.models.portable import write_onnx

    weights, out = options.folder / f"{name}.weights.h5", options.folder / f"{name}.npy"
    write_backbone(name, SIZE, weights)
    settings = BottleneckSettings(backbone=name, pooling=["average"], batch=BATCH)
    model = build_extractor(SIZE, weights, settings)
    run, batch = tf.function(lambda photos: model(photos, training=False)), images.astype(np.float32)
    expected = np.asarray(run(tf.constant(batch)))
    others: dict[str, Forward] = {}
    agreeing = True  # as the stage has it; random weights magnify rounding more than trained ones
    exported = options.folder / f"{name}.onnx"
    began = time.process_time()
    write_onnx(model, exported)
    seconds_of_export = time.process_time() - began
    for engine, build in _ENGINES.items():
        try:
            forward = build(exported)
            wrong = difference(forward(batch), expected)
            agreeing &= engine != "ONNX Runtime" or wrong <= TOLERANCE
        except Exception as error:  # noqa: BLE001 - each engine has errors of its own; the table says so
            yield Figure(name, engine, note=f"{type(error).__name__}: {str(error).splitlines()[0][:100]}")
            continue
        if wrong > _MOST:
            yield Figure(name, engine, note=f"features differ by {wrong:.1e} of their range")
        else:
            others[engine] = forward
    if not agreeing and settings.fastest == "onnx":
        settings = settings.model_copy(update={"engine": "tensorflow"})
    with open_engine(settings, weights, images) as extract:
        sides = [lambda forward=forward: forward(batch) for forward in others.values()]
        bare, ours, *seconds = take_turns(
            options.repeats, lambda: np.asarray(run(tf.constant(batch))), lambda: extract(images, out), *sides
        )
    rate = (
        f"{COUNT / min(bare):.0f} photos a second by TensorFlow, exported in {seconds_of_export:.0f} processor seconds"
    )
    yield Figure(name, f"the stage: {extract.engine}", ratios(bare, ours), note=rate)
    for engine, taken in zip(others, seconds, strict=True):
        yield Figure(name, engine, ratios(bare, taken))


_MOST = 1e-2
"""Share of the features' range by which an engine may differ here."""


def _openvino(file: Path) -> Forward:
    import openvino

    compiled = openvino.compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda photos: np.asarray(compiled([photos])[0])


_ENGINES: dict[str, Callable[[Path], Forward]] = {"ONNX Runtime": open_onnx, "OpenVINO": _openvino}
