import keras
import numpy as np
import pytest

from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.sections import OptimizerName
from dogs_vs_cats.settings.training_settings import OptimizerSettings
from dogs_vs_cats.training.optimizers import build_optimizer


def test_the_articles_rate_decays_with_the_updates(settings: Settings) -> None:
    optimizer = build_optimizer(settings.train_scratch.optimizer, epochs=50, updates=1)
    optimizer.build([])
    for updates in (0, 350, 17_500):
        optimizer.iterations.assign(updates)
        assert float(np.asarray(optimizer.learning_rate)) == pytest.approx(0.01 / (1 + 0.01 / 50 * updates))
    assert (optimizer.momentum, optimizer.nesterov) == (0.9, False)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam", "adamw", "nadam", "adagrad", "muon"])
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


def test_muon_turns_all_that_a_convolution_can_be_turned_by_alike() -> None:
    network = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Conv2D(8, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, name="logits"),
        ]
    )
    settings = OptimizerSettings(name="muon", learning_rate=0.1, weight_decay=0.5, momentum=0.9, nesterov=True)
    optimizer = build_optimizer(settings, epochs=1, updates=1)
    kernel, bias, outputs, _ = (np.array(variable) for variable in network.trainable_variables)
    random = np.random.default_rng(1)
    gradients = [random.normal(size=variable.shape).astype(np.float32) for variable in network.trainable_variables]
    optimizer.apply(gradients, network.trainable_variables)
    after = [np.array(variable) for variable in network.trainable_variables]
    update = (kernel * (1 - 0.1 * 0.5) - after[0]).reshape(27, 8)
    # Newton and Schulz's five steps leave singular values between about 0.7 and 1.2; the rate has a factor.
    found = np.linalg.svd(update, compute_uv=False) / (0.1 * 0.2 * np.sqrt(27))
    assert found.min() > 0.6
    assert found.max() < 1.3
    # Adam's first update is the rate itself, by the gradient's sign. Biases do not decay.
    assert after[1] == pytest.approx(bias - 0.1 * np.sign(gradients[1]), abs=1e-4)
    assert after[2] == pytest.approx(outputs * (1 - 0.1 * 0.5) - 0.1 * np.sign(gradients[2]), abs=1e-4)
