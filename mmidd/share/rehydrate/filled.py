"""Shard by shard from found media: which are there already, which media the others need, and what is written when the last
of its rows is cut."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmidd.corpus.about import Listed, Shard
from mmidd.corpus.shards import ShardLimits
from mmidd.corpus.target import Target, link_or_copy
from mmidd.engine.faults import fault
from mmidd.engine.files import digest, disk_errors
from mmidd.engine.local import Inline, Local
from mmidd.media import Name
from mmidd.raw.bytes import MediaFile
from mmidd.share.publication.format import data_name
from mmidd.share.rehydrate.compared import Accept, Compared, Likeness, medium_is
from mmidd.share.rehydrate.cutting import PASSING, Asked, Cut, Medium, Row, Spooled, cut_media
from mmidd.share.rehydrate.fetched import Fetched
from mmidd.share.rehydrate.found import FoundMedium
from mmidd.share.rehydrate.hashing import Digests
from mmidd.share.rehydrate.result import Medium as Told
from mmidd.share.rehydrate.result import Rate
from mmidd.share.rehydrate.rows import Labels, names, names_of, read_labels
from mmidd.share.rehydrate.shards import Filling, Written, lost_pairs, noted, put_note, rewrite, write
from mmidd.share.rehydrate.version import Tally
from mmidd.watch import Watch

NOTES, CROPS = "shards", "crops"
"""In the work folder: what became of the rows of each shard; crops that are on their way into one."""
NOT_FOUND = "not_found"


@dataclass(frozen=True)
class Plan:
    """What is to be made: the shards of the publication that were asked for, the media that were found, how crops are cut
    and files written, what is accepted. `basis`: what else a shard's bytes hang on."""

    fetched: Fetched
    shards: Sequence[Shard]
    found: Mapping[Name, FoundMedium]
    why: Mapping[Name, str]
    asked: Asked
    limits: ShardLimits
    accept: Accept
    basis: Sequence[str]
    target: Target
    work: Path
    digests: Digests

    def original(self, name: str) -> Listed:
        """The corpus's own file of that name."""
        return self.fetched.opened.corpus.files[name]

    @property
    def notes(self) -> Path:
        return self.work / NOTES

    def note(self, name: str) -> Path:
        """Where the note of a shard lies."""
        return self.notes / f"{name.rpartition('/')[2]}.json"

    def key(self, shard: Shard, labels: Labels) -> str:
        """What became of a shard's rows is known, where this has not changed: its labels, the files that its media are, how
        they are cut and written."""
        media = []
        for name in sorted({(dataset, media) for _, dataset, media in names_of(labels.table)}):
            each = self.found.get(name)
            mask = each.mask if each else None
            media.append([*name, _seen(each.file) if each else "", _seen(mask.file) if mask else ""])
        listed = self.fetched.opened.about.files[shard.name]
        return digest(listed.sha256, media, self.accept, list(self.basis))


def _seen(file: MediaFile) -> str:
    """What a file was when it was listed: by its times too, for a mended copy may have the size of the damaged one."""
    return str((str(file.path), file.bytes, file.mtime_ns, file.ctime_ns, file.archive, file.parts))


