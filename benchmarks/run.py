"""Every speed figure, each as a ratio within one run: ``make bench``, or ``python -m benchmarks.run features head``.

A benchmark's sides take turns, so that a busy machine slows both; the table gives the median and the spread over the
turns. Peers that are not installed are named as skipped, with the command that installs them.
"""

import argparse
import json
import os
import platform
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from benchmarks.measuring import Figure, Options
from dogs_vs_cats.processes import worker_processes
from dogs_vs_cats.settings.catalogue import BACKBONES
from dogs_vs_cats.tables import console

BENCHMARKS = ("starting", "decoding", "features", "head", "heads", "feeding", "tracking", "growth", "engines")
_LONG = {"growth", "engines"}


def main() -> None:
    """Run them, each in a process of its own; print a table, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "benchmarks", nargs="*", metavar="BENCHMARK", help=f"of {', '.join(BENCHMARKS)}; all but the last two"
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns (%(default)s)")
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs to decode, in place of drawn ones")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 20_000], help="photos, for growth (%(default)s)")
    parser.add_argument("--backbones", nargs="+", default=[], choices=BACKBONES, help="for engines (default: all)")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    names = arguments.benchmarks or [name for name in BENCHMARKS if name not in _LONG]
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    screen = console()
    found: dict[str, list[Figure]] = {}
    for number, name in enumerate(names, 1):
        with (
            screen.status(f"{name}, {number} of {len(names)}"),
            tempfile.TemporaryDirectory() as folder,
            worker_processes(1) as submit,
        ):
            several = tuple(arguments.sizes), tuple(arguments.backbones)
            options = Options(Path(folder), arguments.repeats, arguments.photos, *several)
            found[name] = submit(measure, name, options).result()
        screen.print(table(name, found[name]))
        if arguments.json:
            arguments.json.write_text(as_json(found), encoding="utf-8")


def measure(name: str, options: Options) -> list[Figure]:
    """All figures of one benchmark."""
    return list(import_module(f"benchmarks.{name}").figures(options))


def table(name: str, figures: list[Figure]) -> Table:
    """A row a figure."""
    made = Table(title=name, title_justify="left", title_style="bold")
    for column in ("what", "against", "median", "spread", "goal", ""):
        made.add_column(column, justify="right" if column in ("median", "spread", "goal") else "left")
    marks = {True: "[green]reached[/]", False: "[red]missed[/]", None: ""}
    for figure in figures:
        if not figure.values:
            made.add_row(figure.what, figure.against, "skipped", "", "", escape(figure.note))
            continue
        ceiling = figure.at_most or figure.unit != "times"
        goal = "" if figure.goal is None else f"{'<=' if ceiling else '>='} {figure.goal:g}"
        spread = f"{min(figure.values):.2f} to {max(figure.values):.2f}"
        mark = " ".join(filter(None, (marks[figure.reached], figure.note)))
        made.add_row(figure.what, figure.against, f"{figure.median:.2f} {figure.unit}", spread, goal, mark)
    return made


def as_json(found: dict[str, list[Figure]]) -> str:
    """The figures with the machine they were taken on."""
    figures = {
        name: [
            asdict(figure) | {"median": figure.median if figure.values else None, "reached": figure.reached}
            for figure in several
        ]
        for name, several in found.items()
    }
    machine = {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()}
    return json.dumps({"machine": machine, "figures": figures}, indent=2) + "\n"


if __name__ == "__main__":
    main()
