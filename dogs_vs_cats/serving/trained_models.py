"""The models that the workflow trained in a project's folder, opened for photos; on a CPU without TensorFlow."""

import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.data.arrays import read_dataset
from dogs_vs_cats.data.decoding.photos import begins_as_photo
from dogs_vs_cats.data.raw.left_out import PHOTO_EXTENSIONS
from dogs_vs_cats.data.scaling import scale
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.evaluation.comparison import Comparison
from dogs_vs_cats.files import digest_of, temporary_folder
from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.models.kinds.registry import KINDS, check_fit
from dogs_vs_cats.models.ncnn.engine import NcnnPool, compute, count_workers
from dogs_vs_cats.models.ncnn.networks import Network, StackedNetwork
from dogs_vs_cats.models.saved import describing, load_predictor, loading, read_description, trained_kinds
from dogs_vs_cats.paths import ARRAYS, BACKBONE_WEIGHTS, COMPARISON, MODELS
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.serving.classifying import Answer, Classifier, Compute, Unread
from dogs_vs_cats.serving.registered_models import URI_PREFIX, by_keras, open_registered

if TYPE_CHECKING:
    import keras

Engine: TypeAlias = Literal["auto", "ncnn", "tensorflow"]


@dataclass(frozen=True)
class TrainedModel:
    """A model in a project's folder.

    Attributes:
        weights: its ``.weights.h5``.
        backbone: the backbone's ``.weights.h5``, for a model that has one.
        description: what the weights belong to.
        temperature: calibrates its probabilities.
    """

    weights: Path
    backbone: Path
    description: Description
    temperature: float

    @property
    def kind(self) -> str:
        """The name of its kind."""
        return self.description.kind

    def network(self, *, many: bool = False) -> Network | StackedNetwork:
        """Build the whole model for ncnn, from a scaled photo to its outputs.

        Args:
            many: for several photos at once, where that takes less time a photo.

        Raises:
            WorkflowError: if weights are missing or not the description's, or ncnn cannot run it.
        """
        if not self.description.suits_ncnn:
            raise WorkflowError(
                f"the {self.description.name} is not run by ncnn, which a packaged model needs: only CNNs that see a "
                "photo once, and heads on VGG16's maps that are not pooled, are; to predict, choose the engine "
                "tensorflow or auto"
            )
        with loading(self.weights):
            return self.description.ncnn_network(self.weights, self.backbone, many=many)

    def keras_model(self) -> "keras.Model":
        """Build the whole model for TensorFlow, from photos (n, size, size, 3) uint8 to P(second class), (n,).

        Raises:
            WorkflowError: if weights are missing or not the description's.
        """
        import_backend()
        from dogs_vs_cats.models.exporting import exported

        return exported(load_predictor(self.weights).open(self.backbone), self.description)


def find_model(project: Path, kind: str | None = None) -> TrainedModel:
    """Find a trained model and its calibration, without loading it.

    Args:
        project: the project's folder.
        kind: which; None: the better one, as the comparison says by log-loss on validation.

    Returns:
        The model.

    Raises:
        WorkflowError: if nothing was trained or compared yet, with the command that does, if the model was trained anew
            since, or if model, comparison and decoded photos are of different classes or sizes.
    """
    path = project / COMPARISON
    if kind is not None:
        read_description(_weights(project, kind))  # what to train is told before what to compare
    try:
        comparison = Comparison.read(path)
    except FileNotFoundError:
        trained = all(_weights(project, other).exists() for other in trained_kinds(project / MODELS))
        advice = "compare them with: dvc repro compare" if trained else "train and compare the models with: dvc repro"
        raise WorkflowError(f"{path}: no comparison of trained models there; {advice}") from None
    kind = kind or comparison.better
    weights = _weights(project, kind)
    description = read_description(weights)
    if kind not in comparison.models:
        raise WorkflowError(f"{path}: {kind} was trained since; compare again with: dvc repro compare")
    if description.classes != comparison.classes:
        raise WorkflowError(
            f"{path}: compares models of {' and '.join(comparison.classes)}, {kind} is one of "
            f"{' and '.join(description.classes)}; run dvc repro"
        )
    compared = comparison.models[kind]
    if weights.exists() and digest_of(weights) != compared.weights:
        raise WorkflowError(f"{path}: {weights.name} was trained anew since; compare again with: dvc repro compare")
    arrays = project / ARRAYS
    if arrays.exists():
        check_fit(describing(weights), description, read_dataset(arrays))
    return _trained(project, description, compared.temperature)


