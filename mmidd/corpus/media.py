"""How every medium ended, one row each: the corpus's `media.parquet`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, cast

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.engine.tables import lookup, shared
from mmidd.engine.units import Outcome
from mmidd.media import Name, SampleFacts
from mmidd.schema import media_schema

_NONE = Counter[str]()
_LOST = ("refused", "unlabelled")
"""The statuses of files that the index could not take."""


class _Ending(NamedTuple):
    """The columns that say how a medium ended."""

    outcome: str
    reason: str | None = None
    error: str | None = None
    message: str | None = None
    media_sha256: str | None = None
    geometry: str | None = None
    pair_check: str | None = None
    frames_planned: int | None = None
    frames_ok: int | None = None
    frames_dropped: int | None = None
    frames_failed: int | None = None
    frame_reasons: Sequence[Mapping[str, Any]] = ()
    turn: int | None = None


def media_table(
    index: pa.Table, unselected: Mapping[Name, str], outcomes: Mapping[Name, Outcome], judged: pa.Table
) -> pa.Table:
    """One row for every medium that was found, and for every file that was refused or is lost for want of a label.

    `index` are all files, `unselected` the media that the recipe does not take and why, `outcomes` those of extraction,
    `judged` the verdicts of curation.
    """
    listed = index.filter(pc.is_in(index["status"], pa.array(["media", *_LOST])))
    by = ["dataset", "media"]
    told = judged.select([*by, "drop", *_FROM_VERDICTS])
    verdicts = lookup(listed, told.filter(pc.is_null(judged["frame"])), by)
    samples = judged.select([*by, "drop"]).filter(pc.is_valid(judged["frame"]))
    kept = samples.filter(pc.is_null(samples["drop"])).group_by(by).aggregate([([], "count_all")])
    counts = pc.fill_null(lookup(listed, kept, by)["count_all"], 0)
    ended = _ended(_endings(unselected, outcomes, listed, shared(verdicts["drop"]), counts.to_pylist(), _lost(samples)))
    columns = {name: listed[name] for name in listed.column_names}
    columns |= {name: verdicts[name] for name in _FROM_VERDICTS} | {name: ended[name] for name in ended.column_names}
    columns |= {"pair_media": pair_names(listed), "samples": counts}
    schema = media_schema()
    table = pa.table([columns[field.name].cast(field.type) for field in schema], schema)
    return table.sort_by([("dataset", "ascending"), ("media", "ascending")]).combine_chunks()


_FROM_VERDICTS = ("group", "split", "split_basis")
_AT_ONCE = 1 << 14


def _ended(endings: Iterator[_Ending]) -> pa.Table:
    """The endings as columns, some thousand at once."""
    fields = pa.schema([media_schema().field(name) for name in _Ending._fields])
    pieces = [fields.empty_table()]
    while some := list(islice(endings, _AT_ONCE)):
        columns = zip(zip(*some, strict=True), fields, strict=True)
        pieces.append(pa.table([pa.array(column, field.type) for column, field in columns], fields))
    return pa.concat_tables(pieces)


def _lost(samples: pa.Table) -> dict[Name, Counter[str]]:
    """The samples that curation dropped, by medium and reason."""
    dropped = samples.filter(pc.is_valid(samples["drop"]))
    counted = dropped.group_by(["dataset", "media", "drop"], use_threads=False).aggregate([([], "count_all")])
    found: dict[Name, Counter[str]] = {}
    columns = (counted[name].to_pylist() for name in ("dataset", "media", "drop", "count_all"))
    for dataset, media, drop, count in zip(*columns, strict=True):
        found.setdefault((dataset, media), Counter())[drop] = count
    return found


def _endings(
    dropped: Mapping[Name, str],
    outcomes: Mapping[Name, Outcome],
    listed: pa.Table,
    verdicts: list[str | None],
    kept: list[int],
    lost: Mapping[Name, Counter[str]],
) -> Iterator[_Ending]:
    columns = (shared(listed[name]) for name in ("dataset", "media", "status", "reason"))
    for dataset, media, status, reason, verdict, samples in zip(*columns, verdicts, kept, strict=True):
        name = (dataset, media)
        unselected = dropped.get(name)
        # What was taken down reads the same whether a build met it in the index or only by its bytes, once read.
        excluded = "excluded" in (verdict, unselected)
        outcome = None if excluded else outcomes.get(name)
        mine = _NONE if excluded else lost.get(name, _NONE)
        if status in _LOST:
            yield _Ending("failed", error=status.capitalize(), message=reason, frame_reasons=_frame_reasons(None, mine))
        elif outcome is None:
            why = "excluded" if excluded else unselected or "not_selected"
            yield _Ending("dropped", why, frame_reasons=_frame_reasons(None, mine))
        else:
            yield _ending(outcome, verdict or (None if samples or not mine else mine.most_common(1)[0][0]), mine)


def _ending(outcome: Outcome, verdict: str | None, lost: Counter[str]) -> _Ending:
    """How a medium ended that was extracted: failed or dropped there, dropped by curation, or ok."""
    facts = cast(SampleFacts, dict(outcome.facts))
    return _Ending(
        "dropped" if verdict and outcome.status == "ok" else outcome.status,
        verdict if outcome.status == "ok" else outcome.reason,
        outcome.error,
        outcome.message,
        facts.get("sha256"),
        facts.get("geometry"),
        facts.get("pair_check"),
        outcome.planned,
        outcome.ok,
        outcome.dropped,
        outcome.failed,
        _frame_reasons(outcome, lost),
        facts.get("turn"),
    )


def _frame_reasons(outcome: Outcome | None, lost: Counter[str]) -> list[dict[str, Any]]:
    if not lost and not (outcome and outcome.reasons):
        return []
    counted = Counter(reason for _, _, reason in outcome.reasons) if outcome else Counter[str]()
    return [{"reason": reason, "count": count} for reason, count in sorted((counted + lost).items())]


def pair_names(media: pa.Table) -> pa.ChunkedArray:
    """Each pair's path, with its dataset before it if that is another one; null where there is no pair."""
    path = pc.if_else(pc.not_equal(media["pair_media"], ""), media["pair_media"], None)
    other = pc.coalesce(pc.not_equal(media["pair_dataset"], media["dataset"]), False)
    return pc.if_else(other, pc.binary_join_element_wise(media["pair_dataset"], path, ":"), path)
