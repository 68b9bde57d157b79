"""``dogs-vs-cats judge``: what trained models reach, each and together, in one project or several."""

from pathlib import Path

import click

from dogs_vs_cats.commands.options import PATH
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.runtime import import_backend


@click.command()
@click.option("--submission", type=PATH, help="CSV file to write: what they submit together for the unlabelled photos.")
@click.argument("weights", type=PATH, nargs=-1, required=True, metavar="PROJECT/models/KIND.weights.h5...")
def main(submission: Path | None, weights: tuple[Path, ...]) -> None:
    """Judge trained models on validation and test photos, each and all together.

    Together is the mean of their log-odds, with weights fitted on validation. They may be of several projects, such as
    one for each backbone, whose settings of download and split are the same.
    """
    if len({*weights}) < len(weights):
        raise WorkflowError("judge: a model is named twice; name each once")
    import_backend()
    from dogs_vs_cats.data.arrays import has_split
    from dogs_vs_cats.evaluation.ensemble import NAME as ENSEMBLE
    from dogs_vs_cats.evaluation.predicting import load_members
    from dogs_vs_cats.evaluation.submitting import submission_of
    from dogs_vs_cats.reports.judging import judge

    members = load_members(weights)
    arrays = members[str(weights[0])].prepared.arrays
    if submission is not None and not has_split(arrays, "unlabelled"):
        raise WorkflowError(f"{arrays}: no unlabelled photos to submit anything for; set download.test_path")
    validation = judge(members)
    if submission is not None:
        submitted = submission_of(members, validation, ENSEMBLE)
        submitted.write(submission)
        print(f"{submission}: {submitted.told}")
