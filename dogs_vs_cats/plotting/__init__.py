"""Figures of trainings, scores, photos and what networks see in them."""
