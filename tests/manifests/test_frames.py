"""Frames as DeepfakeBench cuts them: media with their video's labels where the video is not there, else sidecars."""

from __future__ import annotations

import json

import pytest

from mmidd.manifest import Accounting, find_manifest

from .trees import account

FF, DFP, DFDC = "FaceForensics++", "DFDC Preview", "DFDC"
META = json.dumps({"aaaaaaaaaa.mp4": {"label": "REAL"}, "bbbbbbbbbb.mp4": {"label": "FAKE", "original": "aaaaaaaaaa.mp4"}})
ROW = {"set": "train", "target_id": 1, "swapped_id": None}
LISTED = json.dumps(
    {
        "original_videos/1/1_A_001.mp4": {"label": "real", **ROW},
        "method_A/1/1_A/2_1_A_001.mp4": {"label": "fake", **ROW, "swapped_id": 2},
    }
)
CELEB: dict[str, str | bytes] = {"List_of_testing_videos.txt": "1 YouTube-real/00009.mp4\n"}
LABELS: dict[str, dict[str, str | bytes]] = {
    "Celeb-DF-v1": CELEB,
    "Celeb-DF-v2": CELEB,
    FF: {"train.json": '[["000", "003"]]'},
    DFP: {"dataset.json": LISTED},
    DFDC: {
        "dfdc_train_part_0/metadata.json": META,
        "train/dfdc_train_part_1/metadata.json": META,
        "test/metadata.json": '{"cccccccccc.mp4": {"is_fake": 1}, "eeeeeeeeee.mp4": {"is_fake": 0}}',
        "validation/labels.csv": "filename,label\ndddddddddd.mp4,0\nffffffffff.mp4,1\n",
        "labels.csv": "filename,label\ngggggggggg.mp4,0\nhhhhhhhhhh.mp4,1\n",
    },
}
PART = "dfdc_train_part_0"
# dataset, folder of frames, the video's place, label, split, the pair among the folders of frames
CASES: list[tuple[str, str, str, str, str | None, str | None]] = [
    *(
        (FF, f"{top}/{c}/frames/{name}", f"{top}/{c}/videos/{name}.mp4", label, split,
         pair and f"original_sequences/{pair.format(c=c)}")
        for c in ("c23", "c40")
        for top, name, label, split, pair in (
            ("original_sequences/youtube", "000", "real", "train", None),
            ("manipulated_sequences/Deepfakes", "000_003", "fake", "train", "youtube/{c}/frames/000"),
            ("manipulated_sequences/FaceShifter", "000_003", "fake", "train", "youtube/{c}/frames/000"),
            ("original_sequences/actors", "01__exit", "real", None, None),
            ("manipulated_sequences/DeepFakeDetection", "01_02__exit__ABCDEFGH", "fake", None, "actors/{c}/frames/01__exit"),
        )
    ),
    *(
        (name, f"{top}/frames/{clip}", f"{top}{videos}/{clip}.mp4", label, split, pair)
        for name, split in (("Celeb-DF-v1", "train"), ("Celeb-DF-v2", None))  # a list of one row is cut: nothing is said
        for videos in ("", "/videos")
        for top, clip, label, pair in (
            ("Celeb-real", "id0_0000", "real", None),
            ("YouTube-real", "00001", "real", None),
            ("Celeb-synthesis", "id0_id1_0000", "fake", "Celeb-real/frames/id0_0000"),
        )
    ),
    ("UADFV", "real/frames/0000", "real/0000.mp4", "real", None, None),
    ("UADFV", "fake/frames/0000_fake", "fake/0000_fake.mp4", "fake", None, "real/frames/0000"),
    ("DeeperForensics-1.0", "manipulated_videos/end_to_end/frames/000_M101", "manipulated_videos/end_to_end/000_M101.mp4",
     "fake", None, "original_sequences/youtube/c23/videos/000.mp4"),
    (DFP, "original_videos/frames/1_A_001", "original_videos/1/1_A_001.mp4", "real", "train", None),
    (DFP, "method_A/frames/2_1_A_001", "method_A/1/1_A/2_1_A_001.mp4", "fake", "train", "original_videos/frames/1_A_001"),
    (DFDC, f"{PART}/frames/aaaaaaaaaa", f"{PART}/aaaaaaaaaa.mp4", "real", "train", None),
    (DFDC, "train/dfdc_train_part_1/frames/bbbbbbbbbb", "train/dfdc_train_part_1/bbbbbbbbbb.mp4", "fake", "train", None),
    (DFDC, "test/frames/cccccccccc", "test/cccccccccc.mp4", "fake", "test", None),
    (DFDC, "test/frames/eeeeeeeeee", "test/videos/eeeeeeeeee.mp4", "real", "test", None),
    (DFDC, "validation/frames/dddddddddd", "validation/dddddddddd.mp4", "real", "validation", None),
    (DFDC, "validation/frames/ffffffffff", "validation/ffffffffff.mp4", "fake", "validation", None),
    (DFDC, "frames/gggggggggg", "videos/gggggggggg.mp4", "real", "test", None),
    (DFDC, "frames/hhhhhhhhhh", "videos/hhhhhhhhhh.mp4", "fake", "test", None),
]  # fmt: skip
SETS = sorted({name for name, *_ in CASES})
OTHERS = ("copy-real", "copy-fakes")


