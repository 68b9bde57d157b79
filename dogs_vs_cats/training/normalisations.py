"""Batch normalisations of weights that no training step has seen."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

_MOST_INPUTS = 4096


def estimate_normalisations(network: keras.Model, inputs: NDArray[Any], batch: int, seed: int) -> bool:
    """Give batch normalisations the means and variances of their activations on what the network is to judge.

    Averaged weights have none of their own: a step's belong to the weights before it. Those of a training on random
    crops are others than those of whole photos, too.

    Args:
        network: whose layers are not nested.
        inputs: (n, ...) it was trained on, as it is to judge them; 4,096 at most are looked at.
        batch: inputs at a time.
        seed: of which ones.

    Returns:
        Whether it has any that are not frozen.

    Source: Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018, section 3.2.
    """
    normalisations = [
        layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    momenta = [layer.momentum for layer in normalisations]
    if not normalisations:
        return False
    chosen = np.random.default_rng(seed).permutation(len(inputs))[:_MOST_INPUTS]
    for step, start in enumerate(range(0, len(chosen), batch)):
        for layer in normalisations:
            layer.momentum = step / (step + 1)  # the mean of all steps
        network(np.asarray(inputs[np.sort(chosen[start : start + batch])], np.float32), training=True)
    for layer, momentum in zip(normalisations, momenta, strict=True):
        layer.momentum = momentum
    return True
