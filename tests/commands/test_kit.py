"""A training that is carried to another machine in parts, and its runs that come back."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distributions, version
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from numpy.typing import NDArray

from dogs_vs_cats.commands.import_runs import main as import_runs
from dogs_vs_cats.commands.kit import frozen, lacking
from dogs_vs_cats.commands.kit import main as kit
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.pretrained.weights import write_weights
from dogs_vs_cats.settings.params import load_settings
from tests.conftest import ROOT, users_environment
from tests.search.conftest import prepare
from tests.vgg16 import random_tensors

ABSENT = "flatten-dict"


def _installed() -> dict[str, str]:
    return {re.sub(r"[-_.]+", "-", found.name).lower(): found.version for found in distributions()}


def _write_wheel(folder: Path) -> None:
    name, number = ABSENT.replace("-", "_"), version(ABSENT)
    about = f"{name}-{number}.dist-info"
    folder.mkdir()
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "CARRIED = True\n")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {ABSENT}\nVersion: {number}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, photos: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> Path:
    """A project that has made a kit for a machine that lacks one package."""
    folder = tmp_path_factory.mktemp("project")
    weights = tmp_path_factory.mktemp("weights") / "vgg16.weights.h5"
    write_weights(random_tensors(), weights)
    prepare(folder, *photos, weights).set(
        **{
            "train_scratch.epochs": 1,
            "train_scratch.batch": 40,
            "train_vgg16.epochs": 1,
            "bottleneck.engine": "ncnn",  # which the kit does without
            "train_scratch.network.convolutions": [{"filters": 4, "kernel": 3}],
        }
    )
    for name in ("dogs_vs_cats", "stages", "search"):
        (folder / name).symlink_to(ROOT / name)
    there = [f"{name}=={number}" for name, number in _installed().items() if name != ABSENT]
    (folder / "freeze.txt").write_text("\n".join(there))
    _write_wheel(folder / "index")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder / "index"))
        options = ["kit", "--has", "freeze.txt", "--size", "40", "--part-mib", "1"]
        both = [*options, "--model", "vgg16", "--model", "scratch"]
        weights.rename(weights.with_suffix(".away"))
        with pytest.raises(WorkflowError, match=r"backbone\.weights\.h5: no backbone there; fetch it with: dvc repro"):
            kit(both, standalone_mode=False)
        assert not list(folder.glob("*kit*"))
        kit(["scratch", *options[1:]], standalone_mode=False)  # needs none
        assert json.loads((folder / "scratch/kit.json").read_text())["commands"][0][1] == "stages.train_scratch"
        weights.with_suffix(".away").rename(weights)
        kit(both, standalone_mode=False)
        with pytest.raises(WorkflowError, match=r"decode\.size is 24: VGG16 takes 32 pixels"):
            kit(["small", "--has", "freeze.txt", "--size", "24"], standalone_mode=False)
        assert not list(folder.glob("*small*"))
    return folder


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "run_kit.py", *arguments]
    return subprocess.run(
        command, cwd=folder, env=users_environment("KERAS"), capture_output=True, text=True, check=False
    )


def test_a_carried_training_comes_back_as_a_run_once(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    shutil.copytree(project / "kit", there)
    assert len(list(there.glob("kit.part*"))) > 1
    assert all(part.stat().st_size <= 1 << 20 for part in there.glob("kit.part*"))
    assert "CARRIED" in _run(there, "-c", "import flatten_dict; print(dir(flatten_dict))").stdout
    done = _run(there)
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in ("scratch", "vgg16"):
        assert json.loads((there / f"results/models/{kind}.json").read_text())["size"] == 40
    assert np.load(there / "project/data/features/train.npy").shape == (80, 1, 1, 512)
    assert load_settings(there / "project/params.yaml").bottleneck.engine == "tensorflow"
    monkeypatch.chdir(project)
    for _ in range(2):
        import_runs([str(there / "results")], standalone_mode=False)
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    runs = client.search_runs(["1"])
    assert sorted(run.data.tags["kind"] for run in runs) == ["scratch", "vgg16"]
    for run in runs:
        assert (run.info.status, run.data.tags["backend"]) == ("FINISHED", "jax")
        assert np.isfinite(run.data.metrics["val/log_loss"])
    assert len(client.search_model_versions("name = 'dogs-vs-cats'")) == 2


def test_what_fails_there_ends_the_kit(project: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    shutil.copytree(project / "kit", there)
    about = json.loads((there / "kit.json").read_text())
    commands = [["-c", f"print('ran'); raise SystemExit({status})"] for status in (0, 3, 0)]
    (there / "kit.json").write_text(json.dumps(about | {"commands": commands}))
    done = _run(there)
    assert (done.returncode, done.stdout) == (3, "ran\nran\n")


def test_a_part_that_is_missing_or_of_another_kit_is_named(project: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    shutil.copytree(project / "kit", there)
    (there / "kit.part002").write_bytes(b"of another kit")
    assert _run(there).stderr == "error: kit.part002: damaged, or of another kit; copy it again\n"
    (there / "kit.part002").unlink()
    done = _run(there)
    assert done.returncode == 1
    assert done.stderr == "error: kit.part002: missing; copy it beside run_kit.py\n"
    about = json.loads((there / "kit.json").read_text())
    (there / "kit.json").write_text(json.dumps(about | {"python": "2.7"}))
    assert "this kit is for Python 2.7" in _run(there).stderr


def test_results_that_are_not_whole_or_of_another_version_are_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)

    def told(text: str) -> None:
        with pytest.raises(WorkflowError, match=text):
            import_runs([str(tmp_path)], standalone_mode=False)

    told(r"kit\.json: missing")
    for content in ("[]", "{", "{}"):
        (tmp_path / "kit.json").write_text(content)
        told(r"kit\.json: not what run_kit\.py writes")
    (tmp_path / "kit.json").write_text('{"version": "0.0.1"}')
    told(r"of a kit of version 0\.0\.1")
    (tmp_path / "kit.json").write_text(json.dumps({"version": version("dogs-vs-cats")}))
    told("has no runs")


def test_only_what_a_machine_lacks_is_carried(tmp_path: Path) -> None:
    there = _installed()
    assert lacking(there, "jax") == {}
    assert set(lacking(there | {"numpy": "1.26.4"}, "jax")) == {"numpy"}
    fewer = {name: number for name, number in there.items() if name not in {"keras", "jaxlib", "pytest", "dvc"}}
    assert lacking(fewer, "jax") == {"keras": there["keras"], "jaxlib": there["jaxlib"]}
    (tmp_path / "freeze.txt").write_text("numpy==2.1\nJinja2 == 3\n-e git+x\nscikit_learn==1.6  # here\n")
    assert frozen(tmp_path / "freeze.txt") == {"numpy": "2.1", "scikit-learn": "1.6"}
    (tmp_path / "empty.txt").write_text("Traceback")
    with pytest.raises(WorkflowError, match=r"empty\.txt: no line is NAME==VERSION"):
        frozen(tmp_path / "empty.txt")
