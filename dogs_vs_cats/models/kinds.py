"""The kinds of models: what each learns from, how it is built, and how it takes photos. A new kind is a class here."""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from dogs_vs_cats.data.arrays import Dataset, open_split, read_dataset
from dogs_vs_cats.data.examples import Examples, open_images
from dogs_vs_cats.data.scaling import digest, open_scaled
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import digest_of
from dogs_vs_cats.models.features import mirrored, open_bottleneck, open_features
from dogs_vs_cats.models.maps import Cut, View, open_maps
from dogs_vs_cats.models.ncnn.engine import ChannelScaling
from dogs_vs_cats.models.ncnn.networks import (
    Network,
    StackedNetwork,
    add_head,
    cnn_network,
    tuned_tensors,
    vgg16_for_many,
    vgg16_network,
)
from dogs_vs_cats.models.pretrained.backbones import (
    Scaling,
    build_backbone,
    pooled,
    scaling_values,
    untrained_backbone,
)
from dogs_vs_cats.models.pretrained.weights import Tensor, read_tensors
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.settings.catalogue import BACKBONES, BLOCKS, SCRATCH, BackboneName
from dogs_vs_cats.settings.params import (
    CnnSettings,
    FineTuneSettings,
    HeadSettings,
    Settings,
    TrainScratchSettings,
    TrainVgg16Settings,
    ViewsSettings,
)
from dogs_vs_cats.settings.sections import Pooling, Resampling
from dogs_vs_cats.settings.spaces import ScratchSearch, Vgg16Search

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


class ScratchModel(Description):
    """A network that is trained from scratch, on decoded photos."""

    kind: Literal["scratch"] = "scratch"
    network: CnnSettings
    views: ViewsSettings = ViewsSettings()

    stage = "train_scratch"
    needs = "decode"
    article_accuracy = 0.894
    searched = frozenset(
        {
            *("optimizer", "loss", "batch", "augmentation", "network", "early_stopping", "reduce_on_plateau"),
            *("sizes", "views"),
        }
    )
    few_photos = 256
    timed_photos = 256

    @model_validator(mode="before")
    @classmethod
    def _without_a_backbone(cls, values: Any) -> Any:
        # Version 0.1 wrote what only the transfer model has here too, as nulls.
        if not isinstance(values, dict):
            return values
        absent = {"features", "backbone", "scaling"}
        return {key: value for key, value in values.items() if not (key in absent and value is None)}

    @classmethod
    def of(cls, settings: Settings, prepared: Prepared) -> Self:
        """Describe it."""
        dataset = read_dataset(prepared.arrays)
        return cls(
            size=dataset.size,
            sees=_scaled_to(settings.train_scratch.size, dataset),
            resampling=dataset.resampling,
            classes=tuple(dataset.classes),
            network=settings.train_scratch.network,
            views=settings.train_scratch.views,
        )

    @classmethod
    def training_settings(cls, settings: Settings) -> TrainScratchSettings:
        """Return ``train_scratch``."""
        return settings.train_scratch

    @classmethod
    def search_settings(cls, settings: Settings) -> ScratchSearch:
        """Return ``search.scratch``."""
        return settings.search.scratch

    @property
    def name(self) -> str:
        """The model as reports call it."""
        return f"{SCRATCH[self.network.name].title} from scratch"

    @property
    def label(self) -> str:
        """``scratch cnn``."""
        return f"scratch {self.network.name}"

    @property
    def origin(self) -> str:
        """Its knowledge is its own."""
        return "knows nothing at first, and learns all of its {learned} parameters from the training {noun}."

    def build(self) -> "keras.Model":
        """Build the network."""
        from dogs_vs_cats.models.networks.building import build_cnn

        return build_cnn(self.network, self.side)

    def initialise(self, network: "keras.Model", inputs: NDArray[np.uint8], seed: int, prepared: Prepared) -> None:  # noqa: ARG002 - the photos are enough
        """Whiten what the first convolution gives of the training photos."""
        if self.network.name == "wide_residual" and self.network.whitening:
            from dogs_vs_cats.models.networks.whitening import whiten

            whiten(network, inputs, seed)

    def judge(self, network: "keras.Model") -> "keras.Model":
        """Average the log-odds of the views."""
        if self.views == ViewsSettings():
            return network
        from dogs_vs_cats.models.networks.building import build_cnn
        from dogs_vs_cats.models.networks.views import average_views

        any_size = build_cnn(self.network, None if self.network.any_size else self.side)
        any_size.set_weights(network.get_weights())
        return average_views(any_size, self.side, self.views)

    def open(self, network: "keras.Model", backbone: Path) -> "OpenNetwork":  # noqa: ARG002 - it has none
        """Lay it open: the network sees the photo itself, scaled to its size."""
        from dogs_vs_cats.models.opened import OpenNetwork, to_side

        return OpenNetwork(network, scale=to_side(self.size, self.side, self.resampling))

    def inputs(self, prepared: Prepared, split: str) -> NDArray[np.uint8]:
        """Open the photos as the network sees them, (n, side, side, 3)."""
        return open_scaled(prepared.arrays, split, self.side)

    def examples(self, prepared: Prepared, split: str) -> Examples:
        """Open the photos as the network sees them, with their labels."""
        return Examples(self.inputs(prepared, split), open_images(prepared.arrays, split).labels)

    @property
    def suits_ncnn(self) -> bool:
        """Whether it is the article's kind of CNN, which sees a photo once."""
        return self.network.name == "cnn" and self.views == ViewsSettings()

    @property
    def channel_scaling(self) -> ChannelScaling:
        """Photos are divided by 255."""
        return 1 / 255, (0.0, 0.0, 0.0), False

    def ncnn_network(self, weights: Path, backbone: Path, *, many: bool) -> Network:  # noqa: ARG002 - as for one
        """Build it for ncnn."""
        return cnn_network(self.network, self.side, weights)


