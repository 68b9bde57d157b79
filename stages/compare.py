"""Compare the two models on photos that neither was tuned on, and say what can be claimed."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.data.arrays import Split, has_split, open_split, read_dataset
from dogs_vs_cats.evaluation.comparison import Candidate, Reported, as_json, compare, flat_metrics
from dogs_vs_cats.files import digest_of, whole_file, whole_folder
from dogs_vs_cats.paths import project_root
from dogs_vs_cats.reports.comparison import figures, render
from dogs_vs_cats.reports.making import made_from

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dogs_vs_cats.models.saved import Predictor


def main() -> None:
    """Predict, compare, draw, write."""
    arguments = parse_arguments(
        "Compare the two models",
        arrays="folder of decoded photos",
        features="folder of bottleneck features",
        vgg16="the backbone's ImageNet weights, for the model that takes photos",
        models="folder of both trained models",
        training="folder with each training's history.csv and timing.json",
        comparison="JSON file to write: all results",
        metrics="JSON file to write: the results for dvc metrics",
        report="HTML file to write: the results for people",
        plots="folder to write: the pictures for dvc plots",
    )
    rules = arguments.settings.compare
    dataset = read_dataset(arguments.arrays)
    split = "test" if has_split(arguments.arrays, "test") else "validation"
    shown, validation = open_split(arguments.arrays, split), open_split(arguments.arrays, "validation")
    assert shown.labels is not None
    assert validation.labels is not None

    # Here, not above: TensorFlow takes seconds to import, a fault in params.yaml should not.
    import pandas as pd

    from dogs_vs_cats.runtime import import_tensorflow

    import_tensorflow()
    from dogs_vs_cats.evaluation.predicting import examine, load_predictors
    from dogs_vs_cats.models.reproducibility import prepare
    from dogs_vs_cats.reports.publishing import publish

    prepare(rules.seed)
    predictors = load_predictors(arguments.models, dataset)
    digests = {kind: digest_of(arguments.models / f"{kind}.weights.h5") for kind in predictors}
    inputs = split, arguments.arrays, arguments.features, arguments.vgg16
    candidates = {
        kind: examine(predictor, digests[kind], *inputs, arguments.training / kind)
        for kind, predictor in predictors.items()
    }
    reported = Reported(
        source=dataset.source,
        split=split,
        classes=(dataset.classes[0], dataset.classes[1]),
        comparable=dataset.article_comparable,
        files=shown.files,
        labels=shown.labels,
        validation_labels=validation.labels,
    )
    comparison = compare(candidates, reported, rules)
    histories = {kind: pd.read_csv(arguments.training / kind / "history.csv") for kind in candidates}
    drawn = figures(comparison, candidates, reported, histories, shown.images, rules.calibration_bins)
    where = _where_they_look(predictors, candidates, shown, dataset.classes, arguments.vgg16)
    drawn |= {"grad_cam": where} if where else {}
    page = render(comparison, drawn, shown.images, histories, made_from(arguments.params, dataset.counts))
    _write(arguments, comparison, page, drawn)
    publish(comparison, arguments.report, digests, arguments.settings.tracking, project_root())
    print(comparison["verdict"])


def _where_they_look(
    predictors: dict[str, "Predictor"], candidates: dict[str, Candidate], shown: Split, classes: list[str], vgg16: Path
) -> "Figure | None":
    """Grad-CAM of the models that have convolutions; None if none has."""
    import numpy as np

    from dogs_vs_cats.explanation.grad_cam import grad_cam, open_predictor, telling_photos
    from dogs_vs_cats.reports.explanation_figures import where_models_look

    networks = {kind: open_predictor(predictor, vgg16) for kind, predictor in predictors.items()}
    networks = {kind: network for kind, network in networks.items() if network.convolutions}
    if not networks:
        return None
    assert shown.labels is not None
    chosen = telling_photos(shown.labels, {kind: candidates[kind].probabilities for kind in networks})
    photos = np.array(shown.images[chosen])
    looks = {predictors[kind].description.name: grad_cam(network, photos) for kind, network in networks.items()}
    return where_models_look(photos, shown.labels[chosen], classes, looks, "Where each model looks")


def _write(arguments: argparse.Namespace, comparison: dict[str, Any], page: str, drawn: dict[str, Any]) -> None:
    from dogs_vs_cats.reports.figures import save_png

    texts = (
        (arguments.comparison, as_json(comparison)),
        (arguments.metrics, as_json(flat_metrics(comparison))),
        (arguments.report, page),
    )
    for path, text in texts:
        with whole_file(path) as partial:
            partial.write_text(text, encoding="utf-8")
    with whole_folder(arguments.plots) as partial:
        for name, figure in drawn.items():
            save_png(figure, partial / f"{name}.png")


if __name__ == "__main__":
    run(main)
