"""Who is a better model than the champion, by what is remembered of both."""

import numpy as np
import pytest

from dogs_vs_cats.tracking.champions import Judgement, judge, memory_of_test
from dogs_vs_cats.tracking.logged_models import as_tag

FILES = [f"{number}.jpg" for number in range(1000)]
RIGHT = np.random.default_rng(1).random(1000) < 0.8
CLASSES = {"classes": as_tag(["bad, rotten", "good"])}


def tags(right: np.ndarray = RIGHT, data: str = "data", split: str = "test") -> dict[str, str]:
    return CLASSES | memory_of_test(data, split, FILES[: len(right)], right)


def changed(gained: int, lost: int) -> np.ndarray:
    """A model that is right where ``RIGHT`` is, but for so many photos."""
    right = RIGHT.copy()
    right[np.flatnonzero(~RIGHT)[:gained]] = True
    right[np.flatnonzero(RIGHT)[:lost]] = False
    return right


@pytest.mark.parametrize(
    ("gained", "lost", "takes"),
    [(6, 0, True), (5, 0, False), (0, 6, False), (20, 6, True), (15, 6, False), (0, 0, False), (30, 30, False)],
)
def test_the_exact_test_decides(gained: int, lost: int, takes: bool) -> None:
    judged = judge(tags(changed(gained, lost)), tags(), "version 3", 0.95)
    assert judged.takes is takes
    told = f"right on {RIGHT.sum() + gained - lost} of 1,000 photos, version 3 on {RIGHT.sum()}; McNemar's p = "
    assert told in judged.why


@pytest.mark.parametrize(
    ("champion", "why"),
    [
        (tags(data="other"), "version 3 was tested on other photos"),
        (tags(split="validation"), "version 3 was tested on other photos"),
        (tags(RIGHT[:900]), "version 3 was tested on other photos"),
        (CLASSES, "version 3 was tested on other photos"),
        (tags() | {"classes": as_tag(["cats", "dogs"])}, "version 3 is of other classes (cats, dogs)"),
        (tags() | {"classes": as_tag(["good", "bad, rotten"])}, "version 3 is of other classes (good, bad, rotten)"),
        ({}, "version 3 is of other classes (unknown)"),
    ],
)
def test_a_champion_of_other_classes_or_another_test_stays(champion: dict[str, str], why: str) -> None:
    judged = judge(tags(np.full(1000, fill_value=True)), champion, "version 3", 0.95)
    assert not judged.takes
    assert judged.why.startswith(why)
    assert "set tracking.champion to always and run dvc repro -f -s compare" in judged.why


def test_the_first_model_is_champion() -> None:
    assert judge(tags(), None, "", 0.95) == Judgement(takes=True, why="there was none before")


def test_a_large_test_fits_into_a_tag() -> None:
    right = np.random.default_rng(2).random(500_000) < 0.75
    assert len(memory_of_test("data", "test", [], right)["mlflow.dogs_vs_cats.right"]) < 100_000