class BackboneModel(Description):
    """A head on the features of a backbone that others trained.

    Attributes:
        features: height, width and channels of one photo's features, which the head takes.
        backbone: whose features.
        scaling: how photos are scaled for the backbone.
        pooling: how its maps are pooled; None: not at all.
        layers: its earlier layers whose maps are pooled too.
        mirrored: whether the mirror image of a photo is judged too.
        network: the head's settings.
    """

    features: tuple[int, int, int]
    backbone: BackboneName = "vgg16"  # descriptions did not name it while there was but one
    scaling: Scaling
    pooling: tuple[Pooling, ...] | None = None
    layers: tuple[str, ...] = ()
    mirrored: bool = False
    network: HeadSettings

    article_accuracy = 0.907
    few_photos = 24
    timed_photos = 64  # VGG16 takes 10 to 20 photos a second on two cores

    @property
    def mirrors(self) -> bool:
        """Whether a photo's mirror image is a view of its own."""
        return self.mirrored

    def require_weights(self, backbone: Path) -> None:
        """Say how to get the backbone's weights."""
        if not backbone.exists():
            raise WorkflowError(f"{backbone}: no backbone there; fetch it with: dvc repro weights")

    @property
    def suits_ncnn(self) -> bool:
        """Whether the backbone is VGG16, and the head takes its maps of a photo as they are."""
        return self.backbone == "vgg16" and self.pooling is None

    @property
    def channel_scaling(self) -> ChannelScaling:
        """Photos are scaled as the backbone was trained, or as in the article."""
        return scaling_values(self.scaling, self.backbone)

    def ncnn_network(self, weights: Path, backbone: Path, *, many: bool) -> Network | StackedNetwork:
        """Build VGG16 and the head for ncnn."""
        tensors = self._tensors(weights, backbone)
        network = vgg16_for_many(tensors, self.side) if many else vgg16_network(tensors)
        return add_head(network, self.network, self.features, weights)

    def _tensors(self, weights: Path, backbone: Path) -> list[Tensor]:  # noqa: ARG002 - the backbone's own
        return read_tensors(backbone)

    def _pooled(self, backbone: "keras.Model") -> "keras.Model":
        return pooled(backbone, self.pooling, self.layers)


