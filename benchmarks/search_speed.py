"""Time to the same quality, of a search and of a plain Optuna and Keras loop: ``python benchmarks/search_speed.py``.

Run it in a project that has run ``dvc repro decode``. Both look for the lowest validation log-loss of a full training,
in the same space, on the same photos, from the article's settings on. The search is the command that users type. The
plain loop is what tutorials show: Optuna's TPE, every trial a full training in one process with all cores, photos in
memory, changed by Keras's layers in ``tf.data``. They take turns, so that both have the same machine,
and one is suspended meanwhile. The plain loop ends when a trial of it is as good as the search's best, or after
``--most`` times the search's time.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import optuna
import psutil

ROOT = Path(__file__).resolve().parent.parent


class Side:
    """One of both: its processes, which run in turns, and the seconds that these took.

    Args:
        command: that it runs.
        log: file for what it prints.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        with log.open("w") as file:
            self._process = psutil.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        self.seconds = 0.0
        self._suspend()

    def turn(self, seconds: float) -> bool:
        """Run for so long; return whether it has ended."""
        began = time.monotonic()
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                process.resume()
        with suppress(psutil.TimeoutExpired):
            code = self._process.wait(seconds)
            if code:
                raise subprocess.CalledProcessError(code, self._process.args)
            self.seconds += time.monotonic() - began
            return True
        self._suspend()
        self.seconds += time.monotonic() - began
        return False

    def end(self) -> None:
        """Kill what is left of it."""
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _suspend(self) -> None:
        # Parents first: a suspended one starts no more processes.
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def _tree(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return [self._process, *self._process.children(recursive=True)]
        return []


def plain(arguments: argparse.Namespace) -> None:
    """Run the loop of a tutorial; append a line to its file for each trial that ends."""
    import keras
    import numpy as np
    import tensorflow as tf

    from dogs_vs_cats.models.kinds.scratch import ScratchModel
    from dogs_vs_cats.paths import Prepared
    from dogs_vs_cats.search.arguments import build_plan, parse_arguments
    from dogs_vs_cats.search.examples import open_parts
    from dogs_vs_cats.search.sampling import article_parameters, suggest
    from dogs_vs_cats.settings.training_settings import TrainScratchSettings
    from dogs_vs_cats.training.losses import build_loss
    from dogs_vs_cats.training.optimizers import build_optimizer

    sys.argv[1:] = _search_options(arguments)
    plan = build_plan("scratch", parse_arguments("scratch"))
    parts = open_parts("scratch", plan.root, plan.settings, plan.fidelity)
    described = ScratchModel.of(plan.settings, Prepared.of(plan.root))
    training, validation = (
        (np.asarray(part.inputs), np.eye(2)[part.labels]) for part in (parts.training, parts.validation)
    )
    size = training[0].shape[1]
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: optuna.Trial) -> float:
        settings = suggest(trial, plan, size)
        assert isinstance(settings, TrainScratchSettings)
        assert settings.augmentation is not None
        changes = settings.augmentation
        network = described.model_copy(update={"size": size, "sees": None, "network": settings.network})
        model = network.build()
        network.initialise(model, training[0], settings.seed, Prepared.of(plan.root))
        shear = np.tan(np.radians(changes.shear_degrees))
        change = keras.Sequential(
            [
                keras.layers.RandomFlip("horizontal"),
                keras.layers.RandomShear(x_factor=min(shear, 1.0)),
                keras.layers.RandomZoom(changes.zoom, changes.zoom),
            ]
        )

        def cropped(image: Any, label: Any) -> Any:
            begin, extent, _ = tf.image.sample_distorted_bounding_box(
                [size, size, 3],
                tf.zeros([1, 0, 4]),
                area_range=(changes.crop, 1.0),
                use_image_if_no_bounding_boxes=True,
            )
            return tf.image.resize(tf.slice(image, begin, extent), (size, size)), label

        data = tf.data.Dataset.from_tensor_slices(training).shuffle(len(training[0]))
        data = data.map(lambda image, label: (tf.cast(image, tf.float32), label))
        data = data.map(cropped, tf.data.AUTOTUNE) if changes.crop < 1 else data
        data = data.batch(settings.batch).map(lambda x, y: (change(x, training=True), y), tf.data.AUTOTUNE)
        model.compile(
            build_optimizer(settings.optimizer, settings.epochs, -(-len(training[0]) // settings.batch)),
            build_loss(settings.loss),
            metrics=[keras.metrics.BinaryCrossentropy(name="log_loss")],
        )
        callbacks: list[keras.callbacks.Callback] = [keras.callbacks.TerminateOnNaN()]
        if settings.early_stopping is not None:
            patience = settings.early_stopping.epochs(-(-len(training[0]) // settings.batch))
            callbacks.append(keras.callbacks.EarlyStopping(patience=patience))
        history = model.fit(
            data.prefetch(tf.data.AUTOTUNE),
            validation_data=tf.data.Dataset.from_tensor_slices(validation).batch(64),
            epochs=settings.epochs,
            callbacks=callbacks,
            verbose=0,
        ).history
        losses = np.nan_to_num(history["val_loss"], nan=np.inf)
        return float(history["val_log_loss"][int(losses.argmin())]) if losses.min() < np.inf else math.inf

    def ended(_study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        with arguments.plain.open("a") as file:
            file.write(json.dumps({"trial": trial.number, "values": trial.values, "params": trial.params}) + "\n")

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=arguments.seed))
    study.enqueue_trial(article_parameters("scratch"))
    study.optimize(objective, callbacks=[ended])


def main() -> None:
    """Let both search in turns, then print how long each took to the search's best."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40, help="of the search (%(default)s)")
    parser.add_argument("--images", type=int, help="training photos (all)")
    parser.add_argument("--size", type=int, help="pixels a side (as decoded)")
    parser.add_argument("--jobs", type=int, default=2, help="of the search (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of both (%(default)s)")
    parser.add_argument("--most", type=float, default=6.0, help="times the search's time for the loop (%(default)s)")
    parser.add_argument("--turn", type=float, default=60.0, help="seconds (%(default)s)")
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain is not None:
        plain(arguments)
        return
    name = f"speed-{time.time_ns()}"
    found = Path(f"{name}.jsonl")
    search = [str(ROOT / "search" / "optuna_scratch.py"), "--study", name, "--jobs", str(arguments.jobs)]
    ours = Side([sys.executable, *search, *_search_options(arguments)], Path(f"{name}.log"))
    theirs = Side([sys.executable, __file__, "--plain", str(found), *sys.argv[1:]], Path(f"{name}-plain.log"))
    try:
        _compare(arguments, name, ours, theirs, found)
    finally:
        ours.end()
        theirs.end()


def _compare(arguments: argparse.Namespace, name: str, ours: Side, theirs: Side, found: Path) -> None:
    best: float | None = None
    told: list[tuple[float, float]] = []  # each trial's log-loss, and the loop's seconds when it had ended
    while best is None or (min(told, default=(best + 1,))[0] > best and theirs.seconds < arguments.most * ours.seconds):
        if best is None and ours.turn(arguments.turn):
            study = optuna.load_study(study_name=name, storage="sqlite:///optuna.db")
            rungs = [trial.user_attrs["rung"] for trial in study.trials]
            ended = [trial for trial in study.trials if trial.user_attrs["rung"] == max(rungs) and trial.values]
            best = min(trial.values[0] for trial in ended)
            print(f"search: {len(ended)} full trainings in {ours.seconds:.0f} s; best {best:.4f}", flush=True)
        if theirs.turn(arguments.turn):
            raise RuntimeError("the plain loop ended by itself")
        for line in (found.read_text().splitlines() if found.exists() else [])[len(told) :]:
            told.append((json.loads(line)["values"][0], theirs.seconds))
            print(f"plain loop: trial {len(told)} {told[-1][0]:.4f} after {theirs.seconds:.0f} s", flush=True)
    as_good = [seconds for value, seconds in told if value <= best]
    ratio = min(as_good, default=theirs.seconds) / ours.seconds
    print(
        f"plain loop: {len(told)} trials in {theirs.seconds:.0f} s; best {min(told, default=(math.inf,))[0]:.4f}, "
        f"{'as good' if as_good else 'not as good, stopped'} after {ratio:.2f} times the search's time\n"
        f"trials an hour: {3600 * arguments.trials / ours.seconds:.1f} and {3600 * len(told) / theirs.seconds:.1f}"
    )


def _search_options(arguments: argparse.Namespace) -> list[str]:
    options = {"trials": arguments.trials, "images": arguments.images, "size": arguments.size, "seed": arguments.seed}
    return [text for key, value in options.items() if value is not None for text in (f"--{key}", str(value))]


if __name__ == "__main__":
    main()
