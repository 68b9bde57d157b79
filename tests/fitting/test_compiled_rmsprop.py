import keras
import numpy as np
import pytest
import tensorflow as tf

from dogs_vs_cats.fitting.compiled_rmsprop import CompiledRMSprop


def trained(optimizer: keras.optimizers.Optimizer, shape: tuple[int, ...]) -> list[np.ndarray]:
    """A variable and the optimizer's state after some steps in a graph, as in ``fit``, with gradients of all sizes."""
    chance = np.random.default_rng(1)
    variable = keras.Variable(chance.normal(size=shape).astype(np.float32))
    optimizer.build([variable])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [variable]))
    for _ in range(5):
        gradient = chance.normal(size=shape) * 10 ** chance.uniform(-6, 1, shape)
        step(tf.constant(gradient, "float32"))
    return [np.asarray(value) for value in (variable, *optimizer.variables)]


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.01}, {"momentum": 0.5}, {"rho": 0.5, "epsilon": 1e-3}])
@pytest.mark.parametrize("shape", [(700, 128), (64, 2)])
def test_the_result_is_keras_own_to_the_last_bit(shape: tuple[int, ...], options: dict[str, float]) -> None:
    ours, theirs = (trained(kind(1e-3, **options), shape) for kind in (CompiledRMSprop, keras.optimizers.RMSprop))
    assert len(ours) == len(theirs)
    assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))
