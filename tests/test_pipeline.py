"""The whole workflow as a user runs it: DVC, a fresh git repository, every stage for real, on few small pictures."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

from tests.conftest import ROOT, changed, users_environment

SMALL = {
    "download.drawn.images": 80,
    "download.drawn.test_images": 6,
    "download.drawn.size": 64,
    "split.test": 0.25,
    "decode.size": 48,
    "train_scratch.epochs": 2,
    "train_scratch.network.convolutions": [{"filters": 4, "kernel": 3}, {"filters": 8, "kernel": 3}],
    "train_vgg16.epochs": 2,
    "train_vgg16.network.dense": [16],
    "train_vgg16.network.dropout": [0.2],
    "compare.bootstrap_resamples": 200,
}
STAGES = [*yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]]
VENV = Path(sys.executable).parents[1]


class Project:
    """A copy of this project in a git repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tracked = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in filter(None, tracked.split("\0")):
            if name != "dvc.lock" and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        self.set(**SMALL)
        self.run("git", "init", "--quiet")
        self.run("git", "config", "user.email", "someone@example.com")
        self.run("git", "config", "user.name", "Someone")
        self.commit("start")

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a user who has activated this project's."""
        variables = users_environment()
        return variables | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"}

    def run(self, *command: str, status: int = 0) -> str:
        """Run a command in the project; return all that it printed."""
        ended = subprocess.run(
            command,
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ended.returncode == status, ended.stdout
        return ended.stdout

    def set(self, **changes: object) -> None:
        """Change settings."""
        file = self.folder / "params.yaml"
        file.write_text(yaml.safe_dump(changed(yaml.safe_load(file.read_text()), **changes), sort_keys=False))

    def commit(self, message: str) -> None:
        """Commit all that git is to know."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def clone(self, folder: Path) -> "Project":
        """What git alone has of the project."""
        self.run("git", "clone", "--quiet", ".", str(folder))
        made = object.__new__(Project)
        made.folder = folder
        return made

    def json(self, name: str) -> dict[str, Any]:
        """Read a JSON file."""
        values: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return values

    def lock(self) -> dict[str, Any]:
        """The digests of every stage's outputs."""
        stages = yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"]
        return {name: {out["path"]: out["md5"] for out in stage.get("outs", [])} for name, stage in stages.items()}


def _ran(printed: str) -> list[str]:
    return [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("project"))
    printed = made.run("dvc", "repro")
    assert _ran(printed) == STAGES
    places = [line.partition(":")[0] for line in printed.splitlines() if line.startswith("stage ")]
    assert places == [f"stage {place} of {len(STAGES)}" for place in range(1, len(STAGES) + 1)]
    told = printed[printed.index(f"stage {len(STAGES)} of") :].splitlines()[1:6]
    assert told[0] == "models:/dogs-vs-cats@champion: version 1 now: there was none before"
    assert told[1] == made.json("reports/comparison.json")["verdict"]
    assert told[2] == f"report: {(made.folder / 'reports/comparison.html').as_uri()}"
    assert [line.partition(": http://localhost:")[0] for line in told[3:]] == [
        "all trainings, after make ui",
        "these models side by side, after make ui",
    ]
    made.commit("first result")
    return made


def test_repro_leaves_two_compared_models_and_a_submission(project: Project) -> None:
    comparison = project.json("reports/comparison.json")
    assert (comparison["source"], comparison["split"], comparison["images"]) == ("drawn", "test", 20)
    assert set(comparison["models"]) == {"scratch", "vgg16"}
    for model in comparison["models"].values():
        low, high = model["interval"]
        assert 0 <= low <= model["accuracy"] <= high <= 1
        assert model["log_loss"] > 0
        assert model["article"]["judgement"] == "not comparable"
    assert comparison["verdict"]
    report = (project.folder / "reports/comparison.html").read_text(encoding="utf-8")
    assert "drawn" in report
    submission = pd.read_csv(project.folder / "reports/submission.csv")
    assert list(submission.columns) == ["id", "label"]
    assert list(submission["id"]) == [1, 2, 3, 4, 5, 6]
    assert submission["label"].between(0, 1, inclusive="neither").all()


def test_a_changed_list_of_photos_to_leave_out_makes_the_split_run_again(project: Project) -> None:
    listed = project.folder / "exclude" / "mine.csv"
    assert json.loads(project.run("dvc", "status", "--json", "split")) == {}
    listed.write_text("file\ncat.3.jpg\n")
    changes = json.loads(project.run("dvc", "status", "--json", "split"))
    assert changes == {"split": [{"changed deps": {"exclude": "modified"}}]}
    listed.unlink()


def test_splits_hold_what_was_asked_for(project: Project) -> None:
    dataset = project.json("data/arrays/dataset.json")
    assert dataset["counts"] == {"train": 44, "validation": 16, "test": 20, "unlabelled": 6}
    index = pd.read_csv(project.folder / "data/images/index.csv")
    assert index.loc[index["split"] == "train", "class"].value_counts().to_dict() == {"cats": 22, "dogs": 22}
    images = np.load(project.folder / "data/arrays/test_images.npy", mmap_mode="r")
    assert (images.shape, images.dtype) == ((20, 48, 48, 3), np.uint8)


def test_every_training_is_a_run_and_the_better_model_is_the_champion(project: Project) -> None:
    code = """
import json, sys, mlflow, numpy
client = mlflow.MlflowClient(f"sqlite:///{sys.argv[1]}/mlflow.db")
mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/mlflow.db")
experiment = client.get_experiment_by_name("dogs-vs-cats")
runs = client.search_runs([experiment.experiment_id])
champion = client.get_model_version_by_alias("dogs-vs-cats", "champion")
photos = numpy.load(f"{sys.argv[1]}/data/arrays/test_images.npy")
sys.modules["dogs_vs_cats"] = None  # as where this project is not installed
for version in client.search_model_versions("name = 'dogs-vs-cats'"):
    assert len(mlflow.pyfunc.load_model(f"models:/dogs-vs-cats/{version.version}").predict(photos)) == len(photos)
predicted = mlflow.pyfunc.load_model("models:/dogs-vs-cats@champion").predict(photos)
run = {r.data.tags["kind"]: r for r in runs}[champion.tags["kind"]]
print(json.dumps({
    "registered": sorted(v.tags["kind"] for v in client.search_model_versions("name = 'dogs-vs-cats'")),
    "kinds": sorted(r.data.tags["kind"] for r in runs),
    "status": sorted(r.info.status for r in runs),
    "champion": champion.tags["kind"],
    "accuracy": float(((predicted > 0.5) == numpy.load(f"{sys.argv[1]}/data/arrays/test_labels.npy")).mean()),
    "epochs": len(client.get_metric_history(run.info.run_id, "epoch/val/loss")),
    "artifacts": sorted(artifact.path for artifact in client.list_artifacts(run.info.run_id)),
    "params": run.data.params, "tags": run.data.tags, "metrics": run.data.metrics,
}))
"""
    printed = project.run(sys.executable, "-W", "ignore", "-c", code, str(project.folder))
    found = json.loads(printed.splitlines()[-1])
    comparison = project.json("reports/comparison.json")
    assert found["registered"] == found["kinds"] == ["scratch", "vgg16"]
    assert found["status"] == ["FINISHED", "FINISHED"]
    assert found["champion"] == comparison["better"]
    assert found["accuracy"] == pytest.approx(comparison["models"][found["champion"]]["accuracy"])
    assert found["epochs"] == 2
    assert {"curves.png", "confusion.png", "model"} <= set(found["artifacts"])
    assert found["params"]["epochs"] == "2"
    assert found["tags"]["data_digest"] == project.json("data/arrays/dataset.json")["digest"]
    assert len(found["tags"]["mlflow.source.git.commit"]) == 40
    assert found["metrics"]["duration_seconds"] > 0


def test_a_clone_without_dvc_s_cache_shows_metrics_and_curves_and_compares_them(
    project: Project, tmp_path: Path
) -> None:
    git_files = project.run("git", "ls-files").split()
    assert {"reports/comparison_metrics.json", "reports/scratch/history.csv"} <= set(git_files)
    assert not [name for name in git_files if name.endswith((".gitignore", "timing.json")) and "reports" in name]
    clone = project.clone(tmp_path / "clone")
    metrics = clone.json("reports/comparison_metrics.json")
    shown = json.loads(clone.run("dvc", "metrics", "show", "--json"))[""]["data"]
    assert shown["reports/comparison_metrics.json"]["data"] == metrics
    assert {"reports/scratch/metrics.json", "reports/vgg16/metrics.json"} < set(shown)
    assert all("error" not in file for file in shown.values())
    metrics["vgg16"]["accuracy"] += 0.125
    (clone.folder / "reports/comparison_metrics.json").write_text(json.dumps(metrics))
    (changed,) = json.loads(clone.run("dvc", "metrics", "diff", "--json")).values()
    assert changed["vgg16.accuracy"]["diff"] == pytest.approx(0.125)
    listed = clone.run("dogs-vs-cats", "experiments")
    assert f"{metrics['scratch']['accuracy']:.4f}" in listed
    history = clone.folder / "reports/scratch/history.csv"
    history.write_text(history.read_text().replace("\n2,", "\n3,"))
    drawn = json.loads(clone.run("dvc", "plots", "diff", "--json", "--targets", "scratch accuracy"))
    assert set(drawn["data"]["scratch accuracy"][0]["revisions"]) == {"HEAD", "workspace"}


def test_nothing_runs_again_when_nothing_has_changed(project: Project) -> None:
    printed = project.run("dvc", "repro")
    assert _ran(printed) == []
    assert "up to date" in printed
    printed = project.run("make", "--old-file", f"{VENV}/ready-cpu", f"VENV={VENV}", "repro")
    assert "up to date" in printed
    report = (project.folder / "reports/comparison.html").as_uri()
    assert printed.splitlines()[-2:] == [f"report: {report}", "runs: make ui"]


def test_the_same_seed_gives_the_same_result_to_the_last_digit(project: Project) -> None:
    before = project.lock()
    project.run("dvc", "repro", "--force", "--single-item", "train_scratch", "train_vgg16")
    project.run("dvc", "repro", "--force", "--single-item", "split", "decode", "bottleneck", "submission")
    after = project.lock()
    timed = {"reports/scratch/timing.json", "reports/vgg16/timing.json"}
    for stage in ("split", "decode", "bottleneck", "train_scratch", "train_vgg16", "submission"):
        for path, digest in before[stage].items():
            assert path in timed or after[stage][path] == digest, path
    # DVC's run cache does not bring back what git keeps, so a training whose time differs would run again.
    project.run("git", "checkout", "--", ".")
    project.run("dvc", "checkout", *sorted(timed))


def test_photos_are_decoded_again_for_another_size_and_come_out_of_the_cache_for_the_first(project: Project) -> None:
    for size in (32, 48):
        project.set(**{"decode.size": size})
        project.run("dvc", "repro", "decode")
        images = np.load(project.folder / "data/arrays/test_images.npy", mmap_mode="r")
        assert images.shape == (20, size, size, 3)
    project.run("git", "checkout", "--", ".")
    assert _ran(project.run("dvc", "repro")) == []


def test_an_experiment_runs_what_depends_on_its_setting_and_shows_beside_the_committed_result(project: Project) -> None:
    printed = project.run("dvc", "exp", "run", "--name", "shorter", "--set-param", "train_vgg16.epochs=1")
    assert set(_ran(printed)) - {"settings"} <= {"train_vgg16", "fine_tune", "compare", "submission"}
    assert "train_vgg16" in _ran(printed)
    assert "shorter" in project.run("dvc", "exp", "show", "--md")
    assert "train_vgg16.epochs" in project.run("dvc", "params", "diff", "HEAD")
    assert "reports/vgg16/metrics.json" in project.run("dvc", "metrics", "diff", "--all", "HEAD")
    project.run("dvc", "plots", "show")
    page = (project.folder / "dvc_plots/index.html").read_text(encoding="utf-8")
    pictures = list((project.folder / "dvc_plots/static").rglob("*.png"))
    assert len(pictures) >= 5
    assert all(picture.name in page for picture in pictures)
    project.run("git", "checkout", "--", ".")


def test_without_a_test_split_and_a_test_set_validation_is_reported_and_the_submission_is_empty(
    project: Project,
) -> None:
    printed = project.run(
        "dvc",
        "exp",
        "run",
        "-S",
        "split.test=0",
        "-S",
        "bottleneck.scaling=article",
        "-S",
        "download.drawn.test_images=0",
    )
    assert "no unlabelled test photos" in printed
    comparison = project.json("reports/comparison.json")
    assert (comparison["split"], comparison["images"]) == ("validation", 16)
    assert (project.folder / "reports/submission.csv").read_text(encoding="utf-8").split() == ["id,label"]
    project.run("git", "checkout", "--", ".")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"split.validation": 1.2}, "split.validation is 1.2"),
        ({"train_vgg16.epochs": "many"}, "train_vgg16.epochs is 'many'"),
        ({"download.source": "zip", "download.path": "no-such.zip"}, "no-such.zip"),
    ],
)
def test_a_fault_ends_the_run_with_one_message_and_without_a_traceback(
    project: Project, changes: dict[str, object], told: str
) -> None:
    project.run("git", "checkout", "--", ".")
    project.set(**changes)
    printed = project.run("dvc", "repro", status=255)
    assert "error: " in printed
    assert told in printed
    assert "Traceback" not in printed
    project.run("git", "checkout", "--", ".")


