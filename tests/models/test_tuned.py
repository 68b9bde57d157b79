"""A backbone cut in two: what is fine-tuned begins as the trained head on the whole, and the whole gets it back."""

from typing import Any

import keras
import numpy as np
import pytest

from dogs_vs_cats.models.maps import bottom
from dogs_vs_cats.models.networks.building import build_head
from dogs_vs_cats.models.pretrained.backbones import pooled, untrained_backbone
from dogs_vs_cats.models.tuned import build_tuned, find_cut, finish, start, top
from dogs_vs_cats.settings.catalogue import BLOCKS, BackboneName
from dogs_vs_cats.settings.sections import Pooling
from dogs_vs_cats.settings.training_settings import HeadSettings

HEAD = HeadSettings(pooling="flatten", dense=[3], dropout=[0.5], output="sigmoid")
SIDE = 64
BOTH: list[Pooling] = ["average", "max"]


@pytest.mark.parametrize(
    ("name", "block", "pooling", "earlier", "cut"),
    [
        ("vgg16", "block5", None, [], "block4_pool"),
        ("vgg16", "block5", BOTH, ["block4_pool"], "block4_pool"),
        ("vgg16", "block5", BOTH, ["block3_pool"], "block3_pool"),
        ("resnet50", "conv5", ["average"], [], "conv4_block6_out"),
    ],
)
def test_the_tuned_network_begins_as_the_head_and_the_backbone_gets_its_weights(
    name: BackboneName, block: str, pooling: list[Pooling] | None, earlier: list[str], cut: str
) -> None:
    keras.utils.set_random_seed(1)
    photos = np.random.default_rng(1).uniform(-100, 100, (6, SIDE, SIDE, 3)).astype(np.float32)
    backbone = untrained_backbone(name, SIDE)
    features = np.asarray(pooled(backbone, pooling, earlier).predict_on_batch(photos))
    head = build_head(HEAD, features.shape[1:])
    kernel, *others = head.get_weights()
    head.set_weights([kernel / features.std(), *others])  # so that it is sure of no photo
    said = head.predict_on_batch(features)
    near = 0.02 * float(np.ptp(said)) + 1e-6
    assert np.ptp(said) > 1e-4

    assert find_cut(backbone, name, block, earlier) == cut
    maps = bottom(backbone, cut).predict_on_batch(photos)
    part = top(backbone, cut, pooling, earlier)
    tuned = _build(name, block, pooling, earlier, cut)
    start(tuned, part, head, features)
    assert tuned.predict_on_batch(maps) == pytest.approx(said, abs=near)

    # What is trained: the block and the head, but no normalisation.
    begins = [layer.name for layer in backbone.layers].index(BLOCKS[name][block]) + 1
    expected = [layer for layer in backbone.layers[begins:] if not isinstance(layer, keras.layers.BatchNormalization)]
    count = sum(layer.count_params() for layer in expected) + head.count_params()
    assert sum(int(np.prod(weights.shape)) for weights in tuned.trainable_weights) == count
    assert sum(layer.count_params() for layer in tuned.layers if layer.trainable) == count

    random = np.random.default_rng(2)
    changed = {id(weights): random.normal(0, 0.01, weights.shape) for weights in tuned.trainable_weights}
    for weights in tuned.trainable_weights:
        weights.assign_add(changed[id(weights)])
    other = untrained_backbone(name, SIDE)
    other.set_weights(backbone.get_weights())
    deciding = finish(tuned, top(other, cut, pooling, earlier), HEAD)
    by_whole = deciding.predict_on_batch(pooled(other, pooling, earlier).predict_on_batch(photos))
    assert by_whole == pytest.approx(tuned.predict_on_batch(maps), abs=near)
    assert np.abs(by_whole - said).max() > 2 * near


def _build(name: BackboneName, block: str, pooling: Any, earlier: list[str], cut: str) -> keras.Model:
    backbone = untrained_backbone(name, SIDE)
    part = top(backbone, cut, pooling, earlier)
    return build_tuned(backbone, BLOCKS[name][block], part, HEAD, standardised=pooling is not None)
