"""What a comparison adds to MLflow: scores, figures and the report at each model's run, and the champion."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from dogs_vs_cats.reports.comparison import Compared, run_figures
from dogs_vs_cats.settings.params import TrackingSettings
from dogs_vs_cats.tracking.logged_models import DIGEST_TAG
from dogs_vs_cats.tracking.tracked_runs import reopened_run, set_alias

CHAMPION = "champion"


def publish(
    compared: Compared, drawn: Mapping[str, Figure], report: Path, settings: TrackingSettings, root: Path
) -> None:
    """Log each model's scores, figures and the report to its run, and give the better model the alias ``champion``.

    What MLflow does not take is told in a line and kept on disk, as in a training.

    Args:
        compared: what was compared; a model's version is tagged with its weights' SHA-256.
        drawn: the comparison's figures.
        report: the HTML file.
        settings: the ``tracking`` section.
        root: the project's folder.
    """
    comparison, scores = compared.comparison, compared.comparison.metrics()
    group = "val" if comparison.split == "validation" else comparison.split
    for kind, model in comparison.models.items():
        with reopened_run(settings, root, {DIGEST_TAG: model.weights}) as run:
            run.log_metrics({f"{group}/{name}": value for name, value in scores[kind].items()})
            for name, figure in run_figures(compared, kind, drawn):
                run.log_figure(figure, name)
            run.log_artifact(report)
    set_alias(settings, root, CHAMPION, {DIGEST_TAG: comparison.models[comparison.better].weights})
