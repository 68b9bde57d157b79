import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dogs_vs_cats.data.arrays import create_array, open_split, write_files
from dogs_vs_cats.models.features import open_features, read_engine
from dogs_vs_cats.models.ncnn.engine import NcnnPool
from dogs_vs_cats.models.ncnn.networks import vgg16_network
from dogs_vs_cats.models.pretrained.backbones import scaling_values
from dogs_vs_cats.models.pretrained.weights import read_tensors, write_weights
from tests.conftest import ROOT
from tests.vgg16 import random_photos, random_tensors


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg16.weights.h5"
    write_weights(random_tensors(), path)
    return path


def _write_arrays(folder: Path, size: int, counts: dict[str, int]) -> None:
    folder.mkdir()
    for seed, (name, count) in enumerate(counts.items()):
        with create_array(folder / f"{name}_images.npy", (count, size, size, 3), np.uint8) as images:
            images[:] = random_photos(count, size, seed)
        labels = None if name == "unlabelled" else [position % 2 for position in range(count)]
        write_files(folder, name, [f"{name}/{position}.jpg" for position in range(count)], labels)


def _run(values: dict[str, Any], folder: Path, weights: Path) -> subprocess.CompletedProcess[str]:
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    command = [sys.executable, "-m", "stages.bottleneck", "--params", str(folder / "params.yaml")]
    command += ["--arrays", str(folder / "arrays"), "--weights", str(weights), "--features", str(folder / "features")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_split_gets_its_features_and_old_ones_are_gone(
    values: dict[str, Any], weights: Path, tmp_path: Path
) -> None:
    counts = {"train": 19, "validation": 5, "unlabelled": 9}
    _write_arrays(tmp_path / "arrays", 64, counts)
    (tmp_path / "features").mkdir()
    (tmp_path / "features/test.npy").touch()
    done = _run(values, tmp_path, weights)
    assert done.returncode == 0, done.stderr
    assert sorted(file.stem for file in (tmp_path / "features").glob("*.npy")) == sorted(counts)
    assert read_engine(tmp_path / "features") == "ncnn"
    with NcnnPool(vgg16_network(read_tensors(weights)), scaling_values("imagenet"), 1) as pool:
        for name, count in counts.items():
            features = open_features(tmp_path / "features", name, count)
            assert features.shape == (count, 2, 2, 512)
            for start, found in pool.compute(open_split(tmp_path / "arrays", name).images):
                assert np.array_equal(found, features[start : start + len(found)])


def test_photos_too_small_for_vgg16_stop_the_stage(values: dict[str, Any], weights: Path, tmp_path: Path) -> None:
    _write_arrays(tmp_path / "arrays", 16, {"train": 2, "validation": 1})
    done = _run(values, tmp_path, weights)
    assert done.returncode == 1
    assert done.stderr == "error: decode.size is 16: VGG16 takes 32 pixels a side and more\n"
    assert not (tmp_path / "features").exists()


def test_missing_arrays_are_named(values: dict[str, Any], weights: Path, tmp_path: Path) -> None:
    done = _run(values, tmp_path, weights)
    assert done.returncode == 1
    assert "train_images.npy: missing" in done.stderr
    assert "dvc repro" in done.stderr
    assert "Traceback" not in done.stderr
