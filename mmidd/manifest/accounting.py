"""Every file under a dataset's root accounted for: a medium with its labels, a label file, ignored, or unmatched."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from posixpath import splitext
from typing import Generic, Literal, TypeVar

from mmidd.manifest.layout import Field, Pattern, Template, path_fault
from mmidd.manifest.lists import Listed, judge, with_shortness
from mmidd.manifest.methods import Method
from mmidd.manifest.tables import BadValue, Table, TableSpec, missing_files, read_table
from mmidd.media import FaceMode, Inside, Kind, Turn
from mmidd.raw.archives import SUFFIXES as ARCHIVES
from mmidd.raw.junk import no_medium

T = TypeVar("T")
S = TypeVar("S", str, str | None)

Label = Literal["real", "fake"]
Split = Literal["train", "validation", "test"]
Basis = Literal["stated", "dataset", "unknown"]

SUFFIXES: dict[str, Kind] = {
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"), "video"),
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"), "image"),
}
IMAGES = frozenset(suffix for suffix, kind in SUFFIXES.items() if kind == "image")
_LOSSY = (".jpg", ".jpeg", ".webp")
_NUMBER = re.compile(r"([0-9]+)\Z")
_MOST_DIGITS = 9
SECOND = "a second frame"

SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True, slots=True)
class Medium:
    """One video, image, HDF5 file, or folder of numbered images (`frames`) with all that its name and label files say of it.

    `media` is its POSIX path below the dataset's root; an archive's name is a part of the paths of its members.
    `forgery_type` is REAL, FS, FR, EFS, FE, or None where nobody published it and of a presentation attack, whose family
    the registry has by its `method`. `pair_media` lies in dataset
    `pair_dataset`; `aligned` says that frames and geometry agree with it.
    A pair in another dataset is the first of `pair_candidates` ("DATASET:path"), which only that dataset's index can
    tell apart. Media that share one of `group_keys` stay on one side of a split. `split` is the official one.
    `mask` is the path of the file, or of the folder of numbered images, that shows where a fake was manipulated.
    """

    dataset: str
    media: str
    kind: Kind
    rule: str
    label: Label
    forgery_type: str | None
    method: str | None
    compression: str | None
    target_id: str | None
    source_id: str | None
    pair_dataset: str | None
    pair_media: str | None
    aligned: bool
    group_keys: tuple[str, ...]
    split: Split | None
    licence: str
    faces: FaceMode = "detect"
    pair_candidates: tuple[str, ...] = ()
    mask: str | None = None


@dataclass(frozen=True)
class Accounting:
    """Where every path went; each is in exactly one of `media`, `label_files`, `ignored` (counted), `unmatched`.

    A path may also be a frame of a medium that is a folder: `frames` has them as medium -> number -> path.
    `missing_label_files` ("table: path") are those that the disk lacks, of tables in which a medium had no row;
    `missing_pairs` are fakes whose real is not there. `unlabelled` are those of the unmatched that are media by a rule's
    path and are lost for want of a label, or for one that is contradicted. `lists` says what came of each label file that
    is here, `partial_rules` names the rules whose split is said by a list that is not known to be the whole official one.
    """

    media: list[Medium]
    label_files: list[str]
    ignored: dict[str, int]
    unmatched: list[tuple[str, str]]
    missing_label_files: list[str] = field(default_factory=list)
    missing_pairs: list[str] = field(default_factory=list)
    frames: dict[str, dict[int, str]] = field(default_factory=dict)
    unlabelled: set[str] = field(default_factory=set)
    lists: list[Listed] = field(default_factory=list)
    partial_rules: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PairRule:
    """Where a fake's real may lie: a path below the root of `dataset` (None: the same dataset)."""

    dataset: str | None
    media: Template


