"""Peak memory and time of every stage, on whatever the project's settings say: ``python benchmarks/memory.py``.

Runs each stage again with DVC, on the data that is there (``dvc repro`` first), and samples the memory of all its
processes. A page that several processes share, or that is mapped from a file, counts once (PSS).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import yaml

_SAMPLE_SECONDS = 0.1


def main() -> None:
    """Run the stages, print a table, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", help="all where none is named")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    stages = arguments.stages or list(yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"])
    print(f"{'stage':16}{'peak MB':>9}{'seconds':>9}")
    figures = {}
    for stage in stages:
        peak, seconds = measure(stage)
        figures[stage] = {"peak_mb": peak, "seconds": seconds}
        print(f"{stage:16}{peak:9.0f}{seconds:9.1f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(stage: str) -> tuple[float, float]:
    """Run one stage; return the peak of its processes' memory in MB, DVC's own left out, and its seconds."""
    return watch(["dvc", "repro", "--force", "--single-item", stage], ours=False)


def watch(command: list[str], *, ours: bool, **environment: str) -> tuple[float, float]:
    """Run a command.

    Args:
        command: what to run.
        ours: whether its own process counts, or its children alone.
        environment: variables to add.

    Returns:
        The peak of its processes' memory in MB, and its seconds.
    """
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory_of(process.pid, ours=ours))
        time.sleep(_SAMPLE_SECONDS)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return peak / 1e6, time.monotonic() - started


def memory_of(pid: int, *, ours: bool) -> int:
    """The memory of a process's children, and of its own where that counts, in bytes; a shared page counts once."""
    total = 0
    try:
        process = psutil.Process(pid)
        for one in [*([process] if ours else []), *process.children(recursive=True)]:
            total += one.memory_full_info().pss
    except psutil.Error:
        return 0  # a process that has just ended
    return total


if __name__ == "__main__":
    main()
