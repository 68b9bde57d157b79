"""Files and folders that appear whole or not at all, and what a file holds as one short text."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place to write a file, moved to ``path`` when the block ends well and removed when it does not.

    Args:
        path: where the file goes; its folder is made, a file already there is replaced.

    Yields:
        The path to write to: hidden, in the same folder.
    """
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        _name(error, partial, path)
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, moved to ``path`` when the block ends well and removed when it does not.

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
        if path.exists():
            shutil.rmtree(path)
        partial.replace(path)
    except OSError as error:
        _name(error, partial, path)
        raise
    finally:
        if partial.exists():
            shutil.rmtree(partial)


def _name(error: OSError, partial: Path, path: Path) -> None:
    """Name the output in the error: a write that fails, on a full disk say, names nothing, or a hidden file."""
    if error.errno is not None:
        error.filename = str(error.filename or path).replace(str(partial), str(path))


def digest_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, 64 hex digits; read in parts, so that memory does not grow with the file.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
