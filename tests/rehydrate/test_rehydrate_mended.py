"""What users mend between two runs, and what they are told again; publications whose rows are at odds."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Build
from place import Place, digests

from mmidd.corpus.read import Corpus
from mmidd.errors import ShareError, UsageError
from mmidd.share.publication.opened import Opened, open_publication
from mmidd.share.rehydrate.rehydrate import check, rehydrate
from mmidd.share.rehydrate.rows import check_ids, read_labels

FF, REAL = "FaceForensics++", "original_sequences/youtube/c23/videos/000.mp4"
IMAGES = "CelebA/img_align_celeba"


def again(where: Path, data: Path, out: Path, **more: Any) -> Any:
    return rehydrate(where, data, out, **{"workers": 0, **more})


def damaged(data: bytes) -> bytes:
    return data[:200] + bytes(len(data) - 200)


def test_masks_in_a_compressed_tar_are_cut_again(built: Build, whole: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(built.data, tmp_path / "data"))
    with tarfile.open(data / "ff.tar.gz", "w:gz") as tar:
        tar.add(data / FF, FF)
    shutil.rmtree(data / FF)
    found = again(whole, data, tmp_path / "out", only=[FF])
    assert found.complete and not found.statuses["differs"]
    assert Corpus(tmp_path / "out").rows(["mask"])["mask"].null_count < found.written


@pytest.mark.parametrize("name", [f"{FF}/{REAL}", IMAGES])
def test_of_a_damaged_copy_a_second_run_finds_the_sound_one(
    name: str, small: Place, labels: Path, data: Path, tmp_path: Path
) -> None:
    path = data / name if (data / name).is_file() else sorted((data / name).iterdir())[0]
    (data / "backup").mkdir()
    shutil.copy(path, data / "backup" / path.name)
    path.write_bytes(damaged(path.read_bytes()))
    assert not again(labels, data, tmp_path / "out").complete
    assert again(labels, data, tmp_path / "out").original
    assert digests(tmp_path / "out") == small.digests()


def test_a_copy_that_is_mended_in_place_is_cut_again_though_size_and_time_are_the_same(
    small: Place, labels: Path, data: Path, tmp_path: Path
) -> None:
    path = sorted((data / IMAGES).iterdir())[0]
    sound, times = path.read_bytes(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.write_bytes(damaged(sound))
    os.utime(path, ns=times)
    assert not again(labels, data, tmp_path / "out").complete
    path.write_bytes(sound)
    os.utime(path, ns=times)
    assert again(labels, data, tmp_path / "out").original


def test_a_mask_that_is_mended_in_place_is_cut_again(built: Build, whole: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(built.data, tmp_path / "data"))
    masks = sorted(data.glob(f"{FF}/**/masks/**/*.mp4"))
    sound = {path: path.read_bytes() for path in masks}
    for path in masks:
        path.write_bytes(b"none")
    assert again(whole, data, tmp_path / "out").statuses["differs"]
    for path, each in sound.items():
        path.write_bytes(each)
    assert again(whole, data, tmp_path / "out").original


def test_a_second_run_says_again_why_rows_are_missing(labels: Path, data: Path, tmp_path: Path) -> None:
    path = sorted((data / IMAGES).iterdir())[0]
    path.write_bytes(path.read_bytes()[:300])
    (data / FF / REAL).unlink()
    first, second = (again(labels, data, tmp_path / "out") for _ in range(2))
    assert (second.rate.media, second.changed) == (0, False)
    said = [{kind: count for kind, count in each.media.items() if kind != "same"} for each in (first, second)]
    assert said[0] == said[1] == {"unreadable": 1, "not_found": 1}
    assert [(each.media, each.kind) for each in first.others] == [(each.media, each.kind) for each in second.others]


def test_what_was_passed_by_is_told_where_something_is_lacking(labels: Path, data: Path, tmp_path: Path) -> None:
    (data / FF / REAL).unlink()
    (data / "more.tar.xz").write_bytes(b"x")
    (data / os.fsdecode(b"odd")).mkdir()
    (data / "odd" / os.fsdecode(b"\xff.mp4")).write_bytes(b"x")
    (note,) = again(labels, data, tmp_path / "out").notes
    assert "more.tar.xz (an archive of a kind" in note and "name is not UTF-8" in note


def test_a_corpus_in_the_publication_is_refused(labels: Path, data: Path, tmp_path: Path) -> None:
    where = Path(shutil.copytree(labels, tmp_path / "p"))
    before = digests(where)
    for call in (again, check):
        with pytest.raises(UsageError, match="lies in the publication's folder"):
            call(where, data, where / "out")
    assert digests(where) == before


def edited(opened: Opened, column: str, change: Callable[[list[Any]], list[Any]]) -> Opened:
    """The publication with a column otherwise, its files listed as they are then."""
    files = dict(opened.about.files)
    for shard in opened.shards:
        path = Path(str(opened.place.path(shard.name)))
        table = pq.read_table(path)
        place = table.schema.get_field_index(column)
        values = pa.array(change(table[column].to_pylist()), table.schema.field(place).type)
        pq.write_table(table.set_column(place, table.schema.field(place), values), path)
        files[shard.name] = replace(files[shard.name], bytes=path.stat().st_size)
    return Opened(opened.place, replace(opened.about, files=files), opened.corpus)


@pytest.mark.parametrize(
    ("column", "change", "told"),
    [
        ("id", lambda ids: ["a" * 24 for _ in ids], "more than one row of the id"),
        ("pair", lambda pairs: ["nobody" for _ in pairs], "a pair that is no row"),
        ("frame", lambda frames: [each + 1 for each in frames], "an id that is not that of its row"),
        ("dataset", lambda names: ["Nobody" for _ in names], "rows of another dataset"),
    ],
)
def test_rows_that_would_make_no_sound_corpus_are_refused(
    column: str, change: Callable[[list[Any]], list[Any]], told: str, labels: Path, tmp_path: Path
) -> None:
    opened = edited(open_publication(shutil.copytree(labels, tmp_path / "p")), column, change)
    with pytest.raises(ShareError, match=told):
        check_ids(opened)
        for shard in opened.shards:
            read_labels(opened, shard)
