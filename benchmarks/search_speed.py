"""A search against a plain Optuna and Keras loop: ``python benchmarks/search_speed.py``, where the workflow has run.

Both try the same hyperparameters, from the same space, with as many photos, pixels and epochs and the same early
stopping. The plain loop is what tutorials show: no pruning, one process with all cores, photos that Keras's legacy
generator reads, decodes and changes anew in every epoch. They take turns, so that both have the same machine; printed
are trials an hour of both and their ratio, starting up included.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def plain(trials: list[dict[str, Any]], images: int, epochs: int, size: int) -> None:
    """The loop of a tutorial, over given hyperparameters."""
    import keras
    import numpy as np
    import optuna
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    from dogs_vs_cats.models.networks.building import build_cnn
    from dogs_vs_cats.search.sampling import trial_settings
    from dogs_vs_cats.settings.params import TrainScratchSettings, load_settings
    from dogs_vs_cats.training.losses import build_loss
    from dogs_vs_cats.training.optimizers import build_optimizer

    base = load_settings(Path("params.yaml")).train_scratch
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with TemporaryDirectory() as temporary:
        for split, share in (("train", 1.0), ("validation", 0.2 / 0.7)):
            for folder in sorted(Path("data/images", split).iterdir()):
                there = Path(temporary, split, folder.name)
                there.mkdir(parents=True)
                for photo in sorted(folder.iterdir())[: round(images * share / 2)]:
                    shutil.copy(photo, there)

        def objective(trial: optuna.Trial) -> float:
            settings = trial_settings("scratch", base, trials[trial.number], size)
            assert isinstance(settings, TrainScratchSettings)
            network = build_cnn(settings.network, size)
            optimizer = build_optimizer(settings.optimizer, epochs, -(-images // settings.batch))
            network.compile(optimizer, build_loss(settings.loss), metrics=["accuracy"])
            changes = settings.augmentation
            assert changes is not None
            flow = {"target_size": (size, size), "batch_size": settings.batch, "class_mode": "categorical"}
            training = ImageDataGenerator(
                shear_range=changes.shear_degrees, zoom_range=changes.zoom, horizontal_flip=changes.flip
            ).flow_from_directory(f"{temporary}/train", **flow)
            validation = ImageDataGenerator().flow_from_directory(f"{temporary}/validation", **flow)
            callbacks = [keras.callbacks.TerminateOnNaN()]
            if settings.early_stopping is not None:
                callbacks.append(keras.callbacks.EarlyStopping(patience=settings.early_stopping.epochs(1)))
            history = network.fit(
                training, validation_data=validation, epochs=epochs, callbacks=callbacks, verbose=0
            ).history
            return float(np.nanmin(history.get("val_loss", [np.inf])))

        optuna.create_study().optimize(objective, n_trials=len(trials))


def main() -> None:
    """Let both try the same trials, in turns."""
    import optuna

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=4, help="a round")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plain", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain is not None:
        plain(json.loads(arguments.plain), arguments.images, arguments.epochs, arguments.size)
        return
    study, same = f"speed-{time.time_ns()}", []
    for name in ("images", "epochs", "size"):
        same += [f"--{name}", str(getattr(arguments, name))]
    ratios = []
    for turn in range(1, arguments.rounds + 1):
        search = [sys.executable, str(ROOT / "search" / "optuna_scratch.py"), "--study", study]
        search += ["--trials", str(turn * arguments.trials), "--jobs", str(arguments.jobs), *same]
        ours = _timed(search)
        ended = [one for one in optuna.load_study(study_name=study, storage="sqlite:///optuna.db").trials if one.values]
        tried = [one.params for one in ended][(turn - 1) * arguments.trials :]
        theirs = _timed([sys.executable, __file__, "--plain", json.dumps(tried), *same])
        ratios.append(theirs / ours)
        hourly = [3600 * arguments.trials / seconds for seconds in (ours, theirs)]
        print(
            f"round {turn}: {hourly[0]:.0f} trials an hour, plain loop {hourly[1]:.0f}, ratio {ratios[-1]:.2f}",
            flush=True,
        )
    print(f"ratio: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


def _timed(command: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
