"""What a file holds, as one short text."""

import hashlib
from pathlib import Path


def digest_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, 64 hex digits; read in parts, so that memory does not grow with the file.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
