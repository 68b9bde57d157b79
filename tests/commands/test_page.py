"""``dogs-vs-cats page``: the real server, asked as a browser asks it, and a real browser that photos are dropped on."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from PIL import Image

from dogs_vs_cats.commands import page
from dogs_vs_cats.data.drawn.drawing import draw
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.serving.classifying import LARGEST_SENT, Answer
from dogs_vs_cats.serving.trained_models import classify
from tests.browser import BROWSER, PATIENCE, Browser
from tests.commands.calling import call
from tests.conftest import ROOT, encoded
from tests.page_visitor import Page, Visitor, within
from tests.photo_project import photo, write_project

# Keras 3.15 copies TensorFlow's variables in a way that NumPy 2 calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

KINDS = ("scratch", "vgg16")
NAMES = ("CNN from scratch", "VGG16 transfer model")
TURNED = "turned <i>dog.png"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with photos, one noted by the camera as turned, and files that are none."""
    project = tmp_path_factory.mktemp("project")
    write_project(project)
    shutil.copyfile(ROOT / "params.yaml", project / "params.yaml")
    photos = project / "photos"
    photos.mkdir()
    for animal in ("cat", "dog"):
        for number in range(2):
            draw(animal, number, 1, 200).save(photos / f"{animal}{number}.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright: to be shown turned by 90 degrees to the right
    draw("dog", 0, 1, 200).transpose(Image.Transpose.ROTATE_90).save(photos / TURNED, "PNG", exif=turned)
    (photos / "broken.jpg").write_bytes(encoded(photo(1, 300, 200), "JPEG")[:-900])
    (photos / "text.jpg").write_bytes(b"text")
    (photos / "empty.jpg").write_bytes(b"")
    return project


@pytest.fixture(scope="module")
def served(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of the project."""
    page = Page(project, tmp_path_factory.mktemp("page") / "temporary")
    try:
        page.wait()
        yield page
    finally:
        page.kill()


def shares(html: str) -> list[tuple[str, float]]:
    """Each model's class and probability in a card, the CNN first."""
    found = re.findall(r'<strong>(\w+)</strong> <data value="([^"]+)">', html)
    return [(label, float(value)) for label, value in found]


def predicted(path: Path, project: Path) -> list[tuple[str, float]]:
    """The same, as ``predict`` gives it."""
    answers = [next(classify(path, model=kind, project=project)) for kind in KINDS]
    return [(answer.label, answer.probability) for answer in answers if isinstance(answer, Answer)]


def test_photos_get_the_answers_of_predict_with_pictures_and_nothing_is_kept(served: Page, project: Path) -> None:
    files = sorted((project / "photos").iterdir())
    before = served.written()
    with Visitor(served.url) as visitor:
        for file in files:
            assert visitor.send(file.name, file.read_bytes()) == 200
        cards = visitor.cards(len(files))
        assert served.written() == before
    for file in files:
        if file.stem in {"broken", "text", "empty"}:
            assert "<img" not in cards[file.name]
            continue
        answers = shares(cards[file.name])
        assert answers == predicted(file, project)
        assert len(answers) == 2
        assert cards[file.name].count('src="data:image/jpeg;base64,') == 3
        disagreed = answers[0][0] != answers[1][0]
        assert ("The models disagree" in cards[file.name]) == disagreed
        assert ("Both models say" in cards[file.name]) != disagreed
        for name in NAMES:
            assert f'alt="Where the {name} looks in ' in cards[file.name]
    for name, reason in (("broken", "truncated"), ("text", "not a picture"), ("empty", "no bytes")):
        assert reason in cards[f"{name}.jpg"]
    assert shares(cards[TURNED]) == shares(cards["dog0.png"])
    assert "<i>" not in cards[TURNED]


def test_what_is_too_large_or_comes_under_another_name_is_refused(served: Page) -> None:
    with Visitor(served.url) as visitor:
        assert visitor.send("large.png", bytes(LARGEST_SENT + 20_000)) == 413
    foreign = requests.get(served.url, headers={"Host": "attacker.example"}, timeout=PATIENCE)
    assert foreign.status_code == 400
    for path in ("/photos/cat0.png", "/params.yaml", "/..%2fparams.yaml", "/_nicegui/../params.yaml"):
        assert requests.get(served.url + path, timeout=PATIENCE).status_code == 404


def test_only_this_machine_reaches_the_page(served: Page) -> None:
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", served.port), timeout=10):
        pass


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")
def test_photos_dropped_in_a_browser_are_answered_side_by_side_and_no_request_leaves_the_machine(
    served: Page, project: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(LARGEST_SENT + 1))
    files = [*sorted((project / "photos").iterdir()), large]
    answered = "document.querySelectorAll('article.photo:not(.refused)')"
    with Browser() as browser:
        browser.open(served.url)
        browser.wait("document.querySelector('.drop button') !== null")
        browser.drop(files, ".drop")
        done = f"document.querySelectorAll('article').length === {len(files)} && {answered}.length === 5"
        browser.wait(f"{done} && !document.body.innerText.includes('finding where')")
        shown = browser.evaluate(
            f"[...{answered}].map((card) => [card.querySelector('h2').innerText, "
            "[...card.querySelectorAll('.said')].map((said) => [said.querySelector('strong').innerText, "
            "Number(said.querySelector('data').value)])])"
        )
        for name, answers in shown:
            assert [tuple(answer) for answer in answers] == predicted(project / "photos" / name, project)
        text = browser.evaluate("document.body.innerText")
        for told in ("truncated", "not a picture", "it has more than 20 MB"):
            assert f"No answer: {told}" in text
        assert browser.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        assert browser.evaluate("[...document.images].every((image) => image.alt || image.closest('.none'))")
        turned, upright = (
            f"[...document.querySelectorAll('article')].find((card) => card.innerText.includes('{name}'))"
            ".querySelector('img')" for name in ("turned", "dog0")
        )  # fmt: skip
        assert browser.evaluate(f"{turned}.naturalWidth") == browser.evaluate(f"{upright}.naturalWidth")

        # Beside the field, on a screen as wide as a phone's; the latest drop comes first.
        browser.resize(400, 800)
        browser.drop(files[2:3], "h1")
        browser.wait(f"document.querySelectorAll('article').length === {len(files) + 1}")
        browser.wait("!document.body.innerText.includes('finding where')")
        assert browser.evaluate("document.querySelector('article h2').innerText") == files[2].name
        assert browser.evaluate("document.documentElement.scrollWidth") <= 400
        assert browser.errors == []
        assert any(url.startswith("ws://") for url in browser.asked)
        strange = [url for url in browser.asked if not re.match(rf"(http|ws)://127\.0\.0\.1:{served.port}/", url)]
        assert strange == []


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
def test_it_opens_the_browser_and_interrupted_with_the_page_open_it_ends_cleanly(
    interrupt: signal.Signals, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> "{opened}"\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    served = Page(project, tmp_path / "temporary", "--open")
    try:
        served.wait()
        with Visitor(served.url) as visitor:
            visitor.send("cat.png", (project / "photos/cat0.png").read_bytes())
            within(lambda: opened.exists() and served.url in opened.read_text(), served.process, served.log)
            served.process.send_signal(interrupt)
            assert served.process.wait(PATIENCE) == 0, served.log.read_text()
    finally:
        served.kill()
    assert served.log.read_text().splitlines() == [
        f"{served.url}: drop photos there; Ctrl-C ends it",
        "the page is closed",
    ]
    assert list(served.temporary.iterdir()) == []


def test_a_taken_port_is_told_and_without_one_the_next_is_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    from dogs_vs_cats.serving.photo_server import PORT, address, listen

    with listen(None) as first, listen(None) as second:
        assert PORT <= first.getsockname()[1] < second.getsockname()[1]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address(first))
        taken = str(first.getsockname()[1])
        for port, told in ((taken, f"--port {taken}: taken by another program"), ("70000", "ports go from 1 to 65535")):
            with pytest.raises(WorkflowError, match=told):
                call(page.main, "--port", port)


def test_without_models_or_nicegui_it_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkflowError, match="no comparison of trained models there; train and compare the models with"):
        call(page.main)
    monkeypatch.setitem(sys.modules, "nicegui", None)
    with pytest.raises(WorkflowError, match="page: nicegui is not installed; run make setup, or pip install nicegui"):
        call(page.main)


def test_help_and_wrong_arguments_are_answered_without_nicegui(capsys: pytest.CaptureFixture[str]) -> None:
    started = json.loads(
        subprocess.check_output(
            [sys.executable, "-c", _HELP], text=True, stderr=subprocess.STDOUT, env=os.environ | {"COLUMNS": "80"}
        ).splitlines()[-1]
    )
    assert started == []
    with pytest.raises(SystemExit, match="2"):
        call(page.main, "--port", "many")
    assert "--port" in capsys.readouterr().err


_HELP: Any = """
import json, sys
from dogs_vs_cats.commands import page
try:
    page.main(["--help"])
except SystemExit:
    print(json.dumps([name for name in ("nicegui", "tensorflow", "numpy") if name in sys.modules]))
"""


def upload(served: Page, sent: bytes, length: int) -> socket.socket:
    """An upload of which only a part is sent."""
    with Visitor(served.url) as visitor:
        path = visitor.field.removeprefix(served.url)
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE)
    kind = "Content-Type: multipart/form-data; boundary=x"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n{kind}\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + sent)
    return connection


