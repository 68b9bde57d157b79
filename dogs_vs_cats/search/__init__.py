"""Hyperparameter search with Optuna, on the arrays and features that the workflow left."""
