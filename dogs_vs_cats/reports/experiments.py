"""DVC's experiments beside the committed results, each with the settings that it changed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.paths import COMPARISON_METRICS
from dogs_vs_cats.tables import console
from dogs_vs_cats.tracking.making import changed_settings, flattened, overrides


@dataclass(frozen=True)
class _Row:
    name: str
    created: str
    metrics: dict[str, Any]
    changed: list[str]


def print_experiments(root: Path, commits: int) -> None:
    """Print the latest commits and their experiments; DVC's own table has a column for each setting.

    Args:
        root: the project's folder.
        commits: how many of the latest.

    Raises:
        WorkflowError: if DVC cannot tell, with its reason.
    """
    rows = list(_rows(_committed(root, commits)))
    names = list(dict.fromkeys(name for row in rows for name in row.metrics if _is_compared(name)))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("experiment", "created"):
        table.add_column(heading, no_wrap=True)
    for name in names:
        table.add_column(name.replace(".", "\n").replace("log_loss", "log-loss"), justify="right", no_wrap=True)
    table.add_column("changed settings", overflow="fold")
    for row in rows:
        values = (row.metrics.get(name) for name in names)
        cells = ("-" if value is None else f"{value:.4f}" for value in values)
        table.add_row(row.name, row.created, *cells, "\n".join(row.changed))
    console().print(table, markup=False)


def _is_compared(name: str) -> bool:
    return name.startswith("p_value") or (
        not name.startswith("ensemble.") and name.endswith((".accuracy", ".log_loss"))
    )


def _committed(root: Path, commits: int) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json", "--num", str(commits)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise WorkflowError(f"DVC cannot tell the experiments: {said[0] if said else 'dvc exp show failed'}")
    states: list[dict[str, Any]] = json.loads(done.stdout)
    return states


def _rows(committed: list[dict[str, Any]]) -> Iterator[_Row]:
    """A row for the working tree, each commit and each experiment, which changed what its commit does not have."""
    for state, older in zip(committed, [*committed[1:], committed[-1]], strict=True):
        rev = state["rev"]
        yield _row(state["name"] or (rev if rev == "workspace" else rev[:7]), state, older)
        for experiment in state["experiments"] or []:
            tip, executor = experiment["revs"][0], experiment["executor"] or {"state": "success"}
            name = f"  {tip['name'] or tip['rev'][:7]}"
            yield _row(name if executor["state"] == "success" else f"{name} ({executor['state']})", tip, state)


def _row(name: str, state: dict[str, Any], base: dict[str, Any]) -> _Row:
    if state["data"] is None:
        return _Row(name, "", {}, [f"not readable: {state['error']['msg']}"] if state["error"] else [])
    changed = changed_settings(_read(base, "params", "params.yaml"), _read(state, "params", "params.yaml"))
    return _Row(
        name=name,
        created=_when(state["data"]["timestamp"]),
        metrics=flattened(_read(state, "metrics", COMPARISON_METRICS.as_posix())),
        changed=overrides(changed),
    )


def _read(state: dict[str, Any], what: str, file: str) -> dict[str, Any]:
    """A file of a state as DVC has read it; empty where there was none."""
    values: dict[str, Any] = ((state["data"] or {}).get(what, {}).get(file) or {}).get("data") or {}
    return values


def _when(timestamp: str | None) -> str:
    """The time of today, the date of other days."""
    if timestamp is None:  # the working tree
        return ""
    made = datetime.fromisoformat(timestamp)  # local, as DVC gives it
    return f"{made:%H:%M}" if made.date() == datetime.now().date() else f"{made:%Y-%m-%d}"  # noqa: DTZ005
