"""A corpus again from its publication and the user's own copies of its media: the whole way, and what would be possible."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.about import MANIFEST, MEDIA, Shard
from mmidd.corpus.target import Target
from mmidd.engine.faults import fault
from mmidd.engine.files import disk_errors
from mmidd.engine.local import Inline, Local, usable_cores
from mmidd.engine.start import without_pandas
from mmidd.engine.units import Resources
from mmidd.errors import ShareError, UsageError
from mmidd.media import Name
from mmidd.options import words_of
from mmidd.raw.cache import Cache
from mmidd.raw.path import Place, root_of
from mmidd.share.publication.format import ORIGINAL, data_name
from mmidd.share.publication.opened import address
from mmidd.share.rehydrate import checked, taking
from mmidd.share.rehydrate.compared import ACCEPTS, Accept
from mmidd.share.rehydrate.cutting import Asked
from mmidd.share.rehydrate.fetched import FOLDER, PINNED, Fetched, fetched
from mmidd.share.rehydrate.filled import CROPS, NOTES, Filled, Plan, fill
from mmidd.share.rehydrate.finding import Found, find
from mmidd.share.rehydrate.found import Wanted
from mmidd.share.rehydrate.missing import missing
from mmidd.share.rehydrate.result import Rehydrated
from mmidd.share.rehydrate.rows import check_ids, names
from mmidd.share.rehydrate.version import README, REHYDRATED, Original, Told, notes
from mmidd.share.rehydrate.wanted import OF_ROWS, wanted_media
from mmidd.watch import NOBODY, Watch

if TYPE_CHECKING:
    from mmidd.share.rehydrate.checked import Checked

MARK = "mmidd-rehydrate.json"
"""What says that a work folder is one of a rehydration."""
_LOADED = ("mmidd.share.rehydrate.cutting",)
"""What workers load while this process still looks for media."""


@dataclass(frozen=True)
class _Asked:
    """What is to be rehydrated: the shards that are asked for and the `others`, the media they need, where those are."""

    source: Fetched
    shards: Sequence[Shard]
    others: Sequence[Shard]
    wanted: Sequence[Wanted]
    data: Place
    work: Path
    follow: Sequence[Path]

    @property
    def built_with(self) -> dict[str, str]:
        """The digests of the manifests that the corpus was built with, by dataset."""
        known = self.source.opened.corpus.content.get("manifests")
        return {str(name): str(each) for name, each in known.items()} if isinstance(known, dict) else {}

    def find(self, watch: Watch) -> Found:
        """Find the media."""
        return find(self.wanted, self.data, self.work, built_with=self.built_with, follow=self.follow, watch=watch)


def rehydrate(
    where: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    only: str | Sequence[str] = (),
    accept: Accept = "within-1",
    manifests: str | Sequence[str] = (),
    follow_links: str | Path | Sequence[str | Path] = (),
    workers: int | None = None,
    watch: Watch = NOBODY,
    tell: Callable[[str], None] = lambda line: None,
) -> Rehydrated:
    """Make the corpus that a publication is of from the media under `data`, or go on with it: `mmidd rehydrate`.

    `where`: a folder, ORG/NAME[@REVISION] or hf://datasets/ORG/NAME[@REVISION]; `only` these datasets; `accept`: the worst
    status of rows that are written. Raises ShareError and CorpusError for a publication that is not sound or a place that
    holds something else, UsageError for options that do not fit, DataError for a data root that cannot be read.
    """
    if accept not in ACCEPTS:
        raise UsageError(f"--accept {accept}: one of {', '.join(ACCEPTS)}")
    without_pandas()
    target = Target(Path(out))
    work = work_of(target.out)
    target.check()
    with target.held(), _working(work), _engine(workers) as engine:
        asked = _asked(where, data, work, only, manifests, follow_links, watch)
        source = asked.source
        for note in source.notes:
            tell(note)
        original = _original(source)
        _check_out(target, original)
        cutting, limits = taking.cutting(original.about), taking.limits(original.about)
        found = asked.find(watch)
        basis = (str(cutting), str(limits), *(f"{name} {here}" for name, here in sorted(taking.here(cutting).items())))
        plan = Plan(
            source, asked.shards, {each.wanted.name: each for each in found.media},
            {each.wanted.name: each.why for each in found.lost}, Asked(cutting, work / CROPS), limits, accept, basis, target,
            work, found.digests,
        )  # fmt: skip
        gone, skipped = _left(source, asked.others)
        filled = fill(plan, gone, engine, watch)
        publication = {
            "name": source.opened.about.name,
            "version": source.opened.about.version,
            "digest": source.opened.digest,
        }
        withheld = [each.dataset for each in source.opened.about.terms if not each.captions]
        told = Told(publication, accept, sorted(words_of(only)), taking.differences(original.about, cutting), withheld)
        files = notes(original, filled.written, filled.tally, told, skipped)
        changed = _put(target, files, [each.name for each in filled.written if each.bytes])
        result = _result(asked, original, filled, found, told, files, skipped, target.out, changed=changed)
        _tidy(work, whole=result.original)
    return result


def check(
    where: str | Path,
    data: str | Path,
    out: str | Path | None = None,
    *,
    only: str | Sequence[str] = (),
    manifests: str | Sequence[str] = (),
    follow_links: str | Path | Sequence[str | Path] = (),
    digests: bool = False,
    watch: Watch = NOBODY,
) -> Checked:
    """What `rehydrate` could do with the media under `data`: by paths and sizes, with `digests` by what is in them. A
    publication on the Hub has its metadata fetched for it, into the work folder of `out`; without `out` nothing is kept.

    Raises as `rehydrate`, and UsageError for `digests` without `out`: what files are is kept there."""
    without_pandas()
    if out is None:
        if digests:
            raise UsageError(
                "--digests reads files for long, and keeps what it learns beside the corpus: name it, --out CORPUS"
            )
        with tempfile.TemporaryDirectory(prefix="mmidd-check-") as folder:
            return check(
                where, data, Path(folder) / "corpus", only=only, manifests=manifests, follow_links=follow_links, watch=watch
            )
    work = work_of(Path(out))
    with _working(work) if digests or str(address(where)).startswith("hf://") else nullcontext():
        asked = _asked(where, data, work, only, manifests, follow_links, watch)
        opened = asked.source.opened
        taking.cutting(opened.corpus), taking.limits(opened.corpus)  # what cannot be cut here is told before any work
        names = [each for each in checked.CROPS if each in opened.schema.names]
        held = {} if len(names) < len(checked.CROPS) else checked.crop_bytes(_columns(asked.source, asked.shards, names))
        found = checked.check(
            asked.wanted, asked.data, work, crops=held, built_with=asked.built_with, follow=asked.follow, digests=digests,
            watch=watch,
        )  # fmt: skip
        pixels = [opened.pixels[name] for each in asked.shards if (name := data_name(each.name)) in opened.pixels]
        datasets = sorted((*found.datasets, *_included(asked)), key=lambda each: each.dataset)
        return replace(found, datasets=tuple(datasets), disk=found.disk + sum(each.bytes for each in pixels))


def _included(asked: _Asked) -> Iterator[checked.Possible]:
    """The datasets whose pixels are in the publication: nothing of them has to be found."""
    opened = asked.source.opened
    rows: Counter[str] = Counter()
    for shard in asked.shards:
        if data_name(shard.name) in opened.pixels:
            rows[shard.dataset] += shard.rows
    if not rows:
        return
    media = opened.media
    of = Counter(media.filter(pc.greater(media["samples"], 0))["dataset"].to_pylist())
    for each in opened.about.terms:
        if each.slug in rows:
            yield checked.Possible(each.dataset, included=rows[each.slug], media=of[each.dataset])


def work_of(out: Path) -> Path:
    """The work folder of a rehydration: OUT.rehydrate. Raises UsageError for what can be no corpus."""
    place = out.resolve() if out.name in ("", "..") else out
    if not place.name:
        raise UsageError(f"--out {out} is no place for a corpus; name a folder in it")
    return place.with_name(f"{place.name}.rehydrate")


def _asked(
    where: str | Path, data: str | Path, work: Path, only: str | Sequence[str], manifests: str | Sequence[str],
    follow: str | Path | Sequence[str | Path], watch: Watch,
) -> _Asked:  # fmt: skip
    only, manifests, follow = words_of(only), words_of(manifests), words_of(follow)
    if manifests:
        from mmidd.recipe import know_manifests

        know_manifests(manifests)
    source = fetched(where, work, watch)
    if source.hub is None and work.resolve().is_relative_to(source.folder.resolve()):
        raise UsageError(f"--out lies in the publication's folder {source.folder}; choose another place for the corpus")
    if not source.opened.complete:
        check_ids(source.opened)
    shards, others = _chosen(source, only)
    opened = source.opened
    pixels = {each.dataset for each in opened.about.terms if each.pixels}
    names = [each for each in OF_ROWS if each in opened.schema.names]
    labels = _columns(source, [each for each in shards if data_name(each.name) not in opened.pixels], names)
    wanted = wanted_media(labels, opened.media, pixels)
    return _Asked(source, shards, others, wanted, root_of(data, Cache.of(work)), work, tuple(map(Path, follow)))


def _chosen(source: Fetched, only: Sequence[str]) -> tuple[list[Shard], list[Shard]]:
    """The shards of the datasets that are asked for, by name or slug; and the others."""
    slugs = {each.dataset: each.slug for each in source.opened.about.terms}
    known = {*slugs, *slugs.values()}
    if unknown := [name for name in only if name not in known]:
        raise UsageError(f"--only {unknown[0]}: the publication has {', '.join(sorted(slugs))}")
    wanted = {slugs.get(name, name) for name in only} or set(slugs.values())
    shards = source.opened.shards
    return [each for each in shards if each.dataset in wanted], [each for each in shards if each.dataset not in wanted]


def _columns(source: Fetched, shards: Sequence[Shard], names: Sequence[str]) -> Iterator[pa.Table]:
    """These columns of shards, one after the other."""
    opened = source.opened
    schema = pa.schema([opened.schema.field(each) for each in names])
    return (pa.Table.from_batches(list(opened.batches(shard, names)), schema) for shard in shards)


def _left(source: Fetched, shards: Sequence[Shard]) -> tuple[set[str], Mapping[Name, int]]:
    """The ids of rows that were not asked for, and how many each medium has."""
    ids: set[str] = set()
    media: dict[Name, int] = {}
    for name, dataset, medium in (each for shard in shards for each in names(source.opened, shard)):
        ids.add(name)
        media[dataset, medium] = media.get((dataset, medium), 0) + 1
    return ids, media


@contextmanager
def _working(work: Path) -> Iterator[None]:
    """The work folder, which is ours or not there. What a killed run had on its way is removed."""
    if work.exists() and not (work / MARK).is_file() and (not work.is_dir() or any(work.iterdir())):
        raise ShareError(
            f"{work} is in the way: mmidd did not make it; nothing was touched. Move it, or choose another --out"
        )
    with disk_errors(work):
        made = not work.exists()
        work.mkdir(parents=True, exist_ok=True)
        (work / MARK).touch()  # in one step: whoever is killed has a folder that is ours, or an empty one
        shutil.rmtree(work / CROPS, ignore_errors=True)
        (work / CROPS).mkdir()
    try:
        yield
    finally:
        shutil.rmtree(work / CROPS, ignore_errors=True)
        if made and work.is_dir() and {each.name for each in work.iterdir()} <= {MARK}:
            _remove(work)


def _tidy(work: Path, *, whole: bool) -> None:
    """Remove what is of no use once the corpus is whole; else what is known of files stays."""
    if whole:
        with disk_errors(work):
            _remove(work)


def _remove(work: Path) -> None:
    """Remove what rehydrations made, and the folder if nothing else is in it; the mark goes last."""
    for name in _OURS:
        shutil.rmtree(work / name, ignore_errors=True)
    for each in (work / PINNED, *work.glob("*.tmp"), work / MARK):
        each.unlink(missing_ok=True)
    with suppress(OSError):
        work.rmdir()


_OURS = (CROPS, NOTES, FOLDER, "digests", "archives", "remote")


@contextmanager
def _engine(workers: int | None) -> Iterator[Local | Inline]:
    """Who cuts: worker processes, one a core, which start while media are looked for; or this process."""
    several = usable_cores() if workers is None else workers
    engine = Local(several, Resources(), None, _LOADED) if several else Inline()
    try:
        if isinstance(engine, Local):
            engine.start()
        yield engine
    finally:
        engine.close()


def _original(source: Fetched) -> Original:
    opened = source.opened
    manifest, card = (opened.read(f"{ORIGINAL}/{name}") for name in (MANIFEST, README))
    return Original(opened.corpus, manifest, card, (source.folder / MEDIA).read_bytes())


def _check_out(target: Target, original: Original) -> None:
    """Raises ShareError where the place holds another corpus."""
    about = target.manifest()
    if about is None or (target.out / MANIFEST).read_bytes() == original.manifest:
        return
    told = about.get(REHYDRATED)
    if not isinstance(told, dict) or told.get("original") != original.sha256:
        raise ShareError(
            f"{target.out} holds another corpus, or another version, than this publication is of; nothing was touched. "
            "Choose another --out; after a newer version, delete the old corpus: its rows may have been taken down"
        )


def _put(target: Target, files: Mapping[str, bytes], shards: Sequence[str]) -> bool:
    """Put the corpus in its place; False where it is there already."""
    names = {*files, *shards}
    more = any(f"data/{path.name}" not in names for path in (target.out / "data").glob("*.parquet"))
    if target.holds(files, shards) and not more:
        target.discard()
        return False
    target.write(files, shards)
    fault("corpus_written", target.out)
    target.swap()
    return True


def _result(
    asked: _Asked, original: Original, filled: Filled, found: Found, told: Told, files: Mapping[str, bytes],
    skipped: Mapping[Name, int], out: Path, *, changed: bool,
) -> Rehydrated:  # fmt: skip
    listed = original.about.files
    same = sum(each.sha256 == listed[each.name].sha256 for each in filled.written)
    return Rehydrated(
        out, asked.source.opened.about.name, {name: dict(each) for name, each in sorted(filled.tally.rows.items())},
        filled.tally.kept, len(filled.written), same, dict(filled.media), tuple(filled.others), sum(skipped.values()),
        tuple(told.captions_withheld), missing(found.lost, asked.wanted, found.folders, asked.data), told.libraries,
        (*asked.source.notes, *found.notes, *filled.notes), filled.rate, changed, files[MANIFEST] == original.manifest,
    )  # fmt: skip
