"""Rungs: which trials train longer, and how many."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.search.figures import interactive
from dogs_vs_cats.search.plan import RUNG, Fidelity, Plan
from dogs_vs_cats.search.report import render, summary
from dogs_vs_cats.search.rungs import (
    PARENT,
    doubt,
    fidelities,
    queue_rung,
    results,
    rung_sizes,
    seconds_left,
    targets,
    tau,
)
from dogs_vs_cats.search.sampling import STAGE, article_parameters, suggest, trial_settings
from dogs_vs_cats.search.studies import ARTICLE, REASON, ranked
from dogs_vs_cats.settings.params import Settings, load_settings
from dogs_vs_cats.settings.spaces import Rung
from dogs_vs_cats.tracking.tracked_runs import client
from tests.conftest import ROOT
from tests.search.conftest import Project

FRESH = [(0, 0)] * 4
ARTICLE_PARAMS = article_parameters("scratch")


@pytest.mark.parametrize(
    ("trials", "sizes"),
    [
        (1, [0, 0, 0, 1]),
        (4, [0, 0, 0, 4]),
        (5, [0, 0, 3, 2]),
        (12, [0, 7, 3, 2]),
        (40, [24, 9, 4, 3]),
        (400, [264, 89, 31, 16]),
    ],
)
def test_a_third_goes_on_and_half_to_the_last_rung(trials: int, sizes: list[int]) -> None:
    assert rung_sizes(trials, 4, 1, FRESH) == sizes


@pytest.mark.parametrize("kept", [1, 2])
@pytest.mark.parametrize("rungs", [1, 2, 3, 4, 6])
def test_the_rungs_have_exactly_as_many_trials_as_were_asked_for(rungs: int, kept: int) -> None:
    for trials in range(1, 120):
        sizes = rung_sizes(trials, rungs, kept, [(0, 0)] * rungs)
        used = [size for size in sizes if size]
        assert sum(sizes) == trials
        assert used == sorted(set(used), reverse=True)  # each drops some
        assert sizes[: -len(used)] == [0] * (rungs - len(used))
        # What is there already counts, and nothing changes while a rung is under way.
        assert rung_sizes(trials, rungs, kept, [(size, 0) for size in sizes]) == sizes
        more = rung_sizes(trials + 7, rungs, kept, [(size, 0) for size in sizes])
        assert sum(more) == trials + 7
        assert all(now >= before for now, before in zip(more, sizes, strict=True))


@pytest.mark.parametrize(
    ("trials", "done"),
    [
        (9, [(2, 1), (0, 0), (0, 0), (0, 0)]),
        (17, [(7, 5), (0, 0), (0, 0), (0, 0)]),
        (30, [(24, 22), (0, 0), (0, 0), (0, 0)]),
        (20, [(0, 0), (2, 0), (6, 4), (0, 0)]),
        (12, [(0, 0), (0, 0), (0, 0), (5, 3)]),
    ],
)
def test_fewer_trials_than_a_rung_was_begun_for_end_in_as_many_as_are_asked_for(
    trials: int, done: list[tuple[int, int]]
) -> None:
    kept = 2
    sizes = rung_sizes(trials, 4, kept, done)
    assert sum(sizes) == trials
    assert all(size >= there for size, (there, _) in zip(sizes, done, strict=True))
    first = next(rung for rung, size in enumerate(sizes) if size)
    sampled = sizes[first] - done[first][0] + sum(own for _, own in done)
    assert all(size <= kept + sampled for size in sizes[first + 1 :])  # there are no others to go on


def test_rungs_are_shares_of_the_full_training() -> None:
    full, rungs = Fidelity(None, 50), [Rung(epochs=0.04, pixels=64), Rung(epochs=5, pixels=96), Rung(epochs=1.0)]
    assert fidelities("rungs", rungs, full, 150) == (Fidelity(None, 2, 64), Fidelity(None, 5, 96), Fidelity(None, 50))
    # Photos that are smaller are not enlarged, and rungs that come to the same are one.
    assert fidelities("rungs", rungs, Fidelity(9, 3, 48), 150) == (Fidelity(9, 1, 48), Fidelity(9, 3, 48))
    assert fidelities("rungs", rungs, Fidelity(None, 3), 32) == (Fidelity(None, 1), Fidelity(None, 3))


@pytest.mark.parametrize(
    "rungs",
    [
        [Rung(epochs=0.5), Rung(epochs=0.25)],
        [Rung(epochs=10), Rung(epochs=0.1)],
        [Rung(epochs=0.1), Rung(epochs=1.0, pixels=64)],
        [Rung(epochs=0.1, pixels=96), Rung(epochs=1.0, pixels=64)],
    ],
)
def test_rungs_that_shrink_are_refused(rungs: list[Rung]) -> None:
    with pytest.raises(WorkflowError, match=r"params.yaml: search.scratch.rungs: number 2 \(all .* is less than"):
        fidelities("params.yaml: search.scratch.rungs", rungs, Fidelity(None, 50), 150)


@pytest.fixture
def plan(settings: Settings) -> Plan:
    ladder = (Fidelity(None, 1, 64), Fidelity(None, 2), Fidelity(None, 4))
    return Plan("scratch", "s", "", ROOT, settings, ladder[2], ("val_loss",), 1, 12, "0", rungs=ladder[:2])


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study()


def run_rung(plan: Plan, study: optuna.Study, losses: list[float] | None = None) -> list[int]:
    """Run what a rung still needs; return the numbers of its trials. Losses by default grow with the number."""
    for _ in range(queue_rung(plan, study)):
        trial = study.ask()
        if RUNG not in trial.user_attrs:
            trial.set_user_attr(RUNG, plan.rung)
        suggest(trial, plan, 64)
        study.tell(trial, losses.pop(0) if losses else trial.number / 100)
    return [trial.number for trial in study.trials if trial.user_attrs[RUNG] == plan.rung]


def at(plan: Plan, study: optuna.Study, rung: int) -> Plan:
    return dataclasses.replace(plan, rung=rung, trials=targets(plan, study)[rung])


def test_the_best_and_the_articles_settings_go_on_to_the_full_training(plan: Plan, study: optuna.Study) -> None:
    assert run_rung(at(plan, study, 0), study, [0.9, 0.5, 0.3, 0.6, 0.2, 0.8, 0.7]) == [*range(7)]
    assert study.trials[0].user_attrs[ARTICLE]
    assert run_rung(at(plan, study, 1), study, [0.9, 0.5, 0.4]) == [7, 8, 9]
    went_on = study.trials[7:]
    assert [trial.user_attrs[PARENT] for trial in went_on] == [0, 4, 2]
    assert [trial.params for trial in went_on] == [study.trials[number].params for number in (0, 4, 2)]
    assert went_on[0].user_attrs[ARTICLE]
    assert run_rung(at(plan, study, 2), study, [0.9, 0.95]) == [10, 11]
    assert [trial.user_attrs[PARENT] for trial in study.trials[10:]] == [7, 9]
    # A longer training is not beaten by what was cheaper.
    assert [trial.number for trial in ranked(plan, study)][:3] == [10, 11, 9]
    assert [queue_rung(at(plan, study, rung), study) for rung in range(3)] == [7, 3, 2]
    assert len(study.trials) == 12


def test_the_stages_own_settings_go_on_too_as_they_are(plan: Plan, study: optuna.Study) -> None:
    network = plan.settings.train_scratch.network.model_copy(update={"name": "wide_residual", "width": 8})
    stage = plan.settings.train_scratch.model_copy(update={"network": network})
    plan = dataclasses.replace(plan, settings=plan.settings.model_copy(update={"train_scratch": stage}), trials=15)
    run_rung(at(plan, study, 0), study, [0.9, 0.95, 0.3])
    run_rung(at(plan, study, 1), study)
    run_rung(at(plan, study, 2), study)
    kept = [trial for trial in study.trials if STAGE in trial.user_attrs]
    assert Counter(trial.user_attrs[RUNG] for trial in kept) == {0: 1, 1: 1, 2: 1}
    assert [trial.params for trial in kept] == [{}] * 3
    for trial, epochs in zip(kept, (1, 2, 4), strict=True):
        here = dataclasses.replace(plan, rung=trial.user_attrs[RUNG])
        assert suggest(trial, here, 64) == stage.model_copy(update={"epochs": epochs})


def test_trials_lowered_in_the_middle_of_a_rung_are_done_exactly(plan: Plan, study: optuna.Study) -> None:
    begun = at(dataclasses.replace(plan, trials=58), study, 0)
    queue_rung(begun, study)
    for loss in (0.4, 0.3):
        trial = study.ask()
        trial.set_user_attr(RUNG, 0)
        suggest(trial, begun, 64)
        study.tell(trial, loss)
    fewer = dataclasses.replace(plan, trials=9)
    for rung in (0, 1, 2, 0, 1, 2):
        here = at(fewer, study, rung)
        for _ in range(queue_rung(here, study) - len(ranked(fewer, study, rung))):
            trial = study.ask()
            if RUNG not in trial.user_attrs:
                trial.set_user_attr(RUNG, rung)
            suggest(trial, here, 64)
            study.tell(trial, trial.number / 100)
    assert len(study.trials) == 9
    assert any(trial.user_attrs.get(ARTICLE) for trial in ranked(plan, study, 2))


def test_what_failed_makes_room_for_the_next_best(plan: Plan, study: optuna.Study) -> None:
    run_rung(at(plan, study, 0), study, [0.9, 0.5, 0.3, 0.6, 0.2, 0.8, 0.7])
    second = at(plan, study, 1)
    queue_rung(second, study)
    trials = [study.ask() for _ in range(3)]
    for trial, reason in zip(trials, ("cut off: its process ended", "MemoryError: no", ""), strict=True):
        trial.set_user_attr(REASON, reason)
        study.tell(trial, **({"state": TrialState.FAIL} if reason else {"values": 0.4}))
    queue_rung(second, study)
    waiting = [trial for trial in study.trials if trial.state is TrialState.WAITING]
    assert [trial.user_attrs[PARENT] for trial in waiting] == [0, 1]
    # Where nothing is left, the rung has fewer.
    for _ in range(9):
        if queue_rung(second, study) > 1:
            trial = study.ask()
            trial.set_user_attr(REASON, "MemoryError: no")
            study.tell(trial, state=TrialState.FAIL)
    assert queue_rung(second, study) == 1


def test_every_front_goes_on_where_there_are_several_objectives(plan: Plan) -> None:
    plan = dataclasses.replace(plan, objectives=("val_loss", "parameters"))
    study = optuna.create_study(directions=["minimize", "minimize"])
    for values in ((0.3, 900.0), (0.4, 950.0), (0.5, 20.0), (0.6, 10.0), (0.2, 990.0), (0.7, 30.0)):
        trial = study.ask()
        trial.set_user_attr(RUNG, 0)
        study.tell(trial, values)
    assert [trial.number for trial in ranked(plan, study, 0)] == [4, 0, 2, 3, 1, 5]


def numbers(project: Project, study: str, **wanted: Any) -> list[int]:
    return [
        trial.number
        for trial in project.trials(study)
        if trial.state.name == "COMPLETE" and all(trial.user_attrs.get(name) == one for name, one in wanted.items())
    ]


def test_a_search_ends_in_full_trainings_of_the_best_and_the_article(project: Project) -> None:
    project.set(
        **{
            "search.scratch.rungs": [{"epochs": 1, "pixels": 16}, {"epochs": 1.0}],
            "search.scratch.space.networks": ["cnn", "alexnet", "residual"],
        }
    )
    output = project.search("scratch", "--trials", "6", "--jobs", "2")
    assert "6 finished, 0 pruned, 0 failed" in output
    first, last = (numbers(project, "scratch", rung=rung) for rung in (0, 1))
    assert (len(first), len(last)) == (4, 2)
    trials = project.trials("scratch")
    assert {trials[number].user_attrs["epochs"] for number in first} == {1}
    assert {trials[number].user_attrs["epochs"] for number in last} <= {1, 2}
    assert [trials[number].user_attrs.get("article") for number in last] == [True, None]
    best = min(first[1:], key=lambda number: trials[number].value or 0)
    assert trials[last[1]].user_attrs["parent"] == best
    assert trials[last[1]].params == trials[best].params
    mlflow = client(load_settings(project.folder / "params.yaml").tracking, project.folder)
    runs = {run.data.tags.get("trial"): run for run in mlflow.search_runs(["1"], "tags.study = 'scratch'")}
    assert runs[str(first[0])].info.run_name == f"trial {first[0]} · rung 1 of 2 · study scratch · all photos"
    assert runs[str(last[1])].info.run_name == f"trial {last[1]} · rung 2 of 2 · study scratch · all photos"
    places = {number: runs[str(number)].data.metrics["rank"] for number in (*last, *first)}
    in_order = [number for rung in (last, first) for number in sorted(rung, key=lambda it: trials[it].value or 0)]
    assert places == {number: place for place, number in enumerate(in_order, 1)}
    assert "\n- report: `search/scratch.html`, in Artifacts\n" in runs[None].data.tags["mlflow.note.content"]
    assert "rung 3: " not in output
    assert "rung 2: 2 trials, all training photos, 2 epochs at most\n" in output
    assert "trial 5 in rung 2 of 2 complete " in output
    assert "; 6 finished, 0 pruned, 0 failed of 6; about 0 s left\n" in output
    assert output.splitlines()[-1].startswith("next: ")
    page = (project.folder / "reports" / "search" / "scratch.html").read_text()
    assert "<h2>Rungs</h2>" in page
    facts = json.loads((project.folder / "reports" / "search" / "scratch.json").read_text())
    assert [rung["promotions"] for rung in facts["rungs"]] == [[[0, last[0]], [best, last[1]]], []]


def test_a_search_for_a_head_tries_logistic_regression(plan: Plan, study: optuna.Study) -> None:
    ladder = (Fidelity(None, 1), Fidelity(None, 4))
    plan = dataclasses.replace(plan, kind="vgg16", rungs=ladder[:1], fidelity=ladder[1], trials=20)
    first = run_rung(at(plan, study, 0), study)
    solved = [trial.number for trial in study.trials if trial.params == {"solver": "logistic"}]
    assert (len(first), solved) == (13, [1])  # the article's settings come first
    run_rung(at(plan, study, 1), study)
    assert [trial.params.get("solver") for trial in study.trials[13:]][:3] == [None, "logistic", None]
    assert queue_rung(at(plan, study, 0), study) == len(first)
    base = plan.settings.train_vgg16
    found = trial_settings("vgg16", base, study.trials[1].params, 32)
    assert (found.model_dump()["solver"], found.network.dense, found.epochs) == ("logistic", [], base.epochs)
    few = dataclasses.replace(plan, trials=9, rungs=(), fidelity=ladder[1])
    run_rung(few, fewer := optuna.create_study())
    assert not any("solver" in trial.params for trial in fewer.trials)


def test_a_head_that_is_solved_is_a_trial_like_others(project: Project) -> None:
    project.set(
        **{
            "search.vgg16.rungs": [{"epochs": 1.0}],
            "train_vgg16.solver": "logistic",
            "train_vgg16.network.dense": [],
            "train_vgg16.network.dropout": [],
        }
    )
    assert "2 finished, 0 pruned, 0 failed" in project.search("vgg16", "--trials", "2")
    trial = project.trials("vgg16")[1]
    assert trial.user_attrs["stage_settings"]["solver"] == "logistic"
    assert trial.values == [trial.user_attrs["validation_log_loss"]]
    assert trial.values[0] < 0.01  # their features are far apart
    assert trial.user_attrs["epochs"] == 1


def test_a_study_from_before_rungs_is_refused_with_the_way_out(plan: Plan, tmp_path: Any) -> None:
    from dogs_vs_cats.search.storage import open_storage
    from dogs_vs_cats.search.studies import open_study

    plan = dataclasses.replace(plan, storage=f"sqlite:///{tmp_path}/optuna.db")
    storage: BaseStorage = open_storage(plan.storage, 60)
    open_study(dataclasses.replace(plan, rungs=()), storage)
    with pytest.raises(WorkflowError, match=r"with no rungs on record\. .* choose another name with --study"):
        open_study(plan, storage)


def test_the_article_is_the_first_trial(plan: Plan, study: optuna.Study) -> None:
    run_rung(at(plan, study, 0), study)
    assert study.trials[0].params == article_parameters("scratch")


def test_tau_compares_the_same_settings_in_two_rungs(plan: Plan, study: optuna.Study) -> None:
    run_rung(at(plan, study, 0), study, [0.9, 0.5, 0.3, 0.6, 0.2, 0.8, 0.7])
    assert tau(plan, study, 0) is None
    # The article, then the best two: 0.9, 0.2, 0.3 before.
    run_rung(at(plan, study, 1), study, [0.8, 0.5, 0.4])
    assert tau(plan, study, 1) == pytest.approx(1 / 3)
    run_rung(at(plan, study, 2), study, [0.8, 0.5])
    assert tau(plan, study, 2) is None  # of two, nothing can be told
    found = results(plan, study)
    assert [(one.rung, one.trials, len(one.promotions)) for one in found] == [(1, 7, 3), (2, 3, 2), (3, 2, 0)]
    assert found[0].promotions == ((0, 7), (4, 8), (2, 9))


@pytest.mark.parametrize(("ranks", "sizes"), [(True, [24, 9, 4, 3]), (False, [24, 9, 5, 2])])
def test_more_go_on_from_a_rung_that_does_not_rank(
    plan: Plan,
    study: optuna.Study,
    ranks: bool,
    sizes: list[int],
) -> None:
    ladder = [Fidelity(None, epochs) for epochs in (1, 2, 4, 8)]
    plan = dataclasses.replace(plan, rungs=tuple(ladder[:3]), fidelity=ladder[3], trials=40)
    run_rung(at(plan, study, 0), study, [number / 100 for number in range(24)])
    here = [number / 100 for number in range(9)]
    run_rung(at(plan, study, 1), study, here if ranks else here[::-1])
    assert targets(plan, study) == sizes
    run_rung(at(plan, study, 2), study)
    assert targets(plan, study) == sizes
    run_rung(at(plan, study, 3), study)
    assert targets(plan, study) == sizes
    assert len(study.trials) == 40


@pytest.mark.parametrize(
    ("best", "fourth", "photos", "told"),
    [
        # The deviation of 90 % over 100 photos is 3 points, over 2,500 photos 0.6.
        (0.9, 0.88, 100, "are within a seed's deviation in accuracy (3.0 points)"),
        (0.9, 0.86, 100, ""),
        (0.9, 0.88, 2500, ""),
        (0.8, 0.85, 2500, "are within a seed's deviation in accuracy (0.8 points)"),
        (0.9, 0.9, None, ""),
    ],
)
def test_a_rung_whose_best_differ_by_no_more_than_a_seed_may_is_doubted(
    plan: Plan, study: optuna.Study, best: float, fourth: float, photos: int | None, told: str
) -> None:
    run_rung(dataclasses.replace(at(plan, study, 0), trials=1), study, [0.1])  # the article, which goes on anyway
    for place, accuracy in enumerate([best, 0.1, 0.2, fourth, 0.6, 0.6, 0.6, 0.6, 0.6]):
        trial = study.ask()
        trial.set_user_attr(RUNG, 0)
        trial.set_user_attr("validation_accuracy", accuracy)
        if photos:
            trial.set_user_attr("validation_photos", photos)
        suggest(trial, plan, 64)
        study.tell(trial, 0.2 + place / 10)
    found = doubt(plan, study, 0)
    assert found.endswith(told)
    assert found.startswith("trials 1 and 4, " if told else "")
    assert bool(found) == bool(told)
    assert not doubt(dataclasses.replace(plan, objectives=("parameters",)), study, 0)
    # One more goes on, and the last rung has one less.
    assert targets(dataclasses.replace(plan, trials=17), study) == ([10, 5, 2] if told else [10, 4, 3])


def test_what_each_decision_cost_is_told(plan: Plan, study: optuna.Study) -> None:
    took(study, 0, [2.0] * 4, [0.4, 0.1, 0.2, 0.3])
    took(study, 1, [5.0, 7.0], [0.25, 0.05], parents=[1, 2])
    first, second = results(plan, study)
    assert (first.seconds, first.cost, first.promotions) == (8.0, 12.0, ((1, 4), (2, 5)))
    # The first was trial 1, which came to 0.25 where trial 2 came to 0.05.
    assert first.regret == pytest.approx(0.2)
    assert (second.seconds, second.cost, second.regret) == (12.0, 0.0, None)
    facts = summary(plan, study, None)
    page = render(plan, study, facts, None)
    assert "<td>12</td><td>0.2000</td>" in page
    assert "<td>trial 2: 0.2000, 2 s</td><td>trial 5: 0.0500, 7 s</td>" in page


def test_a_last_rung_that_is_not_the_full_training_is_allowed_and_told(plan: Plan, study: optuna.Study) -> None:
    took(study, 0, [2.0], [0.4])
    facts = summary(plan, study, None)
    full = f"all training photos, {plan.base.epochs} epochs at most"
    assert facts["full_training"] == full
    assert f"No trial was the full training, which is: {full}. " in render(plan, study, facts, None)
    whole = dataclasses.replace(plan, fidelity=Fidelity(None, plan.base.epochs))
    assert summary(whole, study, None)["full_training"] is None


def test_figures_show_one_rung_alone(plan: Plan, study: optuna.Study) -> None:
    run_rung(at(plan, study, 0), study)
    run_rung(at(plan, study, 1), study)
    history = next(figure for title, _, figure in interactive(plan, study) if title == "History")
    assert not isinstance(history, str)
    assert len(history.data[0].x) == 7


def took(
    study: optuna.Study, rung: int, seconds: list[float], losses: list[float] | None = None, parents: Sequence[int] = ()
) -> None:
    """Add finished trials to a rung that took so long."""
    began = datetime(2026, 1, 1)  # noqa: DTZ001 - Optuna's times have no zone
    for place, spent in enumerate(seconds):
        attributes = {RUNG: rung} | ({PARENT: parents[place]} if parents else {})
        loss = losses[place] if losses else 0.5
        choices: dict[str, BaseDistribution] = {
            name: CategoricalDistribution([one]) for name, one in ARTICLE_PARAMS.items()
        }
        trial = optuna.trial.create_trial(
            value=loss, params=ARTICLE_PARAMS, distributions=choices, user_attrs=attributes
        )
        trial.datetime_start, trial.datetime_complete = began, began + timedelta(seconds=spent)
        study.add_trial(trial)


def test_the_time_left_is_that_of_all_rungs(plan: Plan, study: optuna.Study) -> None:
    ladder = [Fidelity(None, 2, 75), Fidelity(None, 4), Fidelity(None, 8)]
    plan = dataclasses.replace(plan, rungs=tuple(ladder[:2]), fidelity=ladder[2])
    assert targets(plan, study) == [7, 3, 2]
    assert seconds_left(plan, study, 1) is None
    took(study, 0, [1.0, 3.0])
    # A trial takes 2 seconds in the first rung, then 8 times as long, and twice that.
    assert seconds_left(plan, study, 1) == pytest.approx(5 * 2 + 3 * 16 + 2 * 32)
    # Two trials are no faster for three workers than for two.
    assert seconds_left(plan, study, 3) == pytest.approx(5 * 2 / 3 + 3 * 16 / 3 + 2 * 32 / 2)
    took(study, 0, [2.0] * 5)
    took(study, 1, [10.0] * 3)
    assert seconds_left(plan, study, 1) == pytest.approx(2 * 20)
    took(study, 2, [1.0] * 2)
    assert seconds_left(plan, study, 1) == 0


def test_a_finished_study_stays_so_whatever_the_stage_has_then(plan: Plan, study: optuna.Study) -> None:
    for rung in range(3):
        run_rung(at(plan, study, rung), study)
    network = plan.settings.train_scratch.network.model_copy(update={"name": "residual"})
    stage = plan.settings.train_scratch.model_copy(update={"network": network})
    plan = dataclasses.replace(plan, settings=plan.settings.model_copy(update={"train_scratch": stage}))
    assert targets(plan, study) == [7, 3, 2]
    for rung in range(3):
        queue_rung(at(plan, study, rung), study)
    assert len(study.trials) == 12
