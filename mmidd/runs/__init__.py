"""A detector trained on a corpus: what one is, how it is trained, resumed and validated, and the folder that says so."""
