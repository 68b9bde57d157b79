"""Every kind of model by its name, and descriptions read back."""

import json
from pathlib import Path

from dogs_vs_cats.data.arrays import Dataset
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.models.kinds.fine_tuned import FineTunedModel
from dogs_vs_cats.models.kinds.scratch import ScratchModel
from dogs_vs_cats.models.kinds.transfer import TransferModel

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
