"""Kill, lie, fill disks and hand over bad input, and count what held: ``make torture``.

Each subject begins no case after its share of the minutes. The exit status is 1 where one did not hold.
"""

import argparse
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from benchmarks.torture.cases import Task, chance

SUBJECTS = {
    "settings": ("hostile_input", 400),
    "zips": ("hostile_input", 150),
    "pictures": ("hostile_input", 500),
    "tracker": ("bad_tracker", 100),
    "disks": ("full_disks", 40),
    "stages": ("kills", 60),
    "searches": ("kills", 30),
    "confirmation": ("kills", 20),
}
"""The module of each, in which its function has its name, and its cases at most."""
COLUMNS = ("subject", "tried", "held", "faults", "minutes")


def main() -> None:
    """Try each subject; print every fault as it comes, and a table of counts at the end."""
    parser = argparse.ArgumentParser("python -m benchmarks.torture", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)}")
    parser.add_argument("--minutes", type=float, default=120, help="in all (%(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="of every random choice (%(default)s)")
    parser.add_argument("--cases", type=int, help="of each subject at most (its own number)")
    parser.add_argument("--table", type=Path, help="file to write the table of counts to")
    arguments = parser.parse_args()
    names, end = arguments.only or [*SUBJECTS], time.monotonic() + 60 * arguments.minutes
    rows: list[tuple[str, ...]] = [COLUMNS]
    for place, name in enumerate(names):
        module, most = SUBJECTS[name]
        begun = time.monotonic()
        until = begun + (end - begun) / (len(names) - place)
        tried, faults = 0, 0
        with tempfile.TemporaryDirectory(prefix="torture-") as folder:
            subject = getattr(import_module(f"benchmarks.torture.{module}"), name)
            task = Task(Path(folder), chance(f"{arguments.seed} {name}"), arguments.cases or most, until)
            for case, fault in subject(task):
                tried += 1
                faults += bool(fault)
                if fault:
                    print(f"{name}: {case}: {fault}", flush=True)
        minutes = (time.monotonic() - begun) / 60
        rows.append((name, str(tried), str(tried - faults), str(faults), f"{minutes:.1f}"))
        print(f"{name}: {tried} tried, {faults} faults, {minutes:.1f} minutes", flush=True)
        if arguments.table:
            arguments.table.write_text(table(rows), encoding="utf-8")
    print(table(rows), end="")
    sys.exit(any(row[3] != "0" for row in rows[1:]))


def table(rows: list[tuple[str, ...]]) -> str:
    """Lay rows out as a table in Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "| --- " * len(COLUMNS) + "|", *lines[1:], ""])


if __name__ == "__main__":
    main()
