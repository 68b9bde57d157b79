"""Shear, zoom and flip as one resampling, on whatever device the model runs on."""

from typing import Any

import keras
from keras import ops

from dogs_vs_cats.settings.params import AugmentationSettings
from dogs_vs_cats.training.affine import affine_transform


@keras.saving.register_keras_serializable("dogs_vs_cats")
class RandomShearZoomFlip(keras.layers.Layer):  # type: ignore[misc]
    """Shears, zooms and flips each training image at random; leaves others as they are.

    The three become one affine matrix an image, so pixels are interpolated once, bilinearly; beyond the edges the
    nearest pixel repeats. Images are ``(n, height, width, channels)`` of any type and range; they come out as floats.

    Args:
        shear_degrees: the shear angle is uniform in this many degrees either way.
        zoom: each axis is scaled by its own factor, uniform between ``1 - zoom`` and ``1 + zoom``.
        flip: mirror left-right with probability one half.
        seed: of the random draws; they go on from the layer's saved state when a training is resumed.

    Source: the matrices are those of Keras 2's ``ImageDataGenerator``, about the image's true centre.
    """

    def __init__(self, shear_degrees: float, zoom: float, *, flip: bool, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shear_degrees, self.zoom, self.flip, self.seed = shear_degrees, zoom, flip, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, *, training: bool = False) -> Any:
        """Augment when ``training``, else return ``images`` unchanged, as floats."""
        if not training:
            return ops.cast(images, self.compute_dtype)
        transforms = self._transforms(ops.shape(images)[0], images.shape[1], images.shape[2])
        return affine_transform(images, transforms, self.compute_dtype)

    def _transforms(self, count: Any, height: int, width: int) -> Any:
        """One row an image, from output to input pixel: x' = a0 x + a1 y + a2, y' = b0 x + b1 y + b2."""

        def uniform(low: float, high: float) -> Any:
            return keras.random.uniform((count,), low, high, dtype="float32", seed=self.seed_generator)

        angle = uniform(-1.0, 1.0) * (self.shear_degrees * 3.141592653589793 / 180)
        zoom_x = uniform(1 - self.zoom, 1 + self.zoom)
        zoom_y = uniform(1 - self.zoom, 1 + self.zoom)
        mirror = ops.sign(uniform(-1.0, 1.0)) if self.flip else ops.ones((count,))
        a0 = ops.cos(angle) * zoom_x * mirror
        a1 = ops.zeros_like(a0)
        b0 = -ops.sin(angle) * zoom_x * mirror
        b1 = zoom_y
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        a2 = centre_x - a0 * centre_x - a1 * centre_y
        b2 = centre_y - b0 * centre_x - b1 * centre_y
        zeros = ops.zeros_like(a0)
        return ops.stack([a0, a1, a2, b0, b1, b2, zeros, zeros], axis=1)

    def get_config(self) -> dict[str, Any]:
        """The arguments this layer was made with."""
        own = {"shear_degrees": self.shear_degrees, "zoom": self.zoom, "flip": self.flip, "seed": self.seed}
        return {**super().get_config(), **own}


def build_augmentation(settings: AugmentationSettings | None, seed: int) -> keras.layers.Layer | None:
    """The augmentation layer of ``settings``; None where there is nothing to augment."""
    if settings is None or not (settings.shear_degrees or settings.zoom or settings.flip):
        return None
    return RandomShearZoomFlip(settings.shear_degrees, settings.zoom, flip=settings.flip, seed=seed)
