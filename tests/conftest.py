"""What several tests use: the committed settings, and tiny photos that a network can learn from."""

import io
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from dogs_vs_cats.settings.params import Settings, parse_settings

ROOT = Path(__file__).parent.parent

CALLED: dict[str, dict[str, Any]] = {
    "scratch": {"name": "CNN from scratch"},
    "vgg16": {"name": "VGG16 transfer model", "backbone": "VGG16"},
}
"""What the default models are called."""


def encoded(image: Image.Image, picture_format: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture's file."""
    file = io.BytesIO()
    image.save(file, picture_format, **options)
    return file.getvalue()


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


@pytest.fixture
def values() -> dict[str, Any]:
    """The committed params.yaml, as the YAML parser gives it."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return parsed


@pytest.fixture
def settings(values: dict[str, Any]) -> Settings:
    """The committed params.yaml, checked."""
    return parse_settings(values)


@pytest.fixture(scope="session")
def photos() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """120 pictures of 32x32 pixels in two classes, brighter above or below, and their labels."""
    random = np.random.default_rng(7)
    labels = (np.arange(120) % 2).astype(np.uint8)
    images = random.integers(0, 180, (120, 32, 32, 3))
    images[labels == 0, :16] += 75
    images[labels == 1, 16:] += 75
    return images.astype(np.uint8), labels
