import keras
import numpy as np
import pytest

from dogs_vs_cats.settings.training_settings import AugmentationSettings
from dogs_vs_cats.training.augmentation import RandomAffine, RandomColour, build_augmentation


def _disc(size: int = 65) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] - size // 2
    return np.repeat(((rows**2 + columns**2) < 16**2)[None, ..., None] * 200.0, 3, axis=3).astype(np.float32)


def test_only_training_images_are_changed() -> None:
    images = _disc()
    layer = RandomAffine(11.459, 0.2, flip=True, seed=1)
    assert np.array_equal(layer(images), images)
    assert not np.array_equal(layer(images, training=True), images)


def test_without_shear_and_zoom_an_image_is_left_as_it_is_or_mirrored() -> None:
    images = np.random.default_rng(0).uniform(0, 255, (64, 9, 12, 3)).astype(np.float32)
    augmented = np.asarray(RandomAffine(0, 0, flip=True, seed=1)(images, training=True))
    mirrored = [np.allclose(after, before[:, ::-1], atol=1e-3) for before, after in zip(images, augmented, strict=True)]
    same = [np.allclose(after, before, atol=1e-3) for before, after in zip(images, augmented, strict=True)]
    assert np.logical_xor(mirrored, same).all()
    assert 15 < sum(mirrored) < 49  # of 64; outside of it once in 10,000 seeds


def test_zoom_changes_each_axis_by_its_own_factor_within_the_range_about_the_centre() -> None:
    images = np.repeat(_disc(), 200, axis=0)
    augmented = np.asarray(RandomAffine(0, 0.2, flip=False, seed=3)(images, training=True))
    inside = augmented[..., 0] > 100
    heights, widths = inside.any(axis=2).sum(axis=1), inside.any(axis=1).sum(axis=1)
    # The factor maps output to input: at 0.8 the disc of 31 pixels appears 31 / 0.8 wide, at 1.2 31 / 1.2.
    for sides in (heights, widths):
        assert 25 <= sides.min() < 28
        assert 36 < sides.max() <= 40
    assert np.corrcoef(heights, widths)[0, 1] < 0.3
    assert inside[:, 32, 32].all()


def test_shear_is_the_articles_matrix() -> None:
    # Keras 2: input row = row - sin(s) * column, input column = cos(s) * column, about the centre.
    row = 20
    images = np.zeros((1, 65, 65, 3), np.float32)
    images[:, row] = 255
    layer = RandomAffine(30, 0, flip=False, seed=5)
    transform = np.asarray(layer._transforms(1, 65, 65))[0]
    sine, cosine = -transform[3], transform[0]
    assert np.isclose(sine**2 + cosine**2, 1, atol=1e-5)
    assert 0 < abs(sine) <= 0.5
    again = RandomAffine(30, 0, flip=False, seed=5)
    columns = np.arange(65)
    brightest = np.asarray(again(images, training=True))[0, :, :, 0].argmax(axis=0)
    expected = row + sine * (columns - 32)
    visible = (expected > 2) & (expected < 62)
    assert np.abs(brightest - expected)[visible].max() <= 1


def test_draws_go_on_from_a_saved_state_and_the_layer_is_rebuilt_from_its_config() -> None:
    images = _disc()
    layer = RandomAffine(11.459, 0.2, flip=True, seed=9)
    layer(images, training=True)
    state = layer.seed_generator.state.numpy()
    second = np.asarray(layer(images, training=True))
    rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    rebuilt.seed_generator.state.assign(state)
    assert np.array_equal(rebuilt(images, training=True), second)


def test_nothing_to_augment_is_no_layer() -> None:
    assert build_augmentation(None, 1) is None
    assert build_augmentation(AugmentationSettings(shear_degrees=0.0, zoom=0.0, flip=False), 1) is None


def test_crops_have_the_shares_that_were_asked_for_and_stay_inside_the_photo() -> None:
    side = 64
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    images = np.repeat(np.stack([columns, rows, 0 * rows], axis=-1)[None], 400, axis=0)
    crops = np.asarray(RandomAffine(crop=0.25, size=32, seed=2)(images, training=True))
    assert crops.shape == (400, 32, 32, 3)
    # A pixel's value is its place: what a crop spans is read off its edges.
    width = (crops[:, 16, -1, 0] - crops[:, 16, 0, 0]) * 32 / 31 / side
    height = (crops[:, -1, 16, 1] - crops[:, 0, 16, 1]) * 32 / 31 / side
    area = width * height
    assert 0.2 < area.min() < 0.3
    assert 0.9 < area.max() < 1.01
    assert np.quantile(width / height, [0.05, 0.95]) == pytest.approx([3 / 4, 4 / 3], rel=0.1)
    assert crops[..., :2].min() >= 0
    assert crops[..., :2].max() <= side - 1
    places = crops[:, 16, 16, 0] / side
    assert places.std() > 0.05


def test_smaller_training_images_are_the_whole_photo_where_nothing_is_cropped() -> None:
    images = _disc()
    layer = build_augmentation(None, 1, size=33)
    assert layer is not None
    small = np.asarray(layer(images, training=True))
    assert small.shape == (1, 33, 33, 3)
    assert (small[0, :, :, 0] > 100).sum() == pytest.approx((images[0, :, :, 0] > 100).sum() * (33 / 65) ** 2, rel=0.1)
    assert np.array_equal(layer(images), images)


@pytest.mark.parametrize("change", ["colour", "rand_augment", "erasing"])
def test_each_other_change_is_of_training_images_alone_and_goes_on_from_a_saved_state(change: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype(np.float32)
    settings = AugmentationSettings(shear_degrees=0.0, zoom=0.0, flip=False, **{change: 0.5})
    layer = build_augmentation(settings, 3)
    assert layer is not None
    assert np.array_equal(layer(images, training=False), images)
    first = np.asarray(layer(images, training=True))
    assert not np.array_equal(first, images)
    assert first.min() >= 0
    assert first.max() <= 255
    states = [variable for variable in layer.variables if variable.name == "seed_generator_state"]
    assert states
    saved = [np.array(state) for state in states]
    second = np.asarray(layer(images, training=True))
    for state, value in zip(states, saved, strict=True):
        state.assign(value)
    assert np.array_equal(layer(images, training=True), second)


def test_colours_change_by_factors_around_one() -> None:
    images = np.random.default_rng(0).uniform(80, 150, (600, 8, 8, 3)).astype(np.float32)
    changed = np.asarray(RandomColour(0.2, seed=1)(images, training=True))
    brightness = changed.mean(axis=(1, 2, 3)) / images.mean(axis=(1, 2, 3))
    # Relative to the brightness: grey values spread by the contrast, colours by contrast and saturation.
    grey = changed.mean(axis=3).std(axis=(1, 2)) / images.mean(axis=3).std(axis=(1, 2)) / brightness
    colour = changed.std(axis=3).mean(axis=(1, 2)) / images.std(axis=3).mean(axis=(1, 2)) / brightness / grey
    for factor in (brightness, grey, colour):
        assert 0.799 <= factor.min() < 0.82
        assert 1.18 < factor.max() <= 1.201
        assert factor.mean() == pytest.approx(1, abs=0.02)
