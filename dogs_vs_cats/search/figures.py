"""Optuna's own figures of a study: interactive ones for the report, pictures of the main ones for MLflow."""

import warnings
from collections.abc import Callable, Container, Iterator
from typing import TYPE_CHECKING, Any

import optuna
from optuna import visualization
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from dogs_vs_cats.search.plan import Plan
from dogs_vs_cats.search.sampling import SOLVER, STAGE
from dogs_vs_cats.search.studies import finished_rungs, rung_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST_HEIGHT, _ROW = 300, 28
"""Pixels of a figure with a row for each name, and of a row."""
_FEW = 8
"""Hyperparameters that parallel coordinates and slices show: more are not legible."""


class _Rung(Study):
    """A study as its figures see it, with the sampled trials of one rung alone: those of others do not compare."""

    def __init__(self, study: Study, rung: int) -> None:
        super().__init__(study.study_name, study._storage)  # noqa: SLF001 - as optuna.load_study has it
        self._rung = rung

    def get_trials(
        self,
        deepcopy: bool = True,  # noqa: ARG002, FBT001, FBT002 - Optuna's signature
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """The rung's trials that have hyperparameters, numbered from 0: Optuna's history takes numbers for places."""
        trials = super().get_trials(deepcopy=True)  # never Optuna's own, whose numbers stay
        chosen = [one for one in trials if rung_of(one) == self._rung and not {STAGE, SOLVER} & one.user_attrs.keys()]
        for place, trial in enumerate(chosen):
            trial.number = place
        return [trial for trial in chosen if states is None or trial.state in states]


def interactive(plan: Plan, study: Study) -> Iterator[tuple[str, str, "str | Any"]]:
    """Every figure that the study is far enough for.

    Yields:
        Title, what it shows, and a plotly figure, or a sentence on why there is none.
    """
    many = len(plan.objectives) > 1
    named = _target(plan)
    every, last, study = study, *_first_and_last(study)[::-1]
    first = " In the first rung." if plan.rungs else ""
    if many:
        yield (
            "Pareto front",
            "No trial in red is better by one objective without being worse by another."
            + (" In the last rung." if plan.rungs else ""),
            _drawn(lambda: _front(plan, last)),
        )
    yield (
        "History",
        f"Each trial that finished, and the best so far.{first}",
        _readable(plan, _drawn(lambda: visualization.plot_optimization_history(study, **named))),
    )
    important = importances(plan, study)
    yield (
        "Importances",
        "How much each hyperparameter accounts for what sets the better finished trials apart (PED-ANOVA)." + first,
        _every_name(_drawn(lambda: visualization.plot_param_importances(study, **named)), len(important))
        if important
        else "There are too few finished trials to tell which hyperparameters matter.",
    )
    yield (
        "Parallel coordinates",
        "A line for each finished trial, through its values of the most important hyperparameters." + first,
        _drawn(lambda: visualization.plot_parallel_coordinate(study, params=important[:_FEW], **named))
        if important
        else "It takes a few finished trials that differ.",
    )
    yield (
        "Slices",
        f"The result against each of the most important hyperparameters.{first}",
        _drawn(lambda: visualization.plot_slice(study, params=important[:_FEW] or None, **named)),
    )
    if not many:
        yield (
            "Learning curves",
            "Validation log-loss by epoch, counted from 0, of all trials.",
            _readable(plan, _drawn(lambda: visualization.plot_intermediate_values(every))),
        )
    yield (
        "Timeline",
        "When each trial ran, and how it ended.",
        _drawn(lambda: visualization.plot_timeline(every)),
    )


def _first_and_last(study: Study) -> tuple[Study, Study]:
    rungs = finished_rungs(study) or [0]
    return _Rung(study, rungs[0]), _Rung(study, rungs[-1])


def importances(plan: Plan, study: Study) -> list[str]:
    """Hyperparameters from the most important on; none where too few trials finished."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(finished) < 3:  # noqa: PLR2004 - of two, nothing can be told
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of few trials, which the report says itself
            return [*optuna.importance.get_param_importances(study, target=_target(plan)["target"])]
    except (ValueError, RuntimeError):
        return []  # all trials are alike


def pictures(plan: Plan, study: Study) -> Iterator[tuple[str, "Figure"]]:
    """The main figures for MLflow: names ending in .png, with matplotlib figures."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from optuna.visualization import matplotlib as drawing

    many = len(plan.objectives) > 1
    named = _target(plan)
    every, last, study = study, *_first_and_last(study)[::-1]
    wanted: dict[str, Callable[[], Any]] = {"history": lambda: drawing.plot_optimization_history(study, **named)}
    if importances(plan, study):
        wanted["importances"] = lambda: drawing.plot_param_importances(study, **named)
    if len(plan.objectives) == 2:  # noqa: PLR2004 - of three, a picture shows nothing
        wanted["pareto_front"] = lambda: drawing.plot_pareto_front(last, target_names=list(plan.objectives))
    elif not many:
        wanted["learning_curves"] = lambda: drawing.plot_intermediate_values(every)
    wanted["timeline"] = lambda: drawing.plot_timeline(every)
    for name, draw in wanted.items():
        with warnings.catch_warnings():
            # Optuna's drawing asks Matplotlib for what it calls outdated, and for legends with nothing in them.
            warnings.simplefilter("ignore")
            figure = draw().figure
        figure.set_size_inches(10, 6)
        if plan.objectives[0] == "val_loss" and name in ("history", "learning_curves"):
            figure.axes[0].set_yscale("log")
        figure.set_layout_engine("tight")
        yield f"search/{name}.png", figure
        plt.close(figure)


def _target(plan: Plan) -> dict[str, Any]:
    """The first objective, as Optuna's figures take it."""
    many = len(plan.objectives) > 1
    return {"target": (lambda trial: trial.values[0]) if many else None, "target_name": plan.objectives[0]}


def _front(plan: Plan, study: Study) -> Any:
    if len(plan.objectives) > 3:  # noqa: PLR2004 - Optuna draws two or three
        raise ValueError("a picture shows two or three objectives, not more")
    return visualization.plot_pareto_front(study, target_names=list(plan.objectives))


def _drawn(draw: Callable[[], Any]) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of functions called experimental, and of few trials
            figure = draw()
    except (ValueError, RuntimeError) as error:
        return f"Optuna cannot draw this: {error}"
    return figure if figure.data else "No trial has anything to show here yet."


def _every_name(figure: Any, count: int) -> Any:
    """A figure with a row for each of so many names, high enough to show them all."""
    if not isinstance(figure, str):
        figure.update_yaxes(dtick=1)
        figure.update_layout(height=max(_LEAST_HEIGHT, _ROW * count))
    return figure


def _readable(plan: Plan, figure: Any) -> Any:
    """Losses on a logarithmic axis: next to a trial that diverged, no other could be told from the best."""
    if plan.objectives[0] == "val_loss" and not isinstance(figure, str):
        figure.update_yaxes(type="log")
    return figure
