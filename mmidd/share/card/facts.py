"""What the card and the files beside it say, gathered once: of the publication, its corpus and the manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.about import Listed
from mmidd.corpus.read import Corpus
from mmidd.manifest import Manifest
from mmidd.schema import FORGERY_TYPES, KINDS, SPLITS
from mmidd.share.publication.format import DATA, LABELS, Publication, Terms

HUB = "https://huggingface.co/datasets"
_TAKEN = ("all", "data", LABELS, "pixels")
"""Names of configs that are no dataset's: the Hub's viewer refuses `data`."""
_ELSE = "dataset_"


@dataclass(frozen=True)
class Source:
    """A dataset that the publication has rows of: its terms, and its manifest if there is one. `rows` by split; `redacted`:
    were captions removed from all?"""

    terms: Terms
    manifest: Manifest | None
    rows: Mapping[str, int]
    redacted: bool = False

    @property
    def name(self) -> str:
        return self.terms.dataset

    @property
    def total(self) -> int:
        return sum(self.rows.values())

    @property
    def captions(self) -> bool:
        """Do its captions go: by its terms, and none were redacted?"""
        return self.terms.captions and not self.redacted

    @property
    def config(self) -> str:
        """The name of its config: its slug, where that is free and none that another's may become."""
        is_free = self.terms.slug not in _TAKEN and not self.terms.slug.startswith(_ELSE)
        return self.terms.slug if is_free else f"{_ELSE}{self.terms.slug}"


@dataclass(frozen=True)
class Config:
    """Files that `datasets` loads under one name. `pattern`: of the files of a split, SPLIT standing for it."""

    name: str
    folder: str
    pattern: str
    files: Mapping[str, Listed]
    default: bool = False

    def of_split(self, split: str) -> dict[str, Listed]:
        return {name: each for name, each in self.files.items() if name.startswith(f"{self.folder}/{split}-")}

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in SPLITS if self.of_split(split))

    @property
    def pixels(self) -> bool:
        return self.folder == DATA

    def path(self, split: str) -> str:
        return self.pattern.replace("SPLIT", split)


@dataclass(frozen=True)
class Facts:
    """`counts`: rows by (dataset, one of KINDS, split)."""

    corpus: Corpus
    publication: Publication
    manifests: Mapping[str, Manifest]
    repository: str | None

    @property
    def title(self) -> str:
        """The repository's name without its owner, else the publication's."""
        return one_line(self.repository.rsplit("/", 1)[-1] if self.repository else self.publication.name)

    @property
    def owner(self) -> str | None:
        return self.repository.split("/", 1)[0] if self.repository and "/" in self.repository else None

    @property
    def url(self) -> str | None:
        return f"{HUB}/{plain(self.repository)}" if self.repository else None

    @property
    def tag(self) -> str:
        return f"v{self.publication.version}"

    @property
    def where(self) -> str:
        """What a reader gives to `load_dataset` and `mmidd rehydrate`."""
        return plain(self.repository) if self.repository else "PATH/TO/THIS/FOLDER"

    @property
    def content(self) -> Mapping[str, Any]:
        """The corpus's `mmidd.json`."""
        return self.corpus.about.content

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The datasets that have rows, in the order of the terms."""
        rows = {slug: self.corpus.part(dataset=slug).splits for slug in self.corpus.datasets}
        return tuple(
            Source(terms, self.manifests.get(terms.dataset), rows[terms.slug], "captions" in self.publication.redacted)
            for terms in self.publication.terms
            if terms.slug in rows
        )

    @property
    def shown(self) -> tuple[Source, ...]:
        """The datasets whose pixels are here."""
        return tuple(source for source in self.sources if source.terms.pixels)

    @property
    def withheld(self) -> tuple[Source, ...]:
        return tuple(source for source in self.sources if not source.terms.pixels)

    @property
    def total(self) -> int:
        return len(self.corpus)

    @cached_property
    def media(self) -> pa.Table:
        return self.corpus.media

    @property
    def media_used(self) -> int:
        """Media that gave rows."""
        return pc.sum(pc.greater(self.media["samples"], 0)).as_py() or 0

    @cached_property
    def configs(self) -> tuple[Config, ...]:
        """`all` first. Complete: one a dataset. Else `labels`, `pixels` if any are here, then one a dataset."""
        whole = DATA if self.publication.complete else LABELS
        named = [("all", whole, "*")]
        if not self.publication.complete:
            named += [("labels", LABELS, "*"), ("pixels", DATA, "*")]
        named += [(each.config, DATA if each.terms.pixels else LABELS, each.terms.slug) for each in self.sources]
        found = [self._config(name, folder, slug) for name, folder, slug in named]
        return tuple(config for config in found if config.files)

    def _config(self, name: str, folder: str, slug: str) -> Config:
        pattern = f"{folder}/SPLIT-{slug}" + ("" if slug == "*" else "-*")
        parts = {path: path.removeprefix(f"{folder}/").split("-") for path in sorted(self.publication.files)}
        mine = {
            path: self.publication.files[path]
            for path, words in parts.items()
            if path.startswith(f"{folder}/") and len(words) > 1 and slug in ("*", words[1])
        }
        return Config(name, folder, pattern, mine, name == "all")

    @cached_property
    def counts(self) -> dict[tuple[str, str, str], int]:
        found: dict[tuple[str, str, str], int] = {}
        for source in self.sources:
            for split in source.rows:
                for kind, count in self._kinds(source.terms.slug, split):
                    key = (source.name, kind, split)
                    found[key] = found.get(key, 0) + count
        return found

    def _kinds(self, slug: str, split: str) -> Iterator[tuple[str, int]]:
        """Of each batch of rows."""
        for _, batch in self.corpus.part(split, slug).batches(["forgery_type", "attack"]):
            places = pc.index_in(batch["forgery_type"], value_set=pa.array(range(len(FORGERY_TYPES)), pa.int64()))
            types = pa.array(FORGERY_TYPES).take(places)
            for each in pc.value_counts(pc.coalesce(types, batch["attack"], "unknown")).to_pylist():
                yield each["values"] if each["values"] in KINDS else "unknown", each["counts"]

    def told(self, *keys: str) -> str:
        """What the corpus's recipe says at these keys; `not stated` where it does not."""
        found: Any = self.corpus.about.recipe
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return "not stated" if found is None or isinstance(found, dict | list) else str(found)


def plain(name: str) -> str:
    """A repository or version as it may stand in a command or an address."""
    return re.sub(r"[^A-Za-z0-9._/+-]", "_", name)


def one_line(text: str) -> str:
    """Text without line breaks and control characters."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def entries(found: Any) -> dict[str, dict[str, Any]]:
    """The entries of a JSON object that are objects; nothing for what is none. `mmidd.json` came from outside."""
    return {key: each for key, each in found.items() if isinstance(each, dict)} if isinstance(found, dict) else {}


def number(found: Any) -> int:
    """A count; 0 for what is none."""
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
