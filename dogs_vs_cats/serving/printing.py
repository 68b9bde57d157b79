"""What ``dogs-vs-cats predict`` prints: a table, JSON or CSV, and what could not be decoded."""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from dogs_vs_cats.data.spreadsheets import as_cell
from dogs_vs_cats.evaluation.comparison import as_json
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.serving.classifying import Answer, Classifier, Unread
from dogs_vs_cats.serving.trained_models import Engine, find_others, find_photos, open_classifier
from dogs_vs_cats.tables import console

Form: TypeAlias = Literal["table", "json", "csv"]
Row: TypeAlias = dict[str, str | float | None]
"""What JSON and CSV say of a photo."""


def print_answers(photos: Sequence[Path], model: str | None, engine: Engine, form: Form) -> bool:
    """Classify photos and print the answers.

    Args:
        photos: photos, and folders of them.
        model: as for ``open_classifier``.
        engine: as for ``open_classifier``.
        form: CSV is printed line by line, the others at the end.

    Returns:
        Whether all files were answered, but for hidden ones.

    Raises:
        WorkflowError: as ``find_photos`` and ``open_classifier``.
    """
    files, (others, hidden) = find_photos(photos), find_others(photos)
    unread = 0
    with open_classifier(Path(), model, engine=engine, photos=len(files)) as classifier:
        if classifier.temperature is None:
            print(f"{classifier.name} was never compared: its probabilities are not calibrated", file=sys.stderr)
        # One photo needs no bar; of many, the bar must not break into rows that go to the same terminal.
        silent = True if len(files) == 1 or (form == "csv" and sys.stdout.isatty()) else None
        bar = tqdm(classifier.classify(files), total=len(files), desc="predicting", unit="photo", disable=silent)

        def answers() -> Iterator[Answer | Unread]:
            nonlocal unread
            for answer in bar:
                unread += isinstance(answer, Unread)
                yield answer
            yield from others

        _PRINTED[form](answers(), classifier)
    if unread:
        print(f"{unread} of {len(files)} photos could not be decoded", file=sys.stderr)
    if others:
        print(f"{len(others)} other files are no photos", file=sys.stderr)
    if hidden:
        print(f"{hidden} hidden files and folders were left out", file=sys.stderr)
    return not unread and not others


def _row(answer: Answer | Unread, classifier: Classifier) -> Row:
    says = answer if isinstance(answer, Answer) else None
    return {
        "photo": answer.photo,
        "class": says.label if says else None,
        "probability": round(says.probability, 6) if says else None,
        f"p_{classifier.classes[1]}": round(says.second, 6) if says else None,
        "model": classifier.name,
        "error": answer.reason if isinstance(answer, Unread) else None,
    }


def _print_csv(answers: Iterable[Answer | Unread], classifier: Classifier) -> None:
    writer = None
    for row in (_row(answer, classifier) for answer in answers):
        if writer is None:
            writer = csv.DictWriter(sys.stdout, row, lineterminator="\n")
            writer.writeheader()
        writer.writerow({key: as_cell(value) if isinstance(value, str) else value for key, value in row.items()})


def _print_json(answers: Iterable[Answer | Unread], classifier: Classifier) -> None:
    # Other encodings' escapes for characters that they lack are none of JSON's.
    rows = [_row(answer, classifier) for answer in answers]
    print(as_json(rows, ascii_only="utf" not in (sys.stdout.encoding or "").lower()), end="")


def _print_table(answers: Iterable[Answer | Unread], classifier: Classifier) -> None:
    calibrated = "" if classifier.temperature is None else ", calibrated"
    table = Table(title=f"{classifier.name}{calibrated}", title_justify="left")
    table.add_column("photo", overflow="fold")
    table.add_column("class")
    table.add_column("probability", justify="right")
    for answer in answers:
        if isinstance(answer, Answer):
            table.add_row(Text(answer.photo), Text(answer.label), percent(answer.probability))
        else:
            table.add_row(Text(answer.photo), Text(f"not read: {answer.reason}", style="red"), "")
    console().print(table)


_PRINTED: dict[Form, Callable[[Iterable[Answer | Unread], Classifier], None]] = {
    "table": _print_table,
    "json": _print_json,
    "csv": _print_csv,
}
