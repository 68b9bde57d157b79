"""Trained models for other people's photos: from the command line, on a page, from MLflow."""
