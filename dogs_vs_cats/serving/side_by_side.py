"""The trained models on one photo: what each says of it, as ``predict`` does, and where it looks."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dogs_vs_cats.data.decoding.photos import RefusedPhotoError, squash, use
from dogs_vs_cats.models.saved import load_predictor, trained_kinds
from dogs_vs_cats.paths import MODELS
from dogs_vs_cats.reports.overlays import overlay
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.serving.classifying import LARGEST_SENT
from dogs_vs_cats.serving.trained_models import find_model, open_trained

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from dogs_vs_cats.models.opened import OpenNetwork
    from dogs_vs_cats.serving.classifying import Answer, Classifier
    from dogs_vs_cats.serving.trained_models import TrainedModel

SHOWN = 480  # pixels of the longer side of a photo on a page; smaller photos stay as they are


@dataclass(frozen=True)
class Seen:
    """A photo, and what the models say of it.

    Attributes:
        photo: (height, width, 3) uint8 RGB, upright, small enough for a page.
        squashed: by model, (size, size, 3) uint8 RGB, as the model takes it.
        answers: by model.
    """

    photo: NDArray[np.uint8]
    squashed: dict[str, NDArray[np.uint8]]
    answers: dict[str, Answer]


class SideBySide:
    """The trained models, open.

    Args:
        trained: by kind, where they are.
        classifiers: by kind, the same, ready for photos.
        better: which of them the comparison found best.
    """

    def __init__(self, trained: Mapping[str, TrainedModel], classifiers: Mapping[str, Classifier], better: str) -> None:
        self.better = better
        self.names = {kind: model.description.name for kind, model in trained.items()}
        self.classes = trained[better].description.classes
        self._trained, self._classifiers = trained, classifiers

    def say(self, name: str, data: bytes) -> Seen:
        """Decode a photo and classify it.

        Args:
            name: what the answers call it.
            data: the file's bytes.

        Returns:
            The answers that ``predict`` gives, and what is needed to look further.

        Raises:
            RefusedPhotoError: if it is too large or no photo that can be decoded; its text is the reason.
            WorkflowError: if a model's output is no number.
        """
        if len(data) > LARGEST_SENT:
            raise RefusedPhotoError(f"more than {LARGEST_SENT // 10**6} MB")
        classifiers = self._classifiers

        def made_small(photo: Image.Image) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.uint8]]]:
            squashed = {kind: squash(photo, model.size, model.resampling) for kind, model in classifiers.items()}
            photo.thumbnail((SHOWN, SHOWN))
            return np.asarray(photo), squashed

        photo, squashed = use(data, max(model.size for model in classifiers.values()), made_small)
        answers = {
            kind: model.answer(name, float(model.probabilities(squashed[kind][None])[0]))
            for kind, model in classifiers.items()
        }
        return Seen(photo, squashed, answers)

    def look(self, seen: Seen) -> dict[str, NDArray[np.uint8] | None]:
        """Where the models look for the class that they say. The first call waits for TensorFlow.

        Returns:
            By model, Grad-CAM over the photo, in its shape; None of a network without convolutions.

        Raises:
            WorkflowError: if weights are missing or damaged.
        """
        networks = self.networks
        from dogs_vs_cats.explanation.grad_cam import grad_cam

        overlays: dict[str, NDArray[np.uint8] | None] = {}
        for kind, network in networks.items():
            overlays[kind] = None
            if network.convolutions:
                evidence, _ = grad_cam(network, seen.squashed[kind][None])
                says = self.classes.index(seen.answers[kind].label)
                overlays[kind] = overlay(seen.photo, evidence[0], says)
        return overlays

    @cached_property
    def networks(self) -> dict[str, OpenNetwork]:
        """The networks laid open in TensorFlow, which takes seconds to import."""
        import_backend()
        return {kind: load_predictor(model.weights).open(model.backbone) for kind, model in self._trained.items()}


@contextmanager
def open_side_by_side(project: Path) -> Iterator[SideBySide]:
    """Open the models of a project.

    Args:
        project: the project's folder.

    Yields:
        The models, until the block ends.

    Raises:
        WorkflowError: as ``find_model`` and ``open_trained``; what is missing or damaged is told here.
    """
    better = find_model(project).kind
    trained = {kind: find_model(project, kind) for kind in trained_kinds(project / MODELS)}
    with ExitStack() as opened:
        classifiers = {kind: opened.enter_context(open_trained(model)) for kind, model in trained.items()}
        yield SideBySide(trained, classifiers, better)
