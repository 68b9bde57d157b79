"""Studies in their storage."""

import dataclasses
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.search import owners
from dogs_vs_cats.search.owners import is_alive, is_awake, owner_of
from dogs_vs_cats.search.plan import OWNER, Fidelity, Plan
from dogs_vs_cats.search.storage import open_storage
from dogs_vs_cats.search.studies import cut_off, not_needed, open_study, tally, why_failed
from dogs_vs_cats.settings.params import Settings

# Optuna's own loop keeps a trial's heartbeat; these trials have none.
pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage")


@pytest.fixture
def plan(settings: Settings, tmp_path: Path) -> Plan:
    url = f"sqlite:///{tmp_path}/optuna.db"
    return Plan("scratch", "cats", url, tmp_path, settings, Fidelity(None, 3), ("val_loss",), 1, 3, "0" * 64)


@pytest.fixture
def storage(plan: Plan) -> BaseStorage:
    return open_storage(plan.storage, 60)


def test_a_study_begins_with_the_article_once(plan: Plan, storage: BaseStorage) -> None:
    for _ in range(2):
        study = open_study(plan, storage)
    assert tally(study).waiting == 1
    assert study.ask().suggest_int("convolutions", 2, 5) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"objectives": ("val_loss", "parameters")}, "objectives (val_loss, not val_loss, parameters)"),
        ({"fidelity": Fidelity(100, 3)}, "other fidelity (all training photos, 3 epochs at most, not 100"),
        ({"digest": "1" * 64}, "other data"),
    ],
)
def test_another_study_of_the_same_name_is_refused(
    plan: Plan, storage: BaseStorage, change: dict[str, Any], words: str
) -> None:
    open_study(plan, storage)
    with pytest.raises(WorkflowError) as error:
        open_study(dataclasses.replace(plan, **change), storage)
    assert words in str(error.value)
    assert "--study" in str(error.value)


def test_another_space_is_refused_and_named(plan: Plan, storage: BaseStorage, settings: Settings) -> None:
    open_study(plan, storage)
    space = settings.search.scratch.space.model_copy(update={"kernel": [3]})
    section = settings.search.scratch.model_copy(update={"space": space})
    other = settings.model_copy(update={"search": settings.search.model_copy(update={"scratch": section})})
    with pytest.raises(WorkflowError, match=r"another space \(kernel\)"):
        open_study(dataclasses.replace(plan, settings=other), storage)


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "resnet50"},
        {"scaling": "article"},
        {"size": 64},
        {"pooling": ["average"]},
        {"pooling": ["average"], "layers": ["block4_pool"]},
        {"pooling": ["average"], "mirrored": True},
    ],
)
def test_other_features_are_other_data(
    plan: Plan, storage: BaseStorage, settings: Settings, change: dict[str, Any]
) -> None:
    transfer = dataclasses.replace(plan, kind="vgg16")
    open_study(transfer, storage)
    other = settings.model_copy(update={"bottleneck": settings.bottleneck.model_copy(update=change)})
    for value in change.values():
        with pytest.raises(WorkflowError, match=rf"other data \(0+, not 0+,.* {re.escape(str(value))}"):
            open_study(dataclasses.replace(transfer, settings=other), storage)
    # What computes them does not matter.
    same = settings.model_copy(update={"bottleneck": settings.bottleneck.model_copy(update={"batch": 7})})
    open_study(dataclasses.replace(transfer, settings=same), storage)


all_there: Barrier


def wait_for_all(together: Barrier) -> None:
    """Hold a process until the others are as far."""
    global all_there  # noqa: PLW0603 - a barrier is handed down when a process starts, not with a call
    all_there = together


def take_all(url: str) -> list[int]:
    """The queued trials that one process gets."""
    study = optuna.load_study(study_name="queue", storage=open_storage(url, 60))
    all_there.wait(300)
    taken = []
    while study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            taken.append(study.ask().number)
        time.sleep(0.1)  # as long as SQLite lets those wait who found it busy, or one process gets all
    return taken


def test_no_two_processes_get_the_same_queued_trial(plan: Plan, storage: BaseStorage) -> None:
    study = optuna.create_study(storage=storage, study_name="queue")
    for number in range(40):
        study.enqueue_trial({"x": number})
    context = get_context("spawn")
    with ProcessPoolExecutor(2, context, wait_for_all, (context.Barrier(2),)) as pool:
        taken = list(pool.map(take_all, [plan.storage] * 2))
    numbers = [number for part in taken for number in part if number < 40]
    assert sorted(numbers) == list(range(40))
    assert sum(bool(part) for part in taken) > 1


