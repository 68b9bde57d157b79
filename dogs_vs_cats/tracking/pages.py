"""Where MLflow's pages are that show the runs: told at the end of a stage, of a study, and by ``make ui``."""

import re
from collections.abc import Mapping
from pathlib import Path

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.addresses import is_local, redacted
from dogs_vs_cats.settings.params import TrackingSettings
from dogs_vs_cats.tracking.connection import deleted, quiet_mlflow, reason
from dogs_vs_cats.tracking.outbox import is_silent
from dogs_vs_cats.tracking.tracked_runs import client, tracking_uri
from dogs_vs_cats.tracking.views import VIEW, address

PORT = 5000
"""Of ``mlflow ui``."""


def page_addresses(settings: TrackingSettings, root: Path, port: int = PORT) -> dict[str, str]:
    """Find the addresses of an experiment's views, by name; none where it has none yet.

    Args:
        settings: the ``tracking`` section.
        root: the project's folder.
        port: that ``mlflow ui`` listens on, where MLflow is a database.

    Raises:
        WorkflowError: if MLflow does not answer, or the experiment was deleted there.
    """
    uri = tracking_uri(settings, root)
    quiet_mlflow()
    from mlflow.exceptions import MlflowException

    try:
        experiment = client(settings, root).get_experiment_by_name(settings.experiment)
    except (MlflowException, OSError) as error:
        raise WorkflowError(f"MLflow at {redacted(uri)}: {reason(error)}") from None
    if experiment is None:
        return {}
    if experiment.lifecycle_stage != "active":
        raise WorkflowError(f"MLflow at {redacted(uri)}: {deleted(experiment.name, experiment.experiment_id)}")
    base = f"http://localhost:{port}" if is_local(uri) else re.sub("://.*@", "://", redacted(uri)).rstrip("/")
    names = [key.removeprefix(VIEW) for key in experiment.tags if key.startswith(VIEW)]
    return {name: address(base, experiment.experiment_id, name) for name in names}


def page_lines(settings: TrackingSettings, root: Path, shown: Mapping[str, str]) -> list[str]:
    """Say where views are, in a line each; nothing where it cannot be told.

    Args:
        settings: the ``tracking`` section.
        root: the project's folder.
        shown: by view's name, what it shows, in words.
    """
    if is_silent(tracking_uri(settings, root)):
        return []
    try:
        found = page_addresses(settings, root)
    except WorkflowError:  # what was recorded told of it
        return []
    after = ", after make ui" * is_local(tracking_uri(settings, root))
    return [f"{words}{after}: {found[name]}" for name, words in shown.items() if name in found]
