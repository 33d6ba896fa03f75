"""The same crops in every format: a small corpus repeated under new ids, once, kept for later runs."""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import simplejpeg
from PIL import Image

from benchmarks.loaders.place import Place
from benchmarks.processes import BenchmarkError, must
from mmidd.corpus.about import MANIFEST
from mmidd.corpus.read import Corpus
from mmidd.corpus.shards import ShardLimits, write_shard
from mmidd.corpus.target import manifest_bytes
from mmidd.engine.files import sha256_file
from mmidd.schema import IMAGE, SCHEMA_VERSION, arrow_schema, media_schema, sample_id

SHARD_ROWS = 2_500
MILLION_SHARD_ROWS = 23_000
"""As many as a shard of 500 MB holds of crops of 21 kB."""
TINY = 8
"""Pixels of a side of the images of the million rows."""
_LIMITS = ShardLimits(max_bytes=1 << 40, row_group_rows=1000, row_group_bytes=64_000_000)
"""Row groups as a recipe has them if it says nothing."""


def sample_corpus(folder: Path) -> Path:
    """The corpus that `make sample` builds, of which the crops are taken. Built here if it is not there."""
    if not (folder / "corpus" / MANIFEST).is_file():
        data, out = str(folder / "data"), str(folder / "corpus")
        must([sys.executable, "-m", "mmidd", "sample", data])
        must([sys.executable, "-m", "mmidd", "build", "sample", "--data", data, "--out", out])
    return folder / "corpus"


def crops(source: Path, root: Path, rows: int) -> Place:
    """So many rows of the source's crops, byte for byte, in every format but those of other interpreters."""
    place = Place(root)
    found = [data for _, data in Corpus(source).images()]
    shard_rows = max(1, min(SHARD_ROWS, rows // 4))
    _whole(place.corpus, lambda folder: _corpus(source, found, folder, rows, shard_rows))
    if not (root / "known.npz").is_file():
        pixels = np.stack([simplejpeg.decode_jpeg(data, "RGB") for data in found])
        np.save(root / "pixels.npy", pixels)
        _know(place, source)
    _whole(root / "tars", lambda folder: _tars(place, folder, shard_rows))
    _whole(place.jpeg, lambda folder: _jpegs(place, folder))
    _whole(place.png, lambda folder: _pngs(place, folder))
    return place


def million(source: Path, root: Path, rows: int) -> Place:
    """So many rows of tiny images, as a corpus only."""
    place = Place(root)
    found = [_tiny(data) for _, data in Corpus(source).images()]
    _whole(place.corpus, lambda folder: _corpus(source, found, folder, rows, MILLION_SHARD_ROWS))
    np.save(root / "pixels.npy", np.stack([simplejpeg.decode_jpeg(data, "RGB") for data in found]))
    return place


def _tiny(data: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).resize((TINY, TINY)).save(out, "JPEG", quality=30, optimize=True)
    return out.getvalue()


def _whole(folder: Path, write: Callable[[Path], None]) -> None:
    """A folder that is there is whole: it is written under another name."""
    if folder.is_dir():
        return
    half = folder.with_name(f"{folder.name}.half")
    if half.is_dir():
        shutil.rmtree(half)
    half.mkdir(parents=True)
    write(half)
    half.rename(folder)


def _corpus(source: Path, images: list[bytes], folder: Path, rows: int, shard_rows: int) -> None:
    """A corpus whose rows are the source's over and over, under media of their own; a fake's pair is of its own copy."""
    sides = {simplejpeg.decode_jpeg_header(data)[:2] for data in images if data.startswith(b"\xff\xd8")}
    if len(sides) != 1 or not all(data.startswith(b"\xff\xd8") for data in images):
        raise BenchmarkError(f"{source}: its images are not JPEG of one size ({len(sides)} sizes); give another --corpus")
    columns = _repeated(Corpus(source), rows)
    names = columns["dataset"].to_pylist()
    slugs = {name: found.slug or name for name, found in Corpus(source).about.datasets.items()}
    (folder / "data").mkdir()
    files = {}
    for dataset in sorted(set(names), key=lambda name: slugs[name]):
        mine = np.flatnonzero(np.array(names, object) == dataset)
        cuts = range(0, len(mine), shard_rows)
        for number, start in enumerate(cuts):
            numbers = mine[start : start + shard_rows]
            name = f"data/train-{slugs[dataset]}-{number:05d}-of-{len(cuts):05d}.parquet"
            pictures = ((images[n % len(images)], None) for n in numbers.tolist())
            write_shard(folder / name, columns.take(pa.array(numbers)), pictures, _LIMITS)
            files[name] = {**_listed(folder / name), "rows": len(numbers)}
    pq.write_table(media_schema().empty_table(), folder / "media.parquet")
    files["media.parquet"] = _listed(folder / "media.parquet")
    index = {name: {"slug": slugs[name], "media": 0, "refused": 0} for name in set(names)}
    about = {"schema_version": SCHEMA_VERSION, "recipe": {"name": "loaders"}, "index": index, "files": files}
    (folder / MANIFEST).write_bytes(manifest_bytes(about))


def _listed(path: Path) -> dict[str, object]:
    return {"bytes": path.stat().st_size, "sha256": sha256_file(path)}


def _repeated(source: Corpus, rows: int) -> pa.Table:
    """The columns without images. Row n is a copy of the source's row n modulo its length."""
    base = source.rows([field.name for field in arrow_schema() if field.type != IMAGE])
    number = np.arange(rows)
    copy, row = number // len(base), number % len(base)
    table = base.take(pa.array(row))
    media = [f"copy{c}/{name}" for c, name in zip(copy.tolist(), table["media"].to_pylist(), strict=True)]
    named = zip(table["dataset"].to_pylist(), media, table["frame"].to_pylist(), table["face"].to_pylist(), strict=True)
    ids = np.array([sample_id(*each) for each in named], object)
    pairs = pc.index_in(base["pair"], base["id"].combine_chunks()).fill_null(-1).to_numpy()
    pair = np.where(pairs[row] < 0, rows, copy * len(base) + pairs[row])
    paired = [ids[p] if p < rows else None for p in pair.tolist()]
    groups = [f"{name}/copy{c}" if name else None for c, name in zip(copy.tolist(), table["group"].to_pylist(), strict=True)]
    for name, values in {"id": ids, "media": media, "pair": paired, "group": groups}.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values, pa.string()))
    return table


