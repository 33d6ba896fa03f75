"""Dataset manifests: one YAML file says where a dataset's media lie and what is known of each.

This file loads them; `spec` holds the format (explained in docs/manifests.md), `compilation` checks and compiles it,
`layout`, `tables` and `accounting` do the matching.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import Any

from pydantic import ValidationError

from mmidd.errors import ManifestError, MmiddError
from mmidd.manifest.accounting import Accounting, Layout, Medium, account
from mmidd.manifest.accounting import archive_paths as _archive_paths
from mmidd.manifest.accounting import label_paths as _label_paths
from mmidd.manifest.clips import Namer
from mmidd.manifest.compilation import CompileFault, compile_layout, used_methods
from mmidd.manifest.folders import Folder, folders, lasting
from mmidd.manifest.methods import METHODS, Method, registry
from mmidd.manifest.spec import Spec
from mmidd.media import composed
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
    "standing",
    "taken",
]

_LIST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.(?:json|csv|txt)")


class Manifest(Spec):
    """One dataset. `layout` is its compiled form; `digest` changes with anything that could change a label."""

    @cached_property
    def layout(self) -> Layout:
        """The manifest compiled for matching; raises CompileFault for what its parts get wrong together."""
        return compile_layout(self, registry(), _resource)

    @cached_property
    def methods(self) -> tuple[Method, ...]:
        """The methods that its rules can give, by id; all of the registry where a label file names them."""
        return used_methods(self.layout, registry())

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
            "methods": {each.id: [each.kind, *each.aliases] for each in self.methods},
        }
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def _content(self) -> dict[str, Any]:
        """The manifest's keys. What was added to the format later is left out where it says nothing."""
        content = self.model_dump(mode="json", by_alias=True)
        for name in ("archives", "empty_folders"):
            if not content[name]:
                del content[name]
        del content["licence"]["derivatives"]  # no label follows from it
        for field in content["fields"].values():
            if not field["any_case"]:
                del field["any_case"]
        for table in content["tables"].values():
            if not table["expects"]:
                del table["expects"]
        for rule in content["rules"]:
            if rule["faces"] == "detect":
                del rule["faces"]
            for name in ("turn", "mask", "unless", "frames", "axes"):
                if not rule[name]:
                    del rule[name]
        return content

    @cached_property
    def clip_of(self) -> Namer:
        """Gives one name for a clip by any path that it may have: in any compression, as a video or as its frames, in an
        archive or not."""
        return Namer(self.layout)

    @property
    def types(self) -> tuple[str, ...]:
        """The forgery types its rules can give, REAL first, and the families of presentation attacks."""
        found = {"REAL"} if any(rule.label == "real" for rule in self.rules) else set()
        found |= {method.kind for method in self.methods}
        found |= {self.forgery_type} if self.forgery_type else set()
        from mmidd.schema import ATTACKS, FORGERY_TYPES  # loads pyarrow, which `mmidd doctor` does without

        return tuple(name for name in (*FORGERY_TYPES, *ATTACKS) if name in found)


def _resource(name: str) -> bytes:
    """A list that ships with the manifests; nothing else can be named."""
    if not _LIST.fullmatch(name):
        raise FileNotFoundError(errno.ENOENT, "a list is named by its file's name alone", name)
    return resources.files("mmidd.manifests").joinpath(name).read_bytes()


def load_manifest(text: str, source: str) -> Manifest:
    """Read one manifest from YAML; raises ManifestError (or YamlError) with file and line for anything wrong."""
    document = load(composed(text), source)
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
    """Every manifest that mmidd knows, by name, in the order of their names: those that ship with it, those of the folder
    that MMIDD_MANIFESTS names, those that other packages bring, and those of recipes that were read. Raises ManifestError
    for a broken one, or for two that claim one name, and PluginError for a package whose folder is not there."""
    return _manifests(folders())


def shipped() -> Mapping[str, Manifest]:
    """The manifests that ship with mmidd, whatever else there is."""
    return _manifests(())


@lru_cache(maxsize=16)
def _manifests(theirs: tuple[Folder, ...]) -> Mapping[str, Manifest]:
    found = _Found({}, {}, {})
    found.take((source, _validated(load(text, source), source)) for source, text in _ours())  # compiled when they are used
    for folder in theirs:
        more = found.copy()
        try:
            more.take((source, load_manifest(text, source)) for source, text in _texts(folder))
        except MmiddError:
            if not folder.older:
                raise
        else:
            found = more
    return dict(sorted(found.manifests.items()))


@dataclass(frozen=True)
class _Found:
    """Manifests by name, with the file of each; and whom each name, slug and folder names."""

    manifests: dict[str, Manifest]
    sources: dict[str, str]
    keys: dict[str, str]

    def copy(self) -> _Found:
        return _Found(dict(self.manifests), dict(self.sources), dict(self.keys))

    def take(self, more: Iterable[tuple[str, Manifest]]) -> None:
        """Add manifests. Raises ManifestError where one claims what another has."""
        for source, manifest in more:
            if manifest.name in self.manifests:
                first = self.sources[manifest.name]
                raise ManifestError(f"{source}: a second manifest is named {manifest.name}; the first is {first}")
            for key in _names(manifest):
                if self.keys.setdefault(key, manifest.name) != manifest.name:
                    raise ManifestError(f"{source}: '{key}' already names {self.keys[key]}")
            self.manifests[manifest.name], self.sources[manifest.name] = manifest, source


@cache
def _ours() -> tuple[tuple[str, str], ...]:
    files = sorted(resources.files("mmidd.manifests").iterdir(), key=lambda each: each.name)
    mine = (file for file in files if file.name.endswith(".yaml") and file.name != METHODS)
    return tuple((f"manifests/{file.name}", file.read_text(encoding="utf-8")) for file in mine)


def _texts(folder: Folder) -> Iterator[tuple[str, str]]:
    """The manifests of a folder; raises ManifestError for a folder or file that cannot be read."""
    if folder.texts is not None:
        yield from ((str(folder.path / name), text) for name, text in folder.texts if name != METHODS)
        return
    try:
        files = sorted(path for path in folder.path.iterdir() if path.suffix == ".yaml" and path.name != METHODS)
        texts = [read_text(path) for path in files]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ManifestError(f"{folder.named} {folder.path}, which cannot be read: {reason}") from error
    yield from zip(map(str, files), texts, strict=True)


def standing() -> Mapping[str, Manifest]:
    """The manifests that are known whatever recipe is read."""
    return _manifests(lasting())


def taken(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Which of these names, slugs or folders are a dataset's already, whatever recipe is read; each with that dataset."""
    known = {key: manifest.name for manifest in standing().values() for key in _names(manifest)}
    yield from ((name, known[name.casefold()]) for name in names if name.casefold() in known)


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
