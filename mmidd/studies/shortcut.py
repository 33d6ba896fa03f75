"""Two corpora for the ablation `language`, made of one: in both all pictures are stored anew, and in one every fake has a
faint pattern, always the same. Neither is data: `mmidd.json` says what it is, and mmidd does not publish it."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from mmidd.corpus.about import MANIFEST, MEDIA
from mmidd.corpus.pictures import decoded
from mmidd.corpus.read import Corpus
from mmidd.corpus.shards import Pictures, write_shard
from mmidd.corpus.target import manifest_bytes
from mmidd.engine.files import digest, disk_errors, sha256_file
from mmidd.errors import CorpusError
from mmidd.schema import arrow_schema, written_media

WITH, WITHOUT = "with-shortcut", "without-shortcut"
STRENGTH = 8.0
"""Grey levels of 255 by which the pattern goes up and down."""
WAVES, QUALITY = 8, 95
"""Waves across a picture, each way: coarse enough to outlive a resizing to 56 pixels. JPEG's quality, 4:4:4, of all."""
_AT_ONCE = 64


def shortcut(
    corpus: Corpus, folder: Path, strength: float = STRENGTH, tell: Callable[[str], None] = print
) -> tuple[Corpus, Corpus]:
    """The corpus with the pattern (all splits) and without it (test alone), in `folder`, written where they are not there
    yet. Raises CorpusError where what lies there is of another corpus or strength."""
    found = []
    for name, splits, drawn in ((WITH, None, strength), (WITHOUT, ("test",), 0.0)):
        place, what = folder / name, _derived(corpus, drawn, splits)
        if not place.exists():
            more = f", each fake with a pattern of {drawn:g} of 255" if drawn else ""
            tell(f"making {name}: {corpus.name} stored anew{more}")
            with disk_errors(folder):
                _write(corpus, place, splits, drawn, what)
        made = Corpus(place)
        if made.about.content.get("derived") != what:
            raise CorpusError(f"{place} was made of another corpus, or with another strength: choose another --out")
        found.append(made)
    return found[0], found[1]


def _derived(corpus: Corpus, strength: float, splits: tuple[str, ...] | None) -> dict[str, Any]:
    told = "a faint pattern drawn on every fake" if strength else "nothing drawn"
    return {
        "from": digest([corpus.name, corpus.digest]), "splits": list(splits or ()), "strength": strength, "waves": WAVES,
        "says": f"not data: pictures of a corpus stored anew, with {told}, for an ablation of mmidd; not to be published",
    }  # fmt: skip


def _write(corpus: Corpus, place: Path, splits: tuple[str, ...] | None, strength: float, what: dict[str, Any]) -> None:
    building = place.with_name(f".{place.name}.tmp")
    shutil.rmtree(building, ignore_errors=True)
    (building / "data").mkdir(parents=True)
    files: dict[str, Any] = {}
    for shard in corpus.shards:
        if splits is not None and shard.split not in splits:
            continue
        part = corpus.part(shard.split, shard.dataset)
        part.shards = (shard,)
        light = [field.name for field in arrow_schema() if field.name not in ("image", "mask")]
        path = building / shard.name
        write_shard(path, part.rows(light), _pictures(part, strength), part.row_groups(shard))
        files[shard.name] = {**_listed(path), "rows": shard.rows}
    media = corpus.media
    media = media if splits is None else media.filter(pc.is_in(media["split"], pa.array(splits)))
    pq.write_table(written_media(media), building / MEDIA)
    files[MEDIA] = _listed(building / MEDIA)
    about = {key: value for key, value in corpus.about.content.items() if key != "files"}
    if splits is not None:
        kept = Counter(media["dataset"].to_pylist())
        about["index"] = {
            name: {**entry, "media": kept[name], "refused": 0} for name, entry in about["index"].items() if kept[name]
        }
    content = json.loads(json.dumps({**about, "files": files, "derived": what}))
    (building / MANIFEST).write_bytes(manifest_bytes(content))
    building.rename(place)


def _listed(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256_file(path)}


def _pictures(part: Corpus, strength: float) -> Iterator[Pictures]:
    for _, batch in part.batches(["id", "label", "image", "mask"], _AT_ONCE):
        for row in pa.Table.from_batches([batch]).to_pylist():
            data = (row["image"] or {}).get("bytes")
            mask = (row["mask"] or {}).get("bytes")
            yield (_stored(data, row["id"], strength if row["label"] else 0.0) if data else b""), mask


def _stored(data: bytes, name: str, strength: float) -> bytes:
    try:
        pixels = np.asarray(decoded(data, name))
    except CorpusError:
        return data  # what cannot be read is skipped by whoever trains, and counted there
    out = io.BytesIO()
    Image.fromarray(patterned(pixels, strength)).save(out, "JPEG", quality=QUALITY, subsampling=0)
    return out.getvalue()


def patterned(pixels: npt.NDArray[np.uint8], strength: float) -> npt.NDArray[np.uint8]:
    """RGB (height, width, 3) with the pattern laid over it."""
    if not strength:
        return pixels
    height, width = pixels.shape[:2]
    down, along = (np.sin(2 * np.pi * WAVES * (np.arange(side) + 0.5) / side) for side in (height, width))
    drawn = strength * down[:, None] * along[None, :]
    found: npt.NDArray[np.uint8] = np.clip(np.rint(pixels + drawn[..., None]), 0, 255).astype(np.uint8)
    return found
