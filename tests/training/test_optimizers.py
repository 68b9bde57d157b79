import numpy as np
import pytest

from dogs_vs_cats.settings.params import OptimizerSettings, Settings
from dogs_vs_cats.training.optimizers import build_optimizer


def test_the_articles_rate_decays_with_the_updates(settings: Settings) -> None:
    optimizer = build_optimizer(settings.train_scratch.optimizer, epochs=50)
    optimizer.build([])
    for updates in (0, 350, 17_500):
        optimizer.iterations.assign(updates)
        assert float(np.asarray(optimizer.learning_rate)) == pytest.approx(0.01 / (1 + 0.01 / 50 * updates))
    assert (optimizer.momentum, optimizer.nesterov) == (0.9, False)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam", "adamw", "nadam", "adagrad"])
def test_every_optimizer_is_a_keras_one_with_its_rate_and_decay(name: str) -> None:
    optimizer = build_optimizer(OptimizerSettings(name=name, learning_rate=0.02, weight_decay=0.004), epochs=3)
    kinds = {kind.__name__.lower() for kind in type(optimizer).__mro__}
    assert name in kinds  # RMSprop is a subclass of Keras's
    assert float(np.asarray(optimizer.learning_rate)) == pytest.approx(0.02)
    assert optimizer.weight_decay == 0.004
