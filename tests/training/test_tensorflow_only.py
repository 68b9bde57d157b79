import gc
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from dogs_vs_cats.training.tensorflow_only import CompiledRMSprop

LARGE, SMALL = (700, 128), (64, 2)


def gradients(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Five, of all sizes."""
    chance = np.random.default_rng(2)
    return [(chance.normal(size=shape) * 10 ** chance.uniform(-6, 1, shape)).astype(np.float32) for _ in range(5)]


def first(shape: tuple[int, ...]) -> np.ndarray:
    """Weights to begin with."""
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def trained(optimizer: keras.optimizers.Optimizer, shape: tuple[int, ...]) -> list[np.ndarray]:
    """A variable and the optimizer's state after some steps in a graph, as in ``fit``."""
    variable = keras.Variable(first(shape))
    optimizer.build([variable])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [variable]))
    for gradient in gradients(shape):
        step(tf.constant(gradient))
    return [np.asarray(value) for value in (variable, *optimizer.variables)]


def test_the_result_is_as_close_to_the_formula_as_keras_own() -> None:
    weights, velocity = first(LARGE).astype(np.float64), np.zeros(LARGE)
    for gradient in gradients(LARGE):
        velocity = 0.9 * velocity + 0.1 * np.square(gradient, dtype=np.float64)
        weights -= 1e-3 * gradient / np.sqrt(velocity + 1e-7)
    off, theirs = (
        float(np.abs(trained(kind(1e-3), LARGE)[0] - weights).mean())
        for kind in (CompiledRMSprop, keras.optimizers.RMSprop)
    )
    assert off < 1.01 * theirs


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.01}, {"rho": 0.5, "epsilon": 1e-3}])
def test_the_result_is_keras_own_but_for_the_last_bits(options: dict[str, Any]) -> None:
    ours, theirs = (trained(kind(1e-3, **options), LARGE) for kind in (CompiledRMSprop, keras.optimizers.RMSprop))
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


def test_one_training_after_the_other_begins_anew() -> None:
    ended = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(300), keras.layers.Dense(1)])
        model.compile(CompiledRMSprop(1e-3), "mse")
        model.fit(np.ones((8, 300)), np.ones((8, 1)), epochs=2, verbose=0)
        ended.append(model.get_weights())
        del model
        gc.collect()  # the variables that the first one's update was traced for
    assert all(map(np.array_equal, *ended))


@pytest.mark.parametrize(("shape", "options"), [(SMALL, {}), (LARGE, {"momentum": 0.5}), (LARGE, {"centered": True})])
def test_where_nothing_is_compiled_the_result_is_keras_own(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    ours, theirs = (trained(kind(1e-3, **options), shape) for kind in (CompiledRMSprop, keras.optimizers.RMSprop))
    assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))
