"""The comparison as one HTML file that opens anywhere: no network, no script, pictures inside."""

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dogs_vs_cats import numerals
from dogs_vs_cats.evaluation import wording
from dogs_vs_cats.evaluation.comparing import Candidate, Reported
from dogs_vs_cats.evaluation.comparison import Comparison, ModelResult
from dogs_vs_cats.evaluation.metrics import reliability_curve
from dogs_vs_cats.explanation.grad_cam import first_filters, grad_cam, telling_photos
from dogs_vs_cats.files import whole_file, whole_folder
from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.models.networks.building import describe_layers
from dogs_vs_cats.models.opened import OpenNetwork
from dogs_vs_cats.models.probabilities import apply_temperature
from dogs_vs_cats.reports import explanation_figures
from dogs_vs_cats.reports import figures as pictures
from dogs_vs_cats.reports.explanation_figures import where_models_look
from dogs_vs_cats.reports.pages import data_uri, environment
from dogs_vs_cats.tracking.making import Making, flattened

_SECONDS_A_MINUTE = 60


@dataclass(frozen=True)
class Compared:
    """What a comparison's figures and page are made of.

    Attributes:
        comparison: the results.
        candidates: by kind, the models' probabilities.
        networks: by kind, the models laid open.
        descriptions: by kind, what they are.
        reported: the photos' classes.
        images: (n, size, size, 3) uint8, the reported photos.
        histories: by kind, a row an epoch: epoch, loss, accuracy, val_loss, val_accuracy, kept.
        counts: photos in each split.
        digest: of the data.
    """

    comparison: Comparison
    candidates: Mapping[str, Candidate]
    networks: Mapping[str, OpenNetwork]
    descriptions: Mapping[str, Description]
    reported: Reported
    images: NDArray[np.uint8]
    histories: Mapping[str, pd.DataFrame]
    counts: Mapping[str, int]
    digest: str = ""


def figures(compared: Compared, bins: int) -> dict[str, Figure]:
    """Draw every figure of a comparison.

    Args:
        compared: what was compared.
        bins: of the reliability curves.

    Returns:
        ``accuracy``; for each model ``curves_KIND``, ``confusion_KIND``, ``reliability_KIND``, ``worst_KIND``; and
        ``grad_cam`` where a model has convolutions.
    """
    models, reported = compared.comparison.models, compared.reported
    labels = reported.labels
    ours = {model.name: (model.accuracy, *model.interval) for model in models.values()}
    theirs = {model.name: model.article.accuracy for model in models.values() if reported.comparable}
    on = wording.photos(len(labels), reported.split, reported.source)
    drawn = {"accuracy": pictures.accuracies(ours, theirs, f"Accuracy on {on}")}
    for kind, candidate in compared.candidates.items():
        model, given = models[kind], candidate.probabilities
        curves = {
            "as trained": reliability_curve(labels, given, bins),
            f"temperature {model.temperature:.2f}": reliability_curve(
                labels, apply_temperature(given, model.temperature), bins
            ),
        }
        captions = [
            f"{Path(mistake.file).name}\nis {mistake.true_class}; "
            f"{pictures.shorten(reported.classes[-1], 12)} {mistake.probabilities[-1]:.4f}"
            for mistake in model.mistakes
        ]
        drawn[f"curves_{kind}"] = pictures.learning_curves(compared.histories[kind], model.name)
        drawn[f"confusion_{kind}"] = pictures.confusion(labels, given, reported.classes, model.name)
        drawn[f"reliability_{kind}"] = pictures.reliability(curves, model.name, len(reported.classes))
        chosen = compared.images[[mistake.index for mistake in model.mistakes]]
        drawn[f"worst_{kind}"] = pictures.photos(chosen, captions, f"{model.name}: sure and wrong")
    return drawn | _looks(compared)


def _looks(compared: Compared) -> dict[str, Figure]:
    """Draw where the models that have convolutions look."""
    networks = {kind: network for kind, network in compared.networks.items() if network.convolutions}
    if not networks:
        return {}
    reported, models = compared.reported, compared.comparison.models
    chosen = telling_photos(reported.labels, {kind: compared.candidates[kind].probabilities for kind in networks})
    photos = np.array(compared.images[chosen])
    found = {
        models[kind].name: (grad_cam(network, photos)[0], compared.candidates[kind].probabilities[chosen, 1])
        for kind, network in networks.items()
    }
    title = "Where each model looks"
    return {"grad_cam": where_models_look(photos, reported.labels[chosen], reported.classes, found, title)}


def run_figures(compared: Compared, kind: str, drawn: Mapping[str, Figure]) -> Iterator[tuple[str, Figure]]:
    """Yield the figures that belong to one model's MLflow run, with their names there."""
    name, network = compared.comparison.models[kind].name, compared.networks[kind]
    for figure in ("curves", "confusion", "reliability"):
        yield f"{figure}.png", drawn[f"{figure}_{kind}"]
    yield "model/architecture.png", pictures.network(describe_layers(network.trained), f"{name}: architecture")
    if network.convolutions:
        yield "explained/grad_cam.png", drawn["grad_cam"]
        yield "explained/first_filters.png", explanation_figures.filters(first_filters(network), name)


