"""Which of several models is better, on the same photos, and whether that can be claimed."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dogs_vs_cats.evaluation.comparison import (
    AgainstArticle,
    Calibrated,
    Comparison,
    Difference,
    EnsembleResult,
    Majority,
    Mistake,
    ModelResult,
    OnValidation,
)
from dogs_vs_cats.evaluation.ensemble import NAME as ENSEMBLE
from dogs_vs_cats.evaluation.ensemble import fit_ensemble
from dogs_vs_cats.evaluation.metrics import (
    correct,
    fit_temperature,
    losses,
    reliability_curve,
    score,
    worst_mistakes,
)
from dogs_vs_cats.evaluation.statistics import bootstrap_interval, is_claimed, mcnemar
from dogs_vs_cats.evaluation.wording import verdict
from dogs_vs_cats.models.probabilities import apply_temperature, predicted
from dogs_vs_cats.settings.params import CompareSettings


@dataclass(frozen=True)
class Candidate:
    """One of the models compared.

    Attributes:
        name: what it is called.
        origin: where its knowledge comes from, in words.
        article_accuracy: the article's accuracy of such a model.
        weights: SHA-256 of its weights file.
        probabilities: (n, classes) on the split that is reported.
        validation: (m, classes) on the validation split.
        parameters: numbers in the whole network, the backbone's included where it is part of it.
        trained_parameters: those among them that training changed.
        training_seconds: how long training took, without the extraction of features.
        photos_per_second: from decoded photo to probability.
    """

    name: str
    origin: str
    article_accuracy: float
    weights: str
    probabilities: np.ndarray
    validation: np.ndarray
    parameters: int
    trained_parameters: int
    training_seconds: float
    photos_per_second: float


@dataclass(frozen=True)
class Reported:
    """The photos that the models are compared on.

    Attributes:
        source: ``download.source``: drawn, folder, zip, microsoft or kaggle.
        split: "test", or "validation" where there is no test split.
        classes: the classes' names.
        comparable: whether these are photos of the article's kind.
        files: (n) the reported split's photos.
        labels: (n,) their class numbers.
        validation_labels: (m,) the validation photos' class numbers.
    """

    source: str
    split: str
    classes: tuple[str, ...]
    comparable: bool
    files: list[str]
    labels: np.ndarray
    validation_labels: np.ndarray


def against_article(theirs: float, interval: tuple[float, float], *, comparable: bool) -> AgainstArticle:
    """Judge our accuracy's interval by the article's accuracy."""
    lower, upper = interval
    if not comparable:
        return AgainstArticle(accuracy=theirs, judgement="not comparable")
    if lower <= theirs <= upper:
        return AgainstArticle(accuracy=theirs, judgement="reproduced")
    return AgainstArticle(accuracy=theirs, judgement="above" if lower > theirs else "below")


def calibrated_log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the log-loss on the validation photos after scaling by the temperature that is best on them."""
    scaled = apply_temperature(probabilities, fit_temperature(labels, probabilities))
    return float(losses(labels, scaled).mean())


def better_model(labels: np.ndarray, validation: Mapping[str, np.ndarray]) -> str:
    """Choose the model to use: the one with the lower log-loss on validation after temperature scaling.

    Validation decides, so that the test split stays a report on photos that nothing was chosen by; log-loss, since it
    is what the competition scores and is finer than accuracy. Of equals the first: the CNN, which needs no backbone.

    Args:
        labels: (m,) the validation photos' class numbers.
        validation: by model, (m, classes).
    """
    return min(validation, key=lambda kind: calibrated_log_loss(labels, validation[kind]))


def _differences(
    labels: np.ndarray, candidates: Mapping[str, Candidate], temperatures: Mapping[str, float], rules: CompareSettings
) -> list[Difference]:
    """Subtract each earlier model from each later one.

    With more than two models there are more chances of a false claim, so intervals and tests keep the confidence of all
    pairs together.

    Source: Bonferroni's correction.
    """
    pairs = list(itertools.combinations(candidates, 2))
    confidence = 1 - (1 - rules.confidence) / len(pairs) if len(pairs) > 1 else rules.confidence
    rights = {kind: correct(labels, candidate.probabilities) for kind, candidate in candidates.items()}
    raw = {kind: losses(labels, candidate.probabilities) for kind, candidate in candidates.items()}
    scaled = {
        kind: losses(labels, apply_temperature(candidate.probabilities, temperatures[kind]))
        for kind, candidate in candidates.items()
    }

    def interval(values: np.ndarray) -> tuple[float, float]:
        return bootstrap_interval(values, confidence, rules.bootstrap_resamples, rules.seed)

    differences = []
    for first, second in pairs:
        accuracy = rights[second].astype(np.float64) - rights[first]
        test, spread = mcnemar(rights[first], rights[second]), interval(accuracy)
        differences.append(
            Difference(
                second=second,
                first=first,
                accuracy=float(accuracy.mean()),
                interval=spread,
                claimed=is_claimed(spread, test.p_value, confidence),
                mcnemar=test,
                log_loss=float((raw[second] - raw[first]).mean()),
                log_loss_interval=interval(raw[second] - raw[first]),
                calibrated_log_loss=float((scaled[second] - scaled[first]).mean()),
                calibrated_log_loss_interval=interval(scaled[second] - scaled[first]),
            )
        )
    return differences


