"""What splits name: every frame and every clip, also those that never became samples of the corpus.

A loss (no face, a file that does not decode, a time limit, any reason that is not known here) is named and missing. What
the builder decided to leave out (another compression, a duplicate, a takedown ...) is not named; `left_out` counts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.read import Corpus
from mmidd.corpus.where import unknown
from mmidd.engine.tables import content_digest, find, key_of, lookup
from mmidd.errors import ScoreError
from mmidd.schema import FORGERY_TYPES, LABELS, SPLITS
from mmidd.scores.columns import SCHEMA

WHOLE = frozenset(
    {"other_compression", "other_split", "other_method", "other_media", "not_in_subset", "over_cap", "excluded"}
)
"""Why the builder left out a whole medium."""
SAMPLES = frozenset({"exact_duplicate", "label_conflict", "equals_real", "other_person"})
"""Why the builder left out samples that extraction gave: what they show is elsewhere, or is not what the clip is about."""
SHORT = "pair_short"
"""A frame that a real has and its fake, which is shorter, has not: it was never there, and so is no loss. Its medium is."""
NO_REASON = "no reason told"
NO_SPLIT = "in no split"

_UNSCORED = pa.schema([field for field in SCHEMA if field.name not in ("score", "types", "frames")])
NAMED = _UNSCORED.append(pa.field("row", pa.int64()))
_DIGESTED = pa.schema([field for field in _UNSCORED if field.name not in ("status", "reason")])
ORDER = ("level", "split", "dataset", "media", "frame", "face")
"""Frames first. A lost frame, whose number is not known, comes after its medium's samples."""

_BY = ("dataset", "media")
OF_MEDIA = ("group", "label", "forgery_type", "method", "compression")
_ROW_COLUMNS = ("id", "dataset", "media", "frame", "face", "group", "label", "forgery_type", "method")
VERIFY = "mmidd verify tells what is damaged"


def named(corpus: Corpus, splits: Sequence[str], only: Sequence[str] = ()) -> pa.Table:
    """`file.SCHEMA` without `score`, `types` and `frames`, with `row`: the sample's number in the corpus, null where there
    is none. `status` is missing where `row` is null, ok elsewhere; clips have no row, and are missing where no frame has.

    `only`: datasets, by name or slug. A medium of which nothing is known but that it was lost names one frame. Raises
    ScoreError for splits and datasets that are not there, rows without a label, and a media table that belies the rows.
    """
    asked, datasets = _splits(corpus, splits), _resolved(corpus, only)
    samples, listed = _samples(corpus, asked, datasets), _listed(corpus, asked, datasets)
    clips, lost = _clips(samples, listed), _lost(listed)
    if not clips.num_rows:
        raise ScoreError(f"{corpus.name} has no medium in {', '.join(asked)}" + (f" of {', '.join(only)}" if only else ""))
    frames = pa.concat_tables([_frames(samples, clips), _lost_frames(lost, clips)]).combine_chunks()
    place = find(frames, clips, _BY)
    frames_named = np.bincount(place.to_numpy(), minlength=clips.num_rows)
    present = np.bincount(place.to_numpy(), frames["row"].is_valid().to_numpy(), clips.num_rows) > 0
    reason = pc.coalesce(clips["reason"], most(place.to_numpy(), frames["reason"].combine_chunks(), clips.num_rows))
    clips = clips.set_column(clips.schema.get_field_index("reason"), "reason", pc.if_else(pa.array(present), None, reason))
    found = {"level": pa.repeat("clip", clips.num_rows), "frames_named": pa.array(frames_named, pa.int32())}
    found |= {"status": _status(pa.array(present))}
    return _ordered(pa.concat_tables([frames, _as_named(clips, found)]))


def left_out(corpus: Corpus, splits: Sequence[str], only: Sequence[str] = ()) -> dict[str, int]:
    """What the splits do not name, counted by reason: media that the builder left out whole, media that are in no split at
    all (whatever was asked: files that the index refused, official members whose group is in a stricter split), samples
    that curation took out of media ("exact_duplicate, samples"), and frames that fakes have not ("pair_short, frames")."""
    mine = _of(corpus.media, _resolved(corpus, only))
    nowhere = mine.filter(pc.is_null(mine["split"]))
    why = pc.coalesce(nowhere["reason"], nowhere["error"], pa.scalar(NO_REASON))
    found = Counter({f"{reason}, {NO_SPLIT}": count for reason, count in Counter(why.to_pylist()).items()})
    inside = mine.filter(pc.is_in(mine["split"], pa.array(_splits(corpus, splits))))
    gone = _left_out_whole(inside)
    found.update(inside.filter(gone)["reason"].to_pylist())
    _, reasons, counts = _reasons(inside.filter(pc.invert(gone)))
    for reason in sorted((SAMPLES | {SHORT}) & set(pc.unique(reasons).to_pylist())):
        what = "frames" if reason == SHORT else "samples"
        found[f"{reason}, {what}"] = int(counts[_are(reasons, {reason})].sum())
    return {reason: found[reason] for reason in sorted(found)}


