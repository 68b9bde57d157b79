"""The report opens without a network, says what it shows, and lets no name become markup."""

import base64
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser

import keras
import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats.evaluation.comparing import Reported, compare
from dogs_vs_cats.models.opened import OpenNetwork
from dogs_vs_cats.reports.comparison import Compared, figures, render
from dogs_vs_cats.reports.explanation_figures import where_models_look
from dogs_vs_cats.settings.params import CompareSettings
from dogs_vs_cats.tracking.making import Making, changed_settings, repeating_command
from tests.conftest import candidate

RULES = CompareSettings(confidence=0.95, bootstrap_resamples=200, calibration_bins=15, worst_mistakes=2, seed=1)
N = 40
LABELS = np.arange(N) % 2
PHOTOS = np.random.default_rng(0).integers(0, 256, (N, 16, 16, 3), dtype=np.uint8)
HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "loss": [0.7, 0.5, 0.3],
        "accuracy": [0.5, 0.8, 0.9],
        "val_loss": [0.7, 0.4, 0.6],
        "val_accuracy": [0.5, 0.85, 0.8],
        "kept": [False, True, False],
    }
)
HISTORIES = {"scratch": HISTORY, "vgg16": HISTORY.iloc[:1].assign(kept=True)}
MAKING = Making(
    commit="0123abc",
    changed=False,
    command="dvc exp run -S split.test=0",
    settings={"split": {"seed": 2017, "test": 0.0}, "train_vgg16": {"network": {"dense": [512, 256]}}},
    versions={"python": "3.11.7", "keras": "3.15.1"},
    machine="a processor",
    counts={"train": 1120, "validation": 320, "test": N},
)
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """A page's elements; fails on one that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every such element."""
        return [attributes for name, attributes in self.elements if name == tag]


def reported(**changes: object) -> Reported:
    """Real test photos, unless changed."""
    facts = Reported("zip", "test", ("cats", "dogs"), True, [f"test/{n}.jpg" for n in range(N)], LABELS, LABELS)  # noqa: FBT003
    return replace(facts, **changes)  # type: ignore[arg-type]


def page_of(facts: Reported, making: Making = MAKING, seed: int = 1, *, looks: bool = True) -> str:
    """A report on two models."""
    random = np.random.default_rng(seed)
    good = np.clip(LABELS * 0.9 + random.normal(0.05, 0.2, N), 0, 1)
    good[:3] = 1 - LABELS[:3]
    perfect = LABELS.astype(float)
    candidates = {
        "scratch": candidate(
            "scratch",
            good,
            good,
            parameters=1_355_938,
            trained_parameters=1_355_938,
            training_seconds=3725.0,
            photos_per_second=71.26,
        ),
        "vgg16": candidate("vgg16", perfect, perfect, parameters=19_041_345, trained_parameters=4_326_657),
    }
    compared = Compared(
        comparison=compare(candidates, facts, RULES),
        candidates=candidates,
        networks={},
        descriptions={},
        reported=facts,
        images=PHOTOS,
        histories=HISTORIES,
        counts=making.counts,
    )
    drawn = figures(compared, RULES.calibration_bins)
    if looks:
        evidence = np.ones((1, 2, 2), np.float32)
        found = {model.name: (evidence, good[:1]) for model in compared.comparison.models.values()}
        drawn["grad_cam"] = where_models_look(PHOTOS[:1], LABELS[:1], facts.classes, found, "Where each model looks")
    return render(compared, drawn, making)


def test_where_models_look_says_what_the_models_say_of_all_views_of_a_photo() -> None:
    layers = keras.layers
    network = keras.Sequential(
        [layers.Input((16, 16, 3)), layers.Conv2D(2, 3), layers.GlobalAveragePooling2D(), layers.Dense(1, "sigmoid")]
    )
    second = np.where(LABELS == 1, 0.8125, 0.3125)
    candidates = {kind: candidate(kind, second, second) for kind in HISTORIES}
    compared = Compared(
        comparison=compare(candidates, reported(), RULES), candidates=candidates,
        networks={"scratch": OpenNetwork(network)}, descriptions={}, reported=reported(), images=PHOTOS,
        histories=HISTORIES, counts={},
    )  # fmt: skip
    _, looks, *_ = figures(compared, RULES.calibration_bins)["grad_cam"].axes
    assert sorted(label.get_text() for label in looks.get_xticklabels()) == ["cats 68.8 %", "dogs 81.2 %"]


@pytest.fixture(scope="module")
def real() -> str:
    """The report on real photos."""
    return page_of(reported())


def test_nothing_is_loaded_from_anywhere(real: str) -> None:
    page = Page(real)
    assert {"script", "link", "iframe", "object", "base", "form"}.isdisjoint(tag for tag, _ in page.elements)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "poster", "action", "style"):
            if name in attributes:
                assert tag == "img"
                assert str(attributes[name]).startswith("data:image/png;base64,")
    assert not re.search(r"url\(|@import|https?:", re.sub(r'"data:[^"]*"', "", real))


