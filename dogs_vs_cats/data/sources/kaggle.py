"""Kaggle's competitions, by its own client."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from dogs_vs_cats.errors import WorkflowError, missing_package

WITHOUT_NETWORK = (
    "Without a network: download.source=drawn; or get the photos another way and set download.source=zip (or folder) "
    "and download.path"
)
_CHUNK = 2**16


def download_competition(competition: str, folder: Path) -> Path:
    """Download a competition's zip with Kaggle's own client, which finds the user's credentials and resumes.

    The client runs as a process of its own: imported, it may end the process it is in.

    Args:
        competition: the competition's name in its address.
        folder: keeps the zip, and the part of it that has come so far.

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
    zips = sorted(folder.glob("*.zip"))
    if process.returncode != 0 or not zips:
        reason = _reason(competition, output.decode(errors="replace"))
        raise WorkflowError(f"kaggle: competition {competition} could not be downloaded: {reason}. {WITHOUT_NETWORK}")
    return zips[0]


def _reason(competition: str, output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = lines[-1][:300] if lines else "nothing"
    if "Authentication required" in output:
        return (
            "no Kaggle account's credentials are there, or they are not valid; make a token at "
            "https://www.kaggle.com/settings/api and put it into the environment variable KAGGLE_API_TOKEN or the file "
            "~/.kaggle/access_token"
        )
    if re.search(r"403 Client Error|accept.*rules", output, re.IGNORECASE):
        rules = f"https://www.kaggle.com/competitions/{competition}/rules"
        return f"Kaggle refuses it ({said}); join the competition and accept its rules at {rules}"
    if "404 Client Error" in output:
        return f"Kaggle does not have it ({said}); correct download.kaggle.competition"
    return f"Kaggle's client said: {said}"
