"""Training on a corpus: any row at once, samplers that know pairs and types, augmentations, resuming to the next sample.

Needs torch (`pip install 'mmidd[train]'`) and, of mmidd, only what reads a corpus.
"""
