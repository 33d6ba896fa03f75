"""Shard: pixels, labels, captions and verdicts become rows; every image is checked on its way."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmidd.corpus.media import pair_names
from mmidd.corpus.shards import ShardLimits
from mmidd.engine.files import sha256_file
from mmidd.engine.units import Resources, Unit
from mmidd.errors import WorkError
from mmidd.extraction.records import SCHEMA as SAMPLES_SCHEMA
from mmidd.recipe import parse
from mmidd.schema import SPLITS
from mmidd.stages import caption, curate, extract, index, shard

LIMITS = ShardLimits(10**9, 1000, 10**8)
JPEG = b"\xff\xd8\xff\xe0"


def _named(folder: Path, part: str, write: Any) -> Path:
    """A file that is named as the store names committed ones, with its digest."""
    temporary = folder / "temporary"
    write(temporary)
    return temporary.rename(folder / f"unit.{sha256_file(temporary)[:12]}.{part}")


def _source(
    folder: Path, media: Sequence[str], frames: int, *, captioned: bool = False, size: int = 20, mask: bytes | None = None
) -> shard.UnitFiles:
    """Committed crops of some media: `frames` rows each, with `size` bytes an image; `mask` is that of every first frame."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, blobs = [], bytearray()
    for name in media:
        for frame in range(frames):
            image = JPEG + hashlib.sha256(f"{name} {frame}".encode()).digest() + bytes(size)
            rows.append(
                {
                    "dataset": "CelebA", "media": name, "frame": frame, "face": 0, "image_at": len(blobs),
                    "image_bytes": len(image), "image_sha256": hashlib.sha256(image).hexdigest(), "sharpness": float(frame),
                }
            )  # fmt: skip
            blobs += image
            if mask and not frame:
                about = {"mask_at": len(blobs), "mask_bytes": len(mask), "mask_sha256": hashlib.sha256(mask).hexdigest()}
                rows[-1] |= about
                blobs += mask
    places = [(f"{name}{end}", pa.int64()) for name in ("image", "mask") for end in ("_at", "_bytes")]
    kept = [field for field in SAMPLES_SCHEMA if field.name not in extract.STAGE.blobs]
    schema = pa.schema([*kept, *(pa.field(*place) for place in places)])
    table = pa.Table.from_pylist(rows, schema)
    words = [
        {
            "dataset": "CelebA",
            "media": row["media"],
            "frame": row["frame"],
            "face": 0,
            "face_caption": f"face {row['frame']}",
        }
        for row in rows
    ]
    captions = pa.Table.from_pylist(words, caption.SCHEMA)
    return shard.UnitFiles(
        _named(folder, "rows.parquet", lambda path: pq.write_table(table, path)),
        _named(folder, "blobs.bin", lambda path: path.write_bytes(bytes(blobs))),
        _named(folder, "captions.parquet", lambda path: pq.write_table(captions, path)) if captioned else None,
    )


def _labels(media: Sequence[str], **about: Any) -> dict[tuple[str, str], dict[str, Any]]:
    row = {"dataset": "CelebA", "label": "real", "forgery_type": "REAL", "method": None, "license": "L"}
    row |= {"target_id": "7", "source_id": None, "pair_dataset": None, "pair_media": None} | about
    return {("CelebA", name): row for name in media}


def _verdicts(media: Sequence[str], frames: int, **about: Any) -> dict[tuple[str, str, int, int], dict[str, Any]]:
    return {
        ("CelebA", name, frame, 0): {
            "id": f"{name}-{frame}", "drop": None, "group": f"CelebA/{name}", "split": "train", "split_basis": "hash",
            "pair": None,
        } | about
        for name in media for frame in range(frames)
    }  # fmt: skip


def _plan(
    sources: Sequence[shard.UnitFiles], labels: Any, verdicts: Any, folder: Path, limits: ShardLimits = LIMITS
) -> list[Unit]:
    labelled = pa.Table.from_pylist([row | {"media": name[1]} for name, row in labels.items()], index.LABELLED)
    places = [dict(zip(("dataset", "media", "frame", "face"), place, strict=True)) for place in verdicts]
    judged = [place | row for place, row in zip(places, verdicts.values(), strict=True)]
    verdict_table = pa.Table.from_pylist(judged, curate.SCHEMA)
    return shard.plan("CelebA", "celeba", sources, labelled, verdict_table, limits, folder)