def test_a_tab_closed_during_an_upload_leaves_no_traceback(served: Page) -> None:
    for sent in (b"", b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\nabc'):
        upload(served, sent, 1000).close()
    with Visitor(served.url) as visitor:
        assert visitor.send("text.jpg", b"text") == 200
        visitor.cards(1)
    assert "Traceback" not in served.log.read_text()
    assert "ERROR" not in served.log.read_text()


def test_idle_uploads_are_bounded_in_number_and_time_and_the_page_answers_meanwhile(served: Page) -> None:
    began = time.monotonic()
    idle = [upload(served, b"--x", 1000) for _ in range(80)]
    try:
        answers = [connection.recv(100).split(b"\r\n")[0] for connection in (*idle[-16:], *idle[:16])]
        assert requests.get(served.url, timeout=PATIENCE).ok
    finally:
        for connection in idle:
            connection.close()
    assert answers == [b"HTTP/1.1 503 Service Unavailable"] * 16 + [b"HTTP/1.1 408 Request Timeout"] * 16
    assert time.monotonic() - began < PATIENCE
    with Visitor(served.url) as visitor:
        assert visitor.send("text.jpg", b"text") == 200


def test_the_page_gives_the_memory_of_large_photos_back(served: Page) -> None:
    large = encoded(Image.new("RGBA", (6000, 6000), (1, 2, 3, 40)))  # 288 MB
    with Visitor(served.url) as visitor:
        visitor.send("small.png", encoded(photo(1)))
        visitor.cards(1)
        before = psutil.Process(served.process.pid).memory_info().rss
        for number in range(4):
            assert visitor.send(f"{number}.png", large) == 200
        visitor.cards(5)
    assert psutil.Process(served.process.pid).memory_info().rss - before < 60_000_000
