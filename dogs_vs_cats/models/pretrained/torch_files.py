"""Tensors of a file that PyTorch's old ``torch.save`` wrote, read without PyTorch and without running its code."""

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


@dataclass
class _Storage:
    """Numbers that tensors are views of; they follow the pickles in the file."""

    kind: np.dtype[Any]
    size: int


@dataclass
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Reader(pickle.Unpickler):
    """Makes tensors, ordered dictionaries and numbers, and refuses every other class and function."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _TYPES:
            return np.dtype(_TYPES[name])
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, size, _ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(size, int):
            raise pickle.UnpicklingError(f"it names a {kind}, which is no storage")
        return self.storages.setdefault(key, _Storage(dtype, size))


def _rebuild(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


def read_tensors(content: bytes) -> dict[str, NDArray[Any]]:
    """Read the tensors of a state dictionary.

    Args:
        content: of a file of PyTorch before 1.6, or of a later one with ``_use_new_zipfile_serialization=False``.

    Returns:
        The tensors by their names.

    Raises:
        ValueError: if it is no such file, is damaged, or its pickle names anything but tensors.
    """
    file = io.BytesIO(content)
    try:
        if (_Reader(file).load(), _Reader(file).load()) != (_MAGIC, _PROTOCOL):
            raise ValueError("no file of torch.save in its old format")  # noqa: TRY301 - as for what pickle raises
        _Reader(file).load()  # the sizes of the machine's numbers
        reader = _Reader(file)
        state = reader.load()
        keys = _Reader(file).load()
        values = {}
        for key in keys:
            storage = reader.storages[key]
            (size,) = np.frombuffer(file.read(8), "<i8")
            values[id(storage)] = np.frombuffer(file.read(storage.size * storage.kind.itemsize), storage.kind)
            if not size == storage.size == len(values[id(storage)]):
                raise ValueError("it ends too early")  # noqa: TRY301
        return {str(name): _view(tensor, values[id(tensor.storage)]) for name, tensor in state.items()}
    except ValueError:
        raise
    except Exception as error:
        # A damaged pickle brings out anything, from EOFError to AttributeError.
        raise ValueError(f"damaged, or no file of torch.save: {error}") from error


def _view(tensor: _Tensor, values: NDArray[Any]) -> NDArray[Any]:
    last = tensor.offset + sum((side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True))
    if min((tensor.offset, *tensor.strides, *tensor.shape)) < 0 or last >= len(values):
        raise ValueError("it holds a tensor whose numbers are not in the file")
    strides = [stride * values.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)
