from pathlib import Path

import keras
import numpy as np
import pytest

from dogs_vs_cats.optimizers import FusedRMSprop, build_optimizer
from dogs_vs_cats.settings import OptimizerSettings, Settings


def test_the_articles_rate_decays_with_the_updates(settings: Settings) -> None:
    optimizer = build_optimizer(settings.train_scratch.optimizer, epochs=50)
    optimizer.build([])
    for updates in (0, 350, 17_500):
        optimizer.iterations.assign(updates)
        assert float(np.asarray(optimizer.learning_rate)) == pytest.approx(0.01 / (1 + 0.01 / 50 * updates))
    assert (optimizer.momentum, optimizer.nesterov) == (0.9, False)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam", "adamw", "nadam", "adagrad"])
def test_every_optimizer_is_the_keras_one_with_its_rate_and_decay(name: str) -> None:
    optimizer = build_optimizer(OptimizerSettings(name=name, learning_rate=0.02, weight_decay=0.004), epochs=3)
    assert name in [kind.__name__.lower() for kind in type(optimizer).__mro__]
    assert float(np.asarray(optimizer.learning_rate)) == pytest.approx(0.02)
    assert optimizer.weight_decay == 0.004


@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.01}, {"momentum": 0.9}, {"centered": True}, {"clipnorm": 0.5}]
)
def test_the_fused_update_is_rmsprops(options: dict[str, float]) -> None:
    generator = np.random.default_rng(1)
    start = generator.normal(size=(40, 30)).astype(np.float32)
    gradients = generator.normal(size=(20, 40, 30)).astype(np.float32)
    ended = []
    for kind in (FusedRMSprop, keras.optimizers.RMSprop):
        variable = keras.Variable(start)
        optimizer = kind(learning_rate=0.01, **options)
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        ended.append(keras.ops.convert_to_numpy(variable))
    assert np.abs(ended[0] - start).max() > 0.05
    np.testing.assert_allclose(ended[0], ended[1], rtol=1e-5, atol=1e-6)


def test_a_saved_model_finds_its_optimizer_again(tmp_path: Path) -> None:
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    model.compile(build_optimizer(OptimizerSettings(name="rmsprop", learning_rate=0.02), epochs=1), "mse")
    inputs = np.random.default_rng(2).normal(size=(64, 4)).astype(np.float32)
    model.fit(inputs, inputs[:, :3], epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        one.fit(inputs, inputs[:, :3], epochs=1, shuffle=False, verbose=0)
    assert np.array_equal(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
