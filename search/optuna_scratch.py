"""Search for a better CNN: ``python search/optuna_scratch.py --trials 40``."""

import sys
from pathlib import Path

# Python puts a script's own folder first; imports here start at the project's.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from dogs_vs_cats.search.command import main  # noqa: E402

if __name__ == "__main__":
    main("scratch")
