"""Which photo goes to which split: seeded, stratified by class, duplicates together."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise, product, repeat

import numpy as np

from dogs_vs_cats.data.splits.dictionary_encoding import DictionaryEncoded
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.photo_settings import SplitSettings

HASH_BITS = 64
# Pairs found but not yet merged into groups: 16 MB, however many photos look alike.
PENDING_PAIRS = 1_000_000
# Photos looked at in one step, so that what a step takes does not grow with them.
_BLOCK = 8192


def group_duplicates(hashes: np.ndarray, bits: int) -> np.ndarray:
    """Group photos that look alike, directly or through others in between.

    Exact: two hashes that differ in at most ``bits`` bits agree on at least one of ``bits + 1`` bands of bits, so only
    photos that share a band are compared. Photos of equal bytes have equal hashes, so they are together too.

    Args:
        hashes: (n,) uint64, the photos' perceptual hashes.
        bits: how many bits may differ; 0 groups equal hashes only.

    Returns:
        (n,) the number of each photo's group, from 0.

    Source: Manku, Jain, Das Sarma, "Detecting near-duplicates for web crawling", WWW 2007.
    """
    # Before there are arrays: a module stays, and what is freed below it does not go back to the system.
    import scipy.sparse.csgraph  # noqa: F401

    # These arrays are the most that the split stage has in memory: hence sorting in place, and comparing in blocks.
    unique = np.sort(hashes.astype(np.uint64, copy=False))
    unique = unique[np.concatenate([[True], unique[1:] != unique[:-1]])[: len(unique)]]
    groups = np.arange(len(unique), dtype=np.int32)
    pending: list[tuple[np.ndarray, np.ndarray]] = []
    waiting = 0
    for low, high in pairwise(np.linspace(0, HASH_BITS, bits + 2).astype(np.uint64)):
        # The band comes first, so that sorting brings together those that share it.
        turned = _turned(unique, HASH_BITS - high)
        turned.sort()
        for left, right in _near(turned, int(high - low), bits):
            pending.append((_places(_turned(left, high), unique), _places(_turned(right, high), unique)))
            waiting += left.size
            if waiting > PENDING_PAIRS:
                groups, pending, waiting = _merged(groups, pending), [], 0
        del turned
    groups, grouped = _merged(groups, pending), np.empty(len(hashes), dtype=np.int32)
    for start in range(0, len(hashes), _BLOCK):
        grouped[start : start + _BLOCK] = groups[_places(hashes[start : start + _BLOCK], unique)]
    return grouped


def _places(hashes: np.ndarray, among: np.ndarray) -> np.ndarray:
    return np.searchsorted(among, hashes).astype(np.int32)


def _turned(hashes: np.ndarray, bits: np.uint64) -> np.ndarray:
    """Hashes with so many of their high bits moved to the low end, 64 leaving them as they are."""
    turned: np.ndarray = hashes << bits
    for start in range(0, len(hashes), _BLOCK):
        turned[start : start + _BLOCK] |= hashes[start : start + _BLOCK] >> (HASH_BITS - bits)
    return turned


def _near(hashes: np.ndarray, width: int, bits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of sorted hashes that agree on their ``width`` high bits and differ in at most ``bits``."""
    alike = np.uint64((1 << (HASH_BITS - width)) - 1)
    for start in range(0, len(hashes), _BLOCK):
        left = np.arange(start, min(start + _BLOCK, len(hashes)))
        # Each with its next neighbour in the band, then the one after it: memory stays at a few numbers a photo even
        # where thousands share a band.
        for distance in range(1, len(hashes)):
            left = left[: np.searchsorted(left, len(hashes) - distance)]
            differing = hashes[left] ^ hashes[left + distance]
            in_band = differing <= alike
            left, differing = left[in_band], differing[in_band]
            if not left.size:
                break
            near = left[np.bitwise_count(differing) <= bits]
            if near.size:
                yield hashes[near], hashes[near + distance]


