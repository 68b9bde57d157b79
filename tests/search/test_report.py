"""What a study's page says."""

import re

import optuna
from optuna.samplers import RandomSampler

from dogs_vs_cats.search.plan import Fidelity, Plan
from dogs_vs_cats.search.report import render, summary
from dogs_vs_cats.search.sampling import article_parameters, suggest
from dogs_vs_cats.search.studies import ARTICLE
from dogs_vs_cats.settings.params import Settings
from tests.conftest import ROOT

RESIDUAL = {"network": "residual", "schedule": "one_cycle", "optimizer": "adam", "adam_learning_rate": 0.001}


def page_of(settings: Settings) -> str:
    """Of a study with the article's settings, the residual CNN, which is better, and more."""
    plan = Plan("scratch", "s", "", ROOT, settings, Fidelity(None, 3), ("val_loss",), 1, 10, "0")
    study = optuna.create_study(sampler=RandomSampler(1))
    study.enqueue_trial(article_parameters("scratch"), user_attrs={ARTICLE: True})
    study.enqueue_trial(RESIDUAL)
    for loss in (0.6, 0.4, 0.5, 0.7):
        trial = study.ask()
        suggest(trial, plan, 64)
        trial.set_user_attr("validation_accuracy", 1 - loss / 2)
        study.tell(trial, loss)
    return render(plan, study, summary(plan, study, None), None)


def rows_of(page: str) -> dict[str, tuple[str, str, bool]]:
    """The settings' table: by name, the article's, the best trial's, and whether they are marked as different."""
    row = r'<tr( class="differs")?><th scope="row">([a-z0-9_.]+)</th><td>(.*?)</td><td>(.*?)</td></tr>'
    return {name: (theirs, ours, bool(marked)) for marked, name, theirs, ours in re.findall(row, page)}


def test_the_best_settings_stand_beside_the_articles(settings: Settings) -> None:
    rows = rows_of(page_of(settings))
    assert rows["network.name"] == ("cnn", "residual", True)
    assert rows["network.output"] == ("softmax", "softmax", False)
    # The residual CNN has one shape, whatever stands in the settings for cnn's.
    assert rows["network.dense"] == ("[64]", "-", True)
    assert rows["optimizer.schedule"] == ("time_decay", "one_cycle", True)
    assert rows["early_stopping.patience"] == ("3", "-", True)
    assert "early_stopping" not in rows
    sections = [name.partition(".")[0] for name in rows]
    assert sorted(sections, key=sections.index) == sections


def test_the_best_accuracy_stands_beside_the_articles(settings: Settings) -> None:
    assert re.search(r"validation accuracy</th>\s*<td>70.00 %</td>\s*<td>80.00 %</td>", page_of(settings))


def test_every_hyperparameter_is_named_beside_its_importance(settings: Settings) -> None:
    page = page_of(settings)
    figure = page.split("<h2>Importances</h2>")[1].split("</section>")[0]
    assert '"dtick":1' in figure
    assert int(re.findall(r'"height":(\d+)', figure)[0]) > 500
