"""What can be known of the image without Docker: its files are there, and it installs the lock file alone."""

import re
from pathlib import PurePath

from tests.conftest import ROOT


def test_every_file_that_the_image_takes_is_there_and_reaches_docker() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE) for name in line.split()]
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert PurePath(name).parts[0] in sent, name
    # What the metadata and the recipe name, the image has.
    assert {"Makefile", "pyproject.toml", "requirements", "README.md", "LICENSE", "dogs_vs_cats"} <= set(copied)


def test_the_image_installs_what_the_lock_file_has_from_no_named_host() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "://" not in dockerfile
    assert "pip install" not in dockerfile
    assert "make setup" in dockerfile  # which requires the lock's hashes
    assert "--require-hashes" in (ROOT / "Makefile").read_text()
