"""What each trick of training from scratch is worth: ``python benchmarks/ablation.py ablation.csv``.

A fractional factorial of resolution IV: in 16 trainings each of eight tricks is on in eight and off in eight, so that
the effect of one is mixed neither with that of another nor with that of a pair. ``dvc repro decode`` comes first; all
of its training photos are learned from, and its validation photos judge. A training that has ended has its row in the
file, and is not run again; one that was cut off goes on. Printed is a table of the effects, each with its standard
error from what the eight do not explain.
"""

import argparse
import itertools
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from dogs_vs_cats.data.examples import Parts
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.models.kinds.scratch import ScratchModel
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.settings.params import Settings, parse_settings

# Each with what it sets where it is on, and where it is off.
TRICKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "whitening stem": ({"network.whitening": True}, {"network.whitening": False}),
    "alternating flip": ({"augmentation.flip": "alternating"}, {"augmentation.flip": True}),
    "random crops": ({"augmentation.crop": 0.35}, {"augmentation.crop": 1.0}),
    "growing images": ({"sizes": "growing"}, {"sizes": None}),
    "label smoothing": ({"loss.label_smoothing": 0.1}, {"loss.label_smoothing": 0.0}),
    "averaged weights": ({"keep": "moving_average"}, {"keep": "last"}),
    "rate that falls to 0": ({"optimizer.schedule": "linear"}, {"optimizer.schedule": "constant"}),
    "changed colours": ({"augmentation.colour": 0.1}, {"augmentation.colour": 0.0}),
}
BASE: dict[str, Any] = {
    "batch": 64,
    "optimizer": {
        "name": "sgd",
        "learning_rate": 0.05,
        "schedule": "linear",
        "warmup_epochs": 1.0,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 0.005,
        "time_decay": 0.0,
    },
    "loss": {"name": "binary_crossentropy", "label_smoothing": 0.0, "focal_gamma": 2.0},
    "early_stopping": None,
    "reduce_on_plateau": None,
    "averaging": 0.99,
    "augmentation": {"shear_degrees": 0.0, "zoom": 0.0, "flip": True, "crop": 1.0, "colour": 0.0},
    "network.name": "wide_residual",
    "network.output": "sigmoid",
    "views": {"flip": False, "scales": [1.0]},
}


def design() -> list[tuple[bool, ...]]:
    """Return which tricks are on in each of the 16 trainings."""
    arms: list[tuple[bool, ...]] = []
    for a, b, c, d in itertools.product((False, True), repeat=4):
        arms.append((a, b, c, d, a ^ b ^ c, a ^ b ^ d, a ^ c ^ d, b ^ c ^ d))
    return arms


