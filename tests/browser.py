"""A real, headless Chromium: opens a page, drops files on it, and keeps a list of all that the page asks for."""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import requests
from websockets.sync.client import connect

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Without a sandbox, which root and containers do not have; it sees this test's page alone.
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
)  # fmt: skip
PATIENCE = 180  # seconds; machines may be busy


class Browser:
    """A Chromium with one page, driven by its DevTools protocol; used as a context manager."""

    def __init__(self, width: int = 1400, height: int = 900) -> None:
        assert BROWSER is not None
        self.asked: list[str] = []
        """Every address that the page asked for, pictures within the page left out."""
        self.errors: list[str] = []
        """What the page's scripts raised."""
        self._profile = TemporaryDirectory(ignore_cleanup_errors=True)
        command = [BROWSER, *OPTIONS, f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._count = 0
        self._open = ExitStack()
        try:
            self._socket = self._open.enter_context(connect(self._page(), max_size=None, open_timeout=PATIENCE))
            for domain in ("Page", "Network", "Runtime"):
                self.call(f"{domain}.enable")
            self.resize(width, height)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and all its processes."""
        self._open.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._profile.cleanup()

    def _page(self) -> str:
        """The page's address in the protocol."""
        file, end = Path(self._profile.name) / "DevToolsActivePort", time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if file.exists() and (lines := file.read_text().split()):
                targets = requests.get(f"http://127.0.0.1:{lines[0]}/json", timeout=PATIENCE).json()
                if pages := [target for target in targets if target["type"] == "page"]:
                    return str(pages[0]["webSocketDebuggerUrl"])
            assert self._process.poll() is None, f"{BROWSER} ended with {self._process.returncode}"
            time.sleep(0.1)
        raise TimeoutError(f"{BROWSER} has not started in {PATIENCE} s")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for something, and wait for the answer."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(PATIENCE))
            if message.get("id") == self._count:
                assert "error" not in message, message
                answer: dict[str, Any] = message["result"]
                return answer
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        if message["method"] == "Network.requestWillBeSent":
            url = told["request"]["url"]
        elif message["method"] == "Network.webSocketCreated":
            url = told["url"]
        else:
            if message["method"] == "Runtime.exceptionThrown":
                self.errors.append(str(told["exceptionDetails"]))
            return
        if not url.startswith(("data:", "blob:")):
            self.asked.append(url)

    def open(self, url: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=url)

    def resize(self, width: int, height: int) -> None:
        """Make the window so many pixels wide and high."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def evaluate(self, script: str) -> Any:
        """What a JavaScript expression gives."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"not so in {PATIENCE} s: {condition}\n{self.evaluate(_TEXT)}\n{self.errors}"
            time.sleep(0.2)

    def drop(self, files: Sequence[Path], selector: str) -> None:
        """Drop files on the middle of an element, as a hand with a mouse does."""
        element = json.dumps(selector)
        x, y = self.evaluate(
            f"(() => {{ const box = document.querySelector({element}).getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        data = {"items": [], "files": [str(file.resolve()) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def screenshot(self, path: Path) -> None:
        """Save the whole page as a PNG, also what is below the window's end."""
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))


_TEXT = "document.body.innerText"
