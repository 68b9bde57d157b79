"""How busy the machine is while a run goes on."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

# The first samples come early, so that a short run has some; a sample costs 0.1 ms, sending it 5 ms.
_INTERVALS_SECONDS = (1, 2, 4, 8)
_INTERVAL_SECONDS = 10


class SystemMetrics:
    """Samples MLflow's own system metrics: processors, memory, disk, network, GPUs and their energy.

    Not through MLflow's thread, which asks the tracker about the run before every sample, takes its first after
    10 seconds and loses what the tracker does not take.

    Args:
        log: takes the values by name, and the sample's number.
    """

    def __init__(self, log: Callable[[Mapping[str, float], int], None]) -> None:
        self._log = log
        self._monitors = _monitors()
        self._samples = 0
        self._stopped = threading.Event()
        self._collect()  # a processor's use is counted from one sample to the next
        self._thread = threading.Thread(target=self._sample_all, name="system metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take a last sample and end."""
        self._stopped.set()
        self._thread.join()
        self._sample()

    def _sample_all(self) -> None:
        for interval in _INTERVALS_SECONDS:
            if self._stopped.wait(interval):
                return
            self._sample()
        while not self._stopped.wait(_INTERVAL_SECONDS):
            self._sample()

    def _sample(self) -> None:
        self._log(self._collect(), self._samples)
        self._samples += 1

    def _collect(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for monitor in self._monitors:
            with suppress(Exception):  # a driver or a container may stop telling
                monitor.collect_metrics()
                values |= {f"system/{name}": value for name, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        return values


class EnergyMonitor:
    """Joules that each NVIDIA GPU has taken since this was made, as MLflow's collectors give their values.

    By the counter that GPUs have from Volta on, which counts for all programs that use the GPU.

    Raises:
        Exception: pynvml's own, where there is no such GPU, driver or package.
    """

    def __init__(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        gpus = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        self._millijoules = [partial(pynvml.nvmlDeviceGetTotalEnergyConsumption, gpu) for gpu in gpus]
        self._began = [read() for read in self._millijoules]
        self._joules: dict[str, float] = {}

    def collect_metrics(self) -> None:
        """Read the counters."""
        for number, (read, began) in enumerate(zip(self._millijoules, self._began, strict=True)):
            self._joules[f"gpu_{number}_energy_joules"] = (read() - began) / 1000

    def aggregate_metrics(self) -> dict[str, float]:
        """Return what was read."""
        return dict(self._joules)

    def clear_metrics(self) -> None:
        """Forget it."""
        self._joules.clear()


def _monitors() -> list[Any]:
    """The collectors that work here: MLflow's and our own."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors = []
    for kind in (CPUMonitor, DiskMonitor, NetworkMonitor, GPUMonitor, EnergyMonitor):
        with suppress(Exception):  # no nvidia-ml-py, no driver, no GPU, no network: each has its own exception
            monitors.append(kind())
    return monitors
