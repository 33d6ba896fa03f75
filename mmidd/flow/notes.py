"""What a work folder remembers of builds: small JSON notes beside the commits; no corpus depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmidd.engine.store import Store
from mmidd.errors import UsageError, WorkError
from mmidd.options import LAST, is_whole
from mmidd.takedown import Exclusions

BUILDS = "builds.json"
"""The last build of every corpus that the work folder serves, by the corpus's path: what `gc` keeps."""
EXCLUDED = "excluded.json"
RATES = "rates.json"
CAPTION_RATES = "caption-rates.json"


def remember(store: Store, about: Mapping[str, Any]) -> None:
    """Note what the last command on this work folder was, so that `status` and `failures` need not be told."""
    before = store.note(LAST)
    out = about["out"] or (before.get("out") if isinstance(before, dict) else None)
    note = {**about, "out": out}
    store.touch(LAST, note)
    store.touch(BUILDS, {**builds(store), out or "": note})


def builds(store: Store) -> dict[str, dict[str, Any]]:
    """The last build of every corpus that a work folder serves, by the corpus's path; "" for stages run alone.

    Raises WorkError for a note that is there and is not whole: nobody knows what it said.
    """
    if not (store.root / BUILDS).exists():
        return {}
    notes = store.note(BUILDS)
    if not isinstance(notes, dict) or not all(map(is_whole, notes.values())):
        raise WorkError(
            f"{store.root / BUILDS} is not whole, so nobody knows which corpora this folder serves; nothing was changed. "
            "Put it back from a copy; or, if this folder serves one corpus, delete it and run that build again."
        )
    return notes


def exclusions(store: Store, added: Path | None, *, keep: bool) -> Exclusions:
    """The work folder's takedown list, with a new file's lines added for good: later commands honour them unasked."""
    known = store.note(EXCLUDED) or {"lines": []}
    total = Exclusions.parse("\n".join(known["lines"]), EXCLUDED)
    if added is not None:
        try:
            text = added.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise UsageError(f"cannot read --exclude {added}: {reason}") from error
        total = total.union(Exclusions.parse(text, str(added)))
        if keep:
            store.touch(EXCLUDED, {"lines": total.lines()})
    return total
