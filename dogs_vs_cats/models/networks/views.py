"""One judgement from several views of a photo."""

import keras
from keras import layers, ops

from dogs_vs_cats.settings.params import ViewsSettings

_CLIP = 1e-7


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
    log_odds = []
    for scale in views.scales:
        size = round(scale * side)
        seen = photos if size == side else layers.Resizing(size, size, "bicubic", antialias=True)(photos)
        for view in (seen, ops.flip(seen, axis=2)) if views.flip else (seen,):
            second = ops.clip(network(view)[:, -1:], _CLIP, 1 - _CLIP)
            log_odds.append(ops.log(second) - ops.log1p(-second))
    second = ops.sigmoid(sum(log_odds) / len(log_odds))
    whole = second if network.output_shape[-1] == 1 else ops.concatenate([1 - second, second], axis=1)
    return keras.Model(photos, whole, name=f"views_{network.name}")
