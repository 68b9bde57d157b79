"""DVC's experiments, each with its results and what it changed, narrow enough for a terminal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from dogs_vs_cats.commands.experiments import main
from dogs_vs_cats.errors import WorkflowError
from tests.commands.calling import call
from tests.conftest import ROOT, users_environment

CHANGED = {
    "bottleneck": ["train_scratch.optimizer.learning_rate=0.02", "bottleneck.pooling=[average]"],
    "shorter": ["train_vgg16.epochs=3"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a committed result, and an experiment with settings of its own for each of ``CHANGED``."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "reports").mkdir()
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (folder / "dvc.yaml").write_text("params: [params.yaml]\nmetrics: [reports/comparison_metrics.json]\n")
    _write(folder, 0.9, 0.25)
    _run(folder, "git", "init", "--quiet")
    _run(folder, "git", "config", "user.email", "someone@example.com")
    _run(folder, "git", "config", "user.name", "Someone")
    _run(folder, "dvc", "init", "--quiet")
    _run(folder, "git", "add", "--all")
    _run(folder, "git", "commit", "--quiet", "--message", "start")
    for accuracy, (name, settings) in enumerate(CHANGED.items()):
        _write(folder, accuracy, 0.0625)
        apply_overrides(folder / "params.yaml", settings)
        _run(folder, "dvc", "exp", "save", "--name", name)
        _run(folder, "git", "checkout", "--quiet", "--", ".")
    return folder


def _run(folder: Path, *command: str) -> None:
    name, *arguments = command
    subprocess.run(
        [sys.executable, "-m", name, *arguments] if name == "dvc" else command,
        cwd=folder, env=users_environment(), check=True,
        capture_output=True,
    )  # fmt: skip


def _write(folder: Path, accuracy: float, p_value: float) -> None:
    scores = {"accuracy": accuracy, "log_loss": 0.5}
    metrics = {"scratch": scores, "vgg16": scores, "ensemble": scores, "p_value": p_value}
    (folder / "reports/comparison_metrics.json").write_text(json.dumps(metrics))


def test_experiments_stand_beside_the_committed_result_with_what_they_changed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    call(main)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 120
    headings = " ".join(lines[:2])
    assert all(headings.count(word) == 2 for word in ("scratch", "vgg16", "accuracy", "log-loss"))
    assert "ensemble" not in headings
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    committed = ["0.9000", "0.5000", "0.9000", "0.5000", "0.2500"]
    assert rows["workspace"] == committed
    assert next(row[1:] for name, row in rows.items() if name in ("main", "master")) == committed
    first = ["0.0000", "0.5000", "0.0000", "0.5000", "0.0625"]
    settings = sorted([rows["bottleneck"][-1], *(name for name in rows if "=" in name)])
    assert rows["bottleneck"][1:-1] == first
    assert settings == sorted(CHANGED["bottleneck"])
    assert rows["shorter"][-1] == "train_vgg16.epochs=3"


def test_outside_a_project_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkflowError, match=r"DVC cannot tell the experiments: .*not inside of a DVC repository"):
        call(main)
