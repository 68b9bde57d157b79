"""The Makefile's presets are settings that the workflow takes."""

import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from dogs_vs_cats.settings.params import load_settings
from tests.conftest import ROOT


@pytest.mark.parametrize("preset", ["article", "best-scratch", "best-transfer", "best-vgg16"])
def test_a_preset_is_settings_that_are_taken(preset: str, tmp_path: Path) -> None:
    command = ["make", "--dry-run", "--old-file", ".venv/ready-cpu", preset]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words = shlex.split(printed[printed.index("dvc exp run") :])
    overrides = [value for option, value in pairwise(words) if option == "-S"]
    assert len(overrides) > 1
    shutil.copy(ROOT / "params.yaml", tmp_path)
    before = load_settings(tmp_path / "params.yaml")
    apply_overrides(tmp_path / "params.yaml", overrides)
    assert load_settings(tmp_path / "params.yaml") != before
