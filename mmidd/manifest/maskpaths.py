"""Where a medium's masks may lie, by its path alone: for who knows already that it has some, and has no label files."""

from __future__ import annotations

from mmidd.manifest.accounting import Layout
from mmidd.manifest.layout import path_fault
from mmidd.media import Kind


def mask_paths(layout: Layout, media: str, kind: Kind) -> list[str]:
    """The places at which rules that take such a path look for its mask, the first to be looked at first.

    Fields that a rule reads from the path are spelled as there. Nothing is asked of the disk, and what is not a path of a
    medium (`../x`) has none."""
    if path_fault(media) is not None:
        return []
    path = f"{media}/0" if kind == "frames" else media
    found: dict[str, None] = {}
    for rule in layout.rules:
        if not rule.masks or (rule.kind == "frames") != (kind == "frames"):
            continue
        for pattern in rule.paths:
            fields = pattern.match(path)
            for template in rule.masks if fields is not None else ():
                place = template.render({name: (fields or {}).get(name) for name in template.names})
                if place is not None and path_fault(place) is None:
                    found[place] = None
    return list(found)
