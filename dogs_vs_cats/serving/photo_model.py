"""The model that ``mlflow models serve`` runs: photos as base64 in, classes with calibrated probabilities out.

MLflow runs a copy of this file ("models from code") beside a copy of the package, on a machine that may have neither
the project nor TensorFlow.
"""

import base64
import binascii
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE
from mlflow.pyfunc import PythonModel, PythonModelContext
from pydantic import BaseModel, ConfigDict, Field

from dogs_vs_cats.data.decoding.memory import return_freed_memory
from dogs_vs_cats.data.decoding.photos import RefusedPhotoError, decode
from dogs_vs_cats.data.scaling import scale
from dogs_vs_cats.models.ncnn.engine import compute
from dogs_vs_cats.serving.classifying import LARGEST_SENT, MOST_SENT, Classifier

# MLflow's server has a thread for each request, six on two cores; the others say at once that these are busy.
_REQUESTS = 4  # worked on at once
_WAIT = 5  # seconds for one of them to end
_WORK = 30  # seconds that a request may take; after 60 the server answers 504, and would work on


class RefusedRequestError(MlflowException):  # type: ignore[misc]
    """A request that cannot be answered: status 400 or 503, and the reason."""

    def __init__(self, reason: str, error_code: int = INVALID_PARAMETER_VALUE) -> None:
        self._reason = reason
        super().__init__(reason, error_code=error_code)

    @property
    def message(self) -> str:
        """The reason."""
        return self._reason

    @message.setter
    def message(self, text: str) -> None:
        """Keep to the reason: MLflow's server would put the whole request, megabytes of base64, before it."""


class Classified(BaseModel):
    """What the model says of a photo.

    Attributes:
        label: the class; ``class`` in JSON.
        probability: of that class, calibrated.
        probabilities: of both classes.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    label: str = Field(serialization_alias="class")
    probability: float
    probabilities: dict[str, float]


class PhotoModel(PythonModel):  # type: ignore[misc]
    """A trained model that takes photos as people have them."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the network and what it is to be told of photos."""
        return_freed_memory()
        folder = context.artifacts["network"]
        facts = json.loads((Path(folder) / "classifier.json").read_text(encoding="utf-8"))
        factor, offset, reverse = facts.pop("scaling")
        scaling = (float(factor), tuple(offset), bool(reverse))
        side = facts.pop("side")
        self._classifier = Classifier(
            **facts | {"classes": tuple(facts["classes"])},
            compute=lambda photos: compute(folder, scaling, scale(photos, side, facts["resampling"]))[:, -1],
        )
        self._places, self._alone = threading.BoundedSemaphore(_REQUESTS), threading.Lock()

    def predict(self, model_input: list[str]) -> list[Classified]:
        """Classify photos.

        Args:
            model_input: JPEG, PNG, ... files in base64, at most 64 of at most 20 MB each.

        Returns:
            An answer for each, in their order.

        Raises:
            RefusedRequestError: if there are too many, or one is too large, no base64, or no photo; or if the server is
                busy, or the photos take too long.
        """
        if not 0 < len(model_input) <= MOST_SENT:
            raise RefusedRequestError(f"{len(model_input)} photos; send 1 to {MOST_SENT} in a request")
        with self._place():
            end, photos = time.monotonic() + _WORK, []
            for number, text in enumerate(model_input, start=1):
                if time.monotonic() > end:
                    reason = f"{number - 1} of {len(model_input)} photos took {_WORK} seconds; send fewer in a request"
                    raise RefusedRequestError(reason, TEMPORARILY_UNAVAILABLE)
                try:
                    photos.append(self._decode(text))
                except RefusedPhotoError as error:
                    raise RefusedRequestError(f"photo {number} of {len(model_input)}: {error}") from None
            with self._alone:
                probabilities = self._classifier.probabilities(np.stack(photos))
        return [self._answer(float(probability)) for probability in probabilities]

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=_WAIT):
            reason = f"busy with {_REQUESTS} other requests; send it again in a few seconds"
            raise RefusedRequestError(reason, TEMPORARILY_UNAVAILABLE)
        try:
            yield
        finally:
            self._places.release()

    def _decode(self, text: str) -> np.ndarray:
        if len(text) > LARGEST_SENT * 4 // 3 + 4:
            raise RefusedPhotoError(f"more than {LARGEST_SENT // 10**6} MB")
        try:
            data = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise RefusedPhotoError(f"not base64 ({error})") from None
        return decode(data, self._classifier.size, self._classifier.resampling)

    def _answer(self, second: float) -> Classified:
        answer = self._classifier.answer("", second)
        probabilities = dict(zip(self._classifier.classes, (1 - second, second), strict=True))
        return Classified(label=answer.label, probability=answer.probability, probabilities=probabilities)


set_model(PhotoModel())
