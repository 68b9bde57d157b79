"""``dogs-vs-cats experiments``: every DVC experiment beside the committed result, in a terminal's width."""

from pathlib import Path

import click


@click.command()
@click.option("--commits", type=click.IntRange(min=1), default=1, show_default=True, help="How many, from the latest.")
def main(commits: int) -> None:
    """List the experiments of the latest commits with the models' results and the settings that they changed."""
    from dogs_vs_cats.reports.experiments import print_experiments

    print_experiments(Path(), commits)
