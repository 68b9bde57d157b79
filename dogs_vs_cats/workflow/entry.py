"""How every script of the project begins and ends: errors as one line without a traceback."""

import sys
from collections.abc import Callable

from dogs_vs_cats.workflow.errors import WorkflowError


def run(main: Callable[[], None]) -> None:
    """Run a script; turn an error the user can act on into one message and exit status 1."""
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
