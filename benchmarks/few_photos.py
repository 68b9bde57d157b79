"""How accuracy grows with the number of photos: ``python benchmarks/few_photos.py KIND few_photos.csv``.

Run it in a project that has run the stages before training. So many training photos are drawn, as many of each class;
the model is trained on them as ``params.yaml`` says, with validation photos in proportion, and asked the test photos.
Each draw adds a row to the file, which may have rows of other models. A draw that has its row is not trained again. A
network from scratch is trained for more epochs on fewer photos, up to ``--most-epochs``. ``--figure`` draws all rows
of the file.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dogs_vs_cats.data.examples import Examples, Parts
from dogs_vs_cats.evaluation.metrics import correct, losses
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.settings.params import Settings, load_settings
from dogs_vs_cats.settings.training_settings import TrainScratchSettings

PREPARED = Prepared(Path("data/arrays"), Path("data/features"), Path("data/weights/backbone.weights.h5"))


def main() -> None:
    """Train on each draw, add its row, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["scratch", "vgg16"])
    parser.add_argument("results", type=Path, help="CSV file")
    parser.add_argument("--photos", type=int, nargs="+", default=[100, 300, 1000, 3000])
    parser.add_argument("--draws", type=int, default=5, help="of each number (%(default)s)")
    parser.add_argument("--most-epochs", type=int, default=200, help="of a network from scratch (%(default)s)")
    parser.add_argument("--figure", type=Path, help="PNG file")
    arguments = parser.parse_args()
    import_backend()
    settings = load_settings(Path("params.yaml"))
    description = KINDS[arguments.kind].of(settings, PREPARED)
    train, validation = (description.examples(PREPARED, split) for split in ("train", "validation"))
    rows = pd.read_csv(arguments.results) if arguments.results.exists() else pd.DataFrame()
    photos = len(train.labels) // train.copies
    for count in [*arguments.photos, photos]:
        for draw in range(1, arguments.draws + 1 if count < photos else 2):
            this = {"model": description.name, "photos": count, "draw": draw}
            if any(this.items() <= row.items() for row in rows.to_dict("records")):
                continue
            few = max(round(len(validation.labels) * count / photos), 2)
            parts = Parts(drawn(train, count, draw), drawn(validation, few, draw))
            row = this | _reached(arguments, settings, parts, draw)
            rows = pd.concat([rows, pd.DataFrame([row])], ignore_index=True)
            with whole_file(arguments.results) as path:
                rows.to_csv(path, index=False)
            print(row, flush=True)
    summary = rows.groupby(["model", "photos"])[["accuracy", "log_loss"]].agg(["mean", "std"])
    print(summary.round(4).to_string())
    if arguments.figure:
        draw_figure(rows, arguments.figure)


def drawn(examples: Examples, count: int, draw: int) -> Examples:
    """Draw so many photos, as many of each class, with their mirror images where those are learned from."""
    photos = len(examples.labels) // examples.copies
    labels, chance = examples.labels[:photos], np.random.default_rng(draw)
    each = [chance.permutation(np.flatnonzero(labels == label))[: count // 2] for label in (0, 1)]
    chosen = np.sort(np.concatenate(each)) if count < photos else np.arange(photos)
    rows = np.concatenate([chosen + copy * photos for copy in range(examples.copies)])
    return Examples(examples.inputs[rows], examples.labels[rows], examples.copies)


def _reached(arguments: argparse.Namespace, settings: Settings, parts: Parts, seed: int) -> dict[str, float]:
    from dogs_vs_cats.models.reproducibility import prepare
    from dogs_vs_cats.models.saved import Predictor
    from dogs_vs_cats.training.recording import fit

    description = KINDS[arguments.kind].of(settings, PREPARED)
    section = KINDS[arguments.kind].training_settings(settings).model_copy(update={"seed": seed})
    prepare(seed, mixed_precision=False)
    model = description.build()
    description.initialise(model, parts.training.inputs, seed, PREPARED)
    if isinstance(section, TrainScratchSettings):
        more = len(description.examples(PREPARED, "train").labels) / len(parts.training.labels)
        section = section.model_copy(update=longer(section, min(round(section.epochs * more), arguments.most_epochs)))
    fit(model, parts, section)
    labels = description.examples(PREPARED, "test").labels
    probabilities = Predictor(description, model).probabilities(PREPARED, "test")
    return {
        "accuracy": float(correct(labels, probabilities).mean()),
        "log_loss": float(losses(labels, probabilities).mean()),
    }


def longer(section: TrainScratchSettings, epochs: int) -> dict[str, Any]:
    """Return what a training of so many epochs changes; each size of images that grow keeps its share of them."""
    ends = [round(end * epochs / section.epochs) for _, end in section.steps] if section.sizes else []
    sizes = [
        step.model_copy(update={"epochs": end - before})
        for step, before, end in zip(section.sizes or [], [0, *ends], ends, strict=False)
    ]
    return {"epochs": epochs, "sizes": sizes or None}


def draw_figure(rows: pd.DataFrame, path: Path) -> None:
    """Draw each model's mean accuracy, and its spread over the draws, over the number of training photos."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, of_model in rows.groupby("model"):
        over = of_model.groupby("photos")["accuracy"]
        mean, spread = over.mean() * 100, over.std().fillna(0) * 100
        axes.errorbar(mean.index, mean, yerr=spread, marker="o", capsize=3, label=str(name))
    axes.set(xscale="log", xlabel="training photos", ylabel="test accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=120)


if __name__ == "__main__":
    main()
