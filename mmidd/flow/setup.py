"""What a build works with: recipe, raw data, work folder, engine; made once from the options, checked before any work."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mmidd.captions.choose import captioner_identity
from mmidd.corpus.target import Target
from mmidd.engine.device import NO_CUDA, has_cuda, no_gpu
from mmidd.engine.digests import DigestCache
from mmidd.engine.local import Inline, Local, usable_cores
from mmidd.engine.options import EngineOptions, LocalOptions, make_engine, parse
from mmidd.engine.run import Progress, Silent, UnitEngine
from mmidd.engine.store import MARKER, Store
from mmidd.engine.units import Engine, Resources
from mmidd.errors import CorpusError, DataError, UsageError
from mmidd.faces.choose import detector_identity
from mmidd.faces.registry import DETECTORS
from mmidd.flow.kept import check_corpus, exclusions, read_list, witness
from mmidd.flow.notes import Note
from mmidd.manifest import find_manifest
from mmidd.networks.choose import runtime_of
from mmidd.networks.network import Device
from mmidd.options import Options
from mmidd.raw.cache import Cache
from mmidd.raw.path import Place, root_of
from mmidd.raw.store import address
from mmidd.recipe import DatasetEntry, Recipe
from mmidd.stages import caption, curate, extract, shard
from mmidd.takedown import Exclusions
from mmidd.video import backend_identity

BASED = (extract.STAGE.name, caption.STAGE.name, curate.STAGE.name, shard.STAGE.name)
"""The stages whose ingredients are the same for all datasets."""


@dataclass(frozen=True)
class Setup:
    """What a build works with.

    `note` is that of an earlier build whose place this takes: then nothing is asked of the raw data and of model files,
    its index and its ingredients are those that the note names. Such a setup can be looked at, and not be run. `given` is
    the takedown list that this command was told, read once (a pipe gives it once), `excluded` all that holds.
    """

    options: Options
    recipe: Recipe
    data: Place
    store: Store
    engine: Engine | UnitEngine
    device: Device
    progress: Progress = field(default_factory=Silent)
    excluded: Exclusions = field(default_factory=Exclusions)
    engine_options: EngineOptions = field(default_factory=LocalOptions)
    retry: bool = False
    note: Note | None = None
    given: Exclusions = field(default_factory=Exclusions)

    @property
    def out(self) -> Path | None:
        """The corpus folder, where one was named."""
        return self.options.out

    @property
    def workers(self) -> int:
        """How many worker processes there are in all."""
        asked = self.options.workers
        return self.engine_options.at_once * (usable_cores() if asked is None else asked)

    @cached_property
    def digests(self) -> DigestCache:
        """What is known of the media's bytes without reading them."""
        return DigestCache(self.store.root / "digests")

    @cached_property
    def followed(self) -> tuple[Path, ...]:
        """The folders that links in the data may lead into, links resolved; where there are any, the data root is one.
        Raises UsageError for what is no folder, and for the root of all."""
        return _followed(self.options.follow_links, self.data)

    @cached_property
    def entries(self) -> list[DatasetEntry]:
        """The recipe's datasets, under `--only` those alone."""
        named = {find_manifest(entry.name).name: entry for entry in self.recipe.datasets}
        wanted = {find_manifest(name).name for name in self.options.only} or set(named)
        if unknown := wanted - set(named):
            raise UsageError(f"--only {', '.join(sorted(unknown))}: the recipe has {', '.join(named)}")
        return [entry for name, entry in named.items() if name in wanted]

    @property
    def names(self) -> list[str]:
        """The datasets' names."""
        return [find_manifest(entry.name).name for entry in self.entries]

    @cached_property
    def bases(self) -> dict[str, dict[str, Any]]:
        """The ingredients of every stage after the index: those that an earlier build noted, or those of here and now."""
        if self.note is not None and self.note.ingredients is not None:
            return {stage: self.note.ingredients.get(stage, {}) for stage in BASED}  # none: nothing of it was made
        return {
            extract.STAGE.name: extract.ingredients(self.recipe, self.device),
            caption.STAGE.name: caption.ingredients(self.recipe, self.device),
            curate.STAGE.name: curate.ingredients(self.recipe),
            shard.STAGE.name: shard.ingredients(self.recipe),
        }

    def noted(self, index_keys: Mapping[str, str]) -> dict[str, Any]:
        """The note that a later command finds: what was asked for, the index that was committed, the ingredients."""
        out = self.options.out
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "data": str(self.data.resolve() if isinstance(self.data, Path) else self.data),
            "out": str(out.resolve()) if out else None,
            "only": list(self.options.only),
            "device": self.device,
            "workers": self.workers // self.engine_options.at_once,
            "engine": self.engine_options.kind,
            "engine_settings": self.engine_options.words(),
            "follow_links": [str(folder) for folder in self.followed],
            "worker_memory": self.options.memory_bytes,
            "index": dict(index_keys),
            "ingredients": self.bases,
            "excluded": witness(self.excluded),
            "work": str(self.store.root.resolve()),
            "asked": self.options.asked(),
        }


