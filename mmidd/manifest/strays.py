"""Why a file may lie where no rule looks: what a person would notice in its path. Hints; nothing is decided on them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cached_property

from mmidd.manifest.accounting import Layout, frame_number
from mmidd.manifest.format import Manifest, bundled
from mmidd.raw import junk

PLAIN = "no rule"
_CASE = "there is a rule for it but for upper and lower case"
_DEEPEST = 24
_MOST_DATASETS = 3
_SHORTEST = 4
"""Letters that a name must have to be recognised by how another one begins."""


def near_folder(folder: str, names: Iterable[str]) -> str | None:
    """The name among `names` that a folder is most likely meant to have (`FaceForensics++_C23`: `FaceForensics++`); None
    where none is close."""
    own = _bare(folder)
    bare = {name: _bare(name) for name in names}
    begins = [name for name, each in bare.items() if len(each) >= _SHORTEST and own.startswith(each)]
    begins += [name for name, each in bare.items() if len(own) >= _SHORTEST and each.startswith(own)]
    if begins:
        return max(begins, key=lambda name: (own.startswith(bare[name]), len(bare[name]), name))
    close = get_close_matches(own, list(bare.values()), n=1, cutoff=0.8)
    return next(name for name, each in bare.items() if each == close[0]) if close else None


def _bare(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


class Strays:
    """The hints for one dataset's files."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.own = _Known(manifest.layout)

    @cached_property
    def others(self) -> tuple[tuple[str, frozenset[str], _Known], ...]:
        """Every other dataset: its name, the names of its folder (in lower case), what it knows."""
        return tuple(
            (each.name, frozenset(name.casefold() for name in each.folders), _Known(each.layout))
            for each in bundled().values()
            if each.name != self.manifest.name
        )

    def reason(self, path: str) -> str:
        """One of a few reasons, so that files with the same fault stand together; `no rule` where nothing is noticed."""
        name = path.rpartition("/")[2]
        sort = junk.named(path)
        if sort == "litter":
            return "left behind by a file manager"
        if sort == "unfinished":
            return "looks like an unfinished download"
        if name.startswith("."):
            return "a hidden file: no medium, whatever a rule says"
        if name != name.strip():
            return "the name begins or ends with a space"
        if name.endswith(".dvc"):
            return "stands for a file that DVC keeps: `dvc pull` gets it"
        if junk.is_part(path):
            return junk.PART
        if self.own.has(path, any_case=True):
            return _CASE
        return self._misplaced(path) or self._foreign(path) or PLAIN

    def _misplaced(self, path: str) -> str | None:
        """A tree that was unpacked a folder too deep: of this dataset, or of another that gave the folder its name."""
        parts = path.split("/")
        for depth in range(1, min(_DEEPEST, len(parts) - 1) + 1):
            rest, above = "/".join(parts[depth:]), parts[depth - 1].casefold()
            foreign = next((name for name, folders, known in self.others if above in folders and known.has(rest)), None)
            if foreign is not None:
                return f"a file of {foreign}: are two datasets mixed?"
            if self.own.has(rest):
                return f"there would be a rule without the folder '{'/'.join(parts[:depth])}/' above it"
            if self.own.has(rest, any_case=True):
                return _CASE
        return None

    def _foreign(self, path: str) -> str | None:
        names = [name for name, _, known in self.others if known.has(path)]
        if not 0 < len(names) <= _MOST_DATASETS:
            return None
        return f"fits {' or '.join(names)}: are two datasets mixed?"


class _Known:
    """Does a layout know a path: as a medium, as a frame of one, or as a label file?"""

    def __init__(self, layout: Layout) -> None:
        labels = [(pattern, False) for spec in layout.tables for pattern in spec.files]
        self.patterns = [(pattern, rule.kind == "frames") for rule in layout.rules for pattern in rule.paths] + labels

    @cached_property
    def _loose(self) -> list[tuple[re.Pattern[str], bool]]:
        return [(re.compile(p.regex.pattern, p.regex.flags | re.IGNORECASE), clip) for p, clip in self.patterns]

    def has(self, path: str, *, any_case: bool = False) -> bool:
        head, name = path.partition("/")[0].lower(), path.rpartition("/")[2]
        numbered = frame_number(name.lower() if any_case else name) is not None
        if any_case:
            return any(regex.fullmatch(path) and (numbered or not clip) for regex, clip in self._loose)
        return any(
            (p.heads is None or head in p.heads) and p.regex.fullmatch(path) and (numbered or not clip)
            for p, clip in self.patterns
        )
