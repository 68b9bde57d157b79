"""Grad-CAM is hot where a network looks, its weights are the gradient's, and nothing else of the network changes."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from dogs_vs_cats.explanation.feature_maps import feature_maps
from dogs_vs_cats.explanation.grad_cam import (
    first_filters,
    grad_cam,
    telling_photos,
)
from dogs_vs_cats.models.exporting import exported
from dogs_vs_cats.models.kinds.scratch import ScratchModel
from dogs_vs_cats.models.kinds.transfer import TransferModel
from dogs_vs_cats.models.opened import OpenNetwork, open_backbone
from dogs_vs_cats.models.pretrained.backbones import pooled, untrained_backbone
from dogs_vs_cats.settings.catalogue import BACKBONES, BackboneName
from dogs_vs_cats.settings.training_settings import CnnSettings, HeadSettings
from tests.conftest import both_classes
from tests.vgg16 import random_photos, random_tensors

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = 32
CLASSES = ("cats", "dogs")
CNN = CnnSettings.model_validate(
    {
        "convolutions": [{"filters": 4, "kernel": 5}, {"filters": 6, "kernel": 3}],
        "batch_normalization": False,
        "convolution_dropout": 0.5,
        "pooling_end": "flatten",
        "dense": [5],
        "dense_dropout": 0.5,
        "output": "softmax",
    }
)


def scratch(**changes: object) -> tuple[keras.Model, ScratchModel]:
    """An untrained CNN, the same each time."""
    keras.utils.set_random_seed(3)
    network = CNN.model_copy(update=changes)
    description = ScratchModel(size=SIZE, classes=CLASSES, network=network)
    return description.build(), description


@pytest.fixture(scope="module")
def vgg16() -> keras.Model:
    """VGG16 with random weights."""
    model = keras.applications.VGG16(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    model.set_weights(random_tensors())
    return model


def head(scaling: str = "imagenet") -> tuple[keras.Model, TransferModel]:
    """An untrained head, the same each time."""
    keras.utils.set_random_seed(4)
    network = HeadSettings(pooling="flatten", dense=[8], dropout=[0.5], output="sigmoid")
    described = {"size": SIZE, "classes": CLASSES, "features": (1, 1, 512), "scaling": scaling}
    description = TransferModel.model_validate({**described, "network": network})
    return description.build(), description


def corners(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    """Noise with a red patch in one corner of the pictures of the second class, and a blue one in any; and where."""
    random = np.random.default_rng(seed)
    photos = random.integers(60, 120, (count, SIZE, SIZE, 3), dtype=np.uint8)
    labels, where = (np.arange(count) % 2).astype(np.uint8), random.integers(0, 4, count)
    for photo, label, corner, other in zip(photos, labels, where, random.integers(0, 4, count), strict=True):
        for place, colour in ((other, (0, 0, 255)), *([(corner, (255, 0, 0))] if label else [])):
            top, left = 22 * (place // 2), 22 * (place % 2)
            photo[top : top + 10, left : left + 10] = colour
    return photos, labels, where


def test_trained_network_is_hot_in_the_corner_that_it_learned_to_look_at() -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    photos, labels, _ = corners(256, seed=1)
    model.fit(photos, labels, epochs=12, verbose=0)
    photos, labels, where = corners(40, seed=2)
    evidence, probabilities = grad_cam(OpenNetwork(model), photos)
    assert ((probabilities > 0.5) == labels).mean() > 0.95
    shown = labels == 1
    assert evidence.shape == (40, SIZE // 2, SIZE // 2)
    hottest = evidence[shown].reshape(shown.sum(), -1).argmax(axis=1)
    rows, columns = hottest // (SIZE // 2), hottest % (SIZE // 2)
    # Corners are 5 of 16 places wide.
    in_corner = (rows // 8 == where[shown] // 2) & (columns // 8 == where[shown] % 2)
    assert in_corner.mean() > 0.9


def test_evidence_of_a_network_built_by_hand() -> None:
    inputs = keras.Input((8, 8, 3))
    convolution = layers.Conv2D(2, 1, activation="relu")
    outputs = layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling2D()(convolution(inputs)))
    model = keras.Model(inputs, outputs)
    # The first map is red, the second one blue; red speaks for the second class, blue half as much for the first.
    model.set_weights([np.array([[[[1, 0], [0, 0], [0, 1]]]]), np.zeros(2), np.array([[2.0], [-1.0]]), np.array([0.5])])
    photo = np.zeros((1, 8, 8, 3), np.uint8)
    photo[0, 1, 2, 0], photo[0, 6, 5, 2] = 64, 32
    evidence, probabilities = grad_cam(OpenNetwork(model), photo)
    expected = np.zeros((8, 8))
    expected[1, 2], expected[6, 5] = 64 * 2 / 64, 32 * -1 / 64  # a mean over 64 places hands on 1/64
    # The weight is the mean over places of that gradient, so each map counts with 1/64 of its dense weight.
    assert evidence[0] == pytest.approx(expected)
    assert probabilities == pytest.approx(1 / (1 + np.exp(-(0.5 + 2 - 0.5))))


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_weights_are_the_gradient_of_the_log_odds(output: str) -> None:
    model, description = scratch(output=output)
    photos = random_photos(3, SIZE)
    evidence, probabilities = grad_cam(OpenNetwork(model), photos)
    x: Any = tf.cast(photos, tf.float32)
    before, after = model.layers[: model.layers.index(_last_relu(model)) + 1], model.layers
    for layer in before[1:]:
        x = layer(x, training=False)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x
        for layer in after[len(before) :]:
            y = layer(y, training=False)
            if layer.name == "logits":
                break
        log_odds = y[:, 1] - y[:, 0] if output == "softmax" else y[:, 0]
    weights = tape.gradient(log_odds, x).numpy().mean(axis=(1, 2))
    assert np.abs(weights).max() > 0
    assert evidence == pytest.approx(np.einsum("nhwc,nc->nhw", x.numpy(), weights), rel=1e-4, abs=1e-7)
    assert probabilities == pytest.approx(exported(OpenNetwork(model), description).predict_on_batch(photos), abs=1e-6)


def _last_relu(model: keras.Model) -> keras.layers.Layer:
    return [layer for layer in model.layers if isinstance(layer, layers.ReLU)][-1]


def test_softmax_and_the_sigmoid_that_equals_it_have_one_grad_cam() -> None:
    (two, described), (one, _) = scratch(), scratch(output="sigmoid")
    *body, kernel, bias = two.get_weights()
    one.set_weights([*body, kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]])
    photos = random_photos(2, SIZE)
    (first, p), (second, q) = (grad_cam(OpenNetwork(model), photos) for model in (two, one))
    assert described.kind == "scratch"
    assert first == pytest.approx(second, rel=1e-4, abs=1e-7)
    assert p == pytest.approx(q, abs=1e-6)


def test_a_network_surer_than_digits_can_say_still_has_a_grad_cam() -> None:
    model, _ = scratch()
    photos = random_photos(1, SIZE)
    calm, _ = grad_cam(OpenNetwork(model), photos)
    *body, kernel, bias = model.get_weights()
    model.set_weights([*body, kernel * 1e4, bias * 1e4])
    sure, probabilities = grad_cam(OpenNetwork(model), photos)
    assert min(probabilities[0], 1 - probabilities[0]) < 1e-9
    assert sure == pytest.approx(calm * 1e4, rel=1e-3, abs=1e-5)


def test_gradient_of_the_transfer_model_goes_through_head_and_backbone(vgg16: keras.Model) -> None:
    model, description = head()
    photos = random_photos(2, SIZE)
    evidence, probabilities = grad_cam(open_backbone(vgg16, model, description.scaling, "vgg16"), photos)
    maps = keras.Model(vgg16.input, vgg16.get_layer("block5_conv3").output)(
        photos[..., ::-1].astype(np.float32) - np.array([103.939, 116.779, 123.68], np.float32)
    )
    with tf.GradientTape() as tape:
        tape.watch(maps)
        # The untrained head is unsure, so its own probability has a gradient: d logit = dp / (p (1 - p)).
        p = model(vgg16.get_layer("block5_pool")(maps), training=False)
    slope = tape.gradient(p, maps).numpy() / (p * (1 - p)).numpy()[:, :, None, None]
    weights = slope.mean(axis=(1, 2))
    assert evidence.shape == (2, 2, 2)
    assert np.abs(evidence).max() > 0
    assert evidence == pytest.approx(np.einsum("nhwc,nc->nhw", maps.numpy(), weights), rel=1e-3, abs=1e-5)
    whole = exported(open_backbone(vgg16, model, description.scaling, "vgg16"), description)
    assert probabilities == pytest.approx(whole.predict_on_batch(photos), abs=1e-5)


@pytest.mark.parametrize("size", [SIZE, 96])
def test_gradient_of_pooled_maps_is_that_of_the_last_ones_alone(size: int) -> None:
    backbone = keras.applications.VGG16(include_top=False, weights=None, input_shape=(size, size, 3))
    backbone.set_weights(random_tensors())
    whole = pooled(backbone, ["average"], ["block4_pool"])
    inputs = keras.Input((1, 1, 1024))
    model = keras.Sequential([inputs, layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    weights = np.random.default_rng(1).normal(size=(1024, 1)).astype(np.float32) / 1e4
    model.set_weights([weights, np.zeros(1, np.float32)])
    photos = random_photos(2, size)
    network = open_backbone(whole, model, "imagenet", "vgg16")
    evidence, probabilities = grad_cam(network, photos)
    assert feature_maps(network, photos[0])[-1].steps[-1].name == "max pooling 2x2"
    maps = keras.Model(backbone.input, backbone.get_layer("block5_conv3").output)(network.scaled(photos))
    with tf.GradientTape() as tape:
        tape.watch(maps)
        log_odds = tf.reduce_mean(backbone.get_layer("block5_pool")(maps), axis=(1, 2)) @ weights[512:]
    slope = tape.gradient(log_odds, maps).numpy().mean(axis=(1, 2))
    expected = np.einsum("nhwc,nc->nhw", maps.numpy(), slope)
    assert evidence == pytest.approx(expected, rel=1e-3, abs=1e-5 * float(np.abs(expected).max()))
    assert probabilities == pytest.approx(model(whole(network.scaled(photos))).numpy()[:, 0], abs=1e-5)


def test_maps_are_those_of_each_layer(vgg16: keras.Model) -> None:
    model, _ = scratch(batch_normalization=True)
    photo = random_photos(1, SIZE)[0]
    blocks = feature_maps(OpenNetwork(model), photo)
    assert [[step.name for step in block.steps] for block in blocks] == [
        ["convolution 5x5", "batch normalisation", "ReLU", "max pooling 2x2"],
        ["convolution 3x3", "batch normalisation", "ReLU", "max pooling 2x2"],
    ]
    assert [step.maps.shape for step in blocks[1].steps] == [(16, 16, 6)] * 3 + [(8, 8, 6)]
    _, normalised, relu, pooled = (step.maps for step in blocks[0].steps)
    assert normalised.min() < 0
    assert relu == pytest.approx(np.maximum(normalised, 0))
    assert pooled == pytest.approx(relu.reshape(16, 2, 16, 2, 4).max(axis=(1, 3)))

    model, transfer = head()
    blocks = feature_maps(open_backbone(vgg16, model, transfer.scaling, "vgg16"), photo)
    assert len(blocks) == 13
    assert blocks[0].name == "block1_conv1"
    assert [step.name for step in blocks[-1].steps] == ["convolution 3x3", "ReLU", "max pooling 2x2"]
    # VGG16's ReLU is a part of its convolutions; what comes before it is shown all the same.
    before, after, pooled = (step.maps for step in blocks[-1].steps)
    assert before.min() < 0
    assert after == pytest.approx(np.maximum(before, 0), rel=1e-5)
    assert pooled.shape == (1, 1, 512)


def test_first_filters_are_in_red_green_blue(vgg16: keras.Model) -> None:
    kernel = random_tensors()[0]
    for scaling, expected in (("imagenet", kernel[:, :, ::-1]), ("article", kernel)):
        model, described = head(scaling)
        assert np.array_equal(first_filters(open_backbone(vgg16, model, described.scaling, "vgg16")), expected)
    model, _ = scratch()
    assert np.array_equal(first_filters(OpenNetwork(model)), model.get_weights()[0])


@pytest.mark.parametrize(("name", "filters"), [("convnext_tiny", (4, 4, 3, 96)), ("efficientnet_lite0", (3, 3, 3, 32))])
def test_any_backbone_can_be_looked_into(name: BackboneName, filters: tuple[int, ...]) -> None:
    keras.utils.set_random_seed(5)
    backbone, features = untrained_backbone(name, 64), BACKBONES[name].features(64)
    described = TransferModel(
        size=64,
        classes=CLASSES,
        features=features,
        backbone=name,
        scaling="imagenet",
        network=HeadSettings(pooling="flatten", dense=[], dropout=[], output="sigmoid"),
    )
    network = open_backbone(backbone, described.build(), "imagenet", name)
    assert first_filters(network).shape == filters
    assert grad_cam(network, random_photos(2, 64))[0].shape == (2, 2, 2)
    assert feature_maps(network, random_photos(1, 64)[0])[-1].steps[-1].maps.shape == features


def test_network_without_convolutions_is_opened_and_shows_none() -> None:
    inputs = keras.Input((SIZE, SIZE, 3))
    network = OpenNetwork(keras.Model(inputs, layers.Dense(1)(layers.Flatten()(inputs))))
    assert network.convolutions == []
    assert feature_maps(network, random_photos(1, SIZE)[0]) == []


def test_telling_photos_are_the_surest_of_each_outcome_and_class() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 0])
    first = np.array([0.1, 0.01, 0.9, 0.9, 0.2, 0.1, 0.02])
    second = np.array([0.1, 0.4, 0.2, 0.8, 0.9, 0.3, 0.05])
    # Both right: 6 of class 0, before 0 and 1, since the less sure model counts, and 3 of class 1. Only the second
    # right: 2 and 4. Both wrong: 5.
    assert telling_photos(labels, {"first": both_classes(first), "second": both_classes(second)}) == [6, 3, 2, 4, 5]
    assert telling_photos(labels, {"first": both_classes(first)}) == [1, 3, 2, 5]
