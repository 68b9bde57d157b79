import json
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from dogs_vs_cats.data.arrays import create_array, write_files
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.features import open_bottleneck, open_engine
from dogs_vs_cats.models.pretrained.backbones import (
    build_backbone,
    build_extractor,
    fetch_backbone,
    pooled,
    scale_layers,
    untrained_backbone,
)
from dogs_vs_cats.models.pretrained.efficientnet_lite import LITES
from dogs_vs_cats.settings.catalogue import BACKBONES, EARLIER_LAYERS, BackboneName
from dogs_vs_cats.settings.photo_settings import BottleneckSettings
from tests.conftest import ROOT, changed
from tests.vgg16 import random_photos

# Without the top. VGG16: ARTICLE; the others: what Keras's documentation lists, less the 1,000 classes' layer.
PARAMETERS: dict[BackboneName, int] = {
    "vgg16": 14_714_688,
    "vgg19": 143_667_240 - (7 * 7 * 512 * 4096 + 4096) - (4096 * 4096 + 4096) - (4096 * 1000 + 1000),
    "resnet50": 25_636_712 - (2048 * 1000 + 1000),
    "resnet50_v2": 25_613_800 - (2048 * 1000 + 1000),
    "inception_v3": 23_851_784 - (2048 * 1000 + 1000),
    "xception": 22_910_480 - (2048 * 1000 + 1000),
    "densenet121": 8_062_504 - (1024 * 1000 + 1000),
    "mobilenet_v2": 3_538_984 - (1280 * 1000 + 1000),
    "mobilenet_v3": 5_507_432 - (960 * 1280 + 1280) - (1280 * 1000 + 1000),
    "efficientnet_b0": 5_330_571 - (1280 * 1000 + 1000),
    "efficientnet_v2_b0": 7_200_312 - (1280 * 1000 + 1000),
    # Their authors' counts, to which Keras adds two moving numbers for each normalised channel.
    "efficientnet_lite0": 4_652_008 - (1280 * 1000 + 1000) + 2 * 21_008,
    "efficientnet_lite2": 6_092_072 - (1280 * 1000 + 1000) + 2 * 29_048,
    "convnext_tiny": 28_589_128 - (768 * 1000 + 1000),
}


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MobileNetV2 with random weights whose features neither vanish nor explode, in a local file."""
    generator = np.random.default_rng(3)
    model = untrained_backbone("mobilenet_v2", 32)
    values = model.get_weights()
    for place, value in enumerate(values):
        if value.ndim == 4:
            # A depthwise kernel's filters see one channel each.
            seen = np.prod(value.shape[:2]) if value.shape[3] == 1 else np.prod(value.shape[:3])
            values[place] = generator.standard_normal(value.shape, np.float32) * np.float32(np.sqrt(2 / seen))
    model.set_weights(values)
    path = tmp_path_factory.mktemp("weights") / "mine.weights.h5"
    model.save_weights(path)
    return path


@pytest.mark.parametrize("name", get_args(BackboneName))
def test_a_backbone_is_the_published_one_and_gives_the_features_that_are_listed(name: BackboneName) -> None:
    from dogs_vs_cats.models.costs import without_weights

    backbone = BACKBONES[name]
    for size in (backbone.minimum, 181):
        with without_weights():
            model = untrained_backbone(name, size)
            assert model.count_params() == PARAMETERS[name]
            assert not [weight.path for weight in model.weights if "." in weight.path]  # PyTorch takes no dots
            assert model.output_shape == (None, *backbone.features(size)), size
            assert backbone.features(size)[0] >= 1


@pytest.mark.parametrize("name", EARLIER_LAYERS)
def test_pooled_layers_are_waists_of_the_network_with_the_channels_that_are_listed(name: BackboneName) -> None:
    import keras

    from dogs_vs_cats.models.costs import without_weights

    names = list(EARLIER_LAYERS[name])
    with without_weights():
        model = untrained_backbone(name, 128)
        shape = BottleneckSettings(backbone=name, pooling=["average", "max"], layers=names).features(128)
        assert pooled(model, ["average", "max"], names).output_shape == (None, *shape)
        for layer, channels in EARLIER_LAYERS[name].items():
            maps = model.get_layer(layer).output
            assert maps.shape[3] == channels
            # What comes after it needs nothing else: a model from it alone.
            keras.Model(maps, model.output)


@pytest.mark.parametrize("name", [name for name in get_args(BackboneName) if name not in LITES])
def test_scaling_is_each_backbones_own(name: BackboneName) -> None:
    import keras

    module = sys.modules[getattr(keras.applications, BACKBONES[name].build).__module__]
    photos = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    inputs = keras.Input((32, 32, 3))
    scaled = keras.Model(inputs, [scale_layers(inputs, "imagenet", name)]).predict_on_batch(photos)
    np.testing.assert_allclose(np.squeeze(scaled), module.preprocess_input(photos.copy()), rtol=1e-6, atol=2e-5)


def test_efficientnet_normalises_as_it_was_trained_whatever_its_file_says(tmp_path: Path) -> None:
    import keras

    # The release has the deviations where the variances belong.
    model = untrained_backbone("efficientnet_b0", 32)
    layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    layer.adapt_mean.assign([0.485, 0.456, 0.406])
    layer.adapt_variance.assign([0.229, 0.224, 0.225])
    model.save_weights(tmp_path / "release.weights.h5")
    fetch_backbone("efficientnet_b0", tmp_path / "once.weights.h5", tmp_path / "release.weights.h5")
    fetch_backbone("efficientnet_b0", tmp_path / "twice.weights.h5", tmp_path / "once.weights.h5")
    built = build_backbone("efficientnet_b0", 32, tmp_path / "twice.weights.h5")
    place = next(place for place, layer in enumerate(built.layers) if isinstance(layer, keras.layers.Normalization))
    photos = random_photos(2, 32).astype(np.float32)
    found = keras.Model(built.inputs, built.layers[place].output).predict_on_batch(photos)
    expected = (photos / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fault", ["missing", "text", "another backbone"])
def test_a_local_file_that_is_not_the_backbones_is_refused_and_nothing_is_written(tmp_path: Path, fault: str) -> None:
    given = tmp_path / "given.weights.h5"
    if fault == "text":
        given.write_text("not weights", encoding="utf-8")
    elif fault == "another backbone":
        import keras

        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(given)
    with pytest.raises(WorkflowError, match=r"^weights\.path .*given\.weights\.h5: .*Set weights\.path to MobileNetV2"):
        fetch_backbone("mobilenet_v2", tmp_path / "out.weights.h5", given)
    assert not (tmp_path / "out.weights.h5").exists()


def test_photos_that_are_too_small_for_a_backbone_are_refused(mobilenet: Path) -> None:
    photos = random_photos(1, 64)
    with (
        pytest.raises(WorkflowError, match=r"decode\.size is 64: Xception takes 71 pixels"),
        open_engine(BottleneckSettings(backbone="xception"), mobilenet, photos),
    ):
        pass


def _stage(module: Any, monkeypatch: pytest.MonkeyPatch, params: Path, **paths: Path) -> None:
    options = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    monkeypatch.setattr(sys, "argv", ["stage", "--params", str(params), *options])
    module.main()


def test_a_backbone_goes_from_its_local_file_to_a_model_that_takes_photos(
    values: dict[str, Any], mobilenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    from dogs_vs_cats.data.examples import Parts
    from dogs_vs_cats.models.exporting import exported
    from dogs_vs_cats.models.kinds.transfer import TransferModel
    from dogs_vs_cats.models.reproducibility import prepare
    from dogs_vs_cats.models.saved import load_predictor, predict, write_model
    from dogs_vs_cats.settings.params import parse_settings
    from dogs_vs_cats.training.fitting import train
    from stages import bottleneck, weights

    changes = {
        "bottleneck.backbone": "mobilenet_v2",
        "weights.path": str(mobilenet),
        "train_vgg16.epochs": 2,
        # The article's rate is too high for a dozen random pictures: nothing but zeros and ones would come of it.
        "train_vgg16.optimizer.learning_rate": 1e-5,
        "train_vgg16.network.pooling": "global_average",
    }
    changed(values, **changes)
    params, arrays, features = tmp_path / "params.yaml", tmp_path / "arrays", tmp_path / "features"
    params.write_text(yaml.safe_dump(values), encoding="utf-8")
    arrays.mkdir()
    photos: dict[str, NDArray[np.uint8]] = {}
    for seed, (name, count) in enumerate({"train": 12, "validation": 6}.items()):
        photos[name] = random_photos(count, 70, seed)
        with create_array(arrays / f"{name}_images.npy", photos[name].shape, np.uint8) as images:
            images[:] = photos[name]
        write_files(arrays, name, [f"{place}.jpg" for place in range(count)], [place % 2 for place in range(count)])

    fetched = tmp_path / "backbone.weights.h5"
    _stage(weights, monkeypatch, params, weights=fetched)
    _stage(bottleneck, monkeypatch, params, arrays=arrays, weights=fetched, features=features)
    training, validation = (open_bottleneck(arrays, features, name) for name in ("train", "validation"))
    assert training.inputs.shape == (12, *BACKBONES["mobilenet_v2"].features(70)) == (12, 3, 3, 1280)

    settings = parse_settings(values).train_vgg16
    description = TransferModel(
        size=70,
        classes=("cats", "dogs"),
        features=training.inputs.shape[1:],
        backbone="mobilenet_v2",
        scaling="imagenet",
        network=settings.network,
    )
    prepare(settings.seed)
    head = description.build()
    train(head, Parts(training, validation), settings, show_progress=False)
    write_model(head, description, tmp_path / "models" / "vgg16.weights.h5")
    loaded = load_predictor(tmp_path / "models" / "vgg16.weights.h5")
    assert loaded.description.name == "MobileNetV2 transfer model"
    whole = exported(loaded.open(fetched), loaded.description)
    whole.save(tmp_path / "model.keras")
    assert "dogs_vs_cats" not in json.dumps(whole.get_config())
    predicted = keras.saving.load_model(tmp_path / "model.keras").predict_on_batch(photos["validation"])
    # Photos through the exported model are what its features through the head are.
    expected = predict(head, validation.inputs)[:, 1]
    assert np.ptp(expected) > 1e-3, expected
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    # And the backbone's own preprocessing by hand gives the same features.
    own = keras.applications.mobilenet_v2.preprocess_input(photos["validation"].astype(np.float32))
    by_hand = build_backbone("mobilenet_v2", 70, fetched).predict_on_batch(own)
    np.testing.assert_allclose(by_hand, validation.inputs, rtol=1e-3, atol=1e-4)


def test_the_extractor_loads_the_file_it_is_given(mobilenet: Path) -> None:
    photos = random_photos(2, 64).astype(np.float32)
    settings = BottleneckSettings(backbone="mobilenet_v2")
    first = build_extractor(64, mobilenet, settings).predict_on_batch(photos)
    again = build_extractor(64, mobilenet, settings).predict_on_batch(photos)
    other = settings.model_copy(update={"scaling": "article"})
    article = build_extractor(64, mobilenet, other).predict_on_batch(photos)
    assert np.array_equal(first, again)
    assert not np.allclose(first, article, atol=1e-4)


def test_every_backbone_is_told_in_the_settings_file() -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert [name for name in BACKBONES if name not in text] == []
