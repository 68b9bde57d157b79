"""``params.yaml`` as strict models, one class a section; the file is checked as a whole before any work starts."""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.addresses import redacted, storage_fault, tracking_fault
from dogs_vs_cats.settings.catalogue import (
    BACKBONES,
    BLOCKS,
    EARLIER_LAYERS,
    FASTEST,
    SCRATCH,
    BackboneName,
    ScratchName,
    smallest_photos,
)
from dogs_vs_cats.settings.reading import beginning, parse_yaml, read_text, shortened
from dogs_vs_cats.settings.sections import (
    ClassWeight,
    Count,
    HeadPooling,
    Keep,
    Layout,
    LossName,
    OptimizerName,
    PathName,
    Pooling,
    PoolingEnd,
    Positive,
    Rate,
    Resampling,
    ScheduleName,
    Section,
    Seed,
    Share,
    Solver,
)
from dogs_vs_cats.settings.spaces import SearchSettings

_MOST_LINES = 20

# ---------------------------------------------------------------- data


class DrawnSettings(Section):
    """How many pictures the drawn source draws, and from which seed."""

    images: Annotated[int, Field(ge=20, le=100_000)]
    test_images: Annotated[int, Field(ge=0, le=100_000)]
    size: Annotated[int, Field(ge=64, le=1024)]
    seed: Seed


