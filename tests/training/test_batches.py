from typing import Any, Literal

import numpy as np
import pytest

from dogs_vs_cats.data.examples import Examples
from dogs_vs_cats.settings.training_settings import AugmentationSettings
from dogs_vs_cats.training import batches as batches_module
from dogs_vs_cats.training.batches import Batches, Buffers, Reader, encode

INPUTS = np.arange(10, dtype=np.float32)[:, None]
LABELS = (np.arange(10) % 2).astype(np.uint8)


def _epoch(batches: Batches, epoch: int = 0) -> tuple[np.ndarray, np.ndarray]:
    batches.begin_epoch(epoch)
    parts = [*batches.as_dataset().as_numpy_iterator()]
    return np.concatenate([inputs for inputs, _ in parts]), np.concatenate([targets for _, targets in parts])


def test_an_epoch_has_every_input_once_with_its_label() -> None:
    inputs, targets = _epoch(Batches(Examples(INPUTS, LABELS), 4, "sigmoid", shuffle_seed=1))
    assert sorted(inputs[:, 0]) == list(range(10))
    assert not np.array_equal(inputs[:, 0], np.arange(10))
    assert np.array_equal(targets[:, 0], inputs[:, 0] % 2)


def test_the_order_depends_on_the_seed_and_the_epoch_alone() -> None:
    whole = Batches(Examples(INPUTS, LABELS), 4, "sigmoid", shuffle_seed=1)
    first, second = _epoch(whole)[0], _epoch(whole, 1)[0]
    assert not np.array_equal(first, second)
    assert np.array_equal(_epoch(Batches(Examples(INPUTS, LABELS), 3, "sigmoid", shuffle_seed=1), 1)[0], second)
    assert not np.array_equal(_epoch(Batches(Examples(INPUTS, LABELS), 4, "sigmoid", shuffle_seed=2))[0], first)


def test_without_a_seed_inputs_come_in_order() -> None:
    batches = Batches(Examples(INPUTS, LABELS), 4, "sigmoid")
    assert [len(inputs) for inputs, _ in batches.as_dataset().as_numpy_iterator()] == [4, 4, 2]
    assert np.array_equal(_epoch(batches)[0], INPUTS)


def test_a_dataset_reads_the_epoch_that_has_begun_in_the_arrays_type() -> None:
    batches = Batches(Examples(INPUTS.astype(np.uint8), LABELS), 4, "softmax", shuffle_seed=1)
    dataset = batches.as_dataset()
    for epoch in (0, 1, 5):
        batches.begin_epoch(epoch)
        inputs, targets = (np.concatenate(parts) for parts in zip(*dataset.as_numpy_iterator(), strict=True))
        order = np.random.default_rng([1, epoch]).permutation(len(INPUTS))
        assert inputs.dtype == np.uint8
        assert np.array_equal(inputs, INPUTS[order])
        assert np.array_equal(targets, encode(LABELS[order], "softmax"))
    assert len(dataset) == 3
    # What tunes it would wait with idle cores at the end of an epoch.
    assert not dataset.options().autotune.enabled


class _Told(Batches):
    """Batches that say which of them were read."""

    def __init__(self) -> None:
        super().__init__(Examples(INPUTS, LABELS), 4, "sigmoid", shuffle_seed=1)
        self.asked: list[int] = []

    def read(self, index: int) -> tuple[np.ndarray, ...]:
        self.asked.append(index)
        return super().read(index)


def test_other_backends_get_each_epochs_batches_though_they_are_read_ahead() -> None:
    batches = _Told()
    reader = Reader(batches)
    assert np.array_equal(reader[0][0], INPUTS[:4])  # as Keras looks at one before the first epoch
    for epoch in (0, 1, 5):
        batches.begin_epoch(epoch)
        inputs, targets = (np.concatenate(parts) for parts in zip(*reader, strict=True))
        order = np.random.default_rng([1, epoch]).permutation(len(INPUTS))
        assert np.array_equal(inputs, INPUTS[order])
        assert np.array_equal(targets, encode(LABELS[order], "sigmoid"))
    reader[0]  # and as it does where a training stops within an epoch
    batches.begin_epoch(0)
    assert np.array_equal(reader[1][0], INPUTS[np.random.default_rng([1, 0]).permutation(len(INPUTS))][4:8])