def open_setup(
    options: Options,
    *,
    progress: Progress | None = None,
    retry: bool = False,
    read_only: bool = False,
    early: Local | None = None,
) -> Setup:
    """Check everything that can be checked before work begins. `read_only` makes and changes nothing.

    Of an object store nothing is asked yet. On a Ray cluster `workers` None is one a core of it. `early` is the local
    engine, if it was started already.
    """
    recipe, data, work = options.read_recipe(), options.data, options.work_folder
    engine = parse(options.engine, options.engine_settings)
    _on_disk("--work", work)
    if not isinstance(engine, LocalOptions):  # other machines know nothing of the folder that this process is in
        work = _resolved(work)
    root = root_of(data, None if read_only else Cache.of(work))
    if isinstance(root, Path):
        root = root if isinstance(engine, LocalOptions) else _resolved(root)
        if not root.is_dir():
            raise DataError(f"the data root {root} is not a folder; give the folder that holds the datasets' folders")
        if _resolved(work).is_relative_to(_resolved(root)):
            raise UsageError(f"the work folder {work} lies inside the data root {root}; choose another --work")
        if _resolved(root).is_relative_to(_resolved(work)):
            raise UsageError(f"the data root {root} lies inside the work folder {work}; choose another --work")
    store = Store(work) if read_only else Store.open(work)
    given = read_list(options.exclude) if options.exclude is not None else Exclusions()
    excluded = exclusions(store, given, keep=False)
    check_corpus(options.out, excluded)
    here = isinstance(engine, LocalOptions)
    chosen = pick_device(options.device, recipe) if here else _far_device(options.device, recipe, engine)
    if options.worker_memory is not None and options.workers == 0:
        raise UsageError("--worker-memory is for worker processes; with --workers 0 there are none")
    shared = _shared(root, store, options.out)
    cores = usable_cores()
    runs = early or make_engine(engine, options.workers, cores, Resources(chosen), shared, options.memory_bytes)
    if isinstance(runs, Local):
        runs.resources, runs.scratch = Resources(chosen), store.scratch
    setup = Setup(
        options, recipe, root, store, runs, chosen, progress or Silent(), excluded, engine, retry, given=given
    )  # fmt: skip
    check_models(setup)
    return setup


def recalled_setup(noted: Any, work: Path) -> Setup:
    """The setup of an earlier build, as its note and its commits tell of it: it can be looked at wherever the work folder
    lies. Raises WorkError for a note that is not whole, or another mmidd's."""
    note, store = Note.read(noted, work), Store(work)
    options = note.options(work)
    excluded = exclusions(store, Exclusions(), keep=False)
    engine = parse(options.engine, options.engine_settings)
    return Setup(options, options.read_recipe(), Path(options.data), store, Inline(), note.device, excluded=excluded,
                 engine_options=engine, note=note)  # fmt: skip