@dataclass(frozen=True)
class Rule:
    """One compiled rule of a manifest: which paths it takes and what it says of them."""

    id: str
    paths: tuple[Pattern, ...]
    kind: Kind | None
    inside: Inside | None
    faces: FaceMode
    turn: Turn
    look_up: tuple[tuple[str, Template], ...]
    where: tuple[tuple[str, frozenset[str | None]], ...]
    label: Label
    method: Template | None
    basis: Basis
    forgery_type: str | None
    compression: Template | None
    target_id: Template | None
    source_id: Template | None
    pairs: tuple[PairRule, ...]
    masks: tuple[Template, ...]
    unless: tuple[Template, ...]
    aligned: bool
    groups: tuple[Template, ...]
    join_identities: bool
    split: Template | None

    @property
    def tables(self) -> frozenset[str]:
        """The tables that it looks media up in."""
        return frozenset(table for table, _ in self.look_up)


@dataclass(frozen=True)
class Layout:
    """A manifest compiled for matching.

    `bundled` holds lists that ship with the manifest, as table -> official path -> bytes; they stand in for a table of
    which the dataset has no file.
    """

    dataset: str
    licence: str
    fields: Mapping[str, Field]
    tables: tuple[TableSpec, ...]
    rules: tuple[Rule, ...]
    archives: tuple[Pattern, ...]
    ignore: tuple[Pattern, ...]
    empty_folders: tuple[Pattern, ...]
    find_method: Callable[[str], Method | None]
    bundled: Mapping[str, Mapping[str, bytes]]


class _Rejected(Exception):
    """A rule whose path matched cannot take it. A strong reason is told rather than a condition that did not hold.
    `label`: by what a label file says, or does not say."""

    def __init__(self, reason: str, *, strong: bool = True, label: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.strong = strong
        self.label = label


def label_paths(layout: Layout, paths: Iterable[str]) -> list[str]:
    """The label files among `paths`, sorted."""
    files = Heads([(pattern, pattern) for spec in layout.tables for pattern in spec.files])
    return sorted({path for path in paths if files.first(path) is not None and not no_medium(path)})


def archive_paths(layout: Layout, paths: Iterable[str]) -> list[str]:
    """The archives among `paths` whose members are read in place, sorted.

    One that was unpacked beside itself (`set.zip`, and files in `set/`) stays a plain file: nothing is read twice.
    """
    if not layout.archives:
        return []
    listed = [path for path in paths if not no_medium(path)]
    patterns = Heads([(pattern, pattern) for pattern in layout.archives])
    found = {path: unpacked(path) for path in listed if patterns.first(path) is not None}
    wanted = set(found.values())
    there = {folder for path in listed for folder in _ancestors(path) if folder in wanted}
    return sorted(path for path, folder in found.items() if folder not in there)


def unpacked(path: str) -> str:
    """The folder that an archive is commonly unpacked to."""
    ending = next(suffix for suffix in sorted(ARCHIVES, key=len, reverse=True) if path.lower().endswith(suffix))
    return path[: -len(ending)]


def _ancestors(path: str) -> Iterator[str]:
    end = path.find("/")
    while end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)


def frame_number(name: str) -> int | None:
    """The number that an image's name ends with (`seed0188.png`, `seed0188.PNG`: 188), or is, without a suffix (`001`); None
    where it is no numbered image, or a hidden file, as the `._0188.png` that macOS puts beside one."""
    if name.startswith("."):
        return None
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        return int(name) if name.isascii() and name.isdigit() and len(name) <= _MOST_DIGITS else None
    found = _NUMBER.search(stem) if f".{suffix.lower()}" in IMAGES else None
    return int(found[1]) if found and len(found[1]) <= _MOST_DIGITS else None


def kind_of(path: str) -> Kind:
    """What a file is by its name's ending. KeyError for one that says nothing."""
    return SUFFIXES[splitext(path)[1]]


def names_a_folder(path: str) -> bool:
    """Has a name no suffix of a medium? Then it is that of a folder of numbered images."""
    return splitext(path)[1] not in SUFFIXES


def _is_lossy(path: str) -> bool:
    return path.lower().endswith(_LOSSY)


def _rank(path: str) -> tuple[bool, str]:
    """Of two images of one frame the first in this order is taken: one without loss, else the first by name."""
    return _is_lossy(path), path


def clip_frames(names: Iterable[str]) -> dict[int, str]:
    """The frames of a clip among the names in its folder, by number; of two with one number the better name's."""
    found: dict[int, str] = {}
    for name in sorted(names, key=_rank):
        number = frame_number(name.rpartition("/")[2])
        if number is not None:
            found.setdefault(number, name)
    return dict(sorted(found.items()))


