"""The trained models, examined and compared, with all that a report shows of them."""

from pathlib import Path

import pandas as pd

from dogs_vs_cats.data.arrays import has_split, open_split, read_dataset
from dogs_vs_cats.data.examples import open_images
from dogs_vs_cats.evaluation.comparing import Reported, compare
from dogs_vs_cats.evaluation.predicting import examine, load_predictors
from dogs_vs_cats.models.reproducibility import prepare
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.reports.comparison import Compared
from dogs_vs_cats.settings.params import CompareSettings


def compare_models(prepared: Prepared, models: Path, training: Path, rules: CompareSettings) -> Compared:
    """Compare the trained models on the test photos, or on validation where there are none.

    Args:
        prepared: what the workflow left.
        models: the folder of the trained models.
        training: the folder with each training's ``history.csv`` and ``timing.json``.
        rules: how.

    Raises:
        WorkflowError: if something is missing, damaged, or does not fit the rest.
    """
    dataset = read_dataset(prepared.arrays)
    split = "test" if has_split(prepared.arrays, "test") else "validation"
    shown = open_images(prepared.arrays, split)
    prepare(rules.seed)
    predictors = load_predictors(models, dataset)
    networks = {kind: predictor.open(prepared.backbone) for kind, predictor in predictors.items()}
    candidates = {
        kind: examine(predictor, networks[kind], models / f"{kind}.weights.h5", split, prepared, training / kind)
        for kind, predictor in predictors.items()
    }
    reported = Reported(
        source=dataset.source,
        split=split,
        classes=tuple(dataset.classes),
        comparable=dataset.article_comparable,
        files=open_split(prepared.arrays, split).files,
        labels=shown.labels,
        validation_labels=open_images(prepared.arrays, "validation").labels,
    )
    return Compared(
        comparison=compare(candidates, reported, rules),
        candidates=candidates,
        networks=networks,
        descriptions={kind: predictor.description for kind, predictor in predictors.items()},
        reported=reported,
        images=shown.inputs,
        histories={kind: pd.read_csv(training / kind / "history.csv") for kind in candidates},
        counts=dataset.counts,
        digest=dataset.digest,
    )
