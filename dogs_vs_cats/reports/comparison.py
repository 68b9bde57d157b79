"""The comparison as one HTML file that opens anywhere: no network, no script, pictures inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dogs_vs_cats.evaluation import wording
from dogs_vs_cats.evaluation.metrics import apply_temperature, reliability_curve
from dogs_vs_cats.reports import figures as pictures
from dogs_vs_cats.reports.pages import data_uri, environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.figure import Figure

    from dogs_vs_cats.evaluation.comparison import Candidate, Reported
    from dogs_vs_cats.reports.making import Making

_SECONDS_A_MINUTE = 60


def figures(
    comparison: Mapping[str, Any],
    candidates: Mapping[str, Candidate],
    reported: Reported,
    histories: Mapping[str, pd.DataFrame],
    images: np.ndarray,
    bins: int,
) -> dict[str, Figure]:
    """Every figure of a comparison, by name.

    Args:
        comparison: what ``comparison.compare`` returned.
        candidates: the models' probabilities.
        reported: the photos' classes.
        histories: by model, a row an epoch: epoch, loss, accuracy, val_loss, val_accuracy.
        images: (n, size, size, 3) uint8, the reported photos.
        bins: of the reliability curves.

    Returns:
        ``accuracy``, and for each model ``curves_KIND``, ``confusion_KIND``, ``reliability_KIND``, ``worst_KIND``.
    """
    models, labels = comparison["models"], reported.labels
    ours = {model["name"]: (model["accuracy"], *model["interval"]) for model in models.values()}
    theirs = {model["name"]: model["article"]["accuracy"] for model in models.values() if reported.comparable}
    on = wording.photos(len(labels), reported.split, reported.source)
    drawn = {"accuracy": pictures.accuracies(ours, theirs, f"Accuracy on {on}")}
    for kind, candidate in candidates.items():
        model, given, history = models[kind], candidate.probabilities, histories[kind]
        name, temperature = model["name"], model["temperature"]
        curves = {
            "as trained": reliability_curve(labels, given, bins),
            f"temperature {temperature:.2f}": reliability_curve(labels, apply_temperature(given, temperature), bins),
        }
        wrong = model["mistakes"]
        captions = [
            f"{Path(mistake['file']).name}\nis {mistake['class']}; "
            f"{pictures.shorten(reported.classes[1], 12)} {mistake['probability']:.4f}"
            for mistake in wrong
        ]
        drawn[f"curves_{kind}"] = pictures.learning_curves(history, name)
        drawn[f"confusion_{kind}"] = pictures.confusion(labels, given, reported.classes, name)
        drawn[f"reliability_{kind}"] = pictures.reliability(curves, name)
        chosen = images[[mistake["index"] for mistake in wrong]]
        drawn[f"worst_{kind}"] = pictures.photos(chosen, captions, f"{name}: sure and wrong")
    return drawn


def kept_epochs(history: pd.DataFrame) -> str:
    """The epochs whose weights training kept, in words."""
    kept = history.loc[history["kept"], "epoch"]
    return f"epoch {kept.iloc[0]}" if len(kept) == 1 else f"epochs {kept.iloc[0]} to {kept.iloc[-1]}, averaged,"


def _flat(settings: object, prefix: str = "") -> dict[str, str]:
    if not isinstance(settings, dict) or not settings:
        return {prefix: settings if isinstance(settings, str) else json.dumps(settings, ensure_ascii=False)}
    flat: dict[str, str] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "not known"
    if seconds < _SECONDS_A_MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _SECONDS_A_MINUTE)
    hours, minutes = divmod(minutes, _SECONDS_A_MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _percent(share: float, digits: int = 1) -> str:
    """A percentage that no line break parts from its sign."""
    return wording.percent(share, digits).replace(" ", "\N{NO-BREAK SPACE}")


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _speed(photos_per_second: float) -> str:
    return f"{photos_per_second:,.{0 if photos_per_second >= 10 else 1}f}"  # noqa: PLR2004


def _measures(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The table's rows: a measure, what it means, and each model's value."""
    models, positive = list(comparison["models"].values()), comparison["classes"][1]
    confidence = _percent(comparison["confidence"], 0)

    def row(name: str, meaning: str, values: list[str]) -> dict[str, Any]:
        return {"name": name, "meaning": meaning, "values": values}

    return [
        row("Accuracy", "share of photos put into the right class", [_percent(m["accuracy"], 2) for m in models]),
        row(
            f"Accuracy, {confidence} interval",
            "where the accuracy on endlessly many such photos plausibly lies (Wilson's interval)",
            [" to ".join(_percent(bound, 2) for bound in m["interval"]) for m in models],
        ),
        row(
            "Log-loss",
            "punishes being sure and wrong; 0 is perfect, 0.693 is a coin flip, lower is better",
            [_figure(m["log_loss"], 4) for m in models],
        ),
        row(
            "Log-loss, calibrated",
            "the same after temperature scaling, below",
            [_figure(m["calibrated"]["log_loss"], 4) for m in models],
        ),
        row(
            "Brier score",
            "mean squared distance of the probability from the truth; 0 is perfect, 0.25 is a coin flip",
            [_figure(m["brier"], 4) for m in models],
        ),
        row(
            "Area under the ROC curve",
            f"chance that, of two photos, the one with {positive} gets the higher probability; 1 is perfect",
            [_figure(m["auc"], 4) for m in models],
        ),
        row(
            "Calibration error (ECE)",
            "how far “90 % sure” is from “right 90 times in 100”, on average; 0 is perfect",
            [f"{_figure(m['ece'], 4)}; calibrated {_figure(m['calibrated']['ece'], 4)}" for m in models],
        ),
        row(
            "Temperature",
            "fitted on validation; above 1 the model was surer than it should be, below 1 less sure",
            [_figure(m["temperature"], 2) for m in models],
        ),
        row(
            "Parameters",
            "numbers in the network; how many of them this training learned",
            [f"{m['parameters']:,}; {m['trained_parameters']:,} learned here" for m in models],
        ),
        row(
            "Training time",
            "of the last training; without the single pass of all photos through the pretrained network",
            [_duration(m["training_seconds"]) for m in models],
        ),
        row(
            "Speed",
            "photos a second, from decoded photo to probability",
            ["not measured" if m["photos_per_second"] is None else _speed(m["photos_per_second"]) for m in models],
        ),
    ]


