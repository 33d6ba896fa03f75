"""Where files are taken to lie that lie in an archive, or in a folder too deep or not deep enough: names alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmidd.manifest import bundled, find_manifest
from mmidd.manifest.places import Settled, settle, summary

FF, DF, GEN = "FaceForensics++", "DF40", "GenImage"
CLIP, FAKE = "original_sequences/youtube/c23/videos/000.mp4", "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"
FRAME = "000.png"
AUTHORS = "Youtu_Pangu_Security/public/youtu-pangu-public/zhiyuanyan/deepfakes_detection_datasets/DF40"


def settled(dataset: str, *plain: str, **inside: list[str]) -> Settled:
    """Files of one byte, and the members of archives of one byte; an archive's name has `__` for `/` and ends in `zip`."""
    manifest = find_manifest(dataset)
    others = {name.casefold() for each in bundled().values() if each.name != dataset for name in each.folders}
    names = {manifest.name, manifest.slug, *manifest.folders}
    opened = {f"{name.replace('__', '/')}.zip": dict.fromkeys(members, 1) for name, members in inside.items()}
    return settle(manifest.layout, names, others, dict.fromkeys(plain, 1), opened)


PLAIN: list[tuple[str, str, str]] = [
    # a folder too deep
    (FF, f"FaceForensics++/{CLIP}", CLIP),
    (FF, f"download/ff/{CLIP}", CLIP),
    (FF, f"original_sequences/{CLIP}", CLIP),
    (FF, "original_sequences/youtube/youtube/c23/videos/000.mp4", CLIP),
    (FF, "manipulated_sequences/Deepfakes/c23/c23/videos/000_003.mp4", FAKE),
    (FF, "some/dataset/splits/train.json", "dataset/splits/train.json"),
    ("Celeb-DF-v2", "Celeb-DF-v2/Celeb-real/id0_0000.mp4", "Celeb-real/id0_0000.mp4"),
    ("UADFV", "UADFV/real/0000.mp4", "real/0000.mp4"),
    ("DFDC", "x/dfdc_train_part_0/aaaaaaaaaa.mp4", "dfdc_train_part_0/aaaaaaaaaa.mp4"),
    ("KoDF", "KoDF/kodf_release/original_videos/a/real_1.mp4", "kodf_release/original_videos/a/real_1.mp4"),
    # the authors' own folders on top, as issue 36 of DF40 has them
    (DF, f"mobileswap/mobileswap/ff/frames/000_003/{FRAME}", f"mobileswap/ff/frames/000_003/{FRAME}"),
    (DF, f"mobileswap/mobileswap/cdf/{AUTHORS}/mobileswap/cdf/frames/id0_id1_0000/{FRAME}",
     f"mobileswap/cdf/frames/id0_id1_0000/{FRAME}"),
    (GEN, "wrapper/BigGAN/imagenet_ai_0419_biggan/val/ai/x.png", "BigGAN/imagenet_ai_0419_biggan/val/ai/x.png"),
    # a folder too shallow, where its name decides nothing
    (FF, "youtube/c23/videos/000.mp4", CLIP),
    (FF, "Deepfakes/c23/videos/000_003.mp4", FAKE),
    ("DeeperForensics-1.0", "end_to_end/000_M101.mp4", "manipulated_videos/end_to_end/000_M101.mp4"),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "path", "place"), PLAIN)
def test_a_file_a_folder_too_deep_or_too_shallow_is_taken_where_a_rule_looks(dataset: str, path: str, place: str) -> None:
    found = settled(dataset, path)
    assert found.lies[place] == path and not found.told
    assert {place, place.rpartition("/")[0]} >= set(found.lies)


STAYS = [
    # another dataset, or one that was set aside
    (FF, "Celeb-DF-v2/Celeb-real/id0_0000.mp4"),
    ("Celeb-DF++", "Celeb-DF-v2/Celeb-real/id0_0000.mp4"),
    *((FF, f"{aside}/{CLIP}") for aside in (".trash", "old", "Backup", "_x", "takedown", "$RECYCLE.BIN", "@eaDir")),
    # the folder that would go is another name in place of a method's: the file would come to another method
    (DF, f"newswap/frames/000_003/{FRAME}"),
    (DF, f"x/newswap/frames/000_003/{FRAME}"),
    (DF, f"DF40_train/newswap/frames/000_003/{FRAME}"),
    # a name that says something else than what would be left
    (FF, f"c40/{CLIP}"),
    (FF, f"train/{CLIP}"),
    (DF, f"simswap/mobileswap/ff/frames/000_003/{FRAME}"),
    ("UADFV", "fake/real/0000.mp4"),
    # the missing folder would decide whether it is real
    ("UADFV", "videos/0000.mp4"),
    ("Celeb-DF-v2", "videos/id0_0000.mp4"),
    # set aside within its own folder
    ("Celeb-DF-v2", "Celeb-real/wrong/id0_0000.mp4"),
]