def find_uncompared(project: Path, kind: str) -> TrainedModel:
    """Find a trained model as ``find_model`` does, but without a comparison: its probabilities are not calibrated.

    Raises:
        WorkflowError: if it was not trained yet, with the command that does.
    """
    return _trained(project, read_description(_weights(project, kind)), temperature=1.0)


def _trained(project: Path, description: Description, temperature: float) -> TrainedModel:
    backbone = project / BACKBONE_WEIGHTS
    description.require_weights(backbone)
    return TrainedModel(_weights(project, description.kind), backbone, description, temperature)


@contextmanager
def open_classifier(
    project: Path, model: str | None = None, *, engine: Engine = "auto", photos: int = 1
) -> Iterator[Classifier]:
    """Open a model for photos.

    Args:
        project: the project's folder.
        model: ``scratch``, ``vgg16`` or ``fine_tuned``; ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION`` from MLflow,
            which TensorFlow runs; None: the best one of the project's.
        engine: ``auto``: ncnn where it is installed and can run the model, else TensorFlow.
        photos: about how many will be classified; with many, ncnn runs on every core.

    Yields:
        The model, until the block ends.

    Raises:
        WorkflowError: as ``find_model`` and ``registered_models.open_registered``.
    """
    if model is not None and model.startswith(URI_PREFIX):
        yield open_registered(model, project)
        return
    if model is not None and model not in KINDS:
        raise WorkflowError(f"model {model}: choose {', '.join(KINDS)} or {URI_PREFIX}NAME@ALIAS")
    with open_trained(find_model(project, model), engine=engine, photos=photos) as classifier:
        yield classifier


@contextmanager
def open_trained(trained: TrainedModel, *, engine: Engine = "auto", photos: int = 1) -> Iterator[Classifier]:
    """Open a model that was found in a project.

    Args:
        trained: from ``find_model``.
        engine: as for ``open_classifier``.
        photos: as for ``open_classifier``.

    Yields:
        The model, until the block ends.

    Raises:
        WorkflowError: if weights are missing or not the description's, or the engine cannot run it.
    """
    has_ncnn = importlib.util.find_spec("ncnn") is not None
    if engine == "ncnn" and not has_ncnn:
        raise WorkflowError("ncnn is not installed on this platform; choose the engine tensorflow or auto")
    by_ncnn = trained.description.suits_ncnn and has_ncnn
    if engine == "tensorflow" or (engine == "auto" and not by_ncnn):
        yield _classifier(trained, by_keras(trained.keras_model()))
    elif photos <= trained.description.few_photos:
        with temporary_folder() as folder:
            trained.network().write(folder)
            scaling = trained.description.channel_scaling
            yield _classifier(trained, lambda batch: compute(str(folder), scaling, _seen(trained, batch))[:, -1])
    else:
        workers = count_workers(trained.description.side)
        with NcnnPool(trained.network(many=True), trained.description.channel_scaling, workers) as pool:
            yield _classifier(trained, lambda batch: _in_order(pool, _seen(trained, batch)))


