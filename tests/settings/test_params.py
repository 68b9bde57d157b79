import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.params import Settings, load_settings, parse_settings
from tests.conftest import ROOT, changed


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("train_scratch.epochs=51", "  epochs: 51               # at most; early stopping ends most trainings earlier"),
        ("submission.model=scratch", "  model: scratch "),
        ("download.source=kaggle", "  source: kaggle "),
        ("train_scratch.mixed_precision=true", "  mixed_precision: true    # float16 compute, for GPUs"),
    ],
)
def test_a_setting_that_dvc_changes_is_the_only_line_that_changes(tmp_path: Path, override: str, line: str) -> None:
    params = tmp_path / "params.yaml"
    before = (ROOT / "params.yaml").read_text()
    params.write_text(before)
    apply_overrides(params, [override])
    pairs = zip(before.splitlines(), params.read_text().splitlines(), strict=True)
    (changed_line,) = [new for old, new in pairs if old != new]
    assert changed_line.startswith(line)


def test_a_list_that_dvc_changes_takes_only_its_own_lines(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    before = (ROOT / "params.yaml").read_text()
    params.write_text(before)
    apply_overrides(params, ["train_scratch.network.dense=[128,64]"])
    assert params.read_text() == before.replace("    dense:\n    - 64\n", "    dense:\n    - 128\n    - 64\n", 1)


def test_the_docs_say_how_to_quote_paths_for_dvc(tmp_path: Path) -> None:
    docs = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    (plain,) = re.findall(r"anything but English letters, digits and\s`(.+?)`", docs)
    quoted, apostrophe = re.findall(r"^dvc exp run -S download.source=folder -S (\".+)$", docs, re.MULTILINE)
    params = tmp_path / "params.yaml"

    def read_by_dvc(argument: str) -> Any:
        """What DVC takes for the path, where a shell was given the argument."""
        given = subprocess.run(["bash", "-c", f"printf %s {argument}"], capture_output=True, text=True, check=True)
        params.write_text("download:\n  path: null\n")
        apply_overrides(params, [given.stdout])
        return yaml.safe_load(params.read_text(encoding="utf-8"))["download"]["path"]

    for letter in ("x", "7", *plain.split()):
        assert read_by_dvc(f"download.path=/a{letter}b") == f"/a{letter}b"
    for path in [
        "~/photos",
        *(f"/home/a{letter}b, c" for letter in " ()[]{}=~;&|<>!#*?^:\N{SNOWMAN}\N{CYRILLIC SMALL LETTER ZHE}"),
    ]:
        assert read_by_dvc(quoted.replace("/home/me/photos (1)", path)) == path
        owned = path.replace("a", "Anna's (1)")
        assert read_by_dvc(apostrophe.replace("/home/me/Anna's photos", owned)) == owned
    (by_hand,) = re.findall(r"goes into `params.yaml` itself: `path: (.+)`", docs)
    assert yaml.safe_load(by_hand) == "/home/me/photos $5"


def test_the_committed_settings_are_the_articles(settings: Settings) -> None:
    scratch, head = settings.train_scratch, settings.train_vgg16
    assert (scratch.epochs, scratch.batch, scratch.optimizer.learning_rate, scratch.optimizer.momentum) == (
        50,
        32,
        0.01,
        0.9,
    )
    assert scratch.early_stopping is not None
    assert scratch.early_stopping.patience == 3
    assert [(block.filters, block.kernel) for block in scratch.network.convolutions] == [(32, 3), (32, 3), (64, 3)]
    assert (head.epochs, head.network.dense, head.network.dropout) == (15, [512, 256], [0.5, 0.2])
    assert (settings.decode.size, settings.split.validation) == (150, 0.2)
    assert (settings.download.source, settings.split.test, settings.bottleneck.scaling) == ("drawn", 0.1, "imagenet")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"split.validation": 1.2}, ["split.validation is 1.2", "less than 1"]),
        ({"split.test": -0.1}, ["split.test is -0.1", "greater than or equal to 0"]),
        ({"split.validation": 0.6, "split.test": 0.4}, ["split", "leave nothing to train on"]),
        ({"train_scratch.epochs": "3"}, ["train_scratch.epochs is '3'", "integer"]),
        ({"train_scratch.epochs": 0}, ["train_scratch.epochs is 0", "greater than or equal to 1"]),
        ({"train_scratch.epochs": True}, ["train_scratch.epochs is True", "integer"]),
        ({"download.source": "web"}, ["download.source is 'web'", "'drawn', 'folder', 'zip', 'microsoft' or 'kaggle'"]),
        ({"download.source": "zip"}, ["download", "needs download.path"]),
        (
            {"download.zip_encoding": "cp8666"},
            ["download.zip_encoding is 'cp8666'", "choose auto, or one such as cp437"],
        ),
        ({"download.zip_encoding": "utf-16"}, ["download.zip_encoding is 'utf-16'", "no such encoding of names"]),
        ({"download.zip_encoding": "hex"}, ["download.zip_encoding is 'hex'", "no such encoding of names"]),
        ({"download.layout": "folder"}, ["download.layout is 'folder'", "'inner_folders'"]),
        ({"split.own": "keep"}, ["split.own is 'keep'", "'auto' or 'ignore'"]),
        ({"bottleneck.scaling": None}, ["bottleneck.scaling is None", "'imagenet' or 'article'"]),
        (
            {"train_scratch.class_weight": "even"},
            ["train_scratch.class_weight is 'even'", "choose balanced, weights by"],
        ),
        ({"train_scratch.class_weight": [1.0, 2.0]}, ["train_scratch.class_weight: choose", "{cats: 1.0, dogs: 3.0}"]),
        ({"train_vgg16.class_weight": {"cats": 0}}, ["train_vgg16.class_weight.cats is 0: input should be greater"]),
        ({"train_vgg16.class_weight": {1: 2.0}}, ["train_vgg16.class_weight.1 is 1: input should be a valid string"]),
        ({"train_scratch.early_stopping": 3}, ["train_scratch.early_stopping is 3", "mapping"]),
        ({"train_scratch.optimizer.time_decay": "x"}, ["train_scratch.optimizer.time_decay is 'x'", "number"]),
        ({"train_scratch.optimizer.name": "adam"}, ["train_scratch.optimizer", "is for sgd, rmsprop and muon"]),
        ({"train_vgg16.network.dropout": [0.5]}, ["train_vgg16.network", "2 dense layers need as many dropout rates"]),
        ({"decode.size": 16, "train_scratch.network.convolutions": [{"filters": 1, "kernel": 3}] * 5}, ["to nothing"]),
        ({"train_scratch.network.name": "lenet"}, ["train_scratch.network.name is 'lenet'", "'lenet5'"]),
        ({"bottleneck.backbone": "vgg11"}, ["bottleneck.backbone is 'vgg11'", "'vgg16'", "'efficientnet_v2_b0'"]),
        ({"bottleneck.backbone": "xception", "decode.size": 64}, ["Xception takes 71 pixels", "bottleneck.backbone"]),
        ({"decode.size": 24}, ["decode.size is 24: VGG16 takes 32 pixels"]),
        ({"decode.size": 32, "train_scratch.network.name": "alexnet"}, ["AlexNet", "takes 39 pixels"]),
        ({"bottleneck.size": 24}, ["bottleneck.size is 24: VGG16 takes 32 pixels"]),
        ({"bottleneck.size": 160}, ["bottleneck.size is 160", "decode.size, 150"]),
        ({"train_scratch.size": 200}, ["train_scratch.size is 200", "decode.size, 150"]),
        (
            {"train_scratch.size": 16, "train_scratch.network.convolutions": [{"filters": 1, "kernel": 3}] * 5},
            ["halve train_scratch.size 16 to nothing"],
        ),
        (
            {"submission.model": "best"},
            ["submission.model is 'best'", "'scratch', 'vgg16', 'fine_tuned' or 'ensemble'"],
        ),
        ({"submission.model": "fine_tuned"}, ["submission.model is fine_tuned", "while fine_tune.block is null"]),
        (
            {"fine_tune.block": "block6"},
            ["fine_tune.block is 'block6': no block of VGG16", "choose from block2, block3, block4, block5, or null"],
        ),
        (
            {"fine_tune.block": "block14", "bottleneck.backbone": "xception"},
            ["fine_tune.block is 'block14': no block of Xception", "none to choose: set it to null"],
        ),
        ({"fine_tune.mixup": 0.2, "fine_tune.loss.name": "hinge"}, ["fine_tune: mixup mixes two labels", "hinge"]),
        ({"bottleneck.mirrored": True}, ["bottleneck", "set bottleneck.pooling"]),
        ({"bottleneck.layers": ["block4_pool"]}, ["bottleneck", "set bottleneck.pooling"]),
        (
            {"bottleneck.layers": ["block6_pool"], "bottleneck.pooling": ["max"]},
            ["bottleneck: layers names 'block6_pool'", "no layer of VGG16", "block3_pool, block4_pool"],
        ),
        (
            {"bottleneck.layers": ["add_1"], "bottleneck.pooling": ["max"], "bottleneck.backbone": "xception"},
            ["layers names 'add_1', which is no layer of Xception", "set layers to null"],
        ),
        ({"bottleneck.pooling": ["max", "average", "max"]}, ["bottleneck: pooling names 'max' twice"]),
        (
            {"bottleneck.layers": ["block4_pool"] * 2, "bottleneck.pooling": ["max"]},
            ["bottleneck: layers names 'block4_pool' twice"],
        ),
        ({"train_vgg16.solver": "logistic"}, ["train_vgg16", "set network.dense and network.dropout to []"]),
        ({"train_scratch.optimizer.schedule": "cosine"}, ["schedule cosine and time_decay both", "time_decay to 0.0"]),
        (
            {"train_scratch.optimizer.schedule": "cosine", "train_scratch.optimizer.time_decay": 0.0},
            ["optimizer.schedule cosine ends with the last epoch", "set early_stopping to null"],
        ),
        (
            {"train_scratch.early_stopping": {"patience": 3, "patience_updates": 1875}},
            ["train_scratch.early_stopping", "patience counts epochs, patience_updates counts updates", "set one"],
        ),
        ({"train_scratch.optimizer.warmup_epochs": 50.0}, ["warmup_epochs 50.0 leaves nothing of 50 epochs"]),
        (
            {"train_scratch.sizes": [{"pixels": 64, "epochs": 30}], "train_scratch.network.name": "residual"},
            ["sizes has 30 epochs in all, epochs is 50"],
        ),
        ({"train_scratch.sizes": [{"pixels": 64, "epochs": 50}]}, ["sizes", "photos of any size", "wide_residual"]),
        ({"train_scratch.views.scales": [1.0, 1.25]}, ["views.scales", "photos of any size"]),
        (
            {"train_scratch.augmentation.mixup": 0.2, "train_scratch.loss.name": "hinge"},
            ["augmentation.mixup mixes two labels", "loss.name hinge"],
        ),
        (
            # Both EfficientNet-Lite were computed by ncnn once.
            {"bottleneck.backbone": "efficientnet_lite2", "bottleneck.engine": "ncnn"},
            ["ncnn computes VGG16 alone", "EfficientNet-Lite2 needs bottleneck.engine: onnx, tensorflow or auto"],
        ),
        (
            {"bottleneck.backbone": "resnet50", "bottleneck.engine": "ncnn"},
            [
                "bottleneck",
                "ncnn computes VGG16 alone",
                "ResNet50 needs bottleneck.engine: onnx, tensorflow or auto",
            ],
        ),
    ],
)
def test_a_wrong_value_is_refused_by_key_value_and_what_is_allowed(
    values: dict[str, Any], changes: dict[str, Any], told: list[str]
) -> None:
    with pytest.raises(WorkflowError) as refusal:
        parse_settings(changed(values, **changes))
    for words in ["params.yaml: ", *told]:
        assert words in str(refusal.value)


