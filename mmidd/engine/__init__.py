"""Units, commit records, and who runs them. Knows nothing of faces: a stage is a function, a row is a row."""
