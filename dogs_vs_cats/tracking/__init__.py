"""Runs in MLflow, which may be slow, away or gone while a training goes on."""
