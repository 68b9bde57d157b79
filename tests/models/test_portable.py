"""What only TensorFlow, or only Keras, knows is rebuilt of what every format has, and computes the same."""

from pathlib import Path

import keras
import numpy as np
import onnx
from keras import layers
from onnx.reference import ReferenceEvaluator

from dogs_vs_cats.models.portable import portable, write_onnx


def test_normalisations_and_convolutions_in_groups_are_written_with_their_numbers(tmp_path: Path) -> None:
    """As EfficientNet's first layer, whose numbers are weights or settings, and ConvNeXt's convolutions."""
    random = np.random.default_rng(2)
    numbers = [0.5, 1.0, 1.5, 2.0]
    inputs = keras.Input((7, 7, 4))
    normalised = layers.Normalization(mean=numbers, variance=numbers)(layers.Normalization(name="own")(inputs))
    grouped = layers.Conv2D(4, 3, strides=2, padding="same", groups=4, activation="relu", name="_grouped")
    depthwise = layers.Activation("gelu")(grouped(normalised))
    model = keras.Model(inputs, layers.Conv2D(6, 3, groups=2)(depthwise))
    model.set_weights([random.uniform(0.5, 2, value.shape).astype(value.dtype) for value in model.get_weights()])
    model.get_layer("own").finalize_state()
    photos = random.uniform(0, 4, (3, 7, 7, 4)).astype(np.float32)
    expected = model.predict_on_batch(photos)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(portable(model).predict_on_batch(photos), expected, rtol=1e-5, atol=1e-5)

    first = keras.Model(inputs, depthwise)
    write_onnx(first, tmp_path / "model.onnx")
    onnx.checker.check_model(tmp_path / "model.onnx")
    (found,) = ReferenceEvaluator(str(tmp_path / "model.onnx")).run(None, {"photos": photos})
    np.testing.assert_allclose(found, first.predict_on_batch(photos), rtol=1e-5, atol=1e-5)
