"""The maps that fine-tuning starts from, of another backbone than VGG16 (``tests/training/test_fine_tuning.py``)."""

from pathlib import Path

import keras
import numpy as np
import pytest

from dogs_vs_cats.data.arrays import Dataset, create_array, write_dataset, write_files
from dogs_vs_cats.models.engines import Forward, open_onnx
from dogs_vs_cats.models.maps import Cut, View, bottom, open_maps
from dogs_vs_cats.models.pretrained.backbones import build_backbone, scale_layers
from dogs_vs_cats.paths import Prepared
from tests.photo_project import write_backbone
from tests.vgg16 import random_photos


def test_onnx_runtime_computes_the_maps_of_efficientnet_lite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared, cut = Prepared.of(tmp_path), Cut("efficientnet_lite0", "imagenet", 64, "_blocks.10._add")
    for folder in (prepared.arrays, prepared.backbone.parent):
        folder.mkdir(parents=True)
    photos = random_photos(37, 64)
    with create_array(prepared.arrays / "train_images.npy", photos.shape, np.uint8) as images:
        images[:] = photos
    write_files(prepared.arrays, "train", [f"{number}.jpg" for number in range(37)], [0] * 37)
    write_dataset(prepared.arrays, Dataset("zip", ["cats", "dogs"], [], 64, "0" * 64, {"train": 37}))
    write_backbone("efficientnet_lite0", 64, prepared.backbone)
    loaded: list[Path] = []

    def load(file: Path) -> Forward:
        loaded.append(file)
        return open_onnx(file)

    monkeypatch.setattr("dogs_vs_cats.models.maps.open_onnx", load)
    maps = open_maps(prepared, cut, View("train", mirrored=True), [View("train", mirrored=True)])
    inputs = keras.Input((64, 64, 3))
    frozen = bottom(build_backbone("efficientnet_lite0", 64, prepared.backbone), cut.layer)
    network = keras.Model(inputs, frozen(scale_layers(inputs, "imagenet", "efficientnet_lite0")))
    expected = network.predict_on_batch(np.float32(photos[:, :, ::-1]))
    assert np.abs(maps - expected).max() <= 1e-3 * np.ptp(expected)
    assert len(loaded) == 1
    assert "differ" not in capsys.readouterr().out
