"""What trials are trained on."""

import shutil

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.data.arrays import open_split
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.kinds import KINDS
from dogs_vs_cats.paths import ARRAYS, FEATURES, Prepared
from dogs_vs_cats.search.examples import chosen, open_parts
from dogs_vs_cats.search.plan import Fidelity
from dogs_vs_cats.settings.params import Settings, load_settings
from tests.search.conftest import Project


def settings_of(project: Project) -> Settings:
    return load_settings(project.folder / "params.yaml")


def test_a_share_has_both_classes_alike_in_the_arrays_order() -> None:
    labels = np.array([0] * 40 + [1] * 20, dtype=np.uint8)
    where = chosen(labels, 0.5, 1)
    assert (np.diff(where) > 0).all()
    assert np.bincount(labels[where]).tolist() == [20, 10]
    assert np.array_equal(chosen(labels, 1.0, 1), np.arange(60))


def test_whole_arrays_are_used_as_they_lie_there(project: Project) -> None:
    parts = open_parts("scratch", project.folder, settings_of(project), Fidelity(None, 1))
    assert (len(parts.training.inputs), len(parts.validation.inputs)) == (80, 40)
    assert not (project.folder / "data" / "search").exists()


def test_smaller_trials_get_fewer_and_smaller_photos_with_their_labels(project: Project) -> None:
    settings = settings_of(project)
    parts = open_parts("scratch", project.folder, settings, Fidelity(40, 1, 16))
    training, validation = parts.training, parts.validation
    assert training.inputs.shape == (40, 16, 16, 3)
    assert validation.inputs.shape == (20, 16, 16, 3)
    whole = open_split(project.folder / ARRAYS, "train")
    assert whole.labels is not None
    where = chosen(whole.labels, 0.5, settings.search.seed)
    assert np.array_equal(training.labels, whole.labels[where])
    resized = Image.fromarray(np.asarray(whole.images[where[7]])).resize((16, 16), Image.Resampling.LANCZOS)
    assert np.array_equal(training.inputs[7], np.asarray(resized))


def test_features_are_cut_down_in_the_same_rows(project: Project) -> None:
    training = open_parts("vgg16", project.folder, settings_of(project), Fidelity(20, 1)).training
    assert training.inputs.shape == (20, 1, 1, 512)
    assert abs(training.inputs[training.labels == 1].mean() - training.inputs[training.labels == 0].mean()) > 0.5


def test_a_weight_of_a_class_that_is_not_there_is_told_before_any_trial(project: Project) -> None:
    project.set(**{"train_vgg16.class_weight": {"cows": 2.0}})
    with pytest.raises(WorkflowError, match=r"train_vgg16\.class_weight names 'cows'.*they are cats and dogs"):
        open_parts("vgg16", project.folder, settings_of(project), Fidelity(20, 1))


def test_missing_data_names_what_makes_it(project: Project) -> None:
    settings = settings_of(project)
    shutil.rmtree(project.folder / FEATURES)
    with pytest.raises(WorkflowError, match=r"data/features: missing.*dvc repro bottleneck"):
        KINDS["vgg16"].check_prepared(settings, Prepared.of(project.folder))
    project.set(**{"decode.size": 64})
    with pytest.raises(WorkflowError, match=r"photos of 32 pixels, but decode.size is 64; run dvc repro decode"):
        KINDS["scratch"].check_prepared(settings_of(project), Prepared.of(project.folder))
    shutil.rmtree(project.folder / ARRAYS)
    with pytest.raises(WorkflowError, match=r"data/arrays: missing.*dvc repro decode"):
        KINDS["scratch"].check_prepared(settings, Prepared.of(project.folder))


def test_features_of_another_backbone_are_refused(project: Project) -> None:
    project.set(**{"bottleneck.backbone": "resnet50"})
    with pytest.raises(WorkflowError, match=r"1x1x512 features, but ResNet50 gives 1x1x2048.*dvc repro bottleneck"):
        KINDS["vgg16"].check_prepared(settings_of(project), Prepared.of(project.folder))


def test_a_head_that_is_solved_leaves_nothing_to_search(project: Project) -> None:
    project.set(
        **{"train_vgg16.solver": "logistic", "train_vgg16.network.dense": [], "train_vgg16.network.dropout": []}
    )
    with pytest.raises(WorkflowError, match=r"train_vgg16\.solver is logistic.*set it to gradient"):
        KINDS["vgg16"].check_prepared(settings_of(project), Prepared.of(project.folder))