def account(layout: Layout, paths: Iterable[str], read: Callable[[str], bytes]) -> Accounting:
    """Describe every path below a dataset's root. Pure but for `read`, which gives a label file's bytes.

    `read` is called once for each of `label_paths` and should refuse files beyond MAX_LABEL_BYTES before reading them.
    Raises ManifestError for a label file that cannot be used.
    """
    faults: dict[str, str] = {}
    clean: set[str] = set()
    for path in paths:
        fault = path_fault(path)
        if fault is None:
            clean.add(path)
        else:
            faults[path] = fault
    labels = label_paths(layout, clean)
    tables = {spec.name: _table(layout, spec, labels, read) for spec in layout.tables}
    result = Accounting([], labels, {}, list(faults.items()))
    matcher = _Matcher(layout, tables, clean)
    taken = frozenset(labels)
    for path in sorted(clean):
        if path not in taken:
            matcher.file(path, result)
    _only_of_reals(result)
    _own_masks(result, matcher.masks)
    result.unlabelled.intersection_update(path for path, _ in result.unmatched)
    result.unmatched.sort()
    _judge_lists(result, matcher)
    if result.frames:
        result.media.sort(key=lambda medium: medium.media)
    for name in sorted(matcher.asked):
        absent = missing_files(tables[name].spec, layout.fields, [each.path for each in tables[name].files])
        result.missing_label_files.extend(f"{name}: {path}" for path in absent)
    return result


def _judge_lists(result: Accounting, matcher: _Matcher) -> None:
    """What came of each label file, and by which rules no split is official."""
    for name, table in matcher.tables.items():
        hits, consulted = matcher.hits[name], name in matcher.consulted
        result.lists.extend(judge(table, hits, matcher.unnamed[name], consulted=consulted))
    result.lists.sort(key=lambda each: each.path)
    partial = {each.table for each in result.lists if each.partial}
    for rule in matcher.layout.rules:
        if rule.split is not None and {name.partition(".")[0] for name in rule.split.names if "." in name} & partial:
            result.partial_rules.append(rule.id)


def _only_of_reals(result: Accounting) -> None:
    """A fake that a label file says was made from a fake (or from itself) has no real here; a key keeps the two together."""
    fakes = {each.media for each in result.media if each.label == "fake"}
    wrong = {each.media: each.pair_media for each in result.media if each.pair_dataset == each.dataset} if fakes else {}
    wrong = {media: pair for media, pair in wrong.items() if pair in fakes}
    named = set(wrong.values())
    for place, medium in enumerate(result.media if wrong else ()):
        keys = [f"{medium.dataset}/media/{wrong[medium.media]}"] if medium.media in wrong else []
        keys += [f"{medium.dataset}/media/{medium.media}"] if medium.media in named else []
        if keys:
            medium = replace(medium, group_keys=tuple(dict.fromkeys((*medium.group_keys, *keys))))
        if medium.media in wrong:
            medium = replace(medium, pair_dataset=None, pair_media=None, aligned=False)
        result.media[place] = medium
    result.missing_pairs.extend(wrong)


def _own_masks(result: Accounting, masks: Mapping[str, str]) -> None:
    """A medium's mask that no pattern under `ignore` knows is a sidecar by its rule's `mask`."""
    kept = []
    for path, reason in result.unmatched:
        rule = masks.get(path) or masks.get(path.rpartition("/")[0])
        if rule is None:
            kept.append((path, reason))
        else:
            result.ignored[rule] = result.ignored.get(rule, 0) + 1
    result.unmatched[:] = kept


def _table(layout: Layout, spec: TableSpec, labels: list[str], read: Callable[[str], bytes]) -> Table:
    """The table from the dataset's own label files; where it has none, from the list that ships with the manifest."""
    table = read_table(spec, labels, read)
    bundled = layout.bundled.get(spec.name, {})
    return with_shortness(table if table.files else read_table(spec, bundled, bundled.__getitem__))


