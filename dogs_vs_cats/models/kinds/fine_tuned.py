"""The backbone whose last blocks are trained further, with its head."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.data.arrays import read_dataset
from dogs_vs_cats.data.examples import Examples, open_images
from dogs_vs_cats.data.scaling import digest
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import digest_of
from dogs_vs_cats.models.features import mirrored, open_features
from dogs_vs_cats.models.kinds.transfer import BackboneModel, TransferModel
from dogs_vs_cats.models.maps import Cut, View, open_maps
from dogs_vs_cats.models.ncnn.networks import (
    tuned_tensors,
)
from dogs_vs_cats.models.pretrained.backbones import (
    build_backbone,
    untrained_backbone,
)
from dogs_vs_cats.models.pretrained.weights import Tensor, read_tensors
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.settings.catalogue import BACKBONES, BLOCKS
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.spaces import Vgg16Search
from dogs_vs_cats.settings.training_settings import FineTuneSettings

if TYPE_CHECKING:
    import keras

    from dogs_vs_cats.models.opened import OpenNetwork


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
