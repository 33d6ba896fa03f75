"""Rows that a build would take out of an existing corpus: it stops before, unless that is meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmidd.corpus.own import made
from mmidd.engine.units import Outcome
from mmidd.errors import CorpusError
from mmidd.flow.refusals import Refused
from mmidd.flow.setup import Setup
from mmidd.takedown import Exclusions, taken_down


def refuse(setup: Setup, kept: pa.Table, outcomes: Iterable[Outcome], out: Path) -> None:
    """Raise CorpusError where no sample is left, or (unless that is allowed) where rows of the corpus would go."""
    if not kept.num_rows:
        raise CorpusError(f"no sample is left, so there is no corpus; {_why_nothing(outcomes)}")
    if not setup.options.allow_removals:
        refuse_removals(out, kept, setup.excluded)


def refuse_removals(out: Path, kept: pa.Table, excluded: Exclusions) -> None:
    """Stop before rows of the existing corpus would go, unless their media were taken down: the old rows tell."""
    mine = made(out)
    paths = [path for path in sorted(out.glob("data/*.parquet")) if mine(path.relative_to(out).as_posix())]
    stays = pc.is_in(_before(paths, ["id"])["id"], kept["id"].combine_chunks())
    if pc.all(stays, min_count=0).as_py():
        return
    old = _before(paths, _FROM_ROWS)
    gone = old.filter(pc.invert(stays))
    datasets = set(pc.unique(old["dataset"]).to_pylist())
    media = {(row["dataset"], row["media"]): row | _pair_of(row, datasets) for row in gone.to_pylist()}
    excused = taken_down(media.values(), lambda name: media[name]["media_sha256"], excluded)
    lost = Counter(zip(gone["dataset"].to_pylist(), gone["media"].to_pylist(), strict=True))
    lost = Counter({name: rows for name, rows in lost.items() if name not in excused})
    if lost:
        shown = "\n".join(f"  {dataset}/{media}: {rows} rows" for (dataset, media), rows in sorted(lost.items())[:10])
        more = f"\n  ... and {len(lost) - 10} more media" if len(lost) > 10 else ""
        raise Refused(
            f"this build would remove {sum(lost.values())} rows of {len(lost)} media from {out}:\n{shown}{more}\n"
            "Nothing was changed. If that is meant, say --allow-removals; else bring the media back or change --out."
        )


def _before(paths: Iterable[Path], columns: Sequence[str]) -> pa.Table:
    """These columns of the rows that a corpus has."""
    tables = [pa.table({name: pa.array([], pa.string()) for name in columns})]
    for path in paths:
        try:
            tables.append(pq.read_table(path, columns=list(columns)).replace_schema_metadata())
        except (OSError, pa.ArrowException) as error:
            raise Refused(
                f"{path} cannot be read, so nobody knows which rows this build would remove. Nothing was changed. "
                "Say --allow-removals to make the corpus anew, or choose another --out."
            ) from error
    return pa.concat_tables(tables)


_FROM_ROWS = ("id", "dataset", "media", "media_sha256", "target_id", "source_id", "pair_media")


def _pair_of(row: Mapping[str, Any], datasets: set[str]) -> dict[str, str | None]:
    """The pair's dataset (null if the row's own) and path, from a corpus's `pair_media`."""
    dataset, colon, path = (row["pair_media"] or "").partition(":")
    other = bool(colon) and dataset in datasets
    return {"pair_dataset": dataset if other else None, "pair_media": path if other else row["pair_media"]}


def _why_nothing(outcomes: Iterable[Outcome]) -> str:
    reasons = Counter(outcome.reason or outcome.error or outcome.status for outcome in outcomes)
    told = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
    return f"media ended as: {told}. `mmidd failures WORK` lists them." if told else "no medium was selected."
