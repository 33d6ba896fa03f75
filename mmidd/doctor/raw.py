"""The data root: which datasets lie there, and which folders are nobody's. Looks at the first files of each; reads none."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from mmidd.doctor.report import Check, attempt, shown
from mmidd.errors import DataError, UsageError
from mmidd.manifest import Manifest, bundled
from mmidd.manifest.places import settle
from mmidd.manifest.strays import PLAIN, Strays, near_folder
from mmidd.raw.archives import SUFFIXES as ARCHIVES
from mmidd.raw.junk import is_litter
from mmidd.raw.listing import entries, locate
from mmidd.raw.store import address
from mmidd.show import shell_word
from mmidd.yamlfile import nearest

FILES, ENTRIES = 200, 4_000
"""Of a folder's files at most so many are looked at, among at most so many entries."""
MOST_FOLDERS = 20
_PROTOCOLS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


def root(data: str | Path) -> Iterator[Check]:
    """Everything about the data root."""
    try:
        where = address(data)
    except UsageError as error:
        yield Check("data", "root", "problem", shown(error), "give a folder, or an address such as s3://bucket/folder")
        return
    if isinstance(where, str):
        yield _remote(where)
        return
    if not where.is_dir():
        what = "is a file" if where.exists() else "is not there"
        yield Check("data", "root", "problem", f"{shown(where)} {what}", "give the folder that holds the datasets' folders")
        return
    if not os.access(where, os.R_OK | os.X_OK):
        found, advice = f"{shown(where)} cannot be read by this user", f"chmod -R u+rX {_quoted(where)}"
        yield Check("data", "root", "problem", found, advice)
        return
    yield from _datasets(where)


def _remote(url: str) -> Check:
    protocol = url.partition(":")[0]
    lacks = [str(name) for name in ("fsspec", _PROTOCOLS.get(protocol)) if name and find_spec(name) is None]
    if lacks:
        found = f"{shown(url)} is remote, and {' and '.join(dict.fromkeys(lacks))} is not installed"
        more = "" if protocol in ("s3", "s3a") else f" {lacks[-1]}"
        return Check("data", "root", "problem", found, f"pip install 'mmidd[remote]'{more}")
    return Check("data", "root", "ok", f"{shown(url)} is remote: its store was not asked, for no network is used")


def _datasets(where: Path) -> Iterator[Check]:
    manifests = bundled()
    under = [entry for entry in entries(where) if isinstance(entry, Path)]
    theirs: dict[str, Path] = {}
    claimed = {name.casefold() for each in manifests.values() for name in each.folders}
    for manifest in manifests.values():
        try:
            place = locate(manifest.name, manifest.folders, where, under)
        except DataError as error:
            yield Check("data", manifest.name, "problem", shown(error), "a build stops until only one is left")
            continue
        if isinstance(place, Path):
            theirs[manifest.name] = place
    seen = [entry for entry in under if not entry.name.startswith(".")]
    strange = [entry for entry in seen if entry.name.casefold() not in claimed and not _is_litter(entry)]
    folders = [entry for entry in strange if entry.is_dir()]
    if theirs:
        yield Check(
            "data", "root", "ok", f"{shown(where)} holds {len(theirs)} of the {len(manifests)} datasets that are known"
        )
    else:
        yield _no_dataset(where, folders, manifests)
    for name, place in theirs.items():
        yield from attempt("data", name, partial(_dataset, manifests[name], place))
    missing = {name: each for name, each in manifests.items() if name not in theirs}
    for folder in folders[:MOST_FOLDERS]:
        yield from attempt("data", shown(folder.name), partial(_nobodys, folder, manifests, missing))
    if len(folders) > MOST_FOLDERS:
        more = len(folders) - MOST_FOLDERS
        yield Check("data", "more folders", "warning", f"{more} more folders belong to no known dataset", "mmidd datasets")
    yield from _files(where, [entry for entry in strange if entry.is_file()], [e for e in under if _is_litter(e)])


def _leaves(link: str, inside: Path) -> bool:
    return not Path(os.path.realpath(link)).is_relative_to(inside)


def _is_litter(entry: Path | os.DirEntry[str]) -> bool:
    return is_litter(f"{entry.name}/" if entry.is_dir() else entry.name)


