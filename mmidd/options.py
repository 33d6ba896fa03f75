"""What a command is told: one list, behind the command line's options, the keywords of the Python API and `build.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from mmidd.errors import UsageError, without_secrets
from mmidd.show import shell_word

if TYPE_CHECKING:  # the command line has its options before it loads what reads recipes
    from mmidd.recipe import Recipe

Device = Literal["auto", "cpu", "cuda"]
Engine = Literal["local", "ray", "slurm"]
LAST = "build.json"
"""The note of the last build, in its work folder."""
STAGES = ("index", "extract", "caption", "curate")
"""The verbs that know of a work folder alone."""
NOTED = frozenset({"recipe", "data", "out", "only", "device", "workers"})
"""Without one of these a note is not whole."""


@dataclass(frozen=True)
class Options:
    """Everything that a build can be told. Units: `worker_memory` in gigabytes, `workers` in processes.

    `recipe` is a file, the name of a bundled recipe, or a Recipe; `settings` are `key=value` words laid over it. `data` is
    the folder that holds the datasets' folders, or its `s3://...` address. `work` None: beside `out`, as OUT.work.
    `workers` None: one a core; 0: this process alone. `exclude` is a takedown list that the work folder keeps for good.
    `follow_links` are folders that links in the data may lead into.
    """

    recipe: str | Recipe
    data: str
    out: Path | None = None
    work: Path | None = None
    settings: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    exclude: Path | None = None
    follow_links: tuple[str, ...] = ()
    require_all: bool = False
    allow_removals: bool = False
    workers: int | None = None
    worker_memory: float | None = None
    device: Device = "auto"
    engine: Engine = "local"
    engine_settings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bring what people write (texts for paths, lists, one word for a list of one) into the declared types."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        if isinstance(self.recipe, Path):
            object.__setattr__(self, "recipe", str(self.recipe))
        if not isinstance(self.data, str | Path):
            raise UsageError(
                f"data {self.data!r}: name the folder that holds the datasets' folders, or its s3://... address"
            )
        own = {name: _path(given[name]) for name in ("out", "work", "exclude")}
        words = {name: words_of(given[name]) for name in ("settings", "only", "engine_settings", "follow_links")}
        for name, value in {**own, **words, "data": str(self.data)}.items():
            object.__setattr__(self, name, value)
        for name, choices in (("device", get_args(Device)), ("engine", get_args(Engine))):
            if given[name] not in choices:
                raise UsageError(f"{name} {given[name]!r}: choose one of {', '.join(choices)}")
        if not (self.workers is None or (type(self.workers) is int and self.workers >= 0)):
            raise UsageError(f"workers {self.workers!r}: a number of processes, 0 for this process alone, or None")
        if not (
            self.worker_memory is None or (isinstance(self.worker_memory, int | float) and 0 < self.worker_memory < inf)
        ):
            raise UsageError(f"worker_memory {self.worker_memory!r}: gigabytes, more than 0, or None")

    def __repr__(self) -> str:
        told = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return without_secrets(f"Options({told})")

    @property
    def work_folder(self) -> Path:
        """Where committed work lies. Raises UsageError where neither `work` nor `out` names a place."""
        if self.work is not None:
            return self.work
        if self.out is None:
            raise UsageError("neither a corpus nor a work folder is named; give --out CORPUS or --work DIR")
        return work_beside(self.out)

    def read_recipe(self) -> Recipe:
        """The recipe with the settings laid over it. Raises RecipeError, UsageError."""
        if not isinstance(self.recipe, str):
            return self.recipe.changed(self.settings)
        from mmidd.recipe import read

        return read(self.recipe, self.settings)

    def asked(self) -> list[str]:
        """The recipe as it was named, for a command to be run again; empty where none was (a Recipe of Python)."""
        if not isinstance(self.recipe, str):
            return []
        place = Path(self.recipe)
        return [str(place.resolve()) if place.is_file() else self.recipe, *self.settings]

    def command(self, verb: str) -> str:
        """The command that does this with a verb, to be pasted into a shell. A recipe that is no file and no name is RECIPE,
        a corpus that is not named CORPUS."""
        to = ("--work", str(self.work_folder)) if verb in STAGES else ("--out", str(self.out or "CORPUS"))
        own = ("--work", str(self.work)) if self.work is not None and "--out" in to else ()
        words = ["mmidd", verb, self.recipe if isinstance(self.recipe, str) else "RECIPE", "--data", self.data, *to, *own]
        for name, values in (("--set", self.settings), ("--only", self.only), ("--follow-links", self.follow_links)):
            words += [word for value in values for word in (name, value)]
        return " ".join(map(shell_word, words))

    @property
    def memory_bytes(self) -> int | None:
        """What a worker may hold, in bytes."""
        return None if self.worker_memory is None else round(self.worker_memory * 1e9)


def work_beside(out: Path) -> Path:
    """The work folder of a corpus whose own is not named: OUT.work. Raises UsageError for what can be no corpus."""
    place = out.resolve() if out.name in ("", "..") else out
    if not place.name:
        raise UsageError(f"--out {out} is no place for a corpus; name a folder in it")
    return place.with_name(f"{place.name}.work")


def _path(value: Any) -> Path | None:
    if isinstance(value, str | Path) and "\0" in str(value):
        raise UsageError(f"{str(value)!r} can be no path")
    return None if value is None else Path(value)


def words_of(value: Any) -> tuple[str, ...]:
    """One word, or several; `{"crop.margin": 1.3}` is short for `["crop.margin=1.3"]`."""
    if isinstance(value, Mapping):
        return tuple(f"{key}={each}" for key, each in value.items())
    words = (value,) if isinstance(value, str | Path) else tuple(value or ())
    words = tuple(str(word) if isinstance(word, Path) else word for word in words)
    if wrong := [word for word in words if not isinstance(word, str)]:
        raise UsageError(f"{wrong[0]!r} is no word; give texts")
    return words


def is_whole(note: Any) -> bool:
    """Is this the note of a build?"""
    return isinstance(note, dict) and note.keys() >= NOTED