def assign_splits(labels: Sequence[str], groups: np.ndarray, settings: SplitSettings) -> DictionaryEncoded[str | None]:
    """Say where each photo goes.

    The photos are shuffled by the seed. Groups of duplicates go first, into the training
    split as long as it has room: what is left for validation and test then shows each subject once, as the intervals
    computed on it assume. Single photos fill up each split to its exact share of each class. Where groups leave no
    exact way, what fits nowhere goes to the split that lacks the largest part of its share. A limit on the photos used
    is never exceeded; it is missed where all that is left are groups larger than what is missing.

    Args:
        labels: the photos' classes, in the order of the photos' names, so that no other order changes the split.
        groups: (n,) their groups of duplicates, as ``group_duplicates`` numbers them.
        settings: the ``split`` section.

    Returns:
        "train", "validation" or "test" for each photo; None for one that is not used.

    Raises:
        WorkflowError: if there are fewer photos than asked for, or too few to give each split one of each class.
    """
    photos = _choose(_shuffle(groups, settings.seed), groups, labels, settings.images)
    photos = _large_groups_first(photos, groups)
    counts = Counter(labels[photo] for photo in photos)
    room = _shares({label: counts[label] for label in sorted(set(labels))}, settings)
    quotas = {split: Counter(room[split]) for split in room}
    assigned: DictionaryEncoded[str | None] = DictionaryEncoded(repeat(None, len(labels)))

    def lacking(split: str) -> float:
        return sum(room[split][label] for label in wanted) / sum(quotas[split][label] for label in wanted)

    for group in _whole_groups(photos, groups):
        wanted = Counter(labels[photo] for photo in group)
        fitting = [split for split in room if wanted <= room[split]]
        split = max(fitting or room, key=lacking)
        if len(group) > 1 and "train" in fitting:
            split = "train"
        room[split].subtract(wanted)
        for photo in group:
            assigned[photo] = split
    _check_classes(assigned, labels, list(room))
    return assigned


def keep_splits(
    labels: Sequence[str], given: Sequence[str | None], groups: np.ndarray, settings: SplitSettings
) -> DictionaryEncoded[str | None]:
    """Keep the splits that photos came with; what is missing of validation and test is cut from training.

    Args:
        labels: as for ``assign_splits``.
        given: the split of each photo.
        groups: as for ``assign_splits``. Duplicates in different splits stay there.
        settings: the ``split`` section. Its shares are of the training photos.

    Returns:
        As ``assign_splits``; a limit on the photos holds for each split in proportion.

    Raises:
        WorkflowError: as ``assign_splits``, or if none are for training or a split lacks a class.
    """
    splits = sorted(set(map(str, given)))
    ignore = "or set split.own to ignore"
    if "train" not in splits:
        raise WorkflowError(
            f"split: the source has {' and '.join(splits)} folders, none to train on; add one, {ignore}"
        )
    present = set(zip(given, labels, strict=True))
    for split, label in product(splits, sorted(set(labels))):
        if (split, label) not in present:
            raise WorkflowError(f"split: the source's own {split} photos are none of class {label}; add some, {ignore}")
    numbers = np.fromiter(map(splits.index, map(str, given)), dtype=np.int64, count=len(labels))
    within = np.unique(groups * len(splits) + numbers, return_inverse=True)[1].astype(np.int32)
    kinds = DictionaryEncoded(f"{split} {label}" for split, label in zip(given, labels, strict=True))
    assigned: DictionaryEncoded[str | None] = DictionaryEncoded(repeat(None, len(labels)))
    for photo in _choose(_shuffle(within, settings.seed), within, kinds, settings.images).tolist():
        assigned[photo] = given[photo]
    missing = {split: share for split, share in _held_out(settings).items() if split not in splits}
    if any(missing.values()):
        cut = settings.model_copy(update={"images": None, "validation": 0.0, "test": 0.0, **missing})
        training = [photo for photo, split in enumerate(assigned) if split == "train"]
        parts = assign_splits(DictionaryEncoded(labels[photo] for photo in training), within[training], cut)
        for photo, part in zip(training, parts, strict=True):
            assigned[photo] = part
    return assigned


