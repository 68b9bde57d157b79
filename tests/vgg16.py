"""Tensors of VGG16's shape that need no network, and the kinds of file they come in."""

import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnx

from dogs_vs_cats.models.pretrained.weights import LAYERS, MIRROR_MODEL, Tensor


def random_tensors(seed: int = 1) -> list[Tensor]:
    """VGG16 with random weights of such a size that its features neither vanish nor explode."""
    generator = np.random.default_rng(seed)
    tensors: list[Tensor] = []
    for channels, filters in LAYERS.values():
        kernel = generator.standard_normal((3, 3, channels, filters), dtype=np.float32)
        tensors += [kernel * np.float32(np.sqrt(2 / (9 * channels))), generator.standard_normal(filters, np.float32)]
    return tensors


def write_release(tensors: list[Tensor], path: Path) -> None:
    """The layout of Keras's release: a group a layer, its tensors named after what Keras 1 called them."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in ("input_1", *LAYERS)]
        file.create_group("input_1")
        for number, name in enumerate(LAYERS):
            names = [f"{name}_W_1:0", f"{name}_b_1:0"]
            file.create_group(name).attrs["weight_names"] = [part.encode() for part in names]
            for part, tensor in zip(names, tensors[2 * number : 2 * number + 2], strict=True):
                file[name][part] = tensor


def write_nested(tensors: list[Tensor], path: Path) -> None:
    """The layout of Keras 2's ``model.save`` with VGG16's top still there."""
    with h5py.File(path, "w") as file:
        for number, name in enumerate(LAYERS):
            group = file.create_group(f"model_weights/{name}/{name}")
            group["kernel:0"], group["bias:0"] = tensors[2 * number : 2 * number + 2]
        top = file.create_group("model_weights/predictions/predictions")
        top["kernel:0"], top["bias:0"] = np.zeros((512, 10), np.float32), np.zeros(10, np.float32)


def onnx_bytes(tensors: list[Tensor]) -> bytes:
    """An ONNX model whose convolutions are these, followed by a head."""
    nodes, stored, last = [], [], "photos"
    for number, name in enumerate(LAYERS):
        kernel, bias = tensors[2 * number : 2 * number + 2]
        stored.append(onnx.numpy_helper.from_array(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), f"{name}/k"))
        stored.append(onnx.numpy_helper.from_array(bias, f"{name}/b"))
        nodes.append(onnx.helper.make_node("Conv", [last, f"{name}/k", f"{name}/b"], [name], pads=[1, 1, 1, 1]))
        last = name
    stored.append(onnx.numpy_helper.from_array(np.zeros((512, 2), np.float32), "head"))
    nodes.append(onnx.helper.make_node("MatMul", [last, "head"], ["classes"]))
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("photos", "classes")]
    content: bytes = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    ).SerializeToString()
    return content


def write_wheel(tensors: list[Tensor], folder: Path) -> Path:
    """A wheel like the mirror's."""
    wheel = folder / "vgg16_mirror-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MIRROR_MODEL, onnx_bytes(tensors))
        archive.writestr(
            "vgg16_mirror-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: vgg16-mirror\nVersion: 1.0\n"
        )
        archive.writestr(
            "vgg16_mirror-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("vgg16_mirror-1.0.dist-info/RECORD", "")
    return wheel


def random_photos(count: int, size: int, seed: int = 1) -> np.ndarray:
    """Photos (count, size, size, 3) uint8 of large patches, no two alike."""
    patches = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    repeat = -(-size // 8)
    return np.ascontiguousarray(patches.repeat(repeat, 1).repeat(repeat, 2)[:, :size, :size])
