"""Where a build reads and writes, and what it may use: made once from the command's words, checked before any work."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mmidd.captions.choose import captioner_identity
from mmidd.corpus.target import Target
from mmidd.engine.choice import HERE, EngineOptions, LocalOptions, make_engine, parse
from mmidd.engine.device import has_cuda, has_gpu
from mmidd.engine.digests import DigestCache
from mmidd.engine.local import Local, usable_cores
from mmidd.engine.run import Progress, UnitEngine
from mmidd.engine.store import MARKER, Store
from mmidd.engine.units import Engine, Resources
from mmidd.errors import CorpusError, DataError, UsageError, WorkError
from mmidd.faces.choose import detector_identity
from mmidd.flow.select import Exclusions
from mmidd.manifest import find_manifest
from mmidd.raw.cache import Cache
from mmidd.raw.path import Place, root_of
from mmidd.raw.store import address
from mmidd.recipe import DatasetEntry, Recipe
from mmidd.stages import caption, extract
from mmidd.video import backend_identity

Device = Literal["cpu", "cuda"]
LAST = "build.json"
BUILDS = "builds.json"
"""The last build of every corpus that the work folder serves, by the corpus's path: what `gc` keeps."""
EXCLUDED = "excluded.json"


@dataclass(frozen=True)
class Site:
    """A recipe, the raw data it is for, and the work folder and engine to build it with."""

    recipe: Recipe
    data: Place
    store: Store
    engine: Engine | UnitEngine
    device: Device
    progress: Progress
    excluded: Exclusions = field(default_factory=Exclusions)
    only: tuple[str, ...] = ()
    require_all: bool = False
    retry: bool = False
    workers: int = 0
    out: Path | None = None
    worker_memory: int | None = None
    engine_options: EngineOptions = HERE

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
    data: Path | str,
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
    worker_memory: int | None = None,
    engine: str = "local",
    engine_settings: Sequence[str] = (),
    early: Local | None = None,
) -> Site:
    """Check everything that can be checked before work begins. `read_only` makes and changes nothing.

    `data` is a folder, or the address of an object store; of the latter nothing is asked yet. `workers` None: one a core of
    this machine; on a Ray cluster one a core of it. `early` is the local engine, if it was started already.
    """
    options = parse(engine, engine_settings)
    _on_disk("--work", work)
    if not isinstance(options, LocalOptions):  # other machines know nothing of the folder that this process is in
        work = _resolved(work)
    root = root_of(data, None if read_only else Cache.of(work))
    if isinstance(root, Path):
        root = root if isinstance(options, LocalOptions) else _resolved(root)
        if not root.is_dir():
            raise DataError(f"the data root {root} is not a folder; give the folder that holds the datasets' folders")
        if _resolved(work).is_relative_to(_resolved(root)):
            raise UsageError(f"the work folder {work} lies inside the data root {root}; choose another --work")
    store = Store(work) if read_only else Store.open(work)
    excluded = exclusions(store, exclude, keep=not read_only)
    chosen = pick_device(device, recipe) if isinstance(options, LocalOptions) else _far_device(device, recipe, options)
    if worker_memory is not None and workers == 0:
        raise UsageError("--worker-memory is for worker processes; with --workers 0 there are none")
    shared = _shared(root, store, out)
    runs = early or make_engine(options, workers, usable_cores(), Resources(chosen), shared, worker_memory)
    if isinstance(runs, Local):
        runs.resources, runs.scratch = Resources(chosen), store.scratch
    count = options.at_once * (usable_cores() if workers is None else workers)
    site = Site(
        recipe, root, store, runs, chosen, progress, excluded, tuple(only), require_all, retry, count, out, worker_memory,
        options,
    )  # fmt: skip
    check_models(site)
    return site


def _shared(data: Place, store: Store, out: Path | None) -> list[Path]:
    """What workers on other machines must see: a disk that is not mounted there would make every medium fail."""
    raw = [next(iter(sorted(data.iterdir())), data)] if isinstance(data, Path) else []
    places = [] if out is None else [out.resolve(), *out.resolve().parents]
    return [*raw, store.root / MARKER, *[place for place in places if place.exists()][:1]]


def check_models(site: Site) -> None:
    """Everything the recipe needs is installed and at hand, or an error says how to get it."""
    _ = site.entries
    detector_identity(extract.config(site.recipe).detector)
    captioner_identity(caption.config(site.recipe))
    backend_identity(site.recipe.decoder)


