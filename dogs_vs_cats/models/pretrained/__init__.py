"""Backbones with ImageNet weights."""
