"""Experiment tracking and hyperparameter search for classifiers of two kinds of photos."""

import os

# Read when TensorFlow is imported, so set before any module here can import it: warnings and errors only.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Where the variable is empty, Keras would take what its own file of settings says.
os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND") or "tensorflow"
# JAX takes three quarters of a GPU's memory when it starts, also in a process that only looks which GPU there is.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
