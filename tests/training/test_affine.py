import re
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from dogs_vs_cats.training.augmentation import RandomAffine
from dogs_vs_cats.training.tensorflow_only import _compiled, affine_transform


def _some(count: int, height: int, width: int, kind: str = "float32") -> tuple[Any, Any]:
    images = np.random.default_rng(count).uniform(0, 255, (count, height, width, 3))
    layer = RandomAffine(30, 0.4, flip=True, seed=count)
    return tf.constant(images, kind), layer._transforms(count, height, width)


def _keras(images: Any, transforms: Any) -> np.ndarray:
    return np.asarray(keras.ops.image.affine_transform(images, transforms, "bilinear", "nearest"))


@pytest.mark.parametrize(("count", "height", "width"), [(5, 64, 64), (1, 150, 150), (32, 33, 20)])
def test_the_values_are_those_of_keras_to_the_last_bit(count: int, height: int, width: int) -> None:
    images, transforms = _some(count, height, width)
    assert np.array_equal(affine_transform(images, transforms, "float32"), _keras(images, transforms))


def test_a_rotation_is_as_good_as_a_shear() -> None:
    images, _ = _some(1, 21, 21)
    turned = affine_transform(images, tf.constant([[0.0, 1, 0, -1, 0, 20, 0, 0]]), "float32")
    assert np.array_equal(turned, np.rot90(images, k=-1, axes=(1, 2)))


def test_half_precision_images_stay_so_and_lose_no_more_than_their_rounding() -> None:
    images, transforms = _some(4, 32, 32, "float16")
    found = np.asarray(affine_transform(images, transforms, "float16"))
    assert found.dtype == np.float16
    exact = _keras(tf.cast(images, "float32"), transforms)
    assert np.array_equal(found, exact.astype(np.float16))


def test_pixels_of_eight_bits_need_not_be_made_floats_before() -> None:
    images, transforms = _some(7, 40, 24, "uint8")
    assert np.array_equal(
        affine_transform(images, transforms, "float32"), _keras(tf.cast(images, "float32"), transforms)
    )


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_it_is_compiled_to_one_loop_that_can_wait_for_no_other(kind: str) -> None:
    program = _compiled.experimental_get_compiler_ir(*_some(4, 32, 32, kind), "float32", 32, 32)(stage="optimized_hlo")
    entry = program[program.index("ENTRY") :]
    assert set(re.findall(r"= \S+ ([a-z-]+)\(", entry)) == {"parameter", "constant", "fusion"}
    assert entry.count(" fusion(") == 1
