"""Compile, fit, stop and resume: the one way that stages and trials train."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from dogs_vs_cats.data.examples import Parts
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.runtime import enough_memory
from dogs_vs_cats.settings.training_settings import TrainingSettings
from dogs_vs_cats.training.augmentation import build_augmentation
from dogs_vs_cats.training.batches import AHEAD, Batches, Reader
from dogs_vs_cats.training.checkpoints import Progress
from dogs_vs_cats.training.losses import build_loss
from dogs_vs_cats.training.normalisations import estimate_normalisations
from dogs_vs_cats.training.optimizers import build_optimizer
from dogs_vs_cats.training.weighting import class_weights

Log = Callable[[dict[str, float], int, int], None]
"""Takes an epoch's metrics, its number from 1, and when it ended, in milliseconds since 1970."""

_NOT_A_NUMBER = ("all elements of input should be between 0 and 1", "device-side assert triggered")
"""What PyTorch raises for a probability that is not a number, on a CPU and on a GPU."""


@dataclass(frozen=True)
class Training:
    """What a training left.

    Attributes:
        history: a row an epoch: epoch (from 1), loss, accuracy, log_loss, the same with ``val_``, learning_rate, and
            ``kept``, true for each epoch whose weights the model has, or the average of.
        kept: the metrics of the model with those weights, named as in the history; the training ones are of its epoch,
            or the last of several.
        seconds: spent in the epochs, those before a resume included.
        stopped_early: whether early stopping ended it.
    """

    history: pd.DataFrame
    kept: dict[str, float]
    seconds: float
    stopped_early: bool

    @property
    def kept_epochs(self) -> tuple[int, int]:
        """The first and the last epoch whose weights the model has."""
        kept = self.history.loc[self.history["kept"], "epoch"]
        return int(kept.iloc[0]), int(kept.iloc[-1])


class _StopAtNaN(keras.callbacks.TerminateOnNaN):  # type: ignore[misc]
    """Ends a training whose loss is not a number, some batches later where Keras calls it from a thread."""

    async_safe = True


