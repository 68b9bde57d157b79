from typing import Literal

import numpy as np
import pytest

from dogs_vs_cats.settings.sections import LossName
from dogs_vs_cats.settings.training_settings import LossSettings
from dogs_vs_cats.training.batches import encode
from dogs_vs_cats.training.losses import build_loss

TRUE_CLASS = np.array([0.9, 0.6, 0.2, 0.5])
LABELS = np.array([0, 1, 1, 0], np.uint8)

EXPECTED = {  # by hand, from the probability of the true class
    "binary_crossentropy": -np.log(TRUE_CLASS),
    "hinge": np.maximum(0, 1 - np.log(TRUE_CLASS / (1 - TRUE_CLASS))),
    "squared": (1 - TRUE_CLASS) ** 2,
    "focal": -((1 - TRUE_CLASS) ** 2) * np.log(TRUE_CLASS),
}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_a_loss_is_the_same_for_both_outputs_and_as_defined(
    name: LossName, output: Literal["softmax", "sigmoid"]
) -> None:
    second = np.where(LABELS == 1, TRUE_CLASS, 1 - TRUE_CLASS).astype(np.float32)
    outputs = np.stack([1 - second, second], axis=1) if output == "softmax" else second[:, None]
    loss = build_loss(LossSettings(name=name))(encode(LABELS, output), outputs)
    assert float(loss) == pytest.approx(EXPECTED[name].mean(), rel=1e-5)


def test_label_smoothing_leaves_something_to_lose_on_a_certain_and_right_answer() -> None:
    smooth = build_loss(LossSettings(name="binary_crossentropy", label_smoothing=0.1))
    right = smooth(np.array([[1.0]], np.float32), np.array([[1.0]], np.float32))
    assert float(right) > 0.5
