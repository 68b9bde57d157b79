"""Two models on the same photos."""
