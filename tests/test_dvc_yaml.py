"""``dvc.yaml`` names all that a stage runs: DVC itself does not trace imports."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache, reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from dogs_vs_cats import paths as layout
from dogs_vs_cats.models.kinds.registry import KINDS
from tests.conftest import ROOT

PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, dict[str, Any]] = PIPELINE["stages"]


def _file(module: str) -> Path | None:
    """The project's file of a dotted module name, None for packages from elsewhere."""
    path = Path(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if (ROOT / candidate).exists()), None)


@cache
def _imported(file: Path) -> set[Path]:
    """The project's files that a file imports, at its top or in its functions; not those for type checkers alone."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    found = {path for name in names if (path := _file(name))}
    return {path for path in found if path.name != "__init__.py"}


def code_of(stage: str) -> set[str]:
    """Every file of the project that ``python -m stages.STAGE`` runs."""
    waiting, seen = [Path("stages") / f"{stage}.py"], set()
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting.extend(_imported(file))
    return {file.as_posix() for file in seen}


def _declared(stage: str) -> dict[str, set[str]]:
    """The files of each dependency that is code: a file's own, a folder's modules."""
    return {
        path: {path} if path.endswith(".py") else {file.relative_to(ROOT).as_posix() for file in _modules(ROOT / path)}
        for path in STAGES[stage]["deps"]
        if path.startswith(("dogs_vs_cats/", "stages/")) and path != "dogs_vs_cats/reports/templates"
    }


def _modules(folder: Path) -> set[Path]:
    return {file for file in folder.glob("*.py") if file.name not in ("__init__.py", "__main__.py")}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_it_runs_and_on_nothing_that_it_does_not(stage: str) -> None:
    declared, runs = _declared(stage), code_of(stage)
    assert runs <= set().union(*declared.values())
    assert all(files & runs for files in declared.values())


def test_a_folder_that_stages_depend_on_holds_nothing_that_none_of_them_runs() -> None:
    holds: dict[str, set[str]] = {}
    ran: dict[str, set[str]] = {}
    for stage in STAGES:
        declared, runs = _declared(stage), code_of(stage)
        holds |= declared
        for path in declared:
            ran[path] = ran.get(path, set()) | runs
    for path, files in holds.items():
        assert files <= ran[path], path


def _outputs(stage: str) -> dict[str, dict[str, Any]]:
    """A stage's outputs, each with how DVC is to treat it."""
    listed = [output for kind in ("outs", "metrics") for output in STAGES[stage].get(kind, [])]
    return {
        path: how for output in listed for path, how in ({output: {}} if isinstance(output, str) else output).items()
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_the_module_of_its_name_with_paths_it_declares(stage: str) -> None:
    command = STAGES[stage]["cmd"].split("#")[0].split()
    assert command[:3] == ["python", "-m", f"stages.{stage}"]
    declared = [*STAGES[stage]["deps"], *_outputs(stage)]
    for option, path in zip(command[3::2], command[4::2], strict=True):
        assert option.startswith("--")
        assert any(name == path or name.startswith(f"{path}/") for name in declared), path


def _called_size(section: Any, key: str) -> Iterator[str]:
    if isinstance(section, dict):
        for name, value in section.items():
            if name in ("size", "nfiles"):
                yield f"{key}.{name}"
            yield from _called_size(value, f"{key}.{name}")


@pytest.mark.parametrize("stage", STAGES)
def test_a_setting_that_the_run_cache_does_not_see_stands_in_the_command(stage: str) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section in STAGES[stage].get("params", []):
        for key in _called_size(reduce(lambda inner, name: inner[name], section.split("."), values), section):
            assert f"${{{key}}}" in STAGES[stage]["cmd"]


def test_what_is_used_outside_the_stages_is_where_they_leave_it() -> None:
    outputs = [path for stage in STAGES for path in _outputs(stage)]
    for name, path in vars(layout).items():
        if name.isupper():
            assert any(output == str(path) or output.startswith(f"{path}/") for output in outputs), name


def test_metrics_and_curves_are_git_s_and_every_other_output_is_dvc_s() -> None:
    outputs = {path: how for stage in STAGES for path, how in _outputs(stage).items()}
    in_git = {path for path, how in outputs.items() if how == {"cache": False}}
    curves = {path for plot in PIPELINE["plots"] if isinstance(plot, dict) for path in next(iter(plot.values()))["y"]}
    metrics = {path for stage in STAGES.values() for out in stage.get("metrics", []) for path in out}
    assert in_git == curves | metrics
    assert curves == {f"reports/{kind}/history.csv" for kind in KINDS}
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *outputs, "reports/explain/a/b.png"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert set(ignored) == {*outputs, "reports/explain/a/b.png"} - in_git


def test_every_section_of_the_settings_is_some_stages() -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    declared = {name.split(".")[0] for stage in STAGES.values() for name in stage.get("params", [])}
    # Where runs are kept changes no result, and a search is no stage, so nothing runs again for them.
    assert declared == set(values) - {"tracking", "search"}
