"""DeepfakeBench's JSON lists of frames: {dataset: {label name: {split: {[compression:] {clip: {label, frames, masks}}}}}}.

Their paths are absolute, of another machine, or have backslashes: the longest tail that is a folder below the root counts.
What is known to be wrong with published lists (one clip in several splits, a clip without its name, label names that are
used for another method) is settled here, and told.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmidd.errors import DataError, UsageError
from mmidd.manifest.accounting import SPLITS, Label, Split, frame_number
from mmidd.manifest.methods import lasting
from mmidd.share.imports.clips import STRICT, once, pair
from mmidd.share.imports.names import meaning
from mmidd.share.imports.protocol import Choices, Importer, Item, Key, Known, Notes
from mmidd.share.imports.root import File, Refused, Root, is_sane
from mmidd.share.imports.tails import Ambiguous, Tails, folder_of
from mmidd.share.imports.written import shown

MOST_BYTES = 1 << 30
MOST_TEXT = 200
_SCHEMA = "{dataset: {label name: {split: {[compression:] {clip: {label, frames}}}}}}"


@dataclass(frozen=True, slots=True)
class _Listed:
    """A clip as a list has it, in one split."""

    dataset: str
    label_name: str
    split: Split
    compression: str | None
    video: str
    frames: tuple[str, ...]
    masks: tuple[str, ...]
    inside: str | None

    @property
    def key(self) -> Key:
        return (self.dataset, self.label_name, *([self.compression] if self.compression else []), self.video)


def read(lists: Sequence[Path], root: Root, choices: Choices, notes: Notes) -> list[Item]:
    """Every clip of the lists whose frames are below the root."""
    _refuse_lmdb(root)
    found: dict[Key, list[_Listed]] = defaultdict(list)
    places = Tails(root, notes)
    for path in lists:
        listed = list(_clips(_load(path, notes), path, notes))
        if not listed:
            odd = notes.findings[-1] if notes.findings else None
            told = f" ({', '.join(map(shown, odd.where))}: {shown(odd.what)})" if odd is not None else ""
            raise DataError(f"{path} lists no clip{told}; DeepfakeBench's lists are {_SCHEMA}")
        places.learn(path.name, (frame for each in listed for frame in (*each.frames, *each.masks)))
        for each in listed:
            found[each.key].append(each)
    known = _meanings({(each[0].label_name, each[0].dataset) for each in found.values()}, choices, notes)
    items = (_item(key, each, known[each[0].label_name, each[0].dataset], places, notes) for key, each in found.items())
    kept = once([each for each in items if each is not None], notes)
    pair(kept)
    return kept


def _refuse_lmdb(root: Root) -> None:
    base = Path(root.path)
    if (base / "data.mdb").is_file() or (base.suffix == ".lmdb") or any(base.glob("*_lmdb/data.mdb")):
        raise DataError(
            f"{base} is an LMDB of DeepfakeBench; databases are not read. Write its frames out as files (the keys are their "
            "paths), or name the folder that it was made from"
        )


def _load(path: Path, notes: Notes) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        whole = dict(pairs)
        if len(whole) != len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            notes.add("name twice", "stands twice in one JSON object; the last one counts", path.name, twice)
        return whole

    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file, or none that can be read")
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} has more than {MOST_BYTES >> 20} MiB; is it a list of DeepfakeBench?")
        return json.loads(path.read_bytes(), object_pairs_hook=once, parse_int=lambda _: 0, parse_constant=lambda _: None)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except RecursionError as error:
        raise DataError(f"{path} is nested too deep; DeepfakeBench's lists are {_SCHEMA}") from error
    except ValueError as error:
        what = (
            f"{error.msg} at {error.lineno}:{error.colno}" if isinstance(error, json.JSONDecodeError) else "not UTF-8 text"
        )
        raise DataError(f"{path} is no JSON: {what}; write or download it again") from error


def _clips(data: Any, path: Path, notes: Notes) -> Iterator[_Listed]:
    if not isinstance(data, dict):
        raise DataError(f"{path} is no list of DeepfakeBench, which are {_SCHEMA}")
    for dataset, labels in data.items():
        for label_name, splits in _members(labels, notes, dataset):
            for written, clips in _members(splits, notes, dataset, label_name):
                split = SPLITS.get(written.casefold())
                if split is None:
                    notes.add("bad entry", f"no split is called {written!r}", f"{dataset}/{label_name}")
                    continue
                for place, video, entry in _below(clips, notes, (dataset, label_name, written)):
                    yield from _listed(dataset, label_name, split, place, video, entry, notes)


def _members(value: Any, notes: Notes, *where: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        notes.add("bad entry", "is no JSON object", "/".join(where))
        return
    for name, each in value.items():
        if is_sane(name) and 0 < len(name) <= MOST_TEXT:
            yield name, each
        else:
            notes.add(
                "bad entry", f"a name with control characters, of none or of more than {MOST_TEXT}", "/".join((*where, name))
            )


def _below(clips: Any, notes: Notes, where: tuple[str, ...]) -> Iterator[tuple[str | None, str, Any]]:
    """Compression, name and entry of every clip of a split. A level of compressions is one whose members hold clips."""
    if isinstance(clips, dict) and isinstance(clips.get("frames"), list):
        notes.add("bad entry", "a clip without its name: each one there was written over the one before", "/".join(where))
        return
    for name, entry in _members(clips, notes, *where):
        if isinstance(entry, dict) and "frames" not in entry and all(isinstance(each, dict) for each in entry.values()):
            for video, inner in _members(entry, notes, *where, name):
                yield name, video, inner
        else:
            yield None, name, entry


def _listed(
    dataset: str, label_name: str, split: Split, compression: str | None, video: str, entry: Any, notes: Notes
) -> Iterator[_Listed]:
    frames, masks = (entry.get("frames"), entry.get("masks")) if isinstance(entry, dict) else (None, None)
    where = (dataset, label_name, *([compression] if compression else []), video)
    if not isinstance(frames, list):
        notes.add("bad entry", "has no list of frames", "/".join(where))
        return
    inside = entry.get("label")
    texts = tuple(each for each in frames if isinstance(each, str))
    if len(texts) != len(frames):
        notes.add("bad entry", f"{len(frames) - len(texts)} of its frames are no paths", "/".join(where))
    drawn = tuple(each for each in masks if isinstance(each, str)) if isinstance(masks, list) else ()
    if masks is not None and (not isinstance(masks, list) or len(drawn) != len(masks)):
        notes.add("bad entry", "its masks are no list of paths, or some are none", "/".join(where))
    yield _Listed(dataset, label_name, split, compression, video, texts, drawn, inside if isinstance(inside, str) else None)


def _meanings(names: set[tuple[str, str]], choices: Choices, notes: Notes) -> dict[tuple[str, str], Known]:
    methods, found, unknown = lasting(), {}, set()
    for name, dataset in sorted(names):
        known = meaning(name, dataset, methods, choices.labels)
        if known is None:
            unknown.add(name)
            continue
        found[name, dataset] = known
        if known[1] and name.casefold().startswith("roop") and known[1] != getattr(methods.find("roop"), "id", "roop"):
            notes.add("label of another method", f"taken for {known[1]}, as its dataset is called", f"{dataset}/{name}")
    if unknown:
        shown = ", ".join(sorted(unknown)[:20])
        raise UsageError(
            f"nothing says whether these label names are real or fake: {shown}; say so with --label NAME=real or "
            "--label NAME=fake, one for each"
        )
    if idle := sorted(set(choices.labels) - {name for name, _ in names}):
        raise UsageError(
            f"--label {idle[0]}: no list has this label name; there are: {', '.join(sorted(n for n, _ in names))}"
        )
    return found


def _item(key: Key, listed: list[_Listed], known: Known, places: Tails, notes: Notes) -> Item | None:
    """One clip with the frames that are there; None where none is."""
    splits = {each.split for each in listed}
    split = next(each for each in STRICT if each in splits or each is None)
    if len(splits) > 1:
        notes.add("several splits", f"listed in {', '.join(sorted(splits))}; taken for {split}", "/".join(key))
    first, label, (_, method, kind) = next(each for each in listed if each.split == split), known[0], known
    if not _agrees_inside(listed, label, notes):
        return None
    files = _frames([each.frames for each in listed], places, notes, key, "frame")
    if not files:
        notes.add("no frames", "none of its frames was imported" if first.frames else "lists no frame", "/".join(key))
        return None
    masks = _frames([each.masks for each in listed], places, notes, key, "mask") if label == "fake" else {}
    group = f"{first.dataset}/{first.label_name}"
    return Item(
        key, group, first.video, "frames", label, folder_of(first.frames[0]), files, masks, first.compression, method, kind,
        split=split,
    )  # fmt: skip


def _agrees_inside(listed: Sequence[_Listed], label: Label, notes: Notes) -> bool:
    """Clips name their label once more. That of another name is told; one that says real of a fake, or fake of a real, is a
    contradiction that nobody here can settle."""
    for each in listed:
        if each.inside is None or each.inside == each.label_name:
            continue
        said = meaning(each.inside, each.dataset, lasting(), {})
        if said is not None and said[0] != label:
            notes.add("two labels", f"says {each.inside!r} itself; it was not imported", "/".join(each.key))
            return False
        notes.add("label inside", f"says {each.inside!r} itself; the name above it counts", "/".join(each.key))
        return True
    return True


def _frames(lists: Sequence[Sequence[str]], places: Tails, notes: Notes, key: Key, word: str) -> dict[int, File]:
    found: dict[int, File] = {}
    paths = list(dict.fromkeys(path for each in lists for path in each))
    if twice := sum(len(each) - len(set(each)) for each in lists):
        notes.add("listed twice", f"{twice} {word}s stand twice in one list", "/".join(key))
    for path in paths:
        try:
            file = places.file(path)
        except Ambiguous:
            notes.add("ambiguous place", f"{word}: its folder cannot be told from another one", "/".join(key), path)
            continue
        except Refused as refused:
            notes.add("refused path", f"{word}: {refused}", "/".join(key), path)
            continue
        except FileNotFoundError:
            notes.add("missing file", f"{word} is not below the folder of images", "/".join(key), path)
            continue
        number = frame_number(path.replace("\\", "/").rpartition("/")[2])
        number = 0 if number is None and len(paths) == 1 else number
        if number is None:
            notes.add("no frame number", f"{word}'s name ends in no number", "/".join(key), path)
        elif number in found:
            notes.add("second frame of a number", f"{word} {number} is there already", "/".join(key), path)
        else:
            found[number] = file
    return dict(sorted(found.items()))


IMPORTER = Importer(read, faces="keep")
