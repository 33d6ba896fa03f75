"""Who would train on what it is tested on: what a corpus that is trained on shares with one that is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from mmidd.corpus.read import Corpus
from mmidd.curation.groups import join
from mmidd.results import Result

TRAINED, TESTED = ("train", "validation"), ("test",)
_COLUMNS = ("dataset", "media", "media_sha256", "label", "target_id", "source_id", "pair_media", "group", "attack")
_AT_ONCE, _EXAMPLES = 1 << 16, 5
COMPRESSION = r"([/_])(?:raw|c0|c23|c40|crf\d+)/"
"""The part of a path that says which of a dataset's compressions a medium is: two of them are one clip."""

LEAKS = {
    "media": "are trained on too",
    "compression": "are trained on in another compression",
    "bytes": "are, byte for byte, media that are trained on",
    "made_from": "were made from a real that is trained on",
    "fakes": "are reals whose fakes are trained on",
    "group": "belong to a group of media that is trained on",
    "person": "show a person who is trained on",
}
"""What is refused, the plainest first; a medium counts for the first that is true of it. `person`: in datasets of
presentation attacks alone, whose protocols hold persons apart."""


@dataclass(frozen=True)
class Leak:
    """Test media that no detector of this training may be tested on. `kind`: of LEAKS; `media`: how many, the first few by
    name in `examples`; `datasets`: how many of each."""

    kind: str
    media: int
    datasets: dict[str, int]
    examples: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.media:,} test media {LEAKS[self.kind]}, as {self.examples[0]}"


@dataclass(frozen=True)
class Overlap(Result):
    """What a training shares with a test. `leaks` is refused; the rest is told: a dataset of both is in-domain there, not
    cross-domain; identities are people (of one dataset) that both show; `alike` are test rows whose crop has the perceptual
    hash of a row that is trained on, which near-duplicates have and flat pictures too. `train` and `test` count media."""

    train: int
    test: int
    leaks: tuple[Leak, ...]
    in_domain: tuple[str, ...]
    cross_domain: tuple[str, ...]
    identities: dict[str, int]
    alike: int

    @property
    def refused(self) -> bool:
        """Would this train on what it is tested on?"""
        return bool(self.leaks)

    def document(self) -> dict[str, Any]:
        return {
            "train_media": self.train,
            "test_media": self.test,
            "refused": self.refused,
            "leaks": [
                {"kind": leak.kind, "media": leak.media, "datasets": leak.datasets, "examples": list(leak.examples)}
                for leak in self.leaks
            ],
            "in_domain": list(self.in_domain),
            "cross_domain": list(self.cross_domain),
            "identities": self.identities,
            "alike_rows": self.alike,
        }

    def words(self) -> tuple[str, ...]:
        """A sentence for each thing that both share, what is refused first."""
        told = [f"refused: {leak}" for leak in self.leaks]
        if self.in_domain:
            told.append(f"in-domain, not cross-domain: {', '.join(self.in_domain)} (trained on too, in other media)")
        if self.identities:
            counts = ", ".join(f"{count:,} of {name}" for name, count in self.identities.items())
            told.append(f"people that both show: {counts}")
        if self.alike:
            told.append(f"{self.alike:,} test rows have the perceptual hash of a row that is trained on (a hint, no proof)")
        return tuple(told)

    def tell(self, console: Console) -> None:
        console.print(f"{self.train:,} media to train on, {self.test:,} to test on", markup=False)
        for line in self.words() or ("they share nothing",):
            console.print(line, markup=False)


def overlap(
    train: Corpus, test: Corpus, *, left_out: Sequence[str] | None = None, tested: Sequence[str] = TESTED
) -> Overlap:
    """What the rows of `train` in train and validation share with the rows of `test` in `tested`, by their columns; no image
    is read. The two may be one corpus. `left_out`: datasets (by name) that are not trained on, and are all that is tested
    on. Raises CorpusError for a damaged one."""
    ours, theirs = _media(train, TRAINED), _media(test, tested)
    if left_out is not None:
        abroad = pa.array(left_out, pa.string())
        ours = ours.filter(pc.invert(pc.is_in(ours["dataset"], abroad)))
        theirs = theirs.filter(pc.is_in(theirs["dataset"], abroad))
    leaking = _leaking(ours, theirs)
    both = set(ours["dataset"].to_pylist()) & set(names := theirs["dataset"].unique().to_pylist())
    return Overlap(
        len(ours["name"].unique()),
        len(theirs["name"].unique()),
        _leaks(theirs, leaking),
        tuple(sorted(both)),
        tuple(sorted(set(names) - both)),
        _identities(ours, theirs),
        _alike(train, test),
    )


def _media(corpus: Corpus, splits: Sequence[str]) -> pa.Table:
    """The media of the rows in these splits, each once, with `name` (DATASET/path), and whatever its compression `clip`, and
    `real`, the clip that a fake was made from."""
    found = [pa.table({name: pa.array([], pa.string() if name != "label" else pa.int64()) for name in _COLUMNS})]
    for split in splits:
        if split in corpus.splits:
            for _, batch in corpus.part(split).batches(_COLUMNS, _AT_ONCE):
                found.append(_once(pa.Table.from_batches([batch])))
    table = _once(pa.concat_tables(found, promote_options="permissive"))
    # `DATASET:path` names a medium of another dataset; no dataset's name has a slash
    abroad = pc.match_substring_regex(table["pair_media"], "^[^/:]+:")
    home = _named(table["dataset"], table["pair_media"])
    real = pc.if_else(abroad, pc.replace_substring(table["pair_media"], ":", "/", max_replacements=1), home)
    name = _named(table["dataset"], table["media"])
    group = table.schema.get_field_index("group")
    table = table.set_column(group, "group", _clip(table["group"]))
    return table.append_column("name", name).append_column("clip", _clip(name)).append_column("real", _clip(real))


