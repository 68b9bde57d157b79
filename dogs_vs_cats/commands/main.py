"""``dogs-vs-cats``: the console command that all others stand under."""

import argparse
from importlib import import_module

from dogs_vs_cats.cli import run

COMMANDS: dict[str, str] = {
    "predict": "the class of photos, and how sure the model is of it",
    "page": "a page in the browser to drop photos on: what both models say, and where they look",
    "package": "a model that mlflow models serve gives photos to",
    "explain": "show where the models look in a photo, and what their convolutions make of it",
    "tour": "make the pictures of docs/tour.md, the article retold, from the trained models",
    "audit": "list the photos whose labels, contents, sizes or copies deserve a look",
    "networks": "every network with its parameters, multiply-adds and memory, and a picture of each",
}
"""Each command, its module's name here, and what it does in a line."""


def main() -> None:
    """Hand the command line to the module of the command that it names."""
    run(_main)


def _main() -> None:
    parser = argparse.ArgumentParser(
        prog="dogs-vs-cats",
        description="Put the trained models to use, and look into them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n" + "\n".join(f"  {name:10} {does}" for name, does in COMMANDS.items()),
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below; COMMAND --help")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="what it takes")
    given = parser.parse_args()
    # Only the command that runs is imported: TensorFlow takes seconds.
    import_module(f"dogs_vs_cats.commands.{given.command}").main(given.arguments)


if __name__ == "__main__":
    main()