def test_an_unknown_key_is_told_though_no_stage_uses_it(project: Project) -> None:
    file = project.folder / "params.yaml"
    file.write_text(file.read_text() + "serch: {}\n")
    assert "params.yaml: serch: unknown key" in project.run("dvc", "repro", status=255)
    project.run("git", "checkout", "--", ".")


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's, with SQLAlchemy 2.1
def test_a_killed_training_goes_on_from_its_last_finished_epoch_in_the_same_run(project: Project) -> None:
    project.run("git", "checkout", "--", ".")
    project.set(**{"train_scratch.epochs": 40, "train_scratch.early_stopping": None})
    command = ["dvc", "repro", "train_scratch"]
    killed = subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.variables,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert killed.stdout is not None
    assert any(line.startswith("epoch 2:") for line in killed.stdout)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (project.folder / "models/scratch.weights.h5").exists()

    printed = project.run(*command)
    resumed = [line for line in printed.splitlines() if line.startswith("going on after epoch")]
    assert len(resumed) == 1
    epochs = [int(line.split()[1].rstrip(":")) for line in printed.splitlines() if line.startswith("epoch ")]
    assert epochs == list(range(epochs[0], 41))
    assert epochs[0] > 2
    history = pd.read_csv(project.folder / "reports/scratch/history.csv")
    assert list(history["epoch"]) == list(range(1, 41))
    left = list((project.folder / "models/.unfinished").glob("scratch-*"))
    assert left
    assert all((folder / "finished.json").exists() for folder in left)
    client = MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("dogs-vs-cats")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "params.epochs = '40'")
    assert run.info.status == "FINISHED"
    losses = client.get_metric_history(run.info.run_id, "epoch/val/loss")
    assert sorted(metric.step for metric in losses) == list(range(1, 41))
    project.run("git", "checkout", "--", ".")


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's, with SQLAlchemy 2.1
def test_a_stage_killed_before_dvc_recorded_it_has_its_results_again_from_the_same_run(project: Project) -> None:
    project.run("git", "checkout", "--", ".")
    project.run("dvc", "repro", "bottleneck")
    project.set(**{"train_vgg16.epochs": 3})
    # What DVC runs, without its record of it.
    project.run("sh", "-c", yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train_vgg16"]["cmd"])
    left = [project.folder / name for name in ("reports/vgg16/history.csv", "models/vgg16.weights.h5")]
    before = [file.read_bytes() for file in left]
    printed = project.run("dvc", "repro", "train_vgg16")
    assert "this training had finished; its results are written again" in printed
    assert [file.read_bytes() for file in left] == before
    client = MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("dogs-vs-cats")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "params.epochs = '3' and tags.kind = 'vgg16'")
    assert [run.info.status for run in runs] == ["FINISHED"]
    assert len(client.search_model_versions(f"run_id = '{runs[0].info.run_id}'")) == 1
    # Once DVC has recorded it, a forced run trains anew.
    assert "had finished" not in project.run("dvc", "repro", "--force", "--single-item", "train_vgg16")
    project.run("git", "checkout", "--", ".")


def test_two_repros_at_once_do_not_mix(project: Project) -> None:
    project.run("git", "checkout", "--", ".")
    project.run("dvc", "checkout", "--force")
    command = ["dvc", "repro", "--force", "--single-item", "decode"]
    both = [
        subprocess.Popen(
            command,
            cwd=project.folder,
            env=project.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    printed = [process.communicate()[0] for process in both]
    for process, text in zip(both, printed, strict=True):
        # DVC's lock: the second either waits its turn or says that another command runs.
        assert process.returncode == 0 or "lock" in text.lower(), text
        assert "Traceback" not in text
    assert any(process.returncode == 0 for process in both)
    assert project.run("dvc", "status", "decode").count("changed outs") == 0
