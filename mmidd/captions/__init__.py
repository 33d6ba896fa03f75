"""Captions: what a face and its surroundings look like, described without knowing whether they are real."""
