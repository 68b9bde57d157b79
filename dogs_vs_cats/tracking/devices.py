"""What a training runs on."""

import platform
import sys
from contextlib import suppress
from pathlib import Path


def device_tags() -> dict[str, str]:
    """The processor's name and, once TensorFlow is loaded, those of the GPUs that it sees."""
    tags = {"device": "cpu", "cpu": _processor()}
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not hasattr(tensorflow, "config"):
        return tags
    names = []
    for gpu in tensorflow.config.list_physical_devices("GPU"):
        details = tensorflow.config.experimental.get_device_details(gpu)
        names.append(details.get("device_name", gpu.name))
    return tags | ({"device": "gpu", "gpu": ", ".join(names)} if names else {})


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
