"""A colleague's fresh clone gets the data and models of a DVC remote: a folder, HTTP, a real S3-compatible server."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.conftest import ROOT
from tests.mlflow_server import free_port

ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "DVC_SITE_CACHE_DIR": "",  # set a test
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "GIT_AUTHOR_NAME": "Someone", "GIT_AUTHOR_EMAIL": "someone@example.com",
    "GIT_COMMITTER_NAME": "Someone", "GIT_COMMITTER_EMAIL": "someone@example.com",
}  # fmt: skip


def _run(folder: Path, *command: str, succeeds: bool = True, largest: int | None = None) -> str:
    """Run a command; with ``largest`` on a disk without room for a file of more bytes."""
    full = [] if largest is None else ["prlimit", f"--fsize={largest}"]
    done = subprocess.run(
        [*full, *command],
        cwd=folder,
        env=ENVIRONMENT | {"DVC_SITE_CACHE_DIR": str(folder.parent / f"{folder.name}-site")},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with this one's DVC settings, whose stage left a model of a megabyte."""
    folder = tmp_path / "mine"
    (folder / ".dvc").mkdir(parents=True)
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore"):
        shutil.copyfile(ROOT / name, folder / name)
    _run(folder, "git", "init", "--quiet")
    code = "import os; os.makedirs('models'); open('models/weights', 'wb').write(os.urandom(2**20))"
    _run(folder, "dvc", "stage", "add", "--run", "--name", "train", "--outs", "models", f'python -c "{code}"')
    return folder


class _Uploads(SimpleHTTPRequestHandler):
    """A folder by HTTP, which takes files by PUT; while it goes away, it keeps the first half of what it is sent."""

    def __init__(self, *arguments: Any, goes_away: Event, **options: Any) -> None:
        self._goes_away = goes_away
        super().__init__(*arguments, **options)

    def do_PUT(self) -> None:
        file = Path(self.translate_path(self.path))
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as kept:
            while size := int(self.rfile.readline(), 16):  # DVC sends chunks, each behind its size
                if self._goes_away.is_set():
                    kept.write(self.rfile.read(size // 2))
                    return
                kept.write(self.rfile.read(size))
                self.rfile.readline()
        self.send_response(HTTPStatus.CREATED)
        self.end_headers()


@contextmanager
def _http(folder: Path, goes_away: Event) -> Iterator[str]:
    """A server for a folder; its address."""
    folder.mkdir()
    handler = partial(_Uploads, directory=str(folder), goes_away=goes_away)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _damaged(remote: Path) -> list[str]:
    """The files of a remote that do not hold what their names say, which is their MD5."""
    files = [file for file in remote.glob("files/md5/??/*") if not file.name.startswith(".")]
    digests = {file.parent.name + file.stem: hashlib.md5(file.read_bytes()).hexdigest() for file in files}
    return [name for name, digest in digests.items() if name != digest]


@contextmanager
def _s3(folder: Path) -> Iterator[str]:
    """Moto's server, with a bucket; its address."""
    pytest.importorskip("dvc_s3")
    pytest.importorskip("moto")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--port", str(port)]
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT)
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                urlopen(Request(f"http://127.0.0.1:{port}/photos", method="PUT"), timeout=120).close()
                break
            except OSError:  # it does not listen yet
                assert process.poll() is None, (folder / "s3.log").read_text()
                assert time.monotonic() < deadline, (folder / "s3.log").read_text()
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _share(project: Path) -> None:
    """Push, clone, pull, as docs/team.md has it."""
    models, clone = (project / "models/weights").read_bytes(), project.with_name("clone")
    _run(project, "git", "add", "--all")
    _run(project, "git", "commit", "--quiet", "--allow-empty", "--message", "Train")
    _run(project, "dvc", "push")
    _run(project.parent, "git", "clone", "--quiet", str(project), str(clone))
    _run(clone, "dvc", "pull")
    assert (clone / "models/weights").read_bytes() == models
    assert "Data and pipelines are up to date." in _run(clone, "dvc", "status")
    assert "in sync" in _run(clone, "dvc", "status", "--cloud")


def test_a_fresh_clone_gets_all_from_a_folder_and_a_full_one_loses_nothing(project: Path, tmp_path: Path) -> None:
    _run(project, "dvc", "remote", "add", "--default", "team", str(tmp_path / "remote"))
    told = _run(project, "dvc", "push", succeeds=False, largest=500_000)
    assert "ERROR: failed to transfer" in told, told
    assert "ERROR: failed to push data to the cloud - 2 files failed to upload" in told, told
    assert _damaged(tmp_path / "remote") == []
    (half,) = (file for file in (tmp_path / "remote").rglob("*") if file.is_file())
    assert half.match(".*.tmp")  # as docs/team.md says
    _share(project)
    assert half.exists()
    assert _damaged(tmp_path / "remote") == []


def test_a_server_that_keeps_half_a_file_is_noticed_and_mended_as_the_docs_say(project: Path, tmp_path: Path) -> None:
    goes_away, remote = Event(), tmp_path / "remote"
    with _http(remote, goes_away) as address:
        settings = project / ".dvc/config"
        settings.write_text(
            settings.read_text().replace("[core]\n", "[core]\n    remote = team\n")
            + f"['remote \"team\"']\n    url = {address}\n    method = PUT\n    verify = true\n"
        )
        goes_away.set()
        told = _run(project, "dvc", "push", succeeds=False)
        assert "ERROR: failed to push data to the cloud - 2 files failed to upload" in told, told
        (named,) = re.findall("ERROR: failed to transfer '([0-9a-f]+)'", told)
        assert _damaged(remote) == [named]

        goes_away.clear()
        _run(project, "dvc", "push")  # takes the half for whole
        assert _damaged(remote) == [named]
        _run(project, "git", "add", "--all")
        _run(project, "git", "commit", "--quiet", "--message", "Train")
        _run(project.parent, "git", "clone", "--quiet", str(project), "refused")
        told = _run(project.with_name("refused"), "dvc", "pull", succeeds=False)
        assert "ERROR: failed to pull data from the cloud" in told, told
        assert not (project.with_name("refused") / "models/weights").exists()

        (mend,) = re.findall(r"```sh\n(cd \S+/files/md5\n.*?)```", (ROOT / "docs/team.md").read_text(), re.DOTALL)
        told = _run(remote, "bash", "-c", mend.replace("/srv/dogs-vs-cats", str(remote)))
        assert f"{named[:2]}/{named[2:]}" in told, told
        _share(project)


def test_a_fresh_clone_gets_all_from_an_s3_server_and_a_push_to_one_that_is_away_is_told(
    project: Path, tmp_path: Path
) -> None:
    with _s3(tmp_path) as address:
        _run(project, "dvc", "remote", "add", "--default", "team", "s3://photos/dogs-vs-cats")
        _run(project, "dvc", "remote", "modify", "team", "endpointurl", address)
        _share(project)
    (project / "models/more").write_text("more")
    _run(project, "dvc", "commit", "--force")
    assert "ERROR" in _run(project, "dvc", "push", succeeds=False)
