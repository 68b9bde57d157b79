"""Which photos a person should look at: doubtful labels, odd contents, near-duplicates, odd sizes.

Arrays in, doubts out. Nothing here knows a right label: it says what the photos themselves say against theirs, surest
doubts first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.data.arrays import release
from dogs_vs_cats.data.decoding.photos import Fingerprint
from dogs_vs_cats.data.splits.splitting import HASH_BITS
from dogs_vs_cats.errors import WorkflowError

Reason: TypeAlias = Literal["label", "content", "duplicate", "size"]
Floats: TypeAlias = NDArray[np.float64]

# Photos whose features are in memory at a time: 32 MB at 4 x 4 x 512.
CHUNK = 1024
# Of the logistic regression on 512 standardised features; 0.001 and 0.1 had a higher out-of-fold log-loss (0.109 and
# 0.086, against 0.079) on 16,000 of Kaggle's photos.
INVERSE_REGULARISATION = 0.01
NEIGHBOURS = 10
# Robust standard deviations from the median that make a value an outlier; the moderate choice of Leys, Ley, Klein,
# Bernard, Licata, "Detecting outliers", Journal of Experimental Social Psychology 49 (2013).
OUTLIER = 2.5
# A side, or a ratio of sides, is never odd within this factor of the median, however alike the other photos are.
ODD_FACTOR = 2.0
# Makes the median absolute deviation of a normal distribution its standard deviation.
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Doubt:
    """Why a photo should be looked at.

    Attributes:
        photo: its row.
        reason: what is doubted.
        score: between 0 and 1; the lower, the surer the doubt.
        suggested: the class that the photo seems to show, where its label is doubted; 0 or 1.
        duplicate_of: the row of the photo that it duplicates.
        detail: the doubt in words.
        suspected: whether confident learning takes the label for wrong, rather than the photo for hard.
    """

    photo: int
    reason: Reason
    score: float
    detail: str
    suggested: int | None = None
    duplicate_of: int | None = None
    suspected: bool = False


def pool(features: np.ndarray) -> NDArray[np.float32]:
    """The spatial mean of features, a few photos in memory at a time.

    Args:
        features: (n, h, w, channels) float32, memory-mapped.

    Returns:
        (n, channels) float32.
    """
    pooled = np.empty((len(features), features.shape[-1]), np.float32)
    for start in range(0, len(features), CHUNK):
        pooled[start : start + CHUNK] = features[start : start + CHUNK].mean(axis=(1, 2))
        release(features)
    return pooled


def out_of_fold(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> Floats:
    """What a classifier says of each photo that it was not trained on, nor on its near-duplicates.

    Args:
        features: (n, channels).
        labels: (n,) 0 or 1.
        groups: (n,) the photos' groups of duplicates.
        folds: of the cross-validation, at least 2.
        seed: of the folds.

    Returns:
        (n,) P(second class).

    Raises:
        WorkflowError: if there are too few photos of a class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    independent = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    if independent < folds:
        raise WorkflowError(
            f"audit: {folds} folds need as many photos of each class that are no duplicates; one has {independent}"
        )
    probabilities = np.empty(len(labels))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for training, held_out in splitter.split(features, labels, groups):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_REGULARISATION, max_iter=1000))
        classifier.fit(features[training], labels[training])
        probabilities[held_out] = classifier.predict_proba(features[held_out])[:, 1]
    return probabilities


