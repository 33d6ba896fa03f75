"""Which files of a folder are the frames of its clip: never litter, in any case of their ending, the lossless one of two."""

from __future__ import annotations

import pytest

from mmidd.manifest import clip_frames, describe, find_manifest

CLIP = "blendface/ff/frames/004_982"
SECOND = "a second frame 0 in its folder"

FOLDERS = [
    (["000.png", "001.png", "._001.png", "._000.png"], {0: "000.png", 1: "001.png"}, {"._000.png", "._001.png"}),
    (["000.png", "001.png", ".DS_Store", "Thumbs.db", "001.png.part", ".001.png.Ab3dE9", ".002.png"],
     {0: "000.png", 1: "001.png"}, {".DS_Store", "Thumbs.db", "001.png.part", ".001.png.Ab3dE9", ".002.png"}),
    (["000.PNG", "001.JPG", "002.Jpeg"], {0: "000.PNG", 1: "001.JPG", 2: "002.Jpeg"}, set()),
    (["000.jpg", "000.png", "001.jpg"], {0: "000.png", 1: "001.jpg"}, {"000.jpg"}),
    (["000.JPEG", "000.PNG"], {0: "000.PNG"}, {"000.JPEG"}),
    (["000.webp", "000.tif"], {0: "000.tif"}, {"000.webp"}),
    (["000.bmp", "00.jpg", "0.png"], {0: "0.png"}, {"000.bmp", "00.jpg"}),
]  # fmt: skip


@pytest.mark.parametrize(("names", "frames", "left"), FOLDERS)
def test_the_frames_of_a_folder(names: list[str], frames: dict[int, str], left: set[str]) -> None:
    found = describe(find_manifest("DF40"), [f"{CLIP}/{name}" for name in names], lambda path: b"")
    assert found.frames == {CLIP: {number: f"{CLIP}/{name}" for number, name in frames.items()}}
    assert {path for path, _ in found.unmatched} == {f"{CLIP}/{name}" for name in left}
    assert clip_frames(names) == frames


def test_of_two_forms_of_a_frame_the_lossy_one_is_told_as_such() -> None:
    paths = [f"{CLIP}/000.jpg", f"{CLIP}/000.png", f"{CLIP}/00.png"]
    found = describe(find_manifest("DF40"), paths, lambda path: b"")
    assert dict(found.unmatched) == {paths[0]: f"{SECOND}, with loss", paths[1]: SECOND}


@pytest.mark.parametrize("name", ["._000.mp4", ".000.mp4", "000.mp4.part", "@eaDir/000.mp4", "__MACOSX/000.mp4"])
def test_nothing_hidden_is_a_medium_under_an_open_rule(name: str) -> None:
    path = f"original_videos/001/{name}"
    found = describe(find_manifest("KoDF"), ["original_videos/001/a.mp4", path], lambda path: b"")
    assert [medium.media for medium in found.media] == ["original_videos/001/a.mp4"]
    assert [each for each, _ in found.unmatched] == [path]
