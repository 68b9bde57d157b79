"""What every trial imports: for the process that the trials' processes are forked from.

Importing these starts none of TensorFlow's threads; computing anything would.
"""

from dogs_vs_cats.runtime import import_backend

import_backend()

import mlflow  # noqa: E402, F401
import optuna_integration.keras  # noqa: E402, F401

import dogs_vs_cats.search.trials  # noqa: E402, F401
