"""Rows that a build would take out of an existing corpus: it stops before, unless that is meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmidd.corpus.own import made
from mmidd.corpus.target import read_manifest
from mmidd.engine.units import Outcome
from mmidd.errors import CorpusError
from mmidd.flow.refusals import Refused
from mmidd.flow.setup import Setup
from mmidd.flow.takedowns import known
from mmidd.media import Name
from mmidd.takedown import Exclusions, corpus_rows, taken_down


def refuse(setup: Setup, judged: pa.Table, outcomes: Iterable[Outcome], out: Path) -> None:
    """Raise CorpusError where no sample is left, or where what was taken down would come back, or (unless that is allowed)
    where rows of the corpus would go. `judged` are the verdicts of media and samples."""
    kept = judged.filter(pc.and_(pc.is_valid(judged["frame"]), pc.is_null(judged["drop"])))
    if not kept.num_rows:
        raise CorpusError(f"no sample is left, so there is no corpus; {_why_nothing(outcomes)}")
    refuse_returns(out, kept)
    if not setup.options.allow_removals:
        down = judged.filter(pc.equal(judged["drop"], "excluded"))
        refuse_removals(out, kept, known(setup, setup.names), _names(down))


def refuse_returns(out: Path, kept: pa.Table) -> None:
    """Stop before a medium that an earlier version says was taken down has rows again: the list has lost who it was."""
    about = read_manifest(out)
    if about is None or about.get("excluded") is None:
        return
    try:
        media = pq.read_table(out / "media.parquet", columns=["dataset", "media", "reason"])
    except (OSError, pa.ArrowException):
        return  # it is damaged, and made anew; that there is a list was asked before
    back = sorted(_names(media.filter(pc.equal(media["reason"], "excluded"))) & _names(kept))
    if back:
        raise Refused(
            f"{out} says that {len(back)} media were taken down, and this build would bring them back:\n{_shown(back)}\n"
            "Nothing was changed. Give the takedown list that named them with --exclude FILE."
        )


def _names(table: pa.Table) -> set[Name]:
    return set(zip(table["dataset"].to_pylist(), table["media"].to_pylist(), strict=True))


def _shown(names: Sequence[Name]) -> str:
    more = f"\n  ... and {len(names) - 10} more media" if len(names) > 10 else ""
    return "\n".join(f"  {dataset}/{media}" for dataset, media in names[:10]) + more


def refuse_removals(out: Path, kept: pa.Table, excluded: Exclusions, down: Set[Name] = frozenset()) -> None:
    """Stop before rows of the existing corpus would go, unless their media were taken down: the old rows tell, or `down`."""
    mine = made(out)
    paths = [path for path in sorted(out.glob("data/*.parquet")) if mine(path.relative_to(out).as_posix())]
    stays = pc.is_in(_before(paths, ["id"])["id"], kept["id"].combine_chunks())
    if pc.all(stays, min_count=0).as_py():
        return
    gone = _before(paths, _FROM_ROWS).filter(pc.invert(stays))
    media = corpus_rows(gone.to_pylist())
    excused = taken_down(media.values(), lambda name: media[name]["media_sha256"], excluded).keys() | down
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


def _why_nothing(outcomes: Iterable[Outcome]) -> str:
    reasons = Counter(outcome.reason or outcome.error or outcome.status for outcome in outcomes)
    told = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
    return (
        f"media ended as: {told}. `mmidd failures WORK` lists them."
        if told
        else "no medium was selected; `mmidd plan` says why."
    )
