"""``dogs-vs-cats judge``: models of several projects on the same photos, each and together."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats.commands.judge import main
from dogs_vs_cats.data.arrays import write_files
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.evaluation.ensemble import fit_ensemble
from dogs_vs_cats.evaluation.metrics import correct, losses
from dogs_vs_cats.evaluation.predicting import load_members
from dogs_vs_cats.evaluation.submission import calibrate, expected_log_loss
from dogs_vs_cats.evaluation.submitting import predict_unlabelled
from dogs_vs_cats.paths import Prepared
from tests.commands.calling import call
from tests.photo_project import CNN, HEAD, SIZE, description, write_trained

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

COUNTS = {"train": 2, "validation": 40, "test": 30, "unlabelled": 5}


def write_prepared(project: Path) -> None:
    """Write what the stages before training leave, of random photos."""
    arrays, random = project / "data/arrays", np.random.default_rng(0)
    arrays.mkdir(parents=True)
    (project / "data/features").mkdir()
    facts = {"source": "zip", "classes": ["cats", "dogs"], "unlabelled_rejected": ["7"], "size": SIZE}
    (arrays / "dataset.json").write_text(json.dumps(facts | {"digest": "0" * 64, "counts": COUNTS}))
    for split, count in COUNTS.items():
        np.save(arrays / f"{split}_images.npy", random.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8))
        labels = None if split == "unlabelled" else random.integers(0, 2, count).tolist()
        write_files(arrays, split, [f"{split}/{number}.jpg" for number in range(count)], labels)
        np.save(project / f"data/features/{split}.npy", random.normal(0, 4, (count, 1, 1, 512)).astype(np.float32))


@pytest.fixture
def weights(tmp_path: Path) -> list[Path]:
    """The weights of a network from scratch and of a head, each in a project of its own with the same photos."""
    projects = [tmp_path / "first", tmp_path / "second"]
    write_prepared(projects[0])
    shutil.copytree(projects[0], projects[1])
    write_trained(description("scratch", CNN), projects[0])
    write_trained(description("vgg16", HEAD), projects[1])
    return [projects[0] / "models/scratch.weights.h5", projects[1] / "models/vgg16.weights.h5"]


def test_models_of_two_projects_are_judged_each_and_together(
    weights: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(main, *map(str, weights), "--submission", str(tmp_path / "submission.csv"))
    printed = capsys.readouterr().out
    rows = [
        re.split(" {2,}", line.strip()) for line in printed.splitlines() if " validation " in line or " test " in line
    ]
    members = load_members(weights)
    labels = {split: np.load(tmp_path / f"first/data/arrays/{split}_labels.npy") for split in ("validation", "test")}
    given = {split: {name: one.probabilities(split) for name, one in members.items()} for split in labels}
    expected = []
    for names in ([str(weights[0])], [str(weights[1])], [*map(str, weights)]):
        validation = {name: given["validation"][name] for name in names}
        ensemble = fit_ensemble(labels["validation"], validation)
        calibration = calibrate(labels["validation"], ensemble.apply(validation))
        test = ensemble.apply({name: given["test"][name] for name in names})
        on_test = losses(labels["test"], calibration.apply(test)).mean()
        for split, said, calibrated in (
            ("validation", ensemble.apply(validation), expected_log_loss(labels["validation"], validation)),
            ("test", test, on_test),
        ):
            accuracy = f"{100 * correct(labels[split], said).mean():.2f} %"
            log_loss = f"{losses(labels[split], said).mean():.4f}"
            name = names[0] if len(names) == 1 else "ensemble"
            expected.append([name, split, str(COUNTS[split]), accuracy, log_loss, f"{calibrated:.4f}"])
    assert [[*row[:4], *row[-2:]] for row in rows] == expected
    assert f"weights: {weights[0]} {ensemble.weights[str(weights[0])]:.2f}, {weights[1]} " in printed
    assert f"6 ids by the {members[str(weights[0])].predictor.description.name} and the " in printed
    # The same models in one project.
    shutil.copytree(weights[0].parent, weights[1].parent, dirs_exist_ok=True)
    whole = predict_unlabelled(Prepared.of(tmp_path / "second"), weights[1].parent, 1, "ensemble")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "submission.csv"), whole.frame, atol=1e-7)


def test_one_model_is_judged_without_an_ensemble(weights: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    call(main, str(weights[0]))
    printed = capsys.readouterr().out
    assert f"{weights[0]} " in printed
    assert "ensemble" not in printed
    assert "weights:" not in printed


def test_models_of_other_photos_or_none_are_refused(weights: list[Path], tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="a model is named twice"):
        call(main, str(weights[0]), str(weights[0]))
    with pytest.raises(WorkflowError, match=r"models/none\.weights\.h5|none\.json: no trained model there"):
        call(main, str(weights[0].with_name("none.weights.h5")))
    facts = tmp_path / "second/data/arrays/dataset.json"
    facts.write_text(facts.read_text().replace("0" * 64, "1" * 64))
    with pytest.raises(WorkflowError, match=r"vgg16\.weights\.h5: its project has other photos than that of .*scratch"):
        call(main, *map(str, weights))
    (tmp_path / "first/data/arrays/unlabelled_images.npy").unlink()
    with pytest.raises(WorkflowError, match=r"no unlabelled photos to submit anything for; set download\.test_path"):
        call(main, str(weights[0]), "--submission", str(tmp_path / "submission.csv"))
    assert not (tmp_path / "submission.csv").exists()
