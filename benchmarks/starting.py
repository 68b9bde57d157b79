"""How soon a command answers that has little to do: --help, an error in the settings, ``dvc repro`` of what is done."""

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from benchmarks.measuring import Figure, Options, ratios
from benchmarks.nothing_to_do import OTHERS, in_turns

SECONDS = 1.0


def figures(options: Options) -> Iterator[Figure]:
    """All stages in turns, the slowest counts."""
    settings = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    settings["split"]["validation"] = "many"
    faulty = options.folder / "params.yaml"
    faulty.write_text(yaml.safe_dump(settings), encoding="utf-8")
    declared = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    stages = list(declared)
    commands: dict[str, Callable[[str], list[str]]] = {
        "python -m stages.X --help": lambda stage: ["-m", f"stages.{stage}", "--help"],
        "python stages/X.py --help": lambda stage: [f"stages/{stage}.py", "--help"],
        "an error in params.yaml": lambda stage: [
            *declared[stage]["cmd"].partition("#")[0].split()[1:],
            "--params",
            str(faulty),
        ],
    }
    for what, command in commands.items():
        slowest = [max(seconds(command(stage)) for stage in stages) for _ in range(options.repeats)]
        against = f"processor, slowest of {len(stages)} stages"
        yield Figure(what, against, slowest, unit="s", goal=SECONDS)
    bare = [seconds(["-c", "import numpy, pydantic, yaml"]) for _ in range(options.repeats)]
    yield Figure("python -c 'import numpy, pydantic, yaml'", "for comparison", bare, unit="s")
    if Path("data/features").exists():
        here, *others = in_turns(options.repeats)
        for name, other, goal in zip(OTHERS, others, (1.5, None), strict=True):
            yield Figure("dvc repro, nothing to do", name, ratios(here, other), goal=goal, at_most=True)
    else:
        yield Figure("dvc repro, nothing to do", OTHERS[0], note="run dvc repro first")


def seconds(arguments: list[str]) -> float:
    """Processor seconds of a Python command, whatever its exit status: what it takes on a machine that is idle."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
