"""Faults made on purpose: ``make torture``."""
