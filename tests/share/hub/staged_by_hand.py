"""A staged publication made by hand: what the Hub sees of one, whatever is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmidd.corpus.about import Listed
from mmidd.engine.files import sha256_file
from mmidd.share.hub.staged import Staged
from mmidd.share.publication.format import PUBLICATION, Publication, Terms

TERMS = Terms("Faces", "faces", "CC BY 4.0", "", True, True, True, True, "its licence lets crops be passed on")


def staged(
    folder: Path,
    shards: Mapping[str, Sequence[str]],
    *,
    version: int = 1,
    name: str = "corpus",
    more: Mapping[str, Any] = {},
) -> Staged:
    """`shards`: the ids in each of `data/`; `more`: other files."""
    for shard, ids in shards.items():
        path = folder / "data" / f"{shard}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": pa.array(ids, pa.string())}), path)
    for other, text in {"README.md": f"---\nlicense: other\n---\n# {name}\n", "media.parquet": "PAR1", **more}.items():
        (folder / other).write_text(text, encoding="utf-8")
    files = {
        path.relative_to(folder).as_posix(): Listed(path.stat().st_size, sha256_file(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != PUBLICATION
    }
    about = Publication(name, version, "0.1.0", {}, (TERMS,), (), files, {"Faces": {"train": 3}})
    (folder / PUBLICATION).write_text(json.dumps({"version": version, "files": {n: f.sha256 for n, f in files.items()}}))
    return Staged(folder, about)
