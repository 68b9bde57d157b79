"""Every network by name, without building any: its title, its paper, the photos it takes, the features it gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from dogs_vs_cats.errors import WorkflowError

ScratchName = Literal["cnn", "fully_connected", "lenet5", "alexnet", "residual", "wide_residual"]
BackboneName = Literal[
    "vgg16",
    "vgg19",
    "resnet50",
    "resnet50_v2",
    "inception_v3",
    "xception",
    "densenet121",
    "mobilenet_v2",
    "mobilenet_v3",
    "efficientnet_b0",
    "efficientnet_v2_b0",
    "efficientnet_lite0",
    "efficientnet_lite2",
    "convnext_tiny",
]
Preprocessing = Literal["caffe", "tf", "torch", "lite", "built in"]


@dataclass(frozen=True)
class Scratch:
    """A network that is trained from scratch.

    Attributes:
        title: what people call it.
        paper: where it comes from.
        minimum: pixels a side of the smallest photos it takes; for ``cnn`` its own number of poolings decides.
    """

    title: str
    paper: str
    minimum: int


@dataclass(frozen=True)
class Backbone:
    """A network whose bottleneck features a head is trained on.

    Attributes:
        title: what people call it.
        paper: where it comes from.
        build: its function in ``keras.applications``; of EfficientNet-Lite its name.
        preprocessing: how its photos are scaled, by Keras's name of the mode; ``lite``: as EfficientNet-Lite's are;
            ``built in``: it scales them itself.
        minimum: pixels a side of the smallest photos it takes.
        channels: of its features.
        side: the features' height and width, from the photos' pixels a side.
    """

    title: str
    paper: str
    build: str
    preprocessing: Preprocessing
    minimum: int
    channels: int
    side: Callable[[int], int]

    def features(self, size: int) -> tuple[int, int, int]:
        """Height, width and channels of one photo's features, from its pixels a side."""
        side = self.side(size)
        return side, side, self.channels


def _halved(size: int) -> int:
    """Poolings or strides without padding, of 32 in all, which leave out what is over."""
    return size // 32


