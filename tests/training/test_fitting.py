import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from dogs_vs_cats.data.examples import Examples, Parts
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.networks.building import build_cnn
from dogs_vs_cats.models.reproducibility import prepare
from dogs_vs_cats.models.saved import predict
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.training_settings import TrainScratchSettings
from dogs_vs_cats.training import batches
from dogs_vs_cats.training.fitting import Training, compile_for, train
from tests.conftest import no_file_larger_than

Photos = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Undisturbed = Callable[[int], tuple[pd.DataFrame, NDArray[np.float64]]]


def small(settings: Settings, **changes: Any) -> TrainScratchSettings:
    """The committed settings with a network small enough to train in a second."""
    network = {"convolutions": [{"filters": 4, "kernel": 3}, {"filters": 8, "kernel": 3}], "dense": [8]}
    values = settings.train_scratch.model_dump()
    values["network"] |= network
    return TrainScratchSettings.model_validate(values | {"epochs": 3, "batch": 16, "early_stopping": None} | changes)


def train_small(
    photos: Photos, settings: TrainScratchSettings, **options: Any
) -> tuple[Training, NDArray[np.float64], keras.Model]:
    """Train on the first 80 photos, validate on the last 40."""
    images, labels = photos
    prepare(settings.seed)
    model = build_cnn(settings.network, images.shape[1])
    parts = Parts(Examples(images[:80], labels[:80]), Examples(images[80:], labels[80:]))
    result = train(model, parts, settings, show_progress=False, **options)
    return result, predict(model, parts.validation.inputs)[:, 1], model


