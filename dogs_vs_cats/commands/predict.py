"""``dogs-vs-cats predict``: the class of photos, and how sure the model is of it."""

import argparse
import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dogs_vs_cats.serving.classifying import Answer, Classifier, Unread


def main(arguments: list[str]) -> None:
    """Classify the photos that the command line names; the exit status is 1 if any could not be decoded."""
    given = _parse(arguments)

    # Here, not above: --help and bad arguments are answered at once.
    from tqdm import tqdm

    from dogs_vs_cats.serving.trained_models import find_photos, open_classifier

    files = find_photos(given.photos)
    unread = 0
    with open_classifier(Path(), given.model, engine=given.engine, photos=len(files)) as classifier:
        if classifier.temperature is None:
            print(f"{classifier.name} was never compared: its probabilities are not calibrated", file=sys.stderr)
        # One photo needs no bar; of many, the bar must not break into rows that go to the same terminal.
        silent = True if len(files) == 1 or (given.csv and sys.stdout.isatty()) else None
        bar = tqdm(classifier.classify(files), total=len(files), desc="predicting", unit="photo", disable=silent)
        show = _show_csv if given.csv else _show_json if given.json else _show_table
        unread = show(bar, classifier)
    if unread:
        print(f"{unread} of {len(files)} photos could not be decoded", file=sys.stderr)
        sys.exit(1)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dogs-vs-cats predict", description="Say of which class photos are, with calibrated probabilities."
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO_OR_FOLDER", help="photos, or folders of them")
    parser.add_argument(
        "--model",
        help="scratch or vgg16 of the project in the current folder (the one that the comparison found better), "
        "or MLflow's models:/NAME@ALIAS or models:/NAME/VERSION",
    )
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="print JSON in place of a table")
    formats.add_argument("--csv", action="store_true", help="print CSV, a line for each photo as it is done")
    parser.add_argument(
        "--engine",
        choices=["auto", "ncnn", "tensorflow"],
        default="auto",
        help="what runs the project's models: auto is ncnn, which starts at once and needs no GPU (%(default)s)",
    )
    return parser.parse_args(arguments)


def _row(answer: "Answer | Unread", classifier: "Classifier") -> dict[str, Any]:
    """What JSON and CSV say of a photo."""
    from dogs_vs_cats.serving.classifying import Answer

    read = answer if isinstance(answer, Answer) else None
    return {
        "photo": answer.photo,
        "class": read and read.label,
        "probability": read and round(read.probability, 6),
        f"p_{classifier.classes[1]}": read and round(read.second, 6),
        "model": classifier.name,
        "error": None if isinstance(answer, Answer) else answer.reason,
    }


def _show_csv(answers: Iterable["Answer | Unread"], classifier: "Classifier") -> int:
    writer, unread = None, 0
    for answer in answers:
        row = _row(answer, classifier)
        if writer is None:
            writer = csv.DictWriter(sys.stdout, row, lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
        unread += row["error"] is not None
    return unread


def _show_json(answers: Iterable["Answer | Unread"], classifier: "Classifier") -> int:
    from dogs_vs_cats.evaluation.comparison import as_json

    rows = [_row(answer, classifier) for answer in answers]
    print(as_json(rows), end="")
    return sum(row["error"] is not None for row in rows)


def _show_table(answers: Iterable["Answer | Unread"], classifier: "Classifier") -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dogs_vs_cats.serving.classifying import Answer

    calibrated = "" if classifier.temperature is None else ", calibrated"
    table = Table(title=f"{classifier.name}{calibrated}", title_justify="left")
    table.add_column("photo", overflow="fold")
    table.add_column("class")
    table.add_column("probability", justify="right")
    unread = 0
    for answer in answers:
        if isinstance(answer, Answer):
            table.add_row(Text(answer.photo), Text(answer.label), f"{answer.probability:.1%}")
        else:
            table.add_row(Text(answer.photo), Text(f"not read: {answer.reason}", style="red"), "")
            unread += 1
    Console().print(table)
    return unread