def _mistakes(comparison: Mapping[str, Any], images: np.ndarray) -> dict[str, list[dict[str, Any]]]:
    return {
        kind: [{**mistake, "picture": data_uri(_photo(images[mistake["index"]]))} for mistake in model["mistakes"]]
        for kind, model in comparison["models"].items()
    }


def _photo(image: np.ndarray) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def render(
    comparison: Mapping[str, Any],
    drawn: Mapping[str, Figure],
    images: np.ndarray,
    histories: Mapping[str, pd.DataFrame],
    making: Making,
) -> str:
    """The report as HTML.

    Args:
        comparison: what ``comparison.compare`` returned.
        drawn: its figures.
        images: (n, size, size, 3) uint8, the reported photos.
        histories: by model, a row an epoch.
        making: how it was made.

    Returns:
        One page that loads nothing from anywhere; the user's class and file names are escaped.
    """
    templates = environment()
    templates.filters |= {"percent": _percent, "points": wording.points}
    epochs = {kind: {"run": len(history), "kept": kept_epochs(history)} for kind, history in histories.items()}
    return templates.get_template("comparison.html.j2").render(
        comparison=comparison,
        photos=wording.photos(comparison["images"], comparison["split"], comparison["source"]),
        measures=_measures(comparison),
        figures={name: data_uri(pictures.png_bytes(figure)) for name, figure in drawn.items()},
        mistakes=_mistakes(comparison, images),
        epochs=epochs,
        making=making,
        settings=_flat(dict(making.settings)),
        p_value=wording.p_value(comparison["difference"]["mcnemar"]["p_value"]),
    )
