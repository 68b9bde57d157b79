"""``dogs-vs-cats predict`` and ``dogs-vs-cats package``: what a user sees, and photos sent to a real model server."""

import base64
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from PIL import Image

from dogs_vs_cats.commands import package, predict
from dogs_vs_cats.data.decoding.memory import MEMORY_LIMIT
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import digest_of
from dogs_vs_cats.serving.trained_models import classify, find_model
from dogs_vs_cats.tracking.logged_models import DIGEST_TAG, as_tag, from_tag, save_model
from dogs_vs_cats.tracking.tracked_runs import client
from tests.commands.calling import DOGS_VS_CATS, HUGE, call
from tests.conftest import ROOT, encoded
from tests.mlflow_server import free_port, put_database, tracking
from tests.photo_project import TEMPERATURES, photo, write_comparison, write_project

# Keras 3.15 copies TensorFlow's variables in a way that NumPy 2 calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an empty MLflow, and three files to classify, one of them no photo."""
    project = tmp_path_factory.mktemp("project")
    write_project(project)
    write_comparison(project, better="scratch")
    shutil.copyfile(ROOT / "params.yaml", project / "params.yaml")
    put_database(project)
    (project / "photos").mkdir()
    for seed in (1, 2):
        (project / f"photos/{seed}.jpg").write_bytes(encoded(photo(seed), "JPEG"))
    (project / "photos/text.jpg").write_bytes(b"text")
    return project