def _account(dataset: str, paths: list[str]) -> Accounting:
    """With the one clip that Celeb-DF's list names, which is then left out: a list that names nothing here is an error."""
    listed = ["YouTube-real/00009.mp4"] if LABELS.get(dataset) is CELEB else []
    found = account(dataset, [*paths, *listed], LABELS.get(dataset))
    found.media[:] = [each for each in found.media if each.media not in listed]
    return found


@pytest.mark.parametrize(("dataset", "folder", "video", "label", "split", "pair"), CASES)
def test_frames_are_a_medium_where_their_video_is_not_there(
    dataset: str, folder: str, video: str, label: str, split: str | None, pair: str | None
) -> None:
    beside = [f"{folder}/{number:03d}.png" for number in range(3)]
    beside += [
        folder.replace("frames", "landmarks") + "/000.npy",
        *([f"{pair}/000.png"] if pair and "frames" in pair else []),
    ]
    found = _account(dataset, beside)
    (medium,) = (each for each in found.media if each.media == folder)
    assert (medium.label, medium.split, medium.pair_media) == (label, split, pair)
    assert (medium.kind, medium.faces, medium.aligned) == ("frames", "padded", False)
    assert list(found.frames[folder]) == [0, 1, 2] and not found.unmatched and sum(found.ignored.values()) == 1
    both = _account(dataset, [*beside, video])
    (medium,) = (each for each in both.media if each.media in (folder, video))
    assert (medium.media, medium.label, medium.kind) == (video, label, "video")
    assert not both.unmatched and sum(both.ignored.values()) == 4


@pytest.mark.parametrize("dataset", SETS)
def test_the_cases_reach_every_such_rule(dataset: str) -> None:
    paths = [f"{folder}/000.png" for name, folder, *_ in CASES if name == dataset]
    reached = {_account(dataset, [path]).media[0].rule for path in paths}
    assert reached == {rule.id for rule in find_manifest(dataset).rules if rule.unless} - set(OTHERS)


def test_a_fake_of_frames_stays_with_its_real_on_one_side_of_a_split() -> None:
    """DFDC's lists name videos, so a fake of frames finds no pair: one key joins them."""
    paths = [f"{PART}/frames/{clip}/000.png" for clip in ("aaaaaaaaaa", "bbbbbbbbbb")]
    real, fake = account(DFDC, paths, LABELS[DFDC]).media
    assert set(real.group_keys) & set(fake.group_keys) == {f"DFDC/media/{PART}/aaaaaaaaaa.mp4"}


def test_the_flat_copy_of_c23_has_the_labels_of_the_official_folders() -> None:
    top = "FaceForensics++_C23"
    found = account(FF, [f"{top}/original/000.mp4", f"{top}/Face2Face/000_003.mp4", f"{top}/csv/x.csv"], LABELS[FF]).media
    said = [(each.rule, each.compression, each.method, each.split, each.pair_media) for each in found]
    assert said == [
        ("copy-fakes", "c23", "Face2Face", "train", f"{top}/original/000.mp4"), ("copy-real", "c23", None, "train", None)
    ]  # fmt: skip