def test_every_wrong_key_is_told_at_once(values: dict[str, Any]) -> None:
    values["split"]["tests"] = 0.1
    values["searching"] = {}
    del values["decode"]["size"]
    with pytest.raises(WorkflowError) as refusal:
        parse_settings(values)
    assert sorted(str(refusal.value).splitlines()) == [
        "params.yaml: decode.size: field required",
        "params.yaml: searching: unknown key; remove it or correct its name",
        "params.yaml: split.tests is 0.1: unknown key; remove it or correct its name",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("split: [", "not valid YAML"),
        ("", "the whole file is None"),
        ("- 1", "the whole file"),
        (None, "no such file"),
    ],
)
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(WorkflowError, match=told):
        load_settings(tmp_path / "params.yaml")


def test_every_key_has_an_explanation() -> None:
    undocumented = [
        line
        for line in (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
        if line and line[0].isalpha() and not line.endswith(":") and "#" not in line
    ]
    assert undocumented == []


def test_a_network_takes_one_key_and_a_file_from_before_there_were_several_means_the_articles(
    values: dict[str, Any],
) -> None:
    assert parse_settings(changed(values, **{"train_scratch.network.name": "residual"})).train_scratch.network.name == (
        "residual"
    )
    del values["train_scratch"]["network"]["name"]
    del values["bottleneck"]["backbone"]
    settings = parse_settings(values)
    assert (settings.train_scratch.network.name, settings.bottleneck.backbone) == ("cnn", "vgg16")


@pytest.mark.parametrize("epochs", [0, -1, 1.5, 0.0, "all", True, None])
def test_a_rungs_length_is_refused_in_one_line(values: dict[str, Any], epochs: object) -> None:
    with pytest.raises(WorkflowError) as refusal:
        parse_settings(changed(values, **{"search.vgg16.rungs": [{"epochs": epochs}]}))
    assert str(refusal.value) == (
        f"params.yaml: search.vgg16.rungs.0.epochs is {epochs!r}: write epochs as a whole number, 1 or more, or a "
        "share of the full training as a decimal above 0 and up to 1.0"
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"search.scratch.rungs": []}, "search.scratch.rungs: list should have at least 1 item"),
        ({"search.scratch.rungs": [{"epochs": 1, "size": 64}]}, "search.scratch.rungs.0.size is 64: unknown key"),
        ({"search.vgg16.rungs": [{"epochs": 1, "pixels": 64}]}, "search.vgg16.rungs.0.pixels is 64: unknown key"),
        ({"search.scratch.rungs": [{"epochs": 1, "pixels": 8}]}, "search.scratch.rungs.0.pixels is 8"),
    ],
)
def test_rungs_that_are_none_are_refused(values: dict[str, Any], changes: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkflowError) as refusal:
        parse_settings(changed(values, **changes))
    assert told in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
