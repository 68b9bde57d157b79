"""``dogs-vs-cats audit``: photos that a person should look at, as a page and a list."""

from importlib.util import find_spec
from pathlib import Path

import click

from dogs_vs_cats.commands.options import PATH, settings_option
from dogs_vs_cats.errors import WorkflowError, missing_package
from dogs_vs_cats.settings.params import Settings

_LEAST = {"top": 1, "show": 1, "folds": 2, "seed": 0}


@click.command()
@settings_option
@click.option("--data", type=PATH, default="data", show_default=True, help="The workflow's data folder.")
@click.option("--report", type=PATH, default="reports/audit.html", show_default=True, help="Page to write.")
@click.option("--list", "listed", type=PATH, default="reports/audit.csv", show_default=True, help="CSV to write.")
@click.option("--top", default=200, show_default=True, help="Labels, and contents, to list at most.")
@click.option("--show", default=60, show_default=True, help="Photos of each kind on the page.")
@click.option("--folds", default=5, show_default=True, help="Folds of the cross-validation.")
@click.option("--seed", default=2017, show_default=True, help="Seed of the folds.")
def main(settings: Settings, data: Path, report: Path, listed: Path, **numbers: int) -> None:
    """List the photos whose labels, contents, sizes or copies deserve a look; after dvc repro."""
    for option, least in _LEAST.items():
        if numbers[option] < least:
            raise WorkflowError(f"--{option} {numbers[option]}: must be at least {least}")
    if find_spec("cleanlab") is None:
        raise missing_package("audit", "cleanlab")
    from dogs_vs_cats.reports.audit import Method, audit

    print(audit(data, Method(near_duplicate_bits=settings.split.near_duplicate_bits, **numbers), report, listed))
    print(f"look at {report}; every doubt stands in {listed}")
