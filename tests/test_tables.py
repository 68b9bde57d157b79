"""Tables have whole words in a file or a pipe, and a terminal's width in a terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress

from tests.conftest import ROOT

WHAT, AGAINST, NOTE = "features of 1,000 photos with every layer", "TensorFlow's own network on two cores", "n" * 90
PRINTING = f"""
from benchmarks.measuring import Figure
from benchmarks.run import table
from dogs_vs_cats.tables import console
console().print(table("features", [Figure({WHAT!r}, {AGAINST!r}, [1.5], note={NOTE!r})]))
"""


def test_a_table_in_a_pipe_has_whole_words_whatever_width_is_said() -> None:
    variables = os.environ | {"COLUMNS": "80"}
    command = [sys.executable, "-c", PRINTING]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    row = next(line for line in done.stdout.splitlines() if WHAT in line)
    assert all(words in row for words in (AGAINST, "1.50 times", NOTE))


def test_a_table_in_a_terminal_has_its_width() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
    variables = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    command = [sys.executable, "-c", PRINTING]
    process = subprocess.Popen(command, cwd=ROOT, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # Linux's sign that the other end is closed
        while part := os.read(ours, 65536):
            shown += part
    assert process.wait() == 0
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown.decode()).splitlines()
    assert max(map(len, lines)) == 70
