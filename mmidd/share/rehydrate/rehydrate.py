"""A corpus again from its publication and the user's own copies of its media."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmidd.corpus.about import MANIFEST, MEDIA, Shard
from mmidd.corpus.target import Target
from mmidd.engine.faults import fault
from mmidd.engine.files import disk_errors, write_text
from mmidd.engine.local import Inline, Local, usable_cores
from mmidd.engine.units import Resources
from mmidd.errors import ShareError, UsageError
from mmidd.media import Name
from mmidd.raw.path import Place
from mmidd.share.publication.format import ORIGINAL
from mmidd.share.rehydrate import taking
from mmidd.share.rehydrate.compared import ACCEPTS, Accept
from mmidd.share.rehydrate.cutting import Asked
from mmidd.share.rehydrate.fetched import FOLDER, Fetched, fetched
from mmidd.share.rehydrate.filled import CROPS, NOTES, Filled, Plan, fill
from mmidd.share.rehydrate.finding import Found, find
from mmidd.share.rehydrate.found import Wanted
from mmidd.share.rehydrate.result import Rehydrated
from mmidd.share.rehydrate.rows import data_name, names_of, read_labels
from mmidd.share.rehydrate.version import README, REHYDRATED, Original, Told, notes
from mmidd.share.rehydrate.wanted import OF_ROWS, wanted_media
from mmidd.watch import NOBODY, Watch

MARK = "mmidd-rehydrate.json"
"""What says that a work folder is one of a rehydration."""


def rehydrate(
    where: str | Path,
    data: Place,
    out: Path,
    *,
    only: Sequence[str] = (),
    accept: Accept = "within-1",
    follow: Sequence[Path] = (),
    workers: int | None = None,
    watch: Watch = NOBODY,
    tell: Callable[[str], None] = print,
) -> Rehydrated:
    """Make the corpus that a publication is of, from the media under `data`, or go on with it; of `only` these datasets.

    `accept`: the worst status of rows that are written. Raises ShareError and CorpusError for a publication that is not
    sound, UsageError for options that do not fit, and CorpusError where `out` holds something else.
    """
    if accept not in ACCEPTS:
        raise UsageError(f"--accept {accept}: one of {', '.join(ACCEPTS)}")
    target, work = Target(out), out.with_name(f"{out.name}.rehydrate")
    target.check()
    with target.held(), _working(work):
        source = fetched(where, work, watch)
        for note in source.notes:
            tell(note)
        original = _original(source)
        _check_out(target, original)
        shards, others = _asked(source, only)
        found, wanted = _found(source, shards, data, work, follow, watch)
        cutting, limits = taking.cutting(original.about), taking.limits(original.about)
        libraries = taking.differences(original.about, cutting)
        basis = [str(cutting), str(limits), *(f"{name} {here}" for name, here in sorted(cutting.libraries().items()))]
        plan = Plan(
            source, shards, {each.wanted.name: each for each in found.media}, {each.wanted.name: each.why for each in found.lost},
            Asked(cutting, work / CROPS), limits, accept, basis, target, work,
        )  # fmt: skip
        gone, skipped = _left(source, others)
        with _engine(workers, any(not each.pixels for each in wanted)) as engine:
            filled = fill(plan, gone, engine, watch)
        withheld = [each.dataset for each in source.opened.about.terms if not each.captions]
        publication = {"name": source.opened.about.name, "version": source.opened.about.version, "digest": source.opened.digest}
        told = Told(publication, accept, sorted(only), libraries, withheld)
        files = notes(original, filled.written, filled.tally, told, skipped)
        changed = _put(target, files, [each.name for each in filled.written if each.bytes])
        result = _result(out, source, original, filled, found, told, files, skipped, changed=changed)
        _tidy(work, whole=result.original)
    return result


@contextmanager
def _working(work: Path) -> Iterator[None]:
    """The work folder, which is ours or not there. What a killed run had on its way is removed."""
    if work.exists() and not (work / MARK).is_file() and (not work.is_dir() or any(work.iterdir())):
        raise ShareError(f"{work} is in the way: mmidd did not make it; nothing was touched. Move it, or choose another --out")
    with disk_errors(work):
        work.mkdir(parents=True, exist_ok=True)
        write_text(work / MARK, "{}\n", scratch=work)
        crops = work / CROPS
        shutil.rmtree(crops, ignore_errors=True)
        crops.mkdir()
    yield


def _tidy(work: Path, *, whole: bool) -> None:
    """Remove what is of no use any more: all of it where the corpus is whole; else what is known of files stays."""
    with disk_errors(work):
        shutil.rmtree(work if whole else work / CROPS, ignore_errors=True)


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
        raise ShareError(f"{target.out} holds another corpus than this publication is of; nothing was touched. Choose another --out")


def _asked(source: Fetched, only: Sequence[str]) -> tuple[list[Shard], list[Shard]]:
    """The shards of the datasets that are asked for, by name or slug; and the others."""
    slugs = {each.dataset: each.slug for each in source.opened.about.terms}
    known = {*slugs, *slugs.values()}
    if unknown := [name for name in only if name not in known]:
        raise UsageError(f"--only {unknown[0]}: the publication has {', '.join(sorted(slugs))}")
    wanted = {slugs.get(name, name) for name in only} or set(slugs.values())
    shards = source.opened.shards
    return [each for each in shards if each.dataset in wanted], [each for each in shards if each.dataset not in wanted]


def _found(
    source: Fetched, shards: Sequence[Shard], data: Place, work: Path, follow: Sequence[Path], watch: Watch
) -> tuple[Found, Sequence[Wanted]]:
    """The media of these shards whose pixels are not in the publication, sought under the data root."""
    opened = source.opened
    pixels = {each.dataset for each in opened.about.terms if each.pixels}
    names = [each for each in OF_ROWS if each in opened.schema.names]
    withheld = [each for each in shards if data_name(each.name) not in opened.pixels]
    labels = (_table(opened, each, names) for each in withheld)
    wanted = wanted_media(labels, opened.media, pixels)
    built_with = opened.corpus.content.get("manifests")
    known = {str(name): str(each) for name, each in built_with.items()} if isinstance(built_with, dict) else {}
    return find(wanted, data, work, built_with=known, follow=follow, watch=watch), wanted


def _table(opened: Any, shard: Shard, names: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.Table.from_batches(list(opened.batches(shard, names)), pa.schema([opened.schema.field(each) for each in names]))


def _left(source: Fetched, shards: Sequence[Shard]) -> tuple[set[str], Mapping[Name, int]]:
    """The ids of rows that were not asked for, and how many each medium has."""
    ids: set[str] = set()
    media: dict[Name, int] = {}
    for shard in shards:
        for name, dataset, medium in names_of(_table(source.opened, shard, ["id", "dataset", "media"])):
            ids.add(name)
            media[dataset, medium] = media.get((dataset, medium), 0) + 1
    return ids, media


@contextmanager
def _engine(workers: int | None, needed: bool) -> Iterator[Local | Inline]:
    """Who cuts: worker processes, one a core, or this process."""
    several = usable_cores() if workers is None else workers
    engine = Local(several, Resources(), None, _LOADED) if several and needed else Inline()
    try:
        yield engine
    finally:
        engine.close()


_LOADED = ("mmidd.share.rehydrate.cutting",)


def _put(target: Target, files: Mapping[str, bytes], shards: Sequence[str]) -> bool:
    """Put the corpus in its place; False where it is there already."""
    if target.holds(files, shards) and not _more(target, {*files, *shards}):
        target.discard()
        return False
    target.write(files, shards)
    fault("corpus_written", target.out)
    target.swap()
    return True


def _more(target: Target, names: set[str]) -> bool:
    """Has the corpus shards beside these?"""
    return any(f"data/{path.name}" not in names for path in (target.out / "data").glob("*.parquet"))


def _result(
    out: Path, source: Fetched, original: Original, filled: Filled, found: Found, told: Told, files: Mapping[str, bytes],
    skipped: Mapping[Name, int], *, changed: bool,
) -> Rehydrated:  # fmt: skip
    listed = original.about.files
    return Rehydrated(
        out, source.opened.about.name, {name: dict(each) for name, each in filled.tally.rows.items()}, filled.tally.kept,
        len(filled.written), sum(each.sha256 == listed[each.name].sha256 for each in filled.written), dict(filled.media),
        tuple(filled.others), sum(skipped.values()), tuple(told.captions_withheld), (), told.libraries,
        (*source.notes, *found.notes), filled.rate, changed, files[MANIFEST] == original.manifest,
    )  # fmt: skip


__all__ = ["FOLDER", "NOTES", "data_name", "read_labels", "rehydrate"]
