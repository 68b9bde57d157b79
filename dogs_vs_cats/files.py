"""Files and folders that appear whole or not at all, folders for the time being, and a file's digest."""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "dogs-vs-cats."
_NEW_SECONDS = 60


@contextmanager
def whole_file(path: Path, ending: str = ".partial") -> Iterator[Path]:
    """Offer a place to write a file: moved to ``path`` when the block ends well, removed when it does not.

    Args:
        path: where the file goes; its folder is made, a file already there is replaced. A link is replaced too, not
            followed: DVC may have made it, to its cache, whose files must not change.
        ending: what the hidden file's name has more than the file's; empty for a writer that goes by its end.

    Yields:
        The path to write to: hidden, in the same folder. It is on the disk before it is moved.
    """
    partial = path.with_name(f".{path.name}{ending}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        _name(error, partial, path)
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Offer an empty folder to fill: moved to ``path`` when the block ends well, removed when it does not.

    Args:
        path: where the folder goes; one already there is replaced.

    Yields:
        The folder to fill: hidden, beside ``path``. What a killed run left in it is gone.
    """
    partial = path.with_name(f".{path.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)
        partial.replace(path)
    except OSError as error:
        _name(error, partial, path)
        raise
    finally:
        if partial.exists():
            shutil.rmtree(partial)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder in the system's temporary directory that is gone after the block.

    A process that is killed leaves its folder there; the next one that makes a folder removes it. A lock, which the
    system drops when a process ends in whatever way, says whose folder is still in use.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, or in use
            # Its owner may not have locked a new one yet.
            if time.time() - left.stat().st_mtime > _NEW_SECONDS:
                with locked(left):
                    shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file or folder for this process alone, with no second file for the lock.

    Raises:
        BlockingIOError: if another process, or another part of this one, holds it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _name(error: OSError, partial: Path, path: Path) -> None:
    """Name the output in the error: a write that fails, on a full disk say, names nothing, or a hidden file."""
    if error.errno is not None:
        error.filename = str(error.filename or path).replace(str(partial), str(path))


def digest_of(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, 64 hex digits; memory does not grow with the file.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reserve(path: Path, header: int = 0) -> None:
    """Take the disk space of a file of its size, rather than find in the middle that there is too little.

    Args:
        path: the file, which may be a hole.
        header: bytes at its start that are written already.

    Raises:
        OSError: if there is too little.
    """
    size = path.stat().st_size
    with path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
            else:
                return
        # macOS and some file systems have no such call: write the zeros.
        file.seek(header)
        zeros = bytes(2**20)
        for start in range(header, size, len(zeros)):
            file.write(zeros[: size - start])