class MicrosoftSettings(Section):
    """Microsoft's public copy of the photos: its address and its SHA-256 digest."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None


class KaggleSettings(Section):
    """The Kaggle competition to take photos from."""

    competition: Annotated[str, Field(min_length=1)]


class DownloadSettings(Section):
    """Where the labelled photos come from."""

    source: Literal["drawn", "folder", "zip", "microsoft", "kaggle"]
    path: PathName | None
    test_path: PathName | None
    layout: Layout = "auto"
    zip_encoding: str = "auto"
    unpacked_limit_gb: Positive
    drawn: DrawnSettings
    microsoft: MicrosoftSettings
    kaggle: KaggleSettings

    @field_validator("zip_encoding")
    @classmethod
    def _encoding_is_known(cls, name: str) -> str:
        letters = bytes(range(32, 127))
        try:
            # Others, such as UTF-16, are none that the names in a zip may have.
            known = name == "auto" or letters.decode(name) == letters.decode("ascii")
        except (LookupError, UnicodeError):
            known = False
        if not known:
            raise ValueError("no such encoding of names in a zip; choose auto, or one such as cp437, cp866, gbk, cp932")
        return name

    @model_validator(mode="after")
    def _path_is_given(self) -> Self:
        if self.source in ("folder", "zip") and self.path is None:
            raise ValueError(f"source {self.source} needs download.path, the {self.source} with the labelled photos")
        return self


class WeightsSettings(Section):
    """The backbone's ImageNet weights: a local file, or null for Keras's release (and VGG16's mirror)."""

    path: PathName | None


class SplitSettings(Section):
    """Which photo goes where."""

    images: Annotated[int, Field(ge=10)] | None
    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Share
    seed: Seed
    near_duplicate_bits: Annotated[int, Field(ge=0, le=7)]
    exclude: Annotated[PathName, Field(min_length=1)] | None = None
    own: Literal["auto", "ignore"] = "auto"

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave nothing to train on")
        return self


class DecodeSettings(Section):
    """The decoded arrays' size, and how photos are resized to it."""

    size: Annotated[int, Field(ge=16, le=1024)]
    resampling: Resampling


class BottleneckSettings(Section):
    """The transfer model's features: which backbone's, of photos of which size, scaled how, and what computes them."""

    backbone: BackboneName = "vgg16"
    size: Annotated[int, Field(ge=16, le=1024)] | None = None
    scaling: Literal["imagenet", "article"] = "imagenet"
    pooling: Annotated[list[Pooling], Field(min_length=1)] | None = None
    layers: Annotated[list[str], Field(min_length=1)] | None = None
    mirrored: bool = False
    engine: Literal["auto", "tensorflow", "ncnn", "onnx"] = "auto"
    batch: Count = 32

    @property
    def fastest(self) -> Literal["tensorflow", "ncnn", "onnx"]:
        """What is the fastest for the backbone on a CPU."""
        return FASTEST.get(self.backbone, "onnx")

    def features(self, size: int) -> tuple[int, int, int]:
        """Height, width and channels of the features of one photo of ``size`` pixels a side."""
        height, width, channels = BACKBONES[self.backbone].features(size)
        if self.pooling is None:
            return height, width, channels
        earlier = sum(EARLIER_LAYERS[self.backbone][layer] for layer in self.layers or ())
        return 1, 1, (earlier + channels) * len(self.pooling)

    @model_validator(mode="after")
    def _pooled_where_needed(self) -> Self:
        for key, given in (("mirrored features", self.mirrored), ("features of several layers", self.layers)):
            if given and self.pooling is None:
                raise ValueError(f"{key} are for pooled ones; set bottleneck.pooling, to [average, max] say")
        return self

    @model_validator(mode="after")
    def _backbone_has_the_layers(self) -> Self:
        known = EARLIER_LAYERS.get(self.backbone, {})
        for layer in self.layers or ():
            if layer not in known:
                choices = f"choose from {', '.join(known)}" if known else "it has none to choose: set layers to null"
                title = BACKBONES[self.backbone].title
                raise ValueError(f"layers names {shortened(layer)}, which is no layer of {title} to pool; {choices}")
        return self

    @model_validator(mode="after")
    def _nothing_is_pooled_twice(self) -> Self:
        for key, names in (("pooling", self.pooling or []), ("layers", self.layers or [])):
            if twice := [name for number, name in enumerate(names) if name in names[:number]]:
                raise ValueError(f"{key} names {shortened(twice[0])} twice; remove one")
        return self

    @model_validator(mode="after")
    def _engine_knows_the_backbone(self) -> Self:
        if self.engine == "ncnn" and self.backbone != "vgg16":
            title = BACKBONES[self.backbone].title
            raise ValueError(
                f"engine ncnn computes VGG16 alone; {title} needs bottleneck.engine: onnx, tensorflow or auto"
            )
        return self


# ---------------------------------------------------------------- training


class OptimizerSettings(Section):
    """An optimizer by its Keras name, and its learning rate's schedule. A null means the Keras default."""

    name: OptimizerName
    learning_rate: Positive
    schedule: ScheduleName = "time_decay"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    momentum: Rate | None = None
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    time_decay: Annotated[float, Field(ge=0)] | Literal["learning_rate/epochs"] = 0.0

    @property
    def ends(self) -> bool:
        """Whether the rate falls to 0 with the last epoch."""
        return self.schedule in ("cosine", "linear", "one_cycle")

    @model_validator(mode="after")
    def _momentum_fits(self) -> Self:
        if self.momentum is not None and self.name not in ("sgd", "rmsprop", "muon"):
            raise ValueError(f"momentum is for sgd, rmsprop and muon, not {self.name}")
        if self.nesterov and self.name not in ("sgd", "muon"):
            raise ValueError(f"nesterov is for sgd and muon, not {self.name}")
        return self

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        if self.schedule != "time_decay" and self.time_decay:
            raise ValueError(f"schedule {self.schedule} and time_decay both set the rate; set time_decay to 0.0")
        return self


class LossSettings(Section):
    """A loss on the probability of the true class."""

    name: LossName
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0

    @model_validator(mode="after")
    def _smoothing_fits(self) -> Self:
        if self.label_smoothing and self.name not in ("binary_crossentropy", "focal"):
            raise ValueError(f"label_smoothing is for binary_crossentropy and focal, not {self.name}")
        return self


class AugmentationSettings(Section):
    """Random changes of the training images, and mixtures of two of them."""

    shear_degrees: Annotated[float, Field(ge=0, lt=90)]
    zoom: Annotated[float, Field(ge=0, lt=1)]
    flip: bool | Literal["alternating"]
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    colour: Annotated[float, Field(ge=0, lt=1)] = 0.0
    rand_augment: Annotated[float, Field(ge=0, le=1)] = 0.0
    erasing: Share = 0.0
    mixup: Annotated[float, Field(ge=0)] = 0.0
    cutmix: Annotated[float, Field(ge=0)] = 0.0


class EarlyStoppingSettings(Section):
    """When training stops before its last epoch."""

    patience: Annotated[int, Field(ge=0)] | None = None
    patience_updates: Count | None = None
    min_delta: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if (self.patience is None) == (self.patience_updates is None):
            raise ValueError("patience counts epochs, patience_updates counts updates: set one, and null the other")
        return self

    def epochs(self, updates: int) -> int:
        """Return how many epochs without a better loss end a training, where each has so many updates."""
        return self.patience if self.patience is not None else -(-(self.patience_updates or 0) // updates)


class ReduceOnPlateauSettings(Section):
    """When and by how much the learning rate falls."""

    factor: Annotated[float, Field(gt=0, lt=1)]
    patience: Annotated[int, Field(ge=0)]
    minimum: Annotated[float, Field(ge=0)] = 0.0


class ConvolutionSettings(Section):
    """One convolution block: convolution, ReLU, 2x2 max-pooling."""

    filters: Count
    kernel: Annotated[int, Field(ge=1, le=11)]


class CnnSettings(Section):
    """The network trained from scratch.

    Of ``wide_residual`` are ``width`` and ``whitening``, of ``cnn`` all else but the name and the output.
    """

    name: ScratchName = "cnn"
    convolutions: Annotated[list[ConvolutionSettings], Field(min_length=1)]
    batch_normalization: bool
    convolution_dropout: Rate
    pooling_end: PoolingEnd
    dense: list[Count]
    dense_dropout: Rate
    output: Literal["softmax", "sigmoid"]
    width: Annotated[int, Field(ge=8, multiple_of=8)] = 48
    whitening: bool = True

    @property
    def any_size(self) -> bool:
        """Whether its weights fit photos of any size."""
        return self.name in ("residual", "wide_residual") or (self.name == "cnn" and self.pooling_end != "flatten")


class HeadSettings(Section):
    """The head on the bottleneck features; ``dropout`` follows each dense layer in turn."""

    pooling: HeadPooling
    dense: list[Count]
    dropout: list[Rate]
    output: Literal["softmax", "sigmoid"]

    @model_validator(mode="after")
    def _a_dropout_for_each_dense(self) -> Self:
        if len(self.dense) != len(self.dropout):
            raise ValueError(f"{len(self.dense)} dense layers need as many dropout rates, not {len(self.dropout)}")
        return self


class TrainingSettings(Section):
    """What every training has, whichever network it trains."""

    epochs: Count
    batch: Count
    seed: Seed
    optimizer: OptimizerSettings
    loss: LossSettings
    class_weight: ClassWeight | None = None
    early_stopping: EarlyStoppingSettings | None
    reduce_on_plateau: ReduceOnPlateauSettings | None
    keep: Keep
    averaging: Annotated[float, Field(gt=0, lt=1)] = 0.999
    mixed_precision: bool

    @property
    def changes(self) -> AugmentationSettings | None:
        """How training images are changed at random; None: not at all, as features never are."""
        return None

    @property
    def steps(self) -> list[tuple[int | None, int]]:
        """The sizes of the training images, each with the epoch that it ends with; None: as the network sees photos."""
        return [(None, self.epochs)]

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        optimizer = self.optimizer
        if self.reduce_on_plateau is not None and (optimizer.time_decay or optimizer.schedule != "time_decay"):
            raise ValueError(
                "reduce_on_plateau and optimizer.time_decay or optimizer.schedule both set the rate; set "
                "optimizer.time_decay to 0.0 and optimizer.schedule to time_decay"
            )
        if optimizer.ends and self.early_stopping is not None:
            raise ValueError(
                f"optimizer.schedule {optimizer.schedule} ends with the last epoch, and early_stopping would cut it "
                "off; set early_stopping to null"
            )
        if optimizer.warmup_epochs >= self.epochs:
            raise ValueError(
                f"optimizer.warmup_epochs {optimizer.warmup_epochs} leaves nothing of {self.epochs} epochs"
            )
        return self


class StepSettings(Section):
    """Some epochs of a training on images of one size. Not ``size``: DVC's run cache does not see that (dvc#10296)."""

    pixels: Annotated[int, Field(ge=16, le=1024)]
    epochs: Count


class ViewsSettings(Section):
    """The views of a photo whose log-odds are averaged when it is judged."""

    flip: bool = False
    scales: Annotated[list[Annotated[float, Field(ge=0.25, le=4)]], Field(min_length=1)] = Field(default=[1.0])


class TrainScratchSettings(TrainingSettings):
    """The network from scratch, its photos' size, and its training."""

    size: Annotated[int, Field(ge=16, le=1024)] | None = None
    sizes: Annotated[list[StepSettings], Field(min_length=1)] | None = None
    augmentation: AugmentationSettings | None
    network: CnnSettings
    views: ViewsSettings = ViewsSettings()

    @property
    def changes(self) -> AugmentationSettings | None:
        """How training images are changed at random."""
        return self.augmentation

    @property
    def steps(self) -> list[tuple[int | None, int]]:
        """The sizes of the training images, each with the epoch that it ends with."""
        if self.sizes is None:
            return super().steps
        ends = accumulate(step.epochs for step in self.sizes)
        return [(step.pixels, end) for step, end in zip(self.sizes, ends, strict=True)]

    @model_validator(mode="after")
    def _steps_fit(self) -> Self:
        if self.sizes is not None and (total := sum(step.epochs for step in self.sizes)) != self.epochs:
            raise ValueError(f"sizes has {total} epochs in all, epochs is {self.epochs}; make them equal")
        other = self.sizes is not None or self.views.scales != [1.0]
        if other and not self.network.any_size:
            raise ValueError(
                "sizes and views.scales need a network that takes photos of any size: set network.name to "
                "wide_residual or residual, or network.pooling_end to global_average"
            )
        return self

    @model_validator(mode="after")
    def _mixtures_fit(self) -> Self:
        mixed = [name for name in ("mixup", "cutmix") if self.augmentation and getattr(self.augmentation, name)]
        if mixed and self.loss.name == "hinge":
            raise ValueError(
                f"augmentation.{mixed[0]} mixes two labels, which loss.name hinge cannot take; choose another loss or "
                f"set {mixed[0]} to 0.0"
            )
        return self


class TrainVgg16Settings(TrainingSettings):
    """The head on the backbone's features, and its training."""

    solver: Solver = "gradient"
    network: HeadSettings

    @model_validator(mode="after")
    def _solver_fits(self) -> Self:
        network = self.network
        if self.solver == "logistic" and (network.dense or network.output != "sigmoid"):
            raise ValueError(
                "solver logistic fits one layer with one output: set network.dense and network.dropout to [] and "
                "network.output to sigmoid"
            )
        return self


class FineTuneSettings(TrainingSettings):
    """The backbone's last blocks, trained further together with the head that ``train_vgg16`` left."""

    block: str | None = None
    mixup: Annotated[float, Field(ge=0)] = 0.0

    @property
    def changes(self) -> AugmentationSettings | None:
        """MixUp of the maps; their photos' mirror images have maps of their own."""
        if not self.mixup:
            return None
        return AugmentationSettings(shear_degrees=0.0, zoom=0.0, flip=False, mixup=self.mixup)

    @model_validator(mode="after")
    def _mixtures_fit(self) -> Self:
        if self.mixup and self.loss.name == "hinge":
            raise ValueError("mixup mixes two labels, which loss.name hinge cannot take; choose another loss")
        return self


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


# ---------------------------------------------------------------- results


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
