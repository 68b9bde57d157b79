"""Photos scaled to what a model sees."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.data.arrays import Dataset, write_dataset, write_files
from dogs_vs_cats.data.scaling import open_scaled, scale
from dogs_vs_cats.models.opened import to_side
from dogs_vs_cats.settings.sections import Resampling

PHOTOS = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8).repeat(5, axis=1).repeat(5, axis=2)


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    folder = tmp_path / "arrays"
    folder.mkdir()
    np.save(folder / "train_images.npy", PHOTOS)
    write_files(folder, "train", [f"{number}.jpg" for number in range(5)], [0, 1, 0, 1, 0])
    write_dataset(folder, Dataset("folder", ["a", "b"], [], 40, "d" * 64, {"train": 5}))
    return folder


def test_photos_are_scaled_once_and_kept_beside_the_arrays(arrays: Path) -> None:
    smaller = open_scaled(arrays, "train", 16)
    expected = [np.asarray(Image.fromarray(photo).resize((16, 16), Image.Resampling.LANCZOS)) for photo in PHOTOS]
    assert np.array_equal(smaller, expected)
    (kept,) = (arrays.parent / "scaled").rglob("*.npy")
    written = kept.stat().st_mtime_ns
    assert np.array_equal(open_scaled(arrays, "train", 16), smaller)
    assert kept.stat().st_mtime_ns == written
    assert np.array_equal(open_scaled(arrays, "train", None), PHOTOS)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_an_exported_model_scales_photos_as_the_arrays_are_scaled(resampling: Resampling) -> None:
    layer = to_side(40, 15, resampling)
    assert layer is not None
    differences = np.abs(np.asarray(layer(PHOTOS.astype(np.float32))) - scale(PHOTOS, 15, resampling))
    # Pillow rounds between its two passes, and clips there what a filter overshoots.
    assert np.quantile(differences, 0.97) <= 1
    assert differences.mean() < 0.4