def _held_out(settings: SplitSettings) -> dict[str, float]:
    return {"validation": settings.validation, "test": settings.test}


def _shuffle(groups: np.ndarray, seed: int) -> np.ndarray:
    """The photos in a random order, each followed at once by the others of its group."""
    shuffled = np.arange(len(groups), dtype=np.int32)
    np.random.default_rng(seed).shuffle(shuffled)
    grouped = groups[shuffled]
    # Assigned backwards, so that of a group's places its first is the one that stays.
    first = np.zeros(max(grouped, default=-1) + 1, dtype=np.int32)
    first[grouped[::-1]] = np.arange(len(groups), dtype=np.int32)[::-1]
    first = first[grouped]
    del grouped
    return shuffled[np.argsort(first, kind="stable")]


def _large_groups_first(photos: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The largest go where there is room for them; the shuffled order stays among groups of one size."""
    follows = np.diff(groups[photos], prepend=-1, append=-1) == 0
    several = follows[:-1] | follows[1:]
    grouped = groups[photos[several]]
    order = np.argsort(-np.bincount(grouped)[grouped], kind="stable")
    return np.concatenate([photos[several][order], photos[~several]])


def _whole_groups(photos: np.ndarray, groups: np.ndarray) -> Iterator[list[int]]:
    """Photos that follow each other and are of one group, one group at a time."""
    for _, group in groupby(photos.data, groups.data.__getitem__):
        yield list(group)


def _choose(photos: np.ndarray, groups: np.ndarray, labels: Sequence[str], images: int | None) -> np.ndarray:
    """As many photos as asked for, in whole groups, with the classes in the proportion they all have."""
    if images is None:
        return photos
    if images > len(labels):
        raise WorkflowError(
            f"split.images: {images} photos asked for, there are {len(labels)}; lower it, or null to use all"
        )
    room = _apportion(images, Counter(labels))
    chosen: list[int] = []
    for group in _whole_groups(photos, groups):
        wanted = Counter(labels[photo] for photo in group)
        if wanted <= room:
            room.subtract(wanted)
            chosen += group
    return np.array(chosen, dtype=photos.dtype)


def _apportion(total: int, counts: Counter[str]) -> Counter[str]:
    """Divide a total in the proportion of the counts, the largest remainders rounded up."""
    exact = {label: total * count / counts.total() for label, count in sorted(counts.items())}
    parts = Counter({label: int(share) for label, share in exact.items()})
    for label in sorted(exact, key=lambda label: parts[label] - exact[label])[: total - parts.total()]:
        parts[label] += 1
    return parts


def _shares(counts: Mapping[str, int], settings: SplitSettings) -> dict[str, Counter[str]]:
    """How many photos of each class each split is to have; at least one."""
    room = {
        split: Counter({label: max(1, round(count * share)) for label, count in counts.items()})
        for split, share in _held_out(settings).items()
        if share > 0
    }
    left = Counter(counts)
    for held_out in room.values():
        left.subtract(held_out)
    for label, count in left.items():
        if count < 1:
            raise WorkflowError(
                f"split: {counts[label]} photos of class {label} are too few to give train, {' and '.join(room)} at "
                "least one each; add photos, raise split.images or lower split.validation and split.test"
            )
    return {"train": left, **room}


def _check_classes(assigned: Sequence[str | None], labels: Sequence[str], splits: list[str]) -> None:
    present = set(zip(assigned, labels, strict=True))
    for split in splits:
        for label in sorted(set(labels)):
            if (split, label) not in present:
                raise WorkflowError(
                    f"split: {split} gets no photo of class {label}, since nearly all are duplicates of each other; "
                    "add photos, or lower split.near_duplicate_bits"
                )


def _merged(groups: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not pairs:
        return groups
    left = groups[np.concatenate([pair[0] for pair in pairs])]
    right = groups[np.concatenate([pair[1] for pair in pairs])]
    graph = coo_matrix((np.ones(len(left), dtype=np.bool_), (left, right)), shape=(len(groups), len(groups)))
    merged: np.ndarray = connected_components(graph, directed=False)[1][groups]
    return merged