def test_the_next_batches_are_read_while_the_model_trains_on_one() -> None:
    batches = _Told()
    reader = Reader(batches)
    reader[0]
    reader._thread.submit(len, ()).result()  # what its thread was given before is done
    assert batches.asked == [0, 1, 2]
    assert [len(part) for part in reader[1]] == [4, 4]
    assert batches.asked == [0, 1, 2]  # the third is the last


def test_a_buffer_is_used_again_once_no_view_of_it_is_left() -> None:
    buffers = Buffers(4, INPUTS)
    first = buffers.unused()[:3]
    second = buffers.unused()[:3]
    assert not np.shares_memory(first, second)
    view, address = first[:1], first.ctypes.data
    del first
    assert buffers.unused().ctypes.data != address  # the second view still shows it
    del view
    assert buffers.unused().ctypes.data == address


def test_labels_are_encoded_for_either_output() -> None:
    assert encode(LABELS[:2], "softmax").tolist() == [[1, 0], [0, 1]]
    assert encode(LABELS[:2], "sigmoid").tolist() == [[0], [1]]


def test_inputs_and_labels_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="10 inputs have 9 labels"):
        Examples(INPUTS, LABELS[:9])


IMAGES = np.random.default_rng(5).integers(0, 256, (40, 6, 8, 3), dtype=np.uint8)


def _changes(**changes: Any) -> AugmentationSettings:
    return AugmentationSettings.model_validate({"shear_degrees": 0.0, "zoom": 0.0, "flip": False} | changes)


def test_every_other_epoch_has_the_mirrored_inputs_of_a_photo() -> None:
    photos = np.arange(40, dtype=np.float16)[:, None]
    examples = Examples(photos, (np.arange(40) % 2).astype(np.uint8), mirrored=photos + 100)
    batches = Batches(examples, 16, "sigmoid", shuffle_seed=3)
    seen = []
    for epoch in range(3):
        inputs, targets = _epoch(batches, epoch)
        assert np.array_equal(inputs % 100 % 2, targets)
        assert sorted(inputs[:, 0] % 100) == list(range(40))
        seen.append((inputs[:, 0] >= 100)[np.argsort(inputs[:, 0] % 100)])
    assert 8 < seen[0].sum() < 32
    assert np.array_equal(seen[1], ~seen[0])
    assert np.array_equal(seen[2], seen[0])
    with pytest.raises(ValueError, match="39 inputs have 40 labels"):
        Examples(photos, examples.labels, mirrored=photos[:39])


def test_an_alternating_flip_flips_each_photo_in_every_other_epoch() -> None:
    labels = np.zeros(40, np.uint8)
    batches = Batches(Examples(IMAGES, labels), 16, "sigmoid", shuffle_seed=3, changes=_changes(flip="alternating"))
    flipped = []
    for epoch in range(3):
        inputs, _ = _epoch(batches, epoch)
        order = np.random.default_rng([3, epoch]).permutation(40)
        seen = np.array(
            [np.array_equal(image, IMAGES[place][:, ::-1]) for image, place in zip(inputs, order, strict=True)]
        )
        unchanged = [np.array_equal(image, IMAGES[place]) for image, place in zip(inputs, order, strict=True)]
        assert np.array_equal(unchanged, ~seen)
        flipped.append(seen[np.argsort(order)])
    assert 8 < flipped[0].sum() < 32
    assert np.array_equal(flipped[1], ~flipped[0])
    assert np.array_equal(flipped[2], flipped[0])


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_images_and_labels_are_mixed_by_the_same_share(kind: str) -> None:
    # Each class has one value, so that a mixture's mean tells its share.
    labels = (np.arange(40) % 2).astype(np.uint8)
    images = np.broadcast_to((labels * 200)[:, None, None, None], (40, 20, 20, 3)).astype(np.uint8)
    batches = Batches(Examples(images, labels), 40, "softmax", shuffle_seed=1, changes=_changes(**{kind: 1.0}))
    for epoch in range(4):
        inputs, targets = _epoch(batches, epoch)
        assert inputs.dtype == np.uint8
        assert np.allclose(targets.sum(axis=1), 1)
        assert np.allclose(inputs.mean(axis=(1, 2, 3)) / 200, targets[:, 1], atol=0.005)
    assert np.unique(targets[:, 1]).size > 2
    again, _ = _epoch(
        Batches(Examples(images, labels), 40, "softmax", shuffle_seed=1, changes=_changes(**{kind: 1.0})), 3
    )
    assert np.array_equal(again, inputs)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_a_mixtures_loss_is_that_of_both_labels_each_by_its_class(
    kind: str, output: Literal["softmax", "sigmoid"]
) -> None:
    labels = (np.arange(40) % 4 == 0).astype(np.uint8)
    mixed: dict[str, Any] = {"shuffle_seed": 1, "changes": _changes(**{kind: 1.0})}
    plain = Batches(Examples(IMAGES, labels), 40, output, **mixed)
    weighted = Batches(Examples(IMAGES, labels), 40, output, **mixed, class_weights=np.array([0.5, 4.0]))
    [(images, shares)] = plain.as_dataset().as_numpy_iterator()
    [(same_images, targets, weights)] = weighted.as_dataset().as_numpy_iterator()
    assert np.array_equal(images, same_images)
    share, probability = shares[:, -1], 0.3
    assert np.unique(share).size > 2
    loss = -(targets[:, -1] * np.log(probability) + (1 - targets[:, -1]) * np.log(1 - probability))
    expected = -(4.0 * share * np.log(probability) + 0.5 * (1 - share) * np.log(1 - probability))
    np.testing.assert_allclose(weights * loss, expected, rtol=1e-5)


