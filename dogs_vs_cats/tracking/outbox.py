"""Delivers a run's operations from a thread of its own, so that a slow or silent MLflow does not hold up a training."""

import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from dogs_vs_cats.settings.addresses import is_local, redacted
from dogs_vs_cats.tracking.connection import DATABASE_SECONDS, is_new_database, is_refusal, reason
from dogs_vs_cats.tracking.delivery import MlflowRun, NameTakenError, NoSuchRunError, NoSuchVersionError
from dogs_vs_cats.tracking.operations import AnyOperation, Artifact, End, Logged, Start, together
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


def is_silent(uri: str) -> bool:
    """Return whether MLflow did not answer a while ago."""
    return time.monotonic() - _silent_since.get(uri, -_LEFT_ALONE_SECONDS) < _LEFT_ALONE_SECONDS


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
        self._delivered: list[AnyOperation] = []
        self._aside: list[AnyOperation] = []
        """What found no room among the artifacts on this machine."""
        self._is_anew = False
        self._changed = threading.Condition()
        self._closing = False
        self._is_away = is_silent(uri)
        if not self._is_away:
            threading.Thread(target=self._deliver_all, name=f"tracking {journal.folder.name}", daemon=True).start()

    @property
    def said(self) -> list[str]:
        """What became of aliases that are given by merit."""
        return self._run.said

    def put(self, operation: AnyOperation) -> None:
        """Take an operation; returns at once."""
        with self._changed:
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
                if not self._is_away:
                    self._keep_aside()
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
                if isinstance(fault, NoSuchRunError) and not self._is_anew:
                    self._begin_anew(str(fault))
                elif isinstance(fault, NoSuchVersionError | NoSuchRunError | NameTakenError):
                    self._give_up(str(fault), is_silent=False)
                elif isinstance(fault, OSError) and is_local(self._uri) and isinstance(operation, Artifact | Logged):
                    self._aside.append(operation)
                elif fault is not None:
                    self._give_up(reason(fault), is_silent=True)
                else:
                    self.run_id = self._run.run_id
                    self._delivered += self._delivering
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
                    try:
                        self._run.check_run()
                    except Exception as about_the_run:  # noqa: BLE001 - likewise
                        return about_the_run
                    tell_once(reason(error), f"MLflow refused a {operation.kind}: {reason(error)}")
                    return None
                late = time.monotonic() - began > self._timeout_seconds / 2
                if late or tries > 1 or isinstance(error, NoSuchVersionError | NameTakenError):
                    return error
                self._run.again = True
                time.sleep(_TRY_AGAIN_SECONDS)
            else:
                return None

    def _begin_anew(self, fault: str) -> None:
        """Record all of the run again, as a new one that names it."""
        tell_once(fault, f"{redacted(self._uri)}: {fault}; all of it is recorded again, as a new run")
        self._is_anew = self._run.again = True
        first, *others = self._delivered
        if isinstance(first, Start):
            first = first.model_copy(update={"run_id": self.run_id, "resumes": False})
        self._waiting.extendleft(reversed([first, *others, *self._delivering]))
        self._delivered = []

    def _give_up(self, fault: str, *, is_silent: bool) -> None:
        missed = [*self._delivering, *self._waiting]
        self._waiting.clear()
        self._delivering = []
        self._is_away = True
        if is_silent:
            _silent_since[self._uri] = time.monotonic()
        self._tell(self._uri if is_silent else fault, fault)
        # All of it, and how much is there: the tracker may come back without the run.
        delivered = self._keep(self._delivered)
        if delivered:
            self._journal.note_sent(delivered, self.run_id)
        self._keep(missed)

    def _keep_aside(self) -> None:
        """Keep for ``send`` what found no room among the artifacts, after another try."""
        faults = [(operation, self._deliver(operation)) for operation in self._aside]
        left = [operation for operation, fault in faults if fault is not None]
        if not left:
            return
        first, last = self._delivered[0], self._delivered[-1]
        # Sending begins the run again, so its end is sent again too.
        if self._keep([first, *left, *([last] if isinstance(last, End) else [])]) > len(left):
            self._journal.note_sent(1, self.run_id)
            fault = "; ".join(dict.fromkeys(reason(fault) for _, fault in faults if fault is not None))
            self._tell(fault, fault)

    def _tell(self, key: str, fault: str) -> None:
        place = self._journal.folder.parent
        tell_once(
            key, f"{redacted(self._uri)}: {fault}; all else goes on, and this is kept in {place} until {SEND_COMMAND}"
        )

    def _keep(self, operations: Iterable[AnyOperation]) -> int:
        """Write operations to the journal; return how many of them it took."""
        kept = 0
        for operation in operations:
            try:
                self._journal.append(operation)
                kept += 1
            except OSError as error:
                tell_once(
                    str(self._journal.folder),
                    f"{self._journal.folder}: {error.strerror or error}; what MLflow misses is not all kept",
                )
        return kept


def _bytes(payload: Path) -> int:
    files = payload.rglob("*") if payload.is_dir() else [payload]
    return sum(file.stat().st_size for file in files if file.is_file())
