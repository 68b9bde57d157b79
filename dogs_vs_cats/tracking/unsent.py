"""What MLflow did not take, kept on disk until ``python -m dogs_vs_cats.tracking send``.

A folder a run under ``mlruns/unsent/``: ``journal.jsonl`` has the operations in order, the run's start first, one a
line; ``payloads/`` the files they name; ``sent.json`` how far sending has come.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import whole_folder
from dogs_vs_cats.settings.addresses import absolute, redacted, relative, tracking_fault
from dogs_vs_cats.tracking.connection import is_refusal, reason
from dogs_vs_cats.tracking.delivery import MlflowRun, NoSuchParentError, NoSuchVersionError
from dogs_vs_cats.tracking.operations import (
    OPERATION,
    AnyOperation,
    Artifact,
    End,
    Logged,
    Promotion,
    Record,
    Reopen,
    Start,
    together,
)

SEND_COMMAND = "python -m dogs_vs_cats.tracking send"


class Sent(BaseModel):
    """How far a journal was sent: lines of it that are in MLflow, and the run they are in."""

    lines: int = 0
    run_id: str | None = None


class Journal:
    """One run's operations on disk, locked for as long as this process may add to them.

    Args:
        folder: the run's folder under ``mlruns/unsent``; it appears with the first operation.
        uri: where the operations are to be sent.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder = folder
        self._uri = uri
        self._lock = FileLock(folder / ".lock", thread_local=False)  # the outbox's thread writes here, and its owner

    @property
    def _file(self) -> Path:
        return self.folder / "journal.jsonl"

    def append(self, operation: AnyOperation) -> None:
        """Add an operation and the files it names; it is there wholly or not at all.

        Raises:
            OSError: if the disk takes no more.
        """
        self._open()
        if isinstance(operation, Artifact | Logged):
            operation = operation.model_copy(update={"payload": self._keep(operation.payload)})
        size = self._file.stat().st_size
        try:
            with self._file.open("ab") as file:
                file.write(operation.model_dump_json().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                os.truncate(self._file, size)
            raise

    def note_sent(self, lines: int, run_id: str | None) -> None:
        """Note that the first lines are in MLflow, in this run."""
        with suppress(OSError):  # they are sent once more then
            _write(self.folder / "sent.json", Sent(lines=lines, run_id=run_id).model_dump_json())

    def close(self) -> None:
        """Leave the journal to ``send``."""
        self._lock.release()

    def _open(self) -> None:
        if not self._lock.is_locked:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        if not (self.folder / "uri").exists():
            _write(self.folder / "uri", self._uri)
            (self.folder / "uri").chmod(0o600)  # a database's address may hold a password
        self._file.touch()

    def _keep(self, payload: Path) -> Path:
        number = len(list((self.folder / "payloads").glob("*")))
        kept = self.folder / "payloads" / str(number) / payload.name
        try:
            kept.parent.mkdir(parents=True)
            shutil.move(payload, kept)
        except OSError:
            shutil.rmtree(kept.parent, ignore_errors=True)
            raise
        return kept.relative_to(self.folder)


def unsent_folder(root: Path) -> Path:
    """Where the journals are."""
    return root / "mlruns" / "unsent"


def new_journal(root: Path, uri: str, name: str, identity: str) -> Journal:
    """A journal whose folder sorts by the time of its run and says which it is."""
    words = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip(".-") or "run"
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    return Journal(unsent_folder(root) / f"{stamp}-{words[:60]}-{identity}", relative(uri, root))


def journal_of(root: Path, uri: str, identity: str) -> Journal | None:
    """The journal that a run with this identity left, if it was not sent yet."""
    found = sorted(unsent_folder(root).glob(f"*-{identity}"))
    return Journal(found[0], relative(uri, root)) if found else None


def take_in(folder: Path, root: Path, uri: str) -> int:
    """Copy the journals that another project left, so that ``send`` gives them to this one's MLflow.

    Args:
        folder: the other project's, or what was copied of it.
        root: this project's folder.
        uri: where the runs are to go.

    Returns:
        How many there are; one that waits here already is not copied again.
    """
    journals = list(_folders(folder))
    for journal in journals:
        _read(journal)  # damaged ones are told before they are here
        if not (unsent_folder(root) / journal.name).exists():
            with whole_folder(unsent_folder(root) / journal.name) as copy:
                shutil.copytree(journal, copy, ignore=shutil.ignore_patterns(".*", "sent.json"), dirs_exist_ok=True)
                _write(copy / "uri", relative(uri, root))
                (copy / "uri").chmod(0o600)  # a database's address may hold a password
    return len(journals)


def forget_promotions(root: Path, registered_model: str, alias: str) -> None:
    """Remove unsent promotions that a newer one has overtaken."""
    for folder in _folders(root):
        with suppress(WorkflowError):
            match _read(folder):
                case [Promotion(registered_model=name, alias=same)] if (name, same) == (registered_model, alias):
                    _remove(folder)


def send(
    root: Path, uri: str | None = None, timeout_seconds: float = 60, registered_model: str | None = None
) -> Iterator[str]:
    """Give MLflow everything that is kept on disk, run by run, and remove what it took.

    Args:
        root: the project's folder.
        uri: where to send to; None: where each run was to go.
        timeout_seconds: how long one request may take.
        registered_model: that gets the versions; None: the one that each was to be a version of.

    Yields:
        A line for each run, to be shown.

    Raises:
        WorkflowError: if MLflow does not take something; what is left can be sent again.
    """
    if uri is not None and (fault := tracking_fault(uri)):
        raise WorkflowError(f"--uri {redacted(uri)}: {fault}")
    folders = list(_folders(root))
    for position, folder in enumerate(folders):
        name = folder.name
        lock = FileLock(folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            yield f"{name}: its run still goes on; send it when that has ended"
            continue
        target = absolute(uri or (folder / "uri").read_text(encoding="utf-8"), root)
        try:
            for line in _send_one(folder, root, target, timeout_seconds, registered_model):
                yield f"{name}: {line}"
        except WorkflowError:
            raise
        except NoSuchParentError:
            yield f"{name}: the run that it belongs to still goes on; send it when that has ended"
        except Exception as error:
            left = len(folders) - position
            raise WorkflowError(
                f"{redacted(target)}: {reason(error)}; {left} run{'s' * (left > 1)} still in {unsent_folder(root)}: "
                f"see that MLflow is there, then {SEND_COMMAND}"
            ) from error
        finally:
            lock.release()


def _send_one(
    folder: Path, root: Path, uri: str, timeout_seconds: float, registered_model: str | None
) -> Iterator[str]:
    operations = [_renamed(operation, registered_model) for operation in _read(folder)]
    if operations and isinstance(operations[0], Start) and not isinstance(operations[-1], End):
        # Nobody holds its lock: the process that wrote it was killed.
        operations.append(End(status="KILLED", time=_last_time(operations)))
    sent = _sent(folder)
    run = MlflowRun(uri, root, timeout_seconds, again=True)
    left = operations[sent.lines :]
    match operations[: 1 if sent.lines and left else 0]:
        case [Start() as start]:
            run.take(start.model_copy(update={"run_id": sent.run_id, "resumes": False}))
            if run.run_id != sent.run_id:
                yield f"run {sent.run_id} is there no more; all of it goes to a new one"
                sent, left = Sent(run_id=run.run_id), operations
        case [Reopen() as reopen]:
            run.take(reopen)
    for operation, done in together(left):
        try:
            run.take(_located(operation, folder))
        except NoSuchVersionError as error:
            # Every journal before this one was sent, so it will not come.
            yield f"dropped, {error}"
            if isinstance(operation, Reopen):
                break
        except Exception as error:
            if not is_refusal(error) or isinstance(operation, Start):
                raise
            yield f"MLflow refused a {operation.kind}, it is dropped: {reason(error)}"
        _write(folder / "sent.json", Sent(lines=sent.lines + done, run_id=run.run_id).model_dump_json())
    _remove(folder)
    yield from run.said
    yield "done" if run.run_id is None else f"sent to run {run.run_id}"


def _folders(root: Path) -> Iterator[Path]:
    if unsent_folder(root).is_dir():
        for folder in sorted(unsent_folder(root).iterdir()):
            if folder.name.startswith("."):
                shutil.rmtree(folder, ignore_errors=True)  # being removed when the power went
            elif (folder / "journal.jsonl").is_file():
                yield folder


def _read(folder: Path) -> list[AnyOperation]:
    """The journal's operations; a last line without its end was being written when the power went."""
    lines = (folder / "journal.jsonl").read_bytes().split(b"\n")[:-1]
    try:
        return [OPERATION.validate_json(line) for line in lines]
    except ValidationError as error:
        first = error.errors()[0]
        raise WorkflowError(
            f"{folder}/journal.jsonl: not a journal of ours ({first['msg']}); remove {folder}"
        ) from None


def _sent(folder: Path) -> Sent:
    try:
        return Sent.model_validate_json((folder / "sent.json").read_bytes())
    except (FileNotFoundError, ValidationError):
        return Sent()


def _renamed(operation: AnyOperation, registered_model: str | None) -> AnyOperation:
    """Return an operation with another registered model, where it has one."""
    if registered_model is None or not getattr(operation, "registered_model", None):
        return operation
    return operation.model_copy(update={"registered_model": registered_model})


def _located(operation: AnyOperation, folder: Path) -> AnyOperation:
    if isinstance(operation, Artifact | Logged):
        return operation.model_copy(update={"payload": folder / operation.payload})
    return operation


def _last_time(operations: list[AnyOperation]) -> int:
    times = [metric[2] for operation in operations if isinstance(operation, Record) for metric in operation.metrics]
    return max(times + [operation.time for operation in operations if isinstance(operation, Start)])


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _remove(folder: Path) -> None:
    """Remove a folder so that half of it is never taken for a journal."""
    hidden = folder.rename(folder.with_name(f".{folder.name}"))
    shutil.rmtree(hidden)
