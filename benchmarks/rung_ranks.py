"""Whether short trainings rank settings as the full one does: ``python benchmarks/rung_ranks.py ranks.csv``.

Run it in a project that has run ``dvc repro decode``. The article's settings and others that the search's space holds,
drawn by chance, are each trained at every number of photos, epochs and pixels, by the search's own trials. What a
trial found stays in the search's storage, so the same command goes on after an interruption. ``ranks.csv`` gets a row
for each training. Printed is a table with a row for each of the cheaper trainings, beside the full one:

- Kendall's tau between the validation log-losses of both;
- what a search loses that trains only the best third fully: how far the best of these is behind the best of all there;
- its time, as a share of the full training's.
"""

import argparse
import uuid
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.trial import TrialState
from scipy.stats import kendalltau

from dogs_vs_cats.data.arrays import read_dataset
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.paths import ARRAYS
from dogs_vs_cats.search.crew import Crew
from dogs_vs_cats.search.display import Display
from dogs_vs_cats.search.driving import drive
from dogs_vs_cats.search.plan import Fidelity, Plan
from dogs_vs_cats.search.sampling import article_parameters, suggest
from dogs_vs_cats.search.storage import open_storage, storage_url
from dogs_vs_cats.search.studies import elapsed, open_study
from dogs_vs_cats.settings.params import load_settings

FIDELITY = ["photos", "epochs", "pixels"]


def main() -> None:
    """Train what the storage does not have yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="CSV file")
    parser.add_argument("--settings", type=int, default=27, help="the article's among them (%(default)s)")
    parser.add_argument("--photos", type=int, nargs="+", help="of training, the full training's last (a quarter, all)")
    parser.add_argument("--epochs", type=int, nargs="+", default=[2, 6, 17, 50], help="likewise (%(default)s)")
    parser.add_argument("--pixels", type=int, nargs="+", default=[32, 48], help="a side, likewise (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the settings that are drawn (%(default)s)")
    arguments = parser.parse_args()
    root, settings = Path.cwd(), load_settings(Path("params.yaml"))
    dataset = read_dataset(root / ARRAYS)
    photos = arguments.photos or [dataset.counts["train"] // 4, dataset.counts["train"]]
    full = Fidelity(photos[-1], arguments.epochs[-1], arguments.pixels[-1])
    plan = Plan(
        kind="scratch",
        study="ranks",
        storage=storage_url(settings.search.storage, root),
        root=root,
        settings=settings,
        fidelity=full,
        objectives=("val_loss",),
        seed=arguments.seed,
        trials=arguments.settings,
        digest=dataset.digest,
        driver=uuid.uuid4().hex,
    )
    tried = drawn(plan, arguments.settings, min(arguments.pixels), arguments.seed)
    rows: list[dict[str, Any]] = []
    for fidelity in [*(Fidelity(*one) for one in product(photos, arguments.epochs[:-1], arguments.pixels)), full]:
        name = f"ranks-{arguments.seed}-{fidelity.images}-{fidelity.epochs}-{fidelity.size}"
        rows += _trained(replace(plan, study=name, fidelity=fidelity), tried, arguments.jobs)
        with whole_file(arguments.results) as path:
            pd.DataFrame(rows).to_csv(path, index=False)
    print(ranking(pd.DataFrame(rows)).to_markdown(index=False, disable_numparse=True))


def drawn(plan: Plan, settings: int, pixels: int, seed: int) -> list[dict[str, Any]]:
    """Draw hyperparameters from the search's space, the article's first; each can be built at so many pixels."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    found = [article_parameters("scratch")]
    while len(found) < settings:
        trial = study.ask()
        suggest(trial, plan, pixels)
        found.append(trial.params)
    return found


def _trained(plan: Plan, tried: list[dict[str, Any]], jobs: int) -> list[dict[str, Any]]:
    """Train all settings at the plan's fidelity; return a row for each that has not failed."""
    storage = open_storage(plan.storage, plan.settings.search.heartbeat_seconds)
    study = open_study(plan, storage)
    for params in tried:
        study.enqueue_trial(params, skip_if_exists=True)
    crew = Crew(jobs)
    with Display(plan, study, crew.size) as display:
        drive(plan, study, storage, crew, None, display)
    where = (plan.fidelity.images, plan.fidelity.epochs, plan.fidelity.size)
    return [
        {
            **dict(zip(FIDELITY, where, strict=True)),
            "setting": tried.index(trial.params),
            "log_loss": trial.value,
            "accuracy": trial.user_attrs["validation_accuracy"],
            "seconds": elapsed(trial),
        }
        for trial in study.get_trials(states=(TrialState.COMPLETE,))
        if trial.params in tried  # the study makes up for those that fail with others
    ]


def ranking(rows: pd.DataFrame) -> pd.DataFrame:
    """Compare each cheaper training with the full one, which is the last.

    Args:
        rows: photos, epochs, pixels, setting, log_loss, seconds.

    Returns:
        A row for each, over the settings that failed in neither.
    """
    trainings = [(key, group.set_index("setting")) for key, group in rows.groupby(FIDELITY, sort=False)]
    _, full = trainings[-1]
    table = []
    for key, found in trainings[:-1]:
        both = found.join(full.add_suffix("_full"), how="inner").sort_values("log_loss")
        third = both.head(-(-len(both) // 3))
        table.append(
            {
                **dict(zip(FIDELITY, key, strict=True)),
                "settings": len(both),
                "tau": f"{kendalltau(both['log_loss'], both['log_loss_full']).statistic:.2f}",
                "lost by the best third": f"{third['log_loss_full'].min() - both['log_loss_full'].min():.4f}",
                "time": f"{both['seconds'].sum() / both['seconds_full'].sum():.3f}",
            }
        )
    return pd.DataFrame(table)


if __name__ == "__main__":
    main()