def test_pictures_are_whole_and_described(real: str) -> None:
    images = Page(real).all("img")
    # One of accuracies, one of where they look, three a model, and scratch's two worst mistakes; the other made none.
    assert len(images) == 8 + 2
    for image in images:
        assert base64.b64decode(str(image["src"]).split(",")[1], validate=True).startswith(b"\x89PNG")
        assert len(str(image["alt"])) > 20


def test_a_stranger_is_told_what_was_compared_and_what_came_out(real: str) -> None:
    text = " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", real, flags=re.DOTALL).split())
    for phrase in (
        "On 40 test photos that neither network was trained on",
        "1,120 were trained on, 320 validated the training, and 40 were kept apart for the test",
        "To use: the VGG16 transfer model",
        "1,355,938; 1,355,938 learned here",
        "19,041,345; 4,326,657 learned here",
        "1 h 2 min",
        "71",
        "1.0 s",
        "89.4",
        "3 epochs, the weights of epoch 2 kept",
        "1 epoch, the weights of epoch 1 kept",
        "git checkout 0123abc",
        "dvc exp run -S split.test=0",
        "split.seed",
        "2017",
        "[512, 256]",
        "a processor",
        "3.15.1",
        "None shown.",
    ):
        assert phrase.replace(" %", "\N{NO-BREAK SPACE}%") in text, phrase
    assert "drawn by the program" not in text
    assert "no test split" not in text


def test_what_the_models_reach_together_is_told(real: str) -> None:
    text = " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", real, flags=re.DOTALL).split())
    assert re.search(r"Together the networks are right on [\d.]+.%.*weights fitted on validation: [01]\.\d\d for", text)
    assert re.search(r"percentage points more than the [\w ]+ alone \([^)]*\), which (can|cannot) be claimed", text)


def test_drawn_pictures_and_a_missing_test_split_are_announced() -> None:
    page = page_of(
        reported(source="drawn", split="validation", comparable=False),
        replace(MAKING, counts={"train": 9, "validation": N}),
    )
    assert "These pictures were drawn by the program itself" in page
    assert "There is no test split, so these are the validation pictures." in page
    assert page.count("not comparable") == 2
    assert "kept apart for the test" not in page


def test_names_become_text_and_never_markup() -> None:
    evil = '<script>alert("1")</script>'
    files = [f'test/{evil}" onerror="alert(1)/{n}.jpg' for n in range(N)]
    making = replace(MAKING, command=f"dvc exp run -S {evil}", settings={"download": {"path": evil}}, machine=evil)
    page = page_of(reported(classes=(evil, "a & b"), files=files), making)
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;" in page
    parsed = Page(page)
    assert all("onerror" not in attributes for _, attributes in parsed.elements)
    assert parsed.all("title") == [{}]


def test_report_says_where_models_look_if_they_have_convolutions(real: str) -> None:
    assert "<h2>Where each model looks</h2>" in real
    assert "Where each model looks" not in page_of(reported(), looks=False)


def test_report_is_the_same_twice(real: str) -> None:
    assert page_of(reported()) == real


def test_report_does_without_git(real: str) -> None:
    page = page_of(reported(), replace(MAKING, commit=None))
    assert "git checkout" not in page
    assert "git checkout" in real


def test_command_repeats_the_settings_that_were_changed() -> None:
    committed = {
        "download": {"source": "drawn", "path": None},
        "split": {"test": 0.1},
        "net": {"dense": [64], "drop": None},
    }
    current = {
        "download": {"source": "zip", "path": "/my photos/it's.zip"},
        "split": {"test": 0.1},
        "net": {"dense": [64, 32], "drop": {"rate": 0.5}},
    }
    changed = changed_settings(committed, current)
    assert list(changed) == ["download.source", "download.path", "net.dense", "net.drop"]
    assert repeating_command({}) == "dvc repro"
    command = repeating_command(changed)
    assert shlex.split(command) == [
        *("dvc", "exp", "run"),
        *("-S", "download.source=zip"),
        *("-S", 'download.path="/my photos/it\'s.zip"'),
        *("-S", "net.dense=[64,32]"),
        *("-S", "net.drop={rate:0.5}"),
    ]


def test_command_is_understood_by_dvc() -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    changed = {
        "a.path": "/my photos/it's, {odd}=[1].zip",
        "a.word": "zip",
        "a.none": None,
        "a.true": "true",
        "a.n": [1, {"x": 0.5}],
    }
    parsed = OverridesParser.create().parse_overrides(shlex.split(repeating_command(changed))[4::2])
    assert {override.key_or_group: override.value() for override in parsed} == changed
