"""The comparison in a real MLflow: scores at the runs that trained the models, the champion, and no fault passed on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from mlflow.utils.file_utils import local_file_uri_to_path

from dogs_vs_cats.evaluation.comparing import Reported, compare
from dogs_vs_cats.models.opened import OpenNetwork
from dogs_vs_cats.reports.comparison import Compared, figures
from dogs_vs_cats.reports.publishing import CHAMPION, publish
from dogs_vs_cats.settings.params import CompareSettings, Rule, TrackingSettings
from dogs_vs_cats.tracking.logged_models import DIGEST_TAG, as_tag
from dogs_vs_cats.tracking.tracked_runs import client, tracked_run
from tests.conftest import candidate
from tests.mlflow_server import put_database
from tests.photo_project import CNN, HEAD, description
from tests.reports.test_comparison import MAKING

DIGESTS = {"scratch": "a" * 64, "vgg16": "b" * 64}
FIGURES = {"README.md", "curves.png", "confusion.png", "reliability.png", "explained", "model"}


def compared() -> Compared:
    """Two models on ten photos, the second without a mistake."""
    labels = np.arange(10) % 2
    facts = Reported("zip", "test", ("cats", "dogs"), True, [f"{n}.jpg" for n in range(10)], labels, labels)  # noqa: FBT003
    poor, perfect = np.full(10, 0.6), labels.astype(float)
    both = {"scratch": candidate("scratch", poor, poor), "vgg16": candidate("vgg16", perfect, perfect)}
    rules = CompareSettings(confidence=0.95, bootstrap_resamples=100, calibration_bins=15, worst_mistakes=0, seed=1)
    image = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(image))
    network = OpenNetwork(keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(x)))
    figures_of = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "kept")
    history = pd.DataFrame([dict.fromkeys(figures_of, 1)])
    return Compared(
        comparison=compare(both, facts, rules),
        candidates=both,
        networks=dict.fromkeys(both, network),
        descriptions={kind: description(kind, {"scratch": CNN, "vgg16": HEAD}[kind]) for kind in both},
        reported=facts,
        images=np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8),
        histories=dict.fromkeys(both, history),
        counts={"train": 1},
    )


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report to keep with the runs."""
    path = tmp_path / "comparison.html"
    path.write_text("<!doctype html>", encoding="utf-8")
    return path


