"""Where a build reads and writes, and what it may use: made once from the command's words, checked before any work."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mmidd.captions.protocol import captioner_identity
from mmidd.corpus.folder import Corpus
from mmidd.engine.digests import DigestCache
from mmidd.engine.local import Inline, Local
from mmidd.engine.run import Progress
from mmidd.engine.store import Store
from mmidd.engine.units import Engine, Resources
from mmidd.errors import CorpusError, DataError, UsageError, WorkError
from mmidd.faces.detector import detector_identity
from mmidd.manifest import find_manifest
from mmidd.recipe import DatasetEntry, Recipe
from mmidd.stages import caption, extract
from mmidd.stages.selection import Exclusions
from mmidd.video import backend_identity

Name = tuple[str, str]
Device = Literal["cpu", "cuda"]
LAST = "build.json"
EXCLUDED = "excluded.json"


@dataclass(frozen=True)
class Site:
    """A recipe, the raw data it is for, and the work folder and engine to build it with."""

    recipe: Recipe
    data: Path
    store: Store
    engine: Engine
    device: Device
    progress: Progress
    excluded: Exclusions = field(default_factory=Exclusions)
    only: tuple[str, ...] = ()
    require_all: bool = False
    retry: bool = False
    workers: int = 0
    out: Path | None = None

    @cached_property
    def digests(self) -> DigestCache:
        """What is known of the media's bytes without reading them."""
        return DigestCache(self.store.root / "digests")

    @cached_property
    def entries(self) -> list[DatasetEntry]:
        """The recipe's datasets, under `--only` those alone."""
        named = {find_manifest(entry.name).name: entry for entry in self.recipe.datasets}
        wanted = {find_manifest(name).name for name in self.only} or set(named)
        if unknown := wanted - set(named):
            raise UsageError(f"--only {', '.join(sorted(unknown))}: the recipe has {', '.join(named)}")
        return [entry for name, entry in named.items() if name in wanted]


def open_site(
    recipe: Recipe,
    data: Path,
    work: Path,
    *,
    progress: Progress,
    workers: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    only: Sequence[str] = (),
    exclude: Path | None = None,
    require_all: bool = False,
    retry: bool = False,
    read_only: bool = False,
    out: Path | None = None,
) -> Site:
    """Check everything that can be checked before work begins. `read_only` makes and changes nothing."""
    if not data.is_dir():
        raise DataError(f"the data root {data} is not a folder; give the folder that holds the datasets' folders")
    if _resolved(work).is_relative_to(_resolved(data)):
        raise UsageError(f"the work folder {work} lies inside the data root {data}; choose another --work")
    store = Store(work) if read_only else Store.open(work)
    excluded = exclusions(store, exclude, keep=not read_only)
    chosen = pick_device(device, recipe)
    count = workers if workers is not None else usable_cores()
    resources = Resources(chosen)
    engine: Engine = Inline(resources) if count == 0 else Local(count, resources)
    site = Site(recipe, data, store, engine, chosen, progress, excluded, tuple(only), require_all, retry, count, out)
    check_models(site)
    return site


def check_models(site: Site) -> None:
    """Everything the recipe needs is installed and at hand, or an error says how to get it."""
    _ = site.entries
    detector_identity(extract.config(site.recipe).detector)
    captioner_identity(caption.config(site.recipe))
    backend_identity(site.recipe.decoder)


def claim_corpus(out: Path, data: Path, work: Path) -> Corpus:
    """Make sure that a corpus may be written at `out`."""
    if out.is_symlink() and not out.exists():
        raise CorpusError(f"{out} is a link to nothing; remove it or choose another --out")
    place, root, own = _resolved(out), _resolved(data), _resolved(work)
    if place.is_relative_to(root) or root.is_relative_to(place):
        raise UsageError(f"--out {out} and the data root {data} lie in each other; choose another --out")
    if place.is_relative_to(own) or own.is_relative_to(place):
        raise UsageError(f"--out {out} and the work folder {work} lie in each other; choose another --work")
    corpus = Corpus(place)
    corpus.claim()
    return corpus


def _resolved(path: Path) -> Path:
    try:
        resolved = path.resolve()
        str(resolved).encode()
    except RuntimeError as error:
        raise UsageError(f"{path}: its links go round in a circle; name a folder") from error
    except UnicodeEncodeError as error:
        raise UsageError(f"{path}: the name of this folder, or of one above it, is not UTF-8; choose another") from error
    return resolved


def usable_cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pick_device(device: Literal["auto", "cpu", "cuda"], recipe: Recipe) -> Device:
    """The device class. `auto` is a GPU where the detector can use one and there is one."""
    if device != "auto":
        if device == "cuda" and not _has_cuda():
            raise UsageError("--device cuda: torch sees no CUDA device here; use --device cpu, or auto")
        return device
    return "cuda" if recipe.detector.kind != "yunet" and _has_nvidia() and _has_cuda() else "cpu"


def _has_nvidia() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))


def _has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def exclusions(store: Store, added: Path | None, *, keep: bool) -> Exclusions:
    """The work folder's takedown list, with a new file's lines added for good: later commands honour them unasked."""
    known = store.note(EXCLUDED) or {"lines": []}
    total = Exclusions.parse("\n".join(known["lines"]), EXCLUDED)
    if added is not None:
        try:
            text = added.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise UsageError(f"cannot read --exclude {added}: {reason}") from error
        total = total.union(Exclusions.parse(text, str(added)))
        if keep:
            store.touch(EXCLUDED, {"lines": total.lines()})
    return total


def remember(site: Site, index_keys: Mapping[str, str]) -> None:
    """Note what the last command on this work folder was, so that `status` and `failures` need not be told."""
    before = site.store.note(LAST)
    known = before.get("out") if isinstance(before, dict) else None
    about: dict[str, Any] = {
        "recipe": site.recipe.model_dump(mode="json"),
        "data": str(site.data.resolve()),
        "out": str(site.out.resolve()) if site.out else known,
        "only": list(site.only),
        "device": site.device,
        "workers": site.workers,
        "index": dict(index_keys),
    }
    site.store.touch(LAST, about)


def reopen_site(work: Path, *, progress: Progress, retry: bool = False, read_only: bool = False) -> Site:
    """The site of the last build on a work folder. Raises WorkError if there was none."""
    note = Store(work).note(LAST)
    if not isinstance(note, dict) or not {"recipe", "data", "out", "only", "device", "workers"} <= note.keys():
        raise WorkError(f"{work} is no work folder of a build; give the --work of one (by default CORPUS.work)")
    return open_site(
        Recipe.model_validate(note["recipe"]),
        Path(note["data"]),
        work,
        progress=progress,
        workers=note["workers"],
        device=note["device"],
        only=note["only"],
        retry=retry,
        read_only=read_only,
        out=Path(note["out"]) if note["out"] else None,
    )
