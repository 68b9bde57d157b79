"""What a search may vary: the ``search`` section of ``params.yaml``.

A space is flat: a range or a list of choices for each hyperparameter. The article's values must lie in it, since every
study starts from them.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from dogs_vs_cats.settings.catalogue import ScratchName
from dogs_vs_cats.settings.sections import (
    Count,
    HeadPooling,
    Keep,
    LossName,
    OptimizerName,
    PoolingEnd,
    Positive,
    Rate,
    ScheduleName,
    Section,
    Seed,
)

ARTICLE_SCRATCH: dict[str, Any] = {
    "networks": "cnn",
    "convolutions": 3,
    "filters": [32, 32, 64],
    "kernel": [3, 3, 3],
    "batch_normalization": False,
    "convolution_dropout": 0.25,
    "pooling_end": "flatten",
    "dense": 1,
    "units": [64],
    "dense_dropout": 0.5,
    "augmentation": 1.0,
    "crop": 1.0,
    "schedules": "time_decay",
    "optimizers": "sgd",
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "losses": "binary_crossentropy",
    "label_smoothing": 0.0,
    "batch": 32,
}
"""The article's CNN as a point of its space."""

ARTICLE_TIME_DECAY, ARTICLE_PATIENCE = "learning_rate/epochs", 3
"""The CNN's ``optimizer.time_decay`` and ``early_stopping.patience``, which go with its schedule, ``time_decay``."""

ARTICLE_VGG16: dict[str, Any] = {
    "pooling": "flatten",
    "dense": 2,
    "units": [512, 256],
    "dropout": [0.5, 0.2],
    "optimizers": "rmsprop",
    "learning_rate": 0.001,
    "weight_decay": 0.0,
    "losses": "binary_crossentropy",
    "label_smoothing": 0.0,
    "batch": 32,
    "keep": "last",
}
"""The article's head as a point of its space."""


class IntegerRange(Section):
    """Whole numbers from ``low`` to ``high``, both included."""

    low: Annotated[int, Field(ge=0)]
    high: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


class FloatRange(Section):
    """Numbers from ``low`` to ``high``; ``log`` draws their logarithm evenly."""

    low: Annotated[float, Field(ge=0)]
    high: Annotated[float, Field(ge=0)]
    log: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        if self.log and self.low == 0:
            raise ValueError("low is 0, which has no logarithm; set log to false, or low above 0")
        return self

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


class RateRange(FloatRange):
    """A dropout rate or a momentum: below 1."""

    high: Rate


class ShareRange(FloatRange):
    """A share of a photo's area: above 0, and all of it at most."""

    low: Positive
    high: Annotated[float, Field(gt=0, le=1)]


class LearningRateRange(FloatRange):
    """A learning rate: above 0."""

    low: Positive
    log: bool = True


class OptimizerSpace(Section):
    """An optimizer's rates; each optimizer has its own, since what is right for one breaks another."""

    learning_rate: LearningRateRange
    momentum: RateRange | None = None


class TrainingSpace(Section):
    """What both searches vary."""

    dense: IntegerRange
    units: Annotated[list[Count], Field(min_length=1)]
    optimizers: Annotated[dict[OptimizerName, OptimizerSpace], Field(min_length=1)]
    weight_decay: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)]
    losses: Annotated[list[LossName], Field(min_length=1)]
    label_smoothing: Annotated[list[Annotated[float, Field(ge=0, lt=0.5)]], Field(min_length=1)]
    batch: Annotated[list[Count], Field(min_length=1)]

    @model_validator(mode="after")
    def _momentum_fits(self) -> Self:
        for name, optimizer in self.optimizers.items():
            if optimizer.momentum is not None and name not in ("sgd", "rmsprop"):
                raise ValueError(f"optimizers.{name}.momentum: momentum is for sgd and rmsprop")
        return self


