"""What people have already, as a dataset that a recipe can name: one importer a file; `run` writes what it found."""