@pytest.fixture
def project(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project as the current folder."""
    monkeypatch.chdir(trained)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return trained


def test_one_photo_is_answered_in_a_table_by_the_installed_command_without_tensorflow(
    project: Path, tmp_path: Path
) -> None:
    started = [str(DOGS_VS_CATS), "predict", "photos/1.jpg"]
    # What imports TensorFlow, Keras or MLflow would fail.
    blocked = "import sys; sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'mlflow')))\n"
    (tmp_path / "sitecustomize.py").write_text(blocked)
    done = subprocess.run(
        started, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (answer,) = classify("photos/1.jpg")
    assert "scratch, calibrated" in done.stdout
    assert "photos/1.jpg" in done.stdout
    assert f"{100 * vars(answer)['probability']:.1f} %" in done.stdout
    assert done.stderr == ""


def test_json_and_csv_say_the_same_and_a_bad_photo_is_in_both(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--json", "--csv"):
        with pytest.raises(SystemExit) as ended:
            call(predict.main, "photos", option)
        assert ended.value.code == 1
    printed = capsys.readouterr()
    assert "1 of 3 photos could not be decoded" in printed.err
    end = printed.out.index("photo,")
    rows, lines = json.loads(printed.out[:end]), list(csv.DictReader(printed.out[end:].splitlines()))
    assert [row["photo"] for row in rows] == ["photos/1.jpg", "photos/2.jpg", "photos/text.jpg"]
    assert rows[0]["model"] == "scratch"
    assert rows[0]["probability"] == pytest.approx(max(rows[0]["p_dogs"], 1 - rows[0]["p_dogs"]), abs=1e-6)
    assert rows[2] == {
        "photo": "photos/text.jpg", "class": None, "probability": None, "p_dogs": None, "model": "scratch",
        "error": "not a picture",
    }  # fmt: skip
    assert [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows] == lines


def test_a_folder_never_gives_fewer_answers_than_it_has_files(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "given"
    (folder / "inner").mkdir(parents=True)
    for name, format_ in (
        ("a.avif", "AVIF"), ("b.jfif", "JPEG"), ("c.jpe", "JPEG"), ("inner/d", "JPEG"), ("e.txt", "PNG"),
        ("f.jpg", "AVIF"), ("g.jp2", "JPEG2000"), ("h.pgm", "PPM"),
    ):  # fmt: skip
        (folder / name).write_bytes(encoded(photo(1), format_))
    (folder / "huge.png").write_bytes(HUGE)
    (folder / "notes.md").write_text("text")
    (folder / "lost.jpg").symlink_to(tmp_path / "nowhere")
    (folder / "inner/round").symlink_to(folder)
    os.mkfifo(folder / "pipe.jpg")
    (folder / ".DS_Store").touch()
    (folder / "inner/Thumbs.db").touch()
    with pytest.raises(SystemExit):
        call(predict.main, str(folder), "--json")
    printed = capsys.readouterr()
    rows = {str(Path(row["photo"]).relative_to(folder)): row["error"] for row in json.loads(printed.out)}
    assert rows == dict.fromkeys(("a.avif", "b.jfif", "c.jpe", "e.txt", "f.jpg", "g.jp2", "h.pgm", "inner/d")) | {
        "huge.png": "1 x 100000000 pixels, more than the limit of 65535 a side",
        "lost.jpg": "No such file or directory",
        "pipe.jpg": "not a regular file",
        "notes.md": "not a picture",
    }
    assert "3 of 11 photos could not be decoded\n1 other files are no photos\n" in printed.err
    assert "2 hidden files and folders were left out" in printed.err


def test_files_beside_the_photos_are_told_and_cost_the_exit_status(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cat.jpg").write_bytes(encoded(photo(1), "JPEG"))
    call(predict.main, str(tmp_path), "--csv")
    (tmp_path / "notes.md").write_text("text")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        call(predict.main, str(tmp_path), "--csv")
    printed = capsys.readouterr()
    assert [row["error"] for row in csv.DictReader(printed.out.splitlines())] == ["", "not a picture"]
    assert printed.err == "1 other files are no photos\n"


def test_no_cell_of_csv_is_a_formula(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("=1+1.jpg", "+1.jpg", "@1.jpg", "\t1.jpg", "-1.jpg")
    for name in names:
        (project / name).write_bytes(encoded(photo(1), "JPEG"))
    try:
        call(predict.main, "--csv", "--", *names)
    finally:
        for name in names:
            (project / name).unlink()
    assert [row["photo"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))] == [
        f"'{name}" for name in names
    ]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("form", ["--json", "--csv", ""])
def test_names_that_the_terminal_cannot_say_are_answered(
    project: Path, tmp_path: Path, encoding: str, form: str
) -> None:
    names = ["猫 é😀.jpg".encode(), b"Ch\xe2t.jpg", b"cat.jpg"]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(encoded(photo(1), "JPEG"))
    done = subprocess.run(
        [DOGS_VS_CATS, "predict", *([form] if form else []), tmp_path],
        env=os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "300"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode(encoding)
    if form == "--json":
        assert {os.fsencode(Path(row["photo"]).name) for row in json.loads(said)} == set(names)
    else:
        assert said.count(".jpg") == 3
        assert "Ch\\udce2t.jpg" in said
        assert ("猫 é😀.jpg" in said) == (encoding == "utf-8")


def test_bad_arguments_are_told_at_once(project: Path) -> None:
    for arguments, told in ((["nowhere.jpg"], "nowhere.jpg: no such"), (["photos", "--model", "x"], "model x: choose")):
        with pytest.raises(WorkflowError, match=told):
            call(predict.main, *arguments)
    with pytest.raises(SystemExit):
        call(predict.main)
    with pytest.raises(WorkflowError, match="photos: is there already"):
        call(package.main, "photos")


def test_registered_models_are_used_as_they_were_calibrated(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    trained = find_model(project, "scratch")
    settings = tracking().model_copy(update={"registered_model": "dogs-vs-cats"})
    mlflow = client(settings, project)
    run = mlflow.create_run(mlflow.create_experiment("e", (project / "mlruns/artifacts").as_uri())).info.run_id
    save_model(trained.keras_model(), tmp_path / "model")
    mlflow.create_registered_model("dogs-vs-cats")
    tags = {DIGEST_TAG: digest_of(trained.weights), "kind": "scratch", "classes": "cats, dogs"}
    mlflow.create_model_version("dogs-vs-cats", (tmp_path / "model").as_uri(), run, tags)
    mlflow.set_registered_model_alias("dogs-vs-cats", "champion", "1")
    mlflow.log_param(run, "resampling", "bilinear")

    call(predict.main, "photos/1.jpg", "--json", "--model", "models:/dogs-vs-cats/1")
    printed = capsys.readouterr()
    assert "models:/dogs-vs-cats/1 was never compared: its probabilities are not calibrated" in printed.err
    mlflow.log_metric(run, "test_temperature", TEMPERATURES["scratch"])  # as version 0.1 named it
    call(predict.main, "photos/1.jpg", "--json", "--model", "models:/dogs-vs-cats@champion")
    assert "MLFLOW_TRACKING_URI" not in os.environ  # MLflow would leave it to all that this process does later
    (row,) = json.loads(capsys.readouterr().out)
    (answer,) = classify("photos/1.jpg", model="scratch")
    assert row["p_dogs"] == pytest.approx(vars(answer)["second"], abs=1e-5)
    assert row["p_dogs"] != json.loads(printed.out)[0]["p_dogs"]

    mlflow.log_metric(run, "test/temperature", 1.0)
    fruit = tags | {"classes": as_tag(["bad, rotten", "good"])}
    mlflow.create_model_version("dogs-vs-cats", (tmp_path / "model").as_uri(), run, fruit)
    call(predict.main, "photos/1.jpg", "--json", "--model", "models:/dogs-vs-cats/2")
    (rotten,) = json.loads(capsys.readouterr().out)
    assert rotten["class"] in ("bad, rotten", "good")
    assert rotten["p_good"] == pytest.approx(json.loads(printed.out)[0]["p_dogs"])

    call(package.main)
    assert "models:/dogs-vs-cats-photos@champion" in capsys.readouterr().out
    photos = mlflow.get_model_version_by_alias("dogs-vs-cats-photos", "champion")
    assert photos.run_id == run
    assert photos.tags[DIGEST_TAG] == tags[DIGEST_TAG]
    assert from_tag(photos.tags["classes"]) == ["cats", "dogs"]
    for model, told in (
        ("models:/dogs-vs-cats-photos@champion", "not a model that this workflow trained"),
        ("models:/dogs-vs-cats@nobody", "alias nobody not found; train and register"),
        ("models:/dogs-vs-cats", "write models:/NAME@ALIAS or"),
    ):
        with pytest.raises(WorkflowError, match=told):
            call(predict.main, "photos", "--model", model)


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``mlflow models serve`` on what ``package`` wrote, in a folder that is no project."""
    folder = tmp_path_factory.mktemp("served")
    with chdir(trained):
        call(package.main, str(folder / "model"))
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--model-uri", "model"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--workers", "1"],
            cwd=folder, env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        for _ in range(300):
            with suppress(requests.ConnectionError):
                if requests.get(f"http://127.0.0.1:{port}/ping", timeout=10).ok:
                    break
            assert process.poll() is None, (folder / "server.log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_model_server_answers_as_predict_does_and_refuses_what_it_cannot_answer(project: Path, server: str) -> None:
    texts = [base64.b64encode((project / f"photos/{seed}.jpg").read_bytes()).decode() for seed in (1, 2)]
    answered = requests.post(server, json={"inputs": texts}, timeout=60)
    assert answered.status_code == 200, answered.text
    answers = [vars(answer) for answer in classify("photos/1.jpg", "photos/2.jpg")]
    for found, expected in zip(answered.json()["predictions"], answers, strict=True):
        assert found["class"] == expected["label"]
        assert found["probability"] == pytest.approx(expected["probability"], abs=1e-9)
        assert found["probabilities"]["dogs"] == pytest.approx(expected["second"], abs=1e-9)

    for inputs, told in (
        ([*texts, base64.b64encode(b"text").decode()], "photo 3 of 3: not a picture"),
        (["%"], "photo 1 of 1: not base64"),
        ([""], "photo 1 of 1: no bytes"),
        ([], "0 photos; send 1 to 64"),
        (["A"] * 65, "65 photos; send 1 to 64"),
        (["A" * 27_000_000], "photo 1 of 1: more than 20 MB"),
        ([3], "list[str]"),
        (None, "Expected list"),
    ):
        refused = requests.post(server, json={"inputs": inputs}, timeout=60)
        assert refused.status_code == 400, refused.text
        assert told in refused.json()["message"]
        assert len(refused.content) < 2000
    for body in ("", "{", "null", "[]", '"text"', "{}", '{"photos": []}'):
        refused = requests.post(server, body, headers={"Content-Type": "application/json"}, timeout=60)
        assert refused.status_code == 400, (body, refused.text)


def test_a_model_server_is_bounded_in_memory_and_time_and_gives_memory_back(project: Path, server: str) -> None:
    def ask(inputs: list[str]) -> requests.Response:
        return requests.post(server, json={"inputs": inputs}, timeout=120)

    def memory() -> int:
        here = psutil.Process()
        return sum(process.memory_info().rss for process in here.children(recursive=True))

    small = base64.b64encode((project / "photos/1.jpg").read_bytes()).decode()
    hostile = base64.b64encode(encoded(Image.new("RGBA", (6000, 6000), (1, 2, 3, 40)))).decode()  # 288 MB each
    assert ask([small]).ok
    before, highest = memory(), 0
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(ask, [hostile] * 4) for _ in range(8)]
        while not all(answer.done() for answer in waiting):
            highest = max(highest, memory())
        answers = [answer.result() for answer in waiting]
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert any(answer.ok for answer in answers)
    for answer in answers:
        assert answer.ok or "send" in answer.json()["message"], answer.text
        assert answer.elapsed.total_seconds() < 60
    assert highest - before < MEMORY_LIMIT + 300_000_000
    assert memory() - before < 60_000_000
    assert ask([small]).ok


