"""Score files put into their place: one writer, one step, never made twice; and what there is to say of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from mmidd.corpus.read import Corpus
from mmidd.engine.differences import differences
from mmidd.engine.files import disk_errors, write_whole
from mmidd.engine.lock import held
from mmidd.errors import ScoreError
from mmidd.results import Result
from mmidd.scores.columns import STATUSES
from mmidd.scores.explained import Explanations, place_of, read_beside, summary, summary_lines
from mmidd.scores.explained import read as read_explanations
from mmidd.scores.explained import write as write_explanations
from mmidd.scores.file import About, ScoreFile, read, write
from mmidd.scores.imports import Reading, imported
from mmidd.show import plain, shell_word

Counts = Mapping[str, Mapping[str, Mapping[str, int]]]


@dataclass(frozen=True)
class Written:
    """One score file. `counts`: of frames and clips, by label, how many of each status; `reasons`: why clips have no
    score; `scored`: items (frames, or windows of them; of imported ones rows) that were scored now, in `seconds`: 0 where
    the file was there already."""

    path: Path
    degradation: str | None
    counts: Counts
    reasons: Mapping[str, int]
    scored: int
    seconds: float
    changed: bool
    explained: Mapping[str, Any] | None = None
    """What the explanations beside it come to (`explained.summary`)."""

    def document(self) -> dict[str, Any]:
        beside = {} if self.explained is None else {"explanations": str(place_of(self.path))}
        return {**vars(self), "path": str(self.path), **beside}


@dataclass(frozen=True, repr=False)
class Scored(Result):
    """What `mmidd score` made. `left_out`: what the builder left out by decision, so that the splits do not name it."""

    model: Mapping[str, Any]
    corpus: str
    splits: tuple[str, ...]
    files: tuple[Written, ...]
    left_out: Mapping[str, int]
    beside: tuple[str, ...] = ()
    """What `mmidd evaluate` takes beside the files: words of its command line."""

    def document(self) -> dict[str, Any]:
        return {
            "model": dict(self.model),
            "corpus": self.corpus,
            "splits": list(self.splits),
            "files": [each.document() for each in self.files],
            "left_out": dict(self.left_out),
        }

    def headline(self) -> str:
        """The files, and how many clips of each have a score."""
        told = []
        for each in self.files:
            clips = each.counts["clip"].values()
            told.append(
                f"{each.path} ({sum(c['ok'] for c in clips):,} of {sum(sum(c.values()) for c in clips):,} clips scored)"
            )
        return ", ".join(told)

    def tell(self, console: Console) -> None:
        model = f"{self.model['kind']} {self.model['name']} ({self.model['digest']})"
        console.print(f"{plain(model)} on {plain(self.corpus)}, split {', '.join(self.splits)}")
        for each in self.files:
            console.print(f"{plain(str(each.path))}" + (f" ({each.degradation})" if each.degradation else ""))
            _tell_counts(each.counts, console)
            for why, count in list(each.reasons.items())[:5]:
                console.print(f"  {count:,} clips without a score: {plain(why)}", style="yellow")
            for line in summary_lines(each.explained) if each.explained is not None else ():
                console.print(f"  {plain(line)}")
            if each.explained is not None:
                console.print(f"  explanations: {plain(str(place_of(each.path)))}")
            if not each.changed:
                console.print("  was finished already: nothing was done. For another scoring name another --out")
            elif self.model["kind"] == "imported":
                _tell_imported(self.model["imported"], console)
            else:
                rate = each.scored / max(each.seconds, 1e-9)
                console.print(f"  {each.scored:,} images or windows scored now in {each.seconds:.1f} s ({rate:.1f}/s)")
        if self.left_out:
            told = ", ".join(f"{count:,} {plain(why)}" for why, count in self.left_out.items())
            console.print(f"not named by the splits, left out as the corpus was built: {told}")
        words = (*(str(each.path) for each in self.files), *self.beside)
        console.print("next: mmidd evaluate " + " ".join(plain(shell_word(word)) for word in words))


def _tell_imported(found: Mapping[str, Any], console: Console) -> None:
    lost = {
        "of what the splits do not name": found.get("strangers", 0),
        "of other splits": found.get("rows_of_other_splits", 0),
        "of another level": found.get("rows_of_another_level", 0),
    }
    told = "".join(f"; {count:,} {why}" for why, count in lost.items() if count)
    how = f"as {found['level']}s by {plain(found['matched_by'])}"
    console.print(f"  {found['matched']:,} of {found['rows']:,} rows matched, {how}{told}")
    if left := found.get("columns_left"):
        console.print(f"  columns that were left: {plain(', '.join(left))}")


def _tell_counts(found: Counts, console: Console) -> None:
    for level in ("frame", "clip"):
        parts = []
        for label, by in sorted(found.get(level, {}).items(), reverse=True):
            told = ", ".join(f"{by.get(status, 0):,} {status}" for status in STATUSES)
            parts.append(f"{label}: {told}")
        console.print(f"  {level}s  {'; '.join(parts)}")


@contextmanager
def claimed(path: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Nobody else writes this score file meanwhile. Raises ScoreError where another process does, WorkError as the disk."""

    def busy(holder: str) -> ScoreError:
        return ScoreError(f"another scoring writes {path} ({holder}); wait until it has ended, or choose another --out")

    if path.suffix != ".parquet":
        raise ScoreError(f"--out {path}: a score file is called NAME.parquet")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with held(path.with_name(f".{path.name}.lock"), busy, tell):
        yield


