"""Every rule and layout variant of the seven manifests, by example."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mmidd.manifest import bundled

from .trees import account, fields, only, whole

FF = "FaceForensics++"
FF_LABELS: dict[str, str | bytes] = {
    "dataset/splits/train.json": '[["071", "054"]]',
    "dataset/splits/val.json": '[["720", "672"]]',
    "dataset/splits/test.json": '[["953", "974"]]',
}
CELEB_LABELS: dict[str, str | bytes] = {
    "List_of_testing_videos.txt": whole(
        "1 YouTube-real/00170.mp4\r\n1 Celeb-real/id1_0000.mp4\n0 Celeb-synthesis/id1_id0_0007.mp4\n"
    )
}
META = json.dumps(
    {
        "aaaaaaaaaa.mp4": {"label": "REAL", "split": "train"},
        "bbbbbbbbbb.mp4": {"label": "FAKE", "split": "train", "original": "aaaaaaaaaa.mp4"},
        "cccccccccc.mp4": {"label": "REAL", "split": "train", "original": None},
    }
)
DFDC_LABELS: dict[str, str | bytes] = {
    "dfdc_train_part_0/metadata.json": META,
    "train/dfdc_train_part_12/metadata.json": META,
    "train_sample_videos/metadata.json": META,
    "dfdc_train_part_03/dfdc_train_part_3/metadata.json": META,
    "test/labels.csv": b"\xef\xbb\xbffilename,label\r\neeeeeeeeee.mp4,1\r\nffffffffff.mp4,0\r\n",
    "test/metadata.json": '{"iiiiiiiiii.mp4": {"is_fake": 1, "augmentations": {}}, "jjjjjjjjjj.mp4": {"is_fake": 0}}',
    "labels.csv": "filename,label\nkkkkkkkkkk.mp4,1\nllllllllll.mp4,0\n",
    "validation/labels.csv": "filename,label\ngggggggggg.mp4,FAKE\nhhhhhhhhhh.mp4,REAL\n",
}
CELEBA_LABELS: dict[str, str | bytes] = {
    "identity_CelebA.txt": "000001.jpg 2880\n000002.jpg 2937\n000003.jpg 2880\n",
    "list_eval_partition.txt": "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n",
}
DFFD_LABELS: dict[str, str | bytes] = {"_lists/test_fake.txt": "stargan/x 1.png\n", "_lists/train_real.txt": "ffhq/2.png\n"}
LABELS: dict[str, dict[str, str | bytes]] = {
    FF: FF_LABELS,
    "Celeb-DF-v2": CELEB_LABELS,
    "DFDC": DFDC_LABELS,
    "CelebA": CELEBA_LABELS,
    "DFFD": DFFD_LABELS,
}
# a list that is shorter than the official one and names nothing that is here is an error
LISTED = {FF: ["original_sequences/youtube/raw/videos/071.mp4"]}

REAL: dict[str, Any] = {"label": "real", "forgery_type": "REAL", "method": None, "source_id": None, "pair_media": None}


def _fake(method: str | None, forgery_type: str | None, **more: Any) -> dict[str, Any]:
    return {"label": "fake", "method": method, "forgery_type": forgery_type, **more}


def _ff(method: str, forgery_type: str, compression: str = "c23") -> tuple[str, str, dict[str, Any]]:
    folder = {"raw": "c0"}.get(compression, compression)
    wanted = _fake(method, forgery_type, rule="fakes", kind="video", compression=compression, target_id="071")
    wanted |= {"source_id": "054", "split": "train", "pair_dataset": FF, "aligned": True}
    wanted["pair_media"] = f"original_sequences/youtube/{folder}/videos/071.mp4"
    wanted["group_keys"] = (f"{FF}/identity/071", f"{FF}/identity/054")
    return FF, f"manipulated_sequences/{method}/{folder}/videos/071_054.mp4", wanted


CASES: list[tuple[str, str, dict[str, Any]]] = [
    *(_ff(method, "FS") for method in ("Deepfakes", "FaceSwap", "FaceShifter")),
    *(_ff(method, "FR") for method in ("Face2Face", "NeuralTextures")),
    _ff("Deepfakes", "FS", "c40"),
    _ff("Deepfakes", "FS", "raw"),
    (
        FF,
        "original_sequences/youtube/c23/videos/672.mp4",
        REAL
        | {"rule": "youtube", "kind": "video", "compression": "c23", "target_id": "672", "split": "validation"}
        | {"group_keys": (f"{FF}/identity/672",), "aligned": False, "licence": "FaceForensics Terms of Use"},
    ),
    (FF, "original_sequences/youtube/raw/videos/974.mp4", REAL | {"compression": "raw", "split": "test"}),
    (FF, "original_sequences/youtube/c0/videos/974.mp4", REAL | {"compression": "raw", "split": "test"}),
    (FF, "original_sequences/youtube/c23/videos/500.mp4", REAL | {"target_id": "500", "split": None}),
    (
        FF,
        "original_sequences/actors/c23/videos/01__exit_phone_room.mp4",
        REAL | {"target_id": "01", "split": None, "group_keys": (f"{FF}/actors/01__exit_phone_room",)},
    ),
    (
        FF,
        "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__walking_outside__YVGY8LOK.mp4",
        _fake("DeepFakeDetection", "FS", target_id="01", source_id="02", split=None, aligned=True)
        | {"pair_media": "original_sequences/actors/c23/videos/01__walking_outside.mp4"}
        | {"group_keys": (f"{FF}/actors/01__walking_outside",)},
    ),
    (
        "Celeb-DF-v2",
        "Celeb-real/id0_0000.mp4",
        REAL | {"rule": "Celeb-real", "target_id": "id0", "split": "train", "group_keys": ()},
    ),
    ("Celeb-DF-v2", "Celeb-real/id1_0000.mp4", REAL | {"target_id": "id1", "split": "test"}),
    ("Celeb-DF-v2", "Celeb-real/videos/id1_0000.mp4", REAL | {"target_id": "id1", "split": "test"}),
    ("Celeb-DF-v2", "YouTube-real/00170.mp4", REAL | {"target_id": None, "split": "test"}),
    ("Celeb-DF-v2", "YouTube-real/videos/00171.mp4", REAL | {"split": "train"}),
    (
        "Celeb-DF-v2",
        "Celeb-synthesis/id0_id16_0003.mp4",
        _fake("Celeb-DF", "FS", target_id="id0", source_id="id16", pair_media="Celeb-real/id0_0003.mp4")
        | {"split": "train", "aligned": True, "group_keys": ()},
    ),
    ("Celeb-DF-v2", "Celeb-synthesis/id1_id0_0007.mp4", _fake("Celeb-DF", "FS", split="test")),
    (
        "Celeb-DF-v2",
        "Celeb-synthesis/videos/id2_id0_0007.mp4",
        _fake("Celeb-DF", "FS", pair_media="Celeb-real/videos/id2_0007.mp4"),
    ),
    *(
        ("DFDC", f"{part}/aaaaaaaaaa.mp4", REAL | {"rule": "train-real", "split": "train", "group_keys": ()})
        for part in ("dfdc_train_part_0", "train/dfdc_train_part_12", "train_sample_videos")
    ),
    *(
        (
            "DFDC",
            f"{part}/bbbbbbbbbb.mp4",
            _fake("unknown", None, split="train", pair_media=f"{part}/aaaaaaaaaa.mp4", aligned=True, group_keys=()),
        )
        for part in ("dfdc_train_part_0", "dfdc_train_part_03/dfdc_train_part_3")
    ),
    ("DFDC", "dfdc_train_part_0/cccccccccc.mp4", REAL | {"split": "train"}),
    ("DFDC", "test/eeeeeeeeee.mp4", _fake("unknown", None, split="test", pair_media=None, aligned=False)),
    ("DFDC", "test/videos/ffffffffff.mp4", REAL | {"split": "test", "kind": "video"}),
    ("DFDC", "validation/gggggggggg.mp4", _fake("unknown", None, split="validation")),
    ("DFDC", "validation/hhhhhhhhhh.mp4", REAL | {"split": "validation"}),
    *(
        case
        for folder in ("test/", "test/videos/")
        for case in (
            ("DFDC", f"{folder}iiiiiiiiii.mp4", _fake("unknown", None, rule="test-fake", split="test", pair_media=None)),
            ("DFDC", f"{folder}jjjjjjjjjj.mp4", REAL | {"rule": "test-real", "split": "test"}),
        )
    ),
    ("DFDC", "videos/kkkkkkkkkk.mp4", _fake("unknown", None, rule="test-only-fake", split="test", pair_media=None)),
    ("DFDC", "videos/llllllllll.mp4", REAL | {"rule": "test-only-real", "split": "test"}),
    (
        "DeepFakeFace",
        "wiki/00/x.1_y.jpg",
        REAL | {"kind": "image", "split": None, "target_id": None, "group_keys": ("DeepFakeFace/portrait/00/x.1_y",)},
    ),
    (
        "DeepFakeFace",
        "text2img/00/x.jpg",
        _fake("SD-1.5", "EFS", pair_media=None, aligned=False, group_keys=("DeepFakeFace/portrait/00/x",)),
    ),
    (
        "DeepFakeFace",
        "inpainting/00/x.jpg",
        _fake("SD-Inpainting", "EFS", pair_media="wiki/00/x.jpg", aligned=True),
    ),
    (
        "DeepFakeFace",
        "inpainting/inpainting/01/x.png",
        _fake("SD-Inpainting", "EFS", pair_media="wiki/wiki/01/x.png"),
    ),
    (
        "DeepFakeFace",
        "insight/00/x.jpg",
        _fake("InsightFace", "FS", pair_media=None, aligned=False, source_id="00/x", target_id=None)
        | {"group_keys": ("DeepFakeFace/portrait/00/x",)},
    ),
    *(
        ("DFFD", f"{origin}/{split}/a b.png", REAL | {"kind": "image", "split": split})
        for origin in ("youtube", "ffhq", "celeba", "celeba_2w")
        for split in ("train", "validation", "test")
    ),
    *(
        ("DFFD", f"{folder}/test/1.png", _fake(method, kind, split="test", pair_media=None, group_keys=()))
        for folder, method, kind in (
            ("faceapp", "FaceAPP", "FE"),
            ("stargan", "StarGAN", "FE"),
            ("pggan_v1", "PGGAN", "EFS"),
            ("pggan_v2", "PGGAN", "EFS"),
            ("stylegan_celeba", "StyleGAN", "EFS"),
            ("stylegan_ffhq", "StyleGAN", "EFS"),
            ("Deepfakes", "Deepfakes", "FS"),
            ("FaceSwap", "FaceSwap", "FS"),
            ("Face2Face", "Face2Face", "FR"),
        )
    ),
    *(
        ("DFFD", f"{folder}/train/{name}.png", REAL | {"rule": rule, "split": "train", "group_keys": keys})
        for folder, name, rule, keys in (
            ("celeba", "000003", "celeba", ("CelebA/image/000003.jpg",)),
            ("celeba_2w", "202599", "celeba", ("CelebA/image/202599.jpg",)),
            ("celeba", "203000", "real", ()),
            ("celeba", "R_CelA_000003", "real", ()),
            ("ffhq", "R_FFHQ_17103", "real", ()),
            ("ffhq", "000003", "real", ()),
            ("youtube", "071_0012", "youtube", ("FaceForensics++/identity/071",)),
            ("youtube", "0712", "real", ()),
        )
    ),
    (
        "DFFD",
        "Face2Face/test/071_054-12.png",
        _fake("Face2Face", "FR", rule="swapped", split="test", pair_media=None, target_id="071", source_id="054")
        | {"group_keys": ("FaceForensics++/identity/071", "FaceForensics++/identity/054")},
    ),
    ("DFFD", "Deepfakes/test/0712_054.png", _fake("Deepfakes", "FS", rule="fake", split="test", group_keys=())),
    ("DFFD", "stargan/test/F_STGN_1715-19.png", _fake("StarGAN", "FE", rule="fake", group_keys=())),
    ("DFFD", "stargan/x 1.png", _fake("StarGAN", "FE", split="test", rule="fake-listed")),
    ("DFFD", "ffhq/1.png", REAL | {"split": None, "rule": "real-listed"}),
    ("DFFD", "train/Real/1.jpg", REAL | {"split": "train"}),
    ("DFFD", "validation/Fake/1.jpg", _fake("unknown", None, split="validation")),
    *(
        (
            "CelebA",
            f"{folder}/000003.{ext}",
            REAL
            | {"kind": "image", "target_id": "2880", "split": "test"}
            | {"group_keys": ("CelebA/image/000003.jpg", "CelebA/identity/2880")},
        )
        for folder, ext in (
            ("img_align_celeba", "jpg"),
            ("img_align_celeba/img_align_celeba", "jpg"),
            ("Img/img_align_celeba", "jpg"),
            ("Img/img_align_celeba_png", "png"),
            ("img_align_celeba_png", "png"),
        )
    ),
    ("CelebA", "img_align_celeba/000002.jpg", REAL | {"target_id": "2937", "split": "validation"}),
    ("CelebA", "img_align_celeba/000009.jpg", REAL | {"target_id": None, "split": None}),
    ("FFHQ", "images1024x1024/00000/00000.png", REAL | {"kind": "image", "split": "train", "group_keys": ()}),
    ("FFHQ", "images1024x1024/59000/59999.png", REAL | {"split": "train"}),
    ("FFHQ", "images1024x1024/60000/60000.png", REAL | {"split": "validation"}),
    ("FFHQ", "realign1024x1024/01000/01234.png", REAL | {"split": "train", "rule": "train"}),
    ("FFHQ", "realign1024x1024/69000/69999.png", REAL | {"split": "validation", "rule": "validation"}),
    ("FFHQ", "images1024x1024/69999.png", REAL | {"split": "validation", "licence": "CC BY-NC-SA 4.0"}),
]

PRESENT = {case[2]["pair_media"] for case in CASES if case[2].get("pair_media")}


@pytest.mark.parametrize(("dataset", "path", "wanted"), CASES, ids=[f"{name}:{path}" for name, path, _ in CASES])
def test_every_rule_says_what_the_authors_say(dataset: str, path: str, wanted: dict[str, Any]) -> None:
    pair = wanted.get("pair_media")
    medium = only(dataset, path, LABELS.get(dataset), *([pair] if pair else []), *LISTED.get(dataset, ()))
    assert fields(medium, wanted) == wanted
    assert medium.dataset == dataset


def test_the_cases_reach_every_rule_of_their_manifests() -> None:
    for name in sorted({dataset for dataset, _, _ in CASES}):
        manifest = bundled()[name]
        cases = [(path, wanted) for dataset, path, wanted in CASES if dataset == name]
        used = {only(name, path, LABELS.get(name), *LISTED.get(name, ())).rule for path, _ in cases}
        assert used == {rule.id for rule in manifest.rules if not rule.unless}  # test_frames has those


NOT_MEDIA = [
    (FF, "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4", "manipulated_sequences/*/masks/**"),
    (FF, "original_sequences/youtube/c23/images/000/0000.png", "*_sequences/*/*/images/**"),
    ("DFDC", "test_videos/aassnaulhq.mp4", "test_videos/**"),
    ("DFDC", "train/dfdc_train_part_0/frames/aaaaaaaaaa/000.npy", "**/frames/**"),
    ("CelebA", "Anno/list_attr_celeba.txt", "**/list_attr_celeba.*"),
    ("CelebA", "img_celeba/000001.jpg", "img_celeba/**"),
    ("FFHQ", "ffhq-dataset-v2.json", "*.json"),
    ("FFHQ", "realign1024x1024/LICENSE.txt", "*1024x1024/LICENSE.txt"),
    ("FFHQ", "thumbnails128x128/00000/00000.png", "thumbnails128x128/**"),
    ("DFFD", "train/Mask/1.png", "*/Mask/**"),
    ("DFFD", "faceapp/train_mask/1.png", "*/{split}_mask/**"),
    ("DeepFakeFace", "wiki.zip", "*.zip"),
]


@pytest.mark.parametrize(("dataset", "path", "pattern"), NOT_MEDIA)
def test_sidecars_are_counted_by_their_pattern(dataset: str, path: str, pattern: str) -> None:
    result = account(dataset, [path])
    assert result.ignored == {pattern: 1}
    assert not result.media


UNMATCHED = [
    (FF, "notes.txt", "no rule"),
    (FF, "original_sequences/youtube/c23/videos/0000.mp4", "no rule"),
    (FF, "original_sequences/youtube/C23/videos/000.mp4", "no rule"),
    (FF, "original_sequences/youtube/c23/videos/000.MP4", "no rule"),
    (FF, "original_sequences/youtube/c23/videos/٣٣٣.mp4", "no rule"),
    (FF, "manipulated_sequences/Unheard/c23/videos/000_003.mp4", "no rule"),
    (FF, "original_sequences/youtube/c23/videos/000.mp4\n", "no rule"),
    (FF, "../original_sequences/youtube/c23/videos/000.mp4", "not a plain relative path"),
    (FF, "/original_sequences/youtube/c23/videos/000.mp4", "not a plain relative path"),
    (FF, "original_sequences//youtube/c23/videos/000.mp4", "not a plain relative path"),
    (FF, "original_sequences/youtube/c23/videos/\udcff.mp4", "name is not UTF-8"),
    ("DeepFakeFace", "wiki/00/" + "x" * 300 + ".jpg", "a name longer than 255 characters"),
    ("DFDC", "dfdc_train_part_0/zzzzzzzzzz.mp4", "no row in table 'meta'"),
    ("DFDC", "dfdc_train_part_1/aaaaaaaaaa.mp4", "no row in table 'meta'"),
    ("DFDC", "test/zzzzzzzzzz.mp4", "no row in table 'labels'"),
]


@pytest.mark.parametrize(("dataset", "path", "reason"), UNMATCHED)
def test_what_no_rule_takes_is_listed_with_the_reason(dataset: str, path: str, reason: str) -> None:
    assert account(dataset, [path], LABELS.get(dataset)).unmatched == [(path, reason)]


def test_a_fake_whose_real_is_absent_says_so_and_still_joins_its_siblings() -> None:
    paths = [f"Celeb-synthesis/id0_id{source}_0000.mp4" for source in (1, 2)]
    result = account("Celeb-DF-v2", paths, CELEB_LABELS)
    assert result.missing_pairs == paths
    assert {medium.group_keys for medium in result.media} == {("Celeb-DF-v2/media/Celeb-real/id0_0000.mp4",)}
    assert all(medium.pair_media is None and medium.pair_dataset is None for medium in result.media)


def test_a_pair_never_leaves_the_dataset() -> None:
    meta = '{"bbbbbbbbbb.mp4": {"label": "FAKE", "split": "train", "original": "../../../etc/passwd"}}'
    medium = only("DFDC", "dfdc_train_part_0/bbbbbbbbbb.mp4", {"dfdc_train_part_0/metadata.json": meta})
    assert medium.pair_media is None
    assert medium.group_keys == ()


def test_label_files_that_are_not_there_are_named() -> None:
    listed, unlisted = (f"original_sequences/youtube/c23/videos/{clip}.mp4" for clip in ("071", "072"))
    lists: dict[str, str | bytes] = {"train.json": '[["071", "054"]]'}
    assert account(FF, [listed], lists).missing_label_files == []
    result = account(FF, [listed, unlisted], lists)
    assert [medium.split for medium in result.media] == ["train", None]
    assert result.missing_label_files == ["splits: dataset/splits/test.json", "splits: dataset/splits/val.json"]


def test_one_variant_of_a_label_file_is_enough() -> None:
    image = "img_align_celeba/000001.jpg"
    result = account("CelebA", [image], {"list_eval_partition.csv": "image_id,partition\n000001.jpg,0\n"})
    assert result.label_files == ["list_eval_partition.csv"]
    assert result.missing_label_files == ["identities: identity_CelebA.txt"]


def test_label_files_that_nothing_on_disk_needs_are_not_missed() -> None:
    assert account("DFFD", ["stargan/test/1.png"]).missing_label_files == []
    assert len(account("DFFD", ["stargan/1.png"]).missing_label_files) == 6


def test_dfdc_without_its_labels_labels_nothing() -> None:
    result = account("DFDC", ["test/eeeeeeeeee.mp4", "dfdc_train_part_0/aaaaaaaaaa.mp4"])
    assert [reason for _, reason in result.unmatched] == [
        "no label file for table 'meta' ({part}/metadata.json)",
        "no label file for table 'labels' ({half}/labels.csv)",
    ]


@pytest.mark.parametrize(
    "labels",
    [
        {"test/labels.csv": "filename,label\neeeeeeeeee.mp4,1\n"},
        {"labels.csv": "filename,label\neeeeeeeeee.mp4,1\n"},
        {"test/metadata.json": '{"eeeeeeeeee.mp4": {"is_fake": 1}}'},
    ],
)
def test_either_form_of_dfdc_s_test_labels_is_enough(labels: dict[str, str | bytes]) -> None:
    result = account("DFDC", ["test/eeeeeeeeee.mp4"], labels)
    assert [(medium.label, medium.split) for medium in result.media] == [("fake", "test")]
    assert result.missing_label_files == []


def test_a_dfdc_clip_that_no_list_has_is_told_with_both_forms() -> None:
    result = account("DFDC", ["test/eeeeeeeeee.mp4"], {"test/metadata.json": "{}"})
    assert result.unmatched == [("test/eeeeeeeeee.mp4", "no label file for table 'labels' ({half}/labels.csv)")]
    assert result.missing_label_files == ["labels: test/labels.csv", "labels: validation/labels.csv"]