def kept_epochs(history: pd.DataFrame) -> str:
    """The epochs whose weights training kept, in words."""
    kept = history.loc[history["kept"], "epoch"]
    return f"epoch {kept.iloc[0]}" if len(kept) == 1 else f"epochs {kept.iloc[0]} to {kept.iloc[-1]}, averaged,"


def _duration(seconds: float) -> str:
    if seconds < _SECONDS_A_MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _SECONDS_A_MINUTE)
    hours, minutes = divmod(minutes, _SECONDS_A_MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _percent(share: float, digits: int | None = 1) -> str:
    """A percentage that no line break parts from its sign."""
    return numerals.percent(share, digits).replace(" ", "\N{NO-BREAK SPACE}")


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _speed(photos_per_second: float) -> str:
    return f"{photos_per_second:,.{0 if photos_per_second >= 10 else 1}f}"  # noqa: PLR2004


@dataclass(frozen=True)
class _Measure:
    """A row of the table: a measure, what it means, and each model's value."""

    name: str
    meaning: str
    values: list[str]


def _measures(comparison: Comparison) -> list[_Measure]:
    confidence, models = _percent(comparison.confidence, None), comparison.models.values()
    two = len(comparison.classes) == 2  # noqa: PLR2004
    of = f"the one with {comparison.classes[1]}" if two else "the one of a class"
    guess = f"{math.log(len(comparison.classes)):.3f} is a {'coin flip' if two else 'guess'}"
    shows: list[tuple[str, str, Callable[[ModelResult], str]]] = [
        ("Accuracy", "share of photos put into the right class", lambda model: _percent(model.accuracy, 2)),
        (
            f"Accuracy, {confidence} interval",
            "where the accuracy on endlessly many such photos plausibly lies (Wilson's interval)",
            lambda model: " to ".join(_percent(bound, 2) for bound in model.interval),
        ),
        (
            "Log-loss",
            f"punishes being sure and wrong; 0 is perfect, {guess}, lower is better",
            lambda model: _figure(model.log_loss, 4),
        ),
        (
            "Log-loss, calibrated",
            "the same after temperature scaling, below",
            lambda model: _figure(model.calibrated.log_loss, 4),
        ),
        (
            "Brier score",
            "mean squared distance of the probability from the truth; 0 is perfect"
            + (", 0.25 is a coin flip" if two else ""),
            lambda model: _figure(model.brier, 4),
        ),
        (
            "Area under the ROC curve",
            f"chance that, of two photos, {of} gets the higher probability{'' if two else ' of it'}; 1 is perfect",
            lambda model: _figure(model.auc, 4),
        ),
        (
            "Calibration error (ECE)",
            "how far “90 % sure” is from “right 90 times in 100”, on average; 0 is perfect",
            lambda model: f"{_figure(model.ece, 4)}; calibrated {_figure(model.calibrated.ece, 4)}",
        ),
        (
            "Temperature",
            "fitted on validation; above 1 the model was surer than it should be, below 1 less sure",
            lambda model: _figure(model.temperature, 2),
        ),
        (
            "Parameters",
            "numbers in the network; how many of them this training learned",
            lambda model: f"{model.parameters:,}; {model.trained_parameters:,} learned here",
        ),
        (
            "Training time",
            "of the last training; without the single pass of all photos through the pretrained network",
            lambda model: _duration(model.training_seconds),
        ),
        ("Speed", "photos a second, from decoded photo to probability", lambda model: _speed(model.photos_per_second)),
    ]
    return [_Measure(name, meaning, [value(model) for model in models]) for name, meaning, value in shows]


def _photo(image: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(buffer, format="png", optimize=True)
    return data_uri(buffer.getvalue())


def render(compared: Compared, drawn: Mapping[str, Figure], making: Making) -> str:
    """Return the report as HTML.

    Args:
        compared: what was compared.
        drawn: its figures.
        making: how it was made.

    Returns:
        One page that loads nothing from anywhere; the user's class and file names are escaped.
    """
    comparison, histories = compared.comparison, compared.histories
    templates = environment()
    templates.filters |= {"percent": _percent, "points": numerals.points, "p_value": numerals.p_value}
    return templates.get_template("comparison.html.j2").render(
        comparison=comparison,
        photos=wording.photos(comparison.images, comparison.split, comparison.source),
        measures=_measures(comparison),
        figures={name: data_uri(pictures.png_bytes(figure)) for name, figure in drawn.items()},
        mistakes={
            kind: [(mistake, _photo(compared.images[mistake.index])) for mistake in model.mistakes]
            for kind, model in comparison.models.items()
        },
        epochs={kind: {"run": len(history), "kept": kept_epochs(history)} for kind, history in histories.items()},
        making=making,
        settings={
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in flattened(making.settings).items()
        },
    )


def write_page(path: Path, compared: Compared, drawn: Mapping[str, Figure], making: Making) -> None:
    """Write the report, whole or not at all."""
    page = render(compared, drawn, making)
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def write_figures(folder: Path, drawn: Mapping[str, Figure]) -> None:
    """Write each figure as ``NAME.png``, all or none."""
    with whole_folder(folder) as partial:
        for name, figure in drawn.items():
            pictures.save_png(figure, partial / f"{name}.png")
