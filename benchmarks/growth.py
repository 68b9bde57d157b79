"""Time and peak memory of split, decode, features and an epoch, as the photos become ten times as many."""

import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from benchmarks.measuring import Figure, Options
from benchmarks.memory import watch
from dogs_vs_cats.data.arrays import write_files
from dogs_vs_cats.data.drawn.drawing import ANIMALS
from dogs_vs_cats.models.pretrained.weights import write_weights
from tests.vgg16 import random_tensors

SIZE = 32
FEWER = 10
"""VGG16 gets a tenth of the photos: at 32 pixels each takes it as long as a hundred take the other stages."""
_CHUNK = 1000
STAGES = {
    "split": ("raw", "exclude", "images", "rejected"),
    "decode": ("images", "arrays"),
    "bottleneck": ("arrays", "weights", "features"),
    "train_scratch": ("arrays", "model", "reports"),
}


def figures(options: Options) -> Iterator[Figure]:
    """Each size against the one before: the time a photo, start included, and the peak memory."""
    weights = options.folder / "vgg16.weights.h5"
    write_weights(random_tensors(), weights)
    settings = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    settings["decode"]["size"] = SIZE
    settings["bottleneck"]["engine"] = "ncnn"
    settings["train_scratch"] |= {"epochs": 1, "early_stopping": None}
    settings["tracking"]["uri"] = f"sqlite:///{options.folder / 'mlflow.db'}"
    params = options.folder / "params.yaml"
    params.write_text(yaml.safe_dump(settings), encoding="utf-8")
    before: dict[str, tuple[int, float, float]] = {}
    for count in options.sizes:
        folder = options.folder / str(count)
        draw_noise(folder / "raw", count)
        (folder / "exclude").mkdir()
        for stage, names in STAGES.items():
            paths = {name: folder / name for name in names} | ({"weights": weights} if "weights" in names else {})
            if stage == "bottleneck":
                paths["arrays"] = random_arrays(folder / "few", count // FEWER)
            if "model" in paths:
                paths["model"] = folder / "model.weights.h5"
            command = [sys.executable, "-m", f"stages.{stage}", f"--params={params}"]
            command += [f"--{name}={path}" for name, path in paths.items()]
            peak, seconds = watch(command, ours=True, DVC_ROOT=str(folder))
            if stage in before:
                fewer, least, shorter = before[stage]
                note = f"{least:.0f} to {peak:.0f} MB, {shorter:.0f} to {seconds:.0f} s"
                against = f"{count:,} photos against {fewer:,}"
                time_a_photo = [seconds / count * fewer / shorter]
                yield Figure(f"{stage}: time a photo", against, time_a_photo, goal=1.1, at_most=True)
                yield Figure(f"{stage}: peak memory", against, [peak / least], goal=1.1, at_most=True, note=note)
            before[stage] = count, peak, seconds
        shutil.rmtree(folder)


def random_arrays(arrays: Path, count: int) -> Path:
    """What the decode stage would leave of so many photos."""
    arrays.mkdir()
    write_files(arrays, "train", [f"{number}.jpg" for number in range(count)], [0] * count)
    pixels = np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    np.save(arrays / "train_images.npy", pixels)
    return arrays


def draw_noise(raw: Path, count: int) -> None:
    """As many small JPEGs of two classes, none like another."""
    (raw / "train").mkdir(parents=True)
    (raw / "source.json").write_text('{"source": "folder"}', encoding="utf-8")
    generator = np.random.default_rng(1)
    for number in range(count):
        if number % _CHUNK == 0:
            pixels = generator.integers(0, 256, (_CHUNK, SIZE, SIZE, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels[number % _CHUNK]).save(file, "JPEG", quality=30)
        (raw / f"train/{ANIMALS[number % 2]}.{number}.jpg").write_bytes(file.getvalue())
