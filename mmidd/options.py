"""What a command is told: one list, behind the command line's options, the keywords of the Python API and `build.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mmidd.errors import UsageError, WorkError

if TYPE_CHECKING:  # the command line has its options before it loads what reads recipes
    from mmidd.recipe import Recipe

Device = Literal["auto", "cpu", "cuda"]
LAST = "build.json"
"""The note of the last build, in its work folder."""
NOTED = frozenset({"recipe", "data", "out", "only", "device", "workers"})
"""Without one of these a note is not whole."""


@dataclass(frozen=True)
class Options:
    """Everything that a build can be told. Units: `worker_memory` in gigabytes, `workers` in processes.

    `recipe` is a file, the name of a bundled recipe, or a Recipe; `settings` are `key=value` words laid over it. `data` is
    the folder that holds the datasets' folders, or its `s3://...` address. `work` None: beside `out`, as OUT.work.
    `workers` None: one a core; 0: this process alone. `exclude` is a takedown list that the work folder keeps for good.
    """

    recipe: str | Recipe
    data: str
    out: Path | None = None
    work: Path | None = None
    settings: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    exclude: Path | None = None
    require_all: bool = False
    allow_removals: bool = False
    workers: int | None = None
    worker_memory: float | None = None
    device: Device = "auto"
    engine: str = "local"
    engine_settings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bring what people write (texts for paths, lists, one word for a list of one) into the declared types."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        own = {name: _path(given[name]) for name in ("out", "work", "exclude")}
        words = {name: _words(given[name]) for name in ("settings", "only", "engine_settings")}
        for name, value in {**own, **words, "data": str(self.data)}.items():
            object.__setattr__(self, name, value)

    @property
    def work_folder(self) -> Path:
        """Where committed work lies. Raises UsageError where neither `work` nor `out` names a place."""
        if self.work is not None:
            return self.work
        if self.out is None:
            raise UsageError("neither a corpus nor a work folder is named; give --out CORPUS or --work DIR")
        place = self.out.resolve() if self.out.name in ("", "..") else self.out
        if not place.name:
            raise UsageError(f"--out {self.out} is no place for a corpus; name a folder in it")
        return place.with_name(f"{place.name}.work")

    def read_recipe(self) -> Recipe:
        """The recipe with the settings laid over it. Raises RecipeError, UsageError."""
        if not isinstance(self.recipe, str):
            return self.recipe.changed(self.settings)
        from mmidd.recipe import read

        return read(self.recipe, self.settings)

    @property
    def memory_bytes(self) -> int | None:
        """What a worker may hold, in bytes."""
        return None if self.worker_memory is None else round(self.worker_memory * 1e9)

    @classmethod
    def noted(cls, note: Mapping[str, Any], work: Path) -> Options:
        """The options of a build that the work folder `work` remembers. Raises WorkError for a note that is not whole."""
        if not is_whole(note):
            raise WorkError(f"{work} is no work folder of a build; give the --work of one (by default CORPUS.work)")
        from pydantic import ValidationError

        from mmidd.recipe import Recipe

        memory = note.get("worker_memory")
        try:
            return cls(
                Recipe.model_validate(note["recipe"]),
                note["data"],
                out=_path(note["out"] or None),
                work=work,
                only=tuple(note["only"]),
                workers=note["workers"],
                worker_memory=None if memory is None else memory / 1e9,
                device=note["device"],
                engine=note.get("engine", "local"),
                engine_settings=tuple(note.get("engine_settings", ())),
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise WorkError(f"{work}: {_UNREAD}: its recipe does not hold here ({why})") from error
        except (TypeError, AttributeError) as error:
            raise WorkError(f"{work}: {_UNREAD}") from error


_UNREAD = (
    f"{LAST}, the note of its last build, cannot be read by this mmidd; run that build again, or use the one that made it"
)


def _path(value: Any) -> Path | None:
    return None if value is None else Path(value)


def _words(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def is_whole(note: Any) -> bool:
    """Is this the note of a build?"""
    return isinstance(note, dict) and note.keys() >= NOTED
