"""Batch normalisations estimated anew have the statistics of what the network sees."""

import keras
import numpy as np

from dogs_vs_cats.training.normalisations import estimate_normalisations


def test_means_and_variances_are_those_of_the_activations() -> None:
    inputs = np.random.default_rng(1).integers(0, 256, (96, 8, 8, 3)).astype(np.uint8)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(5, 3, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1),
        ]
    )
    before = network.get_weights()
    assert estimate_normalisations(network, inputs, batch=32, seed=1)
    kernel, normalisation, _, _ = network.layers
    seen = keras.ops.convert_to_numpy(kernel(inputs.astype(np.float32)))
    assert np.allclose(normalisation.moving_mean, seen.mean((0, 1, 2)), rtol=1e-4)
    # Each batch's variance is around its own mean.
    assert np.allclose(normalisation.moving_variance, seen.var((0, 1, 2)), rtol=0.05)
    assert normalisation.momentum == 0.9
    trained = zip(before, network.get_weights(), strict=True)
    assert [np.array_equal(old, new) for old, new in trained] == [True, True, True, False, False, True, True]


def test_a_network_without_normalisations_stays_as_it_is() -> None:
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    before = network.get_weights()
    assert not estimate_normalisations(network, np.ones((8, 4), np.float32), batch=4, seed=1)
    assert all(np.array_equal(old, new) for old, new in zip(before, network.get_weights(), strict=True))
