"""The server of the page that photos are dropped on: for this machine alone, until it is interrupted."""

import asyncio
import errno
import socket
import threading
import webbrowser
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from fastapi import FastAPI
from nicegui import ui
from starlette.formparsers import MultiPartParser
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dogs_vs_cats.data.decoding.memory import return_freed_memory
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.serving.classifying import LARGEST_SENT
from dogs_vs_cats.serving.photo_page import Threads, Visit
from dogs_vs_cats.serving.side_by_side import SideBySide
from dogs_vs_cats.serving.uploads import Uploads

HOST = "127.0.0.1"
PORT = 7860
_PORTS = 20  # tried from PORT on
_LAST_PORT = 65535
_WAITING = 8  # files for their answer, until which no other is read
_FORM = 10_000  # bytes that a browser sends around a file, its name among them
# Seconds that a lost connection may take to come back; on a busy machine importing TensorFlow holds all else up.
_PATIENCE = 60


def listen(port: int | None) -> socket.socket:
    """Take a port of this machine that other machines do not reach.

    Args:
        port: which; None: 7860 or the next one that is free.

    Returns:
        A listening socket.

    Raises:
        WorkflowError: if it is taken or not to be had.
    """
    if port is not None and not 0 <= port <= _LAST_PORT:
        raise WorkflowError(f"--port {port}: ports go from 1 to {_LAST_PORT}; 0 is any that is free")
    for tried in [port] if port is not None else range(PORT, PORT + _PORTS):
        try:
            return socket.create_server((HOST, tried))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise WorkflowError(f"--port {tried}: {error.strerror}; give another") from None
    if port is None:
        raise WorkflowError(f"ports {PORT} to {PORT + _PORTS - 1} are all taken; give another with --port")
    raise WorkflowError(f"--port {port}: taken by another program; give another, or none for the next free one")


def address(listener: socket.socket) -> str:
    """What to open in the browser."""
    return f"http://{HOST}:{listener.getsockname()[1]}"


def serve(models: SideBySide, listener: socket.socket, *, open_browser: bool = False) -> None:
    """Serve the page until the process is interrupted.

    Args:
        models: what answers.
        listener: from ``listen``.
        open_browser: whether to open the page in the browser.

    Raises:
        KeyboardInterrupt: once the page is closed; what its threads were at may go on for seconds.
    """
    return_freed_memory()
    threads = Threads(ThreadPoolExecutor(1), ThreadPoolExecutor(1), asyncio.Semaphore(_WAITING))
    # At once, so that the first photo need not wait for it.
    threads.looking.submit(lambda: models.networks)
    config = uvicorn.Config(_build_app(models, threads), log_level="warning", timeout_graceful_shutdown=1)
    if open_browser:
        # In a thread: where there is no desktop, a browser in the terminal holds its caller up until it is left.
        threading.Thread(target=webbrowser.open, args=[address(listener)], daemon=True).start()
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        for pool in (threads.saying, threads.looking):
            pool.shutdown(wait=False, cancel_futures=True)


def _build_app(models: SideBySide, threads: Threads) -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_middleware(Uploads, largest=LARGEST_SENT + _FORM, room=threads.room)
    # Another site's page must not reach this one under a name of its own (DNS rebinding).
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    # Larger ones would be written to files on the way.
    MultiPartParser.spool_max_size = LARGEST_SENT + _FORM

    @ui.page("/")
    def visit() -> None:
        Visit(models, threads)

    ui.run_with(
        app,
        title=f"{models.classes[0]} or {models.classes[1]}?",
        favicon="🐾",
        dark=None,
        language="en-US",
        reconnect_timeout=_PATIENCE,
        tailwind=False,
        show_welcome_message=False,
    )
    return app
