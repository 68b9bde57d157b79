"""A training's state after each epoch, on disk, so that a killed one goes on from its last finished epoch."""

import hashlib
import io
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from dogs_vs_cats.data.examples import Parts
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.runtime import backend, backend_version, random_states, set_random_states
from dogs_vs_cats.settings.sections import Keep
from dogs_vs_cats.settings.training_settings import TrainingSettings
from dogs_vs_cats.tracking.devices import device_tags

_RUN, _FINISHED = "mlflow-run-id", "finished.json"
_STATES_KEPT = 2  # the second is for when the first is damaged
_PACKAGE = Path(__file__).parent.parent
# What a training's result depends on; the same as what its stage lists in dvc.yaml, but for recording.
_CODE = ("data/arrays.py", "data/examples.py", "models", "settings", "training")
# What these callbacks count from epoch to epoch, and forget when a new ``fit`` begins.
_COUNTED = {
    keras.callbacks.EarlyStopping: ("best", "best_epoch", "wait"),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
}


def identity_of(description: Description, settings: TrainingSettings, parts: Parts) -> str:
    """Return what tells a training from any other: a digest of all that its result depends on.

    That is settings, network, examples to the byte, code, libraries and devices.
    """
    digest = hashlib.sha256()
    libraries = [keras.__version__, backend(), backend_version(), np.__version__]
    facts = [settings.model_dump(mode="json"), description.model_dump(mode="json"), libraries, device_tags()]
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for examples in (parts.training, parts.validation):
        examples.add_to(digest)
    for name in _CODE:
        place = _PACKAGE / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