def main() -> None:
    """Train what is not in the file yet, then print the effects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="CSV file, a row a training")
    parser.add_argument("--size", type=int, default=112, help="pixels a side at the end of a training (%(default)s)")
    parser.add_argument("--epochs", type=int, default=16, help="of each training (%(default)s)")
    parser.add_argument("--width", type=int, default=48, help="of the network (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="one training each of every arm")
    arguments = parser.parse_args()
    if arguments.epochs < len(growing(arguments.size, arguments.epochs)):
        parser.error(f"--epochs {arguments.epochs}: images that grow need an epoch for each of their 3 sizes")
    before = pd.read_csv(arguments.results).to_dict("records") if arguments.results.exists() else []
    rows: list[dict[str, Any]] = [{str(name): value for name, value in row.items()} for row in before]
    scale = {"size": arguments.size, "epochs": arguments.epochs, "width": arguments.width}
    planned = [scale | {"seed": seed, "arm": arm} for seed in arguments.seeds for arm in range(16)]
    # In an order of chance, so that a machine that slows down does not slow one trick.
    random.Random(0).shuffle(planned)  # noqa: S311 - no secret
    for number, training in enumerate(planned, start=1):
        if any(training.items() <= row.items() for row in rows):
            continue
        rows.append(training | _trained(training, arguments.results.with_suffix(".unfinished")))
        with whole_file(arguments.results) as path:
            pd.DataFrame(rows).to_csv(path, index=False)
        print(f"{number} of {len(planned)}: {rows[-1]}", flush=True)
    asked = [row for row in rows if any(training.items() <= row.items() for training in planned)]
    print(effects(pd.DataFrame(asked)).to_markdown(index=False, disable_numparse=True))


def _trained(chosen: dict[str, int], unfinished: Path) -> dict[str, float]:
    """Train one arm; return what it reaches on the validation photos, and its time."""
    import_backend()
    from dogs_vs_cats.models.reproducibility import prepare
    from dogs_vs_cats.training.fitting import train

    settings = _settings(chosen)
    prepared, section = Prepared(Path("data/arrays")), settings.train_scratch
    description = ScratchModel.of(settings, prepared)
    parts = Parts(description.examples(prepared, "train"), description.examples(prepared, "validation"))
    prepare(section.seed, mixed_precision=False)
    model = description.build()
    description.initialise(model, parts.training.inputs, section.seed, prepared)
    state = unfinished / "-".join(map(str, chosen.values()))
    state.mkdir(parents=True, exist_ok=True)
    training = train(model, parts, section, checkpoint=state)
    shutil.rmtree(state)
    kept = training.kept
    return {"accuracy": kept["val_accuracy"], "log_loss": kept["val_log_loss"], "seconds": training.seconds}


def _settings(chosen: dict[str, int]) -> Settings:
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    section = values["train_scratch"]
    changes = BASE | {key: chosen[key] for key in ("seed", "epochs", "size")} | {"network.width": chosen["width"]}
    for (on, off), used in zip(TRICKS.values(), design()[chosen["arm"]], strict=True):
        changes |= on if used else off
    if changes["sizes"] == "growing":
        changes["sizes"] = growing(chosen["size"], chosen["epochs"])
    for key, value in changes.items():
        *names, last = key.split(".")
        part = section
        for name in names:
            part = part[name]
        part[last] = dict(value) if isinstance(value, Mapping) else value
    return parse_settings(values)


def growing(size: int, epochs: int) -> list[dict[str, int]]:
    """Return half of the epochs at three quarters of the size, a third at seven eighths, and the rest at all of it."""
    first, second = epochs // 2, epochs // 3
    steps = ((size * 3 // 4, first), (size * 7 // 8, second), (size, epochs - first - second))
    return [{"pixels": pixels, "epochs": count} for pixels, count in steps]


def effects(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what each trick adds, with its standard error, from the trainings' rows.

    Args:
        rows: seed, arm, accuracy, log_loss, seconds.

    Returns:
        A row a trick: what it adds to accuracy (percentage points) and log-loss, and its ratio of the time.
    """
    signs = np.array([[1.0 if on else -1.0 for on in design()[arm]] for arm in rows["arm"]])
    model = np.column_stack([np.ones(len(rows)), signs])
    table = pd.DataFrame({"trick": list(TRICKS)})
    columns = {
        "accuracy, points": (rows["accuracy"] * 100, "{:+.2f} ± {:.2f}"),
        "log-loss": (rows["log_loss"], "{:+.4f} ± {:.4f}"),
        "time": (np.log(rows["seconds"]), "{:.2f}"),
    }
    for name, (values, text) in columns.items():
        found, *_ = np.linalg.lstsq(model, values.to_numpy(), rcond=None)
        left = values.to_numpy() - model @ found
        # On less off is twice the coefficient.
        error = 2 * np.sqrt(left @ left / (len(rows) - model.shape[1]) / len(rows))
        gains = np.exp(2 * found[1:]) if name == "time" else 2 * found[1:]
        table[name] = [text.format(gain, error) for gain in gains]
    return table


if __name__ == "__main__":
    main()
