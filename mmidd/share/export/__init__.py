"""A corpus in another layout: one exporter a file, `run` writes what it makes beside the target and proves it."""
