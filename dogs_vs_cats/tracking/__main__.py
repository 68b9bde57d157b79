"""Give MLflow what it missed while it did not answer."""

import argparse
import sys
from pathlib import Path

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.tracking.unsent import send


def main() -> None:
    """Send what MLflow missed."""
    parser = argparse.ArgumentParser("python -m dogs_vs_cats.tracking", description=__doc__)
    parser.add_argument("command", choices=["send"])
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder (%(default)s)")
    parser.add_argument("--uri", help="where to send to; not given: where each run was to go")
    arguments = parser.parse_args()
    line = ""
    try:
        for line in send(arguments.root.resolve(), arguments.uri):
            print(line)
    except WorkflowError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    if not line:
        print("nothing to send")


if __name__ == "__main__":
    main()
