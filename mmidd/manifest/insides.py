"""Where in an HDF5 file its frames are, by the medium's name alone."""

from __future__ import annotations

from mmidd.manifest.accounting import Layout
from mmidd.media import Inside


def inside_of(layout: Layout, media: str) -> Inside | None:
    """What the rules of kind hdf5 that fit a medium's name say of it; None where none does, or they say different things."""
    rules = (rule for rule in layout.rules if rule.inside)
    fits = {rule.inside for rule in rules if any(pattern.match(media) is not None for pattern in rule.paths)}
    return fits.pop() if len(fits) == 1 else None