class Checkpoint:
    """Where a training keeps its state, the run that it is recorded in, and whether it has finished.

    The folder stays when a training has finished, until DVC has recorded the result: a stage that is killed in between
    runs again, and then finds what it had. Used as a context it belongs to one process at a time.

    Args:
        base: the folder of all such folders.
        kind: of the model.
        identity: from ``identity_of``.

    Attributes:
        folder: the folder.
        owned: whether this process may use it, inside the ``with`` block.
    """

    def __init__(self, base: Path, kind: str, identity: str) -> None:
        self.folder, self.owned = base / f"{kind}-{identity}", False
        self._lock = FileLock(_lock_of(self.folder), blocking=False)

    def __enter__(self) -> Self:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
            self.owned = True
        except Timeout:
            print(f"{self.folder}: another process trains the same; this training keeps no checkpoint", flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self.owned:
            self._lock.release()

    @property
    def state(self) -> Path | None:
        """Where ``Progress`` keeps its state; None where another process does."""
        return self.folder if self.owned else None

    @property
    def run(self) -> str | None:
        """The id of the MLflow run of a training that was cut off; None where there is none."""
        file = self.folder / _RUN
        return run_of(self.folder) if self.owned and file.exists() else None

    def track_as(self, run_id: str) -> None:
        """Note the training's MLflow run, in which it is recorded when it goes on."""
        if self.owned:
            with whole_file(self.folder / _RUN) as partial:
                partial.write_text(run_id, encoding="utf-8")

    @property
    def finished(self) -> bool:
        """Whether everything of the training is done but DVC's record of it."""
        return self.owned and (self.folder / _FINISHED).exists()

    def finish(self, weights: Path) -> None:
        """Note that the training's results are written and recorded.

        Args:
            weights: the weights file that it left, by which DVC's record is recognised.
        """
        if not self.owned:
            return
        for old in _states(self.folder)[1:]:
            old.unlink()
        with whole_file(self.folder / _FINISHED) as partial:
            md5 = hashlib.md5(weights.read_bytes(), usedforsecurity=False).hexdigest()
            partial.write_text(json.dumps({"md5": md5}) + "\n", encoding="utf-8")

    def forget_if_recorded(self, *locks: Path) -> None:
        """Remove what a finished training left, once one of these ``dvc.lock`` files has its weights."""
        if not self.finished:
            return
        md5 = json.loads((self.folder / _FINISHED).read_text(encoding="utf-8"))["md5"]
        if any(lock.exists() and md5 in lock.read_text(encoding="utf-8") for lock in locks):
            self.forget()

    def forget(self) -> None:
        """Remove the folder, whole: a kill in between leaves nothing that is taken for a state."""
        if self.owned and self.folder.exists():
            away = self.folder.with_name(f".{self.folder.name}.removed")
            shutil.rmtree(away, ignore_errors=True)
            self.folder.replace(away)
            shutil.rmtree(away)

    def abandoned(self) -> list[Path]:
        """Return the folders of unfinished trainings of the same kind that no process goes on with."""
        kind = self.folder.name.rpartition("-")[0]
        others = [folder for folder in sorted(self.folder.parent.glob(f"{kind}-*")) if folder != self.folder]
        return [
            folder
            for folder in others
            if (folder / _RUN).exists() and not (folder / _FINISHED).exists() and not _is_locked(_lock_of(folder))
        ]


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _is_locked(path: Path) -> bool:
    lock = FileLock(path, blocking=False)
    try:
        with lock:
            return False
    except Timeout:
        return True


def run_of(folder: Path) -> str:
    """Return the MLflow run of the training that left a folder."""
    return (folder / _RUN).read_text(encoding="utf-8")


class Progress:
    """What a training has done so far.

    Args:
        folder: where the state is kept, a ``Checkpoint``'s; None keeps it in memory alone.
        keep: whose weights the model is to have: those of its ``best`` epoch, by validation loss, of its ``last``, the
            ``average`` of those after each of the last two thirds of ``epochs``, or the optimizer's ``moving_average``
            after the last.
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
        self._arrays: dict[str, list[NDArray[Any]]] = {}
        self._kept: list[NDArray[Any]] = []

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
        """Take up the newest state on disk that is whole; one that is not is told, and set aside."""
        if self._folder is None:
            return
        for left in self._folder.glob(".*.partial"):  # by a kill
            left.unlink()
        for file in _states(self._folder):
            try:
                data = file.read_bytes()
                if _digest(data) != file.stem.rpartition("-")[2]:
                    raise ValueError("its bytes are not those that were written")  # noqa: TRY301 - as for what NumPy raises
                with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                    state = json.loads(bytes(arrays["state"]))
                    self._arrays = {
                        name: [arrays[f"{name}-{place}"] for place in range(count)]
                        for name, count in state["arrays"].items()
                    }
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                print(f"{file}: damaged ({error}); it is set aside, and training goes on from before it", flush=True)
                file.replace(file.with_suffix(".damaged"))
                continue
            self.rows, self.times = state["rows"], state["times"]
            self.seconds, self.stopped, self._counted = state["seconds"], state["stopped"], state["counted"]
            self._kept = self._arrays["kept"] or self._arrays["weights"]
            return

    def restore(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        """Give the model, its optimizer and the callbacks the state they had after the last finished epoch."""
        if not self._arrays:
            return
        model.optimizer.build(model.trainable_variables)
        model.set_weights(self._arrays["weights"])
        for variables, name in ((model.optimizer.variables, "optimizer"), (_random_states(model), "random")):
            for variable, value in zip(variables, self._arrays[name], strict=True):
                variable.assign(value)
        set_random_states(self._arrays["backend"])
        for callback in callbacks:
            for name, value in self._counted.get(type(callback).__name__, {}).items():
                setattr(callback, name, value)

    def save(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        """Keep the state after an epoch. A disk that takes no more costs the state, not the training."""
        epoch, weights = int(self.rows[-1]["epoch"]), model.get_weights()
        averaged, self.stopped = self._keep == "moving_average", bool(model.stop_training)
        self._keep_weights(moving_average(model) if averaged else weights, epoch)
        self._arrays = arrays = {
            "weights": weights,
            "optimizer": _values(model.optimizer.variables),
            "random": _values(_random_states(model)),
            "backend": random_states(),
            # Empty where they are the model's own.
            "kept": [] if self.kept_epochs == [epoch] and not averaged else self._kept,
        }
        self._counted = _counts(callbacks)
        if self._folder is None:
            return
        state = {
            "rows": self.rows,
            "times": self.times,
            "seconds": self.seconds,
            "stopped": self.stopped,
            "counted": self._counted,
            "arrays": {name: len(values) for name, values in arrays.items()},
        }
        # To memory first: a library that writes a file itself cannot end it where the disk is full.
        buffer = io.BytesIO()
        named = {f"{name}-{place}": value for name, values in arrays.items() for place, value in enumerate(values)}
        np.savez(buffer, state=np.frombuffer(json.dumps(state).encode(), np.uint8), **named)
        try:
            self._write(self._folder, epoch, buffer.getbuffer())
        except OSError as error:
            print(f"{self._folder}: {error.strerror or error}; no checkpoint of epoch {epoch}", flush=True)

    def _write(self, folder: Path, epoch: int, data: memoryview) -> None:
        with whole_file(folder / f"epoch-{epoch:06}-{_digest(data)}.npz") as partial, partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        for old in _states(folder)[_STATES_KEPT:]:
            old.unlink()

    def _keep_weights(self, weights: list[NDArray[Any]], epoch: int) -> None:
        epochs = self.kept_epochs
        if epoch not in epochs:
            return
        if len(epochs) > 1:
            # A running mean: the weights of every epoch would be many times the model.
            weights = [mean + (new - mean) / len(epochs) for mean, new in zip(self._kept, weights, strict=True)]
        self._kept = weights

    def load_kept(self, model: keras.Model) -> None:
        """Give the model the weights that are kept, where an epoch has finished."""
        if self._kept:
            model.set_weights(self._kept)

    def discard(self) -> None:
        """Remove the states: a training that diverged would diverge again from them."""
        if self._folder is not None and self._folder.exists():
            shutil.rmtree(self._folder)


def moving_average(model: keras.Model) -> list[NDArray[Any]]:
    """Return a model's weights with the optimizer's moving average in place of those that are trained."""
    trained = model.get_weights()
    model.optimizer.finalize_variable_values(model.trainable_variables)
    averaged: list[NDArray[Any]] = model.get_weights()
    model.set_weights(trained)
    return averaged


def _counts(callbacks: list[keras.callbacks.Callback]) -> dict[str, dict[str, Any]]:
    return {
        type(callback).__name__: {name: getattr(callback, name) for name in _COUNTED[type(callback)]}
        for callback in callbacks
        if type(callback) in _COUNTED
    }


def _states(folder: Path) -> list[Path]:
    """Return the states in a folder, the newest first."""
    return sorted(folder.glob("epoch-*.npz"), reverse=True)


def _digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _values(variables: list[keras.Variable]) -> list[NDArray[Any]]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _random_states(model: keras.Model) -> list[keras.Variable]:
    """Return the states of dropout's and augmentation's random numbers, which a model's weights leave out."""
    return [variable for variable in model.non_trainable_variables if variable.name == "seed_generator_state"]