def _halved_up(size: int) -> int:
    """Five halvings with padding."""
    return -(-size // 32)


def _valid(size: int, *windows: tuple[int, int]) -> int:
    """The side after windows of (pixels, stride) that stay inside the picture."""
    for pixels, stride in windows:
        size = (size - pixels) // stride + 1
    return size


def _inception_v3(size: int) -> int:
    return _valid(size, (3, 2), (3, 1), (3, 2), (3, 1), (3, 2), (3, 2), (3, 2))


def _xception(size: int) -> int:
    return -(-_valid(size, (3, 2), (3, 1)) // 16)


SCRATCH: dict[ScratchName, Scratch] = {
    "cnn": Scratch("CNN", "Besbes 2017, the article's", 2),
    "fully_connected": Scratch("fully connected network", "Besbes 2017, the article's first example", 1),
    "lenet5": Scratch("LeNet-5", "LeCun et al. 1998, Proc. IEEE 86 (11)", 16),
    "alexnet": Scratch("AlexNet", "Krizhevsky, Sutskever and Hinton 2012, NIPS 25; in one tower, arXiv 1404.5997", 39),
    "residual": Scratch("residual CNN", "He et al. 2016, arXiv 1512.03385 and 1603.05027", 16),
    "wide_residual": Scratch("wide residual CNN", "Zagoruyko and Komodakis 2016, arXiv 1605.07146", 32),
}
"""The networks that are trained from scratch."""

BACKBONES: dict[BackboneName, Backbone] = {
    "vgg16": Backbone("VGG16", "Simonyan and Zisserman 2014, arXiv 1409.1556", "VGG16", "caffe", 32, 512, _halved),
    "vgg19": Backbone("VGG19", "Simonyan and Zisserman 2014, arXiv 1409.1556", "VGG19", "caffe", 32, 512, _halved),
    "resnet50": Backbone("ResNet50", "He et al. 2015, arXiv 1512.03385", "ResNet50", "caffe", 32, 2048, _halved_up),
    "resnet50_v2": Backbone("ResNet50V2", "He et al. 2016, arXiv 1603.05027", "ResNet50V2", "tf", 32, 2048, _halved_up),
    "inception_v3": Backbone(
        "InceptionV3",
        "Szegedy et al. 2015, arXiv 1512.00567; of GoogLeNet's line, arXiv 1409.4842",
        "InceptionV3",
        "tf",
        75,
        2048,
        _inception_v3,
    ),
    "xception": Backbone("Xception", "Chollet 2016, arXiv 1610.02357", "Xception", "tf", 71, 2048, _xception),
    "densenet121": Backbone(
        "DenseNet121", "Huang et al. 2016, arXiv 1608.06993", "DenseNet121", "torch", 32, 1024, _halved
    ),
    "mobilenet_v2": Backbone(
        "MobileNetV2", "Sandler et al. 2018, arXiv 1801.04381", "MobileNetV2", "tf", 32, 1280, _halved_up
    ),
    "mobilenet_v3": Backbone(
        "MobileNetV3Large", "Howard et al. 2019, arXiv 1905.02244", "MobileNetV3Large", "built in", 32, 960, _halved_up
    ),
    "efficientnet_b0": Backbone(
        "EfficientNetB0", "Tan and Le 2019, arXiv 1905.11946", "EfficientNetB0", "built in", 32, 1280, _halved_up
    ),
    "efficientnet_v2_b0": Backbone(
        "EfficientNetV2B0", "Tan and Le 2021, arXiv 2104.00298", "EfficientNetV2B0", "built in", 32, 1280, _halved_up
    ),
    "efficientnet_lite0": Backbone(
        "EfficientNet-Lite0", "Tan and Le 2019, arXiv 1905.11946", "efficientnet_lite0", "lite", 32, 1280, _halved_up
    ),
    "efficientnet_lite2": Backbone(
        "EfficientNet-Lite2", "Tan and Le 2019, arXiv 1905.11946", "efficientnet_lite2", "lite", 32, 1280, _halved_up
    ),
    "convnext_tiny": Backbone(
        "ConvNeXt-Tiny", "Liu et al. 2022, arXiv 2201.03545", "ConvNeXtTiny", "built in", 32, 768, _halved
    ),
}
"""The networks whose features the transfer model takes."""

FASTEST: dict[BackboneName, Literal["ncnn", "tensorflow"]] = {
    "vgg16": "ncnn",
    "vgg19": "tensorflow",
    "efficientnet_v2_b0": "tensorflow",
    "convnext_tiny": "tensorflow",  # to export it takes half a minute and gigabytes of memory
}
"""Backbones that ONNX Runtime is not the fastest for on a CPU, and what is (``benchmarks/engines.py``)."""

EARLIER_LAYERS: dict[BackboneName, dict[str, int]] = {
    "vgg16": {"block3_pool": 256, "block4_pool": 512},
    "vgg19": {"block3_pool": 256, "block4_pool": 512},
    "resnet50": {"conv3_block4_out": 512, "conv4_block6_out": 1024},
    "resnet50_v2": {"conv3_block3_out": 512, "conv4_block5_out": 1024},
    "inception_v3": {"mixed2": 288, "mixed7": 768},
    "densenet121": {"pool3_conv": 256, "pool4_conv": 512},
    "mobilenet_v2": {"block_6_expand_relu": 192, "block_13_expand_relu": 576},
    "efficientnet_b0": {"block4a_expand_activation": 240, "block6a_expand_activation": 672},
    "efficientnet_v2_b0": {"block4a_expand_activation": 192, "block6a_expand_activation": 672},
    "efficientnet_lite0": {"_blocks.5._bn0_relu": 240, "_blocks.11._bn0_relu": 672},
    "efficientnet_lite2": {"_blocks.7._bn0_relu": 288, "_blocks.15._bn0_relu": 720},
}
"""Layers whose maps can be pooled beside a backbone's last ones, and their channels: the last before a halving."""

_VGG = {"block2": "block1_pool", "block3": "block2_pool", "block4": "block3_pool", "block5": "block4_pool"}
_RESNET = {"conv3": "conv2_block3_out", "conv4": "conv3_block4_out", "conv5": "conv4_block6_out"}
_LITE = "_blocks."

BLOCKS: dict[BackboneName, dict[str, str]] = {
    "vgg16": _VGG,
    "vgg19": _VGG,
    "resnet50": _RESNET,
    "resnet50_v2": _RESNET,
    "inception_v3": {"mixed8": "mixed7", "mixed9": "mixed8", "mixed10": "mixed9"},
    "densenet121": {"conv3": "pool2_pool", "conv4": "pool3_pool", "conv5": "pool4_pool"},
    "mobilenet_v2": {"block_13": "block_12_add", "block_15": "block_14_add", "block_16": "block_15_add"},
    "mobilenet_v3": {"expanded_conv_12": "expanded_conv_11_add", "expanded_conv_14": "expanded_conv_13_add"},
    "efficientnet_b0": {"block5": "block4c_add", "block6": "block5c_add", "block7": "block6d_add"},
    "efficientnet_v2_b0": {"block5": "block4c_add", "block6": "block5e_add"},
    "efficientnet_lite0": {f"{_LITE}11": f"{_LITE}10._add", f"{_LITE}15": f"{_LITE}14._add"},
    "efficientnet_lite2": {f"{_LITE}15": f"{_LITE}14._add", f"{_LITE}20": f"{_LITE}19._add"},
    "convnext_tiny": {
        "stage_2": "convnext_tiny_downsampling_block_1",
        "stage_3": "convnext_tiny_downsampling_block_2",
    },
}
"""Blocks that a backbone can be trained further from, and the layer whose maps each one takes, through which all of a
photo passes. Xception's have no names that stay the same."""

NETWORKS: dict[str, Scratch | Backbone] = {
    **{str(name): network for name, network in SCRATCH.items()},
    **{str(name): network for name, network in BACKBONES.items()},
}
"""Both kinds by name."""


def check_size(name: BackboneName, size: int) -> None:
    """Refuse photos too small for a backbone.

    Raises:
        WorkflowError: if ``size`` (pixels a side) is under its minimum.
    """
    if fault := smallest_photos(name, size):
        raise WorkflowError(fault)


def smallest_photos(name: BackboneName, size: int, key: str = "decode.size") -> str | None:
    """What is wrong with photos of ``size`` pixels a side for a backbone; None where nothing is."""
    backbone = BACKBONES[name]
    if size >= backbone.minimum:
        return None
    return f"{key} is {size}: {backbone.title} takes {backbone.minimum} pixels a side and more"
