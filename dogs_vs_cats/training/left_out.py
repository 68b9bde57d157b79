"""What a training leaves that the settings leave out: DVC has no stage with outputs that may be missing."""

from pathlib import Path

from dogs_vs_cats.files import whole_file
from dogs_vs_cats.models.saved import write_no_model

_COLUMNS = ("epoch", "accuracy", "log_loss", "val_accuracy", "val_log_loss")
"""Those that ``dvc plots`` draws."""


def leave_out(weights: Path, reports: Path) -> None:
    """Write no weights, a description that says so, and a history, metrics and timing of nothing.

    Args:
        weights: ``NAME.weights.h5``.
        reports: folder for ``history.csv``, ``metrics.json`` and ``timing.json``.
    """
    write_no_model(weights)
    nothing = {"history.csv": ",".join(_COLUMNS), "metrics.json": "{}", "timing.json": "{}"}
    for name, text in nothing.items():
        with whole_file(reports / name) as path:
            path.write_text(f"{text}\n", encoding="utf-8")