@dataclass
class Filled:
    """What was made: the shards, in the order of their names; what became of the rows, and what media are. `mistaken`: files
    that were taken for a medium by path and size, and turned out to have other bytes."""

    written: list[Written] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    media: Counter[Likeness] = field(default_factory=Counter)
    others: list[Told] = field(default_factory=list)
    mistaken: int = 0
    rate: Rate = field(default_factory=Rate)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known beside that."""
        told = "were taken for media by their places and sizes, and have other bytes: the same command again looks elsewhere"
        return (f"{self.mistaken:,} files {told}, by digest",) if self.mistaken else ()


def fill(plan: Plan, gone: set[str], engine: Local | Inline, watch: Watch) -> Filled:
    """Bring every shard into the folder that is being built. `gone`: ids of rows that were not asked for."""
    filling = _Run(plan, set(gone), watch)
    filling.run(engine)
    return filling.ended()


class _Run:
    """The shards on their way."""

    def __init__(self, plan: Plan, gone: set[str], watch: Watch) -> None:
        self.plan, self.gone, self.watch = plan, gone, watch
        self.done: dict[str, Written] = {}
        self.open: dict[int, Filling] = {}
        self.keys: dict[str, str] = {}
        self.filled = Filled()
        self.cut, self.frames = 0, 0
        self.known: set[Name] = set()
        """Media of which this run has told what they are."""
        self.before: dict[Name, list[Compared]] = {}
        """The rows that an earlier run made, by medium."""

    def run(self, engine: Local | Inline) -> None:
        """Take what is there, cut the rest."""
        to_do = [number for number, shard in enumerate(self.plan.shards) if not self._there(shard)]
        total = len(self._media_of(to_do))
        self.watch.begin("rehydrate", total, 0, "media")
        began = time.monotonic()
        largest = max((each.file.bytes for each in self.plan.found.values()), default=0)
        for cut in cut_media(self._runs(to_do), self.plan.asked, engine, largest):
            self._take(cut)
            seconds = max(time.monotonic() - began, 1e-9)
            self.watch.at(self.cut, f"{self.frames / seconds:,.0f} frames/s")
        self._close(range(len(self.plan.shards)))
        self.watch.end()
        self.filled.rate = Rate(self.cut, self.frames, time.monotonic() - began)

    def ended(self) -> Filled:
        """Mend the pairs of rows that are gone by now, and count."""
        for shard in self.plan.shards:
            self.filled.tally.add(names(self.plan.fetched.opened, shard), self.done[data_name(shard.name)])
        self._tell_before()
        gone = self.gone | self.filled.tally.gone
        for shard in self.plan.shards if gone else ():
            name = data_name(shard.name)
            labels = read_labels(self.plan.fetched.opened, shard)
            if lost_pairs(labels, self.done[name].kept, gone) != self.done[name].unpaired:
                self.done[name] = rewrite(self.done[name], labels, self.plan.target.building, self.plan.limits, gone)
                self._note(name)
        self.filled.written = [self.done[data_name(shard.name)] for shard in self.plan.shards]
        return self.filled

    def _there(self, shard: Shard) -> bool:
        """Is a shard there already: as the original, with its pixels in the publication, or as an earlier run left it?"""
        name, target = data_name(shard.name), self.plan.target
        original = self.plan.original(name)
        whole = Written(name, original.bytes, original.sha256, (Compared("exact"),) * shard.rows, self.plan.accept)
        if target.has(name, original.bytes, original.sha256):
            self.done[name] = whole
            return True
        labels = read_labels(self.plan.fetched.opened, shard)
        self.keys[name] = self.plan.key(shard, labels)
        before = noted(self.plan.note(name), name, self.keys[name], shard.rows, self.plan.accept)
        lasting = before is not None and not any(each.reason in PASSING for each in before.rows)
        if before is not None and lasting and (not before.bytes or target.has(name, before.bytes, before.sha256)):
            self.done[name] = before
            for (_, dataset, media), each in zip(names_of(labels.table), before.rows, strict=True):
                self.before.setdefault((dataset, media), []).append(each)
            return True
        if name in self.plan.fetched.opened.pixels:
            with disk_errors(target.building):
                link_or_copy(self.plan.fetched.file(name), target.building / name)
            fault("shard_taken", name)
            self.done[name] = whole
            return True
        return False

    def _media_of(self, numbers: Sequence[int]) -> set[Name]:
        shards = (self.plan.shards[number] for number in numbers)
        found = {(dataset, media) for shard in shards for _, dataset, media in names(self.plan.fetched.opened, shard)}
        return {name for name in found if name in self.plan.found}

    def _runs(self, numbers: Sequence[int]) -> Iterator[list[Medium]]:
        """The found media of each shard, read when their turn comes. Rows of a medium that lie in two shards go together:
        the last medium of one waits for the next."""
        waiting: dict[Name, list[Row]] = {}
        for number in numbers:
            shard = self.plan.shards[number]
            labels = read_labels(self.plan.fetched.opened, shard)
            self.open[number] = Filling(labels)
            media = labels.media(number)
            for name in [name for name in media if name not in self.plan.found]:
                lost = Compared("missing", NOT_FOUND, self.plan.why.get(name))
                self.filled.media["not_found"] += name not in self.known
                self.known.add(name)
                for row in media.pop(name):
                    self.open[number].take(Spooled(row.number, lost), None)
            self._close([number])  # of which nothing was found, at once: its labels need not be held
            for name in [name for name in waiting if name in media]:
                media[name] = [*waiting.pop(name), *media[name]]
            if waiting:
                yield [self._medium(name, rows) for name, rows in waiting.items()]
            waiting = {name: media.pop(name) for name in list(media)[-1:]}
            yield [self._medium(name, rows) for name, rows in media.items()]
        yield [self._medium(name, rows) for name, rows in waiting.items()]

    def _medium(self, name: Name, rows: Sequence[Row]) -> Medium:
        return Medium(self.plan.found[name], tuple(rows))

    def _take(self, cut: Cut) -> None:
        name = cut.medium.found.wanted.name
        self.cut, self.frames = self.cut + 1, self.frames + cut.frames
        self._tell(name, cut.kind, cut.told, [each.compared for each in cut.rows])
        for row in cut.rows:
            self.open[row.number[0]].take(row, cut.spool)
        if cut.sha256 is not None:
            self.plan.digests.put(cut.medium.found.file, cut.sha256)
            self.filled.mistaken += cut.sha256 != cut.medium.found.wanted.sha256
        self._close({row.number[0] for row in cut.rows})

    def _tell(self, name: Name, kind: Likeness, words: str, rows: Sequence[Compared]) -> None:
        self.known.add(name)
        self.filled.media[kind] += 1
        if kind != "same" or any(each.status in ("differs", "missing") for each in rows):
            self.filled.others.append(Told(*name, kind, words))

    def _tell_before(self) -> None:
        """What the media are whose rows an earlier run made: whoever asks again is told the same."""
        for name, rows in self.before.items():
            each = self.plan.found.get(name)
            if name in self.known:
                continue
            if each is None:
                self.filled.media["not_found"] += 1
                continue
            sha256 = self.plan.digests.of(each.file)
            same = each.same if sha256 is None or not each.wanted.sha256 else sha256 == each.wanted.sha256
            self._tell(name, *medium_is(rows, same), rows)

    def _close(self, numbers: Sequence[int] | set[int] | range) -> None:
        """Write the shards that are whole, and let go of their crops."""
        for number in sorted(numbers):
            if number in self.open and not self.open[number].left:
                filling = self.open.pop(number)
                name = filling.labels.name
                limits = self.plan.limits
                self.done[name] = write(filling, self.plan.target.building, self.plan.accept, limits, self.gone)
                self._note(name)
                self._let_go(filling)

    def _note(self, name: str) -> None:
        if name in self.keys:
            put_note(self.plan.note(name), self.done[name], self.keys[name], self.plan.work)
            fault("shard_noted", name)

    def _let_go(self, filling: Filling) -> None:
        """Remove spools that no open shard needs."""
        needed = {place[0] for each in self.open.values() for place in each.places if place is not None}
        for spool in {place[0] for place in filling.places if place is not None} - needed:
            spool.unlink(missing_ok=True)