class TransferModel(BackboneModel):
    """A head that is trained on the bottleneck features of a frozen backbone."""

    kind: Literal["vgg16"] = "vgg16"
    stage = "train_vgg16"
    needs = "bottleneck"
    searched = frozenset({"solver", "optimizer", "loss", "batch", "network", "keep"})

    @classmethod
    def of(cls, settings: Settings, prepared: Prepared) -> Self:
        """Describe it."""
        dataset, bottleneck = read_dataset(prepared.arrays), settings.bottleneck
        return cls(
            size=dataset.size,
            sees=_scaled_to(bottleneck.size, dataset),
            resampling=dataset.resampling,
            classes=tuple(dataset.classes),
            features=open_features(prepared.features, "train").shape[1:],
            backbone=bottleneck.backbone,
            scaling=bottleneck.scaling,
            pooling=None if bottleneck.pooling is None else tuple(bottleneck.pooling),
            layers=tuple(bottleneck.layers or ()),
            mirrored=bottleneck.mirrored,
            network=settings.train_vgg16.network,
        )

    @classmethod
    def training_settings(cls, settings: Settings) -> TrainVgg16Settings:
        """Return ``train_vgg16``."""
        return settings.train_vgg16

    @classmethod
    def search_settings(cls, settings: Settings) -> Vgg16Search:
        """Return ``search.vgg16``."""
        return settings.search.vgg16

    @classmethod
    def check_prepared(cls, settings: Settings, prepared: Prepared) -> Dataset:
        """Check arrays, features and the backbone's weights."""
        dataset = super().check_prepared(settings, prepared)
        for needed in (prepared.features, prepared.backbone):
            if not needed.exists():
                raise WorkflowError(f"{prepared.name(needed)}: missing; {cls._from_the_workflow()}")
        backbone = BACKBONES[settings.bottleneck.backbone]
        size = settings.bottleneck.size or dataset.size
        expected = settings.bottleneck.features(size)
        for split in ("train", "validation"):
            shape = open_features(prepared.features, split, dataset.counts[split]).shape[1:]
            if shape != expected:
                there, wanted = ("x".join(map(str, sides)) for sides in (shape, expected))
                raise WorkflowError(
                    f"{prepared.name(prepared.features / split)}.npy: {there} features, but {backbone.title} gives "
                    f"{wanted} of photos of {size} pixels; run dvc repro {cls.needs}"
                )
        return dataset

    @property
    def name(self) -> str:
        """The model as reports call it."""
        return f"{BACKBONES[self.backbone].title} transfer model"

    @property
    def label(self) -> str:
        """``transfer vgg16``."""
        return f"transfer {self.backbone}"

    @property
    def origin(self) -> str:
        """Its knowledge is mostly the backbone's."""
        return (
            f"sees through {BACKBONES[self.backbone].title}, a network that others trained on the million photos of "
            "ImageNet. That part stays as it is; only the layers after it, {learned} parameters, learn here."
        )

    def build(self) -> "keras.Model":
        """Build the head."""
        from dogs_vs_cats.models.networks.building import build_head

        return build_head(self.network, self.features)

    def open(self, network: "keras.Model", backbone: Path) -> "OpenNetwork":
        """Lay it open: the backbone sees the scaled photo, the head decides."""
        self.require_weights(backbone)
        from dogs_vs_cats.models.opened import open_backbone, to_side

        frozen = self._pooled(build_backbone(self.backbone, self.side, backbone))
        smaller = to_side(self.size, self.side, self.resampling)
        return open_backbone(frozen, network, self.scaling, self.backbone, smaller)

    def inputs(self, prepared: Prepared, split: str) -> NDArray[np.float32]:
        """Open the features, (n, *features)."""
        return open_features(prepared.features, split, len(open_split(prepared.arrays, split).images))

    def examples(self, prepared: Prepared, split: str) -> Examples:
        """Open the features with their labels; those of mirrored photos are learned from, too."""
        learned = self.mirrored and split == "train"
        return open_bottleneck(prepared.arrays, prepared.features, split, with_mirrored=learned)

    def view_inputs(self, prepared: Prepared, split: str) -> list[NDArray[np.float32]]:
        """Open the features of a split's photos, and of their mirror images."""
        own = self.inputs(prepared, split)
        return [own, open_features(prepared.features, mirrored(split), len(own))] if self.mirrored else [own]


