"""What a training runs on."""

import platform
from contextlib import suppress
from pathlib import Path

from dogs_vs_cats.runtime import gpu_names


def device_tags() -> dict[str, str]:
    """The processor's name and, once Keras's backend is loaded, those of the GPUs that it sees."""
    tags = {"device": "cpu", "cpu": _processor()}
    names = gpu_names()
    return tags | ({"device": "gpu", "gpu": ", ".join(names)} if names else {})


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
