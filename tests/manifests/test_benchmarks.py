"""The benchmark sets: every rule and layout variant by example, with every field of the medium."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

import pytest

from mmidd.manifest import find_manifest

from .trees import CELEB_PP, account, only, whole

Labels = dict[str, str | bytes]
Case = tuple[str, str, dict[str, Any]]

PP, DF, FAV, PGF, IDF = "Celeb-DF++", "DeeperForensics-1.0", "FakeAVCeleb", "PolyGlotFake", "IDForge"
LICENCES = {
    "UADFV": "terms of the UADFV authors (on request)",
    "Celeb-DF-v1": "Terms to Use Celeb-DF",
    PP: "Terms to Use Celeb-DF++",
    DF: "DeeperForensics-1.0 Terms of Use",
    "DFDM": "DFDM terms (academic research only)",
    "FFIW-10K": "FFIW-10K Terms to Use",
    FAV: "FakeAVCeleb Request Forms",
    PGF: "PolyGlotFake terms (academic research only)",
    IDF: "IDForge terms (on request)",
    "DeepSpeak": "DeepSpeak licence (academic institutions, on request)",
}

META = (
    "source,target1,target2,method,category,type,race,gender,path,\n"
    "id00076,-,-,real,A,RealVideo-RealAudio,African,men,00109.mp4,FakeAVCeleb/RealVideo-RealAudio/African/men/id00076\n"
)


def _meta_row(category: str, name: str, method: str) -> str:
    return f"id00076,id00476,-,{method},D,{category},African,men,{name},FakeAVCeleb/{category}/African/men/id00076\n"


FAKE_ANNOTATIONS = (
    "video-file,kind,engine,identity-source,identity-target,recording-source,recording-target,audio-config\n"
    "diff2lip-6868-6860-playht.mp4,lip-sync,diff2lip,31,30,6868,6860,playht\n"
    "memo-6868-6861-real,avatar,memo,31,30,6868,6861,real\n"
)
LABELS: dict[str, Labels] = {
    "Celeb-DF-v1": {"List_of_testing_videos.txt": "1 Celeb-real/id1_0001.mp4\n0 Celeb-synthesis/id1_id0_0007.mp4\n"},
    PP: {
        "List_of_testing_videos.txt": whole(
            "1 Celeb-real/id1_0001.mp4\n1 YouTube-real/00170.mp4\n"
            "0 Celeb-synthesis/FaceReenact/DaGAN/id3_id28_0001.mp4\n0 Celeb-synthesis/FaceSwap/GHOST/id1_id0_0007.mp4\n",
            CELEB_PP,
        )
    },
    DF: {
        "lists/splits/train.txt": "000_M101.mp4\n",
        "lists/splits/val.txt": "001_W005.mp4\n",
        "lists/splits/test.txt": "980_W010.mp4\r\n",
    },
    FAV: {
        "meta_data.csv": META
        + _meta_row("FakeVideo-FakeAudio", "00109_10_id00476_wavtolip.mp4", "wav2lip")
        + _meta_row("FakeVideo-FakeAudio", "00109_id00476_fsgan-wav2lip.mp4", "fsgan-wav2lip")
        + _meta_row("FakeVideo-RealAudio", "00109_1.mp4", "fsgan")
        + _meta_row("FakeVideo-RealAudio", "00109_id01002_eQTviHjyISo.mp4", "faceswap")
        + _meta_row("FakeVideo-FakeAudio", "00109_id06437_3BZvvzB-j8s_id00043_wavtolip.mp4", "faceswap-wav2lip")
        + _meta_row("FakeVideo-RealAudio", "00109.mp4", "faceswap")
    },
    PGF: {
        "json_file/fake_Json_file/all_fake_video.json": json.dumps(
            {
                "video": [
                    {"filename": "zh_12_to_fr_xtts.mp4", "raw_lang": "zh", "target_lang": "fr", "sync_tech": "Wav2Lip"},
                    {"filename": "en_3_to_ar_bark.mp4", "characters": [{"age": 4}], "sync_tech": "video_retalking"},
                ]
            }
        )
    },
    IDF: {
        "train.csv": "pristine/id53/id53_00/id53_scene_0083-0.mp4\n",
        "val.csv": "lip_tts_textgen/id53/id53_00/id53_scene_0084.mp3.mp4\n",
        "test.csv": "face_tts/id53/id53_04/id53_scene_0090_0_infoswap.mp4\n",
    },
    "DeepSpeak": {
        "deepspeak_v1_1/annotations-split-def.csv": "identity,split\n87,train\n11,test\n",
        "deepspeak_v2/annotations-split-def.csv": "identity,split\n30,test\n",
        "deepspeak_v2/annotations-fake.csv": FAKE_ANNOTATIONS,
    },
}

# what a medium has of which a case says nothing
UNSAID: dict[str, Any] = {
    **dict.fromkeys(("compression", "target_id", "source_id", "pair_dataset", "pair_media", "split")),
    "kind": "video",
    "aligned": False,
    "faces": "detect",
    "group_keys": (),
}


def _real(dataset: str, rule: str, path: str, **more: Any) -> Case:
    wanted = UNSAID | {"rule": rule, "label": "real", "forgery_type": "REAL", "method": None} | more
    return dataset, path, _with_groups(dataset, wanted)


def _fake(dataset: str, rule: str, path: str, made: tuple[str, str], **more: Any) -> Case:
    """`made`: method and forgery type; a pair is aligned and of the same dataset unless `more` says otherwise."""
    pair = {"pair_dataset": dataset, "aligned": True} if "pair_media" in more else {}
    wanted = UNSAID | {"rule": rule, "label": "fake", "method": made[0], "forgery_type": made[1]} | pair | more
    return dataset, path, _with_groups(dataset, wanted)


def _with_groups(dataset: str, wanted: dict[str, Any]) -> dict[str, Any]:
    group = wanted.pop("group", None)
    return wanted | ({"group_keys": (f"{dataset}/{group}",)} if group else {})


SWAPS = {
    **{name: name for name in ("Celeb-DF", "BlendFace", "GHOST", "HifiFace", "InSwapper", "SimSwap", "UniFace")},
    "Celeb-DF-v2": "Celeb-DF",
    "MobileFaceSwap": "MobileSwap",
}
REENACTED = {
    **{name: name for name in ("DaGAN", "FSRT", "HyperReenact", "LIA", "LivePortrait")},
    "MCNET": "MCNet",
    "TPSMM": "TPSM",
}
TALKING = ("AniTalker", "EchoMimic", "EDTalk", "FLOAT", "IP_LAP", "Real3DPortrait", "SadTalker")
ANIMATED = [
    *(("FaceReenact", folder, method) for folder, method in REENACTED.items()),
    *(("TalkingFace", method, method) for method in TALKING),
]
VARIANTS = (
    "end_to_end",
    *(f"end_to_end_level_{level}" for level in range(1, 6)),
    "end_to_end_random_level",
    *(f"end_to_end_mix_{count}_distortions" for count in (2, 3, 4)),
    "reenact_postprocess",
)
DFDM_FOLDERS = {
    **dict.fromkeys(("Faceswap", "FaceSwap", "faceswap"), "DFDM-Faceswap"),
    **dict.fromkeys(("Lightweight", "LightWeight", "lightweight"), "Lightweight"),
    **dict.fromkeys(("IAE", "iae"), "IAE"),
    **dict.fromkeys(("Dfaker", "DFaker", "dfaker"), "Dfaker"),
    **dict.fromkeys(("DFL-H128", "dfl"), "DFL-H128"),
}
FFIW_ROOTS = (
    "FFIW10K-v1-release/",
    "FFIW10K-v1-release-test/",
    "FFIW10K-v1/FFIW10K-v1-release/",
    "FFIW-test/FFIW10K-v1-release-test/",
)
FACE_PARTS = ("face_audiomismatch_textmismatch", "face_rvc_textmismatch", "face_tts", "face_tts_textgen")
LIP_PARTS = ("lip_audiomismatch_textmismatch", "lip_rvc_textmismatch", "lip_tts_textgen")
ENGINES_1 = {
    **dict.fromkeys(("facefusion", "facefusion_gan", "facefusion_live"), ("FaceFusion", "FS")),
    "retalking": ("VideoRetalking", "FR"),
    "wav2lip": ("Wav2Lip", "FR"),
}


def _uadfv(folder: str) -> list[Case]:
    pair = {"pair_media": f"real/{folder}0007.mp4", "aligned": False}
    return [
        _real("UADFV", "real", f"real/{folder}0007.mp4", target_id="0007"),
        _fake("UADFV", "fake", f"fake/{folder}0007_fake.mp4", ("unknown", "FS"), target_id="0007", **pair),
    ]


def _celeb_v1(folder: str, fake_split: str) -> list[Case]:
    name, synthesis = "Celeb-DF-v1", f"Celeb-synthesis/{folder}id1_id0_0007.mp4"
    ids = {"target_id": "id1", "source_id": "id0", "pair_media": f"Celeb-real/{folder}id1_0007.mp4"}
    return [
        _real(name, "Celeb-real", f"Celeb-real/{folder}id1_0002.mp4", target_id="id1", split="train"),
        _real(name, "YouTube-real", f"YouTube-real/{folder}00170.mp4", split="train"),
        _fake(name, "Celeb-synthesis", synthesis, ("Celeb-DF", "FS"), split=fake_split, **ids),
    ]


def _celeb_pp_swap(folder: str, method: str) -> Case:
    path = f"Celeb-synthesis/FaceSwap/{folder}/id1_id0_0007.mp4"
    ids = {"target_id": "id1", "source_id": "id0", "pair_media": "Celeb-real/id1_0007.mp4", "group": "clip/id1_0007"}
    return _fake(PP, "FaceSwap", path, (method, "FS"), split="test" if folder == "GHOST" else "train", **ids)


def _celeb_pp_animated(scenario: str, folder: str, method: str) -> Case:
    path = f"Celeb-synthesis/{scenario}/{folder}/id3_id28_0001.mp4"
    split = "test" if folder == "DaGAN" else "train"
    return _fake(PP, "animated", path, (method, "FR"), split=split, group="clip/id3_0001")


def _deeperforensics(variant: str, target: str, source: str, split: str | None) -> Case:
    path = f"manipulated_videos/{variant}/{target}_{source}.mp4"
    pair = {"pair_dataset": "FaceForensics++", "pair_media": f"original_sequences/youtube/c23/videos/{target}.mp4"}
    ids = {"target_id": target, "source_id": source, "group": f"target/{target}"}
    return _fake(DF, "fakes", path, ("DF-VAE", "FS"), split=split, **ids, **pair)


def _dfdm(quality: str, folder: str, method: str, tag: str = "4dfaker") -> Case:
    path = f"DFDM_{quality}/{folder}/id28_id20_0008_{tag}.mp4"
    pair = {"pair_dataset": "Celeb-DF-v2", "pair_media": "Celeb-real/id28_0008.mp4", "group": "clip/id28_0008"}
    return _fake("DFDM", "fakes", path, (method, "FS"), compression=quality, target_id="id28", source_id="id20", **pair)


def _ffiw(root: str, folder: str, split: str, inner: str) -> list[Case]:
    more = {"split": split, "group": f"clip/{folder}/{folder}_00000007"}
    fake = "target-release" if root else "target"
    return [
        _real("FFIW-10K", "source", f"{root}source/{folder}/{inner}{folder}_00000007.mp4", **more),
        _fake("FFIW-10K", fake, f"{root}target/{folder}/{inner}{folder}_00000007.mp4", ("FFIW", "FS"), **more),
    ]


def _fakeavceleb(rule: str, file: str, made: tuple[str, str], source: str | None) -> list[Case]:
    person = "African/men/id00076"
    category, name = file.split("/")
    ids = {"target_id": "id00076", "source_id": source, "aligned": False}
    return [
        _fake(
            FAV,
            rule,
            f"{root}{category}/{person}/{name}",
            made,
            pair_media=f"{root}RealVideo-RealAudio/{person}/00109.mp4",
            **ids,
        )
        for root in ("", "FakeAVCeleb/")
    ]


def _polyglot(root: str) -> list[Case]:
    def dub(name: str, to: str, original: str, method: str) -> Case:
        pair = {"pair_media": f"{root}real/{original[:2]}/{original}.mp4", "aligned": False, "group": f"clip/{original}"}
        return _fake(PGF, "fake", f"{root}fake/to_{to}/{name}.mp4", (method, "FR"), **pair)

    return [
        _real(PGF, "real", f"{root}real/zh/zh_12.mp4", group="clip/zh_12"),
        dub("zh_12_to_fr_xtts", "fr", "zh_12", "Wav2Lip"),
        dub("en_3_to_ar_bark", "ar", "en_3", "VideoRetalking"),
        dub("en_3_to_ru_bark", "ru", "en_3", "unknown"),
    ]


def _idforge(root: str) -> list[Case]:
    video, swaps = "id53/id53_00", {"simswap": "SimSwap", "infoswap": "InfoSwap", "roop": "InsightFace"}
    same: dict[str, Any] = {"group": "video/id53_00"}
    face, lip = f"{root}face_tts/id53/id53_04/id53_scene_0090_0_infoswap.mp4", f"{root}lip_tts_textgen/{video}/"
    return [
        _real(IDF, "pristine", f"{root}pristine/{video}/id53_scene_0083-0.mp4", target_id="id53", split="train", **same),
        _real(IDF, "pristine", f"{root}pristine/{video}/unlisted.mp4", target_id="id53", **same),
        _fake(IDF, "face", face, ("InfoSwap", "FS"), source_id="id53", split="test", group="video/id53_04"),
        _fake(IDF, "lip", f"{lip}id53_scene_0084.mp3.mp4", ("Wav2Lip", "FR"), target_id="id53", split="validation", **same),
        *(
            _fake(IDF, "face", f"{root}{part}/{video}/id53_scene_0083_0_{tag}.mp4", (method, "FS"), source_id="id53", **same)
            for part in FACE_PARTS
            for tag, method in swaps.items()
        ),
        *(
            _fake(IDF, "lip", f"{root}{part}/{video}/x.mp4", ("Wav2Lip", "FR"), target_id="id53", **same)
            for part in LIP_PARTS
        ),
    ]


def _deepspeak_1(folder: str, engine: str, made: tuple[str, str]) -> Case:
    path = f"deepspeak_v1_1/{folder}{engine}--10-11--4100-4897--0.mp4"
    pair = {"pair_media": f"deepspeak_v1_1/{folder}11-4897.mp4", "aligned": False, "group": "1.1/11-4897"}
    return _fake("DeepSpeak", "fake-1.1", path, made, target_id="1.1/11", source_id="1.1/10", split="test", **pair)


def _deepspeak_2(folder: str, name: str, made: tuple[str, str], recording: str) -> Case:
    pair = {"pair_media": f"deepspeak_v2/{folder}30-{recording}.mp4", "aligned": False, "group": f"2.0/30-{recording}"}
    path = f"deepspeak_v2/{folder}{name}.mp4"
    return _fake("DeepSpeak", "fake-2.0", path, made, target_id="2.0/30", source_id="2.0/31", **pair)


CASES: list[Case] = [
    *(case for folder in ("", "videos/") for case in _uadfv(folder)),
    *(case for folder, split in (("", "test"), ("videos/", "test")) for case in _celeb_v1(folder, split)),
    _real("Celeb-DF-v1", "Celeb-real", "Celeb-real/id1_0001.mp4", target_id="id1", split="test"),
    _real(PP, "Celeb-real", "Celeb-real/id1_0001.mp4", target_id="id1", split="test", group="clip/id1_0001"),
    _real(PP, "Celeb-real", "Celeb-real/id1_0002.mp4", target_id="id1", split="train", group="clip/id1_0002"),
    _real(PP, "YouTube-real", "YouTube-real/00170.mp4", split="test"),
    *(_celeb_pp_swap(folder, method) for folder, method in SWAPS.items()),
    *(_celeb_pp_animated(*each) for each in ANIMATED),
    _fake(
        PP,
        "animated-one",
        "Celeb-synthesis/TalkingFace/FLOAT/id3_0001.mp4",
        ("FLOAT", "FR"),
        split="train",
        group="clip/id3_0001",
    ),
    _fake(
        PP,
        "animated-by-clip",
        "Celeb-synthesis/TalkingFace/FLOAT/id3_0001_test_00170.mp4",
        ("FLOAT", "FR"),
        split="train",
        group="clip/id3_0001",
    ),
    _fake(PP, "animated-other", "Celeb-synthesis/TalkingFace/FLOAT/x y.mp4", ("FLOAT", "FR"), split="train"),
    *(_deeperforensics(variant, "000", "M101", "train") for variant in VARIANTS),
    _deeperforensics("end_to_end", "001", "W005", "validation"),
    _deeperforensics("reenact_postprocess", "980", "W010", "test"),
    _deeperforensics("end_to_end", "002", "M004", None),
    *(_dfdm("crf23", folder, method) for folder, method in DFDM_FOLDERS.items()),
    *(_dfdm(quality, "IAE/videos", "IAE", "iae_1") for quality in ("crf0", "crf10")),
    *(
        case
        for root in ("", *FFIW_ROOTS)
        for folder, split in (("train", "train"), ("val", "validation"), ("test", "test"))
        for inner in ("", "videos/")
        for case in _ffiw(root, folder, split, inner)
    ),
    _real(FAV, "real", "RealVideo-RealAudio/Asian (East)/women/id10006/00905.mp4", target_id="id10006"),
    _real(FAV, "real", "FakeAVCeleb/RealVideo-RealAudio/Asian_East/men/id04789/002121.mp4", target_id="id04789"),
    *(
        case
        for rule, file, made, source in (
            ("fake-of-donor-take", "FakeVideo-FakeAudio/00109_10_id00476_wavtolip.mp4", ("Wav2Lip", "FR"), "id00476"),
            ("fake-of-donor", "FakeVideo-FakeAudio/00109_id00476_fsgan-wav2lip.mp4", ("FSGAN-Wav2Lip", "FS"), "id00476"),
            ("fake-of-donor", "FakeVideo-RealAudio/00109_id01002_eQTviHjyISo.mp4", ("FaceSwap", "FS"), "id01002"),
            (
                "fake-of-donor",
                "FakeVideo-FakeAudio/00109_id06437_3BZvvzB-j8s_id00043_wavtolip.mp4",
                ("FaceSwap-Wav2Lip", "FS"),
                "id06437",
            ),
            ("fake", "FakeVideo-RealAudio/00109_1.mp4", ("FSGAN", "FS"), None),
            ("fake-same-name", "FakeVideo-RealAudio/00109.mp4", ("FaceSwap", "FS"), None),
        )
        for case in _fakeavceleb(rule, file, made, source)
    ),
    *(case for root in ("", "raw_dataset/") for case in _polyglot(root)),
    *(case for root in ("", "main/") for case in _idforge(root)),
    *(
        _real(
            "DeepSpeak", "real-1.1", f"deepspeak_v1_1/{folder}87-0.mp4", target_id="1.1/87", split="train", group="1.1/87-0"
        )
        for folder in ("", "a/", "a/b/", "a/b/c/")
    ),
    _real("DeepSpeak", "real-2.0", "deepspeak_v2/30-6860.mp4", target_id="2.0/30", split="test", group="2.0/30-6860"),
    *(_deepspeak_1("", engine, made) for engine, made in ENGINES_1.items()),
    _deepspeak_1("videos/fake/", "wav2lip", ("Wav2Lip", "FR")),
    _deepspeak_2("", "diff2lip-6868-6860-playht", ("Diff2Lip", "FR"), "6860"),
    _deepspeak_2("a/", "memo-6868-6861-real", ("MEMO", "FR"), "6861"),
    *(
        _fake("DeepSpeak", "fake-2.0", f"deepspeak_v2/{engine}-1-2-playht.mp4", made)
        for engine, made in (
            ("facefusion", ("FaceFusion", "FS")),
            ("hellomeme", ("HelloMeme", "FR")),
            ("latentsync", ("LatentSync", "FR")),
            ("liveportrait", ("LivePortrait", "FR")),
        )
    ),
]


@pytest.mark.parametrize(("dataset", "path", "wanted"), CASES, ids=[f"{name}:{path}" for name, path, _ in CASES])
def test_every_field_is_what_the_authors_say(dataset: str, path: str, wanted: dict[str, Any]) -> None:
    pair = [wanted["pair_media"]] if wanted["pair_dataset"] == dataset else []
    listed = ["Celeb-real/id1_0001.mp4"] if dataset == "Celeb-DF-v1" else []
    medium = only(dataset, path, LABELS.get(dataset), *pair, *listed)
    found = asdict(medium)
    candidates = found.pop("pair_candidates")
    assert found == wanted | {"dataset": dataset, "media": path, "licence": LICENCES[dataset], "mask": None}
    abroad = wanted["pair_media"] and wanted["pair_dataset"] != dataset
    assert candidates[:1] == ((f"{wanted['pair_dataset']}:{wanted['pair_media']}",) if abroad else ())


@pytest.mark.parametrize("dataset", LICENCES)
def test_the_cases_reach_every_rule(dataset: str) -> None:
    used = {wanted["rule"] for name, _, wanted in CASES if name == dataset}
    assert used == {rule.id for rule in find_manifest(dataset).rules if not rule.unless}  # test_frames has those


@pytest.mark.parametrize("dataset", LICENCES)
def test_a_whole_twin_is_accounted_for(dataset: str) -> None:
    paths = {path for name, path, _ in CASES if name == dataset}
    paths |= {wanted["pair_media"] for name, _, wanted in CASES if name == wanted["pair_dataset"] == dataset}
    result = account(dataset, [*paths, "notes.doc"], LABELS.get(dataset))
    assert {medium.media for medium in result.media} == paths
    assert result.unmatched == [("notes.doc", "no rule")]
    assert result.label_files == sorted(LABELS.get(dataset, {}))


IGNORED = [
    ("UADFV", "fake/frames/0000_fake/000.npy", "*/frames/**"),
    ("Celeb-DF-v1", "Celeb-real/landmarks/id0_0000/000.npy", "*/landmarks/**"),
    (PP, "Celeb-synthesis/FaceReenact/LIA/frames/id3_id28_0001/000.png", "**/frames/**"),
    (PP, "Celeb-real/landmarks/id0_0000/000.npy", "**/landmarks/**"),
    (DF, "source_videos/M004/light_up/sad/camera_down/M004_light_up_sad_camera_down.mp4", "source_videos/**"),
    (DF, "source_videos/M004/BlendShape/camera_front/M004_BlendShape_camera_front.mp4", "source_videos/**"),
    (DF, "lists/source_videos_lists/source_videos_list.txt", "lists/**"),
    (DF, "terms_of_use.pdf", "terms_of_use.pdf"),
    ("DFDM", "DFDM_crf23.zip", "**/*.zip"),
    ("FFIW-10K", "target_mask/train/videos/train_00000007.mp4", "target_mask/**"),
    ("FFIW-10K", "FFIW10K-v1-release/target_mask/val/val_00000007.mp4", "{release}/target_mask/**"),
    (FAV, "RealVideo-FakeAudio/African/men/id00076/00109_fake.mp4", "RealVideo-FakeAudio/**"),
    (FAV, "FakeAVCeleb/RealVideo-FakeAudio/African/men/id00076/00109_fake.mp4", "FakeAVCeleb/RealVideo-FakeAudio/**"),
    (FAV, "RealVideo-RealAudio/African/men/id00076/00109.txt", "**/*.txt"),
    (PGF, "json_file/real_json_file/all_real_video.json", "json_file/**"),
    (IDF, "main/rvc_textmismatch/id00/id00_03/id00_scene_0014.mp3.mp4", "main/rvc_textmismatch/**"),
    (IDF, "tts_textgen/id00/id00_03/id00_scene_0014.mp4", "tts_textgen/**"),
    (IDF, "ref/id00/id00_03/id00_scene_0014.mp4", "ref/**"),
    ("DeepSpeak", "deepspeak_v2/annotations-real.csv", "*/annotations-*.csv"),
]


@pytest.mark.parametrize(("dataset", "path", "pattern"), IGNORED)
def test_what_is_neither_real_nor_fake_is_ignored_and_counted(dataset: str, path: str, pattern: str) -> None:
    result = account(dataset, [path])
    assert (result.ignored, result.media) == ({pattern: 1}, [])


NO_METHOD = "no label file for table 'meta' (meta_data.csv)"
UNMATCHED = [
    ("UADFV", "fake/0007.mp4", {}, "no rule"),
    (DF, "manipulated_videos/end_to_end_level_6/000_M101.mp4", {}, "no rule"),
    (PP, "Celeb-synthesis/FaceSwap/Unheard/id1_id0_0007.mp4", {}, "no rule"),
    ("DFDM", "DFDM_crf23/Unheard/id28_id20_0008_4dfaker.mp4", {}, "no rule"),
    (IDF, "face_tts/id53/id53_04/id53_scene_0090_0_unheard.mp4", {}, "no rule"),
    (IDF, "train/pristine/id01/id01_00/scene/frames_ndarray.npy", {}, "no rule"),
    ("DeepSpeak", "deepspeak_v1_1/unheard--10-11--4100-4897--0.mp4", {}, "no rule"),
    ("DeepSpeak", "deepspeak_v2/unheard-1-2-playht.mp4", {}, "no rule"),
    (FAV, "FakeVideo-RealAudio/African/men/id00076/00109_1.mp4", {}, NO_METHOD),
    (FAV, "FakeVideo-RealAudio/African/men/id00076/00109_9.mp4", LABELS[FAV], "no row in table 'meta'"),
    (
        FAV,
        "FakeVideo-RealAudio/African/men/id00076/00109_1.mp4",
        {"meta_data.csv": META + _meta_row("FakeVideo-RealAudio", "00109_1.mp4", "real")},
        "bad method value 'real' at meta_data.csv:3",
    ),
    (
        PP,
        "Celeb-synthesis/FaceSwap/GHOST/id1_id0_0007.mp4",
        {"List_of_testing_videos.txt": "1 Celeb-synthesis/FaceSwap/GHOST/id1_id0_0007.mp4"},
        "tests.label is 'real', which rule 'FaceSwap' does not take",
    ),
]


@pytest.mark.parametrize(("dataset", "path", "labels", "reason"), UNMATCHED)
def test_nothing_is_guessed(dataset: str, path: str, labels: Labels, reason: str) -> None:
    assert account(dataset, [path], labels).unmatched == [(path, reason)]


def test_a_listed_dub_whose_method_is_unheard_of_is_unmatched_and_without_the_list_all_are_unknown() -> None:
    path = "fake/to_fr/zh_12_to_fr_xtts.mp4"
    listed = json.dumps({"video": [{"filename": "zh_12_to_fr_xtts.mp4", "sync_tech": "Unheard"}]})
    (reason,) = account(PGF, [path], {"fake_Json_file/all_fake_video.json": listed}).unmatched
    assert reason == (path, "bad method value 'Unheard' at fake_Json_file/all_fake_video.json: item 0")
    result = account(PGF, [path])
    assert [(medium.method, medium.forgery_type) for medium in result.media] == [("unknown", "FR")]
    assert result.missing_label_files == ["fakes: json_file/fake_Json_file/all_fake_video.json"]


def test_deeperforensics_has_its_703_96_201_swaps_in_each_of_eleven_versions_and_no_reals() -> None:
    names = [f"{clip:03d}_{'MW'[clip % 2]}{clip % 100:03d}.mp4" for clip in range(1000)]
    lists = {"train": names[:703], "val": names[703:799], "test": names[799:]}
    studio = [
        f"source_videos/M{actor:03d}/light_up/sad/camera_up/M{actor:03d}_light_up_sad_camera_up.mp4" for actor in range(9)
    ]
    swaps = [f"manipulated_videos/{variant}/{name}" for variant in VARIANTS for name in names]
    labels: Labels = {f"lists/splits/{split}.txt": "\n".join(listed) for split, listed in lists.items()}
    result = account(DF, [*swaps, *studio], labels)
    assert Counter(medium.split for medium in result.media) == {"train": 7733, "validation": 1056, "test": 2211}
    assert {medium.label for medium in result.media} == {"fake"}
    assert {len({m.split for m in result.media if m.target_id == clip}) for clip in ("000", "702", "703", "999")} == {1}
    assert find_manifest(DF).expected[0].count == len(result.media)


def test_celeb_df_v1_and_pp_put_only_listed_videos_into_test() -> None:
    for dataset, fakes in (("Celeb-DF-v1", "Celeb-synthesis"), (PP, "Celeb-synthesis/FaceSwap/SimSwap")):
        reals = [f"Celeb-real/id{clip % 13}_{clip:04d}.mp4" for clip in range(158)]
        swaps = [f"{fakes}/id{clip % 13}_id{(clip + 1) % 13}_{clip:04d}.mp4" for clip in range(158)]
        listed = {*reals[:20], *swaps[:20]}
        tests = "".join(f"{int(path in reals)} {path}\n" for path in sorted(listed))
        tests = whole(tests, CELEB_PP) if dataset == PP else tests
        media = account(dataset, [*reals, *swaps], {"List_of_testing_videos.txt": tests}).media
        assert {medium.media for medium in media if medium.split == "test"} == listed
        assert Counter(medium.split for medium in media) == {"test": 40, "train": 276}
        assert {medium.split for medium in account(dataset, reals).media} == {None}


def test_ffiw_never_merges_same_named_clips_of_two_splits() -> None:
    paths = [f"{half}/{split}/videos/00000007.mp4" for half in ("source", "target") for split in ("train", "val", "test")]
    groups = Counter(medium.group_keys for medium in account("FFIW-10K", paths).media)
    assert sorted(groups.values()) == [2, 2, 2]


def test_fakes_without_their_real_on_disk_are_listed_and_those_of_another_dataset_are_not() -> None:
    fake = "FakeVideo-RealAudio/African/men/id00076/00109_1.mp4"
    assert account(FAV, [fake], LABELS[FAV]).missing_pairs == [fake]
    assert account("DFDM", ["DFDM_crf23/IAE/id28_id20_0008_iae.mp4"]).missing_pairs == []


def test_the_reals_of_other_datasets_are_media_of_their_manifests() -> None:
    for dataset in (DF, "DFDM"):
        pairs = {(wanted["pair_dataset"], wanted["pair_media"]) for name, _, wanted in CASES if name == dataset}
        for other, path in pairs:
            assert only(other, path).label == "real"


@pytest.mark.parametrize("release", ["deepspeak_v1_1", "DeepSpeak-1.1", "DeepSpeak-v1"])
def test_deepspeak_1_is_split_by_the_person_shown(release: str) -> None:
    labels: Labels = {f"{release}/annotations-split-def.csv": "identity,split\n11,test\n10,train\n"}
    assert only("DeepSpeak", f"{release}/wav2lip--10-11--4100-4897--0.mp4", labels).split == "test"


def test_a_deepspeak_2_fake_without_its_row_says_no_more_than_its_method() -> None:
    path = "DeepSpeak-2.0/diff2lip-6868-6860-playht.mp4"
    result = account("DeepSpeak", [path, "DeepSpeak-2.0/30-6860.mp4"])
    (fake,) = (medium for medium in result.media if medium.label == "fake")
    assert (fake.method, fake.target_id, fake.source_id, fake.pair_media, fake.group_keys) == (
        "Diff2Lip",
        None,
        None,
        None,
        (),
    )
    assert "fakes2: deepspeak_v2/annotations-fake.csv" in result.missing_label_files


@pytest.mark.parametrize("folder", ["", "IDForge_v1/", "main/"])
def test_idforge_s_lists_are_found_where_they_are_put(folder: str) -> None:
    path = "pristine/id53/id53_00/id53_scene_0083-0.mp4"
    labels: Labels = {
        f"{folder}{split}.csv": f"{path.replace('id53_scene', f'{split}_scene' * (split != 'val') or 'id53_scene')}\n"
        for split in ("train", "val", "test")
    }
    result = account(IDF, [path], labels)
    assert [medium.split for medium in result.media] == ["validation"]
    assert result.label_files == sorted(labels)
