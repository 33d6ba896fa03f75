"""The target of what comes from a repository: `publication.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from mmidd.corpus.about import Listed
from mmidd.corpus.place import Folder
from mmidd.corpus.target import manifest_bytes
from mmidd.schema import SCHEMA_VERSION
from mmidd.share.publication.format import PUBLICATION, Publication, Terms
from mmidd.share.publication.opened import open_publication
from mmidd.share.publication.written import is_file, publication_bytes

from .guard import sandbox
from .target import Target, refusing, require

MOST_SEALED = 1 << 16


def run_publication(data: bytes) -> bool:
    """What is taken reads back as it was written, names no file outside, and counts the rows of its files."""
    folder, written = sandbox() / "publication", sealed(data)
    folder.mkdir(exist_ok=True)
    (folder / PUBLICATION).write_bytes(written)
    with refusing(str(folder)) as refused:
        opened = open_publication(Folder(folder))
    if refused:
        return False
    require(publication_bytes(opened.about) == written, "it reads back as another")
    require(all(map(is_file, opened.about.files)), "a file may lie outside")
    require(len(opened) == sum(sum(splits.values()) for splits in opened.about.rows.values()), "other rows are counted")
    return True


def sealed(data: bytes) -> bytes:
    """The bytes with a seal that fits, which anybody can make, where they say anything."""
    try:
        said = json.loads(data)
        return manifest_bytes({key: value for key, value in said.items() if key != "seal"})
    except (ValueError, AttributeError, RecursionError, TypeError, MemoryError):
        return data


def _seeds() -> Mapping[str, bytes]:
    empty, shard = Listed(0, "0" * 64), Listed(9, "1" * 64, 3)
    held = {"README.md": empty, "data/test-b-0.parquet": shard, "data/train-a-0.parquet": shard, "media.parquet": empty}
    told = {name: {k: v for k, v in vars(each).items() if v is not None} for name, each in held.items()}
    content = {"schema_version": SCHEMA_VERSION, "recipe": {"name": "x"}, "files": told}
    own = manifest_bytes(content)
    found = {}
    for name, free in (("mixed", False), ("complete", True)):
        terms = tuple(
            Terms(each, each.lower(), "x", "", goes, goes, goes, True, "so") for each, goes in (("A", True), ("B", free))
        )
        files = {"media.parquet": empty, "corpus/README.md": empty, "data/train-a-0.parquet": shard}
        files["corpus/mmidd.json"] = Listed(len(own), hashlib.sha256(own).hexdigest())
        more = ("data/test-b-0.parquet", "mmidd.json") if free else ("labels/test-b-0.parquet", "labels/train-a-0.parquet")
        files |= dict.fromkeys(more, shard)
        rows = {"A": {"train": 3}, "B": {"test": 3}}
        found[name] = publication_bytes(
            Publication("a/b", 1, "0.1.0", content, terms, ("paths",), files, rows, ({"dataset": "A", "added": 3},))
        )
    return found


_WORDS = ('"../x"', "null", "1e400", "true", "[]", "{}", '"labels/"', '"data/"', '"mmidd.json"')
TARGETS = (Target("publication", run_publication, _seeds, ("mmidd.share.publication",), _WORDS, most_bytes=8192),)
