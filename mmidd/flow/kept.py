"""The takedown list that a work folder keeps for good: `excluded.json`, and who else remembers that there is one.

A list that is gone, or has lost a line, would un-hide people. So the folder's marker and the notes of its builds name every
line (by a digest of it), and the marker every hit; a list that lacks one stops the command. All of these are overwritten
when another clone of the folder is copied over it; the files of `takedown/` are not: each is named by the lines it names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mmidd.corpus.target import read_manifest
from mmidd.engine.store import MARKER, Store
from mmidd.errors import CorpusError, UsageError, WorkError
from mmidd.options import LAST
from mmidd.takedown import Exclusions, Hit, How

EXCLUDED, BUILDS, LISTS = "excluded.json", "builds.json", "takedown"
_STRICT = ConfigDict(frozen=True, strict=True, extra="forbid")
"""A key of a later mmidd may hide somebody: none is left aside."""


class _Hit(BaseModel):
    model_config = _STRICT

    dataset: str
    media: str
    line: str
    how: How
    sha256: list[str]
    pixels: list[str]

    @classmethod
    def of(cls, hit: Hit) -> _Hit:
        digests = {"sha256": list(hit.sha256), "pixels": list(hit.pixels)}
        return cls(dataset=hit.dataset, media=hit.media, line=hit.line, how=hit.how, **digests)

    def hit(self) -> Hit:
        return Hit(self.dataset, self.media, self.line, self.how, tuple(self.sha256), tuple(self.pixels))


class _List(BaseModel):
    """What `excluded.json` holds."""

    model_config = _STRICT

    lines: list[str]
    hits: list[_Hit] = []

    def parsed(self, source: str) -> Exclusions:
        return Exclusions.parse("\n".join(self.lines), source).hitting(each.hit() for each in self.hits)


def exclusions(store: Store, given: Exclusions, *, keep: bool) -> Exclusions:
    """The work folder's takedown list, with the lines of a new one added; `keep` adds them for good.

    Raises WorkError for a list of the work folder that is not whole or is gone.
    """
    total = _kept(store).union(given)
    _check_whole(store, total, given)
    if keep:
        _keep(store, total)
    return total


def keep_hits(store: Store, hits: Iterable[Hit]) -> Exclusions:
    """Add what the list was found to hit, for good; the caller holds the work folder's lock."""
    total = _kept(store).hitting(hits)
    _keep(store, total)
    return total


def read_list(path: Path) -> Exclusions:
    """A takedown list of the user's; or the `excluded.json` of a work folder, with what it knows. Raises UsageError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"cannot read --exclude {path}: {reason}") from error
    if not text.lstrip().startswith("{"):
        return Exclusions.parse(text.removeprefix("\ufeff"), str(path))
    try:
        return _List.model_validate_json(text).parsed(str(path))
    except ValidationError as error:
        raise UsageError(f"--exclude {path} is neither a takedown list nor a whole {EXCLUDED}") from error


def names_nobody(path: Path) -> str:
    """What is told of a list without a line: a command that was to write it may have failed."""
    return f"the takedown list {path} has no line: it names nobody"


def check_corpus(out: Path | None, excluded: Exclusions) -> None:
    """Raises CorpusError if a corpus was built with a takedown list, and there is none now."""
    about = read_manifest(out) if out is not None and not excluded.lines() else None
    if about is not None and about.get("excluded") is not None:
        raise CorpusError(
            f"{out} was built with a takedown list, and this work folder keeps none: what was taken down would come back. "
            "Nothing was changed. Give the whole list with --exclude FILE, or the work folder that keeps it with --work."
        )


def witness(excluded: Exclusions) -> list[str]:
    """The lines of a list, each by a digest: for notes that are to know whether one is lost."""
    return [_short(line) for line in excluded.lines()]


def _kept(store: Store) -> Exclusions:
    """The list, as far as it is there. Raises WorkError for one that is not whole: it may name somebody."""
    if not store.has(EXCLUDED):
        return Exclusions()
    try:
        return _List.model_validate(store.note(EXCLUDED)).parsed(EXCLUDED)
    except (ValidationError, UsageError) as error:
        why = f" ({error})" if isinstance(error, UsageError) else ""
        raise WorkError(
            f"{store.root / EXCLUDED}, the takedown list that this work folder keeps, is not whole{why}; nothing was done. "
            "Put it back from a copy, or delete it and give the whole list again with --exclude."
        ) from error


def _keep(store: Store, total: Exclusions) -> None:
    """The list first, then who remembers it: a kill between the two loses no line."""
    value = {"lines": total.lines(), "hits": [_Hit.of(hit).model_dump() for hit in total.hits]}
    if total != Exclusions() and store.note(EXCLUDED) != value:
        store.touch(EXCLUDED, value)
    name = f"{LISTS}/{_short(chr(10).join(witness(total)))}.json"
    if total.lines() and not store.has(name):
        store.touch(name, witness(total))
    known = {"lines": witness(total), "hits": [_short(f"{hit.dataset}/{hit.media}") for hit in total.hits]}
    if total != Exclusions():
        store.say(takedown=known)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _check_whole(store: Store, total: Exclusions, given: Exclusions) -> None:
    """Raises WorkError if a line was here that is not here now; or a hit, unless all lines are given anew."""
    lines, hits = _remembered(store)
    lost = lines - set(witness(total))
    few = hits - {_short(f"{hit.dataset}/{hit.media}") for hit in total.hits}
    if lost or (few and not lines <= set(witness(given))):
        what = f"{len(lost)} of the {len(lines)} lines" if lost else f"{len(few)} of the {len(hits)} media"
        how = f"lacks {what} that it had" if store.has(EXCLUDED) else "is gone"
        raise WorkError(
            f"{store.root / EXCLUDED}, the takedown list that this work folder keeps, {how}; nothing was done. "
            "Put it back from a copy, or give the whole list again with --exclude FILE."
        )


def _remembered(store: Store) -> tuple[set[str], set[str]]:
    """The lines and the hits that were kept here, by their digests: as marker and notes of builds say."""
    about = store.about() if store.has(MARKER) else {}
    known = about.get("takedown", {})
    parts = [known.get(name, []) if isinstance(known, dict) else None for name in ("lines", "hits")]
    if not all(isinstance(part, list) and all(isinstance(each, str) for each in part) for part in parts):
        raise WorkError(
            f"{store.root / MARKER} is not whole: nobody knows what takedown list was kept here. Put it back from a copy"
        )
    return {*(parts[0] or []), *_of_builds(store), *_of_lists(store)}, set(parts[1] or [])


def _of_lists(store: Store) -> Iterator[str]:
    """Of every list that was kept here, also in a clone of the folder that was copied over this one."""
    for path in sorted((store.root / LISTS).glob("*.json")):
        lines = store.note(f"{LISTS}/{path.name}")
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise WorkError(f"{path} is not whole: nobody knows what takedown list was kept here. Put it back from a copy")
        yield from lines


def _of_builds(store: Store) -> Iterator[str]:
    """Of notes that are not whole nothing is asked here: who needs them says so."""
    last, others = store.note(LAST), store.note(BUILDS)
    for note in (last, *(others.values() if isinstance(others, dict) else ())):
        lines = note.get("excluded") if isinstance(note, dict) else None
        yield from (line for line in lines if isinstance(line, str)) if isinstance(lines, list) else ()
