"""What is sent to the page, taken in before the page sees it: bounded in bytes, number and time."""

import asyncio
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_AT_ONCE = 16  # read at the same time: a browser sends six
_OPEN = 64  # at most, with those that wait for their turn
_SILENCE = 10  # seconds without a byte after which an upload is given up
_LONGEST = 120  # seconds that one may take


class Uploads:
    """Middleware that reads each file whole before the page is given it.

    Args:
        app: the page.
        largest: bytes that a request may have.
        room: for files that are held for their answer; none is read until there is some.
    """

    def __init__(self, app: ASGIApp, largest: int, room: asyncio.Semaphore) -> None:
        self._app, self._largest, self._room = app, largest, room
        self._open = 0
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the page do it."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        reason: tuple[int, str] | None = (413, f"send files of at most {self._largest // 10**6} MB, with their length")
        if 0 <= _length(scope) <= self._largest:
            reason = (503, f"{_OPEN} files are being sent already; send it again later")
            if self._open < _OPEN:
                self._open += 1
                try:
                    reason = await self._answer(scope, receive, send)
                finally:
                    self._open -= 1
        if reason is not None:
            # Its bytes are not waited for.
            refusal = PlainTextResponse(reason[1], status_code=reason[0], headers={"connection": "close"})
            await refusal(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> tuple[int, str] | None:
        """Let the page answer what was sent; return the status and the reason where it took too long."""
        async with self._places:
            async with self._room:
                pass
            try:
                async with asyncio.timeout(_LONGEST):
                    body = await _read(receive)
            except TimeoutError:
                return 408, "sending it took too long"
            if body is None:
                return None  # the visitor has left
            unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
            del body

            async def receive_again() -> Message:
                return unread.pop() if unread else await receive()

            await self._app(scope, receive_again, send)
        return None


async def _read(receive: Receive) -> bytes | None:
    """Read a request's body; None if the connection is lost.

    Raises:
        TimeoutError: if no byte comes for too long.
    """
    parts = []
    while True:
        async with asyncio.timeout(_SILENCE):
            message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _length(scope: Scope) -> int:
    with suppress(KeyError, ValueError):
        return int(Request(scope).headers["content-length"])
    return -1
