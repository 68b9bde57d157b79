"""Confirming a study's best trial, and what becomes of it; real trainings on few small pictures."""

import dataclasses
import json
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from optuna.distributions import BaseDistribution, CategoricalDistribution

from dogs_vs_cats.search.confirming import (
    Confirmation,
    Difference,
    announce,
    confirmation_plan,
    difference,
    full_fidelity,
    open_confirmation,
    outcome,
    why_not,
)
from dogs_vs_cats.search.plan import Fidelity, Plan
from dogs_vs_cats.search.sampling import STAGE, article_parameters, suggest
from dogs_vs_cats.search.settings_file import promote
from dogs_vs_cats.search.storage import open_storage
from dogs_vs_cats.search.studies import open_study
from dogs_vs_cats.settings.params import Settings, load_settings
from dogs_vs_cats.tracking.making import overrides
from tests.conftest import ROOT
from tests.search.conftest import Project


def test_a_gain_over_seeds_is_a_win_and_chance_is_a_tie() -> None:
    clear = difference([0.20, 0.21, 0.22], [0.30, 0.32, 0.31], higher_is_better=False)
    assert clear.mean == pytest.approx(0.1)
    assert clear.interval == pytest.approx((0.07516, 0.12484), abs=1e-5)
    assert clear.outcome == "better"
    assert difference([0.30, 0.32, 0.31], [0.20, 0.21, 0.22], higher_is_better=False).outcome == "worse"
    assert difference([0.9, 0.8, 0.85], [0.89, 0.82, 0.84], higher_is_better=True).outcome == "tie"


def test_splits_of_the_same_photos_vary_less_than_those_of_others_would() -> None:
    # A quarter as many validation photos as training photos: the standard error of three pairs, 0.00577, times
    # the root of 1 + 3 / 4.
    found = difference([0.20, 0.21, 0.22], [0.30, 0.32, 0.31], higher_is_better=False, overlap=0.25)
    assert found.interval == pytest.approx((0.06714, 0.13286), abs=1e-5)


def test_one_pair_is_a_tie_however_large_the_gain() -> None:
    alone = difference([0.1], [0.9], higher_is_better=False)
    assert alone.outcome == "tie"
    sentence = str(Confirmation(7, "all training photos, 3 epochs at most", (1,), alone, alone))
    assert sentence.startswith("A tie between trial 7 and the article's settings over 1 pair of seed and split")
    assert "one pair cannot tell" in sentence


def test_a_verdict_says_where_no_trial_was_the_full_training() -> None:
    alone = difference([0.1], [0.9], higher_is_better=False)
    for own in (None, alone):
        found = Confirmation(7, "all training photos, 9 epochs at most", (1,), alone, alone, own)
        assert "It was found without" not in str(found)
        sentence = str(dataclasses.replace(found, shorter="all training photos, 3 epochs at most"))
        assert sentence.endswith(" It was found without the full training: all training photos, 3 epochs at most.")