def label_doubts(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], most: int) -> list[Doubt]:
    """Photos that are more probably of the other class.

    Args:
        labels: (n,) 0 or 1.
        probabilities: (n,) out-of-fold P(second class).
        classes: the two classes' names.
        most: how many to return at most.

    Returns:
        Doubts, their score being the probability of the photo's own class.

    Source: Northcutt, Jiang, Chuang, "Confident learning", JAIR 70 (2021), by cleanlab.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    given, both = labels.astype(int), np.column_stack([1 - probabilities, probabilities])
    issues = find_label_issues(given, both, filter_by="prune_by_noise_rate", n_jobs=1)
    scores = get_label_quality_scores(given, both, method="self_confidence")
    doubted = [int(row) for row in np.argsort(scores, kind="stable") if scores[row] < 0.5]  # noqa: PLR2004
    return [
        Doubt(
            row,
            "label",
            float(scores[row]),
            f"{'suspected wrong' if issues[row] else 'hard to tell'}: "
            f"P({classes[1 - given[row]]}) = {1 - scores[row]:.3f}",
            suggested=1 - int(given[row]),
            suspected=bool(issues[row]),
        )
        for row in doubted[:most]
    ]


def content_doubts(features: np.ndarray, most: int) -> list[Doubt]:
    """Photos unlike all others, such as logos among photos of animals.

    Args:
        features: (n, channels).
        most: how many to return at most.

    Returns:
        Doubts, their score being the median photo's distance from its nearest neighbours by this one's.

    Source: Kuan, Mueller, "Back to the basics: revisiting out-of-distribution detection baselines", arXiv 2207.03061:
        the mean cosine distance to the nearest neighbours, here in the logarithm's robust standard deviations.
    """
    from sklearn.neighbors import NearestNeighbors

    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(lengths > 0, lengths, 1)
    # Between vectors of length 1, half the squared Euclidean distance is the cosine distance, and takes less memory.
    neighbours = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(unit) - 1), algorithm="brute").fit(unit)
    distances = (neighbours.kneighbors()[0] ** 2 / 2).mean(axis=1)
    logarithms = np.log(np.maximum(distances, np.finfo(np.float32).eps))
    deviations, factors = _deviations(logarithms), np.exp(logarithms - np.median(logarithms))
    odd = [int(row) for row in np.argsort(-deviations, kind="stable") if deviations[row] > OUTLIER]
    return [
        Doubt(row, "content", float(1 / factors[row]), f"{factors[row]:.1f} times as far from its like as the median")
        for row in odd[:most]
    ]


def duplicate_doubts(
    prints: Sequence[Fingerprint], labels: np.ndarray, groups: np.ndarray, classes: Sequence[str]
) -> list[Doubt]:
    """Photos that look like another, of which one is enough.

    Args:
        prints: (n) the photos'.
        labels: (n,) 0 or 1.
        groups: (n,) as ``splitting.group_duplicates`` numbers them.
        classes: the two classes' names.

    Returns:
        A doubt for all but the largest photo of each group, which they duplicate; copies with another label first. The
        score is the share of the perceptual hash's bits that differ.
    """
    members: dict[int, list[int]] = {}
    for row in range(len(prints)):
        members.setdefault(int(groups[row]), []).append(row)
    doubts: list[Doubt] = []
    for rows in members.values():
        kept = max(rows, key=lambda row: (prints[row].width * prints[row].height, -row))
        doubts += [_duplicate(row, kept, prints, labels, classes) for row in rows if row != kept]
    return sorted(doubts, key=lambda doubt: (labels[doubt.photo] == labels[doubt.duplicate_of], doubt.score))


def _duplicate(row: int, kept: int, prints: Sequence[Fingerprint], labels: np.ndarray, classes: Sequence[str]) -> Doubt:
    differing = (prints[row].perceptual_hash ^ prints[kept].perceptual_hash).bit_count()
    detail = f"{differing} of {HASH_BITS} bits of the perceptual hash differ"
    if prints[row].sha256 == prints[kept].sha256:
        detail = "the same file, byte for byte"
    if labels[row] != labels[kept]:
        detail += f"; labelled {classes[labels[row]]}, the other {classes[labels[kept]]}"
    return Doubt(row, "duplicate", differing / HASH_BITS, detail, duplicate_of=kept)


def size_doubts(prints: Sequence[Fingerprint]) -> list[Doubt]:
    """Photos that are much smaller than the others, or much longer or taller.

    Args:
        prints: (n) the photos'.

    Returns:
        Doubts where the shorter side, or the ratio of width to height, is an outlier, and off the median by a factor of
        more than two; one a photo, its surest. The score is that factor's inverse.
    """
    widths = np.log([print_.width for print_ in prints])
    heights = np.log([print_.height for print_ in prints])
    doubts = []
    for what, values in (
        ("shorter side", -np.minimum(widths, heights)),
        ("width to height", widths - heights),
        ("height to width", heights - widths),
    ):
        deviations, factors = _deviations(values), np.exp(values - np.median(values))
        for row in np.flatnonzero((deviations > OUTLIER) & (factors > ODD_FACTOR)).tolist():
            size = f"{prints[row].width} x {prints[row].height} pixels"
            relation = "below" if what == "shorter side" else "above"
            detail = f"{size}: {what} {factors[row]:.1f} times {relation} the median"
            doubts.append(Doubt(row, "size", float(1 / factors[row]), detail))
    doubts.sort(key=lambda doubt: (doubt.score, doubt.photo))
    surest: dict[int, Doubt] = {}
    for doubt in doubts:
        surest.setdefault(doubt.photo, doubt)
    return list(surest.values())


def _deviations(values: Floats) -> Floats:
    """Distances above the median in robust standard deviations; infinite where most values are equal."""
    distances = values - np.median(values)
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(distances)))
    if sigma > 0:
        return distances / sigma
    return np.where(distances > 0, np.inf, 0.0)
