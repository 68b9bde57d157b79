"""How good models are, in numbers and in words, and the submission."""
