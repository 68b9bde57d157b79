"""A study as one HTML file that opens anywhere without a network, and as JSON for programs."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml
from filelock import FileLock
from optuna.study import Study
from optuna.trial import FrozenTrial

from dogs_vs_cats.data.arrays import read_dataset
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.paths import ARRAYS
from dogs_vs_cats.reports.model_card import Data, Figures, by_mlflow, card
from dogs_vs_cats.reports.pages import environment
from dogs_vs_cats.search.confirming import Confirmation, full_fidelity
from dogs_vs_cats.search.display import counted
from dogs_vs_cats.search.figures import interactive
from dogs_vs_cats.search.plan import RUN, Plan
from dogs_vs_cats.search.rungs import PARENT, results
from dogs_vs_cats.search.sampling import article_settings, tried
from dogs_vs_cats.search.studies import (
    article_trial,
    best_trial,
    best_trials,
    elapsed,
    finished_rungs,
    ranked,
    rung_of,
    tally,
    why_failed,
)
from dogs_vs_cats.settings.catalogue import BACKBONES
from dogs_vs_cats.tracking.making import packages

_TEMPLATES = Path(__file__).parent.parent / "reports" / "templates"


@dataclass(frozen=True)
class Compared:
    """A trial's results beside the article's, at the same fidelity.

    Attributes:
        trial: its number.
        values: by objective.
        accuracy: on validation.
        log_loss: on validation.
        parameters: numbers in the network.
        epochs: trained.
        seconds: of training.
    """

    trial: int
    values: dict[str, float]
    accuracy: float | None
    log_loss: float | None
    parameters: int | None
    epochs: int | None
    seconds: float | None


def write_report(plan: Plan, study: Study, confirmation: Confirmation | None) -> Path:
    """Write ``reports/search/STUDY.html`` and ``.json``.

    Args:
        plan: the study.
        study: opened.
        confirmation: of its best trial, if there is one.

    Returns:
        The page.
    """
    folder = plan.root / "reports" / "search"
    facts = summary(plan, study, confirmation)
    page = folder / f"{plan.study}.html"
    text = render(plan, study, facts, confirmation)
    folder.mkdir(parents=True, exist_ok=True)
    # Two commands that share a study end at the same time.
    with FileLock(folder / f".{plan.study}.lock"):
        with whole_file(folder / f"{plan.study}.json") as file:
            file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        with whole_file(page) as file:
            file.write_text(text, encoding="utf-8")
    return page


def summary(plan: Plan, study: Study, confirmation: Confirmation | None) -> dict[str, Any]:
    """What a study found, as plain values."""
    best = best_trial(plan, study)
    article = article_trial(study, len(plan.rungs) if best is None else rung_of(best))
    counts = tally(study)
    return {
        "study": plan.study,
        "kind": plan.kind,
        "fidelity": str(plan.fidelity),
        "full_training": None if plan.fidelity == full_fidelity(plan) else str(full_fidelity(plan)),
        "objectives": list(plan.objectives),
        "seed": plan.seed,
        "data": plan.digest,
        "trials": {"finished": counts.finished, "pruned": counts.pruned, "failed": counts.failed},
        "best": None if best is None else asdict(_compared(plan, best)),
        "article": None if article is None or article.values is None else asdict(_compared(plan, article)),
        "settings": None if best is None else _settings(plan, best),
        "rungs": [asdict(result) for result in results(plan, study)],
        "pareto_front": [trial.number for trial in best_trials(plan, study)] if len(plan.objectives) > 1 else None,
        "confirmation": None if confirmation is None else asdict(confirmation) | {"outcome": confirmation.outcome},
    }


def _compared(plan: Plan, trial: FrozenTrial) -> Compared:
    found = trial.user_attrs
    return Compared(
        trial=trial.number,
        values=dict(zip(plan.objectives, trial.values, strict=True)),
        accuracy=found.get("validation_accuracy"),
        log_loss=found.get("validation_log_loss"),
        parameters=found.get("parameters"),
        epochs=found.get("epochs"),
        seconds=found.get("training_seconds"),
    )


def _settings(plan: Plan, trial: FrozenTrial) -> dict[str, Any]:
    values = tried(plan, trial).model_dump(mode="json")
    return {key: value for key, value in values.items() if key not in ("epochs", "seed")}


def study_card(plan: Plan, study: Study, description: Description, weights: str) -> str:
    """Return the card of the best trial's model, as MLflow keeps it.

    Args:
        plan: the study.
        study: opened, with at least one finished trial.
        description: the model.
        weights: their SHA-256.
    """
    facts, found = summary(plan, study, None), cast("FrozenTrial", best_trial(plan, study)).user_attrs
    best, photos = facts["best"], found.get("validation_photos", 0)
    counts = {"train": found.get("training_photos"), "validation": photos}
    measured = {name: best[name] for name in ("accuracy", "log_loss")}
    return card(
        "study_card.md.j2",
        description,
        by_mlflow(description),
        Data(read_dataset(plan.root / ARRAYS).source, {split: n for split, n in counts.items() if n}, plan.digest),
        Figures("validation", photos, measured),
        weights=weights,
        study=plan.study,
        fidelity=str(plan.fidelity),
        counted=counted(tally(study)),
        best=best,
        article=facts["article"],
        settings=yaml.safe_dump(facts["settings"], sort_keys=False, allow_unicode=True),
    )


def render(plan: Plan, study: Study, facts: dict[str, Any], confirmation: Confirmation | None) -> str:
    """The report as one page that loads nothing from anywhere."""
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    figures = [(title, about, _embedded(figure)) for title, about, figure in interactive(plan, study)]
    best = best_trial(plan, study)
    return (
        environment(_TEMPLATES)
        .get_template("study.html.j2")
        .render(
            facts=facts,
            percent=partial(percent, digits=2),
            what="CNN"
            if plan.kind == "scratch"
            else f"head on {BACKBONES[plan.settings.bottleneck.backbone].title}'s features",
            counts=counted(tally(study)),
            confirmation=confirmation,
            settings=[] if best is None else _beside_article(plan, best),
            figures=figures,
            chains=_chains(plan, study),
            trials=[_row(trial) for trial in study.get_trials(deepcopy=False)],
            versions=packages(("optuna", "optuna-integration")),
            plotly=Markup(get_plotlyjs()),  # noqa: S704 - the library's own script
        )
    )


def _chains(plan: Plan, study: Study) -> list[list[str]]:
    """What went on, the best first: a cell for each rung that has finished trials, with the trial and its result."""
    rungs = finished_rungs(study)
    order = {trial.number: trial for trial in ranked(plan, study)}
    chains = []
    for trial in [*order.values()]:
        cells, link = dict.fromkeys(rungs, ""), order.pop(trial.number, None)
        while link is not None:
            cells[rung_of(link)] = f"trial {link.number}: {link.values[0]:.4f}, {elapsed(link):.0f} s"
            link = order.pop(link.user_attrs.get(PARENT, -1), None)
        if sum(map(bool, cells.values())) > 1:
            chains.append([*cells.values()])
    return chains


def _embedded(figure: Any) -> Any:
    from markupsafe import Markup

    if isinstance(figure, str):
        return figure
    figure.update_layout(title=None, template="plotly_white", margin={"t": 20, "r": 20, "l": 60, "b": 60})
    return Markup(  # noqa: S704 - plotly escapes what it shows
        figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True})
    )


def _beside_article(plan: Plan, best: FrozenTrial) -> list[tuple[str, str, str, bool]]:
    """Settings by dotted names: the article's, the best trial's, and whether they differ."""
    size = plan.settings.decode.size
    article, own = (
        settings.model_dump(mode="json", exclude={"epochs", "seed"})
        for settings in (article_settings(plan.kind, plan.base, size), tried(plan, best))
    )
    for one in (article, own):
        if (network := one["network"].get("name", "cnn")) != "cnn":  # the shape is that of cnn, and of no other network
            shape = ("width", "whitening") if network == "wide_residual" else ()
            one["network"] = {key: one["network"][key] for key in ("name", "output", *shape)}
    theirs, ours = (dict(pair for key, value in one.items() for pair in _flat(key, value)) for one in (article, own))
    names = sorted(theirs | ours, key=lambda name: [*article].index(name.partition(".")[0]))
    return [
        (name, theirs.get(name, "-"), ours.get(name, "-"), theirs.get(name) != ours.get(name))
        for name in names
        # A section that only one of them has is told by its keys.
        if not any(other.startswith(f"{name}.") for other in names)
    ]


def _flat(name: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [pair for key, inner in value.items() for pair in _flat(f"{name}.{key}", inner)]
    return [(name, value if isinstance(value, str) else json.dumps(value))]


def _row(trial: FrozenTrial) -> dict[str, str]:
    duration = trial.duration
    return {
        "number": str(trial.number),
        "rung": str(rung_of(trial) + 1),
        "state": trial.state.name.lower(),
        "values": ", ".join(f"{value:.4f}" for value in trial.values or ()),
        "accuracy": f"{trial.user_attrs['validation_accuracy']:.4f}"
        if "validation_accuracy" in trial.user_attrs
        else "",
        "seconds": "" if duration is None else f"{duration.total_seconds():.0f} s",
        "reason": why_failed(trial),
        "params": ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in trial.params.items()
        ),
        "run": str(trial.user_attrs.get(RUN, "")),
    }
