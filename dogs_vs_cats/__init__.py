"""Experiment tracking and hyperparameter search for classifiers of two kinds of photos."""

import os

# Read when TensorFlow is imported, so set before any module here can import it: warnings and errors only.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
