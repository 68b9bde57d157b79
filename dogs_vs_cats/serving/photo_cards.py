"""What the page shows of each photo, as HTML: the models' answers, or the reason why there is none."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dogs_vs_cats.numerals import percent
from dogs_vs_cats.reports.overlays import overlay
from dogs_vs_cats.reports.pages import data_uri, environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dogs_vs_cats.serving.side_by_side import Seen, SideBySide

# Beside those of the reports, which a stage depends on.
TEMPLATES = Path(__file__).parent / "templates"
_GREY = 128


def answer_card(
    models: SideBySide,
    name: str,
    seen: Seen,
    overlays: Mapping[str, NDArray[np.uint8] | None] | None = None,
    note: str = "finding where it looks …",
) -> str:
    """What the models say of a photo.

    Args:
        models: the models.
        name: the photo's file name.
        seen: the photo and the answers.
        overlays: where the models look; None: not known.
        note: what stands in their place then.

    Returns:
        HTML that loads nothing; the name and the classes are escaped.
    """
    said = {answer.label for answer in seen.answers.values()}
    rows = [
        {
            "name": models.names[kind],
            "better": kind == models.better,
            "label": answer.label,
            "probability": answer.probability,
            "share": percent(answer.probability),
            "overlay": None if not overlays or (looks := overlays[kind]) is None else _picture(looks),
        }
        for kind, answer in seen.answers.items()
    ]
    return environment(TEMPLATES).get_template("answer.html.j2").render(
        name=name, photo=_picture(seen.photo), rows=rows, agreed=said.pop() if len(said) == 1 else None,
        note="no convolution to look into" if overlays else note,
    )  # fmt: skip


def refusal_card(name: str, reason: str) -> str:
    """Why a file has no answer; the name is escaped."""
    return environment(TEMPLATES).get_template("refusal.html.j2").render(name=name, reason=reason)


def facts() -> str:
    """What is to be known of all answers, as HTML with the overlays' colours."""
    evidence = np.linspace(0, 1, 64, dtype=np.float32)[None]
    scale = overlay(np.full((1, 64, 3), _GREY, np.uint8), evidence, 1)
    return environment(TEMPLATES).get_template("facts.html.j2").render(scale=_picture(scale))


def style() -> str:
    """The page's CSS: that of the reports, and its own."""
    return "\n".join((environment().get_template("style.css").render(), (TEMPLATES / "page.css").read_text("utf-8")))


def _picture(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    return data_uri(file.getvalue(), "jpeg")