class FineTunedModel(BackboneModel):
    """The last blocks of a backbone and the head on its features, trained further together.

    Attributes:
        block: the first of the blocks that are trained.
        cut: the last of the layers whose maps are computed once.
        maps: height, width and channels of those maps.
        started_from: SHA-256 of the head's weights and of the backbone's.
    """

    kind: Literal["fine_tuned"] = "fine_tuned"
    block: str
    cut: str
    maps: tuple[int, int, int]
    started_from: str

    stage = "fine_tune"
    needs = "train_vgg16"
    searched = frozenset()
    optional = True

    @classmethod
    def of(cls, settings: Settings, prepared: Prepared) -> Self:
        """Describe it.

        Raises:
            WorkflowError: if there is no head to start from, or one of other features.
        """
        transfer, block = TransferModel.of(settings, prepared), settings.fine_tune.block
        if block is None:
            raise ValueError("fine_tune.block is null")
        transfer.require_weights(prepared.backbone)
        _check_head(prepared.head, transfer)
        from dogs_vs_cats.models.tuned import find_cut

        backbone = untrained_backbone(transfer.backbone, transfer.side)
        cut = find_cut(backbone, transfer.backbone, block, transfer.layers)
        return cls(
            **transfer.model_dump(exclude={"kind"}),
            block=block,
            cut=cut,
            maps=backbone.get_layer(cut).output.shape[1:],
            started_from=digest([digest_of(prepared.head), digest_of(prepared.backbone)]),
        )

    @classmethod
    def training_settings(cls, settings: Settings) -> FineTuneSettings:
        """Return ``fine_tune``."""
        return settings.fine_tune

    @classmethod
    def search_settings(cls, settings: Settings) -> Vgg16Search:  # noqa: ARG003 - it has none
        """Refuse: there is no search for it."""
        raise WorkflowError("the fine-tuned model is not searched for; search for its head: search/optuna_vgg16.py")

    @property
    def name(self) -> str:
        """The model as reports call it."""
        return f"fine-tuned {BACKBONES[self.backbone].title}"

    @property
    def label(self) -> str:
        """``fine-tuned vgg16``."""
        return f"fine-tuned {self.backbone}"

    @property
    def origin(self) -> str:
        """Its knowledge is the backbone's, adapted."""
        return (
            f"goes on from the {BACKBONES[self.backbone].title} transfer model: from {self.block} on, the network that "
            "others trained on the photos of ImageNet learns further here, {learned} parameters with the layers after "
            "it; what is before stays as it is."
        )

    def build(self) -> "keras.Model":
        """Build the network from the maps on."""
        from dogs_vs_cats.models.tuned import build_tuned

        backbone = untrained_backbone(self.backbone, self.side)
        block = BLOCKS[self.backbone][self.block]
        standardised = self.pooling is not None
        return build_tuned(backbone, block, self._top(backbone), self.network, standardised=standardised)

    def _top(self, backbone: "keras.Model") -> "keras.Model":
        from dogs_vs_cats.models.tuned import top

        return top(backbone, self.cut, self.pooling, self.layers)

    def initialise(self, network: "keras.Model", inputs: NDArray[np.float16], seed: int, prepared: Prepared) -> None:  # noqa: ARG002 - it goes on from weights
        """Give it the backbone's weights and the trained head's."""
        from dogs_vs_cats.models.networks.building import build_head
        from dogs_vs_cats.models.tuned import start

        head = build_head(self.network, self.features)
        try:
            head.load_weights(prepared.head)
        except (OSError, ValueError) as error:
            raise WorkflowError(f"{prepared.head}: damaged ({str(error).splitlines()[0]}); {_TRAIN_HEAD}") from None
        part = self._top(build_backbone(self.backbone, self.side, prepared.backbone))
        views = ["train", *([mirrored("train")] if self.mirrored else [])]
        start(network, part, head, np.concatenate([open_features(prepared.features, view) for view in views]))

    def open(self, network: "keras.Model", backbone: Path) -> "OpenNetwork":
        """Lay it open: the backbone, with what it learned, sees the scaled photo, the head decides."""
        self.require_weights(backbone)
        from dogs_vs_cats.models.opened import open_backbone, to_side
        from dogs_vs_cats.models.tuned import finish

        whole = build_backbone(self.backbone, self.side, backbone)
        head = finish(network, self._top(whole), self.network)  # the whole has the trained weights, too
        seeing, smaller = self._pooled(whole), to_side(self.size, self.side, self.resampling)
        return open_backbone(seeing, head, self.scaling, self.backbone, smaller, network)

    def _open(self, prepared: Prepared, view: View) -> NDArray[np.float16]:
        self.require_weights(prepared.backbone)
        splits = read_dataset(prepared.arrays).counts
        views = [View(name) for name in splits]
        views += [View(name, mirrored=True) for name in splits if self.mirrored or name == "train"]
        return open_maps(prepared, Cut(self.backbone, self.scaling, self.side, self.cut), view, views)

    def inputs(self, prepared: Prepared, split: str) -> NDArray[np.float16]:
        """Open the maps, (n, *maps)."""
        return self._open(prepared, View(split))

    def examples(self, prepared: Prepared, split: str) -> Examples:
        """Open the maps with their labels; in training with those of mirrored photos."""
        labels = open_images(prepared.arrays, split).labels
        mirrored = self._open(prepared, View(split, mirrored=True)) if split == "train" else None
        return Examples(self.inputs(prepared, split), labels, mirrored=mirrored)

    def view_inputs(self, prepared: Prepared, split: str) -> list[NDArray[np.float16]]:
        """Open the maps of a split's photos, and of their mirror images where those are judged."""
        views = [View(split), *([View(split, mirrored=True)] if self.mirrored else [])]
        return [self._open(prepared, view) for view in views]

    def _tensors(self, weights: Path, backbone: Path) -> list[Tensor]:
        return tuned_tensors(read_tensors(backbone), weights)


