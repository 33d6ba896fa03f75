"""A table of images, videos and folders of frames: `path,label[,method,type,identity,source_identity,split,pair]`.

Paths are relative to the root and stay below it. Commas, semicolons or tabs, UTF-8 or UTF-16. A row that cannot be taken
is told with its line; nothing of it is guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from mmidd.errors import DataError, ManifestError
from mmidd.manifest import clip_frames, kind_of, names_a_folder
from mmidd.manifest.accounting import SPLITS, Label
from mmidd.manifest.labelfiles import open_labels
from mmidd.manifest.methods import ForgeryType, lasting
from mmidd.share.imports.protocol import Choices, Importer, Item, Key, Notes
from mmidd.share.imports.root import File, Refused, Root, is_sane, split_path
from mmidd.yamlfile import unknown

MOST_BYTES = 1 << 29
MOST_TEXT = 200
COLUMNS = ("path", "label", "method", "type", "identity", "source_identity", "split", "pair")
LABELS: dict[str, Label] = {"real": "real", "0": "real", "fake": "fake", "1": "fake"}
TYPES = ("FS", "FR", "EFS", "FE")

Row = Mapping[str, str | None]


@dataclass(frozen=True)
class _Shape:
    """How the table is read: rows under a header that has at least a path and a label."""

    rows: Literal["list", "object"] = "list"
    at: tuple[str, ...] = ()
    header: bool = True
    columns_in_line: int | None = None
    reads: frozenset[str] = frozenset(COLUMNS)
    needs: frozenset[str] = frozenset({"path", "label"})


def read(lists: Sequence[Path], root: Root, choices: Choices, notes: Notes) -> list[Item]:
    """Every row of the tables whose files are below the root."""
    if choices.labels:
        raise DataError("--label is for lists of DeepfakeBench; a table has a column `label`")
    rows: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    for path in lists:
        for place, row in _rows(path, notes):
            rows[row.get("path") or ""].append((place, row))
    if not rows:
        raise DataError(f"{lists[0]} has no row below its header")
    items = _by_key([item for path_, same in rows.items() if (item := _item(path_, same, root, notes)) is not None], notes)
    _once(items, notes)
    _pairs(items, notes)
    return list(items.values())


def _rows(path: Path, notes: Notes) -> list[tuple[str, Row]]:
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file, or none that can be read")
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} has more than {MOST_BYTES >> 20} MiB; split it, and name all parts")
        opened = open_labels(_Shape(), f"{path.name}.csv", path.read_bytes(), ())
        found: list[tuple[str, Row]] = []
        for place, row in opened.rows:
            if not found:
                _check_columns(path, row)
            found.append((place.replace(f"{path.name}.csv", path.name), {name: row.get(name) or None for name in COLUMNS}))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except ManifestError as error:
        raise DataError(str(error).replace(f"{path.name}.csv", str(path))) from error
    for note in opened.notes:
        notes.add("table", note, path.name)
    return found


def _check_columns(path: Path, row: Row) -> None:
    names = [name for name in row if not name.isdigit()]
    strange = [name for name in names if name not in COLUMNS]
    if strange:
        raise DataError(f"{path}: {unknown('column', strange[0], COLUMNS)}")
    if missing := {"path", "label"} - set(names):
        raise DataError(
            f"{path}: no column {min(missing)!r}; the first line names the columns: path,label, then what is known"
        )


def _item(path: str, same: list[tuple[str, Row]], root: Root, notes: Notes) -> Item | None:
    """The medium of a path; None where its rows contradict each other, or nothing can be taken."""
    place, row = same[0]
    if any(other != row for _, other in same[1:]):
        told = ", ".join(other.rpartition(":")[2] for other, _ in same[:5])
        notes.add("contradicting rows", f"lines {told} say other things of it", path)
        return None
    if len(same) > 1:
        notes.add("same row twice", f"{len(same) - 1} times more", path)
    long = next((name for name, value in row.items() if name not in ("path", "pair") and len(value or "") > MOST_TEXT), None)
    odd = next((name for name, value in row.items() if value and not is_sane(value)), None)
    label, kind, fault = LABELS.get((row["label"] or "").casefold()), row["type"], None
    if odd or long:
        fault = f"{odd or long} has control characters, or more than {MOST_TEXT}"
    elif label is None:
        fault = f"label {row['label']!r} is none of real, fake, 0 (real), 1 (fake)"
    elif kind not in (None, "REAL", *TYPES):
        fault = f"type {kind!r} is none of REAL, {', '.join(TYPES)}"
    elif (kind == "REAL") != (label == "real") and kind is not None:
        fault = f"type {kind} contradicts its label {label}"
    if fault is not None or label is None:
        notes.add("bad entry", f"{place}: {fault}", path)
        return None
    try:
        key, files, folder = _files(path, root, notes)
    except Refused as refused:
        notes.add("refused path", f"{place}: {refused}", path)
        return None
    except FileNotFoundError:
        notes.add("missing file", f"{place}: not below the folder of images", path)
        return None
    if files is None:
        notes.add("no frames" if folder else "bad entry", f"{place}: {_NOTHING[folder]}", path)
        return None
    return _described(key, row, label, files, "frames" if folder else None, notes, place)


_NOTHING = {True: "no image in this folder has a number", False: "its ending is that of no image or video"}


def _files(path: str, root: Root, notes: Notes) -> tuple[Key, dict[int, File] | None, bool]:
    """The key of a medium, its files by number, and whether it is a folder of frames. No files: none could be taken."""
    parts = split_path(path, foreign=False)
    file = root.file(parts)
    if file is None and "\\" in path:
        parts = split_path(path.replace("\\", "/"), foreign=False)
        file = root.file(parts)
    if file is not None:
        return parts, None if names_a_folder(parts[-1].lower()) else {0: file}, False
    folder = root.folder(parts)
    if folder is None:
        raise FileNotFoundError
    names = folder.files()
    numbered = clip_frames(names)
    if left := len(names) - len(numbered):
        notes.add(
            "left in a folder of frames", f"{left} files that are no numbered image, or a second one of a number", path
        )
    found = {number: frame for number, name in numbered.items() if (frame := folder.file(name)) is not None}
    return parts, found or None, True


def _described(
    key: Key, row: Row, label: Label, files: dict[int, File], kind: Literal["frames"] | None, notes: Notes, place: str
) -> Item:
    path, method = "/".join(key), row["method"]
    if method and label == "real":
        notes.add("method of a real", f"{place}: {method!r} was left out", path)
        method = None
    known = lasting().find(method) if method else None
    split = SPLITS.get((row["split"] or "").casefold())
    if split is None and row["split"]:
        notes.add("unknown split", f"{place}: {row['split']!r}; it goes by its group or by hash", path)
    type_ = cast("ForgeryType", row["type"]) if row["type"] in TYPES else None
    method = known.id if known else method
    return Item(
        key, f"{label}/{method}" if method else label, key[-1] if kind else key[-1].rpartition(".")[0],
        kind or kind_of(key[-1].lower()), label, row["path"] or "", files, method=method, type=type_,
        target=row["identity"], source=row["source_identity"] if label == "fake" else None, split=split,
        pair=(row["pair"],) if row["pair"] else None, join=True,
    )  # fmt: skip


def _by_key(found: Sequence[Item], notes: Notes) -> dict[Key, Item]:
    """Media by key. A path that is spelled in several ways (`a.png` and `./a.png`) is one medium, if all say the same."""
    items: dict[Key, Item] = {}
    contradicted: set[Key] = set()
    for item in found:
        first = items.setdefault(item.key, item)
        if first is item:
            continue
        if _said(first) == _said(item):
            notes.add("same row twice", f"as {first.original} and as {item.original}", item.place)
        else:
            told = f"{first.original} and {item.original} are one path, and say other things of it"
            notes.add("contradicting rows", told, item.place)
            contradicted.add(item.key)
    return {key: item for key, item in items.items() if key not in contradicted}


def _said(item: Item) -> tuple[object, ...]:
    return item.label, item.method, item.type, item.target, item.source, item.split, item.pair


def _once(items: dict[Key, Item], notes: Notes) -> None:
    """Two paths that lead to one file (by links, by upper and lower case) are one medium, if they say the same."""
    owners: dict[str, Item] = {}
    gone: list[Key] = []
    for item in items.values():
        first = owners.setdefault(next(iter(item.files.values())).path, item)
        if first is item:
            continue
        same = (first.label, first.method, first.split) == (item.label, item.method, item.split)
        what, told = ("same file twice", "the first is imported") if same else ("contradicting rows", "neither was imported")
        notes.add(what, f"two paths lead to one file; {told}", first.place, item.place)
        gone += [item.key] if same else [item.key, first.key]
    for key in gone:
        items.pop(key, None)


def _pairs(items: dict[Key, Item], notes: Notes) -> None:
    """A pair is a real of the table, by its path."""
    for item in items.values():
        if item.pair is None:
            continue
        (text,), item.pair = item.pair, None
        try:
            parts = split_path(text, foreign=False)
            parts = parts if parts in items else split_path(text.replace("\\", "/"), foreign=False)
        except Refused:
            parts = ()
        real = items.get(parts)
        if item.label == "real":
            notes.add("pair of a real", "a real was made from no other; the pair was left out", item.place)
        elif real is None or real.label != "real":
            why = "is not in the table, or was not imported" if real is None else "is a fake"
            notes.add("pair that is none", f"its pair {why}; it has none", item.place, text)
        else:
            item.pair = real.key
            if real.split != item.split:
                told = f"{item.split or 'none'}, its real is in {real.split or 'none'}"
                notes.add("pair in two splits", f"is in {told}; a build keeps what is stricter", item.place, text)


IMPORTER = Importer(read, faces="detect")
