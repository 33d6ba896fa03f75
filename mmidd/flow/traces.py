"""What a takedown covers, and what is still there of it: pixels in the work folder, rows in the corpora that it serves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmidd.corpus.about import MEDIA
from mmidd.corpus.read import Corpus
from mmidd.engine.store import Store
from mmidd.errors import CorpusError
from mmidd.findings import Finding
from mmidd.flow.notes import builds
from mmidd.flow.setup import Setup
from mmidd.flow.takedowns import committed, covered, known, last_sha256, named
from mmidd.flow.walk import Walked
from mmidd.media import Name
from mmidd.show import shell_word
from mmidd.takedown import HOWS, Cover, Exclusions, corpus_rows, people, taken_down


@dataclass(frozen=True)
class Line:
    """A line of the list, how many media it covers by how it comes to them, and how many of its people's it leaves.

    `others` are, by the `identity:` line that would cover them, media of a person of whom the line covers some alone.
    """

    line: str
    media: Mapping[str, int]
    others: Mapping[str, int]


@dataclass(frozen=True)
class Rows:
    """Rows of media that were taken down, in a corpus: its place, rows, media; None where it cannot be read."""

    corpus: str
    rows: int | None
    media: int | None


@dataclass(frozen=True)
class Takedown:
    """What the list covers, and what is still there: `pixels` of so many media in the work folder, and rows of corpora.

    `commands` are to be run, one after the other, so that nothing is left.
    """

    lines: tuple[Line, ...]
    pixels: int
    corpora: tuple[Rows, ...]
    commands: tuple[str, ...]

    @property
    def media(self) -> int:
        """How many media are covered."""
        return sum(count for line in self.lines for count in line.media.values())


def lines(setup: Setup, walked: Walked) -> tuple[Line, ...]:
    """What each line of the list covers, by what a walk came to."""
    rows = named(setup, walked.index.media)
    outcomes = walked.crops.outcomes if walked.crops is not None else {}
    return tuple(_lines(covered(setup, rows, last_sha256(setup), outcomes), rows))


def takedown(setup: Setup, walked: Walked) -> Takedown | None:
    """What the list does on this work folder, by what a walk came to; None where there is no list."""
    if setup.excluded == Exclusions():
        return None
    rows, outcomes = named(setup, walked.index.media), walked.crops.outcomes if walked.crops is not None else {}
    found = covered(setup, rows, last_sha256(setup), outcomes)
    names = found.keys() | {hit.name for hit in setup.excluded.hits}
    pixels = len({(each.dataset, each.media) for each in committed(setup.store, names)})
    here = str(setup.store.root.resolve())
    notes = {out: note for out, note in builds(setup.store).items() if out and note.get("work") in (None, here)}
    left = {out: still for out in notes if (still := _rows(Path(out), known(setup, ()))).rows != 0}
    own = str(setup.out.resolve()) if setup.out is not None else None
    # What was found once it was extracted lies beside others' pixels, until a build commits those without it.
    again = {*left, *({own} if own in notes and pixels and (names & outcomes.keys() or not _extracted(walked)) else ())}
    commands = [_command(notes[out], setup.store) for out in sorted(again)]
    commands += [f"mmidd gc {shell_word(str(setup.store.root))}"] if commands or pixels else []
    return Takedown(tuple(_lines(found, rows)), pixels, tuple(left.values()), tuple(commands))


def _extracted(walked: Walked) -> bool:
    return walked.crops is not None and walked.crops.complete


def _command(note: Mapping[str, Any], store: Store) -> str:
    """The build of a note once more."""
    recipe, *settings = note.get("asked") or ["RECIPE"]
    words = ["mmidd", "build", recipe, "--data", note["data"], "--out", note["out"], "--work", str(store.root)]
    for name, values in (("--set", settings), ("--only", note["only"]), ("--follow-links", note.get("follow_links", ()))):
        words += [word for value in values for word in (name, value)]
    return " ".join(map(shell_word, words))


def _lines(found: Mapping[Name, Cover], rows: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """The lines that cover something, in order."""
    counts = Counter((cover.line, cover.how) for cover in found.values())
    lines = sorted({cover.line for cover in found.values()})
    shown: dict[Name, set[str]] = {}  # by person the lines that name a medium of theirs
    for row in rows:
        cover = found.get((row["dataset"], row["media"]))
        if cover is not None and cover.how == "named" and row["target_id"]:
            shown.setdefault((row["dataset"], row["target_id"]), set()).add(cover.line)
    stay = Counter(
        who for row in rows if (row["dataset"], row["media"]) not in found for who in set(people(row)) if who in shown
    )
    for line in lines:
        others = {"identity:{}/{}".format(*who): stay[who] for who in sorted(shown) if line in shown[who] and stay[who]}
        yield Line(line, {how: counts[line, how] for how in HOWS if counts[line, how]}, others)


def _rows(out: Path, excluded: Exclusions) -> Rows:
    """What a corpus still has of the list; none where there is no corpus any more."""
    if not out.exists():
        return Rows(str(out), 0, 0)
    try:
        found = in_corpus(Corpus(out), excluded)
    except CorpusError:
        return Rows(str(out), None, None)
    return Rows(str(out), sum(rows for rows, _ in found.values()), len(found))


_NAMED_BY = ["dataset", "media", "media_sha256", "target_id", "source_id", "pair_media"]
"""The columns of a corpus by which a takedown list finds media."""


def in_corpus(corpus: Corpus, excluded: Exclusions) -> dict[Name, tuple[int, Cover]]:
    """The media of which a corpus has rows and that a list covers: how many rows, and why. Raises CorpusError."""
    listed = corpus_rows(corpus.media.select(_NAMED_BY).to_pylist())
    found = taken_down(listed.values(), lambda name: listed[name]["media_sha256"], excluded)
    held = corpus.rows(["dataset", "media"]).group_by(["dataset", "media"]).aggregate([([], "count_all")]).to_pylist()
    counts = Counter({name: row["count_all"] for row in held if (name := (row["dataset"], row["media"])) in found})
    return {name: (counts[name], cover) for name, cover in sorted(found.items()) if counts[name]}


def check_takedown(where: str | Path, excluded: Exclusions) -> tuple[Finding, ...]:
    """Rows of a corpus that a takedown list of the user's covers."""
    try:
        found = in_corpus(Corpus(where), excluded)
    except CorpusError:
        return (Finding("verify", "cannot be compared with the takedown list: the corpus is damaged", (MEDIA,)),)
    return tuple(
        Finding("verify", f"{rows} rows of {dataset}/{media} are taken down ({cover.how}: {cover.line})", (MEDIA,))
        for (dataset, media), (rows, cover) in found.items()
    )
