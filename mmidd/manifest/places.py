"""Files that lie beside their place: in an archive, or with a folder too many or too few above them.

Pure: names in, names out. An archive `d/x.zip` is read as if it were unpacked beside itself (`d/...`) or into a folder of
its name (`d/x/...`). What no rule takes as it lies is tried without folders that say nothing, or below one that is missing.
A file is used where all places that a rule would take it at say the same of it; else it is not used, and that is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mmidd.manifest.accounting import SUFFIXES, Layout, frame_number, unpacked
from mmidd.manifest.guide import Guide, Take, Way, starts

LIES = "lies at "
"""What the reason of an indexed medium begins with that is read from elsewhere than where its rule looks."""
_MOST_FOLDERS = 24


@dataclass(frozen=True)
class Settled:
    """`lies`: where a rule looks for a file (or a folder of frames) -> where it lies, an archive's name a part of that.
    `twice` are members of archives whose place is taken, `unused` archives that nothing is read from; `told` is what is
    not used (or was unpacked in part), with the reason.
    """

    lies: Mapping[str, str]
    twice: frozenset[str]
    unused: frozenset[str]
    told: Mapping[str, str]


def settle(
    layout: Layout,
    names: Collection[str],
    foreign: Collection[str],
    plain: Mapping[str, int],
    inside: Mapping[str, Mapping[str, int]],
) -> Settled:
    """Find the place of every file that no rule takes as it lies.

    `names` are the dataset's names, `foreign` those of others (in lower case), `plain` the files with their sizes, and
    `inside` the members of every archive that was opened.
    """
    return _Settling(Guide(layout, frozenset(each.casefold() for each in names), frozenset(foreign)), plain).all(inside)


@dataclass
class _Found:
    """What came of the members of one archive."""

    lies: dict[str, str] = field(default_factory=dict)
    ways: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    there: int = 0
    differ: int = 0
    ambiguous: dict[str, str] = field(default_factory=dict)


class _Settling:
    """One dataset's files being settled: no two files come to one place, no clip has frames of two sources."""

    def __init__(self, guide: Guide, plain: Mapping[str, int]) -> None:
        self.guide = guide
        self.plain = plain
        self.lies: dict[str, str] = {}
        self.twice: set[str] = set()
        self.told: dict[str, str] = {}
        self.sizes = dict(plain)
        self.clips = {folder: folder for folder, _, name in (path.rpartition("/") for path in plain) if _is_frame(name)}
        self.ways = lru_cache(maxsize=4096)(guide.ways)
        self.named: dict[tuple[Any, ...], bool] = {}

    def all(self, inside: Mapping[str, Mapping[str, int]]) -> Settled:
        """Settle plain files first, then the archives in the order of their names."""
        hopeless: set[tuple[str, str]] = set()
        for path in self._strange():
            folder, _, name = path.rpartition("/")
            kind = (folder, name.rpartition(".")[2])
            if kind not in hopeless and not self._plain(path):
                hopeless.add(kind)
        unused = frozenset(archive for archive in sorted(inside) if not self._archive(archive, inside[archive]))
        return Settled(self.lies, frozenset(self.twice), unused, self.told)

    def _strange(self) -> Iterator[str]:
        """The files that nobody knows as they lie. One file of a folder and an ending speaks for all of these."""
        spoken: dict[tuple[str, str], bool] = {}
        for path in sorted(self.plain):
            folder, _, name = path.rpartition("/")
            if name.startswith(".") or not folder:
                continue
            kind = (folder, name.rpartition(".")[2])
            if kind not in spoken:
                spoken[kind] = self.guide.knows(path)
            if not spoken[kind] and not self.guide.knows(path):
                yield path

    def _plain(self, path: str) -> bool:
        """Is there something to be said of this file? One of a folder and an ending speaks for all of these."""
        folder, _, name = path.rpartition("/")
        take, _, reason = self._place(tuple(folder.split("/")), None, name)
        if take is None:
            self.told.update({path: reason} if reason else {})
        elif self._taken(take, folder):
            self.told[path] = f"the same as {take.path}, which is used: remove one of them"
        else:
            self._put(take, path, folder, self.plain[path])
        return take is not None or reason is not None

    def _taken(self, take: Take, source: str) -> bool:
        """Is there a file, or a clip of another source, at this place already?"""
        return take.path in self.sizes or (take.folder is not None and self.clips.get(take.folder, source) != source)

    def _put(self, take: Take, path: str, source: str, size: int) -> None:
        self.lies[take.path] = path
        self.sizes[take.path] = size
        if take.folder is not None:
            self.clips[take.folder] = source
            self.lies[take.folder] = path.rpartition("/")[0]

    def _archive(self, archive: str, members: Mapping[str, int]) -> bool:
        """Is anything read from this archive?"""
        found, root = _Found(), unpacked(archive).split("/")
        for member, size in sorted(members.items()):
            folder, _, name = member.rpartition("/")
            folders = (*root, *(folder.split("/") if folder else ()))
            take, way, reason = self._place(folders, len(root) - 1, name)
            if take is None or way is None:
                found.left.append(member)
                found.ambiguous.update({member: reason} if reason else {})
            elif self._taken(take, f"{archive}/{folder}"):
                found.there += 1
                found.differ += self.sizes.get(take.path) != size
                self.twice.add(f"{archive}/{member}")
            else:
                found.ways[_shape(folders, way)] += 1
                found.lies[take.path] = f"{archive}/{member}"
                self._put(take, f"{archive}/{member}", f"{archive}/{folder}", size)
        self._sidecars(archive, root, found)
        self._tell(archive, found)
        return bool(found.lies)

    def _sidecars(self, archive: str, root: list[str], found: _Found) -> None:
        """What no rule takes, where its neighbours say it lies, if `ignore` knows it there."""
        if not found.ways:
            return
        count, _, start = found.ways.most_common(1)[0][0].partition(":")
        left, found.left = found.left, []
        for member in left:
            folders = [*root, *member.split("/")]
            place = "/".join(filter(None, (start, *folders[int(count) :])))
            if place and place not in self.sizes and self.guide.ignored.first(place) is not None:
                found.lies[place] = self.lies[place] = f"{archive}/{member}"
            else:
                found.left.append(member)

    def _tell(self, archive: str, found: _Found) -> None:
        """What is to be known of an archive that is not simply read, or simply unpacked."""
        if found.ambiguous:
            member, reason = min(found.ambiguous.items())
            self.told[archive] = f"{len(found.ambiguous)} of its files are not used, such as {member}: {reason}"
        elif found.differ:
            self.told[archive] = (
                f"{found.differ} of its files are not those that lie unpacked, or in another archive, which are used: was "
                "unpacking cut? unpack it again, or remove those that are wrong"
            )
        elif found.there and found.lies:
            self.told[archive] = f"{found.there} of its files lie elsewhere too and are used from there; the others are read"
        elif not found.lies and not found.there:
            media = [each for each in found.left if _is_medium(each)]
            if media and not self._ignored(archive, media):
                self.told[archive] = f"none of its {len(media)} media is in a rule, such as {media[0]}: unpack it"

    def _ignored(self, archive: str, members: list[str]) -> bool:
        """Would all of these be sidecars, were the archive unpacked?"""
        root = unpacked(archive)
        above = root.rpartition("/")[0]
        bases = (f"{above}/" if above else "", f"{root}/")
        return all(any(self.guide.ignored.first(base + each) is not None for base in bases) for each in members)

    def _place(
        self, folders: tuple[str, ...], stem: int | None, name: str
    ) -> tuple[Take, Way, None] | tuple[None, None, str | None]:
        """The one place that takes a file, and the way there; or why there is none, if a person should know."""
        if len(folders) > _MOST_FOLDERS or name.startswith("."):
            return None, None, None
        offered = self.ways(folders, stem)
        for first in (True, False):
            found = ((self.guide.take(way.of(name)), way) for way in offered if way.first is first)
            ways = [(take, way) for take, way in found if take is not None and not self._bare(take, way)]
            if not ways:
                continue
            if any(not take.telling and self._named(folders, stem, way, name) for take, way in ways):
                return None, None, None
            if len({take.says for take, _ in ways}) > 1:
                ways = [(take, way) for take, way in ways if not self.guide.formed(way)] or ways
            if len({take.says for take, _ in ways}) > 1:
                places = " or ".join(sorted({take.path for take, _ in ways})[:3])
                return None, None, f"ambiguous: it could be {places}; put it where it belongs"
            take, way = ways[0] if first else min(ways, key=lambda each: (self.guide.cost(each[1]), each[0].order))
            return take, way, None
        return None, None, None

    def _bare(self, take: Take, way: Way) -> bool:
        """Is it a medium known by its bare name, which files in any folder may have?"""
        return take.medium and not way.folder and not way.first and bool(self.guide.strange(way))

    def _named(self, folders: tuple[str, ...], stem: int | None, way: Way, name: str) -> bool:
        """Is one of the folders that the way removes a name that stands in place of one that rules know? One file of a
        folder and an ending speaks for all of these."""
        key = (folders, way.folder, name.rpartition(".")[2])
        if key not in self.named:
            gone = set(self.guide.strange(way))
            longer = (
                "/".join((*start[at:], name))
                for start in (starts(folders, stem) if gone else ())
                for at, folder in enumerate(start)
                if folder in gone
            )
            self.named[key] = any(
                len(path) > len(way.of(name)) and self.guide.unknown(path) and self.guide.take(path) is None
                for path in longer
            )
        return self.named[key]


def _shape(folders: tuple[str, ...], way: Way) -> str:
    """A way as what its folder begins with, and how many of the file's own folders follow: what its neighbours share."""
    own, kept = list(folders), way.folder.split("/") if way.folder else []
    same = 0
    while same < min(len(own), len(kept)) and own[-1 - same] == kept[-1 - same]:
        same += 1
    return f"{len(own) - same}:{'/'.join(kept[: len(kept) - same])}"


def summary(lies: Mapping[str, str]) -> list[tuple[str, str, int]]:
    """What lies beside its place, in short: (the folder or archive it lies in, the folder it is read as, how many)."""
    found: Counter[tuple[str, str]] = Counter()
    for place, path in lies.items():
        wanted, there = place.split("/"), path.split("/")
        while wanted and there and wanted[-1] == there[-1]:
            wanted.pop(), there.pop()
        found["/".join(there), "/".join(wanted)] += 1
    return [(there, wanted, count) for (there, wanted), count in sorted(found.items())]


def _is_frame(name: str) -> bool:
    return frame_number(name) is not None


def _is_medium(member: str) -> bool:
    name = member.rpartition("/")[2]
    return not name.startswith(".") and any(name.lower().endswith(suffix) for suffix in SUFFIXES)
