"""Sections of ``params.yaml`` on photos: where they come from, their split, decoding and features."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from dogs_vs_cats.settings.catalogue import BACKBONES, EARLIER_LAYERS, FASTEST, BackboneName
from dogs_vs_cats.settings.reading import shortened
from dogs_vs_cats.settings.sections import Count, Layout, PathName, Pooling, Positive, Resampling, Section, Seed, Share


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
