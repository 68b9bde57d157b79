"""What every kind of model tells of itself."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from dogs_vs_cats.data.arrays import Dataset, read_dataset
from dogs_vs_cats.data.examples import Examples
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.ncnn.engine import ChannelScaling
from dogs_vs_cats.models.ncnn.networks import (
    Network,
    StackedNetwork,
)
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.sections import Resampling
from dogs_vs_cats.settings.spaces import ScratchSearch, Vgg16Search
from dogs_vs_cats.settings.training_settings import FineTuneSettings, TrainScratchSettings, TrainVgg16Settings

if TYPE_CHECKING:
    import keras

    from dogs_vs_cats.models.opened import OpenNetwork


class Description(BaseModel, ABC):
    """What a model's weights belong to; all that depends on the kind of model is asked of it.

    Attributes:
        kind: the kind's name, by which users choose a model and files are named.
        size: pixels a side of the photos it takes, which are those that are stored.
        sees: pixels a side that its network sees, to which it scales them; None: as it takes them.
        resampling: how photos were resized to both; Lanczos where a description of an older version does not say.
        classes: the classes, in the order of the model's probabilities.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    size: int
    sees: int | None = None
    resampling: Resampling = "lanczos"
    classes: Annotated[tuple[str, ...], Field(min_length=2)]

    stage: ClassVar[str]
    """The DVC stage that trains it, which is also its section of ``params.yaml``."""
    needs: ClassVar[str]
    """The DVC stage that prepares what it learns from."""
    article_accuracy: ClassVar[float]
    """Validation accuracy of Ahmed Besbes, "Understanding deep Convolutional Neural Networks", 2017."""
    searched: ClassVar[frozenset[str]]
    """Keys of its training's settings that a search's trials change, wholly or in part."""
    few_photos: ClassVar[int]
    """Up to this many photos are done sooner in one process than ncnn's processes have started."""
    timed_photos: ClassVar[int]
    """Enough photos to time it by."""
    optional: ClassVar[bool] = False
    """Whether the settings may leave it out."""

    @classmethod
    @abstractmethod
    def of(cls, settings: Settings, prepared: Prepared) -> Self:
        """Describe the model that ``settings`` and the prepared data stand for."""

    @classmethod
    @abstractmethod
    def training_settings(cls, settings: Settings) -> TrainScratchSettings | TrainVgg16Settings | FineTuneSettings:
        """Return the section that says how it is trained."""

    @classmethod
    @abstractmethod
    def search_settings(cls, settings: Settings) -> ScratchSearch | Vgg16Search:
        """Return the section that says how a search varies it."""

    @classmethod
    def check_prepared(cls, settings: Settings, prepared: Prepared) -> Dataset:
        """Check that what it learns from is there, and is what the settings say.

        Raises:
            WorkflowError: if not; it names the ``dvc repro`` that makes it.
        """
        if not prepared.arrays.exists():
            raise WorkflowError(f"{prepared.name(prepared.arrays)}: missing; {cls._from_the_workflow()}")
        dataset = read_dataset(prepared.arrays)
        if dataset.size != settings.decode.size:
            raise WorkflowError(
                f"{prepared.name(prepared.arrays)}: photos of {dataset.size} pixels, but decode.size is "
                f"{settings.decode.size}; run dvc repro {cls.needs}"
            )
        return dataset

    @classmethod
    def _from_the_workflow(cls) -> str:
        return f"a search uses what the workflow left: run dvc repro {cls.needs}"

    @property
    def side(self) -> int:
        """Pixels a side that its network sees."""
        return self.sees or self.size

    @property
    @abstractmethod
    def name(self) -> str:
        """The model as reports call it."""

    @property
    @abstractmethod
    def label(self) -> str:
        """The model in the fewest words, for a narrow column: whether it is transferred, and which network."""

    @property
    @abstractmethod
    def origin(self) -> str:
        """Where its knowledge comes from, as the report says after its name; ``{learned}`` is how much it learns."""

    @abstractmethod
    def build(self) -> "keras.Model":
        """Build the network that is trained, with new weights."""

    def initialise(self, network: "keras.Model", inputs: NDArray[Any], seed: int, prepared: Prepared) -> None:
        """Set weights that begin as the training's inputs (n, ...) or what was prepared have it, where it has such."""

    def judge(self, network: "keras.Model") -> "keras.Model":
        """Return what judges an input by the trained network: of several views of it, where the model has such."""
        return network

    @abstractmethod
    def open(self, network: "keras.Model", backbone: Path) -> "OpenNetwork":
        """Lay the model open between photo and class.

        Args:
            network: the trained network.
            backbone: the backbone's ImageNet weights, read only where the model has a backbone.

        Raises:
            WorkflowError: if the backbone is needed, and missing or damaged.
        """

    @abstractmethod
    def inputs(self, prepared: Prepared, split: str) -> NDArray[Any]:
        """Open what the trained network takes for a split's photos, (n, ...), memory-mapped.

        Raises:
            WorkflowError: if it is missing or damaged.
        """

    def view_inputs(self, prepared: Prepared, split: str) -> list[NDArray[Any]]:
        """Open what the trained network takes for each view of a split's photos; their log-odds are averaged."""
        return [self.inputs(prepared, split)]

    @property
    def mirrors(self) -> bool:
        """Whether a photo's mirror image is a view of its own, which passes all of the model."""
        return False

    @abstractmethod
    def examples(self, prepared: Prepared, split: str) -> Examples:
        """Open the same with the labels of a labelled split."""

    def require_weights(self, backbone: Path) -> None:
        """Say how to get what the model needs beside its own weights, where that is missing.

        Raises:
            WorkflowError: naming the file and the command.
        """

    @property
    @abstractmethod
    def suits_ncnn(self) -> bool:
        """Whether ncnn can run it."""

    @property
    @abstractmethod
    def channel_scaling(self) -> ChannelScaling:
        """What becomes of a photo's values before ncnn's network takes them."""

    @abstractmethod
    def ncnn_network(self, weights: Path, backbone: Path, *, many: bool) -> Network | StackedNetwork:
        """Build the whole model for ncnn, from a scaled photo to its outputs.

        Args:
            weights: the trained network's ``.weights.h5``.
            backbone: as for ``open``.
            many: for several photos at once, where that takes less time a photo.
        """


def scaled_to(size: int | None, dataset: Dataset) -> int | None:
    """Return the pixels a side that photos are scaled to for a model; None: they are stored so."""
    return None if size == dataset.size else size
