"""The network that is trained from scratch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from dogs_vs_cats.data.arrays import read_dataset
from dogs_vs_cats.data.examples import Examples, open_images
from dogs_vs_cats.data.scaling import open_scaled
from dogs_vs_cats.models.kinds.description import Description, scaled_to
from dogs_vs_cats.models.ncnn.engine import ChannelScaling
from dogs_vs_cats.models.ncnn.networks import (
    Network,
    cnn_network,
)
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.settings.catalogue import SCRATCH
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.spaces import ScratchSearch
from dogs_vs_cats.settings.training_settings import CnnSettings, TrainScratchSettings, ViewsSettings

if TYPE_CHECKING:
    import keras

    from dogs_vs_cats.models.opened import OpenNetwork


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
            sees=scaled_to(settings.train_scratch.size, dataset),
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
