"""``params.yaml`` as strict models, one class a section; the file is checked as a whole before any work starts."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.addresses import redacted, storage_fault, tracking_fault
from dogs_vs_cats.settings.catalogue import BACKBONES, BLOCKS, SCRATCH, smallest_photos
from dogs_vs_cats.settings.photo_settings import (
    BottleneckSettings,
    DecodeSettings,
    DownloadSettings,
    SplitSettings,
    WeightsSettings,
)
from dogs_vs_cats.settings.reading import beginning, parse_yaml, read_text, shortened
from dogs_vs_cats.settings.sections import Count, Section, Seed
from dogs_vs_cats.settings.spaces import SearchSettings
from dogs_vs_cats.settings.training_settings import (
    FineTuneSettings,
    LossSettings,
    OptimizerSettings,
    TrainScratchSettings,
    TrainVgg16Settings,
)

_MOST_LINES = 20

_NO_FINE_TUNING = FineTuneSettings(
    epochs=1,
    batch=1,
    seed=0,
    optimizer=OptimizerSettings(name="sgd", learning_rate=1.0),
    loss=LossSettings(name="binary_crossentropy"),
    early_stopping=None,
    reduce_on_plateau=None,
    keep="last",
    mixed_precision=False,
)
"""For a ``params.yaml`` of an older version, without the section."""


class CompareSettings(Section):
    """How the two models are compared."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    bootstrap_resamples: Annotated[int, Field(ge=100)]
    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    worst_mistakes: Annotated[int, Field(ge=0, le=100)]
    seed: Seed


class SubmissionSettings(Section):
    """Which model predicts the unlabelled photos."""

    model: Literal["scratch", "vgg16", "fine_tuned", "ensemble"] | None = None


Rule = Literal["merit", "always", "never"]
"""When the alias ``champion`` moves to the better of the models compared."""


class TrackingSettings(Section):
    """MLflow: where runs go, and what they are called."""

    uri: str | None
    experiment: Annotated[str, Field(min_length=1)]
    registered_model: Annotated[str, Field(min_length=1)]
    champion: Rule = "merit"
    timeout_seconds: Count


class Settings(Section):
    """All of ``params.yaml``."""

    download: DownloadSettings
    weights: WeightsSettings
    split: SplitSettings
    decode: DecodeSettings
    bottleneck: BottleneckSettings
    train_scratch: TrainScratchSettings
    train_vgg16: TrainVgg16Settings
    fine_tune: FineTuneSettings = _NO_FINE_TUNING
    compare: CompareSettings
    submission: SubmissionSettings = SubmissionSettings()
    tracking: TrackingSettings
    search: SearchSettings

    @model_validator(mode="after")
    def _fine_tuning_fits(self) -> Self:
        block, backbone = self.fine_tune.block, self.bottleneck.backbone
        blocks, title = BLOCKS.get(backbone, {}), BACKBONES[backbone].title
        if block is not None and block not in blocks:
            choices = f"choose from {', '.join(blocks)}, or null" if blocks else "it has none to choose: set it to null"
            raise ValueError(f"fine_tune.block is {shortened(block)}: no block of {title} to train further; {choices}")
        if self.submission.model == "fine_tuned" and block is None:
            raise ValueError(
                "submission.model is fine_tuned: there is no such model while fine_tune.block is null; set one of both"
            )
        return self

    @model_validator(mode="after")
    def _photos_are_large_enough(self) -> Self:
        for key, seen in (("train_scratch.size", self.train_scratch.size), ("bottleneck.size", self.bottleneck.size)):
            if seen is not None and seen > self.decode.size:
                raise ValueError(f"{key} is {seen}: photos are stored at decode.size, {self.decode.size}; raise that")
        network = self.train_scratch.network
        size, key = _size(self.train_scratch.size, "train_scratch.size", self.decode.size)
        blocks = len(network.convolutions)
        if network.name == "cnn" and size >> blocks == 0:
            raise ValueError(f"{blocks} convolution blocks halve {key} {size} to nothing")
        if size < SCRATCH[network.name].minimum:
            needed = SCRATCH[network.name]
            raise ValueError(
                f"{key} is {size}: {needed.title} (train_scratch.network.name) takes {needed.minimum} pixels a "
                "side and more, or its poolings leave nothing"
            )
        size, key = _size(self.bottleneck.size, "bottleneck.size", self.decode.size)
        if fault := smallest_photos(self.bottleneck.backbone, size, key):
            raise ValueError(f"{fault} (bottleneck.backbone)")
        return self


def _size(own: int | None, key: str, stored: int) -> tuple[int, str]:
    """The size that a model sees, and the key that says it."""
    return (stored, "decode.size") if own is None else (own, key)


def _key(values: object, location: Iterable[Any]) -> str:
    """The dotted name of a location; Pydantic names there the members of a union too, which the user does not know."""
    keys, parts = [], [part for part in location if part != "[key]"]
    for number, part in enumerate(parts, start=1):
        # Only the last may name what is not there: a key that is missing.
        if isinstance(values, Mapping) and (part in values or number == len(parts)):
            keys.append(str(part))
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int):
            keys.append(str(part))
            values = values[part]
    return ".".join(keys) or "the whole file"


def _shown(given: object) -> object:
    return redacted(given) if isinstance(given, str) and "://" in given else given


def _describe(file: str, values: object, problems: list[Any]) -> str:
    lines = []
    for problem in problems:
        message = problem["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:].replace("valid dictionary or instance of ", "mapping, see ")
        if problem["type"] == "extra_forbidden":
            message = "unknown key; remove it or correct its name"
        given = problem["input"]
        shown = (
            "" if isinstance(given, dict | list) or problem["type"] == "missing" else f" is {shortened(_shown(given))}"
        )
        lines.append(f"{file}: {beginning(_key(values, problem['loc']))}{shown}: {beginning(message)}")
    lines = list(dict.fromkeys(lines))
    more = len(lines) - _MOST_LINES
    return "\n".join(lines[:_MOST_LINES] + [f"{file}: {more} more lines like these"] * (more > 0))


def parse_settings(values: object, file: str = "params.yaml") -> Settings:
    """Check values read from ``params.yaml``.

    Args:
        values: what the YAML parser returned.
        file: the name to use in error messages.

    Returns:
        The checked settings.

    Raises:
        WorkflowError: a line for each key that is unknown, missing, of a wrong type or out of range.
    """
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise WorkflowError(_describe(file, values, error.errors())) from None
    addresses = (
        ("tracking.uri", settings.tracking.uri, tracking_fault),
        ("search.storage", settings.search.storage, storage_fault),
    )
    faults = [(key, uri, fault(uri)) for key, uri, fault in addresses if uri is not None]
    if lines := [f"{file}: {key}: {redacted(uri)}: {fault}" for key, uri, fault in faults if fault]:
        raise WorkflowError("\n".join(lines))
    return settings


def load_settings(path: Path) -> Settings:
    """Read and check all of ``params.yaml``.

    Args:
        path: the file to read.

    Returns:
        The checked settings, every section.

    Raises:
        WorkflowError: if the file is missing, is no YAML, or any value in it is not allowed.
    """
    return parse_settings(parse_yaml(read_text(path), str(path)), path.name)
