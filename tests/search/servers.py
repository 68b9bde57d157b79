"""Real servers on loopback for tests: PostgreSQL, and a Ray cluster."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def required(what: str) -> None:
    """Skip a test where a server is not installed; where ``REQUIRE_SERVERS`` is set, as in CI, fail it."""
    if os.environ.get("REQUIRE_SERVERS"):
        pytest.fail(f"{what} is not installed, and REQUIRE_SERVERS is set")
    pytest.skip(f"{what} is not installed")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


class Postgresql:
    """A server with an empty database, in a folder of its own."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._data, self.port = binaries, folder / "data", free_port()
        folder.chmod(0o755)
        # PostgreSQL refuses to run as root.
        self._user = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []
        if self._user:
            self._data.mkdir(mode=0o700)
            shutil.chown(self._data, "nobody")
        self._run("initdb", "-D", str(self._data), "-U", "me", "-A", "trust", "--no-sync")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://me@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "-D", str(self._data), "-o", options, "-l", str(self._data / "log"), "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def ask_for_a_password(self, user: str, password: str) -> None:
        """Make a user who has to give one."""
        import psycopg

        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=me dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{password}'")
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        self._run("pg_ctl", "-D", str(self._data), "reload")

    def _run(self, program: str, *options: str) -> None:
        command = [*self._user, str(self._binaries / program), *options]
        # Not into a pipe: the server would hold it open.
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=120)


@contextmanager
def postgresql(folder: Path) -> Iterator[Postgresql]:
    """A PostgreSQL server on loopback."""
    on_path = shutil.which("initdb")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if on_path is None and not found:
        required("PostgreSQL's server")
    server = Postgresql(Path(on_path).parent if on_path else found[-1].parent, folder)
    try:
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()


@contextmanager
def ray_cluster(folder: Path, cores: int) -> Iterator[str]:
    """A Ray cluster of one machine on loopback; its address."""
    program = Path(sys.executable).with_name("ray")
    if not program.exists():
        required("Ray")
    port = free_port()
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": ""}
    options = [f"--port={port}", f"--num-cpus={cores}", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    # Ray believes in it, TensorFlow does not see it: enough to test how trials are handed out.
    options.append("--num-gpus=1")
    with (folder / "ray.log").open("w") as log:
        head = subprocess.Popen(
            [str(program), "start", "--head", "--block", *options, "--object-store-memory=80000000"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 90
        while "Ray runtime started" not in (folder / "ray.log").read_text():
            if head.poll() is not None or time.monotonic() > deadline:
                pytest.fail((folder / "ray.log").read_text())
            time.sleep(0.5)
        yield f"127.0.0.1:{port}"
    finally:
        head.send_signal(signal.SIGTERM)
        try:
            head.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait()