@pytest.mark.parametrize(("dataset", "path"), STAYS)
def test_what_could_be_something_else_stays_in_no_rule(dataset: str, path: str) -> None:
    found = settled(dataset, path)
    assert not found.lies


def test_one_medium_in_two_places_is_used_once_and_the_other_is_told() -> None:
    found = settled(FF, CLIP, f"copy/{CLIP}")
    assert not found.lies and found.told == {f"copy/{CLIP}": f"the same as {CLIP}, which is used: remove one of them"}
    twice = settled(FF, f"a/{CLIP}", f"b/{CLIP}")
    assert twice.lies == {CLIP: f"a/{CLIP}"} and set(twice.told) == {f"b/{CLIP}"}


AMBIGUOUS = """\
name: Two
slug: two
year: 2024
folders: [Two]
summary: x
access: x
citation: x
licence: {id: other, name: x, url: "https://example.org", redistributable: false}
verified: true
type_basis: stated
fields: {clip: '\\d{3}', part: '[a-z]+'}
rules:
  - {id: real, path: "{clip}.mp4", label: real}
  - {id: fake, path: "{part}/{clip}.mp4", label: fake, method: FaceSwap}
"""


def test_an_archive_whose_files_could_be_two_things_is_told_with_both_and_not_used() -> None:
    from mmidd.manifest import load_manifest

    manifest = load_manifest(AMBIGUOUS, "two.yaml")
    found = settle(manifest.layout, {"Two"}, (), {}, {"part.zip": {"000.mp4": 1}})
    assert not found.lies and found.unused == {"part.zip"}
    assert "ambiguous: it could be 000.mp4 or part/000.mp4" in found.told["part.zip"]


ARCHIVES: list[tuple[str, dict[str, list[str]], dict[str, str]]] = [
    # as unzip would leave it, into the folder where it lies
    ("DFDC", {"dfdc_train_part_00": ["dfdc_train_part_0/metadata.json", "dfdc_train_part_0/aaaaaaaaaa.mp4"]},
     {"dfdc_train_part_0/metadata.json": "dfdc_train_part_00.zip/dfdc_train_part_0/metadata.json",
      "dfdc_train_part_0/aaaaaaaaaa.mp4": "dfdc_train_part_00.zip/dfdc_train_part_0/aaaaaaaaaa.mp4"}),
    # or into a folder of its name
    (FF, {"original_sequences__youtube__c23__videos": ["000.mp4"]},
     {CLIP: "original_sequences/youtube/c23/videos.zip/000.mp4"}),
    (GEN, {"glide__imagenet_glide": ["train/ai/x.png"]},
     {"glide/imagenet_glide/train/ai/x.png": "glide/imagenet_glide.zip/train/ai/x.png"}),
    (GEN, {"stable_diffusion_v_1_4__imagenet_ai_0419_sdv4": ["imagenet_ai_0419_sdv4/train/ai/x.png"]},
     {"stable_diffusion_v_1_4/imagenet_ai_0419_sdv4/train/ai/x.png":
      "stable_diffusion_v_1_4/imagenet_ai_0419_sdv4.zip/imagenet_ai_0419_sdv4/train/ai/x.png"}),
    # with the dataset's folder in it, or folders of whoever packed it
    ("UADFV", {"UADFV": ["UADFV/real/0000.mp4"]}, {"real/0000.mp4": "UADFV.zip/UADFV/real/0000.mp4"}),
    ("Celeb-DF-v2", {"drive-download-001": ["Celeb-DF-v2/Celeb-real/id0_0000.mp4"]},
     {"Celeb-real/id0_0000.mp4": "drive-download-001.zip/Celeb-DF-v2/Celeb-real/id0_0000.mp4"}),
    # without a folder above it
    (FF, {"all": ["Deepfakes/c23/videos/000_003.mp4"]}, {FAKE: "all.zip/Deepfakes/c23/videos/000_003.mp4"}),
    # the method is the archive's name alone
    (DF, {"simswap": [f"frames/000_003/{FRAME}"]},
     {f"simswap/frames/000_003/{FRAME}": f"simswap.zip/frames/000_003/{FRAME}",
      "simswap/frames/000_003": "simswap.zip/frames/000_003"}),
    # sidecars and masks lie beside the media
    (FF, {"Deepfakes": ["Deepfakes/c23/videos/000_003.mp4", "Deepfakes/masks/videos/000_003.mp4"]},
     {FAKE: "Deepfakes.zip/Deepfakes/c23/videos/000_003.mp4",
      FAKE.replace("c23", "masks"): "Deepfakes.zip/Deepfakes/masks/videos/000_003.mp4"}),
    (FF, {"manipulated_sequences__Deepfakes__masks": ["masks/videos/000_003.mp4"]},
     {FAKE.replace("c23", "masks"): "manipulated_sequences/Deepfakes/masks.zip/masks/videos/000_003.mp4"}),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "inside", "lies"), ARCHIVES)
