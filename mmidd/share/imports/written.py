"""What an import writes beside the media: the label tables, the manifest that reads them, and a recipe that names it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from mmidd.manifest.methods import ForgeryType
from mmidd.media import FaceMode
from mmidd.share.imports.protocol import Item
from mmidd.yamlfile import scalar

COLUMNS = ("file", "label", "method", "join", "target", "source", "split", "pair", "type", "listed_as", "original")
NONE = "-"
ROWS = 250_000
SPACE = {"frames": "clips/", "image": "images/", "video": "videos/"}
_NAME = "[A-Za-z0-9][A-Za-z0-9_-]*"
_FIRST = ("c23", "c40", "raw")


@dataclass(frozen=True)
class Dataset:
    """What the dataset is called, where it lies, and under which licence."""

    name: str
    slug: str
    folder: str
    licence: str
    faces: FaceMode


def tables(media: Sequence[tuple[str, Item]], places: Mapping[tuple[str, ...], str]) -> Iterator[tuple[str, bytes]]:
    """The label tables, by name: a row for each medium. `places` says where each is, by its key."""
    for number, begin in enumerate(range(0, len(media), ROWS)):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(place, item, places) for place, item in media[begin : begin + ROWS])
        yield f"labels/{number:03d}.csv", text.getvalue().encode()


def _row(place: str, item: Item, places: Mapping[tuple[str, ...], str]) -> list[str]:
    pair = places.get(item.pair, "") if item.pair is not None else ""
    said = (item.target or "", item.source or "", item.split or "", pair, item.type or "", shown(item.place))
    return [place, item.label, item.method or NONE, "yes" if item.join else "no", *said, shown(item.original)]


def shown(text: str) -> str:
    """A text from outside on one line, as a table may hold it."""
    line = text if text.isprintable() else ascii(text)[1:-1]
    return line if len(line) <= 1000 else f"{line[:999]}…"


def manifest(about: Dataset, media: Sequence[tuple[str, Item]]) -> dict[str, Any]:
    """The manifest of what was imported, as docs/manifests.md has it."""
    items = [item for _, item in media]
    compressions = in_order({item.compression for item in items if item.compression})
    fields: dict[str, Any] = {"group": _NAME, "name": _NAME, "suffix": "[a-z0-9]+", "part": r"\d{3}"}
    counts = Counter(item.label for item in items)
    same = len({item.compression for item in items}) == 1  # counts are expected in each compression
    return {
        "name": about.name,
        "slug": about.slug,
        "year": 0,
        "folders": list(dict.fromkeys((about.folder, about.slug))),
        "summary": f"{counts['real']} real and {counts['fake']} fake media, imported from somebody's own lists",
        "access": "It was imported with `mmidd import` from files that were here.",
        "citation": "none; cite the datasets that the files came from",
        "licence": {"id": about.licence, "name": about.licence, "url": "unknown", "redistributable": False},
        "verified": False,
        "verified_note": "labels, methods and splits are those of the lists that were imported",
        "type_basis": "stated",
        **({"compressions": compressions} if compressions else {}),
        "fields": {**fields, **({"compression": compressions} if compressions else {})},
        "tables": {"media": _table(items)},
        "rules": list(_rules(items, about.faces)),
        "ignore": ["import.json", "import.sha256", "import-findings.csv", "recipe.yaml", "manifests/*"],
        **({"expected": [{"label": k, "count": n} for k, n in sorted(counts.items())]} if same else {}),
    }


def _table(items: Iterable[Item]) -> dict[str, Any]:
    methods = sorted({item.method or NONE for item in items})
    columns: dict[str, Any] = {name: f"{{{name}}}" for name in ("target", "source", "split", "pair")}
    closed = {"label": ["real", "fake"], "method": methods, "join": ["yes", "no"]}
    columns |= {name: {"from": f"{{{name}}}", "as": {each: each for each in known}} for name, known in closed.items()}
    return {"files": "labels/{part}.csv", "key": "{file}", "values": columns, "required": True}


def _rules(items: Sequence[Item], faces: FaceMode) -> Iterator[dict[str, Any]]:
    """A rule for each sort of media that is there: what they are, and how much is known of them."""
    methods = sorted({item.method for item in items if item.method})
    sorts = {(i.kind, bool(i.compression), i.label, i.method is not None, i.join, i.pair is not None) for i in items}
    for kind, compressed, label, named, join, paired in sorted(sorts):  # those without a pair before those with one
        middle = "{compression}/{group}/{name}" if compressed else "{group}/{name}"
        path = SPACE[kind] + middle + ("" if kind == "frames" else ".{suffix}")
        words = {"compressed": compressed, "named": named, "joined": join, "paired": paired}
        where: dict[str, Any] = {"media.label": label, "media.join": "yes" if join else "no"}
        rule: dict[str, Any] = {
            "id": "-".join((kind, label, *(word for word, holds in words.items() if holds))),
            "path": path, "kind": kind, "faces": faces, "look_up": {"media": path}, "where": where, "label": label,
        }  # fmt: skip
        rule |= {"compression": "{compression}"} if compressed else {}
        if label == "fake":
            where["media.method"] = methods if named else NONE
            where |= {} if paired else {"media.pair": [None]}
            rule |= {"method": "{media.method}"} if named else {"type_basis": "unknown"}
            rule |= {"source_id": "{media.source}", "mask": f"masks/{middle}"} | ({"pair": "{media.pair}"} if paired else {})
            rule |= {"aligned": False} if faces in ("keep", "whole") else {}  # each was cut by itself, if at all
        yield rule | {"target_id": "{media.target}", "join_identities": join, "split": "{media.split}"}


def methods(own: Mapping[str, ForgeryType]) -> dict[str, Any]:
    """The registry of the methods that mmidd does not know."""
    said = {"year": 0, "reference": "named by a list that was imported"}
    return {"methods": {name: {"type": kind, "name": name, **said} for name, kind in sorted(own.items())}}


def recipe(about: Dataset, media: Sequence[tuple[str, Item]]) -> dict[str, Any]:
    """A recipe that builds all of it: every frame of a clip; crops that are kept are not encoded with loss once more."""
    compressions = in_order({item.compression for _, item in media if item.compression})
    longest = max((len(item.files) for _, item in media if item.kind == "frames"), default=32)
    entry = {"name": about.name, **({"compression": compressions[0]} if compressions else {})}
    return {
        "name": about.slug[:64],
        "manifests": "manifests",
        "datasets": [entry],
        "frames": {"count": min(longest, 100_000)},
        **({"image": {"format": "png"}} if about.faces in ("keep", "whole") else {}),
    }


def in_order(compressions: Iterable[str]) -> list[str]:
    """Compressions as a manifest prefers them: c23, c40, raw, then others by name."""
    return sorted(compressions, key=lambda each: (_FIRST.index(each) if each in _FIRST else len(_FIRST), each))


class _Dumper(yaml.SafeDumper):
    """Texts that mmidd's reader would take for something else are quoted; nothing refers to anything."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    quoted = not isinstance(scalar(text), str) or not text.isprintable()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if quoted else None)


_Dumper.add_representer(str, _text)


def as_yaml(document: Mapping[str, Any]) -> str:
    """A document as YAML that mmidd reads as it is."""
    return yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
