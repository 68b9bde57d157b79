"""VGG16's convolutions in the libraries one might use in place of TensorFlow, with the same weights."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dogs_vs_cats.models.pretrained.weights import LAYERS, Tensor

Forward = Callable[[np.ndarray], np.ndarray]
"""Scaled photos (n, size, size, 3) float32 in, features (n, h, w, 512) out."""


def pytorch(tensors: Sequence[Tensor], size: int) -> Forward:  # noqa: ARG001
    """PyTorch, channels last, which is its fastest on a CPU."""
    import torch

    layers: list[Any] = []
    block = "block1"
    for (name, (channels, filters)), kernel, bias in zip(LAYERS.items(), tensors[::2], tensors[1::2], strict=True):
        if not name.startswith(block):
            layers.append(torch.nn.MaxPool2d(2))
            block = name.partition("_")[0]
        convolution = torch.nn.Conv2d(channels, filters, 3, padding=1)
        with torch.no_grad():
            convolution.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))))
            convolution.bias.copy_(torch.from_numpy(bias))
        layers += [convolution, torch.nn.ReLU(inplace=True)]
    network = torch.nn.Sequential(*layers, torch.nn.MaxPool2d(2)).to(memory_format=torch.channels_last).eval()

    def forward(photos: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = network(torch.from_numpy(photos).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
        return found

    return forward


def onnx_runtime(tensors: Sequence[Tensor], size: int) -> Forward:
    """ONNX Runtime on the CPU, its default settings."""
    import onnxruntime

    session = onnxruntime.InferenceSession(_as_onnx(tensors, size), providers=["CPUExecutionProvider"])

    def forward(photos: np.ndarray) -> np.ndarray:
        found: np.ndarray = session.run(None, {"photos": np.ascontiguousarray(photos.transpose(0, 3, 1, 2))})[0]
        return found.transpose(0, 2, 3, 1)

    return forward


def openvino(tensors: Sequence[Tensor], size: int) -> Forward:
    """OpenVINO on the CPU, in float32."""
    from openvino import Core

    core = Core()
    network = core.read_model(_as_onnx(tensors, size))
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(network, "CPU", settings)

    def forward(photos: np.ndarray) -> np.ndarray:
        found: np.ndarray = compiled([np.ascontiguousarray(photos.transpose(0, 3, 1, 2))])[0]
        return found.transpose(0, 2, 3, 1)

    return forward


PEERS: dict[str, Callable[[Sequence[Tensor], int], Forward]] = {
    "PyTorch": pytorch,
    "ONNX Runtime": onnx_runtime,
    "OpenVINO": openvino,
}


def _as_onnx(tensors: Sequence[Tensor], size: int) -> bytes:
    import onnx

    nodes, stored, last, block = [], [], "photos", "block1"
    for name, kernel, bias in zip(LAYERS, tensors[::2], tensors[1::2], strict=True):
        if not name.startswith(block):
            nodes.append(_pooling(last, block))
            last, block = f"{block}_pool", name.partition("_")[0]
        stored += [
            onnx.numpy_helper.from_array(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), f"{name}_kernel"),
            onnx.numpy_helper.from_array(bias, f"{name}_bias"),
        ]
        inputs = [last, f"{name}_kernel", f"{name}_bias"]
        nodes.append(onnx.helper.make_node("Conv", inputs, [f"{name}_sum"], pads=[1, 1, 1, 1]))
        nodes.append(onnx.helper.make_node("Relu", [f"{name}_sum"], [name]))
        last = name
    nodes.append(_pooling(last, block))
    float32 = onnx.TensorProto.FLOAT
    photos = onnx.helper.make_tensor_value_info("photos", float32, ["n", 3, size, size])
    found = onnx.helper.make_tensor_value_info(f"{block}_pool", float32, None)
    graph = onnx.helper.make_graph(nodes, "vgg16", [photos], [found], stored)
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    serialized: bytes = model.SerializeToString()
    return serialized


def _pooling(last: str, block: str) -> Any:
    import onnx

    return onnx.helper.make_node("MaxPool", [last], [f"{block}_pool"], kernel_shape=[2, 2], strides=[2, 2])