def put(path: Path, made: ScoreFile, scratch: Path) -> None:
    """Write it in `scratch`, of the same file system, and move it to its place."""

    def whole(temporary: Path) -> Path:
        write(temporary, made)
        return path

    write_whole(whole, scratch=scratch)


def put_beside(path: Path, said: Explanations, scratch: Path) -> None:
    """Write what was said beside the score file `path` that is to come. Raises ScoreError where something else is there."""
    place = place_of(path)
    if place.exists():  # of a process that was killed before the scores were there, or of somebody
        there = read_explanations(place)
        if there.about.get("scores") != said.about["scores"]:
            raise ScoreError(f"{place} is there already, of other scores: remove it, or choose another --out")

    def whole(temporary: Path) -> Path:
        write_explanations(temporary, said)
        return place

    write_whole(whole, scratch=scratch)


def told_beside(path: Path, scores: ScoreFile) -> Mapping[str, Any] | None:
    """What the explanations of a finished score file come to; None of scores without reasons. Raises ScoreError where
    they are lost."""
    if not scores.about.model.get("reasons"):
        return None
    found = read_beside(path, scores)
    if found is None:
        raise ScoreError(f"{path} is there, and its explanations ({place_of(path).name}) are not: remove it to score again")
    return summary(found)


def finished(path: Path, about: About, tell: Callable[[str], None]) -> ScoreFile | None:
    """The file of this very request that is there already. Raises ScoreError where it is of another one, or is none."""
    if not path.exists():
        return None
    there = read(path)
    if differ := differences(_request(there.about), _request(about)):
        raise ScoreError(f"{path} is there already, of another request: {'; '.join(differ)[:900]}. Choose another --out")
    if differ := differences(dict(there.about.versions), dict(about.versions)):
        tell(f"note: {path} was made with other versions: {'; '.join(differ)}")
    return there


def _request(about: About) -> dict[str, Any]:
    """What was asked for, whatever it was computed on."""
    found: dict[str, Any] = json.loads(json.dumps(about.document()))  # as it is read
    return found | {"versions": {}, "model": {key: each for key, each in found["model"].items() if key != "device"}}


def counts(table: pa.Table) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
    """Level, label, status: how many."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    grouped = table.group_by(["level", "label", "status"], use_threads=False).aggregate([([], "count_all")])
    for each in grouped.to_pylist():
        found.setdefault(each["level"], {}).setdefault(each["label"], {})[each["status"]] = each["count_all"]
    return found


def reasons(table: pa.Table) -> dict[str, int]:
    """Why clips have no score, most often first."""
    clips = table.filter(pc.equal(table["level"], "clip"))
    return dict(Counter(clips["reason"].drop_null().to_pylist()).most_common())


def import_scores(
    path: str | Path,
    corpus: str | Path | Corpus,
    out: str | Path,
    *,
    splits: Sequence[str] = ("test",),
    only: Sequence[str] = (),
    name: str | None = None,
    reading: Reading = Reading(),
    tell: Callable[[str], None] = lambda line: None,
) -> Scored:
    """Write others' scores as the score file `out`: `mmidd score --import`. `name`: the detector's, else the file's."""
    beside = () if isinstance(corpus, Corpus) else ("--corpus", str(corpus))
    corpus = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
    place = Path(out)
    made = imported(path, corpus, splits, only, name=name or Path(path).stem, reading=reading)
    with claimed(place, tell):
        there = finished(place, made.about, tell)
        if there is None:
            put(place, made, place.parent)
        told = counts(made.table)
    count = made.about.model["imported"]["matched"]
    files = (Written(place, None, told, reasons(made.table), count if there is None else 0, 0.0, there is None),)
    return Scored(dict(made.about.model), corpus.name, made.about.splits, files, dict(made.about.left_out), beside)
