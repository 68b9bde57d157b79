"""Which of two models is better, on the same photos, and whether that can be claimed. Arrays in, plain values out."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dogs_vs_cats.evaluation.metrics import (
    apply_temperature,
    correct,
    fit_temperature,
    losses,
    reliability_curve,
    score,
    worst_mistakes,
)
from dogs_vs_cats.evaluation.wording import verdict
from dogs_vs_cats.settings.params import CompareSettings

# Validation accuracies of Ahmed Besbes, "Understanding deep Convolutional Neural Networks", 2017.
ARTICLE_ACCURACY = {"scratch": 0.894, "vgg16": 0.907}
_BOOTSTRAP_BYTES = 32_000_000


@dataclass(frozen=True)
class Candidate:
    """One of the models compared.

    Attributes:
        probabilities: (n,) P(second class) on the split that is reported.
        validation: (m,) P(second class) on the validation split.
        parameters: numbers in the whole network, the backbone's included where it is part of it.
        trained_parameters: those among them that training changed.
        training_seconds: how long training took, without the extraction of features; None: not known.
        photos_per_second: from decoded photo to probability; None: not measured.
        name: what the model is called.
        backbone: what its backbone is called; None where it has none.
        weights: SHA-256 of its weights file, so that nobody calibrates another training's by this comparison; None: not
            known.
    """

    probabilities: np.ndarray
    validation: np.ndarray
    parameters: int
    trained_parameters: int
    training_seconds: float | None = None
    photos_per_second: float | None = None
    name: str = field(kw_only=True)
    backbone: str | None = field(default=None, kw_only=True)
    weights: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Reported:
    """The photos that the models are compared on.

    Attributes:
        source: ``download.source``: drawn, folder, zip, microsoft or kaggle.
        split: "test", or "validation" where there is no test split.
        classes: the two classes' names.
        comparable: whether these are photos of the article's kind.
        files: (n) the reported split's photos.
        labels: (n,) their classes, 0 or 1.
        validation_labels: (m,) the validation photos' classes.
    """

    source: str
    split: str
    classes: tuple[str, str]
    comparable: bool
    files: list[str]
    labels: np.ndarray
    validation_labels: np.ndarray


@dataclass(frozen=True)
class McNemar:
    """Photos by which of two models was right, and the test on those where only one was.

    Attributes:
        both_right: photos that both models classified correctly.
        only_first: photos that only the first did.
        only_second: photos that only the second did.
        both_wrong: photos that neither did.
        p_value: chance of a count at least so uneven, were both models equally good.
    """

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p_value: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """McNemar's exact test, two-sided.

    Args:
        first: (n,) bool, whether the first model classified each photo correctly.
        second: the same of the second model.

    Returns:
        The four counts and the p value: 1 when the models are never right on different photos.

    Source: McNemar, Psychometrika 12 (1947); exact as a binomial test of the discordant pairs.
    """
    from scipy.stats import binomtest

    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    p_value = float(binomtest(only_second, discordant, 0.5).pvalue) if discordant else 1.0
    both_right, both_wrong = int((first & second).sum()), int((~first & ~second).sum())
    return McNemar(both_right, only_first, only_second, both_wrong, min(p_value, 1.0))


def bootstrap_interval(differences: np.ndarray, confidence: float, resamples: int, seed: int) -> tuple[float, float]:
    """Interval for a mean of paired differences: photos are drawn again, with both models' results on them.

    Args:
        differences: (n,) second model's value minus the first's, a photo each.
        confidence: coverage, between 0 and 1.
        resamples: how often n photos are drawn.
        seed: of the drawing.

    Returns:
        Lower and upper bound; both the mean itself when all differences are equal.

    Source: Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 13, percentile method.
    """
    from scipy.stats import bootstrap

    differences = np.asarray(differences, dtype=np.float64)
    if np.ptp(differences) == 0:
        return float(differences[0]), float(differences[0])
    found = bootstrap(
        (differences,),
        np.mean,
        n_resamples=resamples,
        batch=max(_BOOTSTRAP_BYTES // (8 * len(differences)), 1),
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def is_claimed(interval: tuple[float, float], p_value: float, confidence: float) -> bool:
    """Whether a difference in accuracy can be claimed: its interval must exclude zero, and the test chance."""
    # The exact test's p values are discrete; the tolerance only forgives 1 - 0.95 its last digit.
    return (interval[0] > 0 or interval[1] < 0) and p_value <= 1 - confidence + 1e-12


def against_article(kind: str, interval: tuple[float, float], *, comparable: bool) -> dict[str, Any]:
    """The article's accuracy of this model, and where ours lies from it.

    Args:
        kind: "scratch" or "vgg16".
        interval: of our accuracy.
        comparable: whether ours comes from photos of the article's kind.

    Returns:
        ``accuracy``, the article's; ``judgement``: "reproduced" when it lies within our interval, "above" or "below"
        when our whole interval lies above or below it, or "not comparable".
    """
    theirs, (lower, upper) = ARTICLE_ACCURACY[kind], interval
    if not comparable:
        judgement = "not comparable"
    elif lower <= theirs <= upper:
        judgement = "reproduced"
    else:
        judgement = "above" if lower > theirs else "below"
    return {"accuracy": theirs, "judgement": judgement}


def calibrated_log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Log-loss on the validation photos after scaling by the temperature that is best on them."""
    scaled = apply_temperature(probabilities, fit_temperature(labels, probabilities))
    return float(losses(labels, scaled).mean())


