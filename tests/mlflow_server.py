"""A real MLflow for tests: a database made once, a server on loopback, and a gate before it that can be shut."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

import requests

from dogs_vs_cats.settings.params import TrackingSettings
from dogs_vs_cats.tracking.connection import connect


def tracking(uri: str | None = None, timeout_seconds: int = 20) -> TrackingSettings:
    """The ``tracking`` section of a test."""
    return TrackingSettings(uri=uri, experiment="cats", registered_model="pets", timeout_seconds=timeout_seconds)


@cache
def _database() -> Path:
    """MLflow's tables; making them takes a second of processor time."""
    root = Path(mkdtemp(prefix="mlflow-tables-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    connect(f"sqlite:///{root}/mlflow.db", root, 60)
    return root / "mlflow.db"


def put_database(root: Path) -> str:
    """Put an empty database of MLflow's into a folder; return its address."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_database(), root / "mlflow.db")
    return f"sqlite:///{root}/mlflow.db"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """``mlflow server`` on loopback, over a database and artifacts in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._database = put_database(folder)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        stores = ["--backend-store-uri", self._database, "--artifacts-destination", str(self._folder / "artifacts")]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *stores], env=environment, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(3000):  # a busy machine takes minutes
            with suppress(requests.ConnectionError):
                if requests.get(f"{self.uri}/health", timeout=10).ok:
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.2)
        raise RuntimeError((self._folder / "server.log").read_text())

    def kill(self) -> None:
        """Kill it and its workers, in the middle of whatever they do."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class Gate:
    """Passes connections on to a server, until it is told not to.

    Args:
        port: the server's; None where the gate is never open.
        mode: ``open``; ``silent`` takes connections and never answers; ``failing`` answers 500 to everything;
            ``shut`` closes every connection.
    """

    Mode = Literal["open", "silent", "failing", "shut"]

    def __init__(self, port: int | None = None, mode: Mode = "open") -> None:
        self._port = port
        self.mode = mode
        self.requests: int | None = None
        """How many more requests reach the server when ``open``; the last one's answer is lost. None: any number."""
        self.connections = 0
        self._kept: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening: connections are refused from now on."""
        self._listener.close()
        for kept in self._kept:
            kept.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Take requests one by one; nothing here reads more of HTTP than where a request begins."""
        server: socket.socket | None = None
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if data.split(b" ", 1)[0] in {b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"} and self._is_shut():
                    break
                if self.mode == "silent":
                    self._kept.append(client)
                    return
                if self.mode == "failing":
                    client.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
                    break
                if server is None:
                    server = socket.create_connection(("127.0.0.1", self._port or 0))
                    threading.Thread(target=self._answer, args=(server, client), daemon=True).start()
                server.sendall(data)
        for end in (client, server):
            if end is not None:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _is_shut(self) -> bool:
        if self.mode == "open" and self.requests is not None:
            self.requests -= 1
            return self.requests < 0
        return self.mode == "shut"

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if self.requests == 0:
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
