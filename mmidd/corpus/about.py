"""What `mmidd.json` says of a corpus. It came from outside: whatever is not as a build writes it makes it unreadable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmidd.engine.files import canonical

MANIFEST = "mmidd.json"
PUBLICATION = "publication.json"
"""What a publication of a corpus has; only where it has all pixels it is itself a corpus."""
SEAL = "seal"
"""The key of `mmidd.json` that holds the digest of all its others."""
MEDIA = "media.parquet"
MOST_BYTES = 16 << 20
"""Of `mmidd.json`: a corpus of ten thousand shards has 2 MB."""


@dataclass(frozen=True)
class Listed:
    """A file of the corpus as it was written: bytes, sha256 in hex, and rows for a shard."""

    bytes: int
    sha256: str
    rows: int | None = None

    def document(self) -> dict[str, Any]:
        """As it stands in a list of files."""
        rows = {} if self.rows is None else {"rows": self.rows}
        return {"bytes": self.bytes, "sha256": self.sha256, **rows}


@dataclass(frozen=True)
class Indexed:
    """What indexing found of a dataset: its slug in the shards' names, media, and files that were refused or that are lost
    for want of a label."""

    slug: str | None
    media: int
    refused: int


@dataclass(frozen=True)
class Shard:
    """A data file; `split` and `dataset` (a slug) are what its name says."""

    name: str
    rows: int
    bytes: int
    split: str
    dataset: str


@dataclass(frozen=True)
class About:
    """`mmidd.json`. `content` is all of it but the seal; the rest is typed access to it."""

    content: Mapping[str, Any]
    files: Mapping[str, Listed]

    @property
    def schema_version(self) -> Any:
        """A number in whatever a build wrote."""
        return self.content["schema_version"]

    @property
    def version(self) -> str | None:
        """The version of mmidd that built it."""
        found = self.content.get("mmidd")
        return found if isinstance(found, str) else None

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe, as it was published; empty where there is none."""
        found = self.content.get("recipe")
        return found if isinstance(found, dict) else {}

    @property
    def derived(self) -> str | None:
        """Of a corpus that was made of another, with its pictures changed, what it is: it is no data, and not published."""
        found = self.content.get("derived")
        if found is None:
            return None
        says = found.get("says") if isinstance(found, dict) else None
        return says if isinstance(says, str) else "it was made of another corpus, whose pictures were changed"

    @property
    def extraction(self) -> dict[str, Any]:
        """What shaped the crops, as far as it says so: the recipe's part, models by digest, libraries, device. JSON: a run
        keeps it, so that others can take faces as they were taken for it."""
        part = {
            name: self.recipe[name] for name in ("crop", "detector", "decoder", "frames", "image") if name in self.recipe
        }
        facts = {name: self.content[name] for name in ("models", "libraries", "device") if name in self.content}
        return {"recipe": part, **facts}

    @cached_property
    def datasets(self) -> Mapping[str, Indexed]:
        """The datasets by name, where it says of them what a build says."""
        found = self.content.get("index")
        entries = found.items() if isinstance(found, dict) else ()
        return {name: _indexed(entry) for name, entry in entries if _counted(entry)}

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """The data files in the order of their names, which is the order of rows. -1 rows: it does not say how many."""
        names = sorted(name for name in self.files if name.startswith("data/"))
        return tuple(_shard(name, self.files[name]) for name in names)


def parse(data: bytes) -> About | None:
    """`mmidd.json` from its bytes; None for what no build of mmidd writes. The seal is not looked at."""
    if len(data) > MOST_BYTES:
        return None
    try:
        content = json.loads(data)
        canonical(content).encode()  # half of a surrogate pair is no text: nothing could write it down again
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or "schema_version" not in content:
        return None
    files = content.get("files")
    if not isinstance(files, dict) or not files or not all(_sound(*each) for each in files.items()):
        return None
    listed = {name: Listed(entry["bytes"], entry["sha256"], _count(entry.get("rows"))) for name, entry in files.items()}
    return About({key: value for key, value in content.items() if key != SEAL}, listed)


def is_inside(name: str) -> bool:
    """May a corpus list a file of this name: relative, and on no way out of its folder?"""
    parts = name.split("/")
    return "\\" not in name and "\0" not in name and not {"", ".", ".."} & set(parts) and ":" not in parts[0]


def _sound(name: str, entry: Any) -> bool:
    return (
        is_inside(name)
        and isinstance(entry, dict)
        and _is_number(entry.get("bytes"))
        and isinstance(entry.get("sha256"), str)
    )


def _count(value: Any) -> int | None:
    return value if _is_number(value) and value >= 0 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 62


def _counted(entry: Any) -> bool:
    return isinstance(entry, dict) and all(_is_number(entry.get(key)) for key in ("media", "refused"))


def _indexed(entry: Mapping[str, Any]) -> Indexed:
    slug = entry.get("slug")
    return Indexed(
        slug if isinstance(slug, str) else None, entry["media"], entry["refused"] + (_count(entry.get("unlabelled")) or 0)
    )


def _shard(name: str, listed: Listed) -> Shard:
    split, slug = f"{name.removeprefix('data/')}--".split("-")[:2]
    return Shard(name, -1 if listed.rows is None else listed.rows, listed.bytes, split, slug)
