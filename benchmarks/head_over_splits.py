"""A transfer model's test accuracy and log-loss over random splits: ``python benchmarks/head_over_splits.py 1 2 3``.

One split's test photos may be easier or harder than another's. This takes all labelled photos of the project's own
arrays and features (``dvc repro bottleneck`` first) and deals them out anew for each seed named. It trains the head as
the settings say, with that seed, and judges the photos held out. Log-losses are calibrated on the validation photos, as
for a submission. Near-duplicates are not kept together here.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dogs_vs_cats.data.examples import Examples, Parts, open_images
from dogs_vs_cats.evaluation.metrics import correct, losses
from dogs_vs_cats.evaluation.submission import calibrate
from dogs_vs_cats.models.kinds.transfer import TransferModel
from dogs_vs_cats.models.probabilities import average_log_odds
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.settings.params import load_settings

PREPARED = Prepared(Path("data/arrays"), Path("data/features"), Path("data/weights/backbone.weights.h5"))


def main() -> None:
    """Train on each split, print what it reached, their means and standard deviations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="+")
    seeds = parser.parse_args().seeds
    import_backend()
    from dogs_vs_cats.models.reproducibility import prepare
    from dogs_vs_cats.models.saved import Predictor
    from dogs_vs_cats.training.recording import fit

    settings = load_settings(Path("params.yaml"))
    description = TransferModel.of(settings, PREPARED)
    splits = ("train", "validation", "test")
    of_splits = [open_images(PREPARED.arrays, split).labels for split in splits]
    labels, ends = np.concatenate(of_splits), np.cumsum([len(some) for some in of_splits])[:-1]
    views = [
        np.concatenate(parts)
        for parts in zip(*(description.view_inputs(PREPARED, split) for split in splits), strict=True)
    ]
    rows = []
    for seed in seeds:
        train, validation, test = np.split(np.random.default_rng(seed).permutation(len(labels)), ends)
        learned = np.concatenate([view[train] for view in views])
        parts = Parts(
            Examples(learned, np.tile(labels[train], len(views)), len(views)),
            Examples(views[0][validation], labels[validation]),
        )
        prepare(seed, mixed_precision=False)
        model = description.build()
        description.initialise(model, learned, seed, PREPARED)
        fit(model, parts, settings.train_vgg16.model_copy(update={"seed": seed}))
        predictor = Predictor(description, model)

        def judge(where: NDArray[np.intp], predictor: Predictor = predictor) -> NDArray[np.float64]:
            return average_log_odds([predictor.predict(view[where]) for view in views])

        calibrated = calibrate(labels[validation], judge(validation)).apply(judge(test))
        rows.append(
            {
                "split": seed,
                "photos": len(test),
                "accuracy": correct(labels[test], calibrated).mean(),
                "log_loss": losses(labels[test], calibrated).mean(),
            }
        )
        print(rows[-1], flush=True)
    print(pd.DataFrame(rows)[["accuracy", "log_loss"]].agg(["mean", "std"]).to_string())


if __name__ == "__main__":
    main()
