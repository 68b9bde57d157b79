"""A training's state after each epoch, on disk, so that a killed one goes on from its last finished epoch."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.settings.sections import Keep

_STATE = "state.json"
_RUN = "mlflow-run-id"
# What these callbacks count from epoch to epoch, and forget when a new ``fit`` begins.
_COUNTED = {
    keras.callbacks.EarlyStopping: ("best", "best_epoch", "wait"),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
}


def checkpoint_folder(base: Path, name: str, *made_from: object) -> Path:
    """Where a training keeps its state: a folder of its own for all that it is made from.

    Args:
        base: the folder of all unfinished trainings.
        name: of the model.
        made_from: settings, data digests, versions; a training with any other does not go on from this state.

    Returns:
        ``base/NAME-DIGEST``.
    """
    versions = [keras.__version__, np.__version__]
    described = json.dumps([*made_from, versions], sort_keys=True)
    return base / f"{name}-{hashlib.sha256(described.encode()).hexdigest()[:16]}"


def tracked_as(checkpoint: Path) -> str | None:
    """The id of the MLflow run that an unfinished training was recorded in, None where there is none."""
    file = checkpoint / _RUN
    return file.read_text(encoding="utf-8") if file.exists() else None


def track_as(checkpoint: Path, run_id: str) -> None:
    """Note the MLflow run of a training, so that it is gone on with when the training is."""
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / _RUN).write_text(run_id, encoding="utf-8")


class Progress:
    """What a training has done so far.

    Args:
        folder: where the state is kept, a ``checkpoint_folder``; None keeps it in memory alone.
        keep: whose weights the model is to have: those of its ``best`` epoch, by validation loss, of its ``last``, or
            the ``average`` of those after each of the last two thirds of ``epochs``.
        epochs: how many there are to be at most.

    Attributes:
        rows: an entry for each finished epoch: its number from 1 and its metrics.
        times: when each of them ended, in milliseconds since 1970.
        seconds: time spent on them.
        stopped: whether early stopping has ended the training.
    """

    def __init__(self, folder: Path | None, keep: Keep, epochs: int) -> None:
        self._folder, self._keep, self._epochs = folder, keep, epochs
        self.rows: list[dict[str, float]] = []
        self.times: list[int] = []
        self.seconds = 0.0
        self.stopped = False
        self._counted: dict[str, dict[str, Any]] = {}
        self._random: list[list[int]] = []
        self._weights: Path | None = None
        self._kept: list[NDArray[Any]] | None = None

    @property
    def kept_epochs(self) -> list[int]:
        """The epochs, from 1, whose weights are kept: one, or those that are averaged.

        Source of the averaging: Izmailov et al., "Averaging weights leads to wider optima and better generalization",
        UAI 2018.
        """
        last = int(self.rows[-1]["epoch"])
        if self._keep == "best":
            return [int(min(self.rows, key=lambda row: (row["val_loss"], row["epoch"]))["epoch"])]
        first = self._epochs // 3 + 1
        return list(range(first, last + 1)) if self._keep == "average" and last > first else [last]

    def load(self) -> None:
        """Take up the state on disk, where there is one."""
        if self._folder is None or not (self._folder / _STATE).exists():
            return
        state = json.loads((self._folder / _STATE).read_text(encoding="utf-8"))
        self.rows, self.times = state["rows"], state["times"]
        self.seconds, self.stopped = state["seconds"], state["stopped"]
        self._counted, self._random = state["counted"], state["random"]
        self._weights = self._folder / state["weights"]
        with np.load(self._folder / state["kept"]) as kept:
            self._kept = list(kept.values())

    def restore(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        """Give the model, its optimizer and the callbacks the state they had after the last finished epoch."""
        if self._weights is None:
            return
        model.optimizer.build(model.trainable_variables)
        model.load_weights(self._weights)
        for variable, value in zip(_random_states(model), self._random, strict=True):
            variable.assign(value)
        for callback in callbacks:
            for name, value in self._counted.get(type(callback).__name__, {}).items():
                setattr(callback, name, value)

    def save(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        """Keep the state after an epoch; the state file is replaced last, so it never names a half-written one."""
        epoch = int(self.rows[-1]["epoch"])
        self._keep_weights(model, epoch)
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._weights = self._folder / f"epoch-{epoch}.weights.h5"
        model.save_weights(self._weights)
        kept = self._folder / f"kept-{self.kept_epochs[-1]}.npz"
        if epoch in self.kept_epochs:
            assert self._kept is not None
            np.savez(kept, *self._kept)
        state = {
            "rows": self.rows,
            "times": self.times,
            "seconds": self.seconds,
            "stopped": bool(model.stop_training),
            "counted": {
                type(callback).__name__: {name: getattr(callback, name) for name in _COUNTED[type(callback)]}
                for callback in callbacks
                if type(callback) in _COUNTED
            },
            "random": [variable.numpy().tolist() for variable in _random_states(model)],
            "weights": self._weights.name,
            "kept": kept.name,
        }
        new = self._folder / f".{_STATE}"
        new.write_text(json.dumps(state), encoding="utf-8")
        new.replace(self._folder / _STATE)
        for old in (*self._folder.glob("*.weights.h5"), *self._folder.glob("*.npz")):
            if old not in (self._weights, kept):
                old.unlink()

    def _keep_weights(self, model: keras.Model, epoch: int) -> None:
        epochs = self.kept_epochs
        if epoch not in epochs:
            return
        weights = model.get_weights()
        if len(epochs) > 1:
            assert self._kept is not None
            # A running mean: the weights of every epoch would be many times the model.
            weights = [mean + (new - mean) / len(epochs) for mean, new in zip(self._kept, weights, strict=True)]
        self._kept = weights

    def load_kept(self, model: keras.Model) -> None:
        """Give the model the weights that are kept."""
        if self._kept is not None:
            model.set_weights(self._kept)

    def discard(self) -> None:
        """Remove the state from disk: the training is done and its results are written."""
        if self._folder is not None and self._folder.exists():
            shutil.rmtree(self._folder)


def _random_states(model: keras.Model) -> list[keras.Variable]:
    """The states of dropout's and augmentation's random numbers, which weights files leave out."""
    return [variable for variable in model.non_trainable_variables if variable.name == "seed_generator_state"]
