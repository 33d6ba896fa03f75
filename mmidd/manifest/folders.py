"""Where manifests lie beside those that ship with mmidd: the user's own folder, and those of other packages."""

from __future__ import annotations

import os
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Folder:
    """A folder of manifests, and who names it, as messages say it."""

    path: Path
    named: str


def folders() -> tuple[Folder, ...]:
    """The folder that MMIDD_MANIFESTS names, then those of other packages. Raises PluginError for one that is not there."""
    own = os.environ.get(VARIABLE)
    return (*([Folder(Path(own), f"{VARIABLE} names")] if own else []), *_of_packages())


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
