"""Random changes of training images, on whatever device the model runs on."""

from typing import Any

import keras
from keras import layers, ops

from dogs_vs_cats.settings.training_settings import AugmentationSettings

if keras.backend.backend() == "tensorflow":
    from dogs_vs_cats.training.tensorflow_only import affine_transform
else:
    from dogs_vs_cats.training.affine import affine_transform

_ASPECT = 4 / 3
"""A crop's width is at most this many times its height, and its height this many times its width."""


@keras.saving.register_keras_serializable("dogs_vs_cats")
class RandomAffine(keras.layers.Layer):  # type: ignore[misc]
    """Crops, shears, zooms and flips each training image at random; leaves others as they are.

    All of them become one affine matrix an image, so pixels are interpolated once, bilinearly; beyond the edges the
    nearest pixel repeats. Images are ``(n, height, width, channels)`` of any type and range; they come out as floats.

    Args:
        shear_degrees: the shear angle is uniform in this many degrees either way.
        zoom: each axis is scaled by its own factor, uniform between ``1 - zoom`` and ``1 + zoom``.
        flip: mirror left-right with probability one half.
        crop: the smallest share of the image's area that a crop has; its share is uniform between this and 1, its place
            is uniform too. 1.0: no crops.
        size: pixels a side of the training images that come out; None: as they go in.
        seed: of the random draws; they go on from the layer's saved state when a training is resumed.

    Source: shear and zoom are those of Keras 2's ``ImageDataGenerator``, about the image's true centre. Crops: Szegedy
    et al., "Going deeper with convolutions", arXiv 1409.4842, section 6.
    """

    def __init__(
        self,
        shear_degrees: float = 0.0,
        zoom: float = 0.0,
        *,
        flip: bool = False,
        crop: float = 1.0,
        size: int | None = None,
        seed: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shear_degrees, self.zoom, self.flip, self.crop = shear_degrees, zoom, flip, crop
        self.size, self.seed = size, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, *, training: bool = False) -> Any:
        """Augment when ``training``, else return ``images`` unchanged, as floats."""
        if not training:
            return ops.cast(images, self.compute_dtype)
        transforms = self._transforms(ops.shape(images)[0], images.shape[1], images.shape[2])
        return affine_transform(images, transforms, self.compute_dtype, self.size)

    def _uniform(self, count: Any, low: float, high: float) -> Any:
        return keras.random.uniform((count,), low, high, dtype="float32", seed=self.seed_generator)

    def _transforms(self, count: Any, height: int, width: int) -> Any:
        """One row an image, from output to input pixel: x' = a0 x + a1 y + a2, y' = b0 x + b1 y + b2."""
        angle = self._uniform(count, -1.0, 1.0) * (self.shear_degrees * 3.141592653589793 / 180)
        zoom_x = self._uniform(count, 1 - self.zoom, 1 + self.zoom)
        zoom_y = self._uniform(count, 1 - self.zoom, 1 + self.zoom)
        mirror = ops.sign(self._uniform(count, -1.0, 1.0)) if self.flip else ops.ones((count,))
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        to_x, to_y = centre_x, centre_y
        if self.crop < 1:
            share_x, share_y = self._crops(count)
            centre_x += self._uniform(count, -0.5, 0.5) * (1 - share_x) * width
            centre_y += self._uniform(count, -0.5, 0.5) * (1 - share_y) * height
            zoom_x, zoom_y = zoom_x * share_x, zoom_y * share_y
        if self.size is not None:
            zoom_x, zoom_y = zoom_x * (width / self.size), zoom_y * (height / self.size)
            to_x = to_y = (self.size - 1) / 2
        a0 = ops.cos(angle) * zoom_x * mirror
        a1 = ops.zeros_like(a0)
        b0 = -ops.sin(angle) * zoom_x * mirror
        b1 = zoom_y
        a2 = centre_x - a0 * to_x - a1 * to_y
        b2 = centre_y - b0 * to_x - b1 * to_y
        zeros = ops.zeros_like(a0)
        return ops.stack([a0, a1, a2, b0, b1, b2, zeros, zeros], axis=1)

    def _crops(self, count: Any) -> tuple[Any, Any]:
        """Share of the width and of the height that each crop has."""
        area = self._uniform(count, self.crop, 1.0)
        aspect = ops.power(_ASPECT, self._uniform(count, -1.0, 1.0))
        return ops.minimum(ops.sqrt(area * aspect), 1.0), ops.minimum(ops.sqrt(area / aspect), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that this layer was made with."""
        names = ("shear_degrees", "zoom", "flip", "crop", "size", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("dogs_vs_cats")
class RandomColour(keras.layers.Layer):  # type: ignore[misc]
    """Changes brightness, contrast and saturation of each training image, each by a factor of its own.

    Not ``keras.layers.RandomColorJitter``: one number for its saturation means up to so much of it, 0.1 nearly grey
    images, and its contrast only rises. Images are (n, height, width, 3), 0 to 255.

    Args:
        change: each factor is uniform between ``1 - change`` and ``1 + change``.
        seed: of the random draws; they go on from the layer's saved state when a training is resumed.
    """

    def __init__(self, change: float, *, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.change, self.seed = change, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, *, training: bool = False) -> Any:
        """Change the images when ``training``, else return them."""
        if not training:
            return images
        shape = (ops.shape(images)[0], 1, 1, 1)
        brightness, contrast, saturation = (
            keras.random.uniform(shape, 1 - self.change, 1 + self.change, images.dtype, self.seed_generator)
            for _ in range(3)
        )
        images = images * brightness
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        images = mean + (images - mean) * contrast
        grey = ops.mean(images, axis=3, keepdims=True)
        return ops.clip(grey + (images - grey) * saturation, 0, 255)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that this layer was made with."""
        return {**super().get_config(), "change": self.change, "seed": self.seed}


def build_augmentation(
    settings: AugmentationSettings | None, seed: int, size: int | None = None
) -> keras.layers.Layer | None:
    """Build the layer that changes training images.

    Args:
        settings: what is changed, and how much.
        seed: of the random draws.
        size: pixels a side of the images that come out; None: as they go in.

    Returns:
        The layer; None where nothing is changed.
    """
    changes: list[keras.layers.Layer] = []
    if settings is not None:
        # Every second epoch flips a photo where the batches are read, which know the epoch.
        flip = settings.flip is True
        if settings.shear_degrees or settings.zoom or flip or settings.crop < 1:
            changes.append(
                RandomAffine(settings.shear_degrees, settings.zoom, flip=flip, crop=settings.crop, size=size, seed=seed)
            )
        if settings.colour:
            changes.append(RandomColour(settings.colour, seed=seed + 1))
        if settings.rand_augment:
            changes.append(layers.RandAugment((0, 255), factor=settings.rand_augment, seed=seed + 2))
        if settings.erasing:
            changes.append(layers.RandomErasing(settings.erasing, seed=seed + 3))
    if size is not None and not (changes and isinstance(changes[0], RandomAffine)):
        changes.insert(0, RandomAffine(size=size, seed=seed))
    if len(changes) > 1:
        return keras.Sequential(changes, name="augmentation")
    return changes[0] if changes else None
