"""What trained models reach on validation and test photos: ``python benchmarks/judge.py KIND...``.

Run it in a project whose folder ``models`` has those models, where some of the comparison's may be missing. A row is a
model and a split: accuracy with its 95 % interval (Wilson), and the log-loss as it is and calibrated on validation as a
submission is.
"""

import argparse
from pathlib import Path

import pandas as pd

from dogs_vs_cats.data.arrays import read_dataset
from dogs_vs_cats.data.examples import open_images
from dogs_vs_cats.evaluation.metrics import correct, losses, wilson_interval
from dogs_vs_cats.evaluation.predicting import load_predictors
from dogs_vs_cats.evaluation.submission import calibrate
from dogs_vs_cats.paths import MODELS, Prepared
from dogs_vs_cats.runtime import import_backend


def main() -> None:
    """Judge each model, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="+", metavar="KIND", help="scratch, vgg16 or fine_tuned")
    kinds = parser.parse_args().kinds
    import_backend()
    prepared = Prepared.of(Path())
    labels = {split: open_images(prepared.arrays, split).labels for split in ("validation", "test")}
    rows = []
    for kind, predictor in load_predictors(Path(MODELS), read_dataset(prepared.arrays), kinds).items():
        found = {split: predictor.probabilities(prepared, split) for split in labels}
        calibration = calibrate(labels["validation"], found["validation"])
        for split, probabilities in found.items():
            right = correct(labels[split], probabilities)
            low, high = wilson_interval(int(right.sum()), len(right))
            rows.append(
                {
                    "model": kind,
                    "split": split,
                    "photos": len(right),
                    "accuracy": right.mean(),
                    "low": low,
                    "high": high,
                    "log-loss": losses(labels[split], probabilities).mean(),
                    "calibrated": losses(labels[split], calibration.apply(probabilities)).mean(),
                }
            )
    print(pd.DataFrame(rows).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
