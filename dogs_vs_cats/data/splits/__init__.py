"""From a source's photos to train, validation and test."""