def _clip(names: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.replace_substring_regex(names, COMPRESSION, r"\1*/")


def _once(table: pa.Table) -> pa.Table:
    return table.group_by(list(_COLUMNS), use_threads=False).aggregate([]).select(list(_COLUMNS))


def _named(dataset: pa.ChunkedArray, media: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(dataset, media, pa.scalar("/"))


def _leaking(ours: pa.Table, theirs: pa.Table) -> pa.Table:
    """Of each medium that is tested on, by kind, whether it leaks so."""
    one, other = _anchors(ours, theirs)
    found = {
        "media": _in(theirs["name"], ours["name"]),
        "compression": _in(theirs["clip"], ours["clip"]),
        "bytes": _in(theirs["media_sha256"], ours["media_sha256"]),
        "made_from": _in(theirs["real"], ours["clip"]),
        "fakes": _in(theirs["clip"], ours["real"]),
        "group": _in(other, one),
        "person": _in(*_attacked(theirs, ours)),
    }
    return pa.table({kind: found[kind] for kind in LEAKS})


def _attacked(*sides: pa.Table) -> tuple[pa.ChunkedArray, ...]:
    """Who is shown by each medium, in datasets that have presentation attacks; null elsewhere."""
    held = pa.concat_arrays([side.filter(pc.is_valid(side["attack"]))["dataset"].unique() for side in sides])
    names = [_named(side["dataset"], side["target_id"]) for side in sides]
    return tuple(pc.if_else(pc.is_in(side["dataset"], held), name, None) for side, name in zip(sides, names, strict=True))


def _anchors(ours: pa.Table, theirs: pa.Table) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The group of each medium among those of both sides: what either side's groups and pairs hold together, and so the two
    fakes of a real that is in neither. A corpus names a group by the smallest medium it has, so names alone are not
    enough."""
    tables = (ours, theirs)
    name = pa.chunked_array([chunk for table in tables for chunk in table["clip"].chunks], pa.string()).combine_chunks()
    links = [
        table.filter(pc.is_valid(table[column])).select(["clip", column]).rename_columns(["one", "other"])
        for table in tables
        for column in ("group", "real")
    ]
    ends = pa.concat_tables(links).combine_chunks()
    anchors = join(name, *(pa.concat_arrays(ends[each].chunks or [pa.array([], pa.string())]) for each in ends.column_names))
    return anchors.slice(0, ours.num_rows), anchors.slice(ours.num_rows)


def _in(column: pa.ChunkedArray, of: pa.ChunkedArray) -> pa.ChunkedArray:
    """Is it one of these? Null is not."""
    known = of.unique().drop_null()
    return pc.is_in(column, value_set=known, skip_nulls=True)


def _leaks(theirs: pa.Table, leaking: pa.Table) -> tuple[Leak, ...]:
    found, told = [], set[str]()
    for kind in LEAKS:
        mine = theirs.filter(leaking[kind])
        named = dict(zip(mine["name"].to_pylist(), mine["dataset"].to_pylist(), strict=True))
        new = {name: dataset for name, dataset in sorted(named.items()) if name not in told}
        told |= new.keys()
        if new:
            datasets = {dataset: list(new.values()).count(dataset) for dataset in sorted(set(new.values()))}
            found.append(Leak(kind, len(new), datasets, tuple(new)[:_EXAMPLES]))
    return tuple(found)


def _identities(ours: pa.Table, theirs: pa.Table) -> dict[str, int]:
    """People of a dataset that both sides show or take a face from, by dataset. A fake of another dataset's real bears that
    dataset's people."""
    shared = _people(ours) & _people(theirs)
    datasets = sorted({dataset for dataset, _ in shared})
    return {name: sum(dataset == name for dataset, _ in shared) for name in datasets}


def _people(media: pa.Table) -> set[tuple[str, str]]:
    home = pc.if_else(
        pc.match_substring_regex(media["pair_media"], "^[^/:]+:"),
        pc.extract_regex(media["pair_media"], "^(?P<dataset>[^/:]+):").combine_chunks().field("dataset"),
        media["dataset"],
    )
    of = pc.coalesce(home, media["dataset"])
    found = set[tuple[str, str]]()
    for column in ("target_id", "source_id"):
        known = pa.table({"dataset": of, "who": media[column]}).filter(pc.is_valid(media[column]))
        pairs = known.group_by(["dataset", "who"]).aggregate([])
        found |= set(zip(pairs["dataset"].to_pylist(), pairs["who"].to_pylist(), strict=True))
    return found


def _alike(train: Corpus, test: Corpus) -> int:
    """Rows of the test whose crop has the perceptual hash of a row that is trained on."""
    hashes = [train.part(split).rows(["phash"])["phash"].unique() for split in TRAINED if split in train.splits]
    if not hashes or "test" not in test.splits:
        return 0
    known = pa.concat_arrays(hashes).drop_null()
    asked = test.part("test").rows(["phash"])["phash"]
    return int(pc.sum(pc.is_in(asked, value_set=known, skip_nulls=True)).as_py() or 0)
