"""Which process runs a trial, and whether it still lives: asked of the system, whatever the clock says."""

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

_BEGAN = 19  # of the fields of /proc/PID/stat after the name
_SLACK_SECONDS = 0.5


def owner_of(driver: str) -> dict[str, Any]:
    """Return this process as it is known later, when it may be gone.

    Args:
        driver: names the search that it works for.
    """
    pid = os.getpid()
    began = _look_at(pid)[1]
    return {"host": socket.gethostname(), "boot": _boot(), "pid": pid, "since": began, "driver": driver}


def is_here(owner: Mapping[str, Any]) -> bool:
    """Whether a process is, or was, one of this machine."""
    return bool(owner["host"] == socket.gethostname())


def is_alive(owner: Mapping[str, Any]) -> bool:
    """Whether a process of this machine has not ended."""
    return _state(owner) not in ("", "Z", "X")


def is_awake(owner: Mapping[str, Any]) -> bool:
    """Whether a process of this machine has not ended, and nobody has stopped it."""
    return is_alive(owner) and _state(owner) not in ("T", "t")


def _state(owner: Mapping[str, Any]) -> str:
    """Return the letter that the system has for a process's state; nothing if it is gone."""
    try:
        state, began = _look_at(owner["pid"])
    except (OSError, psutil.Error):
        return ""
    # A number is given to another process when the first has ended, or the machine was started again.
    return state if owner.get("boot") == _boot() and abs(began - owner["since"]) <= _SLACK_SECONDS else ""


def _look_at(pid: int) -> tuple[str, float]:
    """Return a process's state and when it began, in seconds; on Linux after the machine did.

    There psutil adds that to when the machine began by a clock that may have been set since.
    """
    if sys.platform != "linux":
        process = psutil.Process(pid)
        stopped = process.status() == psutil.STATUS_STOPPED
        return "T" if stopped else "R", process.create_time()
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return fields[0], int(fields[_BEGAN]) / os.sysconf("SC_CLK_TCK")


def _boot() -> str:
    """Return what names this start of the machine; nothing where the system has no name for it."""
    file = Path("/proc/sys/kernel/random/boot_id")
    return file.read_text(encoding="ascii").strip() if file.exists() else ""
