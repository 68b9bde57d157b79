from pathlib import Path

import pytest
from PIL import Image

from dogs_vs_cats.commands.networks import main
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.catalogue import NETWORKS
from tests.commands.calling import call
from tests.conftest import ROOT


def test_networks_are_listed_with_their_costs_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = ["--params", str(ROOT / "params.yaml")]
    call(main, "cnn", "vgg16", "xception", "--size", "64", "--pictures", str(tmp_path), *params)
    told = capsys.readouterr().out
    rows = {line.split("│")[1].strip(): line for line in told.splitlines() if line.startswith("│")}
    assert set(rows) == {"cnn", "vgg16", "xception"}
    assert "14,714,688" in rows["vgg16"]
    assert "takes 71 pixels" in rows["xception"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cnn.png", "vgg16.png"]
    for file in tmp_path.iterdir():
        with Image.open(file) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 10


def test_an_unknown_network_is_refused_with_those_there_are() -> None:
    with pytest.raises(WorkflowError, match=r"resnet5: no such network; there are cnn, .*resnet50, "):
        call(main, "resnet5")
    with pytest.raises(WorkflowError, match="--size is 0: it has to be from 1 to 1024"):
        call(main, "--size", "0")


def test_every_network_has_a_name_of_its_own() -> None:
    titles = [network.title for network in NETWORKS.values()]
    assert len(set(titles)) == len(titles) == 20
