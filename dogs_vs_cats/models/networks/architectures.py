"""The bodies of the networks beside the article's CNN: from scaled pixels to what the last layer classifies.

Each takes and gives a Keras tensor, and is made of Keras's own layers alone.
"""

from typing import Any

from keras import layers, ops

from dogs_vs_cats.models.networks.whitening import LAYER

HIDDEN = 1000
"""Units of the fully connected network's one hidden layer, the article's."""

_FULL_STRIDE_FROM = 128
_RESIDUAL_WIDTHS = (32, 64, 128, 256)
_WIDE_TIMES = (1, 2, 4, 6)


def fully_connected(x: Any) -> Any:
    """One hidden layer on all pixels: the article's example of why not, 196,608,000 weights at 256x256x3."""
    return layers.Dense(HIDDEN, activation="relu")(layers.Flatten()(x))


def lenet5(x: Any) -> Any:
    """LeNet-5 on the grey picture, as in 1998: tanh, not ReLU, and subsampling by the mean.

    Left out: trained coefficients in the subsampling, the partial connections of its second convolution, and the
    radial units at its end.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
    """
    if x.shape[-1] != 1:
        x = ops.image.rgb_to_grayscale(x)
    for filters in (6, 16):
        x = layers.Conv2D(filters, 5, activation="tanh")(x)
        x = layers.AveragePooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(120, activation="tanh")(x)
    return layers.Dense(84, activation="tanh")(x)


def alexnet(x: Any) -> Any:
    """AlexNet in one tower; at 227x227 its 58,281,344 parameters before the last layer.

    The stride of the first convolution is 4, under 128 pixels a side 2, or its poolings would leave nothing of the
    picture. Left out: local response normalisation, which is no Keras layer and gains nothing (arXiv 1409.1556).

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012;
    one tower: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv 1404.5997.
    """
    stride = 4 if x.shape[1] >= _FULL_STRIDE_FROM else 2
    x = layers.Conv2D(96, 11, strides=stride, activation="relu")(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = layers.Conv2D(256, 5, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    for filters in (384, 384, 256):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = layers.Flatten()(x)
    for _ in range(2):
        x = layers.Dense(4096, activation="relu")(x)
        x = layers.Dropout(0.5)(x)
    return x


def normalisation() -> layers.Layer:
    """Batch normalisation that is of use from the first epoch on.

    Its means forget by 0.9 a batch: Keras's 0.99 takes more batches than a small set has in an epoch, and validation
    judges the network by means that are not yet those of its activations.
    """
    return layers.BatchNormalization(momentum=0.9)


def _normalised(x: Any) -> Any:
    return layers.ReLU()(normalisation()(x))


def _convolution(x: Any, filters: int, kernel: int = 3, strides: int = 1) -> Any:
    # No bias: the normalisation after it has one.
    return layers.Conv2D(
        filters, kernel, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)


def residual(x: Any) -> Any:
    """A small residual CNN with batch normalisation before each convolution, and a global average at the end.

    Four stages of one block each, every stage at half the side of the one before and twice its width.

    Source: He et al., "Identity mappings in deep residual networks", arXiv 1603.05027 (the order in a block).
    """
    x = _convolution(x, _RESIDUAL_WIDTHS[0])
    x = layers.MaxPooling2D()(_normalised(x))
    for stage, width in enumerate(_RESIDUAL_WIDTHS):
        strides = 1 if stage == 0 else 2
        before = _normalised(x)
        # A block that changes the shape passes its input on through a convolution of one pixel.
        kept = x if strides == 1 else _convolution(before, width, 1, strides)
        x = _convolution(_normalised(_convolution(before, width, 3, strides)), width)
        x = layers.Add()([x, kept])
    x = layers.GlobalAveragePooling2D()(_normalised(x))
    return layers.Dropout(0.2)(x)


def wide_residual(x: Any, width: int) -> Any:
    """Four wide residual blocks behind a stem that takes a 16th of the photo's places: made for CPUs and few photos.

    The stem's first convolution is meant to begin as a whitening of patches (``whitening.whiten``). A block passes its
    input on through an average pooling and a convolution of one pixel where it halves the side. The
    normalisation at its end begins at 0, so that a block begins as what it passes on.

    Args:
        x: (n, height, width, 3), -1 to 1.
        width: channels of the first block; the others have 2, 4 and 6 times as many.

    Source: Zagoruyko and Komodakis, "Wide residual networks", arXiv 1605.07146; shortcuts: He et al., "Bag of tricks
    for image classification with convolutional neural networks", arXiv 1812.01187, section 4.
    """
    stem = layers.Conv2D(width // 2, 4, strides=2, padding="same", use_bias=False, name=LAYER)(x)
    x = _convolution(_normalised(stem), width, strides=2)
    for stage, times in enumerate(_WIDE_TIMES):
        strides = 1 if stage == 0 else 2
        before = _normalised(x)
        kept = x
        if strides > 1:
            kept = _convolution(layers.AveragePooling2D(2, padding="same")(before), times * width, 1)
        inner = _normalised(_convolution(before, times * width, strides=strides))
        last = layers.BatchNormalization(momentum=0.9, gamma_initializer="zeros")
        x = layers.Add()([last(_convolution(inner, times * width)), kept])
    return layers.GlobalAveragePooling2D()(_normalised(x))
