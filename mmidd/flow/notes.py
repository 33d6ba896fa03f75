"""What a work folder remembers of builds: small JSON notes beside the commits; no corpus depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmidd.engine.store import Store
from mmidd.errors import UsageError
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
    """The last build of every corpus that a work folder serves, by the corpus's path; "" for stages run alone."""
    notes = store.note(BUILDS)
    return {out: note for out, note in notes.items() if is_whole(note)} if isinstance(notes, dict) else {}


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
