"""Dataset manifests: one YAML file says where a dataset's media lie and what is known of each.

This file holds the format (pydantic models, explained in docs/manifests.md) and loads it; `compilation` checks and
compiles it, `layout`, `tables` and `accounting` do the matching.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
)
from pydantic import StringConstraints as Text

from mmidd.errors import ManifestError
from mmidd.manifest.accounting import Accounting, Basis, Label, Layout, Medium, Split, account
from mmidd.manifest.accounting import archive_paths as _archive_paths
from mmidd.manifest.accounting import label_paths as _label_paths
from mmidd.manifest.compilation import CompileFault, compile_layout, used_methods
from mmidd.manifest.methods import FOLDER, METHODS, Method, registry
from mmidd.media import FaceMode, Kind
from mmidd.yamlfile import Document, explain, load, place, read_text, unknown

__all__ = [
    "Accounting",
    "Manifest",
    "Medium",
    "archive_paths",
    "bundled",
    "describe",
    "find_manifest",
    "label_paths",
    "load_manifest",
    "shipped",
]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _as_pattern(value: Any) -> Any:
    return {"pattern": value} if isinstance(value, str) else {"choices": value} if isinstance(value, list) else value


def _visible(text: str) -> str:
    if any(unicodedata.category(each) in _INVISIBLE for each in text):
        raise ValueError("a control character or one that cannot be seen")
    return text


def _visible_lines(text: str) -> str:
    _visible(text.replace("\n", ""))
    return text


def _plain_folder(name: str) -> str:
    if name in (".", "..") or "/" in name:
        raise ValueError("no folder can have this name below the data root")
    return name


def _as_column(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


def _as_pair(value: Any) -> Any:
    return {"media": value} if isinstance(value, str) else value


_LIST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.(?:json|csv|txt)")
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
Name = Annotated[StrictStr, Text(min_length=1, max_length=200), AfterValidator(_visible)]
Prose = Annotated[StrictStr, AfterValidator(_visible_lines)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_listed)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Licence(_Model):
    """Under which terms the dataset's media are had, and whether crops of them may be passed on."""

    id: Name
    name: Name
    url: Name
    redistributable: StrictBool


class FieldSpec(_Model):
    """A `{field}`: a regular expression (`pattern`) or `choices`; `as` renames choices, `any_case` takes them in any case;
    `path` may span folders."""

    pattern: Name | None = None
    choices: tuple[Name, ...] | None = None
    as_: dict[str, Name] = Field(default={}, alias="as")
    path: StrictBool = False
    any_case: StrictBool = False


class ColumnSpec(_Model):
    """A table's column: a template over the row (`from`), and the only values allowed with their meaning (`as`)."""

    from_: Name = Field(alias="from")
    as_: dict[str, Name] | None = Field(default=None, alias="as")
    optional: StrictBool = False


class TableEntry(_Model):
    """A label file or several of one form; `bundled` maps official paths to lists that ship with the manifest."""

    files: Names = Field(min_length=1)
    rows: Literal["list", "object"] = "list"
    at: Names = ()
    header: StrictBool = True
    columns: StrictInt | None = None
    key: Names
    values: dict[str, Annotated[ColumnSpec, BeforeValidator(_as_column)]]
    required: StrictBool = False
    unlisted: dict[str, Name | None] | None = None
    lists_more: StrictBool = False
    bundled: dict[str, Name] = {}


class PairSpec(_Model):
    """Where a fake's real lies; `dataset` names another one."""

    media: Name
    dataset: Name | None = None


class RuleSpec(_Model):
    """Which paths are media, and what is known of them; the first rule that fits a path takes it."""

    id: Name
    path: Names
    kind: Kind | None = None
    faces: FaceMode = "detect"
    look_up: dict[str, Name] = {}
    where: dict[str, Annotated[tuple[Name | None, ...], BeforeValidator(_listed)]] = {}
    label: Label
    method: Name | None = None
    type_basis: Basis | None = None
    compression: Name | None = None
    target_id: Name | None = None
    source_id: Name | None = None
    pair: Annotated[
        tuple[Annotated[PairSpec, BeforeValidator(_as_pair)], ...],
        BeforeValidator(lambda value: (value,) if isinstance(value, str | dict) else value),
    ] = ()
    mask: Names = ()
    aligned: StrictBool = True
    group: Names = ()
    join_identities: StrictBool | None = None
    split: Name | None = None


class Expected(_Model):
    """How many media the official release has, of a rule, label, method or split, in each compression."""

    count: StrictInt
    rule: Name | None = None
    label: Label | None = None
    method: Name | None = None
    split: Split | None = None