def _know(place: Place, source: Path) -> None:
    """What the check holds every loader against: ids, labels and which crop, in the order of the corpus."""
    table = Corpus(place.corpus).rows(["id", "label"])
    again = _repeated(Corpus(source), len(table))
    number = pc.index_in(table["id"], again["id"].combine_chunks()).to_numpy()
    np.savez(
        place.root / "known.npz",
        ids=np.array(table["id"].to_pylist(), "S24"),
        labels=table["label"].to_numpy(),
        sources=number % len(place.pixels),
    )


def _rows(place: Place) -> Iterator[tuple[str, int, bytes]]:
    """Id, label and JPEG bytes of every row, in the order of the corpus."""
    images = Corpus(place.corpus).images()
    return ((name, label, data) for (name, data), label in zip(images, place.labels, strict=True))


def _tars(place: Place, folder: Path, shard_rows: int) -> None:
    """As webdataset's ShardWriter writes them: KEY.jpg and KEY.cls."""
    rows = _rows(place)
    for number in range(-(-len(place.ids) // shard_rows)):
        with tarfile.open(folder / f"{number:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as out:
            for name, label, data in islice(rows, shard_rows):
                for ending, content in (("jpg", data), ("cls", str(label).encode())):
                    about = tarfile.TarInfo(f"{name}.{ending}")
                    about.size = len(content)
                    out.addfile(about, io.BytesIO(content))


def _jpegs(place: Place, folder: Path) -> None:
    """A folder a class, as torchvision's ImageFolder has it."""
    for label in set(place.labels):
        (folder / str(label)).mkdir()
    for name, label, data in _rows(place):
        (folder / str(label) / f"{name}.jpg").write_bytes(data)


def _pngs(place: Place, folder: Path) -> None:
    """The decoded crops as OpenCV writes them; two hex digits a folder, as a folder a clip would be."""
    encoded = [cv2.imencode(".png", crop[..., ::-1])[1].tobytes() for crop in place.pixels]
    for name, source in zip(place.ids, place.sources, strict=True):
        (folder / name[:2]).mkdir(exist_ok=True)
        (folder / name[:2] / f"{name}.png").write_bytes(encoded[source])
