"""A project as the workflow leaves it, but tiny: drawn pictures at 32 pixels, both models untrained."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml
from PIL import Image

from dogs_vs_cats.commands.tour import FROM_THE_COMPARISON
from dogs_vs_cats.data.arrays import Dataset, write_dataset, write_files
from dogs_vs_cats.data.decoding.photos import decode
from dogs_vs_cats.data.drawn.drawing import ANIMALS, draw
from dogs_vs_cats.models.kinds.scratch import ScratchModel
from dogs_vs_cats.models.kinds.transfer import TransferModel
from dogs_vs_cats.models.pretrained.weights import write_weights
from dogs_vs_cats.models.saved import write_model
from dogs_vs_cats.settings.params import parse_settings
from dogs_vs_cats.settings.training_settings import HeadSettings
from tests.conftest import ROOT, changed
from tests.vgg16 import random_tensors

SIZE = 32
CLASSES = ("cats", "dogs")


@pytest.fixture(scope="session")
def tiny_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings, pictures, arrays, features, models, VGG16's place with random weights, the comparison's plots."""
    root = tmp_path_factory.mktemp("project")
    values: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    changed(values, **{"decode.size": SIZE})
    (root / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    for split in ("train", "validation", "test"):
        _write_split(root, split)
    write_dataset(root / "data/arrays", Dataset("drawn", list(CLASSES), [], SIZE, "0" * 64, {"train": 8}))
    keras.utils.set_random_seed(1)
    shared: dict[str, Any] = {"size": SIZE, "classes": CLASSES}
    scratch = parse_settings(values).train_scratch.network
    head = HeadSettings(pooling="flatten", dense=[], dropout=[], output="sigmoid")
    for description in (
        ScratchModel(network=scratch, **shared),
        TransferModel(features=(1, 1, 512), scaling="imagenet", network=head, **shared),
    ):
        write_model(description.build(), description, root / f"models/{description.kind}.weights.h5")
    write_weights(random_tensors(), root / "data/weights/backbone.weights.h5")
    (root / "reports/plots").mkdir(parents=True)
    for name in FROM_THE_COMPARISON:
        Image.new("RGB", (1300, 400), "white").save(root / f"reports/plots/{name}.png")
    return root


def _write_split(root: Path, split: str) -> None:
    arrays, features = root / "data/arrays", root / "data/features"
    for folder in (arrays, features):
        folder.mkdir(parents=True, exist_ok=True)
    files, images = [], []
    for animal in ANIMALS:
        (root / f"data/images/{split}/{animal}s").mkdir(parents=True)
        for number in range(4):
            files.append(f"{split}/{animal}s/{animal}.{number}.png")
            path = root / "data/images" / files[-1]
            draw(animal, number, 1, 60).save(path)
            images.append(decode(path.read_bytes(), SIZE, "lanczos"))
    write_files(arrays, split, files, [0] * 4 + [1] * 4)
    np.save(arrays / f"{split}_images.npy", np.array(images))
    np.save(features / f"{split}.npy", np.random.default_rng(1).random((8, 1, 1, 512), dtype=np.float32))
