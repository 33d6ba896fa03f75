"""The dataset card of a publication and the metadata beside it: card, croissant.json, CITATION.cff, LICENSES.md."""
