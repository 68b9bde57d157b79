"""The comparison as a page, and in MLflow."""