def test_scores_and_champion_are_in_mlflow(tmp_path: Path, report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = TrackingSettings(uri=None, experiment="e", registered_model="m", timeout_seconds=20)
    mlflow = client(settings, tmp_path)
    experiment = mlflow.create_experiment("e", (tmp_path / "mlruns" / "artifacts").as_uri())
    mlflow.create_registered_model("m")
    runs: dict[str, str] = {}
    for kind, digest in DIGESTS.items():
        # The same weights were trained twice; the later run is the one that counts.
        for _ in range(2):
            runs[kind] = mlflow.create_run(experiment).info.run_id
            mlflow.create_model_version("m", tmp_path.as_uri(), runs[kind], tags={DIGEST_TAG: digest})
    models = compared()
    publish(models, figures(models, 15), MAKING, report, settings, tmp_path)
    for kind, accuracy in (("scratch", 0.5), ("vgg16", 1.0)):
        metrics = mlflow.get_run(runs[kind]).data.metrics
        assert metrics["test/accuracy"] == accuracy
        assert {"test/log_loss", "test/brier", "test/auc", "test/ece", "test/calibrated_log_loss"} <= set(metrics)
        # The one that is computed with: it calibrates the registered model.
        assert metrics["test/temperature"] == models.comparison.models[kind].temperature
        assert {file.path for file in mlflow.list_artifacts(runs[kind])} == {"comparison.html", *FIGURES}
        note = mlflow.get_run(runs[kind]).data.tags["mlflow.note.content"]
        version = max(mlflow.search_model_versions(f"run_id = '{runs[kind]}'"), key=lambda found: int(found.version))
        assert "Metrics under `train/`, `val/` and `test/` are what the kept weights reach" in note
        assert str(version.description).startswith(note.partition("\nMetrics under")[0])
        assert f'load_model("models:/m/{version.version}")' in str(version.description)
        assert "Its model card, `README.md`, is among the artifacts of the model" in str(version.description)
        reached = "100.0 % (95 % interval 72.2 % to 100.0 %)" if accuracy == 1 else "50.0 % (95 % interval 23.7 % to"
        assert f"- test: accuracy {reached}" in note
        assert "trained on 1 zip photos of `cats`, `dogs`" in note
        assert "made by `dvc exp run -S split.test=0` at commit `0123abc`" in note
        assert models.comparison.verdict in note
    champion = mlflow.get_model_version_by_alias("m", CHAMPION)
    assert (int(champion.version), champion.run_id) == (4, runs["vgg16"])
    assert champion.tags[CHAMPION] == "version 4 now: there was none before"
    aliases = {alias: int(number) for alias, number in mlflow.get_registered_model("m").aliases.items()}
    assert aliases == {CHAMPION: 4, "latest-scratch": 2, "latest-transfer": 4}
    assert capsys.readouterr() == ("models:/m@champion: version 4 now: there was none before\n", "")


def test_each_registered_model_has_its_card_among_its_own_files(tmp_path: Path, report: Path) -> None:
    put_database(tmp_path)
    settings = TrackingSettings(uri=None, experiment="e", registered_model="m", timeout_seconds=20)
    for kind, digest in DIGESTS.items():
        with tracked_run(kind, settings, tmp_path, params={}, system_metrics=False) as run:
            run.log_folder(write_mlmodel, kind, registered_model="m", version_tags={DIGEST_TAG: digest})
    models = compared()
    for _ in range(2):  # as dvc repro -f does
        publish(models, figures(models, 15), MAKING, report, settings, tmp_path)
    mlflow = client(settings, tmp_path)
    for version in mlflow.search_model_versions("name = 'm'"):
        (logged,) = mlflow.get_run(version.run_id).outputs.model_outputs
        assert {file.path for file in mlflow.list_logged_model_artifacts(logged.model_id)} == {"MLmodel", "README.md"}
        assert "README.md" not in {file.path for file in mlflow.list_artifacts(version.run_id)}
        kind = mlflow.get_run(version.run_id).info.run_name
        text = (Path(local_file_uri_to_path(str(version.source))) / "README.md").read_text(encoding="utf-8")
        assert text.startswith("---\nlibrary_name: mlflow\n")
        assert f"# {models.descriptions[str(kind)].name}: cats or dogs" in text
        assert models.comparison.verdict in text
        assert f"| SHA-256 of the weights | `{DIGESTS[str(kind)]}` |" in text


def write_mlmodel(folder: Path) -> None:
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")


def compared_anew(second: np.ndarray, **changes: Any) -> Compared:
    """The two models once more, the second with other weights and these probabilities on the reported photos."""
    models = compared()
    anew = candidate("vgg16", second, models.reported.labels.astype(float), weights="c" * 64)
    both = {**models.candidates, "vgg16": anew}
    rules = CompareSettings(confidence=0.95, bootstrap_resamples=100, calibration_bins=15, worst_mistakes=0, seed=1)
    models = replace(models, candidates=both, comparison=compare(both, models.reported, rules))
    return replace(models, **changes)


LABELS = np.arange(10) % 2
ELSEWHERE = "version 1 was tested on other photos; to move it anyway, set tracking.champion to always"


@pytest.mark.parametrize(
    ("before", "after", "changes", "rule", "version", "why"),
    [
        (
            1 - LABELS,
            LABELS,
            {},
            "merit",
            2,
            "version 2 now: better: right on 10 of 10 photos, version 1 on 0; McNemar's p",
        ),
        (LABELS, LABELS, {}, "merit", 1, "version 1 still, not version 2: no better: right on 10 of 10 photos"),
        (np.r_[LABELS[:5], 1 - LABELS[5:]], LABELS, {}, "merit", 1, "McNemar's p = 0.062"),
        (1 - LABELS, LABELS, {"digest": "other"}, "merit", 1, ELSEWHERE),
        (LABELS, 1 - LABELS, {}, "always", 2, "version 2 now: tracking.champion is always"),
        (1 - LABELS, LABELS, {}, "never", 1, "version 1 still, not version 2: tracking.champion is never"),
    ],
)
def test_the_champion_moves_only_to_a_model_that_is_better_on_the_same_photos_or_when_told(
    before: np.ndarray,
    after: np.ndarray,
    changes: dict[str, Any],
    rule: Rule,
    version: int,
    why: str,
    tmp_path: Path,
    report: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put_database(tmp_path)
    settings = TrackingSettings(uri=None, experiment="e", registered_model="m", timeout_seconds=20)
    mlflow = client(settings, tmp_path)
    mlflow.create_registered_model("m")
    run = mlflow.create_run(mlflow.create_experiment("e", (tmp_path / "mlruns" / "artifacts").as_uri())).info.run_id
    classes = as_tag(["cats", "dogs"])
    for models, digest, told in (
        (compared_anew(before.astype(float)), "c" * 64, "merit"),
        (compared_anew(after.astype(float), **changes), "d" * 64, rule),
    ):
        comparison = models.comparison.model_copy(
            update={"models": {"vgg16": models.comparison.models["vgg16"].model_copy(update={"weights": digest})}}
        )
        mlflow.create_model_version("m", tmp_path.as_uri(), run, tags={DIGEST_TAG: digest, "classes": classes})
        told_settings = settings.model_copy(update={"champion": told})
        publish(replace(models, comparison=comparison), figures(models, 15), MAKING, report, told_settings, tmp_path)
    assert int(mlflow.get_model_version_by_alias("m", CHAMPION).version) == version
    assert why in mlflow.get_model_version("m", "2").tags[CHAMPION]
    assert why in capsys.readouterr().out
    assert int(mlflow.get_registered_model("m").aliases["latest-transfer"]) == 2


def test_a_tracker_that_does_not_answer_is_told_of_and_no_more(
    tmp_path: Path, report: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Port 9 of this machine, which nothing listens on.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    settings = TrackingSettings(uri="http://127.0.0.1:9", experiment="e", registered_model="m", timeout_seconds=1)
    models = compared()
    publish(models, figures(models, 15), MAKING, report, settings, tmp_path)
    told = capsys.readouterr().err
    assert told.startswith("tracking: http://127.0.0.1:9: connection refused; ")
    assert told.count("\n") == 1
    # Both runs' scores, the page of both and three aliases wait there.
    assert len(list((tmp_path / "mlruns" / "unsent").iterdir())) == 6
