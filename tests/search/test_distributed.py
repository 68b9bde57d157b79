"""Studies in PostgreSQL and on a Ray cluster: real servers on loopback, real trainings on few small pictures."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from tests.search.conftest import Project
from tests.search.servers import Postgresql, postgresql, ray_cluster


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgresql]:
    # Not pytest's own folder: others may not look into that, and the server is another user where root runs the tests.
    folder = Path("/tmp") / f"postgresql-{time.time_ns()}"
    folder.mkdir()
    with postgresql(folder) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ray_cluster(tmp_path_factory.mktemp("ray"), cores=2) as address:
        yield address


def _begun(trial: FrozenTrial) -> datetime:
    assert trial.datetime_start is not None
    return trial.datetime_start


def _ended(trial: FrozenTrial) -> datetime:
    assert trial.datetime_complete is not None
    return trial.datetime_complete


def trials(url: str, study: str) -> list[FrozenTrial]:
    """The study's trials; none before there is one."""
    storage = RDBStorage(url)
    try:
        known = [one for one in storage.get_all_studies() if one.study_name == study]
        return storage.get_all_trials(known[0]._study_id) if known else []
    finally:
        storage.remove_session()
        storage.engine.dispose()


def test_two_machines_finish_exactly_as_many_trials_and_repeat_no_draw(project: Project, server: Postgresql) -> None:
    options = ("--trials", "5", "--study", "shared", "--storage", server.url)
    processes = [project.start("vgg16", *options, "--jobs", jobs) for jobs in ("2", "1")]
    for process in processes:
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output
    found = trials(server.url, "shared")
    states = Counter(trial.state.name for trial in found)
    assert states["COMPLETE"] + states["PRUNED"] == 5
    assert not states["RUNNING"]
    assert not states["WAITING"]
    drawn = [
        json.dumps(trial.params, sort_keys=True) for trial in found if trial.values and not trial.user_attrs["rung"]
    ]
    assert len({*drawn}) == len(drawn)
    # Three at the first rung, of which the article's settings and the best one go on.
    assert Counter(trial.user_attrs["rung"] for trial in found if trial.values) == {0: 3, 1: 2}
    assert Counter(trial.user_attrs["rung"] for trial in found if trial.values and "article" in trial.user_attrs) == {
        0: 1,
        1: 1,
    }
    assert len({trial.user_attrs["owner"]["driver"] for trial in found}) == 2


def test_a_storage_that_stops_is_one_clear_line_and_the_study_goes_on(project: Project, server: Postgresql) -> None:
    options = ("--trials", "3", "--study", "stopped", "--storage", server.url, "--epochs", "60")
    process = project.start("vgg16", *options)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        time.sleep(0.3)
        if any(trial.state.is_finished() for trial in trials(server.url, "stopped")):
            break
    server.stop()
    try:
        output, _ = process.communicate(timeout=200)
    finally:
        server.start()
    assert process.returncode == 1
    assert "the study's storage does not answer" in output
    assert "Traceback" not in output
    kept = [trial for trial in trials(server.url, "stopped") if trial.state.is_finished()]
    assert kept
    project.run("vgg16", *options)
    after = trials(server.url, "stopped")
    states = Counter(trial.state.name for trial in after)
    assert states["COMPLETE"] + states["PRUNED"] == 3
    assert [after[trial.number].params for trial in kept] == [trial.params for trial in kept]


def test_a_ray_cluster_runs_the_trials(project: Project, cluster: str) -> None:
    output = project.run("vgg16", "--trials", "3", "--ray", cluster)
    found = project.trials("vgg16")
    assert sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in found) == 3
    assert "best: trial" in output
    assert len({trial.user_attrs["owner"]["pid"] for trial in found}) == len(found)  # a process each
    # Tasks of Ray, not processes of the command: both of its cores were in use.
    overlapping = [
        (one.number, other.number)
        for one in found
        for other in found
        if one.number < other.number and _begun(other) < _ended(one)
    ]
    assert overlapping


def test_a_trial_killed_on_the_cluster_runs_again(project: Project, cluster: str) -> None:
    import psutil

    process = project.start("vgg16", "--trials", "2", "--ray", cluster, "--gpus-per-trial", "1", "--epochs", "30")
    deadline = time.monotonic() + 300
    killed = False
    while not killed and time.monotonic() < deadline:
        time.sleep(0.5)
        running = [one for one in project.trials("vgg16") if one.state.name == "RUNNING"]
        if running and "owner" in running[0].user_attrs:
            psutil.Process(running[0].user_attrs["owner"]["pid"]).kill()
            killed = True
    assert killed
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "its Ray task died" in output
    found = project.trials("vgg16")
    states = Counter(trial.state.name for trial in found)
    assert states["COMPLETE"] + states["PRUNED"] == 2
    assert states["FAIL"] == 1
    # A GPU each, and there is one.
    ran = sorted((one for one in found if one.datetime_start and one.datetime_complete), key=lambda one: one.number)
    assert all(_ended(one) <= _begun(other) for one, other in pairwise(ran))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ray", "127.0.0.1:9"), "--ray 127.0.0.1:9: no cluster answers there"),
        (("--ray", "cluster"), "--ray cluster: it has to be HOST:PORT"),
        (("--gpus-per-trial", "1"), "--gpus-per-trial is for --ray"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_clear_line(project: Project, options: tuple[str, ...], words: str) -> None:
    output = project.search("vgg16", "--trials", "1", *options, status=1)
    assert words in output
    assert "Traceback" not in output


def test_without_ray_it_says_how_to_install_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # what Python does for a package that can't be imported
    output = project.search("vgg16", "--trials", "1", "--ray", "127.0.0.1:6379", status=1)
    assert "--ray: ray is not installed; run make setup, or pip install ray" in output
    assert "Traceback" not in output


def test_more_gpus_than_the_cluster_has_is_one_clear_line(project: Project, cluster: str) -> None:
    output = project.run("vgg16", "--trials", "1", "--ray", cluster, "--gpus-per-trial", "2", status=1)
    assert "no machine of the cluster" in output
    assert "Traceback" not in output