def first_files(folder: Path, links: list[str] | None = None) -> tuple[list[str], int]:
    """Some of a folder's files by their paths below it, litter left out, and how much litter was seen. Bounded. Links to
    folders, and links out of the folder, are added to `links`.

    Folders are looked into in turn, so that a large one does not hide the others. Raises OSError if it cannot be read.
    """
    found: list[str] = []
    root = folder.resolve()
    litter, seen, folders = 0, 0, [("", folder)]
    while folders and len(found) < FILES and seen < ENTRIES:
        prefix, here = folders.pop(0)
        try:
            with os.scandir(here) as listed:
                inside = sorted(islice(listed, ENTRIES // 4), key=lambda entry: entry.name)
        except OSError:
            if not prefix:
                raise
            continue
        seen += len(inside)
        taken = 0
        for entry in inside:
            if links is not None and entry.is_symlink() and (entry.is_dir() or _leaves(entry.path, root)):
                links.append(prefix + entry.name)
            if _is_litter(entry):
                litter += 1
            elif entry.is_dir():  # links as well: whether a build follows them it says itself
                folders.append((f"{prefix}{entry.name}/", Path(entry.path)))
            elif taken < FILES // 4:
                taken += 1
                found.append(prefix + entry.name)
    return found[:FILES], litter


def _fits(strays: Strays, path: str) -> bool:
    layout = strays.manifest.layout
    return strays.own.has(path) or any(each.regex.fullmatch(path) for each in (*layout.archives, *layout.ignore))


def _dataset(manifest: Manifest, place: Path) -> Iterator[Check]:
    """A dataset's folder: do its first files lie where they should?"""
    where = f"in {shown(place.name)}"
    layout = f"mmidd datasets {shlex.quote(manifest.slug)}"
    links: list[str] = []
    try:
        files, litter = first_files(place, links)
    except OSError as error:
        found, advice = f"{where}, which cannot be read: {error.strerror}", f"chmod -R u+rX {_quoted(place)}"
        yield Check("data", manifest.name, "problem", found, advice)
        return
    strays = Strays(manifest)
    wrong = [path for path in files if not _fits(strays, path)]
    if not files:
        yield Check("data", manifest.name, "problem", f"{where}, which holds no file", f"fill it ({layout}), or remove it")
    elif len(wrong) == len(files):
        why = _why(strays, wrong)
        count = _read_elsewhere(manifest, files)
        read = f"builds read {count} of its first {len(files)} files all the same; " if count else ""
        advice = f"{read}{layout} shows how it must lie"
        yield Check("data", manifest.name, "warning", f"{where}: {why} ({shown(wrong[0])})", advice)
    else:
        some = f"; {len(wrong)} of the first {len(files)} files are in no rule" if wrong else ""
        more = "mmidd index --check lists every such file" if wrong else None
        yield Check("data", manifest.name, "note" if wrong else "ok", where + some, more)
    if links:
        target = shell_word(os.path.realpath(place / links[0]))
        yield Check(
            "data", f"{manifest.name}: links", "warning",
            f"{len(links)} or more links to folders or out of it, such as {shown(links[0])}: builds do not follow them",
            f"allow the folder that they lead to (--follow-links ROOT; this one leads to {target})",
        )  # fmt: skip
    if litter:
        yield _litter(f"{manifest.name}: litter", litter)


def _read_elsewhere(manifest: Manifest, files: list[str]) -> int:
    """How many of these files, of which none lies where a rule looks, a build reads as if they did."""
    foreign = {name.casefold() for each in bundled().values() if each.name != manifest.name for name in each.folders}
    names = {manifest.name, manifest.slug, *manifest.folders}
    settled = settle(manifest.layout, names, foreign, dict.fromkeys(files, 0), {})
    return sum(path in set(settled.lies.values()) for path in files)


def _why(strays: Strays, wrong: list[str]) -> str:
    reasons = Counter(strays.reason(path) for path in wrong[: FILES // 4])
    said = [reason for reason, _ in reasons.most_common() if reason != PLAIN]
    return said[0] if said else "none of its first files lies where it should"


def _litter(name: str, count: int) -> Check:
    advice = "builds pass them by; nothing needs to be done"
    return Check("data", name, "note", f"{count} or more files that programs left behind (.DS_Store, ._*, __MACOSX)", advice)


def _no_dataset(where: Path, folders: list[Path], manifests: Mapping[str, Manifest]) -> Check:
    """Why a root may hold no dataset: it may be one itself, or lie too high."""
    here = where.resolve()
    own = [name for name, each in manifests.items() if here.name.casefold() in {n.casefold() for n in each.folders}]
    like = own or _like(where, manifests)
    if like:
        found = f"{shown(where)} is itself the folder of {' or '.join(like)}"
        rename = "" if own else f", in which it must be called {shown(manifests[like[0]].folders[0])}"
        return Check("data", "root", "problem", found, f"give the folder above it: --data {_quoted(here.parent)}{rename}")
    for folder in folders[:MOST_FOLDERS]:
        if inside := _known_inside(folder, manifests):
            found = f"{shown(where)} holds no dataset, but {shown(folder.name)} in it does: {', '.join(inside)}"
            return Check("data", "root", "problem", found, f"--data {_quoted(folder)}")
    found = f"{shown(where)} holds no dataset that is known"
    return Check("data", "root", "problem", found, "mmidd datasets lists them, mmidd datasets NAME shows how one must lie")


def _known_inside(folder: Path, manifests: Mapping[str, Manifest]) -> list[str]:
    """Datasets whose folders lie in this one."""
    try:
        with os.scandir(folder) as listed:
            inside = {e.name.casefold() for e in islice(listed, ENTRIES) if e.is_dir()}
    except OSError:
        return []
    return [name for name, each in manifests.items() if inside & {n.casefold() for n in each.folders}]


def _like(folder: Path, manifests: Mapping[str, Manifest]) -> list[str]:
    """Datasets whose layout most of a folder's first files fit; none where too many would."""
    try:
        files, _ = first_files(folder)
    except OSError:
        return []
    some = files[: FILES // 2]
    found = [name for name, each in manifests.items() if some and _share(Strays(each), some) > 0.5]
    return found if len(found) <= 2 else []


def _share(strays: Strays, files: list[str]) -> float:
    return sum(strays.own.has(path) for path in files) / len(files)


def _nobodys(folder: Path, manifests: Mapping[str, Manifest], missing: Mapping[str, Manifest]) -> Iterator[Check]:
    """A folder under the root that no dataset claims: what it may be meant to be."""
    name = shown(folder.name)
    names = {accepted: each.name for each in missing.values() for accepted in each.folders}
    if inside := _known_inside(folder, manifests):
        found = f"belongs to no dataset, but holds some: {', '.join(inside)}"
        yield Check("data", name, "warning", found, f"move them up into the data root, or give --data {_quoted(folder)}")
    elif like := _like(folder, missing):
        found = f"belongs to no dataset by its name, but its files lie as those of {' or '.join(like)}"
        yield Check("data", name, "warning", found, f"rename it to {shown(missing[like[0]].folders[0])}")
    elif close := near_folder(folder.name, names) or nearest(folder.name, names):
        meant = missing[names[close]].folders[0]
        yield Check("data", name, "warning", "belongs to no dataset", f"did you mean {shown(meant)}? Then rename it")
    else:
        yield Check("data", name, "note", "belongs to no known dataset: builds leave it alone", "mmidd datasets lists them")


def _files(where: Path, files: list[Path], litter: list[Path]) -> Iterator[Check]:
    """Files directly under the root, which no dataset can claim."""
    archives = [each for each in files if each.name.lower().endswith(tuple(ARCHIVES))]
    if archives:
        found = f"in no dataset's folder: {len(archives)}, such as {shown(archives[0].name)}"
        yield Check("data", "archives", "note", found, "make a folder with the dataset's name and put them there")
    others = [each for each in files if each not in archives]
    if others:
        found = f"in no dataset's folder: {len(others)}, such as {shown(others[0].name)}"
        yield Check("data", "files", "note", found, "builds leave them alone")
    if litter:
        yield _litter("litter", len(litter))


def _quoted(path: Path) -> str:
    return shell_word(str(path))
