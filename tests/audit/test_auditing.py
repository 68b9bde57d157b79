"""What the audit doubts, on features and fingerprints made so that the answer is known."""

import numpy as np
import pytest

from dogs_vs_cats.audit.auditing import (
    CHUNK,
    content_doubts,
    duplicate_doubts,
    label_doubts,
    out_of_fold,
    pool,
    size_doubts,
)
from dogs_vs_cats.data.decoding.photos import Fingerprint
from dogs_vs_cats.errors import WorkflowError

CLASSES = ["cats", "dogs"]
N = 200
LABELS = (np.arange(N) % 2).astype(np.uint8)


def features(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Two clouds in as many dimensions as VGG16 has channels, that hardly overlap."""
    random = np.random.default_rng(seed)
    centres = np.array([[2.0, 0.5], [0.5, 2.0]])[labels].repeat(256, axis=1)
    values: np.ndarray = np.abs(centres + random.normal(0, 3, (len(labels), 512))).astype(np.float32)
    return values


def print_of(width: int = 400, height: int = 300, hash_: int = 0, content: str = "") -> Fingerprint:
    return Fingerprint(content or f"{hash_:064x}", hash_, width, height)


def test_features_are_averaged_over_the_photo_in_chunks() -> None:
    given = np.random.default_rng(0).random((CHUNK + 3, 2, 2, 4), dtype=np.float32)
    assert np.allclose(pool(given), given.mean(axis=(1, 2)))


def test_wrong_labels_are_doubted_first_and_the_other_class_suggested() -> None:
    wrong = [10, 55, 120]
    given = LABELS.copy()
    given[wrong] = 1 - given[wrong]
    probabilities = out_of_fold(features(LABELS), given, np.arange(N), 5, 1)
    doubts = label_doubts(given, probabilities, CLASSES, 50)
    assert sorted(doubt.photo for doubt in doubts[:3]) == wrong
    for doubt in doubts[:3]:
        assert doubt.suggested == LABELS[doubt.photo]
    assert doubts[0].suspected
    assert doubts[0].detail.startswith("suspected wrong: P(")
    assert not doubts[-1].suspected
    assert [doubt.score for doubt in doubts] == sorted(doubt.score for doubt in doubts)
    assert label_doubts(given, probabilities, CLASSES, 2) == doubts[:2]


def test_right_labels_are_not_doubted() -> None:
    assert label_doubts(LABELS, np.where(LABELS, 0.99, 0.01), CLASSES, 50) == []


def test_the_same_seed_gives_the_same_probabilities() -> None:
    given = features(LABELS), LABELS, np.arange(N), 5
    assert np.array_equal(out_of_fold(*given, seed=1), out_of_fold(*given, seed=1))
    assert not np.array_equal(out_of_fold(*given, seed=1), out_of_fold(*given, seed=2))


def test_a_wrong_label_is_not_learned_from_its_copy() -> None:
    # A cat a hundred times under the name of dog: whoever trains on some of the copies knows the others by heart.
    cat = np.where(np.arange(N) < N // 2, 0, 1).astype(np.uint8)
    own = features(cat)
    copies = np.repeat(features(np.zeros(1, np.uint8), seed=9) + 50 * np.eye(512)[0], 40, axis=0)
    given = np.concatenate([own, copies]).astype(np.float32)
    labels = np.concatenate([cat, np.ones(40, np.uint8)])
    together = np.concatenate([np.arange(N), np.full(40, N)])
    kept_apart = out_of_fold(given, labels, together, 5, 1)[N:]
    mixed = out_of_fold(given, labels, np.arange(len(labels)), 5, 1)[N:]
    assert kept_apart.max() < 0.5 < mixed.min()


def test_too_few_photos_for_the_folds_are_refused() -> None:
    labels = np.array([0] * 20 + [1] * 4, dtype=np.uint8)
    with pytest.raises(WorkflowError, match=r"5 folds need as many photos of each class.*one has 4"):
        out_of_fold(features(labels), labels, np.arange(24), 5, 1)


def test_photos_unlike_all_others_are_found_whatever_their_label() -> None:
    given = features(LABELS)
    given[[7, 90]] = [np.arange(512) % 9 == 0, np.arange(512) % 7 == 0]
    doubts = content_doubts(given, 10)
    assert {doubt.photo for doubt in doubts[:2]} == {7, 90}
    assert all(0 < doubt.score < 1 for doubt in doubts)
    assert [doubt.score for doubt in doubts] == sorted(doubt.score for doubt in doubts)


def test_no_photo_is_odd_where_all_are_alike() -> None:
    assert content_doubts(np.ones((30, 512), np.float32), 10) == []


def test_a_duplicate_names_the_largest_of_its_group() -> None:
    prints = [
        print_of(100, 100, 0b0),
        print_of(200, 200, 0b11),
        print_of(100, 100, 0b0, "f" * 64),
        print_of(hash_=2**40),
    ]
    labels = np.array([0, 0, 1, 1])
    doubts = duplicate_doubts(prints, labels, np.array([0, 0, 0, 1]), CLASSES)
    assert [(doubt.photo, doubt.duplicate_of) for doubt in doubts] == [(2, 1), (0, 1)]
    assert doubts[0].detail.endswith("labelled dogs, the other cats")
    assert doubts[1].score == 2 / 64


def test_equal_files_are_told() -> None:
    doubts = duplicate_doubts([print_of(), print_of()], np.array([0, 0]), np.array([0, 0]), CLASSES)
    assert [(doubt.photo, doubt.duplicate_of, doubt.detail) for doubt in doubts] == [
        (1, 0, "the same file, byte for byte")
    ]


def test_small_long_and_tall_photos_are_odd() -> None:
    random = np.random.default_rng(0)
    prints = [print_of(*random.integers((350, 250), (500, 400)).tolist()) for _ in range(60)]
    prints += [print_of(40, 30), print_of(1200, 200), print_of(160, 900), print_of(4000, 3000)]
    found = {doubt.photo: doubt.detail for doubt in size_doubts(prints)}
    assert set(found) == {60, 61, 62}
    assert found[60].startswith("40 x 30 pixels: shorter side")
    assert "width to height" in found[61]
    assert "height to width" in found[62]


def test_a_size_near_to_the_one_that_all_others_have_is_not_odd() -> None:
    prints = [print_of(200, 200)] * 50
    assert size_doubts([*prints, print_of(150, 200), print_of(200, 120)]) == []
    assert [doubt.photo for doubt in size_doubts([*prints, print_of(90, 90)])] == [50]
