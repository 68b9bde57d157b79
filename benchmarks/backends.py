"""The network from scratch on several backends of Keras, with a few seeds each: python -m benchmarks.backends jax.

On the project's own arrays, so after ``dvc repro decode``. Prints a row a backend: mean and spread over the seeds of
what the validation photos say of the kept weights.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Compare TensorFlow with the backends that are named, and its seeds with each other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("others", nargs="*", help="jax, torch; none: TensorFlow alone")
    parser.add_argument("--arrays", type=Path, default=Path("data/arrays"), help="decoded photos (%(default)s)")
    parser.add_argument("--size", type=int, default=40, help="pixels a side (%(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="of each training (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each backend (%(default)s)")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(trained(options.arrays, options.size, options.epochs, options.one)))
        return
    found: dict[str, list[list[float]]] = {name: [] for name in ("tensorflow", *options.others)}
    for seed in range(1, options.seeds + 1):
        for name, values in found.items():
            command = [sys.executable, "-m", "benchmarks.backends", *sys.argv[1:], "--one", str(seed)]
            variables = {**os.environ, "KERAS_BACKEND": name}
            done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=True)
            values.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{name}, seed {seed}: {values[-1]}", file=sys.stderr, flush=True)
    print("| backend | val accuracy | lowest to highest | val log-loss | lowest to highest |\n" + "| --- " * 5 + "|")
    for name, values in found.items():
        cells = [f"{np.mean(of):.3f} | {min(of):.3f} to {max(of):.3f}" for of in zip(*values, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")


def trained(arrays: Path, size: int, epochs: int, seed: int) -> tuple[float, float]:
    """Train with the settings of params.yaml; return validation accuracy and log-loss."""
    from dogs_vs_cats.data.examples import Parts
    from dogs_vs_cats.models.kinds.scratch import ScratchModel
    from dogs_vs_cats.models.reproducibility import prepare
    from dogs_vs_cats.paths import Prepared
    from dogs_vs_cats.settings.params import load_settings
    from dogs_vs_cats.training.fitting import train

    settings, prepared = load_settings(Path("params.yaml")), Prepared(arrays)
    section = settings.train_scratch.model_copy(update={"size": size, "epochs": epochs, "seed": seed})
    described = ScratchModel.of(settings.model_copy(update={"train_scratch": section}), prepared)
    parts = Parts(described.examples(prepared, "train"), described.examples(prepared, "validation"))
    prepare(seed)
    kept = train(described.build(), parts, section, show_progress=False).kept
    return kept["val_accuracy"], kept["val_log_loss"]


if __name__ == "__main__":
    main()
