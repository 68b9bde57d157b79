"""Whether a model takes the alias ``champion``: only where it was tested on the same photos, and is better on them."""

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.tracking.logged_models import from_tag

CLASSES, TESTED = "classes", "tested_on"
"""Tags of a version: its classes, and a digest of the photos that it was tested on."""
RIGHT = "mlflow.dogs_vs_cats.right"
"""The tag of which test photos a version was right on. A version's page in MLflow shows no tag that begins with
``mlflow.``; the list of versions shows it."""
ADVICE = "to move it anyway, set tracking.champion to always and run dvc repro -f -s compare"


@dataclass(frozen=True)
class Judgement:
    """Whether the newcomer takes the alias, and why or why not."""

    takes: bool
    why: str


def memory_of_test(data: str, split: str, files: Sequence[str], right: NDArray[np.bool_]) -> dict[str, str]:
    """Return what a version's test is remembered by.

    Args:
        data: the data set's digest.
        split: that was tested on.
        files: (n) its photos.
        right: (n,) whether each was classified correctly.
    """
    digest = hashlib.sha256("\n".join((data, split, *files)).encode()).hexdigest()[:16]
    packed = base64.b64encode(zlib.compress(np.packbits(right).tobytes(), 9)).decode()
    return {TESTED: digest, RIGHT: f"{len(right)} {packed}"}


def judge(newcomer: Mapping[str, str], champion: Mapping[str, str] | None, name: str, confidence: float) -> Judgement:
    """Judge whether a version is better than the champion, by McNemar's exact test on the same photos.

    Args:
        newcomer: its tags.
        champion: the champion's tags; None where there is none.
        name: the champion's, in messages.
        confidence: of the claim, as of the comparison's.
    """
    from scipy.stats import binomtest

    if champion is None:
        return Judgement(takes=True, why="there was none before")
    ours, theirs = (from_tag(tags.get(CLASSES, "")) for tags in (newcomer, champion))
    if ours != theirs:
        return Judgement(takes=False, why=f"{name} is of other classes ({', '.join(theirs) or 'unknown'}); {ADVICE}")
    if RIGHT not in champion or newcomer.get(TESTED) != champion.get(TESTED):
        return Judgement(takes=False, why=f"{name} was tested on other photos; {ADVICE}")
    right, before = _right(newcomer[RIGHT]), _right(champion[RIGHT])
    gained, lost = int((right & ~before).sum()), int((before & ~right).sum())
    p_value = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    told = f"right on {right.sum():,} of {len(right):,} photos, {name} on {before.sum():,}; McNemar's p = {p_value:.2g}"
    if gained > lost and p_value <= 1 - confidence + 1e-12:  # as the comparison's own claim
        return Judgement(takes=True, why=f"better: {told}")
    return Judgement(takes=False, why=f"no better: {told}")


def _right(text: str) -> NDArray[np.bool_]:
    count, _, packed = text.partition(" ")
    bits = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8)
    return np.unpackbits(bits, count=int(count)).astype(bool)
