"""Photos that a person should look at, as a page and a list."""

import argparse
import importlib.util
from pathlib import Path

from dogs_vs_cats.errors import WorkflowError, missing_package
from dogs_vs_cats.settings.params import load_settings


def main(arguments: list[str]) -> None:
    """Audit the labelled photos of the workflow.

    Args:
        arguments: the command line after the command's name.

    Raises:
        WorkflowError: if the photos' features are missing, or the photos too few.
    """
    given = _parse(arguments)
    settings = load_settings(given.params).split
    if importlib.util.find_spec("cleanlab") is None:
        raise missing_package("audit", "cleanlab")

    import numpy as np

    from dogs_vs_cats.audit import auditing
    from dogs_vs_cats.audit.audited_photos import open_audited
    from dogs_vs_cats.data.splits.splitting import group_duplicates
    from dogs_vs_cats.files import whole_file
    from dogs_vs_cats.models.probabilities import class_probabilities, predicted
    from dogs_vs_cats.reports.audit import Method, render, write_list

    images = given.data / "images"
    audited = open_audited(given.data / "raw", images, given.data / "arrays", given.data / "features")
    labels, classes = audited.labels, audited.classes
    prints = [photo.fingerprint for photo in audited.indexed]
    hashes = np.array([print_.perceptual_hash for print_ in prints], dtype=np.uint64)
    groups = group_duplicates(hashes, settings.near_duplicate_bits)
    probabilities = auditing.out_of_fold(audited.features, labels, groups, given.folds, given.seed)
    doubts = [
        *auditing.label_doubts(labels, probabilities, classes, given.top),
        *auditing.content_doubts(audited.features, given.top),
        *auditing.duplicate_doubts(prints, labels, groups, classes),
        *auditing.size_doubts(prints),
    ]
    accuracy = float((predicted(class_probabilities(probabilities[:, None])) == labels).mean())
    method = Method(given.folds, given.seed, settings.near_duplicate_bits, accuracy, given.top)
    page = render(audited, doubts, images, given.show, method)
    with whole_file(given.list) as file:
        write_list(file, audited, doubts)
    with whole_file(given.report) as file:
        file.write_text(page, encoding="utf-8")

    kinds = [doubt.reason for doubt in doubts]
    suspected = sum(doubt.suspected for doubt in doubts)
    print(
        f"{len(labels)} photos: {kinds.count('label')} labels doubted, {suspected} of them suspected wrong; "
        f"{kinds.count('content')} unlike all others; {kinds.count('duplicate')} duplicates; "
        f"{kinds.count('size')} odd sizes"
    )
    print(f"look at {given.report}; every doubt stands in {given.list}")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dogs-vs-cats audit",
        description="List the photos whose labels, contents, sizes or copies deserve a look; after dvc repro.",
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="the settings (%(default)s)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="the workflow's data folder (%(default)s)")
    parser.add_argument("--report", type=Path, default=Path("reports/audit.html"), help="page to write (%(default)s)")
    parser.add_argument("--list", type=Path, default=Path("reports/audit.csv"), help="CSV to write (%(default)s)")
    parser.add_argument("--top", type=int, default=200, help="labels, and contents, to list at most (%(default)s)")
    parser.add_argument("--show", type=int, default=60, help="photos of each kind on the page (%(default)s)")
    parser.add_argument("--folds", type=int, default=5, help="of the cross-validation (%(default)s)")
    parser.add_argument("--seed", type=int, default=2017, help="of the folds (%(default)s)")
    given = parser.parse_args(arguments)
    for option, least in {"top": 1, "show": 1, "folds": 2, "seed": 0}.items():
        if getattr(given, option) < least:
            raise WorkflowError(f"--{option} {getattr(given, option)}: must be at least {least}")
    return given