def digest(table: pa.Table) -> str:
    """16 hex digits over what is named with its labels and groups, whatever became of it: of what `named` gives as of the
    table of a score file. Equal for two files whose scores can be compared."""
    return content_digest(table.select(_DIGESTED.names).cast(_DIGESTED))[:16]


def _splits(corpus: Corpus, splits: Sequence[str]) -> tuple[str, ...]:
    """The splits that are asked for, in the order of the schema."""
    if isinstance(splits, str):
        raise ScoreError(f"splits are given as a list of names: [{splits!r}]")
    for split in splits:
        if split not in SPLITS:
            raise ScoreError(unknown("split", split, SPLITS))
    if not splits:
        raise ScoreError(f"no split is asked for: {', '.join(corpus.splits)} have rows")
    if corpus.shards != corpus.about.shards:
        raise ScoreError("a part of a corpus cannot be scored, its numbers are not the whole's: give the corpus and `only`")
    return tuple(split for split in SPLITS if split in splits)


def _resolved(corpus: Corpus, only: Sequence[str]) -> dict[str, str] | None:
    """Name and slug of each dataset that is asked for, also of one that has media and no rows; None for all."""
    if isinstance(only, str):
        raise ScoreError(f"datasets are given as a list of names: [{only!r}]")
    if not only:
        return None
    known = {name: each.slug or name for name, each in corpus.about.datasets.items()}
    names = {slug: name for name, slug in known.items()}
    for each in only:
        if each not in known and each not in names:
            raise ScoreError(f"{corpus.name} has no such dataset: {unknown('dataset', each, sorted(known))}")
    found = (each if each in known else names[each] for each in only)
    return {name: known[name] for name in found}


def _samples(corpus: Corpus, splits: Sequence[str], datasets: dict[str, str] | None) -> pa.Table:
    """The samples of the splits with their numbers: what names them, and what they say of their media."""
    parts, start = [], 0
    for shard in corpus.shards:
        if shard.split in splits and (datasets is None or shard.dataset in datasets.values()):
            part = corpus.part(shard.split, shard.dataset)
            part.shards = (shard,)
            table = part.rows(_ROW_COLUMNS)
            numbers = pa.array(np.arange(start, start + table.num_rows))
            parts.append(table.append_column("row", numbers).append_column("split", _texts(shard.split, table.num_rows)))
        start += shard.rows
    if not parts:
        empty = corpus.part().take([], _ROW_COLUMNS)
        parts = [empty.append_column("row", pa.array([], pa.int64())).append_column("split", pa.array([], pa.string()))]
    found = pa.concat_tables(parts).combine_chunks()
    unnamed = pc.or_(pc.is_null(found["dataset"]), pc.is_null(found["media"]))
    if lacking := pc.sum(pc.or_(unnamed, pc.is_null(found["label"]))).as_py():
        raise ScoreError(f"{corpus.name}: {lacking} rows name no dataset, medium or label: {VERIFY}")
    for name, words in (("label", LABELS), ("forgery_type", FORGERY_TYPES)):
        told = pa.array(words).take(pc.cast(found[name].combine_chunks(), pa.int64()))
        found = found.set_column(found.schema.get_field_index(name), name, told)
    return found


def _texts(text: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), count)


def _of(media: pa.Table, names: dict[str, str] | None) -> pa.Table:
    return media if names is None else media.filter(pc.is_in(media["dataset"], pa.array(list(names), pa.string())))


def _listed(corpus: Corpus, splits: Sequence[str], names: dict[str, str] | None) -> pa.Table:
    """The rows of the media table that the splits name, or that samples lie under."""
    media = _of(corpus.media, names)
    media = media.filter(pc.is_in(media["split"], pa.array(splits)))
    return media.filter(pc.invert(_left_out_whole(media))).combine_chunks()


