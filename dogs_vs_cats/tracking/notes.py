"""Descriptions of runs and model versions in Markdown: what a model is, what it reaches, how to make it and load it."""

import re
from collections.abc import Sequence

from dogs_vs_cats.tracking.making import Making

NOTE = "mlflow.note.content"
"""The tag that MLflow shows as a run's or an experiment's description."""
VERSION = "{version}"
"""Stands in a version's description for its number, which MLflow gives it."""
ALIASES = "What each alias names:"
"""Begins a registered model's description that is made from its versions'."""
_SHORT = 7  # digits of a commit


def model_note(name: str, photos: str, classes: Sequence[str], results: Sequence[str], making: Making) -> str:
    """Describe a trained model.

    Args:
        name: what it is called.
        photos: that it was trained on, in few words.
        classes: their names.
        results: what it reaches, a line each.
        making: how it came about.
    """
    by = f"made by {code(making.command)}"
    if making.commit is not None:
        by += f" at commit {code(making.commit[:_SHORT])}{', with changes to the code since' * making.changed}"
    lines = [f"**{name}**, trained on {photos} of {', '.join(map(code, classes))}.", "", *(f"- {it}" for it in results)]
    return "\n".join([*lines, f"- {by}", ""])


def run_note(note: str) -> str:
    """Add to a description what a training's metrics are, which MLflow sorts into groups by their names."""
    return (
        f"{note}\nMetrics under {code('train/')}, {code('val/')} and {code('test/')} are what the kept weights reach; "
        f"those under {code('epoch/')} are the curves that led there.\n"
    )


def version_note(note: str, registered_model: str, size: int, positive: str) -> str:
    """Add to a model's description how the version that takes decoded photos is loaded.

    Args:
        note: of ``model_note``.
        registered_model: what the version is of.
        size: pixels a side of the photos that it takes.
        positive: the second class.
    """
    address = f"models:/{registered_model}/{VERSION}"
    return (
        f"{note}\nIt takes decoded photos, (n, {size}, {size}, 3) uint8, and gives P({code(positive)}) of each:\n\n"
        f'```python\nmlflow.pyfunc.load_model("{address}").predict(photos)\n```\n\n'
        f"For photo files: {code(f'dogs-vs-cats predict PHOTO --model {address}')}\n"
    )


def code(text: str) -> str:
    """Return a text as Markdown's code, whatever is in it."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " * (len(fence) > 1)
    return f"{fence}{pad}{' '.join(text.split())}{pad}{fence}"
