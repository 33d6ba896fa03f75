"""A corpus again from its publication and the user's own copies of its media: the whole way, and what would be possible."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from mmidd.corpus.about import MANIFEST, MEDIA, Shard
from mmidd.corpus.target import Target
from mmidd.engine.faults import fault
from mmidd.engine.local import Inline, Local, usable_cores
from mmidd.engine.start import without_pandas
from mmidd.engine.units import Resources
from mmidd.errors import ShareError, UsageError
from mmidd.media import Name
from mmidd.options import words_of
from mmidd.share.publication.format import ORIGINAL, data_name
from mmidd.share.publication.opened import address
from mmidd.share.rehydrate import checked, taking
from mmidd.share.rehydrate.compared import ACCEPTS, Accept
from mmidd.share.rehydrate.cutting import Asked
from mmidd.share.rehydrate.fetched import Fetched
from mmidd.share.rehydrate.filled import CROPS, Filled, Plan, fill
from mmidd.share.rehydrate.finding import Found
from mmidd.share.rehydrate.missing import missing
from mmidd.share.rehydrate.result import Rehydrated
from mmidd.share.rehydrate.rows import names
from mmidd.share.rehydrate.scope import Scope, columns, scope_of
from mmidd.share.rehydrate.version import README, REHYDRATED, Original, Told, notes
from mmidd.share.rehydrate.work import tidy, work_of, working
from mmidd.watch import NOBODY, Watch

if TYPE_CHECKING:
    from mmidd.share.rehydrate.checked import Checked

_LOADED = ("mmidd.share.rehydrate.cutting",)
"""What workers load while this process still looks for media."""


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
    with target.held(), working(work), _engine(workers) as engine:
        scope = scope_of(where, data, work, only, manifests, follow_links, watch)
        source = scope.source
        for note in source.notes:
            tell(note)
        original = _original(source)
        _check_out(target, original)
        cutting, limits = taking.cutting(original.about), taking.limits(original.about)
        found = scope.find(watch)
        basis = (str(cutting), str(limits), *(f"{name} {here}" for name, here in sorted(taking.here(cutting).items())))
        plan = Plan(
            source, scope.shards, {each.wanted.name: each for each in found.media},
            {each.wanted.name: each.why for each in found.lost}, Asked(cutting, work / CROPS), limits, accept, basis, target,
            work, found.digests,
        )  # fmt: skip
        gone, skipped = _left(source, scope.others)
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
        result = _result(scope, original, filled, found, told, files, skipped, target.out, changed=changed)
        tidy(work, whole=result.original)
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
    with working(work) if digests or str(address(where)).startswith("hf://") else nullcontext():
        scope = scope_of(where, data, work, only, manifests, follow_links, watch)
        opened = scope.source.opened
        taking.cutting(opened.corpus), taking.limits(opened.corpus)  # what cannot be cut here is told before any work
        names = [each for each in checked.CROPS if each in opened.schema.names]
        held = {} if len(names) < len(checked.CROPS) else checked.crop_bytes(columns(scope.source, scope.shards, names))
        found = checked.check(
            scope.wanted, scope.data, work, crops=held, built_with=scope.built_with, follow=scope.follow, digests=digests,
            watch=watch,
        )  # fmt: skip
        pixels = [opened.pixels[name] for each in scope.shards if (name := data_name(each.name)) in opened.pixels]
        datasets = sorted((*found.datasets, *_included(scope)), key=lambda each: each.dataset)
        return replace(found, datasets=tuple(datasets), disk=found.disk + sum(each.bytes for each in pixels))


def _included(scope: Scope) -> Iterator[checked.Possible]:
    """The datasets whose pixels are in the publication: nothing of them has to be found."""
    opened = scope.source.opened
    rows: Counter[str] = Counter()
    for shard in scope.shards:
        if data_name(shard.name) in opened.pixels:
            rows[shard.dataset] += shard.rows
    if not rows:
        return
    media = opened.media
    of = Counter(media.filter(pc.greater(media["samples"], 0))["dataset"].to_pylist())
    for each in opened.about.terms:
        if each.slug in rows:
            yield checked.Possible(each.dataset, included=rows[each.slug], media=of[each.dataset])


def _left(source: Fetched, shards: Sequence[Shard]) -> tuple[set[str], Mapping[Name, int]]:
    """The ids of rows that were not asked for, and how many each medium has."""
    ids: set[str] = set()
    media: dict[Name, int] = {}
    for name, dataset, medium in (each for shard in shards for each in names(source.opened, shard)):
        ids.add(name)
        media[dataset, medium] = media.get((dataset, medium), 0) + 1
    return ids, media


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
    scope: Scope, original: Original, filled: Filled, found: Found, told: Told, files: Mapping[str, bytes],
    skipped: Mapping[Name, int], out: Path, *, changed: bool,
) -> Rehydrated:  # fmt: skip
    listed = original.about.files
    same = sum(each.sha256 == listed[each.name].sha256 for each in filled.written)
    return Rehydrated(
        out, scope.source.opened.about.name, {name: dict(each) for name, each in sorted(filled.tally.rows.items())},
        filled.tally.kept, len(filled.written), same, dict(filled.media), tuple(filled.others), sum(skipped.values()),
        tuple(told.captions_withheld), missing(found.lost, scope.wanted, found.folders, scope.data), told.libraries,
        (*scope.source.notes, *found.notes, *filled.notes), filled.rate, changed, files[MANIFEST] == original.manifest,
    )  # fmt: skip
