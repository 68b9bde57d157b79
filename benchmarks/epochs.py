"""Epochs of a real training that take turns with something else."""

import time
from collections.abc import Callable
from typing import Any

import keras
from numpy.typing import NDArray

from dogs_vs_cats.data.examples import Examples, Parts
from dogs_vs_cats.settings.training_settings import TrainingSettings
from dogs_vs_cats.training.fitting import train


class Turns(keras.callbacks.Callback):  # type: ignore[misc]
    """Times each epoch's training batches, then what it is compared with.

    Args:
        others: called after each epoch.
    """

    def __init__(self, *others: Callable[[], object]) -> None:
        super().__init__()
        self._others = others
        self._began = 0.0
        self.epochs: list[float] = []
        self.compared: list[list[float]] = [[] for _ in others]

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self._began = time.perf_counter()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Stop it: validation is no part of what is compared."""
        if len(self.epochs) == len(self.compared[0]):
            self.epochs.append(time.perf_counter() - self._began)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Time the others."""
        for taken, other in zip(self.compared, self._others, strict=True):
            began = time.perf_counter()
            other()
            taken.append(time.perf_counter() - began)


def epochs_in_turns(
    model: keras.Model,
    examples: Examples,
    settings: TrainingSettings,
    repeats: int,
    *others: Callable[[], object],
) -> tuple[list[float], list[list[float]]]:
    """Train as the stages do; after each epoch, time the others.

    Args:
        model: a fresh network.
        examples: what it is trained on; a few of them validate.
        settings: of the stage.
        repeats: epochs, after a first one that is not counted, since TensorFlow builds its graphs in it.
        others: what the epochs are compared with.

    Returns:
        Seconds of each epoch without its validation, and of each of the others.
    """
    turns = Turns(*others)
    few = Examples(examples.inputs[: settings.batch], examples.labels[: settings.batch])
    changes = {"epochs": repeats + 1, "early_stopping": None}
    chosen = settings.model_copy(update=changes)
    train(model, Parts(examples, few), chosen, callbacks=[turns], show_progress=False)
    return turns.epochs[1:], [taken[1:] for taken in turns.compared]


def bare_steps(model: keras.Model, inputs: NDArray[Any], targets: NDArray[Any], steps: int) -> Callable[[], object]:
    """A compiled model's train step on one batch that is in memory already, so many times over."""
    import tensorflow as tf

    batch = tf.constant(inputs), tf.constant(targets)
    # As arguments: what is done to a constant TensorFlow would do once, ahead of all steps.
    step = tf.function(lambda *data: model.train_step(data))

    def run() -> None:
        for _ in range(steps):
            values = step(*batch)
        float(values["loss"])

    return run
