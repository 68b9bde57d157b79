"""A command run as the console runs it."""

import sys
from pathlib import Path

import click

# A PNG that claims 1 x 100,000,000 pixels.
HUGE = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000105f5e100080200000003e072b90000000849444154789c0300"
    "00000001480689d20000000049454e44ae426082"
)

DOGS_VS_CATS = Path(sys.executable).with_name("dogs-vs-cats")


def call(command: click.Command, *arguments: str) -> None:
    """Run a command; a status other than 0 is a ``SystemExit``, and what the console makes one line an exception."""
    try:
        command.main(arguments, "dogs-vs-cats")
    except SystemExit as ended:
        if ended.code:
            raise
