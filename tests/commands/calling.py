"""A command run as the console runs it."""

import click


def call(command: click.Command, *arguments: str) -> None:
    """Run a command; a status other than 0 is a ``SystemExit``, and what the console makes one line an exception."""
    try:
        command.main(arguments, "dogs-vs-cats")
    except SystemExit as ended:
        if ended.code:
            raise