def _result(candidate: Candidate, reported: Reported, rules: CompareSettings) -> ModelResult:
    labels, given = reported.labels, candidate.probabilities
    temperature = fit_temperature(reported.validation_labels, candidate.validation)
    scores = score(labels, given, rules.confidence, rules.calibration_bins)
    scaled = score(labels, apply_temperature(given, temperature), rules.confidence, rules.calibration_bins)
    on_validation = score(reported.validation_labels, candidate.validation, rules.confidence, rules.calibration_bins)
    says = predicted(given)
    return ModelResult(
        **scores.model_dump(),
        name=candidate.name,
        origin=candidate.origin,
        weights=candidate.weights,
        temperature=temperature,
        calibrated=Calibrated(log_loss=scaled.log_loss, brier=scaled.brier, ece=scaled.ece),
        validation=OnValidation(
            images=on_validation.images,
            accuracy=on_validation.accuracy,
            log_loss=on_validation.log_loss,
            calibrated_log_loss=calibrated_log_loss(reported.validation_labels, candidate.validation),
        ),
        parameters=candidate.parameters,
        trained_parameters=candidate.trained_parameters,
        training_seconds=candidate.training_seconds,
        photos_per_second=candidate.photos_per_second,
        article=against_article(candidate.article_accuracy, scores.interval, comparable=reported.comparable),
        reliability=reliability_curve(labels, given, rules.calibration_bins),
        mistakes=[
            Mistake(
                index=index,
                file=reported.files[index],
                true_class=reported.classes[int(labels[index])],
                predicted_class=reported.classes[int(says[index])],
                probabilities=given[index].tolist(),
            )
            for index in worst_mistakes(labels, given, rules.worst_mistakes)
        ],
    )


def _ensemble(
    candidates: Mapping[str, Candidate], better: str, reported: Reported, rules: CompareSettings
) -> EnsembleResult:
    """Judge all models together on the reported photos, with weights and temperature of validation."""
    validation = {kind: candidate.validation for kind, candidate in candidates.items()}
    fitted = fit_ensemble(reported.validation_labels, validation)
    given = fitted.apply({kind: candidate.probabilities for kind, candidate in candidates.items()})
    first = candidates[better]
    pair = {better: first, ENSEMBLE: replace(first, probabilities=given, validation=fitted.apply(validation))}
    temperatures = {
        kind: fit_temperature(reported.validation_labels, candidate.validation) for kind, candidate in pair.items()
    }
    scaled = apply_temperature(given, temperatures[ENSEMBLE])
    calibrated = score(reported.labels, scaled, rules.confidence, rules.calibration_bins)
    return EnsembleResult(
        **score(reported.labels, given, rules.confidence, rules.calibration_bins).model_dump(),
        weights=dict(fitted.weights),
        temperature=temperatures[ENSEMBLE],
        calibrated=Calibrated(log_loss=calibrated.log_loss, brier=calibrated.brier, ece=calibrated.ece),
        gain=_differences(reported.labels, pair, temperatures, rules)[0],
    )


def compare(candidates: Mapping[str, Candidate], reported: Reported, rules: CompareSettings) -> Comparison:
    """Compare models on the same photos.

    Args:
        candidates: two models or more, by kind; differences are a later one's results minus an earlier one's.
        reported: the photos they are compared on.
        rules: how.

    Raises:
        ValueError: if arrays differ in length, are empty, or hold anything but probabilities and class numbers.
    """
    models = {kind: _result(candidate, reported, rules) for kind, candidate in candidates.items()}
    counts = np.bincount(reported.labels, minlength=len(reported.classes))
    largest = int(counts.argmax())
    temperatures = {kind: model.temperature for kind, model in models.items()}
    better = better_model(
        reported.validation_labels, {kind: candidate.validation for kind, candidate in candidates.items()}
    )
    comparison = Comparison(
        source=reported.source,
        split=reported.split,
        images=len(reported.labels),
        classes=reported.classes,
        confidence=rules.confidence,
        majority=Majority(name=reported.classes[largest], share=float(counts[largest] / counts.sum())),
        models=models,
        differences=_differences(reported.labels, candidates, temperatures, rules),
        ensemble=_ensemble(candidates, better, reported, rules),
        better=better,
        better_by="the lower log-loss on validation after temperature scaling",
        verdict="",
    )
    return comparison.model_copy(update={"verdict": verdict(comparison)})
