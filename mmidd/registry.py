"""What can be chosen by name: mmidd's own rows, and those that other installed packages add through entry points.

A row's module is imported when its name is chosen, and not before: listing reads packages' metadata alone. docs/plugins.md
tells what a package has to say of itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Any, Generic, TypeVar

from mmidd.errors import MediaError, MissingExtra, MmiddError, PluginError, sanitised

OURS = "mmidd"
F = TypeVar("F")
T = TypeVar("T")


@dataclass(frozen=True)
class Row(Generic[F]):
    """One of mmidd's own: the module that has the code, what may be known of it without importing that (`facts`), the
    modules that it needs from elsewhere, and the extra that installs those."""

    name: str
    module: str
    summary: str
    facts: F
    extra: str | None = None
    needs: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Is what it needs there?"""
        return all(_is_there(module) for module in self.needs)


@dataclass(frozen=True)
class Plugin:
    """An entry point of another package: its `name` in a `group`, and the `module` and `attribute` that it stands for.

    `fault`: why it can never be chosen, None where nothing speaks against it so far."""

    group: str
    name: str
    module: str
    attribute: str
    package: str
    version: str
    summary: str
    fault: str | None = None

    @property
    def source(self) -> str:
        """The package with its version, as messages name it."""
        return f"{self.package} {self.version}".strip()


@dataclass(frozen=True)
class Listed:
    """A row as `mmidd plugins` tells it. `source`: mmidd, or the package; `extra` installs what it needs; `note`: why it
    is not what its name gives."""

    kind: str
    name: str
    source: str
    version: str | None
    installed: bool
    extra: str | None
    summary: str
    note: str | None = None


@dataclass(frozen=True)
class Registry(Generic[F]):
    """The rows of one kind of thing. `word` names the kind in messages; `attribute` is the object that the module of each
    of our rows has; other packages' entry points are in `group` and name their own. `folders`: they name folders of data, of
    which nothing is ever imported."""

    word: str
    group: str
    attribute: str
    rows: tuple[Row[F], ...] = ()
    folders: bool = False

    def own(self, name: str) -> Row[F] | None:
        """Our row of that name."""
        return next((row for row in self.rows if row.name == name), None)

    def names(self) -> tuple[str, ...]:
        """What can be chosen: ours in their order, then other packages'."""
        ours = tuple(row.name for row in self.rows)
        return ours + tuple(dict.fromkeys(each.name for each in plugins_of(self.group) if each.name not in ours))

    def __contains__(self, name: str) -> bool:
        """Can the name be chosen? For our own, nobody looks at what else is installed."""
        return self.own(name) is not None or name in self.names()

    def plugin(self, name: str) -> Plugin | None:
        """The other package's entry point that a name stands for; None for our own names and for unknown ones.

        Raises PluginError where two packages claim it, or where its metadata are broken."""
        if self.own(name) is not None:
            return None
        claims = [each for each in plugins_of(self.group) if each.name == name]
        if len(claims) > 1:
            raise PluginError(
                f"{self.word} {name!r} is in {' and in '.join(each.source for each in claims)}; uninstall all but one"
            )
        if claims and claims[0].fault:
            raise _broken(claims[0], claims[0].fault)
        return claims[0] if claims else None

    def load(self, name: str, kind: type[T]) -> T:
        """The object that a name stands for, its module imported now.

        Raises KeyError for an unknown name, MissingExtra where ours lacks what it needs, PluginError where another
        package's is broken or is no `kind`.
        """
        row = self.own(name)
        if row is not None:
            if not row.installed:
                raise MissingExtra(row.extra or row.name, f"the {self.word} {name}")
            found = getattr(importlib.import_module(row.module), self.attribute)
            assert isinstance(found, kind), f"{row.module}.{self.attribute} is no {kind.__name__}"
            return found
        plugin = self.plugin(name)
        if plugin is None:
            raise KeyError(name)
        return _loaded(plugin, kind)

    def ask(self, name: str, function: Callable[..., T], *arguments: Any) -> T:
        """What a function of the object that a name stands for gives. Of another package's code, whatever it raises becomes
        PluginError, but for mmidd's own errors."""
        plugin = self.plugin(name)
        if plugin is None:
            return function(*arguments)
        try:
            return function(*arguments)
        except (MmiddError, MediaError):
            raise
        except (Exception, SystemExit) as error:  # a stranger's code
            raise _broken(plugin, f"{type(error).__name__}: {sanitised(str(error))}") from error

    def listed(self) -> list[Listed]:
        """Every row: ours, then other packages', those that cannot be chosen with the reason. Imports none of them."""
        ours = [Listed(self.word, row.name, OURS, None, row.installed, row.extra, row.summary) for row in self.rows]
        found = plugins_of(self.group)
        return ours + [_listed(self.word, each, self._note(each, found)) for each in found]

    def _note(self, plugin: Plugin, found: Iterable[Plugin]) -> str | None:
        if plugin.fault is not None:
            return f"cannot be chosen: {plugin.fault}"
        if self.folders:
            return None if folder_of(plugin) else "cannot be read: it names no folder of its package"
        if self.own(plugin.name) is not None:
            return "hidden: mmidd has its own of this name"
        rivals = [each.source for each in found if each.name == plugin.name and each is not plugin]
        return f"cannot be chosen: {', '.join(rivals)} claims the same name" if rivals else None