class _EpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
    """Completes an epoch's metrics, keeps the state and tells the caller."""

    # On JAX and PyTorch Keras then waits for a batch's metrics in a thread, and goes on giving the device work.
    async_safe = True

    def __init__(
        self,
        progress: Progress,
        counting: list[keras.callbacks.Callback],
        log: Log | None,
        bar: Any,
        *,
        print_epochs: bool,
    ) -> None:
        super().__init__()
        self._progress, self._counting, self._log, self._bar = progress, counting, log, bar
        self._print_epochs = print_epochs
        self._started = 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        # Last in the list of callbacks, so this comes after the others have reset their counts.
        self._progress.restore(self.model, self._counting)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self._started = time.perf_counter()
        self._bar.set_description(f"epoch {epoch + 1}", refresh=False)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        with self._bar.get_lock():  # perhaps called from several threads
            self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        metrics["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self._progress.rows.append({"epoch": epoch + 1, **metrics})
        self._progress.times.append(time.time_ns() // 1_000_000)
        self._progress.seconds += time.perf_counter() - self._started
        if np.isfinite(metrics["loss"]) and np.isfinite(metrics["val_loss"]):
            self._progress.save(self.model, self._counting)
        shown = {name: f"{metrics[name]:.4f}" for name in ("loss", "val_loss", "val_accuracy")}
        self._bar.set_postfix(shown, refresh=False)
        if self._print_epochs:
            values = ", ".join(f"{name} {value}" for name, value in shown.items())
            print(f"epoch {epoch + 1}: {values} ({self._progress.seconds:.0f} s)", flush=True)
        if self._log is not None:
            self._log(metrics, epoch + 1, self._progress.times[-1])


def train(
    model: keras.Model,
    parts: Parts,
    settings: TrainingSettings,
    *,
    checkpoint: Path | None = None,
    log: Log | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    show_progress: bool = True,
) -> Training:
    """Train a model; it has the weights of the epoch that ``settings.keep`` names afterwards.

    Call ``reproducibility.prepare`` with the settings' seed before building the model.

    Args:
        model: a network of ``networks``, with softmax or sigmoid outputs.
        parts: what it learns from, and what its epochs are judged by.
        settings: optimizer, loss, epochs, batch, stopping, augmentation.
        checkpoint: a ``checkpoints.Checkpoint``'s folder, of this very training, for its state after each epoch. Called
            again with the same arguments after a kill, it goes on from the last finished epoch and ends as if it had
            not been killed. None keeps no state.
        log: called after each epoch. When a training goes on, it is called for the epochs before as well, with the very
            same values: what a tracker lost in the kill it gets again, and what it has it knows by them.
        callbacks: more Keras callbacks, such as a pruner.
        show_progress: a tqdm bar where there is a terminal, a line an epoch where there is none.

    Returns:
        The history and what came of it.

    Raises:
        WorkflowError: if the loss is not a number, or memory does not do for a batch; it names the settings to look at.
    """
    training, validation = parts.training, parts.validation
    output, updates = _output(model), -(-len(training.labels) // settings.batch)
    progress = Progress(checkpoint, settings.keep, settings.epochs)
    progress.load()
    done = len(progress.rows)
    if 0 < done < settings.epochs and not progress.stopped and show_progress:
        print(f"going on after epoch {done}, the last finished one", flush=True)
    for row, ended in zip(progress.rows, progress.times, strict=True):
        if log is not None:
            log({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]), ended)

    counting = _stopping(settings, updates)
    batches = Batches(
        training,
        settings.batch,
        output,
        shuffle_seed=settings.seed,
        changes=settings.changes,
        class_weights=class_weights(settings, parts),
    )
    learned, judged = batches.as_dataset(), Batches(validation, settings.batch, output).as_dataset()
    # Its own lock is a semaphore of the system, which a killed worker would leave behind.
    tqdm.set_lock(threading.RLock())
    hidden = None if show_progress else True
    total = updates * settings.epochs
    with tqdm(total=total, initial=updates * done, disable=hidden, unit="batch", dynamic_ncols=True) as bar:
        end = _EpochEnd(progress, counting, log, bar, print_epochs=show_progress and bool(bar.disable))
        # An epoch's order is drawn by its number, so that a resumed training has the one it would have had.
        order = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: batches.begin_epoch(epoch))
        swapped = [keras.callbacks.SwapEMAWeights()] if settings.keep == "moving_average" else []
        # A step of other sizes goes on from the state after the one before, as a training does that was killed.
        for size, last in settings.steps:
            fitted = _fitted(model, settings, training.inputs.dtype.name, size)
            compile_for(fitted, settings, updates)
            if progress.stopped or len(progress.rows) >= last:
                progress.restore(fitted, counting)  # Keras writes the optimizer's state with the weights
                continue
            told = [order, _StopAtNaN(), *counting, *swapped, end, *callbacks]
            with (
                enough_memory("batch", settings.batch),
                _numbers(progress, settings),
                _taken(fitted, learned, judged, told) as (taken, judging, listed),
            ):
                fitted.fit(
                    taken,
                    validation_data=judging,
                    shuffle=False,
                    epochs=last,
                    initial_epoch=len(progress.rows),
                    callbacks=listed,
                    verbose=0,
                )
            if fitted.stop_training:
                break
    if not np.isfinite([progress.rows[-1]["loss"], progress.rows[-1]["val_loss"]]).all():
        raise _diverged(progress, settings, len(progress.rows))
    progress.load_kept(fitted)
    if len(settings.steps) > 1 or settings.steps[0][0] is not None:
        model.set_weights(fitted.get_weights())
    history = pd.DataFrame(progress.rows).astype({"epoch": int})
    history["kept"] = history["epoch"].isin(progress.kept_epochs)
    kept = dict(progress.rows[progress.kept_epochs[-1] - 1])
    averaged = settings.keep in ("average", "moving_average")
    estimated = averaged and estimate_normalisations(model, training.inputs, settings.batch, settings.seed)
    if estimated or len(progress.kept_epochs) > 1:  # no epoch was judged with these weights
        fitted.set_weights(model.get_weights())
        with _taken(fitted, learned, judged, []) as (_, judging, _):
            reached = fitted.evaluate(judging, verbose=0, return_dict=True)
        kept |= {f"val_{name}": value for name, value in reached.items()}
    stopped_early = len(progress.rows) < settings.epochs
    return Training(history, kept, progress.seconds, stopped_early)


@contextmanager
def _taken(
    model: keras.Model, learned: Any, judged: Any, callbacks: list[keras.callbacks.Callback]
) -> Iterator[tuple[Any, Any, Any]]:
    """What the model's ``fit`` takes for these: something else with TensorFlow on a GPU alone."""
    if keras.backend.backend() != "tensorflow" or not isinstance(learned, Reader):
        yield learned, judged, callbacks
        return
    from dogs_vs_cats.training.tensorflow_only import LateCallbacks, fed

    with fed(model, learned, judged) as datasets:
        yield *datasets, LateCallbacks(callbacks, add_history=True, model=model, behind=AHEAD)


@contextmanager
def _numbers(progress: Progress, settings: TrainingSettings) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if any(words in str(error) for words in _NOT_A_NUMBER):
            raise _diverged(progress, settings, len(progress.rows) + 1) from error
        raise


def _diverged(progress: Progress, settings: TrainingSettings, epoch: int) -> WorkflowError:
    progress.discard()
    rate = settings.optimizer.learning_rate
    return WorkflowError(f"the loss was not a number in epoch {epoch}; try a lower learning rate than {rate}")


def compile_for(model: keras.Model, settings: TrainingSettings, updates: int) -> None:
    """Give a network, or one with augmentation in front, the optimizer, loss and metrics that it is trained with.

    Args:
        model: the network.
        settings: the training's.
        updates: in each epoch, over which the learning rate's schedule runs.
    """
    accuracy: type[keras.metrics.Metric] = (
        keras.metrics.CategoricalAccuracy if _output(model) == "softmax" else keras.metrics.BinaryAccuracy
    )
    model.compile(
        optimizer=build_optimizer(
            settings.optimizer,
            settings.epochs,
            updates,
            settings.averaging if settings.keep == "moving_average" else None,
        ),
        loss=build_loss(settings.loss),
        # Plain log-loss beside whatever loss is trained on: trainings with different losses compare by it.
        metrics=[accuracy(name="accuracy"), keras.metrics.BinaryCrossentropy(name="log_loss")],
    )


def _output(model: keras.Model) -> Literal["softmax", "sigmoid"]:
    return "softmax" if model.output_shape[-1] == 2 else "sigmoid"  # noqa: PLR2004


def _fitted(model: keras.Model, settings: TrainingSettings, dtype: str, size: int | None) -> keras.Model:
    """The network to fit: with augmentation in front; for images of another size a copy that takes images of any."""
    augmentation = build_augmentation(settings.changes, settings.seed, size)
    if size is None:
        return model if augmentation is None else with_augmentation(model, augmentation, dtype)
    copy = keras.models.clone_model(model, input_tensors=keras.Input((None, None, 3), name="image"))
    copy.set_weights(model.get_weights())
    return with_augmentation(copy, augmentation, dtype, model.input_shape[1:])


def with_augmentation(
    model: keras.Model, augmentation: keras.layers.Layer, dtype: str, shape: tuple[int, ...] | None = None
) -> keras.Model:
    """Put a layer in front of a model that changes its training images; they share their weights.

    Args:
        model: the network.
        augmentation: the layer.
        dtype: of the images that it takes.
        shape: of each; None: the model's own.
    """
    inputs = keras.layers.Input(shape or model.input_shape[1:], dtype=dtype)
    return keras.Model(inputs, model(augmentation(inputs)), name=f"augmented_{model.name}")


def _stopping(settings: TrainingSettings, updates: int) -> list[keras.callbacks.Callback]:
    callbacks: list[keras.callbacks.Callback] = []
    if settings.early_stopping is not None:
        stopping = settings.early_stopping
        callbacks.append(
            keras.callbacks.EarlyStopping(
                "val_loss", min_delta=stopping.min_delta, patience=stopping.epochs(updates), mode="min"
            )
        )
    if settings.reduce_on_plateau is not None:
        plateau = settings.reduce_on_plateau
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                "val_loss", factor=plateau.factor, patience=plateau.patience, min_lr=plateau.minimum, mode="min"
            )
        )
    return callbacks
