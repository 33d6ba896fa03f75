"""A publication and the user's own media become the corpus again: byte for byte, or with what is not so told."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Build, Said
from PIL import Image
from place import Place, digests

from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError, MmiddError, ShareError, UsageError
from mmidd.share.publication.stage import stage
from mmidd.share.rehydrate.rehydrate import rehydrate
from mmidd.share.rehydrate.result import Rehydrated

REAL, FAKE = "original_sequences/youtube/c23/videos/000.mp4", "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"
FF = "FaceForensics++"


def again(where: Path, data: Path, out: Path, **more: Any) -> Rehydrated:
    return rehydrate(where, data, out, **{"workers": 0, **more})


def test_labels_and_media_give_the_corpus_byte_for_byte_and_a_second_run_does_nothing(
    small: Place, labels: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    found = again(labels, small.data, out)
    assert (found.complete, found.original, found.changed) == (True, True, True)
    assert digests(out) == small.digests()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert found.written == len(Corpus(out)) == found.statuses["exact"]
    second = again(labels, small.data, out)
    assert (second.original, second.changed, second.rate.media) == (True, False, 0)
    assert digests(out) == small.digests()


def test_workers_give_the_same(small: Place, labels: Path, tmp_path: Path) -> None:
    assert again(labels, small.data, tmp_path / "out", workers=2).original
    assert digests(tmp_path / "out") == small.digests()


def test_masks_and_every_kind_of_medium_are_cut_again(built: Build, whole: Path, tmp_path: Path) -> None:
    found = again(whole, built.data, tmp_path / "out")
    assert found.original, str(found)
    assert digests(tmp_path / "out") == digests(built.out)
    assert Corpus(tmp_path / "out").rows(["mask"])["mask"].null_count < found.written


def test_pixels_of_the_publication_are_taken_and_only_other_media_needed(built: Build, mixed: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(built.data, tmp_path / "data"))
    shutil.rmtree(data / "FFHQ")
    found = again(mixed, data, tmp_path / "out")
    assert found.original and digests(tmp_path / "out") == digests(built.out)
    assert set(found.media) == {"same"}


def test_a_complete_publication_needs_no_media_at_all(built: Build, tmp_path: Path) -> None:
    stage(Corpus(built.out), tmp_path / "p", name="ffhq", only=["FFHQ"], workers=0)
    (tmp_path / "data").mkdir()
    found = again(tmp_path / "p", tmp_path / "data", tmp_path / "out")
    assert found.original and found.rate.media == 0
    assert Corpus(tmp_path / "out").verify().findings == ()


def test_a_picture_that_is_packed_otherwise_gives_the_same(built: Build, whole: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(built.data, tmp_path / "data"))
    path = sorted(data.glob("FFHQ/**/*.png"))[0]
    Image.open(path).save(path, compress_level=1)
    found = again(whole, data, tmp_path / "out")
    assert [(each.kind, each.told) for each in found.others] == [("other_bytes", "other bytes, equal frames: a re-download")]
    assert found.original and digests(tmp_path / "out") == digests(built.out)


def test_without_a_medium_the_corpus_lacks_its_rows_and_says_so_and_grows(
    small: Place, labels: Path, data: Path, tmp_path: Path
) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept"
    kept.mkdir()
    shutil.move(data / FF / REAL, kept)
    found = again(labels, data, out)
    assert not found.complete and not found.original
    assert found.media["not_found"] == 1
    assert [(each.dataset, each.media, each.first) for each in found.missing] == [(FF, 1, (REAL,))]
    assert Corpus(out).verify().findings == ()
    rows = Corpus(out).rows(["media", "pair", "dataset"]).to_pylist()
    assert len(rows) == found.written < len(Corpus(small.out))
    assert {row["pair"] for row in rows if row["media"] == FAKE} == {None}
    about = json.loads((out / "mmidd.json").read_text())["rehydrated"]
    assert about["rows"][FF]["missing"] == 2 and set(about["rows"]["CelebA"]) == {"exact"}
    assert "not the original" in (out / "README.md").read_text().partition("\n# ")[0]
    media = {row["media"]: row for row in Corpus(out).media.to_pylist()}
    assert (media[REAL]["outcome"], media[REAL]["reason"], media[REAL]["samples"]) == ("dropped", "not_rehydrated", 0)
    exact = {name for name, each in digests(out).items() if small.digests().get(name) == each}
    assert exact
    unmoved = {name: (out / name).stat().st_ino for name in exact if name.startswith("data/")}
    shutil.move(kept / Path(REAL).name, data / FF / REAL)
    found = again(labels, data, out)
    assert found.original and digests(out) == small.digests()
    assert all((out / name).stat().st_ino == each for name, each in unmoved.items())
    assert not (tmp_path / "out.rehydrate").exists()


def test_a_partial_corpus_is_read_by_datasets(labels: Path, data: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    shutil.rmtree(data / "CelebA")
    found = again(labels, data, tmp_path / "out")
    rows = sum(len(part) for part in load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache")).values())
    assert rows == found.written


def test_only_one_dataset_is_asked_for(small: Place, labels: Path, data: Path, tmp_path: Path) -> None:
    shutil.rmtree(data / FF)
    found = again(labels, data, tmp_path / "out", only=["celeba"])
    assert found.complete and not found.original and found.not_selected
    assert Corpus(tmp_path / "out").verify().findings == ()
    assert set(Corpus(tmp_path / "out").rows(["dataset"])["dataset"].to_pylist()) == {"CelebA"}
    assert "not_selected" in Corpus(tmp_path / "out").media["reason"].to_pylist()
    with pytest.raises(UsageError, match="Celeb-DF"):
        again(labels, data, tmp_path / "out", only=["Celeb-DF"])


def test_media_in_archives_are_found(small: Place, labels: Path, data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(data / "CelebA" / "img_align_celeba.zip", "w") as file:
        for path in sorted((data / "CelebA" / "img_align_celeba").iterdir()):
            file.write(path, f"img_align_celeba/{path.name}")
    shutil.rmtree(data / "CelebA" / "img_align_celeba")
    assert again(labels, data, tmp_path / "out").original
    assert digests(tmp_path / "out") == small.digests()


def remuxed(path: Path) -> None:
    """Other bytes, the same packets."""
    source, out = av.open(str(path)), io.BytesIO()
    target = av.open(out, "w", format="mp4")
    stream = source.streams.video[0]
    to = target.add_stream_from_template(stream)
    for packet in source.demux(stream):
        if packet.dts is not None:
            packet.stream = to
            target.mux(packet)
    target.close()
    path.write_bytes(out.getvalue() + b"\0\0\0\x08free")


def darker(path: Path) -> None:
    """A picture whose values are smaller by 40."""
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    Image.fromarray(np.clip(image - 40, 0, 255).astype(np.uint8)).save(path, quality=95)


def smaller(path: Path) -> None:
    """A picture of half the size."""
    image = Image.open(path)
    image.resize((image.width // 2, image.height // 2)).save(path)


def shorter(path: Path) -> None:
    """A clip of three frames, in the size that it had."""
    with av.open(str(path)) as source:
        frames = [frame.to_ndarray(format="rgb24") for frame, _ in zip(source.decode(video=0), range(3), strict=False)]
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            target.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        target.mux(stream.encode(None))


def broken(path: Path) -> None:
    """No image any more."""
    path.write_bytes(b"<html>no such file</html>")


CELEBA = "CelebA/img_align_celeba/*.jpg"
OTHERS: Mapping[str, tuple[Callable[[Path], None], str, str, str]] = {
    "a remuxed video": (remuxed, f"{FF}/{REAL}", "other_bytes", "a re-download"),
    "other pixels": (darker, CELEBA, "other_version", "grey levels"),
    "another size": (smaller, CELEBA, "other_version", "frames of"),
    "a shorter clip": (shorter, f"{FF}/{REAL}", "other_version", "another version"),
    "no picture": (broken, CELEBA, "unreadable", "web page"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_re_download_is_told_from_another_version(
    what: str, small: Place, labels: Path, data: Path, tmp_path: Path
) -> None:
    change, pattern, kind, words = OTHERS[what]
    path = sorted(data.glob(pattern))[0]
    change(path)
    found = again(labels, data, tmp_path / "out")
    (told,) = found.others
    assert (told.kind, path.as_posix().endswith(told.media)) == (kind, True), told
    assert words in told.told
    assert found.original is (kind == "other_bytes")
    if found.original:
        assert digests(tmp_path / "out") == small.digests()
    else:
        assert not found.complete and Corpus(tmp_path / "out").verify().findings == ()


def test_a_file_of_the_right_size_that_is_another_is_told_and_the_next_run_finds_the_right_one(
    small: Place, labels: Path, data: Path, tmp_path: Path
) -> None:
    path = sorted(data.glob(CELEBA))[0]
    (data / "elsewhere").mkdir()
    shutil.copy(path, data / "elsewhere/mine.jpg")
    right = path.read_bytes()
    other = io.BytesIO()
    Image.open(path).convert("RGB").point(lambda value: 255 - value).save(other, "JPEG", quality=20)
    path.write_bytes(other.getvalue().ljust(len(right), b"\0"))
    assert path.stat().st_size == len(right)
    first = again(labels, data, tmp_path / "out")
    assert not first.complete and any("looks elsewhere" in note for note in first.notes)
    second = again(labels, data, tmp_path / "out")
    assert second.original and digests(tmp_path / "out") == small.digests() and second.notes == ()


def test_what_is_accepted_is_written(labels: Path, data: Path, tmp_path: Path) -> None:
    darker(sorted(data.glob(CELEBA))[0])
    few, all_ = again(labels, data, tmp_path / "few"), again(labels, data, tmp_path / "all", accept="any")
    assert (few.statuses["differs"], all_.statuses["differs"]) == (1, 1)
    assert all_.written == few.written + 1 == len(Corpus(tmp_path / "all"))
    assert not all_.complete and Corpus(tmp_path / "all").verify().findings == ()
    told = json.loads((tmp_path / "all" / "mmidd.json").read_text())["rehydrated"]
    assert told["accept"] == "any" and told["rows"]["CelebA"]["differs"] == 1


def test_a_medium_that_kills_its_worker_costs_itself_alone(
    labels: Path, small: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MMIDD_FAULT", f"cutting@{REAL}:*:kill")
    found = again(labels, small.data, tmp_path / "out", workers=2)
    (told,) = found.others
    assert (told.media, told.kind) == (REAL, "unreadable") and "SIGKILL" in told.told
    assert found.statuses["missing"] == 2
    assert Corpus(tmp_path / "out").verify().findings == ()
    monkeypatch.delenv("MMIDD_FAULT")
    assert again(labels, small.data, tmp_path / "out").original and digests(tmp_path / "out") == small.digests()


def test_a_place_that_holds_something_else_is_refused(small: Place, labels: Path, built: Build, tmp_path: Path) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "mine.txt").write_text("mine")
    with pytest.raises(CorpusError, match="no corpus of mmidd"):
        again(labels, small.data, strange)
    other = shutil.copytree(built.out, tmp_path / "other")
    before = digests(other)
    with pytest.raises(ShareError, match="another corpus"):
        again(labels, small.data, other)
    assert digests(other) == before
    mine = tmp_path / "out.rehydrate"
    mine.mkdir()
    (mine / "mine.txt").write_text("mine")
    with pytest.raises(ShareError, match="did not make it"):
        again(labels, small.data, tmp_path / "out")
    assert (mine / "mine.txt").read_text() == "mine" and not (tmp_path / "out").exists()


def test_a_damaged_publication_is_refused_before_anything_is_written(small: Place, labels: Path, tmp_path: Path) -> None:
    where = shutil.copytree(labels, tmp_path / "p")
    part = sorted((where / "labels").iterdir())[0]
    part.write_bytes(part.read_bytes()[:-1] + b"X")
    with pytest.raises(ShareError, match="checksum"):
        again(where, small.data, tmp_path / "out")
    with pytest.raises(MmiddError):
        again(tmp_path, small.data, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p"]


def test_the_command_line_tells_counts_and_ends_with_3_where_rows_are_missing(
    mmidd: Callable[..., Said], labels: Path, data: Path, tmp_path: Path
) -> None:
    shutil.rmtree(data / "CelebA")
    words = ("rehydrate", str(labels), "--data", str(data), "--out", str(tmp_path / "out"))
    said = mmidd(*words, "--check", "--json")
    assert said.code == 3 and not said.document["complete"] and not list(tmp_path.glob("out*"))
    said = mmidd(*words, "--workers", "0", "--json")
    assert said.code == 3 and said.document["rows"]["missing"] and said.document["datasets"][FF]["exact"]
    said = mmidd(*words, "--workers", "0", "--only", FF)
    assert said.code == 0 and "of the original" in said.out
    assert mmidd(*words, "--digests").code == 2


def test_shards_have_the_columns_and_row_groups_of_the_original(
    small: Place, labels: Path, data: Path, tmp_path: Path
) -> None:
    shutil.rmtree(data / "CelebA")
    again(labels, data, tmp_path / "out")
    for path in (tmp_path / "out" / "data").iterdir():
        assert pq.read_schema(path).equals(pq.read_schema(small.out / "data" / path.name), check_metadata=True)
