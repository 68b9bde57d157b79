"""A run while it goes on: what can be logged to it."""

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats.files import temporary_folder
from dogs_vs_cats.tracking.logged_models import save_model
from dogs_vs_cats.tracking.operations import Artifact, Described, Logged, Record, View
from dogs_vs_cats.tracking.outbox import Outbox, tell_once

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure


class Run:
    """A run that is being recorded. What is logged reaches MLflow soon after, in order; nothing here waits for it."""

    def __init__(self, outbox: Outbox) -> None:
        self.id = ""
        """The run's id in MLflow, or ``unsent-...`` while MLflow does not know it."""
        self._outbox = outbox
        self._open = ExitStack()
        self._folder: Path | None = None
        self._files = 0

    def log_metrics(self, values: Mapping[str, float], step: int | None = None, time: int | None = None) -> None:
        """Record values by name, with six significant digits.

        Args:
            values: numbers by name.
            step: the epoch they belong to.
            time: when they were found, in milliseconds since 1970; None: now. Values recorded again with the same step
                and time stay one in MLflow.
        """
        self.log_exact_metrics({key: _six_digits(value) for key, value in values.items()}, step, time)

    def log_exact_metrics(self, values: Mapping[str, float], step: int | None = None, time: int | None = None) -> None:
        """Record values that are read back and computed with; the arguments are those of ``log_metrics``."""
        found = timestamp() if time is None else time
        self._outbox.put(Record(metrics=[(key, float(value), found, step or 0) for key, value in values.items()]))

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record settings; nested ones get names with dots."""
        self._outbox.put(Record(params=flattened(params)))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record what one looks for runs by."""
        self._outbox.put(Record(tags={key: str(value) for key, value in tags.items()}))

    def show(self, name: str, view: str) -> None:
        """Have the experiment's page of this name show something, of ``views``."""
        self._outbox.put(View(name=name, state=view))

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file, or of a folder's files, as it is now."""
        with self._file(path.name) as copy:
            if path.is_dir():
                shutil.copytree(path, copy)
            else:
                shutil.copyfile(path, copy)
            self._outbox.put(Artifact(payload=copy, folder=folder))

    def log_text(self, text: str, name: str, *, beside_model: bool = False) -> None:
        """Keep a text as a file.

        Args:
            text: what it holds.
            name: the file's, which may have a folder: ``model/summary.txt``.
            beside_model: whether it is kept with the model of the version that ``reopened_run`` found this run by.
        """
        with self._file(Path(name).name) as file:
            file.write_text(text, encoding="utf-8")
            self._outbox.put(Artifact(payload=file, folder=_parent(name), beside_model=beside_model))

    def log_figure(self, figure: "Figure", name: str) -> None:
        """Keep a figure as the picture ``name``, for example ``curves.png``."""
        with self._file(Path(name).name) as file:
            figure.savefig(file)
            self._outbox.put(Artifact(payload=file, folder=_parent(name)))

    def log_model(
        self,
        model: "keras.Model",
        name: str,
        *,
        card: str = "",
        registered_model: str | None = None,
        version_tags: Mapping[str, str] | None = None,
        description: str = "",
    ) -> None:
        """Log a model that can be loaded with MLflow, Keras and its backend alone, and register a version of it.

        Args:
            model: takes one tensor; its type and shape, and those of what it returns, become the signature.
            name: the model's name among the run's models.
            card: the text of ``README.md`` beside the model; empty: none yet.
            registered_model: the registered model that gets a new version; None: none does.
            version_tags: the new version's tags, by which ``set_alias`` finds it.
            description: the new version's, in Markdown; ``notes.VERSION`` in it stands for the version's number.
        """

        def write(folder: Path) -> None:
            save_model(model, folder)
            if card:
                (folder / "README.md").write_text(card, encoding="utf-8")

        self.log_folder(
            write,
            name,
            registered_model=registered_model,
            version_tags=version_tags,
            description=description,
        )

    def log_folder(
        self,
        write: Callable[[Path], None],
        name: str,
        *,
        registered_model: str | None = None,
        version_tags: Mapping[str, str] | None = None,
        description: str = "",
    ) -> None:
        """Log a model in MLflow's format, and register a version of it.

        Args:
            write: writes it to a folder that is not there yet.
            name: as for ``log_model``.
            registered_model: likewise.
            version_tags: likewise.
            description: likewise.
        """
        version_tags = dict(version_tags or {})
        with self._file(name) as folder:
            write(folder)
            # A run that was cut off after this, and goes on, logs the same model again: it finds it by this.
            same = json.dumps([self.id, name, registered_model, version_tags], sort_keys=True)
            self._outbox.put(
                Logged(
                    identity=hashlib.sha256(same.encode()).hexdigest()[:32] if version_tags else uuid.uuid4().hex,
                    payload=folder,
                    name=name,
                    registered_model=registered_model,
                    version_tags=version_tags,
                    description=description,
                )
            )

    def describe_version(self, description: str, tags: Mapping[str, str]) -> None:
        """Describe the version that ``reopened_run`` found this run by.

        Args:
            description: as for ``log_model``; it takes the place of the one before.
            tags: more of them.
        """
        self._outbox.put(Described(description=description, tags=dict(tags)))

    @contextmanager
    def _file(self, name: str) -> Iterator[Path]:
        """A new path for one payload. A disk that takes no more costs the payload, not the training."""
        try:
            if self._folder is None:
                self._folder = self._open.enter_context(temporary_folder())
            self._files += 1
            path = self._folder / str(self._files) / name
            path.parent.mkdir()
            yield path
        except OSError as error:
            tell_once(f"not kept {self.id}", f"{error.filename or name}: {error.strerror or error}; {name} is not kept")

    def remove_files(self) -> None:
        """Remove the payloads, delivered or not."""
        self._open.close()


def flattened(params: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Settings as MLflow's parameters: ``{"network": {"dense": [64]}}`` becomes ``{"network.dense": "[64]"}``."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{name}.")
        elif isinstance(value, Sequence) and value and all(isinstance(item, Mapping) for item in value):
            flat |= flattened({str(position): item for position, item in enumerate(value)}, f"{name}.")
        else:
            flat[name] = value if isinstance(value, str) else json.dumps(value, default=str)
    return flat


def _six_digits(value: float) -> float:
    """Return a number that is short in MLflow's table, which shows every digit; a whole number stays as it is."""
    number = float(value)
    return number if number.is_integer() else float(f"{number:.6g}")


def timestamp() -> int:
    """Milliseconds since 1970, as MLflow counts time."""
    return time.time_ns() // 1_000_000


def _parent(name: str) -> str | None:
    folder = Path(name).parent.as_posix()
    return None if folder == "." else folder
