"""An audit as a list for programs and as one HTML page that opens anywhere: no network, no script, pictures inside."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats.audit import auditing
from dogs_vs_cats.audit.audited_photos import AuditedPhotos, open_audited
from dogs_vs_cats.audit.auditing import Doubt, Reason
from dogs_vs_cats.data.decoding.index import REPAIR
from dogs_vs_cats.data.decoding.many import in_threads
from dogs_vs_cats.data.decoding.photos import RefusedPhotoError, thumbnail
from dogs_vs_cats.data.splits.splitting import group_duplicates
from dogs_vs_cats.data.spreadsheets import as_cell
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.models.probabilities import class_probabilities, predicted
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.reports.pages import data_uri, environment

COLUMNS = ("file", "class", "split", "reason", "score", "suggested_class", "duplicate_of", "detail")
THUMBNAIL = 180


@dataclass(frozen=True)
class Method:
    """How an audit is made.

    Attributes:
        near_duplicate_bits: ``split.near_duplicate_bits``.
        top: doubtful labels, and odd contents, that are listed at most.
        show: photos of each kind of doubt on the page, at most.
        folds: of the cross-validation.
        seed: of the folds.
    """

    near_duplicate_bits: int
    top: int
    show: int
    folds: int
    seed: int


def audit(data: Path, method: Method, page: Path, listed: Path) -> str:
    """Audit the labelled photos of the workflow; write every doubt as CSV, and the surest as a page.

    Args:
        data: the workflow's data folder.
        method: how.
        page: the HTML file to write.
        listed: the CSV file to write.

    Returns:
        What was found, in a line.

    Raises:
        WorkflowError: if the photos' features are missing, a photo is gone or damaged, or there are too few.
    """
    images = data / "images"
    audited = open_audited(data / "raw", images, data / "arrays", data / "features")
    labels, classes = audited.labels, audited.classes
    prints = [photo.fingerprint for photo in audited.indexed]
    hashes = np.array([print_.perceptual_hash for print_ in prints], dtype=np.uint64)
    groups = group_duplicates(hashes, method.near_duplicate_bits)
    probabilities = auditing.out_of_fold(audited.features, labels, groups, method.folds, method.seed)
    doubts = [
        *auditing.label_doubts(labels, probabilities, classes, method.top),
        *auditing.content_doubts(audited.features, method.top),
        *auditing.duplicate_doubts(prints, labels, groups, classes),
        *auditing.size_doubts(prints),
    ]
    accuracy = float((predicted(class_probabilities(probabilities[:, None])) == labels).mean())
    text = _render(audited, doubts, images, method, accuracy)
    with whole_file(listed) as file:
        _write_list(file, audited, doubts)
    with whole_file(page) as file:
        file.write_text(text, encoding="utf-8")
    reasons = [doubt.reason for doubt in doubts]
    return (
        f"{len(labels)} photos: {reasons.count('label')} labels doubted, "
        f"{sum(doubt.suspected for doubt in doubts)} of them suspected wrong; "
        f"{reasons.count('content')} unlike all others; {reasons.count('duplicate')} duplicates; "
        f"{reasons.count('size')} odd sizes"
    )


def _write_list(path: Path, audited: AuditedPhotos, doubts: Sequence[Doubt]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for doubt in doubts:
            photo = audited.indexed[doubt.photo]
            writer.writerow((
                as_cell(audited.names[doubt.photo]),
                as_cell(photo.label or ""),
                photo.split,
                doubt.reason,
                f"{doubt.score:.6f}",
                "" if doubt.suggested is None else as_cell(audited.classes[doubt.suggested]),
                "" if doubt.duplicate_of is None else as_cell(audited.names[doubt.duplicate_of]),
                as_cell(doubt.detail),
            ))  # fmt: skip


def _render(audited: AuditedPhotos, doubts: Sequence[Doubt], images: Path, method: Method, accuracy: float) -> str:
    """Return the page, whose class and file names are escaped."""
    kinds: dict[Reason, list[Doubt]] = {"label": [], "content": [], "duplicate": [], "size": []}
    for doubt in doubts:
        kinds[doubt.reason].append(doubt)
    visible = {kind: listed[: method.show] for kind, listed in kinds.items()}
    rows = {doubt.photo for listed in visible.values() for doubt in listed}
    rows |= {doubt.duplicate_of for doubt in visible["duplicate"] if doubt.duplicate_of is not None}
    return environment().get_template("audit.html.j2").render(
        audited=audited,
        counts=np.bincount(audited.labels, minlength=2).tolist(),
        kinds=kinds,
        visible=visible,
        pictures=_thumbnails(audited, sorted(rows), images),
        method=method,
        accuracy=accuracy,
        percent=percent,
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