class _Weights(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights after each epoch."""

    def __init__(self, kept: list[list[NDArray[Any]]]) -> None:
        super().__init__()
        self.kept = kept

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self.kept.append(self.model.get_weights())


class _Killed(BaseException):
    """Ends a training in a way that nothing catches."""


@pytest.fixture(scope="module")
def undisturbed(settings: Settings, photos: Photos) -> Undisturbed:
    """Give the history and the probabilities of a small training of so many epochs that nothing disturbs."""

    @cache
    def trained(epochs: int) -> tuple[pd.DataFrame, NDArray[np.float64]]:
        result, probabilities, _ = train_small(photos, small(settings, epochs=epochs))
        return result.history, probabilities

    return trained


@pytest.fixture(scope="module")
def cut_off_folder(settings: Settings, photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of a training of four epochs that was cut off after the third."""

    def cut_off(_: dict[str, float], epoch: int, __: int) -> None:
        if epoch == 3:
            raise _Killed

    folder = tmp_path_factory.mktemp("cut off") / "checkpoint"
    with pytest.raises(_Killed):
        train_small(photos, small(settings, epochs=4), checkpoint=folder, log=cut_off)
    return folder


def test_a_network_learns_and_has_the_weights_of_its_best_epoch(settings: Settings, photos: Photos) -> None:
    result, probabilities, model = train_small(photos, small(settings, epochs=8))
    labels = photos[1][80:]
    assert result.kept["val_accuracy"] > 0.9
    assert set(result.kept_epochs) == {result.history["epoch"][result.history["val_loss"].argmin()]}
    assert ((probabilities > 0.5) == labels).mean() == pytest.approx(result.kept["val_accuracy"])
    true_class = np.where(labels == 1, probabilities, 1 - probabilities)
    assert -np.log(true_class).mean() == pytest.approx(result.kept["val_log_loss"], rel=1e-4)
    assert list(result.history["epoch"]) == list(range(1, 9))
    assert model.count_params() > 0


def test_the_weights_of_the_last_epoch_are_kept_where_that_is_asked_for(settings: Settings, photos: Photos) -> None:
    # A rate that soon overshoots, so that the last epoch is not the best.
    optimizer = {"name": "rmsprop", "learning_rate": 0.05}
    best, _, _ = train_small(photos, small(settings, epochs=6, optimizer=optimizer))
    last, probabilities, _ = train_small(photos, small(settings, epochs=6, optimizer=optimizer, keep="last"))
    assert best.kept_epochs < (6, 6)
    assert last.kept_epochs == (6, 6)
    pd.testing.assert_frame_equal(
        last.history.drop(columns="kept"), best.history.drop(columns="kept"), check_exact=True
    )
    labels = photos[1][80:]
    assert ((probabilities > 0.5) == labels).mean() == pytest.approx(last.history["val_accuracy"].iloc[-1])


def test_weights_are_averaged_over_the_last_two_thirds_of_the_epochs_also_when_cut_off(
    settings: Settings, photos: Photos, tmp_path: Path
) -> None:
    chosen = small(settings, epochs=6, keep="average")
    each: list[list[NDArray[Any]]] = []
    train_small(photos, small(settings, epochs=6, keep="last"), callbacks=[_Weights(each)])
    averaged, probabilities, model = train_small(photos, chosen)
    for weights, *epochs in zip(model.get_weights(), *each[2:], strict=True):
        np.testing.assert_allclose(weights, np.mean(epochs, axis=0), rtol=1e-5, atol=1e-6)
    assert averaged.kept_epochs == (3, 6)
    assert ((probabilities > 0.5) == photos[1][80:]).mean() == pytest.approx(averaged.kept["val_accuracy"])

    def cut_off(_: dict[str, float], epoch: int, __: int) -> None:
        if epoch == 4:
            raise _Killed

    with pytest.raises(_Killed):
        train_small(photos, chosen, checkpoint=tmp_path / "checkpoint", log=cut_off)
    resumed, again, _ = train_small(photos, chosen, checkpoint=tmp_path / "checkpoint")
    assert np.array_equal(again, probabilities)
    assert resumed.kept == averaged.kept


def test_the_same_seed_gives_the_same_result_to_the_last_digit_and_another_seed_another(
    settings: Settings, photos: Photos
) -> None:
    first, again = train_small(photos, small(settings)), train_small(photos, small(settings))
    other = train_small(photos, small(settings, seed=3))
    pd.testing.assert_frame_equal(first[0].history, again[0].history, check_exact=True)
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_a_training_cut_off_after_any_epoch_ends_as_if_it_had_not_been(
    settings: Settings, photos: Photos, tmp_path: Path
) -> None:
    chosen = small(
        settings,
        epochs=4,
        early_stopping={"patience": 3, "min_delta": 0.0},
        optimizer={"name": "rmsprop", "learning_rate": 0.003},
        reduce_on_plateau={"factor": 0.1, "patience": 1, "minimum": 0.0},
    )
    whole, expected, _ = train_small(photos, chosen)
    logged: list[int] = []

    def log(_: dict[str, float], epoch: int, __: int) -> None:
        logged.append(epoch)
        if (epoch, logged.count(epoch)) in {(1, 1), (3, 1)}:
            raise _Killed

    for _ in range(2):
        with pytest.raises(_Killed):
            train_small(photos, chosen, checkpoint=tmp_path / "checkpoint", log=log)
    result, probabilities, _ = train_small(photos, chosen, checkpoint=tmp_path / "checkpoint", log=log)

    assert logged == [1, 1, 2, 3, 1, 2, 3, 4]
    pd.testing.assert_frame_equal(result.history, whole.history, check_exact=True)
    assert np.array_equal(probabilities, expected)


def test_a_finished_training_whose_results_were_not_written_is_not_run_again(
    settings: Settings, photos: Photos, tmp_path: Path
) -> None:
    # A patience of 0 stops after the second epoch at the latest that is no better than one before.
    chosen = small(settings, epochs=30, early_stopping={"patience": 0, "min_delta": 0.0})
    first, expected, _ = train_small(photos, chosen, checkpoint=tmp_path / "checkpoint")
    logged: list[int] = []
    again, probabilities, _ = train_small(
        photos, chosen, checkpoint=tmp_path / "checkpoint", log=lambda _, epoch, __: logged.append(epoch)
    )
    assert first.stopped_early
    assert again.stopped_early
    assert logged == list(first.history["epoch"])
    assert again.seconds == first.seconds
    assert np.array_equal(probabilities, expected)


KILLED_AFTER_AN_EPOCH = """
import os, signal, sys
from pathlib import Path
import numpy as np
from dogs_vs_cats.settings.params import parse_settings
from tests.training.test_fitting import small, train_small
import yaml
settings = parse_settings(yaml.safe_load(Path("params.yaml").read_text()))
images, labels = np.load(sys.argv[1]), np.load(sys.argv[2])
def log(_, epoch, __):
    if epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
train_small((images, labels), small(settings), checkpoint=Path(sys.argv[3]), log=log)
"""


def test_a_killed_process_loses_no_finished_epoch(
    settings: Settings, photos: Photos, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    np.save(tmp_path / "images.npy", photos[0])
    np.save(tmp_path / "labels.npy", photos[1])
    files = [tmp_path / name for name in ("images.npy", "labels.npy", "checkpoint")]
    ended = subprocess.run([sys.executable, "-c", KILLED_AFTER_AN_EPOCH, *map(str, files)], check=False)
    assert ended.returncode == -signal.SIGKILL
    logged: list[int] = []
    result, probabilities, _ = train_small(
        photos, small(settings), checkpoint=tmp_path / "checkpoint", log=lambda _, epoch, __: logged.append(epoch)
    )
    history, expected = undisturbed(3)
    assert logged == [1, 2, 3]
    pd.testing.assert_frame_equal(result.history, history, check_exact=True)
    assert np.array_equal(probabilities, expected)


def test_a_half_written_checkpoint_is_not_taken_for_a_whole_one(
    settings: Settings, photos: Photos, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / ".epoch-000002-0123456789abcdef.npz.partial").write_bytes(b"cut off")
    result, probabilities, _ = train_small(photos, small(settings), checkpoint=folder)
    assert len(result.history) == 3
    assert np.array_equal(probabilities, undisturbed(3)[1])
    assert not [*folder.glob(".*")]


@pytest.mark.parametrize("fault", ["cut off", "one bit", "empty", "all"])
def test_a_damaged_state_is_told_and_training_goes_on_from_before_it(
    settings: Settings,
    photos: Photos,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    cut_off_folder: Path,
    undisturbed: Undisturbed,
    fault: str,
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(cut_off_folder, folder)
    states = sorted(folder.glob("epoch-*.npz"))
    assert [state.name.split("-")[1] for state in states] == ["000002", "000003"]
    for state in states if fault == "all" else states[1:]:
        data = bytearray(state.read_bytes())
        data[len(data) // 2] ^= 1
        state.write_bytes({"cut off": bytes(data[:-100]), "empty": b""}.get(fault, bytes(data)))
    result, probabilities, _ = train_small(photos, small(settings, epochs=4), checkpoint=folder)
    told = capsys.readouterr().out
    assert told.count(": damaged (") == (2 if fault == "all" else 1)
    assert states[1].with_suffix(".damaged").exists()
    whole, expected = undisturbed(4)
    pd.testing.assert_frame_equal(result.history, whole, check_exact=True)
    assert np.array_equal(probabilities, expected)


def test_a_disk_that_takes_no_checkpoint_costs_the_checkpoint_and_not_the_training(
    settings: Settings,
    photos: Photos,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    undisturbed: Undisturbed,
) -> None:
    with no_file_larger_than(2000):
        result, probabilities, _ = train_small(photos, small(settings), checkpoint=tmp_path / "checkpoint")
    told = capsys.readouterr().out.splitlines()
    assert [line.rpartition("; ")[2] for line in told] == [f"no checkpoint of epoch {epoch}" for epoch in (1, 2, 3)]
    assert list((tmp_path / "checkpoint").iterdir()) == []
    assert len(result.history) == 3
    assert np.array_equal(probabilities, undisturbed(3)[1])


def test_early_stopping_waits_as_long_as_its_patience(settings: Settings, photos: Photos) -> None:
    # A rate of next to nothing never improves by the demanded difference.
    chosen = small(
        settings,
        epochs=9,
        optimizer={"name": "sgd", "learning_rate": 1e-9},
        early_stopping={"patience": 2, "min_delta": 0.01},
    )
    result, _, _ = train_small(photos, chosen)
    assert result.stopped_early
    assert len(result.history) == 3


def test_patience_in_updates_is_whole_epochs_of_them(settings: Settings, photos: Photos) -> None:
    # 80 photos in batches of 16 are 5 updates an epoch: 11 updates are over in the third epoch that is no better.
    chosen = small(
        settings,
        epochs=9,
        optimizer={"name": "sgd", "learning_rate": 1e-9},
        early_stopping={"patience_updates": 11, "min_delta": 0.01},
    )
    result, _, _ = train_small(photos, chosen)
    assert len(result.history) == 4


def _growing(settings: Settings, **changes: Any) -> TrainScratchSettings:
    values = settings.train_scratch.model_dump()
    wide = {"name": "wide_residual", "width": 8, "output": "sigmoid"}
    growing = {
        "sizes": [{"pixels": 16, "epochs": 2}, {"pixels": 24, "epochs": 2}],
        "epochs": 4,
        "batch": 16,
        "early_stopping": None,
        "optimizer": {"name": "sgd", "learning_rate": 0.02, "momentum": 0.9, "schedule": "linear"},
        "augmentation": values["augmentation"] | {"crop": 0.5, "colour": 0.1, "flip": "alternating"},
        "keep": "moving_average",
        "averaging": 0.8,
    }
    return TrainScratchSettings.model_validate(values | growing | {"network": values["network"] | wide} | changes)


def test_a_training_on_growing_images_is_one_training_whenever_it_is_cut_off(
    settings: Settings, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = _growing(settings)
    whole, expected, model = train_small(photos, chosen)
    assert list(whole.history["epoch"]) == [1, 2, 3, 4]
    rates = whole.history["learning_rate"].to_numpy()
    assert rates == pytest.approx(0.02 * (1 - np.array([5, 10, 15, 20]) / 20), abs=1e-6)
    # The model has the moving average, by which each epoch was judged.
    loss = -np.log(np.where(photos[1][80:] == 1, expected, 1 - expected)).mean()
    assert loss == pytest.approx(whole.kept["val_log_loss"], rel=1e-3)
    assert model.input_shape == (None, 32, 32, 3)

    def cut_off(_: dict[str, float], epoch: int, __: int) -> None:
        if epoch in cuts:
            cuts.remove(epoch)
            raise _Killed

    cuts = {1, 2, 3}
    for memory in (0, 0, 1 << 30):  # and ends as on a GPU
        monkeypatch.setattr(batches, "free_gpu_memory", lambda memory=memory: memory)
        with pytest.raises(_Killed):
            train_small(photos, chosen, checkpoint=tmp_path / "checkpoint", log=cut_off)
    result, probabilities, _ = train_small(photos, chosen, checkpoint=tmp_path / "checkpoint", log=cut_off)
    pd.testing.assert_frame_equal(result.history, whole.history, check_exact=True)
    assert np.array_equal(probabilities, expected)


def test_a_moving_average_lags_behind_the_weights(settings: Settings, photos: Photos) -> None:
    kept: list[list[NDArray[Any]]] = []
    chosen = small(settings, epochs=2, augmentation=None, keep="moving_average", averaging=0.5)
    _, _, model = train_small(photos, chosen, callbacks=[_Weights(kept)])
    averaged = model.get_weights()[0]
    first, last = kept[0][0], kept[1][0]
    assert not np.array_equal(averaged, last)
    assert np.abs(averaged - last).mean() < np.abs(first - last).mean()


@pytest.mark.parametrize("memory", [0, 1 << 30], ids=["CPU", "as on a GPU"])
def test_a_loss_that_is_not_a_number_is_an_error_that_names_the_rate(
    memory: int, settings: Settings, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "free_gpu_memory", lambda: memory)
    chosen = small(settings, optimizer={"name": "sgd", "learning_rate": 1e39})
    with pytest.raises(WorkflowError, match=r"not a number in epoch 1; try a lower learning rate than 1e\+39"):
        train_small(photos, chosen, checkpoint=tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()


def test_a_batch_for_which_memory_does_not_do_is_named(settings: Settings, photos: Photos) -> None:
    images, labels = photos
    inputs = keras.Input((32, 32, 3))
    huge = keras.layers.GlobalMaxPooling2D()(keras.layers.UpSampling2D(1 << 17)(inputs))  # petabytes
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(huge))
    parts = Parts(Examples(images[:80], labels[:80]), Examples(images[80:], labels[80:]))
    told = r"^batch is 16: too much for the memory of this machine; make it smaller \(.*OOM when allocating.*\)$"
    with pytest.raises(WorkflowError, match=told):
        train(model, parts, small(settings, augmentation=None), show_progress=False)


def test_a_run_without_a_terminal_prints_a_line_an_epoch(
    settings: Settings, photos: Photos, capfd: pytest.CaptureFixture[str]
) -> None:
    images, labels = photos
    chosen = small(settings, epochs=2, augmentation=None)
    prepare(1)
    examples = Examples(images[:32], labels[:32])
    train(build_cnn(chosen.network, 32), Parts(examples, examples), chosen)
    printed = capfd.readouterr()
    assert [line.split(":")[0] for line in printed.out.splitlines()] == ["epoch 1", "epoch 2"]
    assert "val_accuracy" in printed.out
    assert "batch" not in printed.err


def _uneven(photos: Photos) -> Parts:
    """Seventy-two training photos, an eighth of them of the second class."""
    images, labels = photos
    kept = np.flatnonzero((labels[:80] == 0) | (np.arange(80) % 8 == 1))
    kept = np.concatenate([kept, kept[:22]])
    return Parts(Examples(images[kept], labels[kept]), Examples(images[80:], labels[80:]), ("cats", "dogs"))


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_balanced_classes_train_as_explicit_weights_of_the_photos_do(
    settings: Settings, photos: Photos, output: str
) -> None:
    parts = _uneven(photos)
    network = small(settings).network.model_dump() | {
        "output": output,
        "convolution_dropout": 0.0,
        "dense_dropout": 0.0,
    }
    chosen = small(settings, epochs=2, augmentation=None, keep="last", network=network, class_weight="balanced")
    prepare(chosen.seed)
    model, by_hand = build_cnn(chosen.network, 32), build_cnn(chosen.network, 32)
    by_hand.set_weights(model.get_weights())
    before = model.get_weights()
    result = train(model, parts, chosen, show_progress=False)

    images, labels = parts.training.inputs, parts.training.labels
    counts = np.bincount(labels)
    assert counts[0] > 3 * counts[1]
    weights = (len(labels) / (2 * counts))[labels].astype(np.float32)
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())
    targets = np.eye(2, dtype=np.float32)[labels] if output == "softmax" else labels[:, None].astype(np.float32)
    compile_for(by_hand, chosen, -(-len(labels) // chosen.batch))
    for epoch in range(2):
        order = np.random.default_rng([chosen.seed, epoch]).permutation(len(labels))
        logs = by_hand.fit(
            images[order], targets[order], sample_weight=weights[order], batch_size=16, shuffle=False, verbose=0
        ).history
    for mine, expected in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-7)
    assert result.kept["loss"] == pytest.approx(logs["loss"][0], rel=1e-5)
    assert not all(np.array_equal(mine, old) for mine, old in zip(model.get_weights(), before, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augmentation": {"shear_degrees": 5.0, "zoom": 0.1, "flip": "alternating", "mixup": 0.4, "cutmix": 1.0}},
        {"sizes": [{"pixels": 24, "epochs": 1}, {"pixels": 32, "epochs": 1}]},
    ],
    ids=["plain", "mixed", "growing"],
)
def test_weights_of_one_change_nothing_and_others_move_the_answers(
    settings: Settings, photos: Photos, changes: dict[str, Any]
) -> None:
    parts = _uneven(photos)
    network = small(settings).network.model_dump() | {"pooling_end": "global_average"}
    said = []
    for class_weight in (None, {"cats": 1.0, "dogs": 1.0}, {"dogs": 30.0}):
        chosen = small(settings, epochs=2, keep="last", network=network, class_weight=class_weight, **changes)
        prepare(chosen.seed)
        model = build_cnn(chosen.network, 32)
        train(model, parts, chosen, show_progress=False)
        said.append(predict(model, parts.validation.inputs)[:, 1])
    np.testing.assert_allclose(said[1], said[0], rtol=1e-5)
    assert said[2].mean() > said[0].mean()


def test_a_weight_of_a_class_that_the_photos_do_not_have_is_refused(settings: Settings, photos: Photos) -> None:
    chosen = small(settings, class_weight={"cats": 1.0, "cows": 2.0})
    with pytest.raises(
        WorkflowError, match=r"train_scratch\.class_weight names 'cows', .* photos: they are cats and dogs"
    ):
        train(build_cnn(chosen.network, 32), _uneven(photos), chosen, show_progress=False)


class _Told(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps how many batches of an epoch had been given to the device when it was told of one, or of validation."""

    def __init__(self) -> None:
        super().__init__()
        self.given = self.judging = 0
        self.told: list[tuple[int, int]] = []
        self.judged: list[tuple[int, int]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.given = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.given += 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        assert np.isfinite(logs["loss"])
        self.told.append((batch, self.given))

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        self.judging = 0
        self.told.append((-1, self.given))

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.judging += 1

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.judged.append((batch, self.judging))


@pytest.mark.parametrize("memory", [1, 1 << 30], ids=["arrays elsewhere", "arrays on the GPU"])
def test_what_is_done_on_a_gpu_gives_the_same_training_and_waits_for_no_batch(
    memory: int, settings: Settings, photos: Photos, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "free_gpu_memory", lambda: memory)
    told = _Told()
    result, probabilities, model = train_small(photos, small(settings, epochs=4), callbacks=[told])
    history, expected = undisturbed(4)
    pd.testing.assert_frame_equal(result.history, history, check_exact=True)
    assert np.array_equal(probabilities, expected)
    # Each of five batches two later, and all of them before the validation's three begin.
    assert told.told == [(0, 3), (1, 4), (2, 5), (3, 5), (4, 5), (-1, 5)] * 4
    assert told.judged == [(0, 3), (1, 3), (2, 3)] * 4
    assert model.train_function is None
    assert model.test_function is None