def test_what_is_packaged_needs_neither_tensorflow_nor_the_project(project: Path, tmp_path: Path) -> None:
    call(package.main, str(tmp_path / "model"), "--model", "vgg16")
    required = (tmp_path / "model/requirements.txt").read_text()
    assert "tensorflow" not in required
    assert {line.partition("==")[0] for line in required.split()} >= {"mlflow", "ncnn", "numpy", "pillow", "scipy"}
    np.save(tmp_path / "photo.npy", np.frombuffer((project / "photos/1.jpg").read_bytes(), np.uint8))
    code = """
import base64, sys
sys.modules.update(dict.fromkeys(("tensorflow", "keras", "imagehash", "h5py", "tqdm", "joblib")))
import mlflow, numpy
model = mlflow.pyfunc.load_model("model")
assert sys.modules["dogs_vs_cats"].__file__.startswith(sys.argv[1]), sys.modules["dogs_vs_cats"].__file__
print(model.predict([base64.b64encode(numpy.load("photo.npy").tobytes()).decode()])[0].probability)
"""
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert printed.returncode == 0, printed.stderr
    (answer,) = classify("photos/1.jpg", model="vgg16")
    assert float(printed.stdout.split()[-1]) == pytest.approx(vars(answer)["probability"], abs=1e-9)
