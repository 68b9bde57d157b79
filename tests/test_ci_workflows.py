"""The workflows of CI: what of them can run here does, the comment on a pull request among it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

WORKFLOWS = ROOT / ".github/workflows"


def steps(workflow: str, job: str) -> list[dict[str, Any]]:
    """A job's steps."""
    found: list[dict[str, Any]] = yaml.safe_load((WORKFLOWS / workflow).read_text())["jobs"][job]["steps"]
    return found


def script(name: str) -> str:
    """What the workflow of the comparison runs in the step of this name."""
    (found,) = [step["run"] for step in steps("comparison.yml", "compare") if step.get("name") == name]
    return str(found)


def run(folder: Path, *command: str, **variables: str) -> str:
    """Run a command that must succeed; return what it printed."""
    done = subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone on a branch that changed a setting and a result, as the workflow has it after ``dvc repro``."""
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(ROOT), str(clone))
    (clone / ".venv").symlink_to(sys.prefix)
    run(clone, "git", "config", "user.email", "you@example.com")
    run(clone, "git", "config", "user.name", "you")
    # main went on after the branch left it: none of that is the branch's.
    params = clone / "params.yaml"
    left = run(clone, "git", "rev-parse", "HEAD")
    run(clone, "git", "switch", "--quiet", "--create", "main-went-on")
    params.write_text(params.read_text().replace("confidence: 0.95", "confidence: 0.9"))
    run(clone, "git", "commit", "--quiet", "--all", "--message", "Ask less")
    run(clone, "git", "tag", "base")
    run(clone, "git", "switch", "--quiet", "--create", "branch", left)
    params.write_text(params.read_text().replace("calibration_bins: 15", "calibration_bins: 12"))
    run(clone, "git", "commit", "--quiet", "--all", "--message", "Change a setting")
    metrics = clone / "reports/comparison_metrics.json"
    metrics.write_text(metrics.read_text().replace('"accuracy": 0.', '"accuracy": 0.1', 1))
    (clone / "reports/comparison.json").write_text('{"verdict": "The `CNN` is better."}')
    return clone


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed; GitHub's machines have it")
def test_the_comment_has_the_verdict_and_what_the_branch_changed(clone: Path, tmp_path: Path) -> None:
    base = run(clone, "git", "rev-parse", "base")
    # As GitHub runs it.
    run(clone, "bash", "-e", "-c", script("Write the comparison"), BASE=base, GITHUB_STEP_SUMMARY=str(tmp_path / "s"))
    comment = (clone / "comment.md").read_text()
    assert comment == (tmp_path / "s").read_text()
    verdict, metrics, settings = comment.split("\n### ")
    assert verdict == "## Comparison\nThe `CNN` is better."
    assert "| reports/comparison_metrics.json |" in metrics
    assert "| params.yaml | compare.calibration_bins |" in settings
    assert "confidence" not in settings


def test_the_comment_is_posted_only_where_that_is_allowed() -> None:
    (comment,) = [step for step in steps("comparison.yml", "compare") if step.get("name") == "Comment"]
    assert comment["run"].startswith("gh pr comment ")
    assert "comment.md" in comment["run"]
    assert comment["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    permissions = yaml.safe_load((WORKFLOWS / "comparison.yml").read_text())["permissions"]
    assert permissions == {"contents": "read", "pull-requests": "write"}


def test_every_script_is_one_that_bash_reads_and_every_file_that_it_names_is_there() -> None:
    for workflow, job in (("ci.yml", "test"), ("comparison.yml", "compare")):
        for step in steps(workflow, job):
            if "run" in step:
                run(ROOT, "bash", "-n", "-c", step["run"])
    assert os.access(ROOT / ".ci/run", os.X_OK)
