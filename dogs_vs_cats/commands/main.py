"""``dogs-vs-cats``: the console command that all others stand under."""

from functools import partial
from importlib import import_module

import click

from dogs_vs_cats.cli import run

COMMANDS: dict[str, str] = {
    "predict": "Classify photos, and say how sure the model is.",
    "page": "Serve a page to drop photos on: what the models say, and where they look.",
    "package": "Make a model that mlflow models serve gives photos to.",
    "judge": "Judge trained models, each and together, also of several projects; write what they submit.",
    "export": "Write a model for ONNX Runtime, LiteRT, TensorFlow or OpenVINO.",
    "explain": "Show where the models look in a photo, and what their convolutions make of it.",
    "tour": "Make the pictures of docs/tour.md from the trained models.",
    "audit": "List the photos whose labels, contents, sizes or copies deserve a look.",
    "experiments": "List DVC's experiments with the models' results and the settings that they changed.",
    "kit": "Pack the code, the photos and the wheels that a machine without a network lacks for a training.",
    "import-runs": "Take the runs of a kit into the project's MLflow.",
    "networks": "List every network with its parameters, multiply-adds and memory, and draw it.",
}
"""Each command, its module's name here, and what it does."""


class _Commands(click.Group):
    """The commands, of which only the one that runs is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"dogs_vs_cats.commands.{cmd_name.replace('-', '_')}").main
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> None:
        run(partial(super().invoke, ctx))


_COMPLETION = """\b
Completion in bash:
  eval "$(_DOGS_VS_CATS_COMPLETE=bash_source dogs-vs-cats)"
"""


@click.command(cls=_Commands, epilog=_COMPLETION)
def main() -> None:
    """Put the trained models to use, and look into them."""


if __name__ == "__main__":
    main(prog_name="dogs-vs-cats")