def _shared(data: Place, store: Store, out: Path | None) -> list[Path]:
    """What workers on other machines must see: a disk that is not mounted there would make every medium fail."""
    raw = [next(iter(sorted(data.iterdir())), data)] if isinstance(data, Path) else []
    places = [] if out is None else [out.resolve(), *out.resolve().parents]
    return [*raw, store.root / MARKER, *[place for place in places if place.exists()][:1]]


def check_models(setup: Setup) -> None:
    """Everything the recipe needs is installed and at hand, or an error says how to get it."""
    _ = setup.entries, setup.followed
    detector_identity(extract.config(setup.recipe).detector, setup.device)
    captioner_identity(caption.config(setup.recipe))
    backend_identity(setup.recipe.decoder)


def claim(options: Options, *, read_only: bool = False) -> Target:
    """Make sure that a corpus may be written at `out`; `read_only` makes and changes nothing."""
    out, work = options.out, options.work_folder
    if out is None:
        raise UsageError("no corpus is named; give --out CORPUS")
    _on_disk("--out", out)
    _on_disk("--work", work)
    if out.is_symlink() and not out.exists():
        raise CorpusError(f"{out} is a link to nothing; remove it or choose another --out")
    place, own, where = _resolved(out), _resolved(work), address(options.data)
    root = _resolved(where) if isinstance(where, Path) else None
    if root is not None and (place.is_relative_to(root) or root.is_relative_to(place)):
        raise UsageError(f"--out {out} and the data root {options.data} lie in each other; choose another --out")
    if place.is_relative_to(own) or own.is_relative_to(place):
        raise UsageError(f"--out {out} and the work folder {work} lie in each other; choose another --work")
    target = Target(place)
    (target.check if read_only else target.claim)()
    return target


def _followed(given: tuple[str, ...], data: Place) -> tuple[Path, ...]:
    if given and not isinstance(data, Path):
        raise UsageError(f"--follow-links {given[0]}: there are no links in an object store; leave it out")
    found: dict[Path, None] = {}
    for name in given:
        folder = _resolved(Path(name))
        if not folder.is_dir():
            raise UsageError(f"--follow-links {name}: no such folder; name the folder that links in the data lead into")
        if folder == Path(folder.anchor):
            raise UsageError(f"--follow-links {name}: that allows links to anything; name the folder that they lead into")
        found[folder] = None
    return (*found, *([_resolved(data)] if given and isinstance(data, Path) and _resolved(data) not in found else []))


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
    """The device class. `auto` is the CPU: what a GPU gives was never measured (docs/gpu.md), and takes asking for."""
    if device != "cuda":
        return "cpu"
    if absent := no_gpu():
        raise UsageError(f"--device cuda: {absent}; use --device cpu")
    if not _can_use_gpu(recipe):
        raise UsageError(f"--device cuda: {NO_CUDA[runtime_of(recipe.detector.runtime, 'cuda')]}; or use --device cpu")
    return "cuda"


def _can_use_gpu(recipe: Recipe) -> bool:
    """Has what computes the detector CUDA? One of another package says so itself, when it is made."""
    own = DETECTORS.own(recipe.detector.kind) is not None
    return not own or has_cuda(runtime_of(recipe.detector.runtime, "cuda"))


def _wants_gpu(recipe: Recipe) -> bool:
    row = DETECTORS.own(recipe.detector.kind)
    return row is None or row.facts.wants_gpu


def _far_device(device: Literal["auto", "cpu", "cuda"], recipe: Recipe, options: EngineOptions) -> Device:
    """The device class on other machines: nobody looks for a GPU here, it is one where workers are given some."""
    if device == "cuda" and not options.has_gpus:
        raise UsageError(
            f"--device cuda: give workers a GPU, or a share of one, with --engine-set gpus=... ({options.kind})"
        )
    if device != "auto":
        return device
    return "cuda" if options.has_gpus and _wants_gpu(recipe) else "cpu"
