"""Score files made of a model and a corpus: written in one step, gone on with after a kill, never made twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from mmidd.corpus.read import Corpus
from mmidd.engine.files import digest, disk_errors, write_whole
from mmidd.engine.lock import held
from mmidd.errors import ScoreError
from mmidd.results import Result
from mmidd.runs.folder import differences
from mmidd.scores.file import STATUSES, About, ScoreFile, read, write
from mmidd.scores.named import left_out
from mmidd.scoring.data import BATCH
from mmidd.scoring.degrade import Degradation
from mmidd.scoring.model import Model
from mmidd.scoring.parts import Parts
from mmidd.scoring.score import Request, Watch, counts, requested, scored
from mmidd.show import plain, shell_word

Counts = Mapping[str, Mapping[str, Mapping[str, int]]]


@dataclass(frozen=True)
class Written:
    """One score file. `counts`: of frames and clips, by label, how many of each status; `scored`: items (frames, or windows
    of them) that were scored now, in `seconds`; 0 where the file was there already."""

    path: Path
    degradation: str | None
    counts: Counts
    scored: int
    seconds: float
    changed: bool

    def document(self) -> dict[str, Any]:
        return {**vars(self), "path": str(self.path)}


@dataclass(frozen=True, repr=False)
class Scored(Result):
    """What `mmidd score` made. `left_out`: what the builder left out by decision, so that the splits do not name it."""

    model: Mapping[str, Any]
    corpus: str
    splits: tuple[str, ...]
    files: tuple[Written, ...]
    left_out: Mapping[str, int]

    def document(self) -> dict[str, Any]:
        return {
            "model": dict(self.model),
            "corpus": self.corpus,
            "splits": list(self.splits),
            "files": [each.document() for each in self.files],
            "left_out": dict(self.left_out),
        }

    def tell(self, console: Console) -> None:
        model = f"{self.model['kind']} {self.model['name']} ({self.model['digest']})"
        console.print(f"{plain(model)} on {plain(self.corpus)}, split {', '.join(self.splits)}")
        for each in self.files:
            console.print(f"{plain(str(each.path))}" + (f" ({each.degradation})" if each.degradation else ""))
            _tell_counts(each.counts, console)
            if each.changed:
                rate = each.scored / max(each.seconds, 1e-9)
                console.print(f"  {each.scored:,} images or windows scored now in {each.seconds:.1f} s ({rate:.1f}/s)")
            else:
                console.print("  was finished already: nothing was done. For another scoring name another --out")
        if self.left_out:
            told = ", ".join(f"{count:,} {plain(why)}" for why, count in self.left_out.items())
            console.print(f"not named by the splits, left out as the corpus was built: {told}")
        console.print("next: mmidd evaluate " + " ".join(plain(shell_word(str(each.path))) for each in self.files))


def _tell_counts(found: Counts, console: Console) -> None:
    for level in ("frame", "clip"):
        parts = []
        for label, by in sorted(found.get(level, {}).items(), reverse=True):
            told = ", ".join(f"{by.get(status, 0):,} {status}" for status in STATUSES)
            parts.append(f"{label}: {told}")
        console.print(f"  {level}s  {'; '.join(parts)}")


def score_files(
    model: Model,
    corpus: str | Path | Corpus,
    out: str | Path,
    splits: Sequence[str] = ("test",),
    only: Sequence[str] = (),
    degradations: Sequence[Degradation] = (),
    *,
    workers: int | None = None,
    watch: Watch | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Scored:
    """Write `out`, and beside it one file for each degradation (`out`'s stem.NAME-LEVEL.parquet).

    What was scored so far is kept in a hidden folder beside each file: the same call goes on behind it. A file that is
    there of the very same request is left as it is; any other is refused. Raises ScoreError, CorpusError, WorkError.
    """
    corpus = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
    place, many = Path(out), _usual_workers() if workers is None else workers
    if place.suffix != ".parquet":
        raise ScoreError(f"--out {place}: a score file is called NAME.parquet")
    plain_one, found = requested(model, corpus, splits, only), []
    for each in (None, *degradations):
        path = place if each is None else place.with_name(f"{place.stem}.{each.slug}.parquet")
        about = replace(plain_one.about, degradation=None if each is None else str(each))
        asked = replace(plain_one, degradation=each, about=about)
        found.append(_file(asked, path, many, watch, tell))
    return Scored(dict(model.about), corpus.name, tuple(splits), tuple(found), left_out(corpus, splits, only))


def _usual_workers() -> int:
    """One a core beside this process, eight at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cores - 1)


def _file(asked: Request, path: Path, workers: int, watch: Watch | None, tell: Callable[[str], None]) -> Written:
    def busy(holder: str) -> ScoreError:
        return ScoreError(f"another scoring writes {path} ({holder}); wait until it has ended, or choose another --out")

    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with held(path.with_name(f".{path.name}.lock"), busy, tell):
        if path.exists():
            there = _same(path, asked.about, tell)
            return Written(path, asked.about.degradation, counts(there.table), 0, 0.0, False)
        begun = time.monotonic()
        parts = Parts(path.with_name(f".{path.name}.parts"), digest(asked.about.document(), BATCH))
        made = scored(asked, workers=workers, watch=watch, parts=parts, tell=tell)
        _put(path, made, parts.folder)
        parts.remove()
        now = len(asked.items) - parts.taken
        return Written(path, asked.about.degradation, counts(made.table), now, time.monotonic() - begun, True)


def _put(path: Path, made: ScoreFile, scratch: Path) -> None:
    def whole(temporary: Path) -> Path:
        write(temporary, made)
        return path

    write_whole(whole, scratch=scratch)


def _same(path: Path, about: About, tell: Callable[[str], None]) -> ScoreFile:
    """The file that is there. Raises ScoreError where it is of another request, or is none."""
    there = read(path)
    then, now = _request(there.about), _request(about)
    if differ := differences(then, now):
        raise ScoreError(f"{path} is there already, of another request: {'; '.join(differ)[:900]}. Choose another --out")
    if differ := differences(dict(there.about.versions), dict(about.versions)):
        tell(f"note: {path} was made with other versions: {'; '.join(differ)}")
    return there


def _request(about: About) -> dict[str, Any]:
    """What was asked for, whatever it was computed on."""
    found = about.document()
    return found | {"versions": {}, "model": {key: each for key, each in found["model"].items() if key != "device"}}
