"""Which media paths name: files, folders, folders of numbered images, archives. All else is said, and nothing is opened that
is no regular file."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmidd.errors import DataError, UsageError, reason, told
from mmidd.media import Kind
from mmidd.raw.archives import is_archive
from mmidd.raw.bytes import Archive, FilePart, MediaFile
from mmidd.raw.disk import FOLDER, OUTSIDE
from mmidd.raw.listing import Listing, Stat, clip_stat, open_archives, walk

IMAGES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".mpo"))
VIDEOS = frozenset(
    (
        ".mp4",
        ".m4v",
        ".mov",
        ".avi",
        ".mkv",
        ".webm",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
        ".flv",
        ".3gp",
        ".ogv",
    )
)
_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})", re.DOTALL)
_LEAST_FRAMES = 2
_OURS = {
    OUTSIDE: "a link that leads out of the folder: name what it leads to, and that is judged",
    FOLDER: "a link to a folder: name that folder, and it is judged",
    "not a regular file": "a pipe, a device or a socket: it was not opened",
    "name is not UTF-8": "its name is not UTF-8: name the file itself, and it is judged",
}
"""What the listing of raw data says, for who named a folder."""
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")


@dataclass(frozen=True, slots=True)
class Named:
    """A medium that is to be judged. `shown`: its path as it was given, and what follows below that, in an archive too."""

    shown: str
    file: MediaFile
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passed:
    """What lies there and is not judged, and why."""

    shown: str
    reason: str


@dataclass(frozen=True)
class AllNamed:
    """`others`: files of folders and archives that are no media by their names, by how they end. `litter`: what programs
    left behind. `twice`: how many media were named again."""

    media: tuple[Named, ...] = ()
    passed: tuple[Passed, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    litter: int = 0
    twice: int = 0


def all_named(paths: Sequence[str | Path], *, stills: bool = False) -> AllNamed:
    """The media of all paths, each once, in the order in which they were named.

    A folder whose files are all images of one name but for a number is one clip, unless `stills`. Raises UsageError for what
    is not there, and for an address.
    """
    if not paths:
        raise UsageError("name an image, a video, a folder or an archive")
    _check(paths)
    media: dict[tuple[str, str], Named] = {}
    passed: dict[Passed, None] = {}
    others: Counter[str] = Counter()
    litter = twice = 0
    for path in paths:
        found = _of_path(os.fspath(path), stills)
        passed |= dict.fromkeys(found.passed)
        others.update(found.others)
        litter += found.litter
        for each in found.media:
            inside = each.file.parts[0].name if each.file.archive else ""
            key = os.path.realpath(each.file.root / each.file.name), inside  # type: ignore[arg-type]
            twice += key in media
            media.setdefault(key, each)
    return AllNamed(tuple(media.values()), tuple(passed), dict(sorted(others.items())), litter, twice)


def _check(paths: Sequence[str | Path]) -> None:
    for path in paths:
        text = os.fspath(path)
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/{1,2}[^/]", text) and not os.path.lexists(text):
            protocol = text.partition(":")[0]
            raise UsageError(
                f"{protocol}://...: nothing is fetched from an address: get the file first (curl, aws s3 cp), then name it"
            )
        if not text or not _is_there(text):
            raise UsageError(f"there is no {text!r}: name an image, a video, a folder or an archive")


def _is_there(text: str) -> bool:
    try:
        os.lstat(text)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except ValueError:  # a zero byte
        return False
    except OSError:
        pass  # it is refused later, with its reason
    return True


def _of_path(given: str, stills: bool) -> AllNamed:
    path = Path(given)
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            return _sorted(given, path, walk(path), stills)
        if not stat.S_ISREG(about.st_mode):
            return AllNamed(passed=(Passed(given, "a pipe, a device or a socket: it was not opened"),))
        real = path.resolve()
        listing = Listing({real.name: Stat(about.st_size, about.st_mtime_ns, ctime_ns=about.st_ctime_ns)})
        if is_archive(path.name):
            return _sorted(given, real.parent, listing, stills, one=real.name)
        file = MediaFile(
            real.parent, real.name, _kind(path.name) or _looked_at(real), about.st_size, about.st_mtime_ns,
            ctime_ns=about.st_ctime_ns,
        )  # fmt: skip
        return AllNamed((Named(given, file),))
    except DataError as error:
        return AllNamed(passed=(Passed(given, str(error)),))
    except (OSError, RuntimeError) as error:
        why = reason(error) if isinstance(error, OSError) else None
        return AllNamed(passed=(Passed(given, f"cannot be read: {why or told(error)}"),))


def _kind(name: str) -> Kind | None:
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122
    return "image" if ending in IMAGES else "video" if ending in VIDEOS else None


def _looked_at(path: Path) -> Kind:
    """Of a file that was named and whose name says nothing."""
    with path.open("rb") as file:
        head = file.read(16)
    return "image" if head.startswith(_PICTURES) or (head[:4], head[8:12]) == (b"RIFF", b"WEBP") else "video"


def _sorted(given: str, root: Path, listing: Listing, stills: bool, one: str | None = None) -> AllNamed:
    """The media of a folder, or of `one` archive in it."""
    found = sorted(name for name in listing.files if is_archive(name))
    listing = open_archives("", found, root, listing, None)

    def shown(name: str) -> str:
        inner = name if one is None else name[len(one) + 1 :]
        return f"{given.rstrip('/') or '/'}/{inner}" if inner else given

    passed = [Passed(shown(name), _OURS.get(why, why)) for name, why in sorted(listing.refused.items())]
    folders: dict[str, list[str]] = defaultdict(list)
    for name in listing.files:
        folders[name.rpartition("/")[0]].append(name)
    media: list[Named] = []
    others: Counter[str] = Counter()
    for folder, names in sorted(folders.items()):
        clip = None if stills else _clip(names)
        if clip is not None:
            note = f"{len(clip):,} numbered images, judged as one clip (--stills judges each by itself)"
            media.append(Named(shown(folder).rstrip("/"), _frames(root, listing, folder, clip), (note,)))
            continue
        for name in sorted(names):
            kind = _kind(name)
            if kind is None:
                others[os.path.splitext(name)[1].lower()[:20] or "no ending"] += 1  # noqa: PTH122
            else:
                media.append(Named(shown(name), _file(root, listing, name, kind)))
    if not media and not passed:
        passed.append(Passed(given, "no image or video is in it"))
    return AllNamed(tuple(media), tuple(passed), dict(others), listing.litter)


def _clip(names: Sequence[str]) -> dict[int, str] | None:
    """The numbers of a folder's files, ascending, if all are images whose names differ by a number alone."""
    found: dict[int, str] = {}
    alike: set[tuple[str, str]] = set()
    for name in names:
        stem, ending = os.path.splitext(name.rpartition("/")[2])  # noqa: PTH122
        match = _NUMBERED.fullmatch(stem)
        if match is None or ending.lower() not in IMAGES:
            return None
        alike.add((match[1], ending.lower()))
        found[int(match[2])] = name
        if len(alike) > 1:
            return None
    return dict(sorted(found.items())) if len(found) == len(names) >= _LEAST_FRAMES else None


