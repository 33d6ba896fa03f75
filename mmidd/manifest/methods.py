"""The registry of methods: one canonical name, one forgery type or family of attacks, all the names datasets give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError, model_validator

from mmidd.errors import ManifestError, MmiddError
from mmidd.manifest.folders import Folder, folders
from mmidd.manifest.folders import lasting as lasting_folders
from mmidd.yamlfile import explain, load, place, read_text, unknown

METHODS = "methods.yaml"

ForgeryType = Literal["FS", "FR", "EFS", "FE"]
Attack = Literal["print", "replay", "mask2d", "mask3d", "makeup", "partial", "other"]


class UnknownMethod(ManifestError):
    """A method name that is neither a canonical name nor an alias of the registry."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ForgeryType | None = None
    attack: Attack | None = None
    name: StrictStr
    year: StrictInt
    reference: StrictStr
    aliases: tuple[StrictStr, ...] = ()

    @model_validator(mode="after")
    def _one_of_both(self) -> _Entry:
        if (self.type is None) == (self.attack is None):
            raise ValueError("a method has a 'type' (FS, FR, EFS, FE) or, of a presentation attack, an 'attack', not both")
        return self


class _Registry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: dict[StrictStr, _Entry]


@dataclass(frozen=True)
class Method:
    """One method. `id` is what the corpus column `method` holds; `type` is one of FS, FR, EFS, FE, or None for the
    instrument of a presentation attack, of which `attack` is the family."""

    id: str
    type: ForgeryType | None
    name: str
    year: int
    reference: str
    aliases: tuple[str, ...]
    attack: Attack | None = None

    @property
    def kind(self) -> str:
        """The forgery type, or the family of attacks."""
        return self.type or self.attack or "unknown"


@dataclass(frozen=True)
class Methods:
    """All methods, found by id or alias whatever the case."""

    by_id: Mapping[str, Method]
    by_name: Mapping[str, Method]

    def resolve(self, name: str) -> Method:
        """The method that `name` means; raises UnknownMethod with the nearest names."""
        method = self.find(name)
        if method is None:
            names = [*self.by_id, *(alias for method in self.by_id.values() for alias in method.aliases)]
            raise UnknownMethod(unknown("method", name, names))
        return method

    def find(self, name: str) -> Method | None:
        """The method that `name` means, or None."""
        return self.by_name.get(name.casefold())


def load_methods(text: str, source: str, known: Methods | None = None) -> Methods:
    """Read a registry from YAML, on top of the `known` methods; raises ManifestError (or YamlError) with file and line."""
    document = load(text, source)
    try:
        entries = _Registry.model_validate(document.data).methods
    except ValidationError as error:
        raise ManifestError(explain(error, document, source, _Registry)) from None
    by_id: dict[str, Method] = dict(known.by_id) if known else {}
    by_name: dict[str, Method] = dict(known.by_name) if known else {}
    for key, entry in entries.items():
        method = Method(key, entry.type, entry.name, entry.year, entry.reference, entry.aliases, entry.attack)
        if by_id.get(key) == method:  # two datasets of one's own may bring one method, in the same words
            continue
        by_id[key] = method
        for name in {each.casefold() for each in (key, *entry.aliases)}:
            if name in by_name:
                where = place(source, document.line(("methods", key)))
                raise ManifestError(f"{where}: '{name}' already names method '{by_name[name].id}'")
            by_name[name] = method
    return Methods(by_id, by_name)


def registry() -> Methods:
    """The methods that ship with mmidd, and those of `methods.yaml` in the folder that MMIDD_MANIFESTS names, in those of
    other packages and in those of recipes that were read."""
    return _registry(folders())


def lasting() -> Methods:
    """Those of them that are known whatever recipe is read."""
    return _registry(lasting_folders())


@cache
def _shipped() -> Methods:
    return load_methods(
        resources.files("mmidd.manifests").joinpath(METHODS).read_text(encoding="utf-8"), f"manifests/{METHODS}"
    )


@lru_cache(maxsize=16)
def _registry(theirs: tuple[Folder, ...]) -> Methods:
    methods = _shipped()
    for folder in theirs:
        if (own := _text(folder)) is None:
            continue
        try:
            methods = load_methods(own, str(folder.path / METHODS), methods)
        except MmiddError:
            if not folder.older:
                raise
    return methods


def _text(folder: Folder) -> str | None:
    """A folder's registry; None where it has none."""
    path = folder.path / METHODS
    if folder.texts is not None:
        return dict(folder.texts).get(METHODS)
    if not path.is_file():
        return None
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ManifestError(f"{path}: cannot be read: {reason}") from error