def classify(
    *paths: str | Path, model: str | None = None, project: str | Path = ".", engine: Engine = "auto"
) -> Iterator[Answer | Unread]:
    """Classify photos with a project's model.

    Args:
        paths: photos, and folders of photos. Many start processes, each of which imports the calling script: its
            own work belongs under ``if __name__ == "__main__":``.
        model: as for ``open_classifier``.
        project: the project's folder.
        engine: as for ``open_classifier``.

    Yields:
        An answer, or the reason why there is none, for each photo in turn; then the reason for each other file.

    Raises:
        WorkflowError: if a path is missing, a folder has no photos, or as ``open_classifier``.
    """
    given = [Path(path) for path in paths]
    files = find_photos(given)
    with open_classifier(Path(project), model, engine=engine, photos=len(files)) as classifier:
        yield from classifier.classify(files)
    yield from find_others(given)[0]


def find_photos(paths: Sequence[Path]) -> list[Path]:
    """The files to classify.

    Args:
        paths: photos, and folders with photos in them or in their folders.

    Returns:
        Files as named, whatever they are; of a folder, sorted, those that are not hidden and have a photo's ending or
        begin as one.

    Raises:
        WorkflowError: if a path is missing or something else, or a folder has no photos.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_file():
            found.append(path)
        elif path.is_dir():
            photos = _look_into(path).photos
            if not photos:
                raise WorkflowError(f"{path}: no photos in this folder; name one with .jpg, .png or the like in it")
            found += photos
        else:
            raise WorkflowError(f"{path}: {'no file or folder' if path.exists() else 'no such file or folder'}")
    return found


def find_others(paths: Sequence[Path]) -> tuple[list[Unread], int]:
    """What ``find_photos`` leaves out of folders: files and folders that are not hidden, and how many are."""
    contents = [_look_into(path) for path in paths if path.is_dir()]
    return [other for content in contents for other in content.others], sum(content.hidden for content in contents)


@dataclass(frozen=True)
class _Contents:
    """What is in a folder and its folders."""

    photos: list[Path]
    others: list[Unread]
    hidden: int


def _look_into(folder: Path) -> _Contents:
    names: list[str] = []
    others: list[Unread] = []
    hidden = 0
    seen: set[str] = set()  # folders, since links may lead round in a circle

    def tell(error: OSError) -> None:
        others.append(Unread(str(error.filename), f"the folder cannot be read: {error.strerror}"))

    for place, folders, files in os.walk(folder, followlinks=True, onerror=tell):
        seen.add(os.path.realpath(place))
        shown = [name for name in folders if not _is_hidden(name)]
        hidden += len(folders) - len(shown) + sum(map(_is_hidden, files))
        folders[:] = [name for name in shown if os.path.realpath(f"{place}/{name}") not in seen]
        names += [os.path.relpath(f"{place}/{name}", folder) for name in files if not _is_hidden(name)]
    photos = []
    for name in sorted(names):
        path = folder / name
        if path.suffix.lower() in PHOTO_EXTENSIONS or _begins_as_photo(path):
            photos.append(path)
        else:
            others.append(Unread(str(path), "not a picture"))
    return _Contents(photos, others, hidden)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in {"__macosx", "thumbs.db", "desktop.ini"}


def _begins_as_photo(path: Path) -> bool:
    """Whether a file begins as a photo does, or is none that can be looked at: then it is told when it is tried."""
    try:
        if not path.is_file():
            return True
        with path.open("rb") as file:
            return begins_as_photo(file.read(64))
    except OSError:
        return True


def _weights(project: Path, kind: str) -> Path:
    return project / MODELS / f"{kind}.weights.h5"


def _classifier(trained: TrainedModel, run: Compute) -> Classifier:
    described = trained.description
    return Classifier(trained.kind, described.classes, described.size, described.resampling, trained.temperature, run)


def _seen(trained: TrainedModel, photos: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return scale(photos, trained.description.side, trained.description.resampling)


def _in_order(pool: NcnnPool, photos: NDArray[np.uint8]) -> NDArray[np.float64]:
    probabilities = np.empty(len(photos))
    for start, found in pool.compute(photos):
        probabilities[start : start + len(found)] = found[:, -1]
    return probabilities