def claim_corpus(out: Path, data: Path | str, work: Path) -> Target:
    """Make sure that a corpus may be written at `out`."""
    _on_disk("--out", out)
    _on_disk("--work", work)
    if out.is_symlink() and not out.exists():
        raise CorpusError(f"{out} is a link to nothing; remove it or choose another --out")
    place, own, where = _resolved(out), _resolved(work), address(data)
    root = _resolved(where) if isinstance(where, Path) else None
    if root is not None and (place.is_relative_to(root) or root.is_relative_to(place)):
        raise UsageError(f"--out {out} and the data root {data} lie in each other; choose another --out")
    if place.is_relative_to(own) or own.is_relative_to(place):
        raise UsageError(f"--out {out} and the work folder {work} lie in each other; choose another --work")
    corpus = Target(place)
    corpus.claim()
    return corpus


def _on_disk(option: str, path: Path) -> None:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+:", path.parts[0] if path.parts else ""):
        raise UsageError(f"{option} {path}: only raw data may lie in an object store; name a folder on a disk")


def _resolved(path: Path) -> Path:
    try:
        resolved = path.resolve()
        str(resolved).encode()
    except RuntimeError as error:
        raise UsageError(f"{path}: its links go round in a circle; name a folder") from error
    except UnicodeEncodeError as error:
        raise UsageError(f"{path}: the name of this folder, or of one above it, is not UTF-8; choose another") from error
    return resolved


def pick_device(device: Literal["auto", "cpu", "cuda"], recipe: Recipe) -> Device:
    """The device class. `auto` is a GPU where there is one and onnxruntime can use it; yunet needs none to keep up."""
    if device != "auto":
        if device == "cuda" and not has_cuda():
            raise UsageError(
                "--device cuda: this onnxruntime has no CUDA; pip uninstall onnxruntime and pip install onnxruntime-gpu, "
                "or use --device cpu, or auto"
            )
        return device
    return "cuda" if recipe.detector.kind != "yunet" and has_gpu() and has_cuda() else "cpu"


def _far_device(device: Literal["auto", "cpu", "cuda"], recipe: Recipe, options: EngineOptions) -> Device:
    """The device class on other machines: nobody looks for a GPU here, it is one where workers are given some."""
    if device == "cuda" and not options.has_gpus:
        raise UsageError(
            f"--device cuda: give workers a GPU, or a share of one, with --engine-set gpus=... ({options.kind})"
        )
    if device != "auto":
        return device
    return "cuda" if options.has_gpus and recipe.detector.kind != "yunet" else "cpu"


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
        "data": str(site.data.resolve() if isinstance(site.data, Path) else site.data),
        "out": str(site.out.resolve()) if site.out else known,
        "only": list(site.only),
        "device": site.device,
        "workers": site.workers // site.engine_options.at_once,
        "engine": site.engine_options.kind,
        "engine_settings": site.engine_options.words(),
        "worker_memory": site.worker_memory,
        "index": dict(index_keys),
    }
    site.store.touch(LAST, about)
    site.store.touch(BUILDS, {**builds(site.store), about["out"] or "": about})


def builds(store: Store) -> dict[str, dict[str, Any]]:
    """The last build of every corpus that a work folder serves, by the corpus's path; "" for stages run alone."""
    notes = store.note(BUILDS)
    return {out: note for out, note in notes.items() if _whole(note)} if isinstance(notes, dict) else {}


def _whole(note: Any) -> bool:
    return isinstance(note, dict) and {"recipe", "data", "out", "only", "device", "workers"} <= note.keys()


def reopen_site(work: Path, *, progress: Progress, retry: bool = False, read_only: bool = False) -> Site:
    """The site of the last build on a work folder. Raises WorkError if there was none."""
    note = Store(work).note(LAST)
    if not _whole(note):
        raise WorkError(f"{work} is no work folder of a build; give the --work of one (by default CORPUS.work)")
    return site_of(note, work, progress=progress, retry=retry, read_only=read_only)


def site_of(
    note: Mapping[str, Any], work: Path, *, progress: Progress, retry: bool = False, read_only: bool = False
) -> Site:
    """The site of a build that a work folder remembers."""
    return open_site(
        Recipe.model_validate(note["recipe"]),
        note["data"],
        work,
        progress=progress,
        workers=note["workers"],
        device=note["device"],
        only=note["only"],
        retry=retry,
        read_only=read_only,
        out=Path(note["out"]) if note["out"] else None,
        worker_memory=note.get("worker_memory"),
        engine=note.get("engine", "local"),
        engine_settings=note.get("engine_settings", ()),
    )