class ScratchSpace(TrainingSpace):
    """What a search for a CNN varies: which network it is, the shape of ``cnn``, and how it is trained."""

    networks: Annotated[list[ScratchName], Field(min_length=1)]
    convolutions: IntegerRange
    filters: Annotated[list[Count], Field(min_length=1)]
    kernel: Annotated[list[Annotated[int, Field(ge=1, le=11)]], Field(min_length=1)]
    batch_normalization: Annotated[list[bool], Field(min_length=1)]
    convolution_dropout: RateRange
    pooling_end: Annotated[list[PoolingEnd], Field(min_length=1)]
    dense_dropout: RateRange
    width: Annotated[list[Annotated[int, Field(ge=8, multiple_of=8)]], Field(min_length=1)]
    augmentation: FloatRange
    crop: ShareRange
    schedules: Annotated[list[ScheduleName], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_a_space(self) -> Self:
        if self.convolutions.low < 1:
            raise ValueError("convolutions.low is 0: a CNN has one convolution at least")
        if self.augmentation.high >= 5:  # noqa: PLR2004  # 5 times the article's zoom of 0.2 leaves no picture
            raise ValueError(f"augmentation.high is {self.augmentation.high}: it has to be below 5")
        _holds(self, ARTICLE_SCRATCH)
        return self


class Vgg16Space(TrainingSpace):
    """What a search for a head on VGG16's features varies."""

    pooling: Annotated[list[HeadPooling], Field(min_length=1)]
    dropout: RateRange
    keep: Annotated[list[Keep], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_a_space(self) -> Self:
        _holds(self, ARTICLE_VGG16)
        return self


def _holds(space: TrainingSpace, article: Mapping[str, Any]) -> None:
    """Check that the article's values lie in a space."""
    optimizer = space.optimizers.get(article["optimizers"])
    for key, values in article.items():
        name, allowed = f"{key}", getattr(space, key, None)
        if key in ("learning_rate", "momentum"):
            name, allowed = f"optimizers.{article['optimizers']}.{key}", optimizer and getattr(optimizer, key)
        for value in values if isinstance(values, list) else [values]:
            if allowed is None or not _has(allowed, value):
                raise ValueError(f"{name} leaves out {value}, the article's, which every study starts from")


def _has(allowed: Any, value: Any) -> bool:
    if isinstance(allowed, Sequence):
        # 0 == False in Python, but not in a list of settings.
        return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in allowed)
    return value in allowed


def _is_a_length(epochs: object) -> object:
    """Check a rung's epochs in one message, where a union has one for each of its members."""
    whole = type(epochs) is int and epochs >= 1
    if not (whole or (type(epochs) is float and 0 < epochs <= 1)):
        raise ValueError(
            "write epochs as a whole number, 1 or more, or a share of the full training as a decimal above 0 and up to "
            "1.0"
        )
    return epochs


class HeadRung(Section):
    """How long the trials of a rung train: a share of the full training as a decimal, or epochs as a whole number."""

    epochs: Annotated[Count | Annotated[float, Field(gt=0, le=1)], BeforeValidator(_is_a_length)]

    def length(self, full: int) -> int:
        """Return its epochs where the full training has ``full``, which are the most."""
        share = self.epochs if isinstance(self.epochs, int) else self.epochs * full
        return min(max(round(share), 1), full)


class Rung(HeadRung):
    """The same, and the photos' pixels a side; null: all. Not ``size``: DVC's run cache misses that (dvc#10296)."""

    pixels: Annotated[int, Field(ge=16, le=1024)] | None = None


class ScratchSearch(Section):
    """The search for a CNN: how many training photos its trials see, how long they train, and what they vary."""

    images: Annotated[int, Field(ge=10)] | None
    rungs: Annotated[list[Rung], Field(min_length=1)]
    space: ScratchSpace


class Vgg16Search(Section):
    """The search for a head: how many training photos its trials see, how long they train, and what they vary."""

    images: Annotated[int, Field(ge=10)] | None
    rungs: Annotated[list[HeadRung], Field(min_length=1)]
    space: Vgg16Space


class SearchSettings(Section):
    """Optuna studies."""

    storage: str | None
    seed: Seed
    heartbeat_seconds: Annotated[int, Field(ge=1)]
    scratch: ScratchSearch
    vgg16: Vgg16Search
