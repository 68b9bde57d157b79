"""What trials are trained on."""

import dataclasses
import shutil
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dogs_vs_cats.data.arrays import create_array, open_split, read_dataset, write_dataset
from dogs_vs_cats.data.decoding.index import INDEX, read_index, write_index
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import digest_of
from dogs_vs_cats.models.features import mirrored
from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.paths import ARRAYS, FEATURES, IMAGES, Prepared
from dogs_vs_cats.search.examples import Rows, chosen, open_parts
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


def test_rows_of_several_arrays_read_as_those_of_one() -> None:
    arrays, where = [np.arange(12).reshape(4, 3), np.arange(100, 106).reshape(2, 3)], np.array([0, 3, 4, 5, 4])
    rows, whole = Rows(arrays, where), np.concatenate(arrays)[where]
    assert (len(rows), rows.shape, rows.dtype) == (5, whole.shape, whole.dtype)
    for key in (2, slice(1, 4), np.array([4, 0, 0]), slice(0, 0)):
        assert np.array_equal(rows[key], whole[key])
    out = np.empty((2, 3), whole.dtype)
    np.take(cast("NDArray[np.int64]", rows), [3, 1], axis=0, out=out, mode="clip")
    assert np.array_equal(out, whole[[3, 1]])


def twins(project: Project, pairs: int) -> None:
    """Make validation photos duplicates of training photos, as the index has it."""
    images, photos = project.folder / IMAGES, [*read_index(project.folder / IMAGES)]
    training = [photo.fingerprint for photo in photos if photo.split == "train"]
    late = [photo for photo in photos if photo.split == "validation"][:pairs]
    same = {photo.file: dataclasses.replace(photo, fingerprint=training[row]) for row, photo in enumerate(late)}
    write_index(images, [same.get(photo.file, photo) for photo in photos])
    dataset = read_dataset(project.folder / ARRAYS)
    write_dataset(project.folder / ARRAYS, dataclasses.replace(dataset, digest=digest_of(images / INDEX)))


def test_a_split_anew_has_the_same_shares_and_keeps_duplicates_together(project: Project) -> None:
    twins(project, 20)
    settings, splits = (
        settings_of(project),
        [open_split(project.folder / ARRAYS, name) for name in ("train", "validation")],
    )
    pool = np.concatenate([split.images for split in splits])
    labels = np.concatenate([split.labels for split in splits if split.labels is not None])
    held_out = []
    for seed in (1, 2, 1):
        parts = open_parts("scratch", project.folder, settings, Fidelity(None, 1), seed)
        places = []
        for part, count in ((parts.training, 80), (parts.validation, 40)):
            assert np.bincount(part.labels).tolist() == [count // 2] * 2
            where = [int(np.flatnonzero((pool == photo).all(axis=(1, 2, 3)))[0]) for photo in part.inputs[:]]
            assert np.array_equal(labels[where], part.labels)
            places.append({*where})
        assert not places[0] & places[1]
        # Validation photo k is the twin of training photo k.
        assert all(({twin, 80 + twin} <= places[0]) or ({twin, 80 + twin} <= places[1]) for twin in range(20))
        held_out.append(places[1])
    assert held_out[0] == held_out[2] != held_out[1]
    assert held_out[0] != {*range(80, 120)}


def test_a_split_anew_is_cut_down_for_smaller_trials(project: Project) -> None:
    parts = open_parts("scratch", project.folder, settings_of(project), Fidelity(40, 1, 16), 1)
    assert (parts.training.inputs.shape, parts.validation.inputs.shape) == ((40, 16, 16, 3), (20, 16, 16, 3))
    others = [
        open_parts("scratch", project.folder, settings_of(project), Fidelity(40, 1, 16), seed) for seed in (None, 2)
    ]
    assert not any(np.array_equal(parts.training.inputs, other.training.inputs) for other in others)


def test_features_of_mirrored_photos_go_with_their_photos(project: Project) -> None:
    folder = project.folder / FEATURES
    for split, count in (("train", 80), ("validation", 40)):
        for name, sign in ((split, 1), (mirrored(split), -1)):
            with create_array(folder / f"{name}.npy", (count, 1, 1, 512), np.float32) as array:
                array[:] = sign * (np.arange(1, count + 1)[:, None, None, None] + 1000 * (split == "train"))
    project.set(**{"bottleneck.pooling": ["average"], "bottleneck.mirrored": True})
    parts = open_parts("vgg16", project.folder, settings_of(project), Fidelity(None, 1), 1)
    assert (len(parts.training.labels), len(parts.validation.labels)) == (160, 40)
    own, others = parts.training.inputs[:80], parts.training.inputs[80:]
    assert np.array_equal(own, -others)
    assert (own > 0).all()
    assert (parts.validation.inputs[:] > 0).all()
    assert np.array_equal(parts.training.labels[:80], parts.training.labels[80:])
    assert not {*own[:, 0, 0, 0]} & {*parts.validation.inputs[:][:, 0, 0, 0]}


def test_a_split_anew_needs_the_photos_that_the_arrays_are_of(project: Project) -> None:
    index = project.folder / IMAGES / INDEX
    index.write_text(index.read_text().replace("0" * 64, "1" * 64))
    with pytest.raises(WorkflowError, match=r"data/images: not the photos that data/arrays were decoded from; run dvc"):
        open_parts("scratch", project.folder, settings_of(project), Fidelity(None, 1), 1)
    shutil.rmtree(project.folder / IMAGES)
    with pytest.raises(WorkflowError, match=r"data/images/index\.csv: missing.*dvc repro -f split"):
        open_parts("scratch", project.folder, settings_of(project), Fidelity(None, 1), 1)


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
