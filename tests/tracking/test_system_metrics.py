"""What a run says of the machine, where there is a GPU: in place of NVIDIA's library one that counts as it does."""

import sys
from collections.abc import Mapping
from types import ModuleType

import pytest

from dogs_vs_cats.tracking.system_metrics import EnergyMonitor, SystemMetrics

LIBRARY = """
counted = {0: 5_000_000, 1: 70}

def nvmlInit():
    pass

def nvmlDeviceGetCount():
    return len(counted)

def nvmlDeviceGetHandleByIndex(number):
    return number

def nvmlDeviceGetTotalEnergyConsumption(gpu):
    counted[gpu] += 1500 * (gpu + 1)
    return counted[gpu]
"""


@pytest.fixture
def _gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("pynvml")
    exec(LIBRARY, library.__dict__)
    monkeypatch.setitem(sys.modules, "pynvml", library)


@pytest.mark.usefixtures("_gpus")
def test_a_run_has_the_energy_of_each_gpu_since_it_began() -> None:
    found: list[Mapping[str, float]] = []
    SystemMetrics(lambda values, _: found.append(values)).stop()
    energy = {name: value for name, value in found[-1].items() if "energy" in name}
    # The first reading is the beginning; one more comes before the only sample.
    assert energy == {"system/gpu_0_energy_joules": 3.0, "system/gpu_1_energy_joules": 6.0}


def test_without_a_gpu_a_run_has_no_energy_and_the_rest() -> None:
    with pytest.raises(Exception, match=r"pynvml|NVML"):
        EnergyMonitor()
    found: list[Mapping[str, float]] = []
    SystemMetrics(lambda values, _: found.append(values)).stop()
    assert found[-1]["system/system_memory_usage_megabytes"] > 0
    assert not [name for name in found[-1] if "energy" in name]
