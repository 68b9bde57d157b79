"""A project that was moved or copied: the places of artifacts in its ``mlflow.db``, which MLflow keeps absolute."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tqdm import tqdm

from dogs_vs_cats.files import whole_file

RUNS = "mlruns"
_ROOT = ".root"
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def bring_home(database: Path, root: Path) -> None:
    """Have the places in a project's own database lie in the project's folder, wherever they were recorded.

    Only places below the ``mlruns`` of the folder that the project was moved or copied from change, all in one
    transaction. Where that was stands in ``mlruns/.root``; a project without that file is told by its artifacts.

    Args:
        database: MLflow's, below ``root``.
        root: the project's folder, absolute.

    Raises:
        OSError: if the database cannot be written to.
    """
    marker = root / RUNS / _ROOT
    if marker.exists() and marker.read_text(encoding="utf-8") == str(root):
        return
    try:
        with closing(sqlite3.connect(database.as_uri() + "?mode=rw", uri=True)) as connection:
            known = {marker.read_text(encoding="utf-8")} if marker.exists() else set(_former(connection, root))
            with connection:
                for former in sorted(known):
                    if _rewrite(connection, Path(former), root):
                        line = f"tracking: this project was in {former}; its runs are looked for in {root} now"
                        tqdm.write(line, file=sys.stderr)
    except sqlite3.Error as error:
        raise OSError(f"{database}: {error}") from error
    with whole_file(marker) as file:
        file.write_text(str(root), encoding="utf-8")


def _former(connection: sqlite3.Connection, root: Path) -> Iterator[str]:
    """Find where a project was before: there is nothing there any more, or artifacts from there are here too."""
    places = [_path(place) for (place,) in connection.execute("SELECT artifact_location FROM experiments")]
    runs = [_path(place) for (place,) in connection.execute("SELECT artifact_uri FROM runs")]
    for former in {parent.parent for place in places for parent in (place, *place.parents) if parent.name == RUNS}:
        moved = [root / run.relative_to(former) for run in runs if run.is_relative_to(former / RUNS)]
        if former != root and (not (former / RUNS).exists() or any(run.exists() for run in moved)):
            yield str(former)


def _path(place: str | None) -> Path:
    parts = urlsplit(place or "")
    return Path(unquote(parts.path)) if parts.scheme == "file" else Path(place or "")


def _rewrite(connection: sqlite3.Connection, former: Path, root: Path) -> int:
    """Change the places below one folder's ``mlruns``; return how many there were."""
    count = 0
    for table, column in _PLACES:
        for before, after in (
            ((former / RUNS).as_uri(), (root / RUNS).as_uri()),
            (str(former / RUNS), str(root / RUNS)),
        ):
            count += connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?)"  # noqa: S608 - names from above
                f" WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (after, len(before) + 1, before, len(before) + 1, f"{before}/"),
            ).rowcount
    return count
