"""Studies: detectors trained on a corpus, scored and evaluated, run by run, that show what the corpus is worth."""
