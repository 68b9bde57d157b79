"""The head on a frozen backbone's features, and what all models with a backbone share."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.data.arrays import Dataset, open_split, read_dataset
from dogs_vs_cats.data.examples import Examples
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.features import mirrored, open_bottleneck, open_features
from dogs_vs_cats.models.kinds.description import Description, scaled_to
from dogs_vs_cats.models.ncnn.engine import ChannelScaling
from dogs_vs_cats.models.ncnn.networks import (
    Network,
    StackedNetwork,
    add_head,
    vgg16_for_many,
    vgg16_network,
)
from dogs_vs_cats.models.pretrained.backbones import (
    Scaling,
    build_backbone,
    pooled,
    scaling_values,
)
from dogs_vs_cats.models.pretrained.weights import Tensor, read_tensors
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.settings.catalogue import BACKBONES, BackboneName
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.sections import Pooling
from dogs_vs_cats.settings.spaces import Vgg16Search
from dogs_vs_cats.settings.training_settings import HeadSettings, TrainVgg16Settings

if TYPE_CHECKING:
    import keras

    from dogs_vs_cats.models.opened import OpenNetwork


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
            sees=scaled_to(bottleneck.size, dataset),
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
