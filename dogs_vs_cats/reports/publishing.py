"""What a comparison adds to MLflow: scores and report at the runs that trained the models, and the champion."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dogs_vs_cats.evaluation.comparison import flat_metrics
from dogs_vs_cats.settings.params import TrackingSettings
from dogs_vs_cats.tracking.logged_models import DIGEST_TAG
from dogs_vs_cats.tracking.tracked_runs import reopened_run, set_alias

CHAMPION = "champion"


def publish(
    comparison: Mapping[str, Any], report: Path, digests: Mapping[str, str], settings: TrackingSettings, root: Path
) -> None:
    """Log each model's scores and the report to its run, and give the better model the alias ``champion``.

    What MLflow does not take is told in a line and kept on disk, as in a training.

    Args:
        comparison: what ``comparison.compare`` returned.
        report: the HTML file.
        digests: by model, its weights' SHA-256, which the model's version is tagged with.
        settings: the ``tracking`` section.
        root: the project's folder.
    """
    scores = flat_metrics(comparison)
    for kind, digest in digests.items():
        with reopened_run(settings, root, {DIGEST_TAG: digest}) as run:
            run.log_metrics({f"{comparison['split']}_{name}": value for name, value in scores[kind].items()})
            run.log_artifact(report)
    set_alias(settings, root, CHAMPION, {DIGEST_TAG: digests[comparison["better"]]})
