import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dogs_vs_cats.models.features import open_engine
from dogs_vs_cats.models.pretrained.weights import DIGEST, digest, read_tensors
from dogs_vs_cats.settings.photo_settings import BottleneckSettings
from tests.conftest import ROOT
from tests.vgg16 import random_photos, random_tensors, write_release


def _run(values: dict[str, Any], out: Path, path: Path | None) -> subprocess.CompletedProcess[str]:
    values["weights"]["path"] = None if path is None else str(path)
    params = out.with_name("params.yaml")
    params.write_text(yaml.safe_dump(values), encoding="utf-8")
    command = [sys.executable, "-m", "stages.weights", "--params", str(params), "--weights", str(out)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_imagenet_weights_are_fetched_and_both_engines_agree_on_them(values: dict[str, Any], tmp_path: Path) -> None:
    fetched, copied = tmp_path / "fetched.weights.h5", tmp_path / "copied.weights.h5"
    done = _run(values, fetched, None)
    assert done.returncode == 0, done.stderr
    tensors = read_tensors(fetched)
    assert digest(tensors) == DIGEST
    assert sum(tensor.size for tensor in tensors) == 14_714_688
    # What is known of VGG16 from elsewhere: the first kernel's first column, the last biases.
    np.testing.assert_allclose(tensors[0][0, :, 0, 0], [0.42947057, 0.373467, -0.06136011], rtol=1e-6)
    np.testing.assert_allclose([tensors[-1].mean(), tensors[-1].min()], [0.14986369, -0.50036746], rtol=1e-6)
    # A local copy gives the same bytes.
    assert _run(values, copied, fetched).returncode == 0
    assert copied.read_bytes() == fetched.read_bytes()
    # Raises where ncnn's features are not TensorFlow's.
    photos = random_photos(4, 64)
    with open_engine(BottleneckSettings(engine="ncnn"), fetched, photos) as extract:
        extract(photos, tmp_path / "features.npy")


def test_a_local_file_with_other_weights_stops_the_stage(values: dict[str, Any], tmp_path: Path) -> None:
    write_release(random_tensors(), tmp_path / "mine.h5")
    done = _run(values, tmp_path / "out.weights.h5", tmp_path / "mine.h5")
    assert done.returncode == 1
    assert "not its ImageNet weights" in done.stderr
    assert done.stderr.startswith("error: weights.path ")
    assert done.stderr.count("\n") == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine.h5", "params.yaml"]


def test_a_device_or_pipe_is_refused_at_once(values: dict[str, Any], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe"):
        done = _run(values, tmp_path / "out.weights.h5", path)
        told = f"error: weights.path {path}: is a device, a pipe or a socket, no file; correct it\n"
        assert (done.returncode, done.stderr) == (1, told)
