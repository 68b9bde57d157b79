import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dogs_vs_cats.keras_models.models import Description, exported, load_predictor, predict, write_model
from dogs_vs_cats.workflow.digests import digest_of
from dogs_vs_cats.workflow.errors import WorkflowError
from dogs_vs_cats.workflow.settings import CnnSettings, Settings

NETWORK = CnnSettings.model_validate(
    {
        "convolutions": [{"filters": 4, "kernel": 3}],
        "batch_normalization": True,
        "convolution_dropout": 0.2,
        "pooling_end": "flatten",
        "dense": [5],
        "dense_dropout": 0.5,
        "output": "softmax",
    }
)
DESCRIPTION = Description(
    kind="scratch", size=32, classes=("cats", "dogs"), features=None, scaling=None, network=NETWORK
)


def test_a_written_model_predicts_as_the_one_in_memory(
    tmp_path: Path, photos: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    model = DESCRIPTION.build()
    write_model(model, DESCRIPTION, tmp_path / "scratch.weights.h5")
    loaded = load_predictor(tmp_path / "scratch.weights.h5")
    assert loaded.description == DESCRIPTION
    assert loaded.parameters == model.count_params()
    assert np.array_equal(loaded.predict(photos[0]), predict(model, photos[0]))
    assert {path.name for path in tmp_path.iterdir()} == {"scratch.weights.h5", "scratch.json"}


def test_equal_weights_are_written_as_equal_bytes(tmp_path: Path) -> None:
    model = DESCRIPTION.build()
    for name in ("a", "b"):
        write_model(model, DESCRIPTION, tmp_path / name / "scratch.weights.h5")
    assert digest_of(tmp_path / "a" / "scratch.weights.h5") == digest_of(tmp_path / "b" / "scratch.weights.h5")


@pytest.mark.parametrize("fault", ["no weights", "no description", "another description", "cut off"])
def test_a_model_that_cannot_be_loaded_names_its_file_and_the_stage_that_makes_it(tmp_path: Path, fault: str) -> None:
    weights, description = tmp_path / "scratch.weights.h5", tmp_path / "scratch.json"
    write_model(DESCRIPTION.build(), DESCRIPTION, weights)
    if fault == "no weights":
        weights.unlink()
    elif fault == "no description":
        description.unlink()
    elif fault == "another description":
        description.write_text('{"kind": "other"}', encoding="utf-8")
    else:
        weights.write_bytes(weights.read_bytes()[:3000])
    with pytest.raises(WorkflowError, match=r"scratch\.(json|weights\.h5): .*dvc repro train_scratch"):
        load_predictor(weights)


def test_the_exported_model_takes_photos_in_a_process_that_does_not_know_this_project(
    tmp_path: Path, settings: Settings, photos: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    model = DESCRIPTION.build()
    exported(model, DESCRIPTION).save(tmp_path / "model.keras")
    np.save(tmp_path / "photos.npy", photos[0][:8])
    code = (
        "import keras, numpy, sys; "
        "model = keras.saving.load_model('model.keras'); "
        "assert 'dogs_vs_cats' not in sys.modules; "
        "numpy.save('predicted.npy', model.predict(numpy.load('photos.npy'), verbose=0))"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
    predicted = np.load(tmp_path / "predicted.npy")
    assert predicted.shape == (8,)
    assert predicted.dtype == np.float32
    assert np.allclose(predicted, predict(model, photos[0][:8]), atol=1e-6)
