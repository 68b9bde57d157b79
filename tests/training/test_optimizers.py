import keras
import numpy as np
import pytest

from dogs_vs_cats.settings.params import OptimizerSettings, Settings
from dogs_vs_cats.settings.sections import OptimizerName
from dogs_vs_cats.training.optimizers import build_optimizer


def test_the_articles_rate_decays_with_the_updates(settings: Settings) -> None:
    optimizer = build_optimizer(settings.train_scratch.optimizer, epochs=50, updates=1)
    optimizer.build([])
    for updates in (0, 350, 17_500):
        optimizer.iterations.assign(updates)
        assert float(np.asarray(optimizer.learning_rate)) == pytest.approx(0.01 / (1 + 0.01 / 50 * updates))
    assert (optimizer.momentum, optimizer.nesterov) == (0.9, False)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam", "adamw", "nadam", "adagrad"])
def test_every_optimizer_is_a_keras_one_with_its_rate_and_decay(name: OptimizerName) -> None:
    optimizer = build_optimizer(
        OptimizerSettings(name=name, learning_rate=0.02, weight_decay=0.004), epochs=3, updates=1
    )
    kinds = {kind.__name__.lower() for kind in type(optimizer).__mro__}
    assert name in kinds  # RMSprop is a subclass of Keras's
    assert float(np.asarray(optimizer.learning_rate)) == pytest.approx(0.02)
    assert optimizer.weight_decay == 0.004


def test_weight_decay_spares_biases_and_normalisations() -> None:
    network = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3, bias_initializer="ones"), keras.layers.BatchNormalization()]
    )
    settings = OptimizerSettings(name="sgd", learning_rate=0.1, weight_decay=0.5)
    optimizer = build_optimizer(settings, epochs=1, updates=1)
    before = [np.array(variable) for variable in network.trainable_variables]
    optimizer.apply([np.zeros(value.shape, np.float32) for value in before], network.trainable_variables)
    kernel, *others = (np.array(variable) for variable in network.trainable_variables)
    assert np.allclose(kernel, before[0] * (1 - 0.1 * 0.5))
    assert all(np.array_equal(after, old) for after, old in zip(others, before[1:], strict=True))
