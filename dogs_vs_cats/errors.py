"""The error a user can act on: stages print its one line and exit with status 1, without a traceback."""

import shlex


class WorkflowError(Exception):
    """Something the user can mend: the message names the file, key or photo and says what to do."""


def missing_package(needed_by: str, package: str) -> WorkflowError:
    """Return the error for a package that only some need: it names the commands that install it."""
    return WorkflowError(
        f"{needed_by}: {package} is not installed; run make setup, or pip install {shlex.quote(package)}"
    )
