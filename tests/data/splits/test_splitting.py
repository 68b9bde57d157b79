"""Duplicates stay together, classes in proportion, the same split again for the same photos."""

import tracemalloc
from collections import Counter, defaultdict

import numpy as np
import pytest

from dogs_vs_cats.data.splits import splitting
from dogs_vs_cats.data.splits.splitting import assign_splits, group_duplicates
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.photo_settings import SplitSettings


def settings(
    images: int | None = None, validation: float = 0.2, test: float = 0.1, seed: int = 1, near_duplicate_bits: int = 3
) -> SplitSettings:
    return SplitSettings(
        images=images, validation=validation, test=test, seed=seed, near_duplicate_bits=near_duplicate_bits
    )


def photos(cats: int, dogs: int) -> list[str]:
    """Their classes."""
    return ["cats"] * cats + ["dogs"] * dogs


def hashes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64, endpoint=False)


def same_grouping(left: np.ndarray, right: np.ndarray) -> bool:
    pairs = set(zip(left.tolist(), right.tolist(), strict=True))
    return len(pairs) == len(set(left.tolist())) == len(set(right.tolist()))


def groups_by_comparing_all(values: np.ndarray, bits: int) -> np.ndarray:
    groups = np.arange(len(values))
    for first in range(len(values)):
        for second in range(first):
            if int(values[first] ^ values[second]).bit_count() <= bits:
                groups[groups == groups[first]] = groups[second]
    return groups


@pytest.mark.parametrize("block", [5, 8192])
@pytest.mark.parametrize("bits", range(8))
def test_groups_are_those_of_comparing_every_pair(bits: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "_BLOCK", block)
    random = np.random.default_rng(bits)
    values = hashes(60, seed=bits)
    flipped = [
        value ^ np.bitwise_or.reduce(np.uint64(1) << random.choice(64, size=differing, replace=False).astype(np.uint64))
        for differing in range(1, 10)
        for value in values[:20]
    ]
    values = np.concatenate([values, values[:10], np.array(flipped, dtype=np.uint64)])
    expected = groups_by_comparing_all(values, bits)
    assert same_grouping(group_duplicates(values, bits), expected)
    assert len(set(expected.tolist())) < len(set(values.tolist())) or bits == 0


def test_photos_are_grouped_through_others_in_between() -> None:
    chain = np.array([0b0, 0b111, 0b111111, 0b111111111], dtype=np.uint64)
    assert len(set(group_duplicates(chain, 3).tolist())) == 1
    assert len(set(group_duplicates(chain, 2).tolist())) == 4


def test_no_bits_group_equal_hashes_only() -> None:
    grouped = group_duplicates(np.array([5, 4, 5, 2**63, 2**63], dtype=np.uint64), 0)
    assert same_grouping(grouped, np.array([0, 1, 0, 2, 2]))


def test_thousands_of_equal_pictures_are_one_group() -> None:
    values = np.concatenate([np.zeros(20_000, dtype=np.uint64), hashes(100)])
    groups = group_duplicates(values, 7)
    assert np.bincount(groups).max() == 20_000


def test_thousands_of_nearly_equal_pictures_are_one_group() -> None:
    bits = np.random.default_rng(0).integers(0, 64, (3000, 3)).astype(np.uint64)
    values = np.bitwise_xor.reduce(np.uint64(1) << bits, axis=1)
    assert len(set(group_duplicates(np.append(values, np.uint64(0)), 3).tolist())) == 1


def test_a_photo_takes_few_bytes_while_it_is_grouped_and_split() -> None:
    values = hashes(30_000)
    values[:1000] = values[-1000:]
    labels = photos(15_000, 15_000)
    tracemalloc.start()
    groups = group_duplicates(values, 3)
    assign_splits(labels, groups, settings())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / len(values) < 40


def test_no_photos_make_no_groups() -> None:
    assert len(group_duplicates(np.array([], dtype=np.uint64), 3)) == 0


def test_each_split_has_its_share_of_each_class() -> None:
    labels = photos(cats=100, dogs=300)
    splits = assign_splits(labels, np.arange(400), settings())
    assert Counter(zip(splits, labels, strict=True)) == {
        ("train", "cats"): 70, ("validation", "cats"): 20, ("test", "cats"): 10,
        ("train", "dogs"): 210, ("validation", "dogs"): 60, ("test", "dogs"): 30,
    }  # fmt: skip


