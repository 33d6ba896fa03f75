"""What people have already, as a dataset that a recipe can name: one importer a file, `run` copies and writes what it found."""
