"""Downloads from a real server on this machine: cut off, resumed, damaged; and Kaggle's client against one."""

import fcntl
import hashlib
import io
import re
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dogs_vs_cats.data.downloads import download
from dogs_vs_cats.data.raw.raw_photos import labelled, read_source, unlabelled
from dogs_vs_cats.data.sources.fetching import fetch
from dogs_vs_cats.data.sources.kaggle import WITHOUT_NETWORK, download_competition
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.params import Settings


def _zip(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, bytes([number]) * 100_000)
    return file.getvalue()


PHOTOS = _zip("PetImages/Cat/0.jpg", "PetImages/Cat/1.jpg", "PetImages/Dog/0.jpg", "PetImages/Dog/Thumbs.db")
DIGEST = hashlib.sha256(PHOTOS).hexdigest()


@dataclass
class Site:
    """What the server serves, how it misbehaves, and what it was asked for."""

    url: str = ""
    content: bytes = PHOTOS
    tag: str | None = '"1"'
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """After how many bytes to cut off each answer in turn; then answers are whole."""
    statuses: list[int] = field(default_factory=list)
    """What to answer to each request in turn instead of the file."""
    asked: list[str | None] = field(default_factory=list)
    """The Range header of each request."""


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append(wanted)
            if site.statuses:
                self.send_error(site.statuses.pop(0))
                return
            start = 0
            fresh = self.headers.get("If-Range") in (None, site.tag)
            if wanted is not None and site.ranges and fresh:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(site.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(site.content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
            else:
                self.send_response(200)
            if site.tag is not None:
                self.send_header("ETag", site.tag)
            self.send_header("Content-Length", str(len(site.content) - start))
            self.end_headers()
            end = start + site.cuts.pop(0) if site.cuts else None
            self.wfile.write(site.content[start:end])
            if end is not None:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site.url = f"http://127.0.0.1:{server.server_port}/kagglecatsanddogs.zip"
        yield site
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


def get(site: Site, folder: Path, sha256: str | None = DIGEST) -> bytes:
    path = download(site.url, sha256, folder, wait_seconds=0.001)
    assert [file.name for file in folder.iterdir()] == [path.name]
    return path.read_bytes()


def test_a_whole_file_comes_in_one_request(site: Site, folder: Path) -> None:
    assert get(site, folder) == PHOTOS
    assert site.asked == [None]


def test_a_cut_off_download_goes_on_where_it_was(site: Site, folder: Path) -> None:
    site.cuts = [100_000, 70_000]
    assert get(site, folder) == PHOTOS
    assert site.asked[0] is None
    starts = [int(str(wanted).removeprefix("bytes=").removesuffix("-")) for wanted in site.asked[1:]]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1] < len(PHOTOS)


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(site: Site, folder: Path) -> None:
    site.cuts = [150_000] + [0] * 20
    with pytest.raises(WorkflowError, match=r"What came so far is kept in .*\.part: run it again") as caught:
        download(site.url, DIGEST, folder, wait_seconds=0.001, advice=WITHOUT_NETWORK)
    assert "127.0.0.1" in str(caught.value)
    assert "download.source=drawn" in str(caught.value)
    (part,) = folder.iterdir()
    kept = part.stat().st_size
    assert 0 < kept <= 150_000
    site.cuts, site.asked = [], []
    assert get(site, folder) == PHOTOS
    assert site.asked == [f"bytes={kept}-"]


def test_a_part_that_is_whole_is_only_checked(site: Site, folder: Path) -> None:
    path = download(site.url, DIGEST, folder)
    path.rename(path.with_name(f"{path.name}.part"))
    assert get(site, folder) == PHOTOS
    assert site.asked == [None, f"bytes={len(PHOTOS)}-"]


def test_a_file_that_is_there_already_is_not_downloaded_again(site: Site, folder: Path) -> None:
    download(site.url, DIGEST, folder)
    assert get(site, folder) == PHOTOS
    assert len(site.asked) == 1


def test_a_part_longer_than_the_file_is_dropped(site: Site, folder: Path) -> None:
    path = download(site.url, DIGEST, folder)
    path.unlink()
    path.with_name(f"{path.name}.part").write_bytes(PHOTOS + b"more")
    assert get(site, folder) == PHOTOS


def test_a_server_without_ranges_sends_all_of_it_again(site: Site, folder: Path) -> None:
    site.ranges = False
    site.cuts = [200_000]
    assert get(site, folder) == PHOTOS


def test_a_file_that_changes_in_between_is_downloaded_anew(site: Site, folder: Path) -> None:
    path = download(site.url, None, folder)
    path.unlink()
    site.cuts = [150_000]
    new = PHOTOS[::-1]

    class Changing(list[str | None]):
        def append(self, wanted: str | None) -> None:
            super().append(wanted)
            if len(self) == 2:
                site.content, site.tag = new, '"2"'

    site.asked = Changing()
    assert get(site, folder, None) == new


def test_without_a_digest_what_an_earlier_run_left_is_not_used(site: Site, folder: Path) -> None:
    path = download(site.url, None, folder)
    path.rename(path.with_name(f"{path.name}.part"))
    site.content = PHOTOS[::-1]
    assert get(site, folder, None) == site.content


def test_a_wrong_digest_removes_the_file(site: Site, folder: Path) -> None:
    site.content = PHOTOS[:-1] + b"x"
    with pytest.raises(WorkflowError, match="was removed") as caught:
        download(site.url, DIGEST, folder)
    for part in (site.url, DIGEST, hashlib.sha256(site.content).hexdigest()):
        assert part in str(caught.value)
    assert list(folder.iterdir()) == []
    site.content = PHOTOS
    assert get(site, folder) == PHOTOS


@pytest.mark.parametrize("status", [403, 404, 410])
def test_an_answer_that_will_not_change_ends_it_at_once(site: Site, folder: Path, status: int) -> None:
    site.statuses = [status]
    with pytest.raises(WorkflowError, match=f"the server answered {status}") as caught:
        download(site.url, DIGEST, folder)
    assert site.url in str(caught.value)
    assert len(site.asked) == 1
    assert list(folder.iterdir()) == []


def test_a_busy_server_is_asked_again(site: Site, folder: Path) -> None:
    site.statuses = [503, 429, 500]
    assert get(site, folder) == PHOTOS


def test_a_server_that_stays_broken_is_given_up(site: Site, folder: Path) -> None:
    site.statuses = [500] * 100
    with pytest.raises(WorkflowError, match="the server answered 500"):
        download(site.url, DIGEST, folder, wait_seconds=0.001)
    assert len(site.asked) < 10
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid"])
def test_a_host_out_of_reach_names_the_settings_that_work(folder: Path, host: str) -> None:
    with pytest.raises(WorkflowError, match=r"could not be downloaded from (127\.0\.0\.1|no-such-host)") as caught:
        download(f"http://{host}/photos.zip", DIGEST, folder, wait_seconds=100, advice=WITHOUT_NETWORK)
    for setting in ("download.source=drawn", "download.source=zip", "download.path"):
        assert setting in str(caught.value)
    assert list(folder.iterdir()) == []


def test_two_runs_do_not_write_to_one_part(site: Site, folder: Path) -> None:
    path = download(site.url, DIGEST, folder)
    path.unlink()
    with path.with_name(f"{path.name}.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(WorkflowError, match="another run is downloading it"):
            download(site.url, DIGEST, folder)


FULL = """
import resource, signal, sys
from pathlib import Path
from dogs_vs_cats.data.downloads import download
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
try:
    download(sys.argv[1], None, Path(sys.argv[2]))
except OSError as error:
    sys.exit(error.strerror)
"""


def test_a_disk_that_fills_up_keeps_no_part(site: Site, folder: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", FULL, site.url, str(folder)], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr.strip()) == (1, "File too large")
    assert list(folder.iterdir()) == []


def test_a_disk_too_small_is_noticed_before_anything_is_written(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Small)
    with pytest.raises(OSError, match="No space left"):
        download(site.url, DIGEST, folder)
    assert list(folder.iterdir()) == []


# ---------------------------------------------------------------- as sources


@pytest.fixture
def fetch_microsoft(site: Site, settings: Settings, tmp_path: Path) -> Callable[[str | None], Path]:
    def run(sha256: str | None) -> Path:
        microsoft = settings.download.microsoft.model_copy(update={"url": site.url, "sha256": sha256})
        changed = settings.download.model_copy(update={"source": "microsoft", "microsoft": microsoft})
        fetch(changed, tmp_path / "raw", tmp_path / "downloads")
        return tmp_path / "raw"

    return run


def test_microsofts_zip_becomes_the_labelled_photos(fetch_microsoft: Callable[[str | None], Path]) -> None:
    raw = fetch_microsoft(DIGEST)
    assert [photo.label for photo in labelled(raw)] == ["cats", "cats", "dogs"]
    assert len(unlabelled(raw)) == 0
    assert read_source(raw) == "microsoft"
    assert [path.name for path in raw.parent.iterdir()] == ["raw"]


def test_a_download_that_is_no_zip_leaves_no_photos(
    fetch_microsoft: Callable[[str | None], Path], site: Site, tmp_path: Path
) -> None:
    site.content = b"<html>Please log in</html>"
    with pytest.raises(WorkflowError, match="not a zip file"):
        fetch_microsoft(None)
    assert not (tmp_path / "raw").exists()
    site.content = PHOTOS
    assert len(labelled(fetch_microsoft(None))) == 3


# ---------------------------------------------------------------- Kaggle


def _competition(layout: str) -> bytes:
    if layout == "folders in a zip":
        return _zip("train/cat.0.jpg", "train/dog.0.jpg", "test/1.jpg", "test/2.jpg")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("train.zip", _zip("train/cat.0.jpg", "train/dog.0.jpg"))
        archive.writestr("test.zip", _zip("test/1.jpg", "test/2.jpg"))
        archive.writestr("sample_submission.csv", "id,label\n")
    return file.getvalue()


@dataclass
class Kaggle:
    """A stand-in for Kaggle's server, as the client's proxy: requests to http://localhost/api come to it."""

    content: bytes = b""
    refusal: tuple[int, bytes] | None = None
    asked: list[str] = field(default_factory=list)


def _kaggle_handler(kaggle: Kaggle) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kaggle.asked.append(f"{self.path} {body.decode()}")
            if kaggle.refusal is not None:
                status, message = kaggle.refusal
                self._send(status, message, "application/json")
                return
            self.send_response(302)
            self.send_header("Location", "http://localhost/storage/archive.zip?signature=x")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self._send(200, kaggle.content, "application/zip")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    kaggle = Kaggle()
    for name in ("NO_PROXY", "no_proxy", "KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), _kaggle_handler(kaggle)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in {
            "http_proxy": f"http://127.0.0.1:{server.server_port}",
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "KAGGLE_USERNAME": "somebody",
            "KAGGLE_KEY": "key",
            "HOME": str(tmp_path / "home"),
        }.items():
            monkeypatch.setenv(name, value)
        yield kaggle
        server.shutdown()


@pytest.mark.parametrize("layout", ["zips in a zip", "folders in a zip"])
def test_a_competition_becomes_labelled_and_unlabelled_photos(
    kaggle: Kaggle, settings: Settings, tmp_path: Path, layout: str
) -> None:
    kaggle.content = _competition(layout)
    raw = tmp_path / "raw"
    fetch(settings.download.model_copy(update={"source": "kaggle"}), raw, tmp_path / "downloads")
    assert [photo.label for photo in labelled(raw)] == ["cats", "dogs"]
    assert [photo.name for photo in unlabelled(raw)] == ["test/1.jpg", "test/2.jpg"]
    assert read_source(raw) == "kaggle"
    assert not (tmp_path / "downloads").exists()
    (request,) = kaggle.asked
    assert "dogs-vs-cats-redux-kernels-edition" in request


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((401, b'{"code": 401, "message": "Unauthenticated"}'), "credentials are there, or they are not valid"),
        (
            (403, b'{"code": 403, "message": "You must accept this competition\'s rules"}'),
            "accept its rules at https://",
        ),
        ((403, b"{}"), "accept its rules at https://"),
        ((404, b"{}"), r"correct download\.kaggle\.competition"),
    ],
)
def test_what_kaggle_refuses_says_what_to_do(
    kaggle: Kaggle, settings: Settings, tmp_path: Path, refusal: tuple[int, bytes], message: str
) -> None:
    kaggle.refusal = refusal
    with pytest.raises(WorkflowError, match=message) as caught:
        fetch(settings.download.model_copy(update={"source": "kaggle"}), tmp_path / "raw", tmp_path / "downloads")
    assert re.search(r"download\.source=drawn.*download\.source=zip.*download\.path", str(caught.value))
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_without_credentials_kaggle_says_where_they_go(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    with pytest.raises(WorkflowError, match=r"KAGGLE_API_TOKEN or the file ~/\.kaggle/access_token"):
        download_competition("dogs-vs-cats", tmp_path)
    assert kaggle.asked == []


def test_kaggle_out_of_reach_names_the_settings_that_work(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(WorkflowError, match=r"Kaggle's client said: .*download\.source=drawn"):
        download_competition("dogs-vs-cats", tmp_path)
    assert kaggle.asked == []