def test_members_of_archives_are_taken_where_they_would_lie_unpacked(
    dataset: str, inside: dict[str, list[str]], lies: dict[str, str]
) -> None:
    found = settled(dataset, **inside)
    assert dict(found.lies) == lies and not found.told and not found.unused


def test_a_bare_name_is_not_looked_for_in_any_folder() -> None:
    """A rule for files in no folder would take a file of that name from everywhere; a label file has its own name."""
    from mmidd.manifest import load_manifest

    manifest = load_manifest(AMBIGUOUS, "two.yaml")
    assert not settle(manifest.layout, {"Two"}, (), {"a/b/000.mp4": 1}, {}).lies.get("000.mp4")
    assert settle(manifest.layout, {"Two"}, (), {"Two/1/000.mp4": 1}, {}).lies == {}
    found = settled("Celeb-DF-v2", "x/List_of_testing_videos.txt")
    assert found.lies == {"List_of_testing_videos.txt": "x/List_of_testing_videos.txt"}


def test_an_archive_of_an_unknown_method_comes_to_no_other_method() -> None:
    found = settled(DF, newswap=[f"frames/000_003/{FRAME}"])
    assert not found.lies and found.unused == {"newswap.zip"}
    assert "none of its 1 media is in a rule" in found.told["newswap.zip"]


@pytest.mark.parametrize("members", [["notes.txt"], ["landmarks/000/000.npy"], ["._x.mp4"]])
def test_an_archive_without_media_stays_a_plain_file(members: list[str]) -> None:
    found = settled("UADFV", other=members)
    assert found.unused == {"other.zip"} and not found.told and not found.lies


def test_an_archive_that_was_unpacked_counts_nothing_twice() -> None:
    names = ["real/0000.mp4", "real/0001.mp4"]
    whole = settled("UADFV", *names, UADFV=[f"UADFV/{name}" for name in names])
    assert whole.unused == {"UADFV.zip"} and not whole.told and not whole.lies
    half = settled("UADFV", names[0], UADFV=[f"UADFV/{name}" for name in names])
    assert half.lies == {names[1]: f"UADFV.zip/UADFV/{names[1]}"} and half.twice == {f"UADFV.zip/UADFV/{names[0]}"}
    assert "1 of its files lie elsewhere too" in half.told["UADFV.zip"]


def test_unpacking_that_was_cut_is_told() -> None:
    manifest = find_manifest("UADFV")
    found = settle(manifest.layout, {"UADFV"}, (), {"real/0000.mp4": 1}, {"UADFV.zip": {"real/0000.mp4": 2}})
    assert "was unpacking cut?" in found.told["UADFV.zip"] and not found.lies


def test_a_clip_of_frames_has_one_source() -> None:
    clip = "simswap/ff/frames/000_003"
    found = settled(DF, f"{clip}/000.png", simswap=[f"{clip}/000.png", f"{clip}/001.png"])
    assert not found.lies and "was unpacking cut?" in found.told["simswap.zip"]


def test_two_archives_with_one_medium_give_it_once() -> None:
    found = settled("UADFV", a=["real/0000.mp4"], b=["real/0000.mp4"])
    assert found.lies == {"real/0000.mp4": "a.zip/real/0000.mp4"} and found.unused == {"b.zip"}


def test_the_summary_is_by_folder() -> None:
    lies = {"a/b/1.png": "x.zip/a/b/1.png", "a/b/2.png": "x.zip/a/b/2.png", "a/c/1.png": "y/c/1.png"}
    assert summary(lies) == [("x.zip", "", 2), ("y", "a", 1)]


PARTS = st.sampled_from(
    ["simswap", "DF40", "ff", "cdf", "frames", "000_003", "real", "fake", "x", "e4e", "DF40_train", "heygen", "heygen_new"]
)


@given(st.lists(st.lists(PARTS, min_size=1, max_size=5), max_size=8), st.lists(st.lists(PARTS, max_size=4), max_size=8))
def test_no_two_files_come_to_one_place_and_none_is_lost(plain: list[list[str]], members: list[list[str]]) -> None:
    files = {"/".join((*folders, FRAME)) for folders in plain}
    inside = {"/".join((*folders, FRAME)): 1 for folders in members}
    found: Any = settled(DF, *files, simswap=list(inside))
    clips = {path.rpartition("/")[0] for path in found.lies}
    moved = {place: path for place, path in found.lies.items() if place not in clips}
    assert len(set(moved.values())) == len(moved) and not set(moved) & files
    assert set(moved.values()) <= files | {f"simswap.zip/{name}" for name in inside}
