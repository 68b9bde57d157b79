"""Memory of a search as its trials go by: ``python benchmarks/worker_memory.py``, where the workflow has run.

Small trials with the article's settings run one after the other, in a project of their own on the same data; printed is
the highest memory (PSS) that all processes of the search had together while each trial ran. Flat means that a study can
be as long as one likes.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

import optuna
import yaml

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.memory import memory_of  # noqa: E402
from dogs_vs_cats.settings.spaces import ARTICLE_SCRATCH, ARTICLE_VGG16  # noqa: E402

_FEW = 4
_SAMPLE_SECONDS = 0.2


def main() -> None:
    """Run the search, look at its processes all the while."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--kind", choices=["scratch", "vgg16"], default="scratch")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peaks = watch_search(Path(folder), arguments.kind, arguments.trials)
    for trial, megabytes in enumerate(peaks, 1):
        print(f"trial {trial:3}: {megabytes:6.0f} MB")
    first, last = mean(peaks[:_FEW]), mean(peaks[-_FEW:])
    print(f"first {_FEW}: {first:.0f} MB, last {_FEW}: {last:.0f} MB, {last / first:.2f} times")


def watch_search(folder: Path, kind: str, trials: int) -> list[float]:
    """The highest memory during each trial, in MB."""
    (folder / "data").symlink_to(Path("data").resolve())
    settings = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    settings["search"][kind]["rungs"] = [{"epochs": 1.0}]
    space = settings["search"][kind]["space"]
    settings["search"][kind]["space"] = article_only(space, ARTICLE_SCRATCH if kind == "scratch" else ARTICLE_VGG16)
    params = folder / "params.yaml"
    params.write_text(yaml.safe_dump(settings), encoding="utf-8")
    storage = f"sqlite:///{folder / 'optuna.db'}"
    command = [sys.executable, f"{sys.path[0]}/search/optuna_{kind}.py", f"--params={params}", f"--storage={storage}"]
    command += [f"--trials={trials}", "--study=memory", "--images=400", "--epochs=2"]
    command += ["--size=32"] if kind == "scratch" else []
    search = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peaks: dict[int, float] = defaultdict(float)
    study = None
    while search.poll() is None:
        time.sleep(_SAMPLE_SECONDS)
        study = study or open_study(folder / "optuna.db", storage)
        ended = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False)) if study else 0
        peaks[ended] = max(peaks[ended], memory_of(search.pid, ours=True) / 1e6)
    if search.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return [peaks[ended] for ended in range(trials)]


def article_only(space: dict[str, Any], article: dict[str, Any]) -> dict[str, Any]:
    """The space with nothing in it but the article's values."""

    def narrowed(allowed: Any, value: Any) -> Any:
        values = value if isinstance(value, list) else [value]
        return {"low": min(values), "high": max(values)} if isinstance(allowed, dict) else sorted(set(values))

    optimizer = article["optimizers"]
    rates = {rate: narrowed({}, article[rate]) for rate in ("learning_rate", "momentum") if rate in article}
    only = {key: narrowed(allowed, article[key]) for key, allowed in space.items() if key in article}
    return space | only | {"optimizers": {optimizer: rates}}


def open_study(database: Path, storage: str) -> optuna.Study | None:
    """The study, once there is one."""
    if not database.exists():
        return None
    try:
        return optuna.load_study(study_name="memory", storage=storage)
    except KeyError:
        return None


if __name__ == "__main__":
    main()