def test_no_test_share_leaves_two_splits() -> None:
    labels = photos(50, 50)
    assert Counter(assign_splits(labels, np.arange(100), settings(test=0.0))) == {"train": 80, "validation": 20}


def test_the_split_depends_on_who_is_grouped_and_not_on_the_groups_numbers() -> None:
    labels = photos(200, 200)
    groups = group_duplicates(np.tile(hashes(370), 2)[:400], 3)
    renumbered = np.random.default_rng(5).permutation(400)[groups]
    limited = settings(images=250)
    assert [*assign_splits(labels, groups, limited)] == [*assign_splits(labels, renumbered, limited)]


def test_another_seed_is_another_split() -> None:
    labels = photos(50, 50)
    first, second = (assign_splits(labels, np.arange(100), settings(seed=seed)) for seed in (1, 2))
    assert [*first] != [*second]


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_stay_on_one_side_of_the_split(seed: int) -> None:
    labels = photos(300, 300)
    groups = np.random.default_rng(seed).integers(0, 450, 600)  # across classes too
    splits = assign_splits(labels, groups, settings(seed=seed))
    sides = defaultdict(set)
    for group, split in zip(groups.tolist(), splits, strict=True):
        sides[group].add(split)
    assert all(len(side) == 1 for side in sides.values())
    assert Counter(splits) == {"train": 420, "validation": 120, "test": 60}


def test_duplicates_are_trained_on_and_single_photos_judge() -> None:
    labels = photos(100, 100)
    groups = np.arange(200)
    groups[:20] = groups[100:120] = np.repeat(np.arange(10), 2)
    splits = assign_splits(labels, groups, settings())
    assert {split for split, group in zip(splits, groups, strict=True) if group < 10} == {"train"}


def test_a_group_larger_than_any_share_is_trained_on() -> None:
    labels = photos(100, 100)
    groups = np.where(np.arange(200) < 75, 0, np.arange(200))
    splits = assign_splits(labels, groups, settings())
    assert set(splits[:75]) == {"train"}
    assert {(split, "cats") for split in ("train", "validation", "test")} <= set(zip(splits, labels, strict=True))


def test_as_many_photos_as_asked_for_are_used_in_the_classes_proportion() -> None:
    labels = photos(cats=100, dogs=300)
    splits = assign_splits(labels, np.arange(400), settings(images=101))
    used = Counter(label for split, label in zip(splits, labels, strict=True) if split)
    assert used == {"cats": 25, "dogs": 76}


def test_a_limit_is_never_exceeded_by_groups() -> None:
    labels = photos(100, 100)
    splits = assign_splits(labels, np.arange(200) // 4, settings(images=50))
    assert 44 <= sum(split is not None for split in splits) <= 50


def test_more_photos_than_there_are_are_refused_with_both_numbers() -> None:
    labels = photos(20, 20)
    with pytest.raises(WorkflowError, match=r"split\.images: 41 photos asked for, there are 40"):
        assign_splits(labels, np.arange(40), settings(images=41))


def test_the_smallest_data_set_gives_each_split_one_of_each_class() -> None:
    labels = photos(3, 3)
    splits = assign_splits(labels, np.arange(6), settings())
    assert len(set(zip(splits, labels, strict=True))) == 6


def test_groups_larger_than_small_shares_still_reach_every_split() -> None:
    labels = photos(20, 20)
    splits = assign_splits(labels, np.arange(40) // 4, settings())
    assert len(set(zip(splits, labels, strict=True))) == 6


def test_too_few_photos_of_a_class_are_refused() -> None:
    labels = photos(2, 30)
    with pytest.raises(WorkflowError, match="2 photos of class cats are too few"):
        assign_splits(labels, np.arange(32), settings())


def test_a_limit_that_leaves_a_rare_class_out_is_refused() -> None:
    labels = photos(3, 300)
    with pytest.raises(WorkflowError, match=r"0 photos of class cats are too few.*raise split\.images"):
        assign_splits(labels, np.arange(303), settings(images=20))


def test_a_class_of_nothing_but_duplicates_is_refused() -> None:
    labels = photos(30, 30)
    groups = np.where(np.arange(60) < 30, 0, np.arange(60))
    with pytest.raises(WorkflowError, match="no photo of class cats, since nearly all are duplicates"):
        assign_splits(labels, groups, settings())
