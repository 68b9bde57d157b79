"""Delivers a run's operations from a thread of its own, so that a slow or silent MLflow does not hold up a training."""

import sys
import threading
import time
from collections import deque
from pathlib import Path

from tqdm import tqdm

from dogs_vs_cats.settings.addresses import redacted
from dogs_vs_cats.tracking.connection import DATABASE_SECONDS, is_new_database, is_refusal, reason
from dogs_vs_cats.tracking.delivery import MlflowRun, NoSuchVersionError
from dogs_vs_cats.tracking.operations import AnyOperation, Artifact, Logged, Reopen, Start, together
from dogs_vs_cats.tracking.unsent import SEND_COMMAND, Journal

# A tracker that did not answer one run is not asked again by the next ones for so long: a search has many.
_LEFT_ALONE_SECONDS = 300
# Slower than this, an upload counts as silent.
_BYTES_A_SECOND = 250_000
_TRY_AGAIN_SECONDS = 0.5
# At the end of a run a slow tracker is waited for, as long as it goes on answering, for so many timeouts.
_LAST_TIMEOUTS = 6

_silent_since: dict[str, float] = {}
_told: set[str] = set()


def tell_once(key: str, message: str) -> None:
    """Print a line to the error stream, past any progress bar, unless one with this key was printed before."""
    if key not in _told:
        _told.add(key)
        tqdm.write(f"tracking: {message}", file=sys.stderr)


def answers(uri: str) -> None:
    """Note that MLflow answers: the next run asks it, and a new silence is told of again."""
    _silent_since.pop(uri, None)
    _told.discard(uri)


class Outbox:
    """Takes a run's operations and hands them to MLflow in order; from the first fault on, to the journal.

    Args:
        run: where the operations go.
        journal: where they go when MLflow does not answer.
        uri: MLflow's address.
        timeout_seconds: how long MLflow may be silent while something waits for it.
    """

    def __init__(self, run: MlflowRun, journal: Journal, uri: str, timeout_seconds: float) -> None:
        self.run_id: str | None = None
        """The run's id in MLflow, once it is known that the run is there."""
        self._run = run
        self._journal = journal
        self._uri = uri
        self._timeout_seconds = timeout_seconds
        self._waiting: deque[AnyOperation] = deque()
        self._delivering: list[AnyOperation] = []
        self._first: Start | Reopen | None = None
        self._changed = threading.Condition()
        self._closing = False
        silent = time.monotonic() - _silent_since.get(uri, -_LEFT_ALONE_SECONDS)
        self._is_away = silent < _LEFT_ALONE_SECONDS
        if not self._is_away:
            threading.Thread(target=self._deliver_all, name=f"tracking {journal.folder.name}", daemon=True).start()

    def put(self, operation: AnyOperation) -> None:
        """Take an operation; returns at once."""
        with self._changed:
            if isinstance(operation, Start | Reopen):
                self._first = operation
            if self._is_away:
                self._keep([operation])
            else:
                self._waiting.append(operation)
                self._changed.notify_all()

    def leave_alone(self, why: str) -> None:
        """Keep everything on disk without asking MLflow, and tell why."""
        with self._changed:
            self._is_away = True
            self._changed.notify_all()
        self._tell(self._uri, why)

    def wait(self, longest_seconds: float = float("inf")) -> None:
        """Wait until MLflow has everything, or has been silent for too long."""
        began = time.monotonic()
        with self._changed:
            while not self._is_away and (self._waiting or self._delivering):
                delivering = self._delivering
                patience = self._patience()
                in_time = self._changed.wait(patience)
                if not in_time and delivering is self._delivering:
                    self._give_up(f"no answer in {round(patience)} seconds", is_silent=True)
                elif time.monotonic() - began > longest_seconds + patience:
                    self._give_up("it answers too slowly", is_silent=True)

    def close(self) -> None:
        """Wait for the last operations, and leave the journal to be sent."""
        try:
            self.wait(_LAST_TIMEOUTS * self._timeout_seconds)
        finally:
            with self._changed:
                if not self._is_away and (self._waiting or self._delivering):  # a second Ctrl-C
                    self._give_up("interrupted", is_silent=False)
                self._closing = True
                self._changed.notify_all()
                self._journal.close()

    def _patience(self) -> float:
        seconds = max(self._timeout_seconds, DATABASE_SECONDS if is_new_database(self._uri) else 0)
        payloads = [operation.payload for operation in self._delivering if isinstance(operation, Artifact | Logged)]
        return seconds + sum(_bytes(payload) for payload in payloads) / _BYTES_A_SECOND

    def _deliver_all(self) -> None:
        while (operation := self._next()) is not None:
            fault = self._deliver(operation)
            with self._changed:
                if not self._delivering:  # waiting for this one was given up, and it is in the journal
                    return
                if isinstance(fault, NoSuchVersionError):
                    self._give_up(str(fault), is_silent=False)
                elif fault is not None:
                    self._give_up(reason(fault), is_silent=True)
                else:
                    self.run_id = self._run.run_id
                    answers(self._uri)
                self._delivering = []
                self._changed.notify_all()

    def _next(self) -> AnyOperation | None:
        """Wait for something to deliver; None when there will be nothing more."""
        with self._changed:
            while not self._waiting and not self._closing and not self._is_away:
                self._changed.wait()
            if self._is_away or not self._waiting:
                return None
            operation, count = next(together(self._waiting))
            self._delivering = [self._waiting.popleft() for _ in range(count)]
            return operation

    def _deliver(self, operation: AnyOperation) -> Exception | None:
        """Deliver one operation, if need be twice; return why MLflow did not take it."""
        began = time.monotonic()
        tries = 0
        while True:
            tries += 1
            try:
                self._run.take(operation)
            except Exception as error:  # noqa: BLE001 - whatever happens to the tracker, the training goes on
                if is_refusal(error) and not isinstance(operation, Start):
                    tell_once(reason(error), f"MLflow refused a {operation.kind}: {reason(error)}")
                    return None
                late = time.monotonic() - began > self._timeout_seconds / 2
                if late or tries > 1 or isinstance(error, NoSuchVersionError):
                    return error
                self._run.again = True
                time.sleep(_TRY_AGAIN_SECONDS)
            else:
                return None

    def _give_up(self, fault: str, *, is_silent: bool) -> None:
        missed = [*self._delivering, *self._waiting]
        self._waiting.clear()
        self._delivering = []
        self._is_away = True
        if is_silent:
            _silent_since[self._uri] = time.monotonic()
        self._tell(self._uri if is_silent else fault, fault)
        if self._first is not None and self._first not in missed:
            run_id = {"run_id": self.run_id, "resumes": False} if isinstance(self._first, Start) else {}
            missed.insert(0, self._first.model_copy(update=run_id))
        self._keep(missed)

    def _tell(self, key: str, fault: str) -> None:
        place = self._journal.folder.parent
        tell_once(
            key, f"{redacted(self._uri)}: {fault}; all else goes on, and this is kept in {place} until {SEND_COMMAND}"
        )

    def _keep(self, operations: list[AnyOperation]) -> None:
        try:
            for operation in operations:
                self._journal.append(operation)
        except OSError as error:
            tell_once(
                str(self._journal.folder),
                f"{self._journal.folder}: {error.strerror or error}; what MLflow misses is not all kept",
            )


def _bytes(payload: Path) -> int:
    files = payload.rglob("*") if payload.is_dir() else [payload]
    return sum(file.stat().st_size for file in files if file.is_file())
