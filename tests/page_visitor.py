"""``dogs-vs-cats page`` as a process, and a visitor of it that is no browser."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from html import unescape
from pathlib import Path
from types import TracebackType
from typing import Self

import requests
from websockets.sync.client import connect

from tests.browser import PATIENCE
from tests.mlflow_server import free_port

DOGS_VS_CATS = Path(sys.executable).with_name("dogs-vs-cats")


class Page:
    """The command, started on a project."""

    def __init__(self, project: Path, temporary: Path, *arguments: str) -> None:
        self.temporary, self._project = temporary, project
        self.port = free_port()
        self.log = temporary.with_suffix(".log")
        temporary.mkdir()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [DOGS_VS_CATS, "page", "--port", str(self.port), *arguments], cwd=project, stdout=log, stderr=log,
                env=os.environ | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}, start_new_session=True,
            )  # fmt: skip
        self.url = f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        """Wait until it answers."""
        within(lambda: self.url in self.log.read_text(), self.process, self.log)
        requests.get(self.url, timeout=PATIENCE).raise_for_status()

    def written(self) -> set[str]:
        """The files in the project, and the temporary ones of a photo's kind, that there are."""
        there = {str(path) for path in self._project.rglob("*")}
        return there | {str(path) for path in self.temporary.rglob("*") if path.suffix not in {".param", ".bin"}}

    def kill(self) -> None:
        """End it, however it is."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def within(done: Callable[[], object], process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until something is so, while a process lives."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


class Visitor:
    """What a browser is to the server, without one: the page, its socket, and its file field; a context manager."""

    def __init__(self, url: str) -> None:
        html = requests.get(url, timeout=PATIENCE).text
        field = re.search(r'"url":"(/_nicegui/client/([^/]+)/upload/\d+)"', html)
        assert field is not None, html
        self.field = url + field[1]
        query = f"client_id={field[2]}&implicit_handshake=true&tab_id=1&document_id=1&next_message_id=0"
        self._address = f"ws{url[4:]}/_nicegui_ws/socket.io/?EIO=4&transport=websocket&{query}"
        self._shown: dict[str, str] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._socket = self._open.enter_context(connect(self._address, max_size=None, open_timeout=PATIENCE))
        self._socket.recv(PATIENCE)
        self._socket.send("40")  # Socket.IO's connect
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def send(self, name: str, data: bytes) -> int:
        """Send a file; return the status."""
        return requests.post(self.field, files={"file": (name, data)}, timeout=PATIENCE).status_code

    def cards(self, number: int, *, whole: bool = True) -> dict[str, str]:
        """By file name, the HTML of so many files' answers, once they are there, or whole, with where models look."""
        end = time.monotonic() + PATIENCE
        while True:
            cards = {
                unescape(name[1]): html
                for html in self._shown.values()
                if (name := re.search('<h2 class="name">(.*)</h2>', html)) and not (whole and "finding where" in html)
            }
            if len(cards) == number:
                return cards
            message = str(self._socket.recv(end - time.monotonic()))
            if message == "2":
                self._socket.send("3")  # a ping's answer
            event, *told = json.loads(message[2:]) if message.startswith("42") else ("",)
            for element, changes in told[0].items() if event == "update" else ():
                if isinstance(changes, dict) and "innerHTML" in changes.get("props", {}):
                    self._shown[element] = changes["props"]["innerHTML"]
