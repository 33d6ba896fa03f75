"""A dry run: what would be published, what is withheld and why, and what the Hub has of it; nothing is written or sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mmidd.corpus.read import Corpus
from mmidd.results import Result
from mmidd.share.hub.repository import State
from mmidd.share.hub.squash import Squash
from mmidd.share.publication.opened import Opened
from mmidd.share.publication.stage import Plan
from mmidd.show import publish as show

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class There:
    """The repository as it is: who may see it, its version and rows by dataset (None, empty: no publication yet), and files
    of it that were edited on the Hub."""

    private: bool
    gated: str
    version: int | None
    rows: Mapping[str, int]
    edited: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Planned(Result):
    """What would be published. `sends`: about the bytes that the Hub has not yet; `there` is None for a repository that is
    not there, or that this token may not see."""

    plan: Plan
    bytes: int
    sends: int
    repository: str | None = None
    there: There | None = None
    squash: Squash | None = None

    def tell(self, console: Console) -> None:
        show.planned(console, self)

    def document(self) -> dict[str, Any]:
        """Everything as JSON."""
        told = asdict(self)
        about = told.pop("plan")
        return {"planned": True, **told, **{name: about[name] for name in ("terms", "rows", "redacted", "silent")}}


def planned(
    corpus: Corpus, plan: Plan, repository: str | None, found: State | None, held: Opened | None, edited: tuple[str, ...],
    squash: Squash | None,
) -> Planned:  # fmt: skip
    """Of a plan, beside what the repository has: shards are the same if they have the same bytes."""
    size = sum(plan.files.values()) + plan.label_bytes
    kept = {} if held is None else {name: each.sha256 for name, each in held.corpus.files.items()}
    same = {name for name, each in corpus.files.items() if kept.get(name) == each.sha256} - {*edited}
    has = held.about.files if held is not None else {}
    pixels = sum(bytes for name, bytes in plan.files.items() if name in same and name in has)
    labels = sum(each.rows for each in corpus.shards if each.name in same) if held is not None and not held.complete else 0
    rows = sum(sum(each.values()) for each in plan.rows.values())
    sends = size - pixels - (plan.label_bytes * labels // rows if plan.label_bytes else 0)
    there = None
    if found is not None:
        before = {} if held is None else {name: sum(each.values()) for name, each in held.about.rows.items()}
        version = None if held is None else held.about.version
        there = There(found.private, str(found.gated or "no"), version, before, edited)
    return Planned(plan, size, max(0, sends), repository, there, squash)