class Manifest(_Model):
    """One dataset. `layout` is its compiled form; `digest` changes with anything that could change a label."""

    name: Name
    slug: Annotated[StrictStr, Text(pattern=r"^[a-z][a-z0-9_]*$")]
    year: StrictInt
    folders: Annotated[tuple[Annotated[Name, AfterValidator(_plain_folder)], ...], BeforeValidator(_listed)] = Field(
        min_length=1
    )
    summary: Name
    access: Prose
    citation: Prose
    licence: Licence
    verified: StrictBool
    verified_note: Prose | None = None
    type_basis: Basis
    forgery_type: Literal["FS", "FR", "EFS", "FE"] | None = None
    join_identities: StrictBool = False
    compressions: Names = ()
    fields: dict[str, Annotated[FieldSpec, BeforeValidator(_as_pattern)]] = {}
    tables: dict[str, TableEntry] = {}
    rules: tuple[RuleSpec, ...] = Field(min_length=1)
    archives: Names = ()
    ignore: Names = ()
    empty_folders: Names = ()
    expected: tuple[Expected, ...] = ()
    known_defects: tuple[Prose, ...] = ()

    @cached_property
    def layout(self) -> Layout:
        """The manifest compiled for matching; raises CompileFault for what its parts get wrong together."""
        return compile_layout(self, registry(), _resource)

    @cached_property
    def methods(self) -> tuple[Method, ...]:
        """The methods that its rules can give, by id; all of the registry where a label file names them."""
        return used_methods(self, registry())

    @cached_property
    def digest(self) -> str:
        """sha256 over the manifest, the lists that ship with it and the registry entries it uses."""
        content = {
            "manifest": self._content(),
            "bundled": {
                path: hashlib.sha256(data).hexdigest()
                for table in self.layout.bundled.values()
                for path, data in table.items()
            },
            "methods": {each.id: [each.type, *each.aliases] for each in self.methods},
        }
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def _content(self) -> dict[str, Any]:
        """The manifest's keys. What was added to the format later is left out where it says nothing."""
        content = self.model_dump(mode="json", by_alias=True)
        for name in ("archives", "empty_folders"):
            if not content[name]:
                del content[name]
        for field in content["fields"].values():
            if not field["any_case"]:
                del field["any_case"]
        for rule in content["rules"]:
            if rule["faces"] == "detect":
                del rule["faces"]
            if not rule["mask"]:
                del rule["mask"]
        return content

    @property
    def types(self) -> tuple[str, ...]:
        """The forgery types its rules can give, REAL first."""
        found = {"REAL"} if any(rule.label == "real" for rule in self.rules) else set()
        found |= {method.type for method in self.methods}
        found |= {self.forgery_type} if self.forgery_type else set()
        return tuple(name for name in ("REAL", "FS", "FR", "EFS", "FE") if name in found)


def _resource(name: str) -> bytes:
    """A list that ships with the manifests; nothing else can be named."""
    if not _LIST.fullmatch(name):
        raise FileNotFoundError(errno.ENOENT, "a list is named by its file's name alone", name)
    return resources.files("mmidd.manifests").joinpath(name).read_bytes()


def load_manifest(text: str, source: str) -> Manifest:
    """Read one manifest from YAML; raises ManifestError (or YamlError) with file and line for anything wrong."""
    document = load(text, source)
    manifest = _validated(document, source)
    try:
        manifest.layout  # noqa: B018 - compiled here, so that faults are found on loading and not on a dataset
    except CompileFault as fault:
        raise ManifestError(f"{place(source, document.nearest_line(fault.path))}: {fault}") from None
    return manifest


def _validated(document: Document, source: str) -> Manifest:
    try:
        return Manifest.model_validate(document.data)
    except ValidationError as error:
        raise ManifestError(explain(error, document, source, Manifest)) from None


def bundled() -> Mapping[str, Manifest]:
    """Every manifest that mmidd knows, by name, in the order of their names: those that ship with it, and those of the
    folder that MMIDD_MANIFESTS names. Raises ManifestError for a broken one, or for two that claim one name."""
    return _manifests(os.environ.get(FOLDER) or None)


def shipped() -> Mapping[str, Manifest]:
    """The manifests that ship with mmidd, whatever MMIDD_MANIFESTS says."""
    return _manifests(None)


@cache
def _manifests(folder: str | None) -> Mapping[str, Manifest]:
    found: dict[str, Manifest] = {}
    keys: dict[str, str] = {}
    ours = ((source, _validated(load(text, source), source)) for source, text in _ours())  # compiled when they are used
    theirs = ((source, load_manifest(text, source)) for source, text in (_theirs(Path(folder)) if folder else ()))
    for source, manifest in chain(ours, theirs):
        if manifest.name in found:
            raise ManifestError(f"{source}: a second manifest is named {manifest.name}")
        for key in _names(manifest):
            if keys.setdefault(key, manifest.name) != manifest.name:
                raise ManifestError(f"{source}: '{key}' already names {keys[key]}")
        found[manifest.name] = manifest
    return dict(sorted(found.items()))


def _ours() -> Iterator[tuple[str, str]]:
    for file in sorted(resources.files("mmidd.manifests").iterdir(), key=lambda each: each.name):
        if file.name.endswith(".yaml") and file.name != METHODS:
            yield f"manifests/{file.name}", file.read_text(encoding="utf-8")


def _theirs(folder: Path) -> Iterator[tuple[str, str]]:
    """The user's manifests; raises ManifestError for a folder or file that cannot be read."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".yaml" and path.name != METHODS)
        texts = [read_text(path) for path in files]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ManifestError(f"{FOLDER} names {folder}, which cannot be read: {reason}") from error
    yield from zip(map(str, files), texts, strict=True)


def _names(manifest: Manifest) -> set[str]:
    return {each.casefold() for each in (manifest.name, manifest.slug, *manifest.folders)}


def find_manifest(name: str) -> Manifest:
    """The manifest of a name, slug or folder, whatever the case; raises ManifestError with the nearest."""
    for manifest in bundled().values():
        if name.casefold() in _names(manifest):
            return manifest
    raise ManifestError(unknown("dataset", name, bundled()))


def label_paths(manifest: Manifest, paths: Iterable[str]) -> list[str]:
    """The label files among all paths of a dataset, sorted."""
    return _label_paths(manifest.layout, paths)


def archive_paths(manifest: Manifest, paths: Iterable[str]) -> list[str]:
    """The archives among all paths of a dataset whose members are read in place, sorted."""
    return _archive_paths(manifest.layout, paths)


def describe(manifest: Manifest, paths: Iterable[str], read: Callable[[str], bytes]) -> Accounting:
    """Account for every path (POSIX, relative) below a dataset's root; `read` gives the bytes of a label file.

    Pure and ordered by path. Raises ManifestError for a label file that is too large, broken or of another shape.
    """
    return account(manifest.layout, paths, read)
