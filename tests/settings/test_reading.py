"""``params.yaml`` is read as DVC reads it, and what cannot be read is one line."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import parse_yaml as dvc_reads

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.search.settings_file import promote
from dogs_vs_cats.settings.params import load_settings, parse_settings
from dogs_vs_cats.settings.reading import parse_yaml
from tests.conftest import ROOT, changed

PARAMS = (ROOT / "params.yaml").read_text(encoding="utf-8")


def with_value(value: str) -> str:
    return PARAMS.replace("  seed: 2017\n  near", f"  seed: {value}\n  near")


@pytest.mark.parametrize(
    "text",
    [
        PARAMS,
        *(f"a: {value}" for value in ("0226", "2:30", "1e3", "yes", "0o17", "off", "1_0", ".5", "~", "0b1", "09")),
    ],
)
def test_every_value_is_what_dvc_takes_it_for(text: str) -> None:
    assert parse_yaml(text, "params.yaml") == dvc_reads(text, "params.yaml")


def test_numbers_follow_yaml_1_2() -> None:
    values = parse_yaml("- 0226\n- 2:30\n- 1e3\n- yes\n- 0o17", "params.yaml")
    assert values == [226, "2:30", 1000.0, "yes", 15]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("2024-99-99", "line {}: not valid YAML: '2024-99-99' cannot be read as timestamp (month must be in 1..12)"),
        ("!!int foo", "line {}: not valid YAML: 'foo' cannot be read as int"),
        ("!!int ''", "line {}: not valid YAML: '' cannot be read as int"),
        ("!!bool maybe", "line {}: not valid YAML: 'maybe' cannot be read as bool"),
        ("0x_", "line {}: not valid YAML: '0x_' cannot be read as int"),
        ("7" * 5000, "cannot be read as int (Exceeds the limit"),
        ("0x" + "7" * 5000, "split.seed is a number of thousands of digits: input should be less than 2147483648"),
        ("[" * 2000, "more than 50 levels"),
        ("[" * 200_000, "more than 50 levels"),
        ("[" * 60 + "]" * 60, "line {}: not valid YAML: more than 50 levels"),
        ("1\n  seed: 2", 'found duplicate key "seed"'),
        ("1\0", "control characters are not allowed"),
        ("!!python/object:os.system x", "could not determine a constructor for the tag"),
        ("*nothing", "found undefined alias"),
        (".inf", "split.seed is inf: input should be a valid integer"),
        ("1e3", "split.seed is 1000.0: input should be a valid integer"),
        ("2:30", "split.seed is '2:30': input should be a valid integer"),
        ("yes", "split.seed is 'yes': input should be a valid integer"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_read_is_one_line(tmp_path: Path, value: str, told: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(with_value(value), encoding="utf-8")
    with pytest.raises(WorkflowError) as refusal:
        load_settings(file)
    line = next(number for number, text in enumerate(PARAMS.splitlines(), 1) if text == "  seed: 2017")
    assert told.format(line) in str(refusal.value)
    assert "params.yaml" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300 + len(str(file))


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_file_in_another_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes((PARAMS + "# é\n").encode(encoding))
    with pytest.raises(WorkflowError, match=r"params\.yaml: not UTF-8 text .*; save it as UTF-8"):
        load_settings(file)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(PARAMS, encoding="utf-8-sig")
    assert load_settings(file).split.seed == 2017
    promote(file, {"split.seed": 3})
    assert load_settings(file).split.seed == 3


def test_a_bomb_of_aliases_is_a_few_lines(tmp_path: Path) -> None:
    bomb = "\n".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]" for n in range(1, 40))
    file = tmp_path / "params.yaml"
    file.write_text(f"b0: &b0 [x]\n{bomb}\nitself: &i [*i]\n{PARAMS}", encoding="utf-8")
    with pytest.raises(WorkflowError) as refusal:
        load_settings(file)
    lines = str(refusal.value).splitlines()
    assert lines[0] == "params.yaml: b0: unknown key; remove it or correct its name"
    assert lines[20:] == ["params.yaml: 21 more lines like these"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"download.path": "~nosuchuser/x"}, "download.path is '~nosuchuser/x': there is no home folder"),
        ({"download.test_path": "~nosuchuser"}, "download.test_path"),
        ({"weights.path": "~nosuchuser/x"}, "weights.path"),
        ({"split.exclude": "~nosuchuser/x"}, "split.exclude"),
        ({"download.path": "a\0b"}, "download.path is 'a\\x00b': it has a control character"),
        ({"tracking.experiment": "a\nb"}, "tracking.experiment is 'a\\nb': it has a control character"),
        ({"train_vgg16.optimizer.learning_rate": float("inf")}, "rate is inf: input should be a finite number"),
        ({"split.test": float("nan")}, "split.test is nan"),
        ({"train_scratch.augmentation.flip": 3}, "params.yaml: train_scratch.augmentation.flip is 3: "),
        ({"split": {"near-bits": 3}}, "params.yaml: split.near-bits is 3: unknown key"),
        ({"split": {(1, 2): 3}}, "params.yaml: split.(1, 2)"),
        ({"split": {1: 3}}, "params.yaml: split.1"),
    ],
)  # fmt: skip
def test_a_value_that_no_work_can_be_done_with_is_told_by_its_key(
    values: dict[str, Any], changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(WorkflowError) as refusal:
        parse_settings(changed(values, **changes))
    assert told in str(refusal.value)


HUGE = "a" * 100_000


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tracking.uri": HUGE}, "params.yaml: tracking.uri: aaaa"),
        ({"tracking.uri": f"{HUGE}://host"}, "MLflow knows no aaaa"),
        ({"search.storage": f"{HUGE}://host"}, "there is no kind of database aaaa"),
        ({"download.path": f"~{HUGE}"}, "there is no home folder for ~aaaa"),
        ({"bottleneck.layers": [HUGE], "bottleneck.pooling": ["max"]}, "which is no layer of VGG16 to pool"),
        ({"split": {HUGE: 1}}, "unknown key; remove it or correct its name"),
    ],
)
def test_a_huge_value_is_told_by_its_beginning(values: dict[str, Any], changes: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkflowError) as refusal:
        parse_settings(changed(values, **changes))
    assert told in str(refusal.value)
    assert max(map(len, str(refusal.value).splitlines())) < 1500


@pytest.mark.parametrize("value", [f"*{HUGE}", f"!!{HUGE} x", f"{{{HUGE}: 1, {HUGE}: 2}}"])
def test_huge_yaml_that_cannot_be_read_is_told_by_its_beginning(tmp_path: Path, value: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(with_value(value), encoding="utf-8")
    with pytest.raises(WorkflowError, match=r"line \d+: not valid YAML: ") as refusal:
        load_settings(path)
    assert len(str(refusal.value)) < 1500


def test_promote_refuses_a_file_that_dvc_would_refuse(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(with_value("1\n  seed: 2"), encoding="utf-8")
    with pytest.raises(WorkflowError, match=r"params\.yaml, line \d+: not valid YAML: found duplicate key"):
        promote(file, {"split.seed": 3})
    assert file.read_text(encoding="utf-8") == with_value("1\n  seed: 2")


def test_the_settings_stage_ends_with_one_line(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(with_value("2024-99-99"), encoding="utf-8")
    command = [sys.executable, "-m", "stages.settings", "--params", str(file), "--schema", str(tmp_path / "schema")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"error: {file}, line ")
    assert not (tmp_path / "schema").exists()