def _write(units: Sequence[Unit], limits: ShardLimits = LIMITS) -> dict[str, pa.Table]:
    """Run the units; the files by name."""
    found = {}
    for unit in units:
        for task in unit.tasks:
            result = shard.run(task, limits, Resources())
            for row, item in zip(result.rows.to_pylist(), task.items, strict=True):
                target = item.payload.target
                assert (row["bytes"], row["sha256"]) == (target.stat().st_size, sha256_file(target))
                found[row["file"]] = pq.read_table(target)
                assert row["rows"] == found[row["file"]].num_rows
    return found


def test_rows_join_pixels_labels_captions_and_verdicts(tmp_path: Path) -> None:
    source = _source(tmp_path / "work", ["a"], 2, captioned=True)
    labels = _labels(["a"], label="fake", forgery_type="FE", method="m", pair_media="b", source_id="9")
    (table,) = _write(_plan([source], labels, _verdicts(["a"], 2, pair="p"), tmp_path / "out")).values()
    first, second = table.to_pylist()
    wanted = {
        "id": "a-0", "label": 1, "forgery_type": 4, "method": "m", "target_id": "7", "source_id": "9", "license": "L",
        "pair_media": "b", "pair": "p", "group": "CelebA/a", "split_basis": "hash", "face_caption": "face 0",
        "sharpness": 0.0, "frame": 0, "mask": None, "attack": None,
    }  # fmt: skip
    assert {name: first[name] for name in wanted} == wanted
    assert (second["frame"], second["face_caption"], second["image"]["path"]) == (1, "face 1", "a-1.jpg")
    assert second["image"]["bytes"].startswith(JPEG + hashlib.sha256(b"a 1").digest())


def test_an_attack_is_a_fake_of_no_forgery_type_with_its_family(tmp_path: Path) -> None:
    source = _source(tmp_path / "work", ["a"], 1)
    labels = _labels(["a"], label="fake", forgery_type=None, method="OULU-NPU printer 1", attack="print")
    (table,) = _write(_plan([source], labels, _verdicts(["a"], 1), tmp_path / "out")).values()
    (row,) = table.select(["label", "forgery_type", "method", "attack"]).to_pylist()
    assert row == {"label": 1, "forgery_type": None, "method": "OULU-NPU printer 1", "attack": "print"}


def test_a_mask_comes_out_as_it_went_in_and_rows_without_one_are_null(tmp_path: Path) -> None:
    mask = b"\x89PNG mask"
    source = _source(tmp_path / "work", ["a"], 2, mask=mask)
    (table,) = _write(_plan([source], _labels(["a"]), _verdicts(["a"], 2), tmp_path / "out")).values()
    assert table["mask"].to_pylist() == [{"bytes": mask, "path": "a-0-mask.png"}, None]
    assert table["image"][1]["bytes"].as_py().startswith(JPEG + hashlib.sha256(b"a 1").digest())


@pytest.mark.parametrize(
    ("pair_dataset", "told"), [(None, "b.mp4"), ("CelebA", "b.mp4"), ("FaceForensics++", "FaceForensics++:b.mp4")]
)
def test_a_pair_in_another_dataset_is_told_with_its_dataset(pair_dataset: str | None, told: str) -> None:
    rows = [{"dataset": "CelebA", "pair_dataset": pair_dataset, "pair_media": pair} for pair in ("b.mp4", None, "")]
    assert pair_names(pa.Table.from_pylist(rows, index.SCHEMA)).to_pylist() == [told, None, None]


def test_an_unknown_type_is_null_and_without_captioner_captions_are_null(tmp_path: Path) -> None:
    labels = _labels(["a"], label="fake", forgery_type=None, method="unknown")
    (table,) = _write(_plan([_source(tmp_path / "w", ["a"], 1)], labels, _verdicts(["a"], 1), tmp_path / "out")).values()
    (row,) = table.to_pylist()
    assert (row["label"], row["forgery_type"], row["face_caption"], row["caption_status"]) == (1, None, None, None)


def test_dropped_and_unjudged_samples_are_in_no_shard_and_empty_splits_have_none(tmp_path: Path) -> None:
    media = ["a", "b", "c"]
    verdicts = _verdicts(["a"], 2, split="test") | _verdicts(["b"], 2, drop="exact_duplicate", split=None)
    found = _write(_plan([_source(tmp_path / "w", media, 2)], _labels(media), verdicts, tmp_path / "out"))
    assert {name: table["id"].to_pylist() for name, table in found.items()} == {
        "data/test-celeba-00000-of-00001.parquet": ["a-0", "a-1"]
    }