_TRAIN_HEAD = "train it with: dvc repro train_vgg16"


def _check_head(weights: Path, transfer: TransferModel) -> None:
    """Refuse to start from a head that is missing, or that was trained on other features."""
    path = weights.with_name(weights.name.removesuffix(".weights.h5") + ".json")
    for file in (path, weights):
        if not file.exists():
            raise WorkflowError(f"{file}: no trained head to fine-tune; {_TRAIN_HEAD}")
    try:
        head = TransferModel.model_validate_json(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError):
        head = None
    if head != transfer:
        raise WorkflowError(
            f"{path}: a head of other features, or of another shape, than bottleneck and train_vgg16.network say; "
            f"{_TRAIN_HEAD}"
        )


def _scaled_to(size: int | None, dataset: Dataset) -> int | None:
    return None if size == dataset.size else size


KINDS: dict[str, type[Description]] = {
    "scratch": ScratchModel,
    "vgg16": TransferModel,
    "fine_tuned": FineTunedModel,
}
"""Every kind by the name that users choose it by."""


def parse_description(text: str) -> Description:
    """Read a description from JSON.

    Raises:
        ValueError: if it is none; the message says why (pydantic's is one).
    """
    values = json.loads(text)
    kind = values.get("kind") if isinstance(values, dict) else None
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    return KINDS[kind].model_validate_json(text)


def check_fit(path: Path, description: Description, dataset: Dataset) -> None:
    """Refuse a model of other photos than those that there are.

    Args:
        path: of the model's description.
        description: what it was trained on.
        dataset: the decoded photos.

    Raises:
        WorkflowError: if it was trained on other classes, or another size.
    """
    if (list(description.classes), description.size) != (list(dataset.classes), dataset.size):
        raise WorkflowError(
            f"{path}: trained on {' and '.join(description.classes)} at {description.size} pixels, the "
            f"arrays hold {' and '.join(dataset.classes)} at {dataset.size}; run dvc repro"
        )
