"""One judgement from several views of a photo."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from dogs_vs_cats.models.probabilities import CLIP
from dogs_vs_cats.settings.training_settings import ViewsSettings


def average_views(network: keras.Model, side: int, views: ViewsSettings) -> keras.Model:
    """Build a model that averages a network's log-odds over views of a photo.

    Args:
        network: takes (n, height, width, 3) of every size that the views have; sigmoid or softmax outputs.
        side: pixels a side of the photos.
        views: at which scales of that each photo is seen, and whether its mirror image is, too.

    Returns:
        A model from (n, side, side, 3) to (n, 1) or (n, 2), as the network's outputs.
    """
    photos = keras.Input((side, side, 3), name="image")
    seen = []
    for scale in views.scales:
        size = round(scale * side)
        seen.append(photos if size == side else layers.Resizing(size, size, "bicubic", antialias=True)(photos))
    if views.flip:
        seen += [ops.flip(view, axis=2) for view in seen]
    second = average([network(view)[:, -1:] for view in seen])
    whole = second if network.output_shape[-1] == 1 else ops.concatenate([1 - second, second], axis=1)
    return keras.Model(photos, whole, name=f"views_{network.name}")


def average(probabilities: Sequence[Any]) -> Any:
    """Average the log-odds of probabilities of the second class, which are tensors of one shape."""
    clipped = [ops.clip(probability, CLIP, 1 - CLIP) for probability in probabilities]
    # Not log1p, which the ONNX format lacks. Near 1, where the digits matter, the subtraction is exact.
    return ops.sigmoid(sum(ops.log(second) - ops.log(1 - second) for second in clipped) / len(clipped))
