"""The comparison of models, as ``reports/comparison.json`` holds it: written and read here alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import whole_file

Interval = tuple[float, float]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReliabilityBin(_Part):
    """Photos of like confidence: how sure the model was of them, and how often it was right.

    Attributes:
        lower: the bin's lower edge, not in it.
        upper: its upper edge, in it.
        count: photos in it.
        confidence: their mean confidence in the predicted class; None without photos.
        accuracy: the share of them classified correctly; None without photos.
    """

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


class Scores(_Part):
    """What a model reaches on one split.

    Attributes:
        images: photos scored.
        correct: how many were classified correctly.
        accuracy: their share.
        interval: Wilson's interval of the accuracy.
        log_loss: mean negative logarithm of the probability given to the true class; 0 is perfect.
        brier: mean squared distance of the probabilities from 0 and 1, halved; 0 is perfect.
        auc: chance that of two photos the one of a class gets the higher probability of it; None where a class lacks.
        ece: expected calibration error.
        confusion: counts, a row a true class, a column a predicted one.
    """

    images: int
    correct: int
    accuracy: float
    interval: Interval
    log_loss: float
    brier: float
    auc: float | None
    ece: float
    confusion: list[list[int]]


class Calibrated(_Part):
    """The scores that temperature scaling changes."""

    log_loss: float
    brier: float
    ece: float


class OnValidation(_Part):
    """A model on the validation photos, by which models are chosen."""

    images: int
    accuracy: float
    log_loss: float
    calibrated_log_loss: float


class AgainstArticle(_Part):
    """The article's accuracy of such a model, and where ours lies from it.

    Attributes:
        accuracy: the article's.
        judgement: "reproduced" when it lies within our interval, "above" or "below" when our whole interval lies above
            or below it, or "not comparable".
    """

    accuracy: float
    judgement: Literal["reproduced", "above", "below", "not comparable"]


class Mistake(_Part):
    """A photo that was classified wrongly.

    Attributes:
        index: its place in the split.
        file: its file, relative to the images folder.
        true_class: the class it is of.
        predicted_class: the class it was taken for.
        probabilities: what the model gave each class.
    """

    index: int
    file: str
    true_class: str
    predicted_class: str
    probabilities: list[float]


class ModelResult(Scores):
    """One of the models compared.

    Attributes:
        name: what it is called.
        origin: where its knowledge comes from, in words.
        weights: SHA-256 of its weights file, so that nobody calibrates another training's by this comparison.
        temperature: divides the logits, fitted on validation.
        calibrated: the scores with it.
        validation: how it does on validation.
        parameters: numbers in the whole network, the backbone's included where it is part of it.
        trained_parameters: those among them that training changed.
        training_seconds: how long training took, without the extraction of features.
        photos_per_second: from decoded photo to probability.
        article: where it lies from the article's.
        reliability: how often it is right, by how sure it is.
        mistakes: its worst.
    """

    name: str
    origin: str
    weights: str
    temperature: float
    calibrated: Calibrated
    validation: OnValidation
    parameters: int
    trained_parameters: int
    training_seconds: float
    photos_per_second: float
    article: AgainstArticle
    reliability: list[ReliabilityBin]
    mistakes: list[Mistake]


class Majority(_Part):
    """What always saying the most frequent class of the reported photos reaches: its name and its share."""

    name: str
    share: float


class McNemar(_Part):
    """Photos by which of two models was right, and the test on those where only one was.

    Attributes:
        both_right: photos that both models classified correctly.
        only_first: photos that only the first did.
        only_second: photos that only the second did.
        both_wrong: photos that neither did.
        p_value: chance of a count at least so uneven, were both models equally good.
    """

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p_value: float


class Difference(_Part):
    """One model's results minus another's on the same photos.

    Attributes:
        second: the model that is subtracted from.
        first: the model that is subtracted.
        accuracy: difference of the shares.
        interval: its paired bootstrap interval.
        claimed: whether it can be claimed.
        mcnemar: the exact test.
        log_loss: difference as trained, with its interval.
        calibrated_log_loss: the same after temperature scaling.
    """

    second: str
    first: str
    accuracy: float
    interval: Interval
    claimed: bool
    mcnemar: McNemar
    log_loss: float
    log_loss_interval: Interval
    calibrated_log_loss: float
    calibrated_log_loss_interval: Interval


class EnsembleResult(Scores):
    """All models together.

    Attributes:
        weights: by model, fitted on validation; their sum is 1.
        temperature: divides the logits, fitted on validation.
        calibrated: the scores with it.
        gain: its results minus those of the better model.
    """

    weights: dict[str, float]
    temperature: float
    calibrated: Calibrated
    gain: Difference


class Comparison(_Part):
    """Models on the same photos, and what can be claimed.

    Attributes:
        version: of the file's form.
        source: ``download.source``: drawn, folder, zip, microsoft or kaggle.
        split: "test", or "validation" where there is no test split.
        images: photos in it.
        classes: the classes' names.
        confidence: of every interval.
        majority: what always saying the most frequent class reaches.
        models: by kind.
        differences: each later model minus each earlier one.
        ensemble: all models together; None in comparisons of older versions.
        better: the model to use.
        better_by: why that one.
        verdict: the outcome in a sentence, and what it must be taken with.
    """

    version: Literal[2] = 2
    source: str
    split: str
    images: int
    classes: tuple[str, ...]
    confidence: float
    majority: Majority
    models: dict[str, ModelResult]
    differences: Annotated[list[Difference], Field(min_length=1)]
    ensemble: EnsembleResult | None = None
    better: str
    better_by: str
    verdict: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``write`` wrote.

        Raises:
            FileNotFoundError: if there is none.
            WorkflowError: if it is damaged or of another version; it names the command that makes it anew.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValidationError, UnicodeDecodeError):
            raise WorkflowError(
                f"{path}: damaged, or of another version; make it again with: dvc repro -f compare"
            ) from None

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        write_json(path, self.model_dump(mode="json"))

    def metrics(self) -> dict[str, object]:
        """Return the few numbers that people compare, for ``dvc metrics`` and ``dvc exp show``; ``scores`` has more."""
        groups: dict[str, object] = {
            kind: {"accuracy": model.accuracy, "log_loss": model.log_loss}
            for kind, model in {**self.models, "ensemble": self.ensemble}.items()
            if model is not None
        }
        p_values = {f"{gap.second} minus {gap.first}": gap.mcnemar.p_value for gap in self.differences}
        groups["p_value"] = p_values if len(p_values) > 1 else next(iter(p_values.values()))
        return groups

    def scores(self) -> dict[str, dict[str, float]]:
        """Return each model's scores by their names; no times, which vary."""
        names = ("accuracy", "log_loss", "brier", "auc", "ece", "temperature")
        return {
            kind: {name: value for name in names if (value := getattr(model, name)) is not None}
            | {"calibrated_log_loss": model.calibrated.log_loss}
            for kind, model in self.models.items()
        }


def as_json(value: object, *, ascii_only: bool = False) -> str:
    """Return JSON that every parser takes: a NaN or an infinity in it is an error, not a word."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=ascii_only) + "\n"


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write ``as_json``, whole or not at all."""
    text = as_json(value)
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