def better_model(labels: np.ndarray, validation: Mapping[str, np.ndarray]) -> str:
    """The model to use: the one with the lower log-loss on validation after temperature scaling.

    Validation decides, so that the test split stays a report on photos that nothing was chosen by; log-loss, since it
    is what the competition scores and is finer than accuracy. Of equals the first: the CNN, which needs no backbone.

    Args:
        labels: (m,) the validation photos' classes.
        validation: by model, (m,) P(second class).
    """
    return min(validation, key=lambda kind: calibrated_log_loss(labels, validation[kind]))


def difference(
    labels: np.ndarray, given: Mapping[str, np.ndarray], scaled: Mapping[str, np.ndarray], rules: CompareSettings
) -> dict[str, Any]:
    """The second model's results minus the first's on the same photos.

    Args:
        labels: (n,) the photos' classes.
        given: by model, (n,) P(second class).
        scaled: the same after temperature scaling.
        rules: coverage, resamples and seed.

    Returns:
        ``of``, the two models as subtracted; ``accuracy`` (a share), ``log_loss`` and ``calibrated_log_loss``, each
        with its paired bootstrap interval; ``mcnemar``; whether the difference in accuracy is ``claimed``.
    """

    def interval(values: np.ndarray) -> tuple[float, float]:
        return bootstrap_interval(values, rules.confidence, rules.bootstrap_resamples, rules.seed)

    first, second = given
    rights = {kind: correct(labels, probabilities) for kind, probabilities in given.items()}
    accuracy = rights[second].astype(np.float64) - rights[first]
    raw = losses(labels, given[second]) - losses(labels, given[first])
    calibrated = losses(labels, scaled[second]) - losses(labels, scaled[first])
    test, between = mcnemar(rights[first], rights[second]), interval(accuracy)
    return {
        "of": [second, first],
        "accuracy": float(accuracy.mean()),
        "interval": between,
        "claimed": is_claimed(between, test.p_value, rules.confidence),
        "mcnemar": {
            "both_right": test.both_right,
            "only_right": {first: test.only_first, second: test.only_second},
            "both_wrong": test.both_wrong,
            "p_value": test.p_value,
        },
        "log_loss": float(raw.mean()),
        "log_loss_interval": interval(raw),
        "calibrated_log_loss": float(calibrated.mean()),
        "calibrated_log_loss_interval": interval(calibrated),
    }


def _model(kind: str, candidate: Candidate, reported: Reported, rules: CompareSettings) -> dict[str, Any]:
    """One model's part of ``comparison.json``."""
    labels, given = reported.labels, candidate.probabilities
    temperature = fit_temperature(reported.validation_labels, candidate.validation)
    scores = score(labels, given, rules.confidence, rules.calibration_bins)
    scaled = score(labels, apply_temperature(given, temperature), rules.confidence, rules.calibration_bins)
    on_validation = score(reported.validation_labels, candidate.validation, rules.confidence, rules.calibration_bins)
    return {
        "name": candidate.name,
        "backbone": candidate.backbone,
        "weights": candidate.weights,
        **asdict(scores),
        "temperature": temperature,
        "calibrated": {name: getattr(scaled, name) for name in ("log_loss", "brier", "ece")},
        "validation": {
            "images": on_validation.images,
            "accuracy": on_validation.accuracy,
            "log_loss": on_validation.log_loss,
            "calibrated_log_loss": calibrated_log_loss(reported.validation_labels, candidate.validation),
        },
        "parameters": candidate.parameters,
        "trained_parameters": candidate.trained_parameters,
        "training_seconds": candidate.training_seconds,
        "photos_per_second": candidate.photos_per_second,
        "article": against_article(kind, scores.interval, comparable=reported.comparable),
        "reliability": [asdict(group) for group in reliability_curve(labels, given, rules.calibration_bins)],
        "mistakes": [
            {
                "index": index,
                "file": reported.files[index],
                "class": reported.classes[int(labels[index])],
                "probability": float(given[index]),
            }
            for index in worst_mistakes(labels, given, rules.worst_mistakes)
        ],
    }


def compare(candidates: Mapping[str, Candidate], reported: Reported, rules: CompareSettings) -> dict[str, Any]:
    """All of ``comparison.json``.

    Args:
        candidates: the two models, by kind; differences are the second's minus the first's.
        reported: the photos they are compared on.
        rules: how.

    Returns:
        Values that JSON knows, none of them NaN or infinite.

    Raises:
        ValueError: if arrays differ in length, are empty, or hold anything but probabilities and labels.
    """
    models = {kind: _model(kind, candidate, reported, rules) for kind, candidate in candidates.items()}
    given = {kind: candidate.probabilities for kind, candidate in candidates.items()}
    scaled = {kind: apply_temperature(given[kind], models[kind]["temperature"]) for kind in candidates}
    comparison = {
        "source": reported.source,
        "split": reported.split,
        "images": len(reported.labels),
        "classes": list(reported.classes),
        "confidence": rules.confidence,
        "models": models,
        "difference": difference(reported.labels, given, scaled, rules),
        "better": better_model(
            reported.validation_labels, {kind: candidate.validation for kind, candidate in candidates.items()}
        ),
        "better_by": "the lower log-loss on validation after temperature scaling",
    }
    return {**comparison, "verdict": verdict(comparison)}


def as_json(value: object) -> str:
    """JSON text that every parser takes: a NaN or an infinity in it is an error, not a word."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def flat_metrics(comparison: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The few numbers worth a column in ``dvc metrics show``, a group a model; no times, which change by themselves."""
    metrics = {}
    for kind, model in comparison["models"].items():
        names = ("accuracy", "log_loss", "brier", "auc", "ece", "temperature")
        metrics[kind] = {name: model[name] for name in names if model[name] is not None}
        metrics[kind]["calibrated_log_loss"] = model["calibrated"]["log_loss"]
    found = comparison["difference"]
    metrics["difference"] = {"accuracy": found["accuracy"], "p_value": found["mcnemar"]["p_value"]}
    return metrics
