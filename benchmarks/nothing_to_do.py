"""``dvc repro`` with nothing to do, here and in a bare DVC project: ``python benchmarks/nothing_to_do.py``.

The bare project has one stage, whose output is a folder of as many files as ``data`` here has: what DVC itself takes to
see that so much data is unchanged.

The two take turns, so that whatever else the machine does slows both; the figure is the ratio of the medians.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

_BARE = "stages:\n  fill:\n    cmd: python fill.py\n    deps: [fill.py]\n    outs: [out]\n"
_FILL = "import pathlib; out = pathlib.Path('out'); out.mkdir(); [(out / str(i)).write_text(str(i)) for i in range({})]"


def main() -> None:
    """Time both, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    pairs = in_pairs(parser.parse_args().repeats)
    ours, bares = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratios = sorted(own / other for own, other in pairs)
    print(
        f"here {ours:.2f} s, bare project {bares:.2f} s, ratio {ours / bares:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def in_pairs(repeats: int) -> list[tuple[float, float]]:
    """Seconds here and in the bare project, taking turns."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder)
        subprocess.run(["git", "init", "--quiet"], cwd=bare, check=True)
        subprocess.run(["dvc", "init", "--quiet"], cwd=bare, check=True)
        for key in ("core.analytics", "core.check_update"):
            subprocess.run(["dvc", "config", key, "false"], cwd=bare, check=True)
        files = sum(path.is_file() for path in Path("data").rglob("*"))
        (bare / "fill.py").write_text(_FILL.format(files), encoding="utf-8")
        (bare / "dvc.yaml").write_text(_BARE, encoding="utf-8")
        for project in (here, bare):
            seconds(project)
        return [(seconds(here), seconds(bare)) for _ in range(repeats)]


def seconds(project: Path) -> float:
    """Time ``dvc repro`` in a project."""
    started = time.perf_counter()
    # Where Python may not keep what it compiles, both take a second longer, and the ratio flatters.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(["dvc", "repro"], cwd=project, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
