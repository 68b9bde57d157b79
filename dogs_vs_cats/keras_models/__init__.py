"""The networks that are trained, built and kept on disk."""