def _file(root: Path, listing: Listing, name: str, kind: Kind) -> MediaFile:
    about = listing.files[name]
    parts = tuple(_parts(listing, {0: name})) if about.archive else ()
    return MediaFile(
        root, listing.disk(about.archive or name), kind, about.bytes, about.mtime_ns, _archive(listing, about), parts,
        about.ctime_ns,
    )  # fmt: skip


def _frames(root: Path, listing: Listing, folder: str, clip: Mapping[int, str]) -> MediaFile:
    about = clip_stat({name: listing.files[name] for name in clip.values()})
    return MediaFile(
        root, listing.disk(about.archive or folder), "frames", about.bytes, about.mtime_ns, _archive(listing, about),
        tuple(_parts(listing, clip, folder)), about.ctime_ns,
    )  # fmt: skip


def _archive(listing: Listing, about: Stat) -> Archive | None:
    if about.archive is None:
        return None
    seen = listing.archives[about.archive]
    return Archive(about.archive, seen.bytes, seen.mtime_ns)


def _parts(listing: Listing, names: Mapping[int, str], folder: str = "") -> Iterator[FilePart]:
    for number, name in names.items():
        about = listing.files[name]
        inner = listing.where(name)[len(about.archive or folder) + 1 :] if about.archive or folder else listing.where(name)
        lies, below = listing.disk(name), f"{listing.disk(folder)}/" if folder else ""
        place = lies.removeprefix(below) if about.archive is None else None
        yield FilePart(number, inner, about.bytes, about.mtime_ns, about.offset, None if place == inner else place)
