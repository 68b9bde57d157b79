"""``dvc repro`` with nothing to do, here and where there is less to look at: ``python benchmarks/nothing_to_do.py``.

A bare project has one stage, whose output is a folder of as many files as ``data`` here has: what DVC itself takes to
see that so much data is unchanged. Another has the stages, settings and outputs that are here, and no list of code:
what DVC itself takes for such a pipeline.

They take turns, so that whatever else the machine does slows all; a figure is the median of the turns' ratios.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.measuring import ratios, take_turns

_BARE = "stages:\n  fill:\n    cmd: python fill.py\n    deps: [fill.py]\n    outs: [out]\n"
_FILL = "import pathlib; out = pathlib.Path('out'); out.mkdir(); [(out / str(i)).write_text(str(i)) for i in range({})]"
OTHERS = ("a bare DVC project", "the same stages without lists of code")


def main() -> None:
    """Time all, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    here, *others = in_turns(parser.parse_args().repeats)
    print(f"here {statistics.median(here):.2f} s")
    for name, other in zip(OTHERS, others, strict=True):
        found = ratios(here, other)
        print(f"against {name}: {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})")


def in_turns(repeats: int) -> list[list[float]]:
    """Seconds here, and in each of ``OTHERS``, one a turn."""
    here = Path.cwd()
    # Beside the data, whose files are linked and not copied.
    with tempfile.TemporaryDirectory(dir=here / ".dvc" / "tmp") as folder:
        bare, same = Path(folder) / "bare", Path(folder) / "same"
        for project in (bare, same):
            _start(project)
        _make_bare(bare, sum(path.is_file() for path in Path("data").rglob("*")))
        _make_same(same)
        return take_turns(repeats, *(partial(_repro, project) for project in (here, bare, same)))


def _repro(project: Path) -> None:
    # Where Python may not keep what it compiles, all take a second longer, and the ratio flatters.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    _run(project, "dvc", "repro", environment=environment)


def _start(project: Path) -> None:
    project.mkdir()
    _run(project, "git", "init", "--quiet")
    _run(project, "dvc", "init", "--quiet")
    for key in ("core.analytics", "core.check_update"):
        _run(project, "dvc", "config", key, "false")
    _run(project, "dvc", "config", "cache.type", "hardlink,copy")


def _make_bare(project: Path, files: int) -> None:
    (project / "fill.py").write_text(_FILL.format(files), encoding="utf-8")
    (project / "dvc.yaml").write_text(_BARE, encoding="utf-8")


def _make_same(project: Path) -> None:
    pipeline = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))
    shutil.copy("params.yaml", project)
    for stage in pipeline["stages"].values():
        stage["deps"] = [path for path in stage["deps"] if not path.startswith(("dogs_vs_cats/", "stages/"))]
        for listed in [*stage["deps"], *stage.get("outs", []), *stage.get("metrics", [])]:
            path = listed if isinstance(listed, str) else next(iter(listed))
            _link(Path(path), project / path)
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
    _run(project, "dvc", "commit", "--force")


def _link(path: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, copy_function=os.link)
    else:
        os.link(path, target)


def _run(project: Path, *command: str, environment: dict[str, str] | None = None) -> None:
    subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL, env=environment)


if __name__ == "__main__":
    main()
