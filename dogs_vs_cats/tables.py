"""Where tables are printed: a terminal's width bounds them, a file has none."""

from rich.console import Console

_UNBOUNDED = 10_000
"""Columns: more than any table has."""


def console() -> Console:
    """Return what prints to standard output; in a file or a pipe no word is broken or cut."""
    made = Console()
    return made if made.is_terminal else Console(width=_UNBOUNDED)
