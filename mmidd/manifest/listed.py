"""What lies in a dataset's folder, as its rules see it: archives opened, and what lies beside its place put there."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mmidd.manifest.accounting import unpacked
from mmidd.manifest.format import Manifest, archive_paths, bundled
from mmidd.manifest.places import Settled, settle
from mmidd.raw import archives, listing
from mmidd.raw.listing import Listing, Stat
from mmidd.raw.path import Place

_PART = re.compile(
    r"(?P<whole>.+)\.(?:z\d{2,3}|(?P<kind>zip|tar|tar\.gz|tgz|7z)\.(?:\d{1,4}|[a-f][a-z]))|(?P<rar>.+)\.(?:part\d+\.rar|r\d{2})",
    re.IGNORECASE | re.DOTALL,
)
_OTHERS = (".7z", ".rar", ".tar.bz2", ".tar.xz", ".tar.zst", ".tbz2", ".txz")


def listed(manifest: Manifest, root: Place, kept: Path, follow: Sequence[Path] = (), *, keep: bool) -> Listing:
    """List a dataset's folder. What is found in archives is kept in the folder `kept`; `keep=False` only reads there.

    Raises DataError where the folder cannot be read.
    """
    files = listing.walk(root, follow)
    named = archive_paths(manifest, files.files)
    files = listing.open_archives(manifest.name, named, root, files, kept, keep=keep)
    folders = _folders(files.files)
    told = unread(files.files, folders)
    more = [path for path in _archives(manifest, files, folders) if path not in told]
    opened = listing.open_archives(manifest.name, more, root, files, kept, keep=keep)
    inside: dict[str, dict[str, int]] = {path: {} for path in more if path in opened.archives}
    plain: dict[str, int] = {}
    for path, about in opened.files.items():
        if about.archive in inside:
            inside[about.archive][path[len(about.archive) + 1 :]] = about.bytes
        elif path not in told:
            plain[path] = about.bytes
    settled = settle(manifest.layout, {manifest.name, manifest.slug, *manifest.folders}, _foreign(manifest), plain, inside)
    done = {path for path in more if unpacked(path) in folders}
    return _rebuilt(files, opened, settled, told, done)


def _foreign(manifest: Manifest) -> set[str]:
    """The names of the other datasets' folders."""
    others = (each for each in bundled().values() if each.name != manifest.name)
    return {name.casefold() for each in others for name in each.folders}


def _folders(files: Iterable[str]) -> frozenset[str]:
    """Every folder above a file."""
    found: set[str] = set()
    for path in files:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(found)


def _archives(manifest: Manifest, files: Listing, folders: frozenset[str]) -> list[str]:
    """The archives to look into, but those that the manifest names. A compressed tar that was unpacked beside itself is
    none of them: it would have to be read as a whole."""
    named = manifest.layout.archives
    found = [path for path, about in files.files.items() if archives.is_archive(path) and about.archive is None]
    visible = (path for path in sorted(found) if not path.rpartition("/")[2].startswith("."))
    whole = (path for path in visible if not (archives.is_sequential(path) and unpacked(path) in folders))
    return [path for path in whole if all(pattern.match(path) is None for pattern in named)]


def unread(files: Mapping[str, Stat], folders: frozenset[str]) -> dict[str, str]:
    """The files that are archives in parts, or of a kind that is not read in place, with what to do; none of those that
    were unpacked into a folder of their name."""
    sets: dict[tuple[str, str], list[str]] = defaultdict(list)
    found: dict[str, str] = {}
    for path, about in files.items():
        part = _PART.fullmatch(path)
        if about.archive is not None:
            continue
        if part is not None:
            whole, kind = part["whole"] or part["rar"], (part["kind"] or "").lower()
            kind = f".{kind}" if kind else ".rar" if part["rar"] else ".zip"
            if part["kind"] is None or f"{whole}{kind}" not in files:
                sets[whole, kind].append(path)
        elif path.lower().endswith(_OTHERS):
            stem = path[: -len(next(each for each in _OTHERS if path.lower().endswith(each)))]
            if stem not in folders:
                found[path] = f"an archive of a kind that is not read in place: unpack it ({_unpack(path)})"
    for (whole, kind), parts in sets.items():
        if whole in folders:
            continue
        last = f"{whole}{kind}" if f"{whole}{kind}" in files else None
        reason = f"a part of an archive in {len(parts) + bool(last)} parts: {_join(whole, kind, parts)}"
        found.update(dict.fromkeys([*parts, *([last] if last else [])], reason))
    return found


def _join(whole: str, kind: str, parts: list[str]) -> str:
    name, here = whole.rpartition("/")[2], " in its folder" if "/" in whole else ""
    if kind in (".rar", ".7z"):
        return f"unpack it{here} ({_unpack(sorted(parts)[0].rpartition('/')[2])})"
    if kind == ".zip" and any(re.fullmatch(r".*\.z\d+", part, re.IGNORECASE | re.DOTALL) for part in parts):
        joined = f"zip -s 0 {shlex.quote(f'{name}.zip')} --out {shlex.quote(f'{name}-joined.zip')}"
    else:
        joined = f"cat {shlex.quote(f'{name}{kind}')}.* > {shlex.quote(f'{name}{kind}')}"
    return f"join them{here} ({joined}), then move the parts away"


def _unpack(path: str) -> str:
    lower = path.lower()
    if lower.endswith((".7z", ".001")):
        return f"7z x {shlex.quote(path)}"
    return f"unrar x {shlex.quote(path)}" if lower.endswith(".rar") else f"tar xf {shlex.quote(path)}"


def _rebuilt(before: Listing, opened: Listing, settled: Settled, told: Mapping[str, str], done: set[str]) -> Listing:
    """The listing as the rules see it: files by their places, and what is not used with the reason.

    Of an archive that was unpacked beside itself (`done`), and that nothing is read from, no fault is told.
    """
    back = {path: place for place, path in settled.lies.items() if path in opened.files}
    gone = {**told, **settled.told}
    quiet = {path for path in done if path in settled.unused or path in opened.refused}
    files = {
        back.get(path, path): about
        for path, about in opened.files.items()
        if about.archive not in settled.unused and path not in settled.twice and path not in gone
    }
    files.update({path: before.files[path] for path in {*settled.unused, *quiet} - gone.keys()})
    theirs = ((path, why, _archive(path, opened)) for path, why in opened.refused.items())
    faults = {path: why for path, why, archive in theirs if path in before.refused or archive not in quiet}
    kept = {path: about for path, about in opened.archives.items() if path not in settled.unused}
    return replace(opened, files=files, refused={**faults, **gone}, archives=kept, lies=settled.lies)


def _archive(path: str, opened: Listing) -> str:
    """The archive that a refused name lies in, or is."""
    ends = (at for at, each in enumerate(path) if each == "/")
    return next((path[:end] for end in ends if path[:end] in opened.archives), path)