def _left_out_whole(media: pa.Table) -> pa.Array:
    return pa.array(_are(media["outcome"], {"dropped"}) & _are(media["reason"], WHOLE))


def _reasons(media: pa.Table) -> tuple[npt.NDArray[np.int64], pa.Array, npt.NDArray[np.int64]]:
    """Place of the medium, reason and count of all that its frames became instead of samples."""
    lists = media["frame_reasons"].combine_chunks()
    lists = lists.chunk(0) if isinstance(lists, pa.ChunkedArray) else lists
    parents, each = pc.list_parent_indices(lists), pc.list_flatten(lists)
    reasons = pc.fill_null(pc.struct_field(each, "reason"), NO_REASON)
    counts = pc.fill_null(pc.struct_field(each, "count"), 0)
    return parents.to_numpy(zero_copy_only=False).astype(np.int64), reasons, counts.to_numpy().astype(np.int64)


def _lost(listed: pa.Table) -> pa.Table:
    """`dataset`, `media` and `reason` of every frame that was lost: those whose reason is no decision and that were there,
    those that the account holds without a reason, and one of each medium of which nothing else is known."""
    parents, reasons, counts = _reasons(listed)
    decided = _are(reasons, SAMPLES)
    lost = np.where(decided | _are(reasons, {SHORT}), 0, counts)
    told = np.bincount(parents, np.where(decided, 0, counts), listed.num_rows)
    account = sum(pc.fill_null(listed[f"frames_{end}"], 0).to_numpy().astype(np.int64) for end in ("dropped", "failed"))
    own = pc.coalesce(_own_reason(listed), pa.scalar(NO_REASON))
    nothing = pc.and_(pc.equal(pc.fill_null(listed["samples"], 0), 0), pc.invert(_decided(listed))).to_numpy()
    untold = np.maximum(account - told, 0).astype(np.int64)
    untold = np.where(nothing & (np.bincount(parents, lost, listed.num_rows) + untold == 0), 1, untold)
    if (counts < 0).any() or (account < 0).any() or max(counts.max(initial=0), untold.max(initial=0)) > _MOST_FRAMES:
        raise ScoreError(f"the media table counts lost frames that no medium has: {VERIFY}")
    place = np.concatenate([np.repeat(parents, lost), np.repeat(np.arange(len(untold)), untold)])
    of_frames = reasons.take(pa.array(np.repeat(np.arange(len(counts)), lost)))
    of_media = own.combine_chunks().take(pa.array(np.repeat(np.arange(len(untold)), untold)))
    why = pa.chunked_array([of_frames, of_media], pa.string())
    return listed.select(_BY).take(pa.array(place)).append_column("reason", why)


_MOST_FRAMES = 1 << 22


def _own_reason(listed: pa.Table) -> pa.ChunkedArray:
    """Why a medium was lost, as far as that was no decision of the builder."""
    decided = pc.is_in(listed["reason"], pa.array(sorted(SAMPLES)))
    return pc.coalesce(pc.if_else(decided, None, listed["reason"]), listed["error"])


def _decided(listed: pa.Table) -> pa.Array:
    """Of which media the builder took samples out."""
    parents, reasons, counts = _reasons(listed)
    taken = np.bincount(parents, np.where(_are(reasons, SAMPLES), counts, 0), listed.num_rows) > 0
    return pa.array(taken | _are(listed["reason"], SAMPLES))


def _are(column: pa.Array | pa.ChunkedArray, words: Collection[str]) -> npt.NDArray[np.bool_]:
    """Is it one of these? Null is not."""
    return np.asarray(pc.is_in(column, pa.array(sorted(words))).to_numpy(zero_copy_only=False), bool)


