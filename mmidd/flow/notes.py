"""What a work folder remembers of builds: small JSON notes beside the commits; no corpus depends on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mmidd.engine.store import MARKER, Store
from mmidd.errors import DataError, ManifestError, RecipeError, UsageError, WorkError
from mmidd.flow.kept import BUILDS
from mmidd.flow.refusals import NotUpToDate, Refused
from mmidd.options import LAST, Engine, Options, is_whole
from mmidd.recipe import Recipe

RATES = "rates.json"
CAPTION_RATES = "caption-rates.json"


class Note(BaseModel):
    """What `build.json` says of a build. Keys of a later mmidd are left aside; what is missing was not noted then.

    `worker_memory` is in bytes, `index` names the committed index of each dataset, `ingredients` are those of each stage,
    `excluded` the lines of the takedown list by their digests, `work` is where the work folder lay, `asked` the recipe as it
    was named, and what was set in it.
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
    follow_links: list[str] = []
    excluded: list[str] = []
    work: str | None = None
    asked: list[str] = []
    index: dict[str, str] = {}
    ingredients: dict[str, dict[str, Any]] | None = None

    @classmethod
    def read(cls, note: Any, work: Path) -> Note:
        """A note that a work folder holds. Raises WorkError for none, and for one that this mmidd cannot read."""
        if not is_whole(note):
            beside = work.with_name(f"{work.name}.work")
            hint = f"did you mean {beside}?" if beside.is_dir() else "give the --work of one (by default CORPUS.work)"
            raise WorkError(f"{work} is no work folder of a build; {hint}")
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
            follow_links=tuple(self.follow_links),
        )


def remember(store: Store, about: Mapping[str, Any]) -> None:
    """Note what the last command on this work folder was, so that `status` and `failures` need not be told."""
    before, known = store.note(LAST), builds(store)
    same = isinstance(before, dict) and before.get("work", about["work"]) == about["work"]
    out = about["out"] or (before.get("out") if same else None)
    key = about["out"] or ""  # a stage run alone is no build of a corpus
    store.say(builds=sorted({*served(store), *known, key}))
    store.touch(BUILDS, {**known, key: dict(about)})
    store.touch(LAST, {**about, "out": out})


def recall(store: Store, data: str | None, out: Path | None) -> dict[str, Any]:
    """The note of the last build. Of a work folder that lies elsewhere than it did then it holds for `data` and `out`.

    Raises WorkError for no note or a torn one, and where the folder was moved and nobody says where the rest is.
    """
    note = store.note(LAST)
    found, here = Note.read(note, store.root), str(store.root.resolve())
    if found.work in (None, here):
        return dict(note)
    if data is None or (out is None and found.out is not None):
        raise WorkError(
            f"{store.root} was {found.work} when its last build ran: it was moved or copied, or is mounted elsewhere. Say "
            f"where raw data and corpus are for it, with --data ROOT and --out CORPUS (then: {found.data}, {found.out}). "
            "Nothing was done."
        )
    return {**note, "data": data, "out": str(out.resolve()) if out else None, "work": here}


def adopt(store: Store, note: Mapping[str, Any]) -> None:
    """Note that a work folder was moved, if it was: its last build is that of the corpus where it is now."""
    before = store.note(LAST)
    if note != before:
        others = {out: each for out, each in builds(store).items() if out != (before.get("out") or "")}
        store.touch(BUILDS, {**others, note["out"] or "": dict(note)})
        store.touch(LAST, dict(note))
        store.say(builds=sorted({*others, note["out"] or ""}))


def served(store: Store) -> list[str]:
    """The corpora that the work folder knows to serve, by its marker. Raises WorkError where that is not whole."""
    known = store.about().get("builds", [])
    if not isinstance(known, list) or not all(isinstance(each, str) for each in known):
        raise WorkError(f"{store.root / MARKER} is not whole: put it back from a copy. Nothing was changed.")
    return known


def builds(store: Store) -> dict[str, dict[str, Any]]:
    """The last build of every corpus that a work folder serves, by the corpus's path; "" for stages run alone.

    Raises WorkError for a note that is not whole, or is gone: nobody knows what it said.
    """
    if not store.has(BUILDS):
        if store.has(LAST) and not served(store):
            raise _unknown(store, "is gone", f"delete {LAST} as well")
        return {}
    notes = store.note(BUILDS)
    if not isinstance(notes, dict) or not all(map(is_whole, notes.values())):
        raise _unknown(store, "is not whole", "delete it")
    return notes


def _unknown(store: Store, how: str, way: str) -> WorkError:
    return WorkError(
        f"{store.root / BUILDS} {how}, so nobody knows which corpora this folder serves; nothing was changed. "
        f"Put it back from a copy; or, if this folder serves one corpus, {way} and run that build again."
    )


@contextmanager
def unless_refused(store: Store) -> Iterator[None]:
    """What a refused command noted is taken back: reports are of what was done."""
    before = {name: store.note(name) for name in (BUILDS, LAST) if store.has(name)}
    known = served(store)
    try:
        yield
    except (Refused, NotUpToDate, RecipeError, ManifestError, DataError, UsageError):
        for name in (BUILDS, LAST):
            if name not in before:
                (store.root / name).unlink(missing_ok=True)
            elif store.note(name) != before[name]:
                store.touch(name, before[name])
        store.say(builds=known)
        raise


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
