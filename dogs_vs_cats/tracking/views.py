"""Pages of MLflow that open at the answer: which runs, columns and charts they show, and their addresses.

MLflow opens a table of runs as an address's ``viewStateShareKey`` names it: by the experiment's tag of that name, which
its own "Share" writes too. Without one, it shows no metric, the newest run first.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

VIEW = "mlflow.sharedViewState."
RUNS = "{runs}"
"""Stands in a view's filter for the ids of the runs that it shows."""
RESULTS, COMPARED = "results", "compared"
"""The views of all trainings, and of the models that were compared last."""
RANK = "rank"
"""The metric of a trial's place in its study. MLflow sorts by one column, and a result of another rung is no match."""
_NAME, _CREATED = "attributes.`Run Name`", "runDateAndNestInfo"
_WIDTHS = {_NAME: 330, _CREATED: 130}

Column = str
"""A column of the table as MLflow names it: ``metrics.`val/accuracy```, ``params.`epochs```."""


def metric(name: str) -> Column:
    """Return the column of a metric."""
    return f"metrics.`{name}`"


def param(name: str) -> Column:
    """Return the column of a parameter."""
    return f"params.`{name}`"


def results_view() -> str:
    """Return the view of all trainings, the best on the test photos first, without the trials of searches."""
    columns = [metric(name) for name in ("test/accuracy", "test/log_loss", "val/accuracy", "val/log_loss")]
    columns += [metric("train/seconds"), *map(param, ("epochs", "optimizer", "learning_rate"))]
    return _view("tags.study IS NULL", columns, is_ascending=False)


def study_view(study: str, objective: Column) -> str:
    """Return the view of a study's trials, the best one first.

    Args:
        study: its name.
        objective: by which trials of one rung are ranked.
    """
    shown = [metric(name) for name in ("val/log_loss", "val/accuracy", "model/parameters", "train/seconds")]
    shown += map(param, ("fidelity", "optimizer", "loss", "batch"))
    columns = [metric(RANK), *dict.fromkeys([objective, *shown])]
    return _view(f"tags.study = '{study}' and tags.trial IS NOT NULL", columns, is_ascending=True)


def compared_view(group: Literal["test", "val"]) -> str:
    """Return the view of models side by side: bars of what they reach, curves of their epochs, what differs.

    Args:
        group: which metrics hold the result.
    """
    bars = [_chart("BAR", "results", f"{group}/{name}") for name in ("accuracy", "log_loss", "calibrated_log_loss")]
    curves = [_curves(name) for name in ("accuracy", "log_loss")]
    differences = _chart("DIFFERENCE", "differences", "") | {
        "compareGroups": ["Parameters", "Model metrics"],
        "chartName": "parameters and metrics that differ",
        "showChangeFromBaseline": False,
        "showDifferencesOnly": True,
        "baselineColumnUuid": "",
    }
    sections = {
        "results": {"test": "Test", "val": "Validation"}[group],
        "curves": "Epochs",
        "differences": "Differences",
    }
    charts = {
        "compareRunCharts": [*bars, *curves, differences],
        "compareRunSections": [
            # Of three in a row, MLflow's own number, titles are cut. What differs needs a row of its own.
            {
                "uuid": uuid,
                "name": name,
                "display": True,
                "isReordered": True,
                "columns": 1 if uuid == "differences" else 2,
            }
            for uuid, name in sections.items()
        ],
        "isAccordionReordered": True,
    }
    columns = [metric(f"{group}/{name}") for name in ("accuracy", "log_loss", "calibrated_log_loss")]
    return _view(f"attributes.run_id IN ({RUNS})", columns, is_ascending=False, charts=charts)


def of_runs(view: str, runs: Sequence[str]) -> str:
    """Return a view of the runs with these ids."""
    return view.replace(RUNS, ", ".join(f"'{run}'" for run in runs))


def address(base: str, experiment_id: str, name: str) -> str:
    """Return a view's address; ``base`` is the server's, or empty for a link within MLflow's pages."""
    charts = "&compareRunsMode=CHART" if name == COMPARED else ""
    # MLflow opens at its pages for language models unless told otherwise.
    return f"{base}/#/experiments/{experiment_id}/runs?workflowType=machine_learning{charts}&viewStateShareKey={name}"


def experiment_tags(experiment_id: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that an experiment lacks for its pages to open at the answer.

    Args:
        experiment_id: its id.
        tags: that it has. A description that somebody else wrote stays.
    """
    links = [f"[all trainings]({address('', experiment_id, RESULTS)[1:]})"]
    if VIEW + COMPARED in tags:
        links.append(f"[the models compared last]({address('', experiment_id, COMPARED)[1:]})")
    wanted = {"mlflow.experimentKind": "custom_model_development", VIEW + RESULTS: results_view()}
    if tags.get("mlflow.note.content", _NOTE).startswith(_NOTE):
        wanted["mlflow.note.content"] = _NOTE + ", ".join(links)
    return {key: value for key, value in wanted.items() if tags.get(key) != value}


_NOTE = "Results: "


def _view(runs: str, columns: Sequence[Column], *, is_ascending: bool, charts: Mapping[str, Any] | None = None) -> str:
    state = {
        "searchFilter": runs,
        "orderByKey": columns[0],
        "orderByAsc": is_ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [_NAME, *columns, _CREATED, "duration"],
        "columnWidths": _WIDTHS | dict.fromkeys(columns, 120),
        **(charts or {}),
    }
    return json.dumps(state)


def _chart(kind: str, section: str, shown: str) -> dict[str, Any]:
    return {
        "type": kind,
        "uuid": f"{section} {shown}",
        "metricSectionId": section,
        "metricKey": shown,
        "displayName": shown,
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": False,
    }


def _curves(name: str) -> dict[str, Any]:
    keys = [f"epoch/{split}/{name}" for split in ("val", "train")]
    return _chart("LINE", "curves", f"{name} by epoch") | {
        "metricKey": keys[0],
        "selectedMetricKeys": keys,
        "lineSmoothness": 0,
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "range": {},
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
