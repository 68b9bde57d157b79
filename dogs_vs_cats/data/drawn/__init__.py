"""Pictures of cats and dogs, drawn on the spot."""
