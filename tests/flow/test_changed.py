"""Raw data that change under a build, or between two, whatever they do to sizes and times: no old digest with new pixels."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Place, Said
from PIL import Image

from mmidd.stages import extract

Run = Callable[..., Said]
MEDIA = "img_align_celeba/000001.jpg"
IMAGE = f"CelebA/{MEDIA}"
ONLY = ("--only", "CelebA")


def another(path: Path, turn: Any) -> bytes:
    """Another picture of the same people, as long as the file at `path`."""
    out = io.BytesIO()
    with Image.open(path) as image:
        image.transpose(turn).save(out, "JPEG", quality=60)
    size = path.stat().st_size
    assert out.tell() <= size
    return out.getvalue().ljust(size, b"\0")


def put(path: Path, data: bytes) -> None:
    """A file of other bytes takes the place, with size and modification time of the one before."""
    about, other = path.stat(), path.with_name("other")
    other.write_bytes(data)
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
    other.replace(path)


def rows(place: Place) -> dict[str, list[tuple[str, bytes]]]:
    """Of each medium of the corpus the digest that it is said to have, and the crops."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for path in sorted((place.out / "data").glob("*celeba*.parquet")):
        for row in pq.read_table(path, columns=["media", "media_sha256", "image"]).to_pylist():
            found.setdefault(row["media"], []).append((row["media_sha256"], row["image"]["bytes"]))
    return found


def failed(mmidd: Run, place: Place) -> list[tuple[str, str]]:
    return [(each["media"], each["error"]) for each in mmidd("failures", str(place.work), "--json").document]


def planned(mmidd: Run, place: Place) -> tuple[int, int]:
    """How many media are to be extracted, and how many files are to be read again to know."""
    plan = mmidd(*place.words("plan", *ONLY), "--json").document
    return next(int(each["to_do"]) for each in plan["stages"] if each["stage"] == "extract"), plan["reread"]


def test_a_medium_that_is_swapped_after_its_digest_is_named_and_done_by_the_next_build(
    place: Place, mmidd: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, build = place.data / IMAGE, place.words("build", *ONLY, "--allow-removals")
    first, second = (another(path, turn) for turn in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM))
    before = rows(place)[MEDIA]
    put(path, first)
    original = tmp_path / "original"

    def swap() -> None:
        shutil.copy2(path, original)
        put(path, second)

    swaps = [swap]
    with monkeypatch.context() as patch:
        patch.setattr(extract, "fault", lambda *_: swaps.pop()() if swaps else None)
        said = mmidd(*build)
    assert said.code == 3 and "1 media changed while they were read" in said.err and IMAGE in said.err
    assert failed(mmidd, place) == [(MEDIA, "ChangedMedia")] and MEDIA not in rows(place)
    original.replace(path)  # with the size and the times it was indexed with
    assert planned(mmidd, place) == (1, 0)
    assert mmidd(*build).code == 0 and failed(mmidd, place) == []
    ((sha256, crop),) = rows(place)[MEDIA]
    assert sha256 == hashlib.sha256(first).hexdigest() and crop not in [image for _, image in before]
    assert mmidd("verify", str(place.out)).code == 0 and planned(mmidd, place) == (0, 0)


def test_a_file_that_takes_the_place_of_another_with_its_size_and_time_is_seen(place: Place, mmidd: Run) -> None:
    assert mmidd(*place.words("build", *ONLY, "--allow-removals")).code == 0
    path, before = place.data / IMAGE, rows(place)
    data = another(path, Image.Transpose.FLIP_LEFT_RIGHT)
    assert planned(mmidd, place) == (0, 0)
    put(path, data)
    assert planned(mmidd, place) == (0, 1)
    assert mmidd(*place.words("build", *ONLY, "--allow-removals")).code == 0
    after = rows(place)
    assert after[MEDIA][0][0] == hashlib.sha256(data).hexdigest() and after[MEDIA] != before[MEDIA]
    assert {media: each for media, each in after.items() if media != MEDIA} == {
        media: each for media, each in before.items() if media != MEDIA
    }


def test_data_that_were_only_moved_cost_reading_and_no_work(place: Place, mmidd: Run, tmp_path: Path) -> None:
    moved = place.data.with_name("moved")
    shutil.copytree(place.data, moved)  # sizes and times are kept
    shutil.rmtree(place.data)
    moved.rename(place.data)
    assert planned(mmidd, place) == (0, 7)
    said = mmidd(*place.words("build"))
    assert said.code == 0 and "(unchanged)" in said.err
    assert planned(mmidd, place) == (0, 0)
