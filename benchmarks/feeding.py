"""Photos from arrays on disk to augmented batches, and a training's epoch against its bare train step."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import Figure, Options, ratios, take_turns
from dogs_vs_cats.data.examples import Examples
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.settings.training_settings import AugmentationSettings, TrainScratchSettings

SIZE = 150
BATCHES = 40


def figures(options: Options) -> Iterator[Figure]:
    """With the stage's own settings."""
    import_backend()
    from dogs_vs_cats.models.reproducibility import prepare

    settings = load_settings(Path("params.yaml")).train_scratch
    augmentation = settings.augmentation
    assert augmentation is not None, "train_scratch.augmentation is null; there is nothing to measure"
    prepare(1)
    count = settings.batch * BATCHES
    generator = np.random.default_rng(1)
    np.save(options.folder / "images.npy", generator.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8))
    images = np.load(options.folder / "images.npy", mmap_mode="r")
    labels = np.arange(count, dtype=np.uint8) % 2
    yield batches(options, images, labels, settings, augmentation)
    yield epoch(options, images, labels, settings)


def batches(options: Options, images: Any, labels: Any, settings: Any, changes: AugmentationSettings) -> Figure:
    """Augmented batches, against Keras's legacy generator with the same changes."""
    import tensorflow as tf
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    from dogs_vs_cats.training.augmentation import build_augmentation
    from dogs_vs_cats.training.batches import Batches

    layer = build_augmentation(changes, 1)
    assert layer is not None
    augment = tf.function(lambda batch: layer(batch, training=True))
    ours = Batches(Examples(images, labels), settings.batch, "softmax", shuffle_seed=1)
    dataset = ours.as_dataset()
    theirs = ImageDataGenerator(
        shear_range=changes.shear_degrees,
        zoom_range=[1 - changes.zoom, 1 + changes.zoom],
        horizontal_flip=changes.flip,
    ).flow(images, labels, batch_size=settings.batch)

    def run_ours() -> None:
        ours.begin_epoch(0)
        for inputs, _ in dataset:
            augment(inputs)

    def run_theirs() -> None:
        for index in range(len(theirs)):
            theirs[index]

    taken, legacy = take_turns(options.repeats, run_ours, run_theirs)
    return Figure("augmented batches", "Keras's legacy ImageDataGenerator", ratios(legacy, taken), goal=10)


def epoch(options: Options, images: Any, labels: Any, settings: TrainScratchSettings) -> Figure:
    """An epoch of the CNN, memory-mapped photos and all."""
    from benchmarks.epochs import bare_steps, epochs_in_turns
    from dogs_vs_cats.data.examples import Examples
    from dogs_vs_cats.models.networks.building import build_cnn
    from dogs_vs_cats.training.augmentation import build_augmentation
    from dogs_vs_cats.training.batches import encode
    from dogs_vs_cats.training.fitting import compile_for, with_augmentation

    augmentation = build_augmentation(settings.augmentation, 1)
    assert augmentation is not None
    bare = with_augmentation(build_cnn(settings.network, SIZE), augmentation, images.dtype.name)
    compile_for(bare, settings, updates=1)
    first = slice(0, settings.batch)
    steps = bare_steps(bare, np.array(images[first]), encode(labels[first], settings.network.output), BATCHES)
    taken, (alone,) = epochs_in_turns(
        build_cnn(settings.network, SIZE),
        Examples(images, labels),
        settings,
        options.repeats,
        steps,
    )
    against = "its bare train steps on data in memory"
    return Figure(f"epoch of the CNN, {BATCHES} batches", against, ratios(taken, alone), goal=1.05, at_most=True)
