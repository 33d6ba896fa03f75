"""A takedown holds for good: whatever becomes of the raw files, of the notes, and of other corpora of the work folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import pyarrow.parquet as pq
import pytest
from conftest import Place, Said

Run = Callable[..., Said]

FF = "FaceForensics++"
REAL = "original_sequences/youtube/c23/videos/000.mp4"
FAKE = "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"
OTHER = "manipulated_sequences/Deepfakes/c23/videos/003_000.mp4"
PHOTO = "img_align_celeba/000001.jpg"


def _media(out: Path) -> set[str]:
    tables = (pq.read_table(path, columns=["media"]) for path in sorted((out / "data").glob("*.parquet")))
    return {media for table in tables for media in table["media"].to_pylist()}


def _list(place: Place, *lines: str) -> list[str]:
    path = place.root / "list.txt"
    path.write_text("\n".join(lines) + "\n")
    return ["--exclude", str(path)]


def _sha256(place: Place, media: str, dataset: str = FF) -> str:
    return hashlib.sha256((place.data / dataset / media).read_bytes()).hexdigest()


def _kept(place: Place) -> dict[str, str]:
    """What the work folder keeps: every medium that was hit, with how."""
    return {hit["media"]: hit["how"] for hit in json.loads((place.work / "excluded.json").read_text())["hits"]}


def _remux(source: Path, target: Path) -> None:
    """The same packets in other bytes."""
    with av.open(str(source)) as read, av.open(str(target), "w", options={"movflags": "faststart"}) as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        write.metadata["title"] = "another file"
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                write.mux(packet)
    assert target.read_bytes() != source.read_bytes()


@pytest.mark.parametrize("line", ["sha256:{sha256}", "media:FaceForensics++/{real}", "identity:FaceForensics++/000"])
def test_the_fakes_of_a_real_stay_down_when_its_file_is_deleted(place: Place, mmidd: Run, line: str) -> None:
    words = _list(place, line.format(sha256=_sha256(place, REAL), real=REAL))
    assert mmidd(*place.words("build"), *words).code == 0
    (place.data / FF / REAL).unlink()
    new = place.data / FF / FAKE.replace("Deepfakes", "FaceSwap")  # another fake of that real comes later
    new.parent.mkdir(parents=True)
    _remux(place.data / FF / OTHER, new)
    said = mmidd(*place.words("build"))
    assert said.code == 0, said.err
    assert not {REAL, FAKE, FAKE.replace("Deepfakes", "FaceSwap")} & _media(place.out)
    assert mmidd(*place.words("plan"), "--json").document["complete"]
    assert mmidd("gc", str(place.work)).code == 0


def test_a_line_that_comes_after_the_file_is_gone_covers_its_fakes(place: Place, mmidd: Run) -> None:
    sha256 = _sha256(place, REAL)
    (place.data / FF / REAL).unlink()
    assert mmidd(*place.words("build"), *_list(place, f"sha256:{sha256}"), "--allow-removals").code == 0
    assert not {REAL, FAKE} & _media(place.out)
    assert mmidd(*place.words("build")).code == 0 and FAKE not in _media(place.out)


def test_a_media_line_of_a_real_that_never_was_here_covers_its_fakes(place: Place, mmidd: Run) -> None:
    (place.data / FF / REAL).unlink()
    assert mmidd(*place.words("build"), "--allow-removals").code == 0 and FAKE in _media(place.out)
    said = mmidd(*place.words("build"), *_list(place, f"media:{FF}/{REAL}"))
    assert said.code == 0 and FAKE not in _media(place.out) and "match no medium" not in said.err


@pytest.mark.parametrize("line", [f"media:{FF}/{REAL}", "sha256:{sha256}"])
def test_the_same_clip_in_another_compression_is_covered_with_its_fakes(place: Place, mmidd: Run, line: str) -> None:
    words = _list(place, line.format(sha256=_sha256(place, REAL)))
    for media in (REAL, FAKE, OTHER, REAL.replace("000", "003")):
        other = place.data / FF / media.replace("c23", "c40")
        other.parent.mkdir(parents=True, exist_ok=True)
        _remux(place.data / FF / media, other)
    assert mmidd(*place.words("build"), *words).code == 0
    setting = f"datasets=[{{name: {FF}, compression: c40}}]"
    said = mmidd(*place.words("build", "--set", setting, "--allow-removals"))
    assert said.code == 0, said.err
    found = _media(place.out)
    assert not {REAL.replace("c23", "c40"), FAKE.replace("c23", "c40")} & found and OTHER.replace("c23", "c40") in found


@pytest.mark.parametrize("copy", [shutil.copy, _remux])
def test_the_same_content_under_another_name_is_covered(
    place: Place, mmidd: Run, copy: Callable[[Path, Path], object]
) -> None:
    """The bytes, or, in other bytes, the samples: also where the file came after the line, and the first one is gone."""
    words = _list(place, f"media:{FF}/{REAL}")
    assert mmidd(*place.words("build"), *words).code == 0
    new = place.data / FF / REAL.replace("000", "111")
    copy(place.data / FF / REAL, new)
    (place.data / FF / REAL).unlink()
    said = mmidd(*place.words("build"))
    assert said.code == 0 and not {REAL, REAL.replace("000", "111"), FAKE} & _media(place.out), said.err
    assert _kept(place)[REAL.replace("000", "111")] in ("same bytes", "same pixels")
    assert mmidd(*place.words("build", "--set", "image.quality=90")).code == 0  # what was found once stays
    assert not {REAL, REAL.replace("000", "111")} & _media(place.out)


def test_a_picture_in_a_zip_is_covered_when_that_is_unpacked(sample_data: Path, tmp_path: Path, mmidd: Run) -> None:
    raw, root, out = sample_data / "DeepFakeFace", tmp_path / "data/DeepFakeFace", tmp_path / "corpus"
    root.mkdir(parents=True)
    for part in ("wiki", "inpainting"):
        with zipfile.ZipFile(root / f"{part}.zip", "w") as archive:
            for path in sorted((raw / part).rglob("*.jpg")):
                archive.write(path, f"{part}/{path.relative_to(raw / part)}")
    words = ["build", "sample", "--data", str(root.parent), "--out", str(out), "--only", "DeepFakeFace", "--workers", "0"]
    words += ["--set", "captioner=none"]
    assert mmidd(*words).code == 0
    name = next(media for media in sorted(_media(out)) if media.startswith("wiki.zip/"))
    fake = name.replace("wiki", "inpainting")
    assert fake in _media(out)
    (tmp_path / "list.txt").write_text(f"media:DeepFakeFace/{name}\n")
    assert mmidd(*words, "--exclude", str(tmp_path / "list.txt")).code == 0 and not {name, fake} & _media(out)
    for path in root.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(root)
        path.unlink()
    said = mmidd(*words, "--allow-removals")
    found = {media.replace("/", ".zip/", 1) for media in _media(out)}
    assert said.code == 0 and found and not {name, fake} & found, said.err


def test_the_same_picture_in_other_bytes_is_covered_by_its_pixels(place: Place, mmidd: Run) -> None:
    words = _list(place, f"media:CelebA/{PHOTO}")
    assert PHOTO in _media(place.out) and mmidd(*place.words("build"), *words).code == 0
    path = place.data / "CelebA" / PHOTO
    path.write_bytes(path.read_bytes() + b"one more byte, the same picture")
    path.rename(path.with_name("000099.jpg"))
    assert mmidd(*place.words("build")).code == 0
    assert not {PHOTO, PHOTO.replace("01", "99")} & _media(place.out)


def test_what_a_line_covers_is_told_and_whom_it_leaves(place: Place, mmidd: Run) -> None:
    words = _list(place, f"media:{FF}/{REAL}")
    assert f"media:{FF}/{REAL}: 1 named, 1 made from it" in mmidd(*place.words("plan"), *words).out  # before it is for good
    said = mmidd(*place.words("build"), *words)
    assert f"media:{FF}/{REAL}: 1 named, 1 made from it" in said.err
    assert f"1 media of the same person stay; identity:{FF}/000 would take them down as well" in said.err
    assert OTHER in _media(place.out)
    said = mmidd(*place.words("build"), *_list(place, f"identity:{FF}/000"))
    assert OTHER not in _media(place.out) and "stay;" not in said.err


@pytest.mark.parametrize("gone", ["unlink", "empty", "older", "dangling", "hits"])
def test_a_list_that_is_gone_or_lost_a_line_stops_every_command(place: Place, mmidd: Run, gone: str) -> None:
    first, both = f"media:{FF}/{REAL}", [f"media:{FF}/{REAL}", f"media:CelebA/{PHOTO}"]
    assert mmidd(*place.words("build"), *_list(place, first)).code == 0
    path = place.work / "excluded.json"
    older = path.read_text()
    assert mmidd(*place.words("build"), *_list(place, *both)).code == 0
    whole = path.read_text()
    path.unlink()
    if gone == "empty":
        path.write_text('{"lines": []}')
    elif gone == "older":
        path.write_text(older)
    elif gone == "hits":
        path.write_text(json.dumps({**json.loads(whole), "hits": []}))
    elif gone == "dangling":
        path.symlink_to("nowhere")
    work = str(place.work)
    commands = [place.words("build"), place.words("plan"), place.words("index"), ["status", work], ["failures", work],
                ["failures", work, "--retry"], ["gc", work]]  # fmt: skip
    for words in (*commands, [*place.words("build"), *_list(place, f"media:CelebA/{PHOTO}")]):
        said = mmidd(*words)
        assert said.code == 1 and "excluded.json, the takedown list" in said.err and "nothing was done" in said.err, words
    assert not {REAL, FAKE, PHOTO} & _media(place.out)
    if gone == "dangling":
        path.unlink()
    said = mmidd(*place.words("build"), *_list(place, *both))
    assert said.code == 0 and "(unchanged)" in said.err, said.err


def test_the_notes_of_builds_remember_a_list_when_the_marker_was_made_anew(place: Place, mmidd: Run) -> None:
    assert mmidd(*place.words("build"), *_list(place, f"media:{FF}/{REAL}")).code == 0
    (place.work / "excluded.json").unlink()
    (place.work / "mmidd-work.json").write_text('{"format":1}')
    said = mmidd(*place.words("build"))
    assert said.code == 1 and "excluded.json, the takedown list that this work folder keeps, is gone" in said.err


def test_a_clone_of_the_work_folder_that_is_copied_over_it_loses_no_line(place: Place, mmidd: Run) -> None:
    """As `rsync -a` does it: every note of the one is replaced by that of the other, which has another list."""
    clone = place.root / "clone.work"
    shutil.copytree(place.work, clone)
    words, new = place.words("build"), ["--out", str(place.root / "new")]
    assert mmidd(*words, *_list(place, f"media:{FF}/{REAL}")).code == 0
    assert mmidd(*words, *new, "--work", str(clone), *_list(place, f"media:CelebA/{PHOTO}")).code == 0
    shutil.copytree(clone, place.work, dirs_exist_ok=True)
    said = mmidd(*words, "--out", str(place.root / "third"), "--work", str(place.work))
    assert said.code == 1 and "lacks 1 of the 2 lines" in said.err, said.err
    assert mmidd(*words, *_list(place, f"media:{FF}/{REAL}")).code == 0
    assert not {REAL, PHOTO} & _media(place.out)


def test_a_corpus_remembers_that_there_was_a_list(place: Place, mmidd: Run, tmp_path: Path) -> None:
    words = _list(place, f"media:{FF}/{REAL}", f"media:CelebA/{PHOTO}")
    assert mmidd(*place.words("build"), *words).code == 0
    shutil.rmtree(place.work)
    before = _media(place.out)
    for verb in ("build", "plan"):
        said = mmidd(*place.words(verb))
        assert said.code == 1 and "was built with a takedown list, and this work folder keeps none" in said.err
    said = mmidd(*place.words("build"), *_list(place, f"media:CelebA/{PHOTO}"), "--allow-removals")
    assert said.code == 1 and "would bring them back" in said.err and REAL in said.err
    assert _media(place.out) == before
    said = mmidd(*place.words("build"), *_list(place, f"media:{FF}/{REAL}"))
    assert said.code == 0 and "(unchanged)" in said.err


def test_a_work_folder_that_never_had_a_list_works_as_before(place: Place, mmidd: Run) -> None:
    (place.work / "mmidd-work.json").write_text('{"format":1}')  # of an earlier mmidd
    for name in ("build.json", "builds.json"):
        note = json.loads((place.work / name).read_text())
        for each in [note] if name == "build.json" else note.values():
            for key in ("excluded", "work", "asked"):
                del each[key]
        (place.work / name).write_text(json.dumps(note))
    for words in (place.words("plan"), ["status", str(place.work)], ["gc", str(place.work)], place.words("build")):
        assert mmidd(*words).code == 0, words


def test_a_list_of_an_earlier_mmidd_is_read_and_remembered(place: Place, mmidd: Run) -> None:
    (place.work / "excluded.json").write_text(json.dumps({"lines": [f"media:{FF}/{REAL}"]}))
    assert mmidd(*place.words("build")).code == 0 and not {REAL, FAKE} & _media(place.out)
    (place.work / "excluded.json").unlink()
    assert mmidd(*place.words("build")).code == 1


def test_a_command_that_is_refused_keeps_its_list_and_a_second_one_at_once_loses_none(place: Place, mmidd: Run) -> None:
    from mmidd.engine.store import Store

    words = _list(place, f"media:{FF}/{REAL}")
    with Store(place.work).held(print):
        said = mmidd(*place.words("build"), *words)
        assert said.code == 1 and "another mmidd command is writing" in said.err
        assert f"takedown list {place.root / 'list.txt'} was not kept" in said.err
    assert not (place.work / "excluded.json").exists()
    assert mmidd(*place.words("build", "--only", "CelebA"), *words).code == 1  # would remove rows
    assert mmidd(*place.words("build")).code == 0 and REAL not in _media(place.out)


def test_a_list_that_can_be_read_once_is_kept_and_one_without_a_line_is_told(place: Place, mmidd: Run) -> None:
    """`--exclude <(grep ...)` gives its lines to the first who reads, and nothing to the second."""
    reading, writing = os.pipe()
    os.write(writing, f"media:{FF}/{REAL}\n".encode())
    os.close(writing)
    said = mmidd(*place.words("build"), "--exclude", f"/dev/fd/{reading}")
    os.close(reading)
    assert said.code == 0 and not {REAL, FAKE} & _media(place.out) and REAL in _kept(place)
    for verb in ("build", "plan"):
        said = mmidd(*place.words(verb), *_list(place, "# nobody"))
        assert said.code == 0 and "has no line: it names nobody" in said.err


def test_what_is_left_of_a_takedown_is_told_with_the_commands_that_remove_it(
    place: Place, mmidd: Run, tmp_path: Path
) -> None:
    other = tmp_path / "second"
    assert mmidd(*place.words("build")[:-4], "--out", str(other), "--work", str(place.work), "--workers", "0").code == 0
    path = place.root / "list.txt"
    words = _list(place, f"media:{FF}/{REAL}")
    said = mmidd(*place.words("build"), *words)
    assert f"{other} still has 4 rows of 2 of them" in said.err and "pixels of 2 of them" in said.err
    found = mmidd("verify", str(other), "--exclude", str(path), "--json")
    assert found.code == 4 and {each["problem"] for each in found.document["findings"]} == {
        f"2 rows of {FF}/{REAL} are taken down (named: media:{FF}/{REAL})",
        f"2 rows of {FF}/{FAKE} are taken down (made from it: media:{FF}/{REAL})",
    }
    assert mmidd("verify", str(place.out), "--exclude", str(path)).code == 0
    status = mmidd("status", str(place.work), "--json").document["takedown"]
    assert status["pixels"] == 2 and [each["corpus"] for each in status["corpora"]] == [str(other)]
    assert len(status["commands"]) == 2
    for command in status["commands"]:
        assert mmidd(*command.split()[1:]).code == 0, command
    assert mmidd("verify", str(other), "--exclude", str(path)).code == 0
    status = mmidd("status", str(place.work), "--json").document["takedown"]
    assert (status["pixels"], status["corpora"], status["commands"]) == (0, [], [])


def test_what_is_found_by_its_bytes_alone_is_gone_after_the_commands_as_well(
    small: Place, tmp_path: Path, mmidd: Run
) -> None:
    place = Place(tmp_path, small.data)
    words = _list(place, f"sha256:{_sha256(place, REAL)}")
    said = mmidd(*place.words("build"), *words)
    assert said.code == 0 and "pixels of" in said.err
    for command in mmidd("status", str(place.work), "--json").document["takedown"]["commands"]:
        said = mmidd(*command.split()[1:])
        assert said.code == 0, (command, said.err)
    assert mmidd("status", str(place.work), "--json").document["takedown"]["pixels"] == 0


def test_the_list_of_a_work_folder_can_be_given_to_another(place: Place, mmidd: Run, tmp_path: Path) -> None:
    assert mmidd(*place.words("build"), *_list(place, f"sha256:{_sha256(place, REAL)}")).code == 0
    (place.data / FF / REAL).unlink()
    again = Place(tmp_path / "again", place.data)
    words = ["--exclude", str(place.work / "excluded.json"), "--set", "captioner=none"]
    assert mmidd(*again.words("build"), *words).code == 0 and not {REAL, FAKE} & _media(again.out)
    (place.root / "torn.json").write_text('{"lines": [')
    assert mmidd(*again.words("plan"), "--exclude", str(place.root / "torn.json")).code == 2