def test_nothing_to_write_makes_no_unit(tmp_path: Path) -> None:
    assert _plan([], {}, {}, tmp_path) == []


def test_shards_are_numbered_within_their_split_and_a_group_lies_together(tmp_path: Path) -> None:
    media = [f"m{number}" for number in range(12)]
    verdicts = _verdicts(media, 3) | _verdicts(media[:2], 3, split="validation")
    limits = ShardLimits(8000, 1000, 10**6)
    found = _write(
        _plan([_source(tmp_path / "w", media, 3, size=600)], _labels(media), verdicts, tmp_path / "out", limits), limits
    )
    names = sorted(found)
    for split in SPLITS:
        mine = [name for name in names if name.startswith(f"data/{split}-")]
        assert mine == [f"data/{split}-celeba-{n:05d}-of-{len(mine):05d}.parquet" for n in range(len(mine))]
    assert sum(name.startswith("data/train-") for name in names) > 2
    homes = [{row for row in table["media"].to_pylist()} for table in found.values()]
    assert sum(map(len, homes)) == len(media)


def test_neither_the_order_of_units_nor_that_of_their_rows_changes_a_byte(tmp_path: Path) -> None:
    labels, verdicts = _labels(["a", "b", "c"]), _verdicts(["a", "b", "c"], 2)
    one, two = _source(tmp_path / "1", ["a", "c"], 2), _source(tmp_path / "2", ["b"], 2)
    other = _source(tmp_path / "3", ["b", "c", "a"], 2)
    bytes_of, keys = [], []
    for number, sources in enumerate(([one, two], [two, one], [other])):
        (unit,) = _plan(sources, labels, verdicts, tmp_path / f"out{number}")
        _write([unit])
        keys.append([item.inputs for item in unit.items])
        bytes_of.append((tmp_path / f"out{number}" / unit.name).read_bytes())
    assert bytes_of[0] == bytes_of[1] == bytes_of[2]
    assert keys[0] == keys[1] == keys[2]


def test_a_changed_label_verdict_caption_or_image_changes_the_units_inputs(tmp_path: Path) -> None:
    source, captioned = _source(tmp_path / "w", ["a"], 1), _source(tmp_path / "c", ["a"], 1, captioned=True)
    larger = _source(tmp_path / "l", ["a"], 1, size=21)
    masked, other = (_source(tmp_path / str(level), ["a"], 1, mask=bytes([137, 80, 78, 71, level])) for level in (1, 2))
    cases = [
        ([source], _labels(["a"]), _verdicts(["a"], 1)),
        ([source], _labels(["a"], license="M"), _verdicts(["a"], 1)),
        ([source], _labels(["a"]), _verdicts(["a"], 1, pair="p")),
        ([captioned], _labels(["a"]), _verdicts(["a"], 1)),
        ([larger], _labels(["a"]), _verdicts(["a"], 1)),
        ([masked], _labels(["a"]), _verdicts(["a"], 1)),
        ([other], _labels(["a"]), _verdicts(["a"], 1)),
    ]
    keys = {tuple(item.inputs or ()) for case in cases for unit in _plan(*case, tmp_path / "o") for item in unit.items}
    assert len(keys) == len(cases)


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_image_in_the_work_folder_stops_the_shard_and_leaves_no_file(tmp_path: Path, damage: str) -> None:
    source = _source(tmp_path / "w", ["a"], 3)
    units = _plan([source], _labels(["a"]), _verdicts(["a"], 3), tmp_path / "out")
    data = bytearray(source.blobs.read_bytes())
    data[60] ^= 1
    source.blobs.write_bytes(bytes(data) if damage == "flip" else bytes(data[:-1]))
    with pytest.raises(WorkError, match="blob"):
        _write(units)
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_only_the_shards_part_of_a_recipe_shapes_shards() -> None:
    base = "name: t\ndatasets: [CelebA]\n"
    first, same, other = (
        shard.ingredients(parse(base + more, "r.yaml")) for more in ("", "seed: 3\n", "shards: {max_bytes: 200000}\n")
    )
    assert first == same != other
