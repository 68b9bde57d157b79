"""How good a model is, in numbers and in words."""