def _clips(samples: pa.Table, listed: pa.Table) -> pa.Table:
    """One row a medium that is named, with what it says of itself, and why it was lost where it was."""
    _agree(samples, listed)
    own = _own_reason(listed)
    mine = listed.select([*_BY, "split", *OF_MEDIA]).append_column("reason", own)
    some = pc.greater(pc.fill_null(listed["samples"], 0), 0)
    lost = _lost(listed)
    named_anyway = pc.or_(some, pc.is_valid(find(listed, lost, _BY)))
    mine = mine.filter(named_anyway)
    unlisted = samples.filter(pc.is_null(find(samples, listed, _BY)))
    keys = unlisted.group_by(_BY, use_threads=False).aggregate([])
    further = lookup(keys, unlisted, _BY).select([*_BY, "split", "group", "label", "forgery_type", "method"])
    further = further.append_column("compression", pa.nulls(further.num_rows, pa.string()))
    further = further.append_column("reason", pa.nulls(further.num_rows, pa.string()))
    clips = pa.concat_tables([mine, further.select(mine.column_names).cast(mine.schema)]).combine_chunks()
    alone = pc.binary_join_element_wise(clips["dataset"], clips["media"], "/")
    clips = clips.set_column(clips.schema.get_field_index("group"), "group", pc.coalesce(clips["group"], alone))
    if lacking := pc.sum(pc.invert(pc.is_in(clips["label"], pa.array(LABELS)))).as_py():
        raise ScoreError(f"{lacking} media of the splits have no label: {VERIFY}")
    return clips


def _agree(samples: pa.Table, listed: pa.Table) -> None:
    """Raises ScoreError where the media table lists a medium twice, or counts other samples than there are rows."""
    keys = key_of(listed["dataset"], listed["media"])
    if keys.null_count or pc.count_distinct(keys).as_py() != listed.num_rows:
        raise ScoreError(f"the media table lists media twice, or without a name: {VERIFY}")
    counted = samples.group_by(_BY, use_threads=False).aggregate([([], "count_all")])
    here = pc.fill_null(lookup(listed, counted, _BY)["count_all"], 0)
    belied = pc.not_equal(here, pc.fill_null(listed["samples"], 0).cast(pa.int64()))
    if wrong := pc.sum(belied).as_py():
        first = listed.filter(belied).slice(0, 1).to_pylist()[0]
        raise ScoreError(
            f"{wrong} media have other rows than the media table counts, as {first['media']!r} of {first['dataset']}: "
            f"{VERIFY}"
        )
    told = lookup(samples, listed, _BY)["label"]
    if wrong := pc.sum(pc.fill_null(pc.not_equal(told, samples["label"]), False)).as_py():
        raise ScoreError(f"{wrong} rows have another label than their media have in the media table: {VERIFY}")


def _frames(samples: pa.Table, clips: pa.Table) -> pa.Table:
    """The samples, as their media say of them."""
    found = lookup(samples, clips, _BY)
    there = {name: samples[name] for name in ("frame", "face", "id", "row")}
    return _as_named(found, {"level": _texts("frame", samples.num_rows), "status": _texts("ok", samples.num_rows)} | there)


def _lost_frames(lost: pa.Table, clips: pa.Table) -> pa.Table:
    found = lookup(lost, clips, _BY)
    told = {"level": _texts("frame", lost.num_rows), "status": _texts("missing", lost.num_rows), "reason": lost["reason"]}
    return _as_named(found, told)


def _as_named(media: pa.Table, told: dict[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    """What rows say, and for the rest what their media say, as NAMED."""
    count = media.num_rows
    ones = {"frames_named": pa.array(np.ones(count, np.int32))} if "frames_named" not in told else {}
    frames = {"reason": pa.nulls(count)} if "row" in told else {}
    columns = {name: media[name] for name in media.column_names} | ones | frames | told
    return pa.table([columns.get(field.name, pa.nulls(count)).cast(field.type) for field in NAMED], NAMED)


def _status(present: pa.Array) -> pa.Array:
    return pc.if_else(present, pa.scalar("ok"), pa.scalar("missing"))


def most(place: npt.NDArray[np.int64], reasons: pa.Array, count: int) -> pa.Array:
    """Per clip the reason that most of its frames have, of equal ones the first by name; null where none has any."""
    there = reasons.is_valid().to_numpy(zero_copy_only=False)
    words = pc.unique(reasons.drop_null()).sort()
    code = pc.index_in(reasons.drop_null(), words).to_numpy().astype(np.int64)
    keys, counts = np.unique(place[there] * max(1, len(words)) + code, return_counts=True)
    clip, word = np.divmod(keys, max(1, len(words)))
    order = np.lexsort((word, -counts, clip))
    first = order[np.unique(clip[order], return_index=True)[1]]
    found = np.full(count, -1)
    found[clip[first]] = word[first]
    return words.take(pa.array(found, mask=found < 0))


def _ordered(table: pa.Table) -> pa.Table:
    order = [(name, "descending" if name == "level" else "ascending") for name in ORDER]
    return table.sort_by(order).combine_chunks()
