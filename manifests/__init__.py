"""One YAML a dataset (data), and the registry of manipulation methods."""
