"""How every script of the project begins and ends: its options, and errors as one line without a traceback."""

import argparse
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.settings.reading import parse_yaml, read_text


def run(main: Callable[[], None]) -> None:
    """Run a script; turn an error the user can act on into one message and exit status 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A photo's name may have what the terminal cannot say, or bytes that are no text: \udce9 stands for those.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
    except WorkflowError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        # Disk full, no permission, a file that vanished: the system's own words name the file and the reason.
        named = f"{error.filename}: " if error.filename else ""
        print(f"error: {named}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except MemoryError:
        print("error: out of memory; close other programs, or use fewer or smaller images", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("error: interrupted; run it again to go on", file=sys.stderr)
        sys.exit(130)


def parse_arguments(description: str, **paths: str) -> argparse.Namespace:
    """Parse a stage's command line.

    Args:
        description: what the stage does.
        paths: an option for each path the stage reads or writes, with its help text.

    Returns:
        A ``pathlib.Path`` for each of ``paths``, and ``settings``, the checked ``params.yaml``.

    Raises:
        WorkflowError: if ``params.yaml`` has any fault.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="the settings (%(default)s)")
    for name, text in paths.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True, help=text)
    arguments = parser.parse_args()
    _tell_place()
    arguments.settings = load_settings(arguments.params)
    return arguments


def _tell_place() -> None:
    """Say which stage of how many this is where DVC runs it, which tells of those that it skips itself."""
    name, pipeline = os.environ.get("DVC_STAGE"), Path("dvc.yaml")
    if name is None or not pipeline.is_file():
        return
    stages = parse_yaml(read_text(pipeline), str(pipeline))["stages"]
    if name in stages:
        place = [*stages].index(name) + 1
        print(f"stage {place} of {len(stages)}: {stages[name].get('desc', name)}", flush=True)