def _frame(result: Accounting, clip: str, number: int, path: str) -> str | None:
    """Take one more frame of a clip. Of two with one number the better one stays; where it was taken before, why this one is
    none."""
    taken = result.frames[clip].setdefault(number, path)
    if taken == path:
        return None
    reason = f"{SECOND} {number} in its folder"
    if _rank(taken) < _rank(path):
        return reason if _is_lossy(taken) or not _is_lossy(path) else f"{reason}, with loss"
    result.frames[clip][number] = path
    result.unmatched.append((taken, f"{reason}, with loss" if _is_lossy(taken) else reason))
    return None


class Heads(Generic[T]):
    """Patterns found by the first segment of a path, in their order, so that few are tried on each of a million."""

    def __init__(self, patterns: Sequence[tuple[Pattern, T]]) -> None:
        self.open = tuple((pattern.regex.fullmatch, item) for pattern, item in patterns if pattern.heads is None)
        heads = {head for pattern, _ in patterns for head in pattern.heads or ()}
        self.by_head = {
            head: tuple((p.regex.fullmatch, item) for p, item in patterns if p.heads is None or head in p.heads)
            for head in heads
        }

    def matches(self, path: str) -> Iterator[tuple[re.Match[str], T]]:
        """Every match of `path`, in the order of the patterns."""
        for fullmatch, item in self.by_head.get(path.partition("/")[0].lower(), self.open):
            found = fullmatch(path)
            if found is not None:
                yield found, item

    def first(self, path: str) -> T | None:
        """What the first matching pattern stands for; None where none matches."""
        return next((item for _, item in self.matches(path)), None)


@dataclass
class _Tries:
    """What came of the rules that did not take a file: why not, which tables they asked, and which of these in vain.

    `lost`: it is a medium by its path, and a label file does not say what it is, or says it otherwise."""

    reason: str | None = None
    lost: bool = False
    lacking: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()

    def reject(self, rule: Rule, rejected: _Rejected, lacking: AbstractSet[str]) -> None:
        """A rule cannot take it."""
        self.reason = rejected.reason if self.reason is None or rejected.strong else self.reason
        self.lost |= rejected.label
        self.lacking |= lacking
        self.asked |= rule.tables


