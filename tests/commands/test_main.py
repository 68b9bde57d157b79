"""``dogs-vs-cats`` lists its commands, imports the one that runs, and ends with one line and a status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dogs_vs_cats.commands.main import COMMANDS, main
from tests.commands.calling import call
from tests.conftest import ROOT

SLOW = {"tensorflow", "keras", "mlflow", "sklearn", "pandas", "matplotlib", "scipy.ndimage", "nicegui"}


def test_every_command_is_listed_and_has_a_help_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    call(main, "--help")
    listed = capsys.readouterr().out
    assert 'eval "$(_DOGS_VS_CATS_COMPLETE=bash_source dogs-vs-cats)"' in listed
    for name, does in COMMANDS.items():
        assert f"  {name} " in listed
        assert " ".join(does.split()) in " ".join(listed.split())
        call(main, name, "--help")
        told = capsys.readouterr().out
        assert f"Usage: dogs-vs-cats {name} " in told
    assert "--pictures FOLDER" in told


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_slow_and_no_other_command(arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "dogs_vs_cats.commands.main", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert imported.isdisjoint(SLOW)
    others = {f"dogs_vs_cats.commands.{name}" for name in COMMANDS} - {f"dogs_vs_cats.commands.{arguments[0]}"}
    assert imported.isdisjoint(others)


def test_names_are_completed_in_the_shell() -> None:
    completing = {"_DOGS_VS_CATS_COMPLETE": "bash_complete", "COMP_WORDS": "dogs-vs-cats p", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "from dogs_vs_cats.commands.main import main; main(prog_name='dogs-vs-cats')"]
    done = subprocess.run(command, env=os.environ | completing, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["plain,predict", "plain,page", "plain,package"]


def test_bash_completes_commands_options_and_their_values() -> None:
    """The bash that the docs' line was run in."""
    script = """
eval "$(_DOGS_VS_CATS_COMPLETE=bash_source dogs-vs-cats)"
complete -p dogs-vs-cats
for COMP_LINE in "$@"; do
    read -ra COMP_WORDS <<< "$COMP_LINE"
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    _dogs_vs_cats_completion dogs-vs-cats
    echo "${COMPREPLY[@]}"
done
"""
    typed = ["dogs-vs-cats ex", "dogs-vs-cats export --form", "dogs-vs-cats export --format o", "dogs-vs-cats nothing"]
    bash = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "-c", script, "bash", *typed]
    done = subprocess.run(command, env=os.environ | bash, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    registered, *completed = done.stdout.splitlines()
    assert registered.endswith("-F _dogs_vs_cats_completion dogs-vs-cats")
    assert completed == ["export explain experiments", "--format", "onnx openvino", ""]


def test_a_wrong_call_has_status_2_and_an_error_is_one_line_with_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["pedict"], ["predict"], ["predict", "a.jpg", "--csv", "--json"], ["page", "--port", "many"]):
        with pytest.raises(SystemExit, match="2"):
            call(main, *arguments)
        assert "Error: " in capsys.readouterr().err
    with pytest.raises(SystemExit, match="1"):
        call(main, "networks", "--size", "0")
    assert capsys.readouterr().err == "error: --size is 0: it has to be from 1 to 1024 pixels\n"
