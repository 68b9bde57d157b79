"""A tracker that answers with errors and rubbish, late, or not at all, in front of a real one."""

import contextlib
import http.client
import io
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.torture.cases import Case, Task
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.tracking.__main__ import main as send
from dogs_vs_cats.tracking.connection import quiet_mlflow
from dogs_vs_cats.tracking.tracked_runs import client, tracked_run
from dogs_vs_cats.tracking.unsent import unsent_folder
from tests.mlflow_server import Server, tracking

LOSSES = [0.5, 0.4, 0.3, 0.2]
SILENCE = 2
"""Seconds after which the product gives the tracker up."""
MOST_SECONDS = 120
"""What a run may take longer than with an honest tracker."""
SENDINGS = 3
GARBAGE = b"\x00\xff{]<html>" * 20
NO_SUCH_RUN = b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}'
ANSWERS: dict[str, tuple[int, bytes]] = {
    "500": (500, b""),
    "503 with a page": (503, b"<html>busy</html>"),
    "404": (404, b"not found"),
    "404 as of a run": (404, NO_SUCH_RUN),
    "401": (401, b"who are you?"),
    "429": (429, b""),
    "200 and nothing": (200, b""),
    "200 and garbage": (200, GARBAGE),
    "200 and a list": (200, b"[1, 2]"),
    "200 and null": (200, b"null"),
    "302 to itself": (302, b""),
    "200 and ten megabytes": (200, b"x" * 10_000_000),
}
SOCKETS = ("hangs", "closes", "resets", "no HTTP", "an answer cut off", "its answer lost", "a byte a second")


class Liar(ThreadingHTTPServer):
    """Passes requests on to a server, but for those that it answers wrongly.

    Attributes:
        how: a key of ``ANSWERS``, or one of ``SOCKETS``; empty: not at all.
        share: of the requests that are answered wrongly.
        only: a part of the method and path of those that are.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port, self.how, self.share, self.only = port, "", 0.0, ""
        self.chance = random.Random(0)  # noqa: S311 - no secret
        self.uri = f"http://127.0.0.1:{self.server_address[1]}"
        self.released = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Liar

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_meant = self.server.how and self.server.only in f"{self.command} {self.path}"
        if is_meant and self.server.chance.random() < self.server.share:
            self.close_connection = True
            if self.server.how in ANSWERS:
                self._answer(*ANSWERS[self.server.how])
            else:
                self._break(body)
            return
        status, headers, answer = self._pass_on(body)
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "server", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        passed = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        passed.request(self.command, self.path, body, headers)
        response = passed.getresponse()
        with contextlib.closing(passed):
            return response.status, response.getheaders(), response.read()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == http.HTTPStatus.FOUND:
            self.send_header("Location", self.path)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")  # a client that is not told would ask its next request in vain
        self.end_headers()
        self.wfile.write(body)

    def _break(self, body: bytes) -> None:
        how, connection = self.server.how, self.connection
        if how == "hangs":
            self.server.released.wait(MOST_SECONDS)
        elif how == "resets":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "no HTTP":
            self.wfile.write(GARBAGE)
        elif how == "an answer cut off":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        elif how == "its answer lost":
            self._pass_on(body)
        elif how == "a byte a second":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(MOST_SECONDS):
                if self.server.released.wait(1):
                    break
                self.wfile.write(b" ")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def tracker(task: Task) -> Iterator[Case]:
    """Record runs through it: each is whole in the end and there once, and none waits for ever."""
    server, kinds = Server(task.folder / "server"), [*ANSWERS, *SOCKETS]
    try:
        server.start()
        quiet_mlflow()  # its import is not the tracker's slowness
        begun = time.monotonic()
        yield "an honest tracker", _run_fault(task.folder / "honest", Liar(server.port), server, float("inf"))
        most = time.monotonic() - begun + MOST_SECONDS
        for number in task.numbers():
            liar = Liar(server.port)  # of another address: one that was silent is left alone for minutes
            liar.how, liar.share = kinds[number % len(kinds)], task.chance.choice([1.0, 0.5, 0.2])
            liar.chance = random.Random(number)  # noqa: S311 - no secret
            name = f"{number}: {liar.how} for {percent(liar.share, 0)}"
            yield name, _run_fault(task.folder / f"project-{number}", liar, server, most)
    finally:
        server.kill()


def _run_fault(root: Path, liar: Liar, server: Server, most: float) -> str:
    root.mkdir()
    name = f"{root.parent.name}-{root.name}"
    begun, printed = time.monotonic(), io.StringIO()
    try:
        with (
            redirect_stderr(printed),
            redirect_stdout(printed),
            tracked_run(name, tracking(liar.uri, SILENCE), root, params={"a": 1}, system_metrics=False) as run,
        ):
            for step, loss in enumerate(LOSSES):
                run.log_metrics({"loss": loss}, step)
            run.log_text("written", "notes/text.txt")
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"the training fails: {type(error).__name__}: {error}"[:300]
    finally:
        liar.how = ""
        liar.released.set()
    seconds = time.monotonic() - begun
    if seconds > most:
        return f"the training waits {seconds:.0f} s"
    if "Traceback" in printed.getvalue():
        return f"a traceback: {printed.getvalue().strip().splitlines()[-1]}"
    for _ in range(SENDINGS):  # on a busy machine the server may be slow without lying
        status, said = _send(root)
        if not status:
            break
    if status or [*unsent_folder(root).glob("*")]:
        return f"not sent afterwards: {said.strip()[-300:]}"
    liar.shutdown()
    return _record_fault(server, root, name)


def _send(root: Path) -> tuple[int, str]:
    printed, before = io.StringIO(), sys.argv
    sys.argv = ["tracking", "send", "--root", str(root)]
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            send()
    except SystemExit as ended:
        return int(ended.code or 0), printed.getvalue()
    finally:
        sys.argv = before
    return 0, printed.getvalue()


def _record_fault(server: Server, root: Path, name: str) -> str:
    mlflow = client(tracking(server.uri), root)
    experiment = mlflow.get_experiment_by_name("cats")
    runs = [] if experiment is None else mlflow.search_runs([experiment.experiment_id], f"run_name = '{name}'")
    replaced = {run.data.tags.get("replaces_run") for run in runs}
    # A tracker that denies a run gets all of it again, as a run that names it; one whose answer was lost may have made
    # a run that nobody knows of, which stays empty.
    left = [run for run in runs if run.info.run_id not in replaced]
    histories = {run.info.run_id: mlflow.get_metric_history(run.info.run_id, "loss") for run in left}
    whole = [
        run
        for run in left
        if [metric.value for metric in histories[run.info.run_id]] == LOSSES
        and run.info.status == "FINISHED"
        and run.data.params == {"a": "1"}
        and [file.path for file in mlflow.list_artifacts(run.info.run_id, "notes")] == ["notes/text.txt"]
    ]
    if len(whole) != 1:
        found = {run.info.run_id[:6]: (run.info.status, len(histories[run.info.run_id])) for run in left}
        return f"{len(whole)} whole runs of {len(left)}: {found}"
    others = Counter(len(history) for id_, history in histories.items() if id_ != whole[0].info.run_id)
    return f"values twice, in other runs: {dict(others)}" if set(others) - {0} else ""
