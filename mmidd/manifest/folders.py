"""Where manifests lie beside those that ship with mmidd: the user's own folder, those that a recipe names, and those of
other packages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmidd.errors import PluginError
from mmidd.registry import Registry, Row, folder_of, plugins_of

VARIABLE = "MMIDD_MANIFESTS"
DATASETS: Registry[None] = Registry(
    "datasets",
    "mmidd.datasets",
    "",
    (Row("bundled", "mmidd.manifests", "the manifests that come with mmidd", None),),
    folders=True,
)
_MOST_RECIPES = 32


@dataclass(frozen=True)
class Folder:
    """A folder of manifests, and who names it, as messages say it.

    `texts`: its files by name, as a recipe had them when it was read; None: they are read from the disk. `older`: of a
    recipe that was read before the last one; what of it does not agree with the rest is left aside."""

    path: Path
    named: str
    texts: tuple[tuple[str, str], ...] | None = None
    older: bool = False


_of_recipes: tuple[Folder, ...] = ()


def folders() -> tuple[Folder, ...]:
    """The folder that MMIDD_MANIFESTS names, those of other packages, those of the recipe that was read last, and those of
    recipes before it. Raises PluginError for one that is not there."""
    return (*lasting(), *_of_recipes)


def lasting() -> tuple[Folder, ...]:
    """Those of them that are known whatever recipe is read."""
    own = os.environ.get(VARIABLE)
    return (*([Folder(Path(own), f"{VARIABLE} names")] if own else []), *_of_packages())


def know(theirs: Sequence[Folder]) -> None:
    """From now on this process knows the manifests of these folders, which one recipe names. Those of recipes that were read
    before it stay known, as far as they agree with these: a work folder may serve several."""
    global _of_recipes
    paths = {folder.path for folder in theirs}
    before = [replace(folder, older=True) for folder in _of_recipes if folder.path not in paths]
    _of_recipes = (*theirs, *before[:_MOST_RECIPES])


def forget() -> None:
    """From now on this process knows no recipe's manifests any more."""
    global _of_recipes
    _of_recipes = ()


def _of_packages() -> list[Folder]:
    found = []
    for plugin in plugins_of(DATASETS.group):
        path = folder_of(plugin)
        if path is None:
            named = ":".join(filter(None, (plugin.module, plugin.attribute)))
            raise PluginError(
                f"the package {plugin.source} adds {plugin.name!r} to {plugin.group}, but it does not work: "
                f"{plugin.fault or f'{named} is no folder of it'}; mend, update or uninstall that package"
            )
        found.append(Folder(path, f"the package {plugin.source} names"))
    return found