def plugins_of(group: str) -> tuple[Plugin, ...]:
    """Other packages' entry points of a group, by name, then by package."""
    return tuple(each for each in _plugins(tuple(sys.path)) if each.group == group)


def folder_of(plugin: Plugin) -> Path | None:
    """The folder of a package's data that an entry point names by its module path; None where there is none.

    Nothing of the package is imported: its top-level module is only found."""
    if not plugin.module:
        return None
    top, *rest = filter(None, (*plugin.module.split("."), *plugin.attribute.split(".")))
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    places = (Path(place, *rest) for place in (spec and spec.submodule_search_locations) or [])
    return next((place for place in places if place.is_dir()), None)


@lru_cache(maxsize=8)
def _plugins(path: tuple[str, ...]) -> tuple[Plugin, ...]:
    """All entry points for mmidd; of packages that are there twice the first one counts, as it does for imports."""
    found: list[Plugin] = []
    seen: set[str] = set()
    for package in distributions():
        text = package.read_text("entry_points.txt") or ""
        if f"[{OURS}." not in text.replace(" ", ""):
            continue
        name = _package_name(package)
        if name not in seen:
            seen.add(name)
            found += _of(package, name, text)
    return tuple(sorted(found, key=lambda each: (each.group, each.name, each.package)))


def _of(package: Distribution, name: str, text: str) -> Iterator[Plugin]:
    version, summary = (_stated(package, key) for key in ("Version", "Summary"))
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and line[0] not in "#;" and group.startswith(f"{OURS}."):
            key, equals, value = (part.strip() for part in line.partition("="))
            point = EntryPoint(key, value, group)
            fits = EntryPoint.pattern.match(value) if equals else None
            module, attribute = (point.module, point.attr or "") if fits else ("", "")
            yield Plugin(
                group, key, module, attribute, name, version, summary,
                None if fits else f"its entry point {line!r} is no 'name = module:object'",
            )  # fmt: skip


def _package_name(package: Distribution) -> str:
    return _stated(package, "Name") or "a package without a name"


def _stated(package: Distribution, key: str) -> str:
    """A line of the package's metadata, on one line; empty where it has none."""
    stated: Any = package.metadata  # None where the package has no such file
    return sanitised(str((stated or {}).get(key) or ""))


def _listed(word: str, plugin: Plugin, note: str | None) -> Listed:
    there = _is_there(plugin.module.split(".")[0])
    return Listed(word, plugin.name, plugin.package, plugin.version, there, None, plugin.summary, note)


def _is_there(module: str) -> bool:
    """Can a top-level module be found? It is not imported."""
    try:
        return bool(module) and importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _loaded(plugin: Plugin, kind: type[T]) -> T:
    try:
        found: Any = importlib.import_module(plugin.module)
        for part in filter(None, plugin.attribute.split(".")):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # a stranger's code: whatever it raises on import, this is how it is told
        raise _broken(plugin, f"{type(error).__name__}: {sanitised(str(error))}") from error
    if not isinstance(found, kind):
        raise _broken(plugin, f"{plugin.module}:{plugin.attribute} is no {kind.__module__}.{kind.__name__}")
    return found


def _broken(plugin: Plugin, what: str) -> PluginError:
    return PluginError(
        f"the package {plugin.source} adds {plugin.name!r} to {plugin.group}, but it does not work: {what}; mend or update "
        f"that package, or choose another"
    )