def test_a_trial_is_needed_unless_enough_before_it_may_finish(plan: Plan, storage: BaseStorage) -> None:
    study = open_study(plan, storage)
    trials = [study.ask() for _ in range(4)]
    assert not not_needed(study, 2, 3)
    assert not_needed(study, 3, 3)
    study.tell(trials[0], state=TrialState.FAIL)
    assert not not_needed(study, 3, 3)
    study.tell(trials[1], state=TrialState.PRUNED)
    assert not_needed(study, 4, 3)


def test_a_trial_whose_process_is_gone_runs_again(plan: Plan, storage: BaseStorage) -> None:
    study = open_study(plan, storage)
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    dead, alive = study.ask(), study.ask()
    dead.suggest_int("convolutions", 2, 5)
    dead.set_user_attr(OWNER, owner_of("me") | {"pid": gone.pid})
    alive.set_user_attr(OWNER, owner_of("me"))
    assert cut_off(study, storage, 60) == [0]
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING]
    assert why_failed(study.trials[0]) == "cut off: its process ended"
    assert study.trials[2].params == dead.params == {"convolutions": 3}


def test_a_process_number_given_to_another_process_is_not_taken_for_the_first(plan: Plan, storage: BaseStorage) -> None:
    study = open_study(plan, storage)
    study.ask().set_user_attr(OWNER, owner_of("me") | {"since": 1.0})
    assert cut_off(study, storage, 60) == [0]


def test_trials_of_other_machines_are_left_to_their_heartbeat(plan: Plan, storage: BaseStorage) -> None:
    study = open_study(plan, storage)
    study.ask().set_user_attr(OWNER, owner_of("me") | {"host": "elsewhere", "pid": 1})
    assert cut_off(study, storage, 60) == []


def test_a_trial_of_another_machine_that_falls_silent_runs_again_under_nobodys_name(plan: Plan) -> None:
    storage: Any = open_storage(plan.storage, heartbeat_seconds=1)
    study = open_study(plan, storage)
    silent = study.ask()
    silent.set_user_attr(OWNER, owner_of("me") | {"host": "elsewhere", "pid": 1})
    storage.record_heartbeat(silent._trial_id)
    time.sleep(4)
    assert cut_off(study, storage, 60) == []
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]
    assert why_failed(study.trials[0]) == "cut off: no sign of life from its process"
    assert OWNER not in study.trials[1].user_attrs


def test_a_clock_that_is_set_ends_no_trial_that_lives(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    storage: Any = open_storage(plan.storage, heartbeat_seconds=60)
    study = open_study(plan, storage)
    here, elsewhere = study.ask(), study.ask()
    here.set_user_attr(OWNER, owner_of("me"))
    elsewhere.set_user_attr(OWNER, owner_of("me") | {"host": "elsewhere"})
    for trial in (here, elsewhere):
        storage.record_heartbeat(trial._trial_id)
    # psutil's own answer moves with the clock.
    create_time = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: create_time(process) + 3600)
    assert cut_off(study, storage, 120) == []
    with sqlite3.connect(plan.root / "optuna.db") as database:
        database.execute("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')")
    storage._clock -= 3600
    assert cut_off(study, storage, 120) == []
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING, TrialState.RUNNING]
    # It is silent still when that cannot be the clock's doing; the other one lives, and needs no heartbeat for that.
    storage._doubts_until = 0
    assert cut_off(study, storage, 120) == []
    assert [trial.state for trial in study.trials[:2]] == [TrialState.RUNNING, TrialState.FAIL]


def test_a_process_that_somebody_stopped_is_left_to_its_heartbeat() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        _, began = owners._look_at(process.pid)
        known = owner_of("me") | {"pid": process.pid, "since": began}
        assert (is_alive(known), is_awake(known)) == (True, True)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        assert (is_alive(known), is_awake(known)) == (True, False)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(known)  # nobody has asked how it ended yet
    assert not is_alive(known)
    assert not is_alive(owner_of("me") | {"boot": "another start of the machine"})


def test_a_trial_cut_off_before_it_had_a_name_is_noticed_later(plan: Plan, storage: BaseStorage) -> None:
    study = open_study(plan, storage)
    study.ask()
    assert cut_off(study, storage, 60) == []
    assert cut_off(study, storage, 0) == [0]


def test_a_storage_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(WorkflowError) as error:
        open_storage("postgresql://me:secret@127.0.0.1:9/studies", 60)
    assert "127.0.0.1:9/studies: the study's storage does not answer" in str(error.value)
    assert "secret" not in str(error.value)


def test_optunas_own_list_knows_the_study(plan: Plan, storage: BaseStorage) -> None:
    open_study(plan, storage)
    assert optuna.get_all_study_names(plan.storage) == ["cats"]