def test_batches_have_a_weight_for_each_image_where_classes_have() -> None:
    batches = Batches(Examples(INPUTS, LABELS), 4, "sigmoid", shuffle_seed=1, class_weights=np.array([1.0, 3.0]))
    seen = [*batches.as_dataset().as_numpy_iterator()]
    for inputs, targets, weights in seen:
        assert weights.dtype == np.float32
        assert np.array_equal(weights, 1 + 2 * targets[:, 0])
        assert np.array_equal(targets[:, 0], inputs[:, 0] % 2)
    assert [len(inputs) for inputs, _, _ in seen] == [4, 4, 2]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flip": "alternating"},
        {"mixup": 1.0},
        {"cutmix": 1.0},
        {"flip": "alternating", "mixup": 0.4, "cutmix": 1.0},
    ],
)
@pytest.mark.parametrize("shuffle_seed", [None, 3])
def test_inputs_in_a_gpus_memory_give_the_same_batches(
    changes: dict[str, Any], shuffle_seed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = Examples(IMAGES, (np.arange(40) % 2).astype(np.uint8))
    options: dict[str, Any] = {"shuffle_seed": shuffle_seed, "changes": _changes(**changes)}
    here = Batches(examples, 16, "softmax", **options, class_weights=np.array([0.5, 4.0]))
    monkeypatch.setattr(batches_module, "free_gpu_memory", lambda: 4 * IMAGES.nbytes)
    there = Batches(examples, 16, "softmax", **options, class_weights=np.array([0.5, 4.0]))
    reader = there.as_dataset()
    assert there._on_gpu is not None
    for epoch in (0, 1, 5):
        here.begin_epoch(epoch)
        there.begin_epoch(epoch)
        for index in range(len(here)):
            for found, expected in zip(reader[index], here.read(index), strict=True):
                assert found.dtype == expected.dtype
                assert np.array_equal(found, expected)


def test_features_of_mirrored_photos_lie_in_a_gpus_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = np.random.default_rng(1).random((40, 3, 3, 2)).astype(np.float16)
    examples = Examples(photos, (np.arange(40) % 2).astype(np.uint8), mirrored=photos + 1)
    here, there, elsewhere = (Batches(examples, 16, "sigmoid", shuffle_seed=3) for _ in range(3))
    monkeypatch.setattr(batches_module, "free_gpu_memory", lambda: 8 * photos.nbytes)
    reader = there.as_dataset()
    monkeypatch.setattr(batches_module, "free_gpu_memory", lambda: 8 * photos.nbytes - 1)
    assert isinstance(elsewhere.as_dataset(), Reader)
    assert (there._on_gpu is not None, elsewhere._on_gpu) == (True, None)
    for epoch in range(2):
        here.begin_epoch(epoch)
        there.begin_epoch(epoch)
        assert all(np.array_equal(reader[index][0], here.read(index)[0]) for index in range(3))
