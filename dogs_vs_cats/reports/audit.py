"""An audit as a list for programs and as one HTML page that opens anywhere: no network, no script, pictures inside."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats.audit.audited_photos import AuditedPhotos
from dogs_vs_cats.audit.auditing import Doubt, Reason
from dogs_vs_cats.data.decoding.index import REPAIR
from dogs_vs_cats.data.decoding.many import in_threads
from dogs_vs_cats.data.decoding.photos import RefusedPhotoError, thumbnail
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.reports.pages import data_uri, environment

COLUMNS = ("file", "class", "split", "reason", "score", "suggested_class", "duplicate_of", "detail")
THUMBNAIL = 180


@dataclass(frozen=True)
class Method:
    """How an audit was made.

    Attributes:
        folds: of the cross-validation.
        seed: of the folds.
        near_duplicate_bits: ``split.near_duplicate_bits``.
        accuracy: of the out-of-fold predictions, a share.
        most: doubtful labels, and odd contents, that are listed at most.
    """

    folds: int
    seed: int
    near_duplicate_bits: int
    accuracy: float
    most: int


def write_list(path: Path, audited: AuditedPhotos, doubts: Sequence[Doubt]) -> None:
    """Write the doubts as CSV, in their order.

    Args:
        path: the file to write.
        audited: the photos.
        doubts: about them.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for doubt in doubts:
            photo = audited.indexed[doubt.photo]
            writer.writerow((
                audited.names[doubt.photo],
                photo.label,
                photo.split,
                doubt.reason,
                f"{doubt.score:.6f}",
                "" if doubt.suggested is None else audited.classes[doubt.suggested],
                "" if doubt.duplicate_of is None else audited.names[doubt.duplicate_of],
                doubt.detail,
            ))  # fmt: skip


def render(audited: AuditedPhotos, doubts: Sequence[Doubt], images: Path, shown: int, method: Method) -> str:
    """The page.

    Args:
        audited: the photos.
        doubts: about them, the surest first.
        images: the images folder.
        shown: photos to show of each kind of doubt, at most.
        method: how the audit was made.

    Returns:
        HTML that loads nothing from anywhere; the user's class and file names are escaped.

    Raises:
        WorkflowError: if a photo is gone or damaged.
    """
    kinds: dict[Reason, list[Doubt]] = {"label": [], "content": [], "duplicate": [], "size": []}
    for doubt in doubts:
        kinds[doubt.reason].append(doubt)
    visible = {kind: listed[:shown] for kind, listed in kinds.items()}
    rows = {doubt.photo for listed in visible.values() for doubt in listed}
    rows |= {doubt.duplicate_of for doubt in visible["duplicate"] if doubt.duplicate_of is not None}
    return environment().get_template("audit.html.j2").render(
        audited=audited,
        counts=np.bincount(audited.labels, minlength=2).tolist(),
        kinds=kinds,
        visible=visible,
        pictures=_thumbnails(audited, sorted(rows), images),
        method=method,
        drawn=audited.source == "drawn",
    )  # fmt: skip


def _thumbnails(audited: AuditedPhotos, rows: Sequence[int], images: Path) -> dict[int, str]:
    def shrink(row: int) -> str:
        path = images / audited.indexed[row].file
        try:
            return data_uri(thumbnail(path.read_bytes(), THUMBNAIL), "jpeg")
        except FileNotFoundError:
            raise WorkflowError(f"{path}: missing; {REPAIR}") from None
        except RefusedPhotoError as error:
            raise WorkflowError(f"{path}: {error}; {REPAIR}") from None

    return dict(zip(rows, in_threads(shrink, rows), strict=True))
