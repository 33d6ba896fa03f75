"""What a rehydration could do, said before any work; what is missing, and how to get it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mmidd.manifest import find_manifest
from mmidd.share.publication.format import labels_schema
from mmidd.share.rehydrate.checked import Checked, check, crop_bytes
from mmidd.share.rehydrate.found import Lost, Wanted
from mmidd.share.rehydrate.missing import Missing, missing
from rehydrate.folders import BOTH, CLIP, DF40, FAKE, FF, FILES, REAL, below, look, put, tarred, wanted, wanted_clip, zipped


def checked(tmp_path: Path, *what: Wanted, **more: Any) -> Checked:
    return check(what, tmp_path / "data", tmp_path / "work", **more)


CASES: dict[str, tuple[dict[str, bytes], tuple[int, int, int], tuple[int, int, int]]] = {
    "as a build has them": (below(FF, FILES), (4, 0, 0), (4, 0, 0)),
    "in a zip": ({f"{FF}/x.zip": zipped(FILES)}, (4, 0, 0), (4, 0, 0)),
    "half": (below(FF, {FAKE: FILES[FAKE]}), (2, 0, 2), (2, 0, 2)),
    "other bytes of another size": (below(FF, FILES | {FAKE: b"again"}), (2, 2, 0), (2, 2, 0)),
    "other bytes of that size": (below(FF, FILES | {FAKE: FILES[FAKE][::-1]}), (4, 0, 0), (2, 2, 0)),
    "renamed": ({f"x/{number}": data for number, data in enumerate(FILES.values())}, (0, 4, 0), (4, 0, 0)),
    "renamed, in a zip": ({"y.zip": zipped({"1": FILES[FAKE]})}, (0, 2, 2), (2, 0, 2)),
    "what only has their size": ({"x/1": FILES[FAKE][::-1]}, (0, 2, 2), (0, 0, 4)),
    "nothing": ({"x/1": b"1"}, (0, 0, 4), (0, 0, 4)),
}


@pytest.mark.parametrize(("files", "unread", "read"), CASES.values(), ids=CASES)
def test_what_is_possible_by_sizes_and_by_digests(
    files: dict[str, bytes], unread: tuple[int, int, int], read: tuple[int, int, int], tmp_path: Path
) -> None:
    put(tmp_path / "data", files)
    found = checked(tmp_path, *BOTH)
    assert tuple(map(found.total, ("sure", "likely", "missing"))) == unread
    assert not (tmp_path / "work").exists(), "nothing is written"
    found = checked(tmp_path, *BOTH, digests=True)
    assert tuple(map(found.total, ("sure", "likely", "missing"))) == read
    again = checked(tmp_path, *BOTH)
    assert (again.total("sure"), again.complete) >= (found.total("sure"), found.complete), "what was read is known by then"


def test_a_compressed_tar_stays_closed_until_digests_are_asked(tmp_path: Path) -> None:
    put(tmp_path / "data", {"x.tar.gz": tarred(FILES, "w:gz")})
    found = checked(tmp_path, *BOTH)
    assert found.total("missing") == 4 and "x.tar.gz (a compressed tar:" in found.notes[0]
    found = checked(tmp_path, *BOTH, digests=True)
    assert found.complete and found.notes == ()


def test_its_document_and_words_have_every_figure(tmp_path: Path) -> None:
    put(tmp_path / "data", below(FF, {FAKE: FILES[FAKE]}))
    here = replace(wanted("CelebA", "a.png", b"1", "image", 5), pixels=True)
    crops = {BOTH[0].name: 1000, BOTH[1].name: 10_000, here.name: 500}
    found = checked(tmp_path, *BOTH, wanted_clip(), here, crops=crops)
    document = json.loads(json.dumps(found.document()))
    assert document["rows"] == {"rows": 11, "included": 5, "sure": 2, "likely": 0, "missing": 4}
    assert (document["disk_bytes"], document["to_read_bytes"], document["complete"]) == (1500, len(FILES[FAKE]), False)
    assert [each["dataset"] for each in document["missing"]] == [DF40, FF]
    told = str(found)
    for part in ("7 of 11 rows can be rebuilt for sure, 0 perhaps", "mmidd datasets df40", "about 2 kB of disk"):
        assert part in told
    assert found.headline().startswith("7 of 11")


def test_crops_are_counted_by_medium() -> None:
    rows = [
        {"dataset": "X", "media": media, "image_bytes": size} for media, size in (("a", 3), ("a", 4), ("b", None), ("b", -9))
    ]
    table = pa.Table.from_pylist(rows, labels_schema())
    assert crop_bytes([table, table]) == {("X", "a"): 14, ("X", "b"): 0}


def lost(tmp_path: Path, *what: Wanted) -> tuple[Missing, ...]:
    found = look(tmp_path, *what)
    return missing(found.lost, what, found.folders, tmp_path / "data")


def test_what_is_missing_is_told_by_dataset_with_how_to_get_it(tmp_path: Path) -> None:
    put(tmp_path / "data", below(FF, {FAKE: FILES[FAKE]}))
    celeba, frames, real = lost(tmp_path, *BOTH, wanted_clip(), wanted("CelebA", "a", b"", rows=3))
    manifest = find_manifest(DF40)
    assert (celeba.rows, celeba.slug) == (3, "celeba")
    assert (frames.dataset, frames.media, frames.rows, frames.share, frames.folder) == (DF40, 1, 2, 1.0, None)
    assert (real.dataset, real.media, real.of_media, real.rows, real.of_rows, real.first) == (FF, 1, 2, 2, 4, (REAL,))
    assert (frames.slug, frames.licence) == (manifest.slug, manifest.licence.name)
    told = str(frames)
    for part in (
        "1 of 1 media missing: 2 of 2 rows (100.0%)",
        "1 not there",
        CLIP,
        manifest.licence.url,
        "mmidd datasets df40",
    ):
        assert part in told
    assert json.loads(json.dumps(real.document()))["why"] == {"not there": 1}


def test_nothing_is_told_of_what_is_whole(tmp_path: Path) -> None:
    put(tmp_path / "data", below(FF, FILES))
    assert lost(tmp_path, *BOTH) == ()


@pytest.mark.parametrize(
    ("folder", "told"),
    [("FaceForensics++_C23", "is FaceForensics++_C23/ meant for it?"), ("DFDC", ""), (".hidden", ""), ("holiday", "")],
)
def test_a_folder_that_may_be_meant_is_named(folder: str, told: str, tmp_path: Path) -> None:
    put(tmp_path / "data" / folder, {"x": b"x"})
    (one,) = lost(tmp_path, *BOTH)
    assert [told in hint for hint in one.hints] == ([True] if told else [])


def test_a_data_root_that_is_the_dataset_itself_is_told(tmp_path: Path) -> None:
    data = put(tmp_path / "faceforensics++", {REAL: FILES[REAL]})
    (one,) = missing([Lost(BOTH[0], "not there")], BOTH, {FF: None}, data)
    assert one.hints == ("the data root looks like this dataset itself: give the folder above it",)


def test_a_dataset_that_nobody_knows_is_told_as_such(tmp_path: Path) -> None:
    put(tmp_path / "data", {"x": b"x"})
    (one,) = lost(tmp_path, wanted("\x1b[31mmine", "\x1b[2Ja.mp4", b"1"))
    assert one.slug is None and "knows no such dataset" in str(one) and "\x1b" not in str(one)
