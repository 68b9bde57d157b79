"""What several tests use: the committed settings, and tiny photos that a network can learn from."""

import io
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import yaml
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from dogs_vs_cats.evaluation.comparing import Candidate
from dogs_vs_cats.models.probabilities import class_probabilities
from dogs_vs_cats.settings.params import Settings, parse_settings

ROOT = Path(__file__).parent.parent

_CALLED = {
    "scratch": ("CNN from scratch", 0.894, "learns all of its {learned} parameters"),
    "vgg16": ("VGG16 transfer model", 0.907, "sees through VGG16; {learned} parameters learn here"),
}


def candidate(kind: str, second: NDArray[Any], validation: NDArray[Any], **changes: Any) -> Candidate:
    """A default model by its P(second class) on the reported and on the validation photos, both (n,)."""
    name, article, origin = _CALLED[kind]
    values = {
        "name": name,
        "origin": origin,
        "article_accuracy": article,
        "weights": {"scratch": "a", "vgg16": "b"}[kind] * 64,
        "parameters": 10,
        "trained_parameters": 5,
        "training_seconds": 1.0,
        "photos_per_second": 2.0,
    }
    return Candidate(
        probabilities=both_classes(second), validation=both_classes(validation), **cast("Any", values | changes)
    )


def both_classes(second: ArrayLike) -> NDArray[np.float64]:
    """P(second class) (n,) as probabilities of both classes (n, 2)."""
    return class_probabilities(np.asarray(second, dtype=np.float64)[:, None])


def encoded(image: Image.Image, picture_format: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture's file."""
    file = io.BytesIO()
    image.save(file, picture_format, **options)
    return file.getvalue()


def users_environment(*dropped: str) -> dict[str, str]:
    """The environment, less what tests, a DVC stage or a running make put there and names that begin with dropped."""
    own = ("DVC_", "MLFLOW_", "MAKE", "MFLAGS", *dropped)
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


_ASK_EACH = """
import sys
sys.modules["dogs_vs_cats"] = None  # as where this project is not installed
import mlflow, numpy
mlflow.set_tracking_uri(sys.argv[1])
photos = numpy.load("photos.npy")
answers = [mlflow.pyfunc.load_model(model).predict(photos) for model in sys.argv[2:]]
numpy.save("answers.npy", numpy.stack(answers))
"""


def answers_elsewhere(folder: Path, photos: NDArray[np.uint8], *models: str, tracker: str = "") -> NDArray[np.float32]:
    """Ask models that MLflow has, in a process without this project; (models, n) P(second class).

    Args:
        folder: an empty one to work in.
        photos: to ask for, (n, size, size, 3).
        models: what MLflow loads them by.
        tracker: address of the registry that has them.
    """
    np.save(folder / "photos.npy", photos)
    command = [sys.executable, "-I", "-W", "ignore", "-c", _ASK_EACH, tracker, *models]
    subprocess.run(command, cwd=folder, check=True)
    answers: NDArray[np.float32] = np.load(folder / "answers.npy")
    assert answers.shape == (len(models), len(photos))
    assert answers.dtype == np.float32
    return answers


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Let the system refuse to write past so many bytes in a file, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# A shell starts what runs in its background deaf to Ctrl-C, and so would be the processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def changed(values: dict[str, Any], **changes: object) -> dict[str, Any]:
    """``values`` with ``{"split.test": 0}``-like changes; the keys must be there already."""
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = values
        for name in sections:
            section = section[name]
        assert last in section, key
        section[last] = value
    return values


@pytest.fixture(scope="session")
def committed() -> dict[str, Any]:
    """The committed params.yaml, which no test changes."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return parsed


@pytest.fixture
def values(committed: dict[str, Any]) -> dict[str, Any]:
    """The committed params.yaml, as the YAML parser gives it, for a test to change."""
    return deepcopy(committed)


@pytest.fixture(scope="session")
def settings(committed: dict[str, Any]) -> Settings:
    """The committed params.yaml, checked."""
    return parse_settings(deepcopy(committed))


@pytest.fixture(scope="session")
def photos() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """120 pictures of 32x32 pixels in two classes, brighter above or below, and their labels."""
    random = np.random.default_rng(7)
    labels = (np.arange(120) % 2).astype(np.uint8)
    images = random.integers(0, 180, (120, 32, 32, 3))
    images[labels == 0, :16] += 75
    images[labels == 1, 16:] += 75
    return images.astype(np.uint8), labels
