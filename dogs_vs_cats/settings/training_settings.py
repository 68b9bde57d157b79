"""Sections of ``params.yaml`` on networks and their trainings."""

from itertools import accumulate
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dogs_vs_cats.settings.catalogue import ScratchName
from dogs_vs_cats.settings.sections import (
    ClassWeight,
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
    Share,
    Solver,
)


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
