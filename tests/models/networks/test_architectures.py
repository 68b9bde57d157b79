"""The networks from scratch against ARTICLE.md and their papers."""

import keras
import numpy as np
import pytest
from scipy.special import expit, logit

from dogs_vs_cats.models.costs import cost, without_weights
from dogs_vs_cats.models.networks.building import build_cnn, describe_layers, describe_stages, second_class
from dogs_vs_cats.models.networks.views import average_views
from dogs_vs_cats.models.networks.whitening import whiten
from dogs_vs_cats.settings.catalogue import SCRATCH, ScratchName
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.training_settings import CnnSettings, ViewsSettings


def _network(settings: Settings, name: ScratchName, output: str = "softmax") -> CnnSettings:
    return settings.train_scratch.network.model_copy(update={"name": name, "output": output})


def test_a_fully_connected_net_on_256_pixels_has_the_articles_weights_and_needs_none_to_be_counted(
    settings: Settings,
) -> None:
    with without_weights():
        model = build_cnn(_network(settings, "fully_connected"), 256)
        hidden = next(layer for layer in model.layers if layer.count_params())
        found = cost(model)
    assert tuple(hidden.kernel.shape) == (196_608, 1000)
    assert np.prod(hidden.kernel.shape) == 196_608_000
    assert found.multiply_adds == 196_608_000 + 1000 * 2
    assert found.weight_bytes == 4 * (196_608_000 + 1000 + 1000 * 2 + 2)


def test_lenet5_is_the_papers_on_a_grey_picture_of_32_pixels(settings: Settings) -> None:
    from dogs_vs_cats.models.networks.architectures import lenet5

    inputs = keras.Input((32, 32, 1))
    model = keras.Model(inputs, keras.layers.Dense(10)(lenet5(inputs)))
    weights = {layer.output.shape[1:]: int(np.prod(layer.kernel.shape)) for layer in model.layers if layer.weights}
    assert weights == {(28, 28, 6): 150, (10, 10, 16): 2400, (120,): 48_000, (84,): 10_080, (10,): 840}
    assert [layer.output.shape[1] for layer in model.layers if "Pooling" in type(layer).__name__] == [14, 5]
    activations = {layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")}
    assert activations == {"tanh", "linear"}  # linear: what it classifies by
    # On photos it is the same network: they are made grey first.
    coloured = build_cnn(_network(settings, "lenet5"), 32)
    assert coloured.count_params() == model.count_params() - 84 * 8 - 8


def test_alexnet_has_its_papers_parameters_before_the_classes_and_other_strides_on_small_photos(
    settings: Settings,
) -> None:
    with without_weights():
        model = build_cnn(_network(settings, "alexnet"), 227)
        layers = describe_layers(model)
        sides = [shape[1] for name, shape, _ in layers if name == "Conv2D"]
        assert sides == [55, 27, 13, 13, 13]
        assert sum(count for _, _, count in layers[:-1]) == 62_378_344 - (4096 * 1000 + 1000)
        small = describe_layers(build_cnn(_network(settings, "alexnet"), 64))
        assert [shape[1] for name, shape, _ in small if name == "Conv2D"] == [27, 13, 6, 6, 6]


# The convolutions' and dense layers' multiply-adds at the papers' sizes, with the top left out.
@pytest.mark.parametrize(
    ("build", "size", "published"),
    [("VGG16", 224, 15.47e9 - 0.124e9), ("ResNet50", 224, 3.86e9), ("MobileNetV2", 224, 0.300e9)],
)
def test_multiply_adds_are_the_published_ones(build: str, size: int, published: float) -> None:
    import keras

    with without_weights():
        model = getattr(keras.applications, build)(include_top=False, weights=None, input_shape=(size, size, 3))
        assert cost(model).multiply_adds == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize("name", SCRATCH)
def test_each_network_gives_probabilities_down_to_its_smallest_photos(settings: Settings, name: ScratchName) -> None:
    size = max(SCRATCH[name].minimum, 8)
    images = np.random.default_rng(1).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    for output, units in (("softmax", 2), ("sigmoid", 1)):
        model = build_cnn(_network(settings, name, output), size)
        assert model.output_shape == (None, units)
        probabilities = np.asarray(second_class(model(images)))
        assert probabilities.shape == (3,)
        assert ((probabilities > 0) & (probabilities < 1)).all()


@pytest.mark.parametrize("name", ["lenet5", "alexnet"])
def test_photos_smaller_than_the_smallest_leave_nothing(settings: Settings, name: ScratchName) -> None:
    with pytest.raises(ValueError, match=r"negative|[Nn]on-positive|output shape|dimension"), without_weights():
        build_cnn(_network(settings, name), SCRATCH[name].minimum - 1)


def test_stages_stand_for_many_layers_and_lose_no_parameter(settings: Settings) -> None:
    with without_weights():
        model = build_cnn(_network(settings, "residual"), 64)
        stages = describe_stages(model)
        few = describe_stages(build_cnn(_network(settings, "cnn"), 64))
        assert few == describe_layers(build_cnn(_network(settings, "cnn"), 64))
    assert len(stages) < 10 < len(model.layers)
    assert sum(count for *_, count in stages) == model.count_params()
    assert [shape[1] for _, shape, _ in stages if len(shape) == 4] == [64, 32, 16, 8, 4]


def test_the_residual_network_learns(settings: Settings, photos: tuple[np.ndarray, np.ndarray]) -> None:
    from dogs_vs_cats.data.examples import Examples, Parts
    from dogs_vs_cats.models.reproducibility import prepare
    from dogs_vs_cats.training.fitting import train

    chosen = settings.train_scratch.model_copy(
        update={"epochs": 6, "early_stopping": None, "network": _network(settings, "residual")}
    )
    prepare(1)
    images, labels = photos
    result = train(
        build_cnn(chosen.network, 32),
        Parts(Examples(images[:96], labels[:96]), Examples(images[96:], labels[96:])),
        chosen,
        show_progress=False,
    )
    assert result.kept["val_accuracy"] > 0.9


def test_whitening_gives_uncorrelated_patches_of_equal_variance(settings: Settings) -> None:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (60, 16, 16, 3))
    photos = coarse.repeat(3, axis=1).repeat(3, axis=2).astype(np.uint8)  # neighbours are alike, as in photos
    model = build_cnn(_network(settings, "wide_residual").model_copy(update={"width": 16}), 48)
    whiten(model, photos, seed=1)
    stem = keras.Model(model.input, model.get_layer("whitening").output)
    values = np.asarray(stem(photos.astype(np.float32)))[:, 1:-1, 1:-1].reshape(-1, 8)
    assert np.allclose(values[:, :4], -values[:, 4:], atol=1e-4)
    covariance = np.cov(values[:, :4], rowvar=False)
    assert np.allclose(np.diag(covariance), 1, atol=0.3)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.2


def test_views_are_averaged_by_their_log_odds_and_softmax_and_sigmoid_agree(settings: Settings) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.float32)
    for output in ("sigmoid", "softmax"):
        network = build_cnn(_network(settings, "residual", output), None)
        judged = np.asarray(average_views(network, 32, ViewsSettings(flip=True))(photos))
        seen = [np.asarray(network(view))[:, -1] for view in (photos, photos[:, :, ::-1])]
        assert judged.shape == (5, 1 if output == "sigmoid" else 2)
        assert np.allclose(judged[:, -1], expit(np.mean([logit(view) for view in seen], axis=0)), atol=1e-5)
        larger = average_views(network, 32, ViewsSettings(flip=True, scales=[1.0, 1.5]))(photos)
        assert not np.allclose(larger, judged, atol=1e-3)
