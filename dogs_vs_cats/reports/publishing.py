"""What a comparison adds to MLflow: scores, figures and the report at each model's run, and the champion."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from dogs_vs_cats.evaluation.metrics import correct
from dogs_vs_cats.evaluation.wording import photos
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.reports.comparison import Compared, run_figures
from dogs_vs_cats.reports.model_card import CARD, Data, by_mlflow, model_card
from dogs_vs_cats.settings.params import TrackingSettings
from dogs_vs_cats.tracking.champions import memory_of_test
from dogs_vs_cats.tracking.logged_models import DIGEST_TAG
from dogs_vs_cats.tracking.making import Making
from dogs_vs_cats.tracking.notes import NOTE, code, model_note, run_note, version_note
from dogs_vs_cats.tracking.tracked_runs import reopened_run, set_alias, show_compared
from dogs_vs_cats.tracking.views import compared_view

CHAMPION = "champion"
_WHERE_CARD = f"Its model card, {code(CARD)}, is among the artifacts of the model that the source run logged."
_LATEST = {"scratch": "latest-scratch", "vgg16": "latest-transfer", "fine_tuned": "latest-fine-tuned"}


def publish(
    compared: Compared,
    drawn: Mapping[str, Figure],
    making: Making,
    report: Path,
    settings: TrackingSettings,
    root: Path,
) -> None:
    """Log each model's scores, figures and the report to its run, and give versions their aliases.

    Each model has ``latest-scratch``, ``latest-transfer`` or ``latest-fine-tuned``; the best one has ``champion`` if it
    deserves it.

    What MLflow does not take is told in a line and kept on disk, as in a training.

    Args:
        compared: what was compared; a model's version is tagged with its weights' SHA-256.
        drawn: the comparison's figures.
        making: how it came about.
        report: the HTML file.
        settings: the ``tracking`` section.
        root: the project's folder.
    """
    comparison, scores = compared.comparison, compared.comparison.scores()
    labels = compared.reported.labels
    group: Literal["test", "val"] = "val" if comparison.split == "validation" else "test"
    for kind, model in comparison.models.items():
        with reopened_run(settings, root, {DIGEST_TAG: model.weights}) as run:
            # With every digit: the registered model's probabilities are calibrated by it.
            run.log_exact_metrics({f"{group}/temperature": scores[kind].pop("temperature")})
            run.log_metrics({f"{group}/{name}": value for name, value in scores[kind].items()})
            for name, figure in run_figures(compared, kind, drawn):
                run.log_figure(figure, name)
            run.log_artifact(report)
            description = compared.descriptions[kind]
            data = Data(comparison.source, compared.counts, compared.digest)
            card = model_card(comparison, description, by_mlflow(description), data)
            run.log_text(card, CARD, beside_model=True)
            note = described(compared, kind, making)
            run.set_tags({NOTE: run_note(note)})
            size, positive = compared.images.shape[1], comparison.classes[1]
            right = correct(labels, compared.candidates[kind].probabilities)
            tested = memory_of_test(compared.digest, comparison.split, compared.reported.files, right)
            told = version_note(note, settings.registered_model, size, positive)
            run.describe_version(f"{told}\n{_WHERE_CARD}\n", tested)
    show_compared(
        settings, root, compared_view(group), [{DIGEST_TAG: model.weights} for model in comparison.models.values()]
    )
    for kind, model in comparison.models.items():
        set_alias(settings, root, _LATEST[kind], {DIGEST_TAG: model.weights})
    better = {DIGEST_TAG: comparison.models[comparison.better].weights}
    set_alias(settings, root, CHAMPION, better, rule=settings.champion, confidence=comparison.confidence)


def described(compared: Compared, kind: str, making: Making) -> str:
    """Describe one of the models compared, with what it reaches and what can be claimed."""
    comparison, model = compared.comparison, compared.comparison.models[kind]
    low, high = (percent(bound) for bound in model.interval)
    interval = f"{percent(comparison.confidence, None)} interval {low} to {high}"
    on = photos(comparison.images, comparison.split, comparison.source)
    accuracy = percent(model.accuracy)
    results = [f"{comparison.split}: accuracy {accuracy} ({interval}) on {on}, log-loss {model.log_loss:.3f}"]
    if comparison.split != "validation":
        judged = model.validation
        reached = f"accuracy {percent(judged.accuracy)} on {judged.images:,} photos, log-loss {judged.log_loss:.3f}"
        results.append(f"validation: {reached}")
    learned = f"{compared.counts['train']} {comparison.source} photos"
    note = model_note(model.name, learned, comparison.classes, results, making)
    return f"{note}\n{comparison.verdict}\n"
