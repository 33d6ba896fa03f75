"""Score files: what a detector said of every frame and clip that a split names, dropping none. Imports no torch."""
