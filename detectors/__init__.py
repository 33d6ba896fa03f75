"""The reference detectors: trained on a corpus, they validate it."""