class _Matcher:
    """The rules of one layout over the files that are there."""

    def __init__(self, layout: Layout, tables: Mapping[str, Table], present: AbstractSet[str]) -> None:
        self.layout = layout
        self.tables = tables
        clips = any(rule.kind == "frames" for rule in layout.rules)
        self.present = present | {path.rpartition("/")[0] for path in present} if clips else present
        folders = any(names_a_folder(template.text) for rule in layout.rules for template in rule.masks)
        numbered = (path for path in present if folders and frame_number(path.rpartition("/")[2]) is not None)
        self.maskable = present | {path.rpartition("/")[0] for path in numbered} if folders else present
        self.rules = Heads([(pattern, rule) for rule in layout.rules for pattern in rule.paths])
        self.clips = clips and any(rule.kind != "frames" for rule in layout.rules)
        self.ignore = Heads([(pattern, pattern.text) for pattern in layout.ignore])
        self.renamed = [each for each in layout.fields.values() if each.rename or each.any_case]
        self.shared: dict[str, str] = {}
        self.asked: set[str] = set()
        self.masks: dict[str, str] = {}
        self.tried: set[str] = set()
        self.hits: dict[str, set[str]] = {name: set() for name in tables}
        self.unnamed: Counter[str] = Counter()
        self.consulted: set[str] = set()

    def file(self, path: str, result: Accounting) -> None:
        """Put one path where it belongs."""
        tries, missed, second = _Tries(), "no rule", None
        matches = iter(()) if no_medium(path) else self.rules.matches(path)
        for match, rule in matches:
            name, number = path, None
            if rule.kind == "frames":
                name, _, file = path.rpartition("/")
                number = frame_number(file)
                if number is None:
                    missed = "no numbered image"
                    continue
                if name in result.frames:
                    reason = _frame(result, name, number, path)
                    if reason is None:
                        return
                    tries.reason = reason
                    continue
            if rule.unless and self._there(rule, match.groupdict()):
                second = rule.unless[0].text
                continue
            try:
                medium = self._medium(rule, name, match.groupdict())
                tried = self.tried
                if number is None:
                    self._alone(rule, medium, matches)
            except _Rejected as rejected:
                tries.reject(rule, rejected, self.tried)
                continue
            self._note(tried, rule.tables)
            result.media.append(medium)
            result.frames.update({name: {number: path}} if number is not None else {})
            result.missing_pairs.extend([name] if rule.pairs and medium.pair_media is None else [])
            return
        self._note(tries.lacking, tries.asked)
        ignored = (self.ignore.first(path) or second) if tries.reason is None else None
        if ignored is not None:
            result.ignored[ignored] = result.ignored.get(ignored, 0) + 1
            return
        result.unmatched.append((path, tries.reason or missed))
        if tries.lost:
            result.unlabelled.add(path)

    def _there(self, rule: Rule, raw: Mapping[str, str]) -> bool:
        """Is the medium there in the form that goes before this rule's?"""
        return any(each.render(raw) in self.present for each in rule.unless)

    def _note(self, lacking: AbstractSet[str], consulted: AbstractSet[str]) -> None:
        """A file asked the tables `consulted`, and those that are `lacking` in vain."""
        self.asked |= lacking
        self.consulted |= consulted
        self.unnamed.update(lacking)

    def _alone(self, rule: Rule, medium: Medium, others: Iterator[tuple[re.Match[str], Rule]]) -> None:
        """Reject a file that a rule would take, and another one otherwise: as a clip's frame, or by another label file.

        Nothing is left of `others` then: no rule may take it."""
        if self.clips and (other := self._clip_rule(medium.media)) is not None:
            list(others)
            reason = f"ambiguous: rule '{rule.id}' takes the file, rule '{other}' its folder as a clip"
            raise _Rejected(reason, label=False)
        contradiction = self._contradiction(rule, medium, others) if rule.look_up else None
        if contradiction is not None:
            list(others)
            raise _Rejected(f"two label files contradict each other: {contradiction}")

    def _contradiction(self, rule: Rule, medium: Medium, others: Iterator[tuple[re.Match[str], Rule]]) -> str | None:
        """What another rule says otherwise of a medium, by another table; None where none does."""
        for match, rival in others:
            if not rival.look_up or rival.kind == "frames" or rival.tables == rule.tables:
                continue
            with suppress(_Rejected):
                second = self._medium(rival, medium.media, match.groupdict())
                for name in ("label", "method", "split"):
                    here, there = getattr(medium, name), getattr(second, name)
                    if None not in (here, there) and here != there:
                        said = ((here, rule), (there, rival))
                        told = (f"'{text}' by rule '{r.id}' (table {', '.join(sorted(r.tables))})" for text, r in said)
                        return f"{name} is {', '.join(told)}"
        return None

    def _clip_rule(self, path: str) -> str | None:
        """The rule that would take this file as a frame of the clip that its folder is; None where there is none."""
        folder, _, name = path.rpartition("/")
        if frame_number(name) is None:
            return None
        for match, rule in self.rules.matches(path):
            if rule.kind == "frames":
                with suppress(_Rejected):
                    self._medium(rule, folder, match.groupdict())
                    return rule.id
        return None

    def _medium(self, rule: Rule, path: str, raw: dict[str, str]) -> Medium:
        values = self._values(rule, raw)
        self._check(rule, values)
        method, forgery_type = self._method(rule, values)
        target, source = _text(rule.target_id, values), _text(rule.source_id, values)
        spelled = {**values, **raw} if rule.pairs or rule.masks else values
        pairs, wanted = self._pairs(rule, spelled)
        pair = pairs[0] if pairs else None
        dataset = self.layout.dataset
        keys = [_group_key(each, values, dataset) for each in rule.groups]
        if rule.join_identities:
            keys += [f"{dataset}/identity/{each}" for each in (target, source) if each]
        if pair is None and wanted is not None:
            keys.append(f"{dataset}/media/{wanted}")
        return Medium(
            dataset=self.layout.dataset,
            media=path,
            kind=rule.kind or kind_of(path),
            rule=rule.id,
            label=rule.label,
            forgery_type=forgery_type,
            method=method,
            compression=self._share(_text(rule.compression, values)),
            target_id=self._share(target),
            source_id=self._share(source),
            pair_dataset=pair[0] if pair else None,
            pair_media=pair[1] if pair else None,
            aligned=rule.aligned and pair is not None,
            group_keys=tuple(self._share(key) for key in keys if key is not None),
            split=_split(rule, values),
            licence=self.layout.licence,
            faces=rule.faces,
            pair_candidates=tuple(f"{name}:{media}" for name, media in pairs) if pair and pair[0] != dataset else (),
            mask=self._mask(rule, spelled),
        )

    def _mask(self, rule: Rule, values: Mapping[str, str | None]) -> str | None:
        """The first of a rule's masks that is there."""
        for template in rule.masks:
            path = template.render(values)
            if path is not None and path in self.maskable:
                self.masks[path] = template.text
                return path
        return None

    def _share(self, text: S) -> S:
        """One object for equal texts: a million media repeat few identities."""
        return text if text is None else self.shared.setdefault(text, text)

    def _values(self, rule: Rule, raw: dict[str, str]) -> dict[str, str | None]:
        values: dict[str, str | None] = dict(raw)
        self.tried = set()
        for each in self.renamed:
            if each.name in raw:
                values[each.name] = each.meaning(raw[each.name])
        for name, key in rule.look_up:
            table = self.tables[name]
            key_text = str(key.render(raw))
            if key_text in table.rows:
                self.hits[name].add(key_text)
            else:
                self.tried.add(name)
            if not table.files:
                if table.spec.required:
                    raise _Rejected(f"no label file for table '{name}' ({table.spec.files[0].text})")
                values.update(dict.fromkeys(f"{name}.{column}" for column in table.order))
                continue
            row = table.row(key_text)
            if row is None:
                raise _Rejected(f"no row in table '{name}'")
            for column, index in table.order.items():
                value = row[index]
                if isinstance(value, BadValue):
                    raise _Rejected(f"bad {column} value '{value.text[:40]}' at {value.place}")
                values[f"{name}.{column}"] = value
        return values

    def _check(self, rule: Rule, values: Mapping[str, str | None]) -> None:
        for name, allowed in rule.where:
            if values[name] is None and None not in allowed:
                raise _Rejected(f"{name} has no value", strong=False, label="." in name)
            if values[name] not in allowed:
                reason = f"{name} is '{values[name]}', which rule '{rule.id}' does not take"
                raise _Rejected(reason, strong=False, label="." in name)

    def _method(self, rule: Rule, values: Mapping[str, str | None]) -> tuple[str | None, str | None]:
        if rule.label == "real":
            return None, "REAL"
        name = _text(rule.method, values)
        if name is None:
            if rule.basis == "stated":
                raise _Rejected("no method given")
            return "unknown", rule.forgery_type
        method = self.layout.find_method(name)
        if method is None:
            raise _Rejected(f"unknown method '{name}'")
        return method.id, method.type

    def _pairs(self, rule: Rule, values: Mapping[str, str | None]) -> tuple[list[tuple[str, str]], str | None]:
        """The pairs that may exist, up to the first that does, and the first that was looked for here."""
        found: list[tuple[str, str]] = []
        wanted = None
        for each in rule.pairs:
            media = each.media.render(values)
            if media is None or path_fault(media) is not None:
                continue
            dataset = each.dataset or self.layout.dataset
            if dataset != self.layout.dataset:
                found.append((dataset, media))
            elif media in self.present:
                return [*found, (dataset, self._share(media))], None
            else:
                wanted = wanted or media
        return found, wanted


def _text(template: Template | None, values: Mapping[str, str | None]) -> str | None:
    return None if template is None else template.render(values)


def _group_key(template: Template, values: Mapping[str, str | None], dataset: str) -> str | None:
    """A key of this dataset; a template that begins with `/` names another dataset's key in full."""
    key = template.render(values)
    if key is None:
        return None
    return key[1:] if template.text.startswith("/") else f"{dataset}/{key}"


def _split(rule: Rule, values: Mapping[str, str | None]) -> Split | None:
    name = _text(rule.split, values)
    if name is None:
        return None
    if name not in SPLITS:
        raise _Rejected(f"bad split value '{name}'")
    return SPLITS[name]
