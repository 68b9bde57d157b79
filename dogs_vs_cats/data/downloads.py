"""Files from the network: resumed, with progress, checked by digest."""

import errno
import hashlib
import os
import re
import shutil
import time
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
from tqdm import tqdm

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import digest_of, locked
from dogs_vs_cats.settings.addresses import redacted

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_CHUNK = 2**16  # the most that a cut-off connection can lose
_TIMEOUT_SECONDS = (15, 60)  # to connect, and between two packets
_ATTEMPTS = 6  # in a row that brought nothing
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class _CutOffError(Exception):
    """The transfer ended early; the part that came is kept, and the next attempt resumes there."""


class _GivenUpError(Exception):
    """The file cannot be had from its server; the text says why."""


_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, _CutOffError)


def download(
    url: str, sha256: str | None, folder: Path, wait_seconds: float = 1.0, advice: str = "use another address"
) -> Path:
    """Download a file, resuming an earlier, cut-off download.

    Args:
        url: the file's address.
        sha256: the digest it must have, in hex. None leaves it unchecked, and an earlier run's part is then not used:
            nothing would show that the file has changed in between.
        folder: keeps the file, and the part of it that has come so far.
        wait_seconds: the pause after a failed attempt, doubled after each one that brought nothing.
        advice: what else to do, for error messages.

    Returns:
        The path of the whole file.

    Raises:
        WorkflowError: if the server can't be reached, does not have the file or keeps cutting it off, if the digest
            is wrong (the file is then removed), or if another run is downloading it.
        OSError: if the disk has no room for it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]", "_", Path(urlsplit(url).path).name) or "download"
    whole = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    part = whole.with_name(f"{whole.name}.part")
    with part.open("a+b") as file:
        try:
            with locked(part):
                if sha256 is None:
                    file.truncate(0)
                elif whole.exists() and digest_of(whole) == sha256:
                    part.unlink()
                    return whole
                _transfer(url, file, wait_seconds)
                digest = digest_of(part)
                if sha256 in (None, digest):
                    return part.replace(whole)
                part.unlink()
        except BlockingIOError:
            raise WorkflowError(f"{part}: another run is downloading it; wait until that one has ended") from None
        except _GivenUpError as error:
            kept = f". What came so far is kept in {part}: run it again to go on" if _size(file) else ""
            raise WorkflowError(f"{redacted(url)}: {error}{kept}. {advice}") from None
        except OSError as error:
            if error.errno in DISK_FULL:
                part.unlink()
            raise
        finally:
            if part.exists() and part.stat().st_size == 0:
                part.unlink()
    raise WorkflowError(
        f"{redacted(url)}: the file has SHA-256 {digest}, not {sha256}, and was removed. Run it again; if it stays so, "
        "the file has changed at its source: check it, and set download.microsoft.sha256 to its digest"
    )


def _transfer(url: str, file: BinaryIO, wait_seconds: float) -> None:
    """Bring all of the file, in as many attempts as it takes while each brings something."""
    answered = False
    validator = ""
    failures = 0
    while True:
        start = _size(file)
        # "identity": a server that compresses on its way would count other bytes than the file's.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        if start and validator and not validator.startswith("W/"):
            headers["If-Range"] = validator
        try:
            with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
                answered = True
                validator = response.headers.get("ETag", "")
                _receive(response, file, start)
                return
        except _BROKEN as cut:
            failures = 0 if _size(file) > start else failures + 1
            # A host that never answered will not do so in seconds; a transfer that broke may well go on.
            if not answered or failures >= _ATTEMPTS:
                raise _unreachable(url, cut) from None
        except requests.RequestException as error:
            raise _unreachable(url, error) from None
        time.sleep(wait_seconds * 2**failures)


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _receive(response: requests.Response, file: BinaryIO, start: int) -> None:
    """Append what the server sends from ``start`` on, or all of it where the server starts anew."""
    ranges = response.headers.get("Content-Range", "")
    if response.status_code == requests.codes.requested_range_not_satisfiable:
        if ranges == f"bytes */{start}":
            return  # the part was whole already
        file.truncate(0)
        raise _CutOffError("the part kept from an earlier run is no part of the file")
    if response.status_code in _TRY_AGAIN:
        raise _CutOffError(f"the server answered {response.status_code} {response.reason}")
    if not response.ok:
        raise _GivenUpError(f"the server answered {response.status_code} {response.reason}; correct the address")
    if response.status_code != requests.codes.partial_content:
        file.truncate(0)  # the server knows no ranges, or the file has changed
    elif not ranges.startswith(f"bytes {start}-"):
        file.truncate(0)
        raise _CutOffError("the server sent another part than it was asked for")
    _save(response, file)


def _save(response: requests.Response, file: BinaryIO) -> None:
    start, total = _size(file), None
    if (length := response.headers.get("Content-Length")) is not None:
        total = start + int(length)
        if int(length) > shutil.disk_usage(Path(file.name).parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
    with tqdm(total=total, initial=start, desc="downloading", unit="B", unit_scale=True, disable=None) as bar:
        for chunk in response.iter_content(_CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
    file.flush()
    if total is not None and _size(file) < total:
        raise _CutOffError(f"{_size(file)} of {total} bytes came")


def _unreachable(url: str, error: Exception) -> _GivenUpError:
    # requests wraps urllib3's reason twice, each time with the address; the reason itself says what is wrong.
    innermost = getattr(error.args[0] if error.args else None, "reason", None) or error
    reason = re.sub(r"^\w*Connection\w*\(.*?\): ", "", " ".join(str(innermost).split()))
    return _GivenUpError(f"could not be downloaded from {urlsplit(url).hostname}: {reason}")
