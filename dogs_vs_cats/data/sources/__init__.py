"""Labelled photos from where they are: drawn on the spot, a folder, a zip, Microsoft, Kaggle."""
