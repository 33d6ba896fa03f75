"""What a rehydration gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmidd.results import Result
from mmidd.share.rehydrate.compared import STATUSES, Likeness, Status
from mmidd.show import rehydrate as show

if TYPE_CHECKING:
    from rich.console import Console

    from mmidd.share.rehydrate.missing import Missing


@dataclass(frozen=True)
class Medium:
    """A medium that is not simply the same: what it is, and in words."""

    dataset: str
    media: str
    kind: Likeness
    told: str


@dataclass(frozen=True)
class Rate:
    """What was cut in this run: media, the frames that were taken of them, seconds."""

    media: int = 0
    frames: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, repr=False)
class Rehydrated(Result):
    """`rows` by dataset and status, of the published ones that were asked for; `written` of them are in the corpus at `out`.
    `media` by kind, `others` the media that are not the same. `identical` of `shards` are those of the original, byte for
    byte. `missing`: how to get what was not found. `libraries`: other versions than there (name: there, here)."""

    out: Path
    name: str
    rows: Mapping[str, Mapping[Status, int]]
    written: int
    shards: int
    identical: int
    media: Mapping[Likeness, int]
    others: Sequence[Medium]
    not_selected: int = 0
    captions_withheld: Sequence[str] = ()
    missing: Sequence[Missing] = ()
    libraries: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    rate: Rate = field(default_factory=Rate)
    changed: bool = True
    original: bool = False
    """Is the folder the published corpus, byte for byte?"""

    @property
    def statuses(self) -> dict[Status, int]:
        """Rows by status."""
        return {each: sum(found.get(each, 0) for found in self.rows.values()) for each in STATUSES}

    @property
    def complete(self) -> bool:
        """Is no row missing or different?"""
        return not self.statuses["missing"] and not self.statuses["differs"]

    def tell(self, console: Console) -> None:
        show.rehydrated(console, self)

    def document(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "out": str(self.out),
            "publication": self.name,
            "complete": self.complete,
            "original": self.original,
            "changed": self.changed,
            "rows": self.statuses,
            "written": self.written,
            "not_selected": self.not_selected,
            "datasets": {name: dict(found) for name, found in self.rows.items()},
            "shards": self.shards,
            "identical_shards": self.identical,
            "media": dict(self.media),
            "other_media": [
                {"dataset": each.dataset, "media": each.media, "kind": each.kind, "told": each.told} for each in self.others
            ],
            "missing": [each.document() for each in self.missing],
            "captions_withheld": list(self.captions_withheld),
            "libraries": {name: {"there": there, "here": here} for name, (there, here) in self.libraries.items()},
            "notes": list(self.notes),
            "rate": {"media": self.rate.media, "frames": self.rate.frames, "seconds": round(self.rate.seconds, 3)},
        }
