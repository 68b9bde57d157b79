import numpy as np
import pytest

from dogs_vs_cats.models.networks.building import build_cnn, build_head, describe_layers, second_class
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.training_settings import CnnSettings

ARTICLE_LAYERS = [  # what ARTICLE's table says: output shape and parameters of each layer that has any
    ((None, 150, 150, 32), 896),
    ((None, 75, 75, 32), 9_248),
    ((None, 37, 37, 64), 18_496),
    ((None, 64), 1_327_168),
    ((None, 2), 130),
]


def test_the_default_cnn_is_the_articles_layer_by_layer(settings: Settings) -> None:
    model = build_cnn(settings.train_scratch.network, 150)
    assert [(shape, count) for _, shape, count in describe_layers(model) if count] == ARTICLE_LAYERS
    assert model.count_params() == 1_355_938


def test_the_default_head_is_the_articles(settings: Settings) -> None:
    model = build_head(settings.train_vgg16.network, (4, 4, 512))
    assert model.count_params() == 8192 * 512 + 512 + 512 * 256 + 256 + 256 + 1
    assert model.output_shape == (None, 1)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("pooling", ["flatten", "global_average"])
def test_every_shape_gives_a_probability_for_each_photo(
    settings: Settings, output: str, normalised: bool, pooling: str
) -> None:
    network = CnnSettings.model_validate(
        settings.train_scratch.network.model_dump()
        | {"output": output, "batch_normalization": normalised, "pooling_end": pooling, "dense": []}
    )
    images = np.random.default_rng(1).integers(0, 256, (3, 33, 33, 3), dtype=np.uint8)
    probabilities = np.asarray(second_class(build_cnn(network, 33)(images)))
    assert probabilities.shape == (3,)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
