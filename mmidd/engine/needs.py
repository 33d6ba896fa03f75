"""What a worker on another machine has to find there, so that its bytes are those of the machine that asked for them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from mmidd.engine.device import has_cuda
from mmidd.engine.units import Resources
from mmidd.errors import WorkError

_SHOWN = 5
_OURS = "MMIDD_"
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")
"""Whatever is called so stays on this machine: what is handed over lies in files and stores that others read."""


@dataclass(frozen=True)
class Needs:
    """The versions, paths and settings of the machine that leads a build; what a worker may use, and hold in bytes."""

    versions: Mapping[str, str]
    paths: tuple[Path, ...]
    environment: Mapping[str, str]
    resources: Resources
    memory: int | None = None

    @classmethod
    def here(cls, resources: Resources, paths: Iterable[Path], memory: int | None = None) -> Needs:
        """Those of this process. `paths` lie on the file system that all machines share."""
        ours = (name for name in os.environ if name.startswith(_OURS) and not name.endswith(_SECRET))
        environment = {name: os.environ[name] for name in ours}
        return cls(versions(), tuple(path.resolve() for path in paths), environment, resources, memory)

    def take(self) -> None:
        """Take the settings over in this process. Raises WorkError where it cannot do the same work to the byte."""
        os.environ.update(self.environment)
        told = [*self._other_versions(), *self._unseen(), *self._no_device()]
        if told:
            more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
            raise WorkError(
                f"a machine of the cluster cannot work on this build: {'; '.join(told[:_SHOWN])}{more}. "
                "All machines need the same installation and the same paths."
            )

    def _other_versions(self) -> Iterable[str]:
        found = versions()
        for name in sorted(self.versions.keys() | found.keys()):
            asked, has = self.versions.get(name, "none"), found.get(name, "none")
            if asked != has:
                yield f"{name} is {has} there, and {asked} here"

    def _unseen(self) -> Iterable[str]:
        return (f"{path} is not there" for path in self.paths if not path.exists())

    def _no_device(self) -> Iterable[str]:
        if self.resources.device == "cuda" and not (has_cuda("torch") or has_cuda("onnxruntime")):
            yield "neither its torch nor its onnxruntime has CUDA"


def versions() -> dict[str, str]:
    """The installed versions of mmidd and of everything that it may use."""
    found = {"mmidd": metadata.version("mmidd")}
    for line in metadata.requires("mmidd") or ():
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
