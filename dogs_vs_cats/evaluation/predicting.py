"""What the trained models say of a split's photos."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats.data.arrays import Dataset, open_split, read_dataset
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.evaluation.comparing import Candidate
from dogs_vs_cats.evaluation.metrics import photos_per_second
from dogs_vs_cats.files import digest_of
from dogs_vs_cats.models.exporting import exported
from dogs_vs_cats.models.kinds.registry import check_fit
from dogs_vs_cats.models.opened import OpenNetwork
from dogs_vs_cats.models.saved import Predictor, describing, load_predictor, trained_kinds
from dogs_vs_cats.paths import Prepared


@dataclass(frozen=True)
class Member:
    """A trained model among others that have the same photos.

    Attributes:
        predictor: the model.
        prepared: what the workflow left for it.
    """

    predictor: Predictor
    prepared: Prepared

    def probabilities(self, split: str) -> np.ndarray:
        """Return the probabilities of a split's photos, (n, classes), in the arrays' order."""
        return self.predictor.probabilities(self.prepared, split)


def load_members(files: Iterable[Path]) -> dict[str, Member]:
    """Load trained models of any projects with the same photos in the same splits.

    Args:
        files: their weights, ``PROJECT/models/KIND.weights.h5``.

    Returns:
        The models by file.

    Raises:
        WorkflowError: if one is missing, or its project has other photos or another split.
    """
    members: dict[str, Member] = {}
    digests: dict[str, str] = {}
    for file in files:
        prepared = Prepared.of(file.absolute().parents[1])
        dataset = read_dataset(prepared.arrays)
        digests[str(file)] = dataset.digest
        first = next(iter(digests))
        if digests[first] != dataset.digest:
            raise WorkflowError(
                f"{file}: its project has other photos than that of {first}, or another split of them; "
                "give both the same settings of download and split, and run dvc repro"
            )
        predictor = load_predictor(file)
        check_fit(describing(file), predictor.description, dataset)
        members[str(file)] = Member(predictor, prepared)
    return members


def load_predictors(models: Path, dataset: Dataset, kinds: Iterable[str] | None = None) -> dict[str, Predictor]:
    """Load trained models.

    Args:
        models: the folder that the training stages left.
        dataset: what they are to be used on.
        kinds: which, in this order; None: all that the settings do not leave out.

    Raises:
        WorkflowError: if a model is missing, or was trained on other classes or another size.
    """
    predictors: dict[str, Predictor] = {}
    for kind in trained_kinds(models) if kinds is None else kinds:
        weights = models / f"{kind}.weights.h5"
        predictors[kind] = load_predictor(weights)
        check_fit(describing(weights), predictors[kind].description, dataset)
    return predictors


def examine(
    predictor: Predictor, network: OpenNetwork, weights: Path, split: str, prepared: Prepared, training: Path
) -> Candidate:
    """Find out what a comparison needs to know of a model: its probabilities, size and speed.

    Args:
        predictor: the model.
        network: the same, laid open.
        weights: its weights file.
        split: the split that is reported, test or validation.
        prepared: what the workflow left; the model that takes photos is what is timed.
        training: the folder with the training's ``timing.json``.

    Raises:
        WorkflowError: as ``Predictor.probabilities``.
    """
    description = predictor.description
    whole = exported(network, description)
    timed = open_split(prepared.arrays, split).images[: description.timed_photos]
    timing = json.loads((training / "timing.json").read_text(encoding="utf-8"))
    return Candidate(
        name=description.name,
        origin=description.origin,
        article_accuracy=description.article_accuracy,
        weights=digest_of(weights),
        probabilities=predictor.probabilities(prepared, split),
        validation=predictor.probabilities(prepared, "validation"),
        parameters=int(whole.count_params()),
        trained_parameters=predictor.parameters,
        training_seconds=float(timing["seconds"]),
        photos_per_second=photos_per_second(whole.predict_on_batch, timed),
    )
