"""Files from the network: resumed, with progress, checked by digest; and Kaggle's competitions by its own client."""

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
from tqdm import tqdm

from dogs_vs_cats.errors import WorkflowError, missing_package
from dogs_vs_cats.files import digest_of

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_CHUNK = 2**16  # what a cut-off connection can lose
_TIMEOUT_SECONDS = (15, 60)  # to connect, and between two packets
_ATTEMPTS = 6  # in a row that brought nothing
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_WITHOUT_NETWORK = (
    "Without a network: download.source=drawn; or get the photos another way and set download.source=zip (or folder) "
    "and download.path"
)


class _CutOffError(Exception):
    """The transfer ended early; what came is kept, and the next attempt goes on from there."""


def download(url: str, sha256: str | None, folder: Path, wait_seconds: float = 1.0) -> Path:
    """Download a file, going on from what an earlier, cut-off download left.

    Args:
        url: the file's address.
        sha256: the digest it must have, in hex. None leaves it unchecked, and what an earlier run left is then not
            used: nothing would show that the file has changed in between.
        folder: where the file, and the part of it that is there so far, are kept.
        wait_seconds: the pause after a failed attempt, doubled after each one that brought nothing.

    Returns:
        The path of the whole file.

    Raises:
        WorkflowError: if the server can't be reached, does not have the file or keeps cutting it off, if the digest
            is wrong (the file is then removed), if the disk has no room for it, or another run is downloading it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]", "_", Path(urlsplit(url).path).name) or "download"
    whole = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    part = whole.with_name(f"{whole.name}.part")
    with part.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkflowError(f"{part}: another run is downloading it; wait until that one has ended") from None
        if sha256 is None:
            file.truncate(0)
        elif whole.exists() and digest_of(whole) == sha256:
            part.unlink()
            return whole
        try:
            _transfer(url, file, wait_seconds)
        except OSError as error:
            if error.errno in DISK_FULL:
                part.unlink()
            raise
        finally:
            if part.exists() and part.stat().st_size == 0:
                part.unlink()
        found = digest_of(part)
        if sha256 not in (None, found):
            part.unlink()
            raise WorkflowError(
                f"{url}: the file has SHA-256 {found}, not {sha256}, and was removed. Run it again; if it stays so, "
                "the file has changed at its source: check it, and set download.microsoft.sha256 to its digest"
            )
        part.replace(whole)
    return whole


def remove_empty(folder: Path) -> None:
    """Remove a folder for downloads, and those in it, if no part of a download is kept there."""
    if folder.is_dir():
        for inner in folder.iterdir():
            remove_empty(inner)
        with contextlib.suppress(OSError):
            folder.rmdir()


def _transfer(url: str, file: BinaryIO, wait_seconds: float) -> None:
    """Bring all of the file, in as many attempts as it takes while each brings something."""
    answered = False
    validator: str | None = None
    failures = 0
    while True:
        start = _size(file)
        headers = _headers(start, validator)
        try:
            with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
                answered = True
                validator = response.headers.get("ETag")
                _receive(response, url, file, start)
                return
        except (*_BROKEN, _CutOffError) as cut:
            failures = 0 if _size(file) > start else failures + 1
            # A host that never answered will not do so in seconds; a transfer that broke may well go on.
            if not answered or failures >= _ATTEMPTS:
                raise _unreachable(url, file, cut) from None
        except requests.RequestException as error:
            raise _unreachable(url, file, error) from None
        time.sleep(wait_seconds * 2**failures)


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _headers(start: int, validator: str | None) -> dict[str, str]:
    # "identity": a server that compresses on its way would count other bytes than the file's.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator and not validator.startswith("W/"):
            headers["If-Range"] = validator
    return headers


def _receive(response: requests.Response, url: str, file: BinaryIO, start: int) -> None:
    """Append what the server sends from ``start`` on, or all of it where the server starts anew."""
    if response.status_code == requests.codes.requested_range_not_satisfiable:
        if response.headers.get("Content-Range") == f"bytes */{start}":
            return  # the part was whole already
        file.truncate(0)
        raise _CutOffError("the part kept from an earlier run is no part of the file")
    if response.status_code in _TRY_AGAIN:
        raise _CutOffError(f"the server answered {response.status_code} {response.reason}")
    if not response.ok:
        answer = f"{response.status_code} {response.reason}"
        raise WorkflowError(f"{url}: the server answered {answer}; correct the address. {_WITHOUT_NETWORK}")
    if response.status_code != requests.codes.partial_content:
        file.truncate(0)  # the server knows no ranges, or the file has changed
    elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
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


def _unreachable(url: str, file: BinaryIO, error: Exception) -> WorkflowError:
    kept = f" What came so far is kept in {file.name}: run it again to go on." if _size(file) else ""
    # requests wraps urllib3's reason twice, each time with the address; the reason itself says what is wrong.
    innermost = getattr(error.args[0] if error.args else None, "reason", None) or error
    reason = re.sub(r"^\w*Connection\w*\(.*?\): ", "", " ".join(str(innermost).split()))
    return WorkflowError(
        f"{url}: could not be downloaded from {urlsplit(url).hostname}: {reason}.{kept} {_WITHOUT_NETWORK}"
    )


# ---------------------------------------------------------------- Kaggle


def download_competition(competition: str, folder: Path) -> Path:
    """Download a competition's zip with Kaggle's own client, which finds the user's credentials and resumes.

    The client runs as a process of its own: imported, it may end the process it is in.

    Args:
        competition: the competition's name in its address.
        folder: where the zip, and the part of it that is there so far, are kept.

    Returns:
        The path of the zip.

    Raises:
        WorkflowError: if Kaggle's client is not installed, there are no credentials, the rules were not accepted, or
            Kaggle can't be reached or has no such competition.
    """
    if importlib.util.find_spec("kaggle") is None:
        raise missing_package("download.source is kaggle", "kaggle")
    folder = folder / f"kaggle-{re.sub(r'[^A-Za-z0-9_.-]', '_', competition)}"
    folder.mkdir(parents=True, exist_ok=True)
    terminal = sys.stderr.isatty()
    command = [sys.executable, "-m", "kaggle", "competitions", "download", "--path", str(folder)]
    command += [*([] if terminal else ["--quiet"]), "--", competition]
    output = bytearray()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0) as process:
        assert process.stdout is not None
        while chunk := process.stdout.read(_CHUNK):
            output += chunk
            if terminal:
                sys.stderr.buffer.write(chunk)
                sys.stderr.flush()
    found = sorted(folder.glob("*.zip"))
    if process.returncode != 0 or not found:
        raise WorkflowError(_kaggle_failure(competition, output.decode(errors="replace")))
    return found[0]


def _kaggle_failure(competition: str, output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = lines[-1][:300] if lines else "nothing"
    if "Authentication required" in output:
        reason = (
            "no Kaggle account's credentials are there, or they are not valid; make a token at "
            "https://www.kaggle.com/settings/api and put it into the environment variable KAGGLE_API_TOKEN or the file "
            "~/.kaggle/access_token"
        )
    elif re.search(r"403 Client Error|accept.*rules", output, re.IGNORECASE):
        rules = f"https://www.kaggle.com/competitions/{competition}/rules"
        reason = f"Kaggle refuses it ({said}); join the competition and accept its rules at {rules}"
    elif "404 Client Error" in output:
        reason = f"Kaggle does not have it ({said}); correct download.kaggle.competition"
    else:
        reason = f"Kaggle's client said: {said}"
    return f"kaggle: competition {competition} could not be downloaded: {reason}. {_WITHOUT_NETWORK}"
