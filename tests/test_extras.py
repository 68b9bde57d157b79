"""What only some need: each missing package is named with the command that brings it, and the lock has nearly all."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from dogs_vs_cats.commands import audit
from dogs_vs_cats.data.sources.kaggle import download_competition
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.search.storage import open_storage
from tests.conftest import ROOT


def test_a_missing_package_is_named_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("kaggle", "cleanlab", "psycopg"):
        monkeypatch.setitem(sys.modules, package, None)
    told = r"{} is not installed; run make setup, or pip install {}$"
    with pytest.raises(WorkflowError, match=told.format("kaggle", "kaggle")):
        download_competition("dogs-vs-cats", tmp_path)
    with pytest.raises(WorkflowError, match=told.format("cleanlab", "cleanlab")):
        audit.main(["--params", str(ROOT / "params.yaml")])
    with pytest.raises(WorkflowError, match=told.format(r"psycopg\[binary\]", r"'psycopg\[binary\]'")) as caught:
        open_storage("postgresql://me:secret@127.0.0.1:9/studies", 60)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("lock", ["cpu.txt", "gpu.txt"])
def test_the_lock_has_every_extra_but_those_that_are_left_out_on_purpose(lock: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    locked = set(
        re.findall(r"^([a-z0-9-]+)(?:\[[a-z]+\])?==", (ROOT / "requirements" / lock).read_text(), re.MULTILINE)
    )
    for name in extras.keys() - {"cpu", "gpu", "jax-gpu", "dev", "openvino", "s3", "ssh", "peers"}:
        assert {re.split(r"[\[<>=]", package)[0] for package in extras[name]} <= locked