def test_promoting_keeps_every_comment_and_all_other_settings(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    before = (ROOT / "params.yaml").read_text()
    params.write_text(before)
    promote(params, {})
    assert params.read_text() == before
    changed: dict[str, object] = {
        "train_scratch.optimizer.learning_rate": 1.5e-05,
        "train_scratch.optimizer.momentum": None,
        "train_scratch.network.convolutions": [{"filters": 16, "kernel": 5}, {"filters": 8, "kernel": 3}],
        "train_scratch.network.dense": [],
    }
    promote(params, changed)
    after = params.read_text()
    by_dvc = tmp_path / "by_dvc.yaml"
    by_dvc.write_text(before)
    apply_overrides(by_dvc, overrides(changed))
    assert after == by_dvc.read_text()
    assert [line.split("#")[1:] for line in after.splitlines() if "#" in line] == [
        line.split("#")[1:] for line in before.splitlines() if "#" in line
    ]
    settings = load_settings(params)
    assert settings.train_scratch.optimizer.learning_rate == 1.5e-05
    assert settings.train_scratch.optimizer.momentum is None
    assert [layer.filters for layer in settings.train_scratch.network.convolutions] == [16, 8]
    assert settings.train_scratch.network.dense == []
    untouched = yaml.safe_load(before)
    for section in ("split", "decode", "train_vgg16", "search"):
        assert yaml.safe_load(after)[section] == untouched[section]


def test_promoting_writes_through_a_link_and_keeps_the_files_mode(tmp_path: Path) -> None:
    kept, params = tmp_path / "kept" / "mine.yaml", tmp_path / "params.yaml"
    kept.parent.mkdir()
    kept.write_text((ROOT / "params.yaml").read_text())
    kept.chmod(0o600)
    params.symlink_to("kept/mine.yaml")
    promote(params, {"split.seed": 3})
    assert params.is_symlink()
    assert load_settings(kept).split.seed == 3
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [*kept.parent.iterdir()] == [kept]


def test_settings_that_are_not_valid_are_not_written(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    before = (ROOT / "params.yaml").read_text()
    params.write_text(before)
    with pytest.raises(Exception, match="batch"):
        promote(params, {"train_scratch.batch": -1})
    assert params.read_text() == before
    assert [*tmp_path.iterdir()] == [params]


def test_the_best_trial_is_confirmed_promoted_and_queued(project: Project) -> None:
    # Features so small that the article's learning rate gets nowhere in three epochs, and every higher one does.
    for file in (project.folder / "data" / "features").glob("*.npy"):
        np.save(file, np.load(file) * np.float32(0.003))
    rates = {"low": 0.001, "high": 0.05}
    project.set(
        **{
            "search.vgg16.space.optimizers": {"rmsprop": {"learning_rate": rates}},
            "search.vgg16.space.losses": ["binary_crossentropy"],
            "search.vgg16.space.weight_decay": [0.0],
            "train_vgg16.epochs": 3,
        }
    )
    assert "is not confirmed: run --confirm 3 first" in project.search("vgg16", "--trials", "4", "--promote", status=1)
    project.search("vgg16", "--confirm", "2")
    study = optuna.load_study(study_name="vgg16", storage=project.storage)
    best = study.best_trial
    name = f"vgg16-confirm-{best.number}-pairs"
    confirmed = optuna.load_study(study_name=name, storage=project.storage)
    pairs = sorted((trial.params["candidate"], trial.params["seed"]) for trial in confirmed.trials)
    seed = load_settings(project.folder / "params.yaml").train_vgg16.seed
    assert pairs == [("article", seed + 1), ("article", seed + 2), ("best", seed + 1), ("best", seed + 2)]
    assert {trial.user_attrs["epochs"] for trial in confirmed.trials} == {3}
    report = json.loads((project.folder / "reports" / "search" / "vgg16.json").read_text())
    found = report["confirmation"]
    assert found["trial"] == best.number
    assert found["seeds"] == [seed + 1, seed + 2]
    values = {(trial.params["candidate"], trial.params["seed"]): trial.values for trial in confirmed.trials}
    gains = [values["article", one][0] - values["best", one][0] for one in found["seeds"]]
    assert found["log_loss"]["mean"] == pytest.approx(sum(gains) / 2)
    # Going on with it trains only what is missing.
    promoted = project.search("vgg16", "--confirm", "3", "--promote")
    assert f"Trial {best.number} beats the article's settings in log-loss" in promoted
    assert optuna.load_study(study_name="vgg16", storage=project.storage).user_attrs["looks"] == [[name, 2], [name, 3]]
    assert "98.75 % interval of the gain" in promoted
    confirmed = optuna.load_study(study_name=name, storage=project.storage)
    assert [trial.state.name for trial in confirmed.trials] == ["COMPLETE"] * 6

    assert f"dvc exp run --name vgg16-trial-{best.number}" in promoted
    trained = load_settings(project.folder / "params.yaml").train_vgg16
    assert trained.optimizer.learning_rate == best.params["rmsprop_learning_rate"]
    assert trained.epochs == 3
    assert trained.seed == seed


def test_the_best_trials_are_queued_as_dvc_experiments_once(project: Project) -> None:
    project.search("vgg16", "--trials", "3")
    stage = {"cmd": "true", "params": ["train_vgg16"]}
    (project.folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train_vgg16": stage}}))
    ignored = ["data", "models", "reports", "mlruns", "mlflow.db*", "optuna.db*"]
    (project.folder / ".gitignore").write_text("\n".join(f"/{name}" for name in ignored) + "\n")
    for command in (
        ["git", "init", "-q"],
        [sys.executable, "-m", "dvc", "init", "-q"],
        ["git", "add", "."],
        ["git", "-c", "user.name=me", "-c", "user.email=me@home", "commit", "-q", "-m", "begun"],
    ):
        subprocess.run(command, cwd=project.folder, check=True)
    output = project.run("vgg16", "--experiments", "2")
    ranking = sorted(
        optuna.load_study(study_name="vgg16", storage=project.storage).trials, key=lambda one: one.values[0]
    )
    names = [f"vgg16-trial-{trial.number}" for trial in ranking[:2]]
    assert all(f"{name}: queued" in output for name in names)
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "exp", "show", "--csv"],
        cwd=project.folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for trial, name in zip(ranking[:2], names, strict=True):
        row = next(line for line in listed.splitlines() if name in line)
        rate = trial.params[f"{trial.params['optimizer']}_learning_rate"]
        assert f"{rate:.5g}"[:6] in row or str(rate)[:6] in row
    again = project.run("vgg16", "--experiments", "2")
    assert all(f"{name}: there already" in again for name in names)


def confirmation(own: Difference | None) -> Confirmation:
    better = difference([0.20, 0.21, 0.22], [0.30, 0.32, 0.31], higher_is_better=False)
    return Confirmation(7, "all training photos, 3 epochs at most", (1, 2, 3), better, better, own)


def test_the_winner_has_to_beat_what_params_yaml_has_too(settings: Settings) -> None:
    base = settings.train_scratch.model_copy(update={"batch": 16})
    settings = settings.model_copy(update={"train_scratch": base})
    plan = Plan("scratch", "s", "", ROOT, settings, Fidelity(None, 3), ("val_loss",), 1, 10, "0")
    best = optuna.trial.create_trial(
        state=optuna.trial.TrialState.COMPLETE, value=0.2, user_attrs={STAGE: base.model_dump(mode="json")}
    )
    other = base.model_copy(update={"batch": 64}).model_dump(mode="json")
    trial = optuna.trial.create_trial(state=optuna.trial.TrialState.COMPLETE, value=0.2, user_attrs={STAGE: other})
    tie = difference([0.20, 0.21, 0.22], [0.21, 0.20, 0.22], higher_is_better=False)
    assert "is not confirmed: run --confirm 3 first" in why_not(plan, trial, None)
    assert "is not compared with the settings in params.yaml: run --confirm 3" in why_not(
        plan, trial, confirmation(None)
    )
    assert why_not(plan, trial, confirmation(tie)).endswith(
        "A tie with the settings in params.yaml: log-loss 0.2100 against 0.2100 "
        "(95 % interval of the gain \N{MINUS SIGN}0.0248 to 0.0248)."
    )
    assert why_not(plan, trial, confirmation(tie)).startswith("params.yaml stays as it is: Trial 7 beats the article")
    assert not why_not(plan, trial, confirmation(confirmation(None).log_loss))
    assert not why_not(plan, best, confirmation(None))  # it has them already


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_confirmation_trains_what_params_yaml_has_beside_both(settings: Settings, tmp_path: Path) -> None:
    base = settings.train_scratch.model_copy(update={"batch": 16})
    own = settings.model_copy(update={"train_scratch": base})
    url = f"sqlite:///{tmp_path}/optuna.db"
    plan = Plan("scratch", "s", url, ROOT, own, Fidelity(None, 3), ("val_loss",), 1, 10, "0")
    storage = open_storage(url, 60)
    params = article_parameters("scratch") | {"batch": 64}
    best = optuna.trial.create_trial(
        state=optuna.trial.TrialState.COMPLETE,
        value=0.2,
        params=params,
        distributions={name: optuna.distributions.CategoricalDistribution([one]) for name, one in params.items()},
    )
    confirming = confirmation_plan(plan, best, 2, full_fidelity(plan))
    confirming, study = open_confirmation(confirming, storage)
    assert confirming.trials == 6
    losses = {"article": 0.5, "best": 0.2, None: 0.4}
    for _ in range(6):
        trial = study.ask()
        tried = suggest(trial, confirming, 150)
        assert tried.seed == trial.params["seed"]
        assert tried.batch == {"article": 32, "best": 64, None: 16}[trial.params.get("candidate")]
        study.tell(trial, [losses[trial.params.get("candidate")] + tried.seed / 1e5, 0.9])
    looks = [(confirming.study, 2)]
    found = outcome(confirming, study, 4, looks)
    assert found is not None
    assert found.own is not None
    assert [found.log_loss.mean, found.own.mean] == pytest.approx([0.3, 0.2])
    # Promoted, the same confirmation holds, and nothing is trained again.
    after = own.model_copy(update={"train_scratch": base.model_copy(update={"batch": 64})})
    again = confirmation_plan(dataclasses.replace(plan, settings=after), best, 2, full_fidelity(plan))
    again, study = open_confirmation(again, storage)
    assert (again.trials, len(study.trials)) == (6, 6)
    found = outcome(again, study, 4, looks)
    assert found is not None
    assert found.own is None


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_each_look_spends_half_of_the_error_that_is_left(settings: Settings, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    plan = Plan("scratch", "s", url, ROOT, settings, Fidelity(None, 3), ("val_loss",), 1, 10, "0")
    storage = open_storage(url, 60)
    searched = open_study(plan, storage)
    params = article_parameters("scratch") | {"batch": 64}
    choices: dict[str, BaseDistribution] = {name: CategoricalDistribution([one]) for name, one in params.items()}
    best = optuna.trial.create_trial(value=0.2, params=params, distributions=choices)

    def look(pairs: int, trained: int) -> Confirmation | None:
        confirming = confirmation_plan(plan, best, pairs, full_fidelity(plan))
        announce(searched, confirming, pairs)
        confirming, study = open_confirmation(confirming, storage)
        for _ in range(trained):
            trial = study.ask()
            tried = suggest(trial, confirming, 150)
            trial.set_user_attr("training_photos", 800)
            trial.set_user_attr("validation_photos", 200)
            study.tell(trial, [(0.5 if trial.params["candidate"] == "article" else 0.2) + tried.seed % 3 / 100, 0.9])
        return outcome(confirming, study, 4, searched.user_attrs["looks"])

    def confidence(found: Confirmation | None) -> tuple[int, float]:
        assert found is not None
        return len(found.seeds), found.log_loss.confidence

    assert confidence(look(1, 2)) == (1, 0.975)  # one pair tells nothing and spends nothing
    assert confidence(look(3, 4)) == (3, 0.975)
    assert confidence(look(3, 0)) == (3, 0.975)
    assert confidence(look(2, 0)) == (3, 0.975)  # these have been seen
    # Until all of the next look's pairs are there, the last one holds.
    assert confidence(look(5, 3)) == (3, 0.975)
    assert confidence(look(5, 1)) == (5, 0.9875)
    name = f"s-confirm-{best.number}-pairs"
    assert searched.user_attrs["looks"] == [[name, 1], [name, 3], [name, 5]]
    # Another trial's confirmation is one more look at the same study.
    searched.set_user_attr("looks", [*searched.user_attrs["looks"], ["s-confirm-9-pairs", 3], [name, 6]])
    assert confidence(look(6, 2)) == (6, 1 - 0.05 / 16)


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_trainings_of_one_split_are_not_taken_for_pairs(settings: Settings, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    plan = Plan("scratch", "s", url, ROOT, settings, Fidelity(None, 3), ("val_loss",), 1, 10, "0")
    best = optuna.trial.create_trial(value=0.2, user_attrs={STAGE: {}})
    names = {confirmation_plan(plan, best, 3, fidelity).study for fidelity in (plan.fidelity, full_fidelity(plan))}
    assert not {f"s-confirm-{best.number}", f"s-confirm-{best.number}-cheap"} & names
