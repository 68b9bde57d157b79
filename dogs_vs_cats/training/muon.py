"""Muon, for convolutions too."""

import math
from typing import Any

import keras
from keras import ops

_OUTPUTS = "logits/"
"""In the path of the output layer's weights."""


class Muon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon, which gives each matrix of weights an update whose singular values are all near 1.

    Keras's own does so for dense layers alone. Here a convolution's kernel, (height, width, channels, filters), is a
    matrix too, with a column for each filter. Biases, normalisations and the output layer are left to AdamW.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) < 2 or _OUTPUTS in variable.path  # noqa: PLR2004 - a matrix

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Return an update (..., filters) with its singular values near 1, from a momentum of that shape."""
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Scale an update (..., filters), so that Adam's learning rates suit it."""
        return x * math.sqrt(max(math.prod(x.shape[:-1]), x.shape[-1])) * self.rms_rate
