"""How results are put in words: photos, and a verdict that claims no more than was shown."""

from collections.abc import Iterator

from dogs_vs_cats.evaluation.comparison import Comparison
from dogs_vs_cats.numerals import p_value, percent, points

_WIDEST = 0.2  # an interval that wide covers both a good model and a poor one
_ONE_SIDED = 1.25  # times the share that a class has where all are alike


def photos(count: int, split: str, source: str) -> str:
    """So many photos of a split; pictures where they were drawn."""
    noun = "picture" if source == "drawn" else "photo"
    return f"{count:,} {'drawn ' if source == 'drawn' else ''}{split} {noun}{'' if count == 1 else 's'}"


def _cautions(comparison: Comparison) -> Iterator[str]:
    """Yield what a verdict must be taken with: too few photos, one-sided classes, models that always say the same."""
    models, majority = comparison.models.values(), comparison.majority
    on = photos(comparison.images, comparison.split, comparison.source)
    widest = max(high - low for low, high in (model.interval for model in models))
    if widest > _WIDEST:
        yield f"The test is too small: with {on}, an accuracy is known to within {points(widest, 0)} points only."
    rows = next(iter(models)).confusion
    for name, row in zip(comparison.classes, rows, strict=True):
        if not sum(row):
            yield f"None of them is of class {name}."
    for model in models:
        said = [name for place, name in enumerate(comparison.classes) if any(row[place] for row in model.confusion)]
        if len(said) == 1:
            yield f"The {model.name} always says {said[0]}."
    one_sided = majority.share > _ONE_SIDED / len(comparison.classes)
    if one_sided or max(model.accuracy for model in models) <= majority.share:
        yield f"Always saying {majority.name} would be right on {percent(majority.share)} of them."


def verdict(comparison: Comparison) -> str:
    """Put the comparison's outcome in a sentence, whatever its ``verdict`` says so far.

    Returns:
        The best model with the size of its difference from the next, the interval and the test, if both exclude chance;
        else that no difference can be claimed.
    """
    models, confidence = comparison.models, percent(comparison.confidence, None)
    best = sorted(models, key=lambda kind: -models[kind].accuracy)[:2]
    difference = next(pair for pair in comparison.differences if {pair.first, pair.second} == set(best))
    second, first = difference.second, difference.first
    leader, trailer = (second, first) if difference.accuracy > 0 else (first, second)
    sign = 1 if leader == second else -1
    size, (low, high) = sign * difference.accuracy, sorted(sign * bound for bound in difference.interval)
    digits = 1 if size >= 0.01 else 2  # noqa: PLR2004 - a difference under one point needs another digit
    spread = f"{confidence} interval {points(low, digits)} to {points(high, digits)}"
    test = f"McNemar's exact test p {p_value(difference.mcnemar.p_value)}"
    on = photos(comparison.images, comparison.split, comparison.source)
    reached, ours, theirs = percent(models[leader].accuracy), models[leader].name, models[trailer].name
    told = " ".join(["", *_cautions(comparison)])
    if size == 0:
        both = "both models are" if len(models) == 2 else "the two best models are"  # noqa: PLR2004
        return f"No difference can be claimed: {both} right on {reached} of {on} ({spread} points; {test}).{told}"
    figures = f"right on {reached} of {on}, the {theirs} on {percent(models[trailer].accuracy)}"
    gap = f"{points(size, digits)} percentage points apart ({spread}; {test})"
    if difference.claimed:
        return f"The {ours} is better: it is {figures}, {gap}.{told}"
    return f"No difference can be claimed: the {ours} is {figures}, {gap}; chance alone may explain that.{told}"
