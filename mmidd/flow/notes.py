"""What a work folder remembers of builds: small JSON notes beside the commits; no corpus depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mmidd.engine.store import Store
from mmidd.errors import UsageError, WorkError
from mmidd.options import LAST, Engine, Options, is_whole
from mmidd.recipe import Recipe
from mmidd.takedown import Exclusions

BUILDS = "builds.json"
"""The last build of every corpus that the work folder serves, by the corpus's path: what `gc` keeps."""
EXCLUDED = "excluded.json"
RATES = "rates.json"
CAPTION_RATES = "caption-rates.json"


class Note(BaseModel):
    """What `build.json` says of a build. Keys of a later mmidd are left aside; what is missing was not noted then.

    `worker_memory` is in bytes, `index` names the committed index of each dataset, `ingredients` are those of each stage.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    recipe: dict[str, Any]
    data: str
    out: str | None
    only: list[str]
    device: Literal["cpu", "cuda"]
    workers: int
    worker_memory: int | None = None
    engine: Engine = "local"
    engine_settings: list[str] = []
    index: dict[str, str] = {}
    ingredients: dict[str, dict[str, Any]] | None = None

    @classmethod
    def read(cls, note: Any, work: Path) -> Note:
        """A note that a work folder holds. Raises WorkError for none, and for one that this mmidd cannot read."""
        if not is_whole(note):
            raise WorkError(f"{work} is no work folder of a build; give the --work of one (by default CORPUS.work)")
        try:
            found = cls.model_validate(note)
            Recipe.model_validate(found.recipe)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise WorkError(
                f"{work}: {LAST}, the note of its last build, cannot be read by this mmidd "
                f"({'.'.join(map(str, first['loc']))}: {first['msg']}); run that build again, or use the mmidd that made it"
            ) from error
        return found

    def options(self, work: Path) -> Options:
        """As the build was told, on the work folder as it lies now."""
        return Options(
            Recipe.model_validate(self.recipe),
            self.data,
            out=Path(self.out) if self.out else None,
            work=work,
            only=tuple(self.only),
            workers=self.workers,
            worker_memory=None if self.worker_memory is None else self.worker_memory / 1e9,
            device=self.device,
            engine=self.engine,
            engine_settings=tuple(self.engine_settings),
        )


def _taken_down(store: Store) -> list[str]:
    """The lines that are kept. Raises WorkError for a note that is there and is not whole: it may name somebody."""
    if not (store.root / EXCLUDED).exists():
        return []
    note = store.note(EXCLUDED)
    lines = note.get("lines") if isinstance(note, dict) else None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise WorkError(
            f"{store.root / EXCLUDED}, the takedown list that this work folder keeps, is not whole; nothing was done. "
            "Put it back from a copy, or delete it and give the whole list again with --exclude."
        )
    return lines


def remember(store: Store, about: Mapping[str, Any]) -> None:
    """Note what the last command on this work folder was, so that `status` and `failures` need not be told."""
    before = store.note(LAST)
    out = about["out"] or (before.get("out") if isinstance(before, dict) else None)
    store.touch(LAST, {**about, "out": out})
    store.touch(BUILDS, {**builds(store), about["out"] or "": dict(about)})  # a stage run alone is no build of a corpus


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
    total = Exclusions.parse("\n".join(_taken_down(store)), EXCLUDED)
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


def measured(store: Store, name: str, key: str, *fields: str) -> tuple[float, ...] | None:
    """The figures of a rate that was measured here, all above 0; None where there is none, or what is noted is no rate."""
    rates = store.note(name)
    rate = rates.get(key) if isinstance(rates, dict) else None
    figures: list[Any] = [rate.get(field) for field in fields] if isinstance(rate, dict) else [None]
    sound = all(type(figure) in (int, float) and 0 < figure < inf for figure in figures)
    return tuple(map(float, figures)) if sound else None


def note_rate(store: Store, name: str, key: str, rate: Mapping[str, float]) -> None:
    """Remember a rate beside the others."""
    rates = store.note(name)
    store.touch(name, {**(rates if isinstance(rates, dict) else {}), key: dict(rate)})
