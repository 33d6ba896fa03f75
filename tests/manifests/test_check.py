"""`index --check`: each thing that can be wrong with a dataset on disk is found, named, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmidd.errors import ManifestError
from mmidd.manifest import bundled, describe, find_manifest, load_manifest
from mmidd.manifest.check import ADVICE, TWIN_BYTES, Checked, Disk, Entry, FindingKind, check
from mmidd.manifest.strays import Strays

NOTHING: dict[str, Any] = {}

Files = Mapping[str, bytes]


def _entry(path: str, status: str, reason: str | None, size: int) -> Entry:
    return Entry(path, status, reason, size, *[None] * 7)


def checked(dataset: str, files: Files, others: Mapping[str, Iterable[str]] | None = None, *refused: str) -> Checked:
    """Check a tree whose files have these bytes; `others` are the media of other datasets."""
    manifest = find_manifest(dataset)
    found = describe(manifest, files, files.__getitem__)
    entries = [
        Entry(m.media, "media", None, len(files[m.media]), m.rule, m.label, m.method, m.split, m.compression, m.pair_dataset,
              m.pair_media)
        for m in found.media
    ]  # fmt: skip
    entries += [_entry(path, "label file", None, 1) for path in found.label_files]
    entries += [_entry(path, "unmatched", reason, 1) for path, reason in found.unmatched]
    entries += [_entry(path, "refused", "link to nothing", 0) for path in refused]
    there = {name: frozenset(media) for name, media in (others or {}).items()}
    disk = Disk(files.__getitem__, files.__getitem__, there.get)
    return check(manifest, entries, disk, missing=found.missing_label_files, ignored=found.ignored)


def _told(found: Checked) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(each.check, each.what, each.where) for each in found.findings]


def _celeb(listed: str, *paths: str) -> dict[str, bytes]:
    return {"List_of_testing_videos.txt": listed.encode(), **{path: path.encode() for path in paths}}


REAL, FAKE = "Celeb-real/id0_0001.mp4", "Celeb-synthesis/id0_id1_0001.mp4"
CLIP = "original_sequences/youtube/c23/videos/071.mp4"
LIST = "table 'tests' lists it"
LISTS = {
    "train.json": b'[["071", "054"]]',
    "val.json": b'[["101", "100"]]',
    "test.json": b'[["201", "200"]]',
}

PART = "dfdc_train_part_0"
META = {"aaaaaaaaaa.mp4": {"label": "REAL"}, "bbbbbbbbbb.mp4": {"label": "FAKE", "original": "aaaaaaaaaa.mp4"}}
DFDC = {f"{PART}/metadata.json": json.dumps(META).encode(), f"{PART}/aaaaaaaaaa.mp4": b"a"}

FINDINGS = [
    ("Celeb-DF-v2", _celeb("1 YouTube-real/00001.mp4\n", "YouTube-real/00001.mp4"), []),
    ("Celeb-DF-v2", _celeb(f"1 {REAL}\n0 {FAKE}\n", REAL),
     [("listed but not on disk", LIST, (FAKE,))]),
    ("Celeb-DF-v2", _celeb(f"1 {REAL}\n"),
     [("listed but not on disk", LIST, (REAL,))]),
    ("Celeb-DF-v2", _celeb(f"0 {FAKE}\n", FAKE),
     [("real not on disk", "fakes whose real in Celeb-DF-v2 is absent", (FAKE,))]),
    ("Celeb-DF-v2", _celeb(f"0 {REAL}\n", REAL, "YouTube-real/00001.mp4"),
     [("label file contradicts the tree", "tests.label is not what rule 'Celeb-real' takes",
       (f"{REAL} (tests.label is 'fake', which rule 'Celeb-real' does not take)",))]),
    ("Celeb-DF-v2", _celeb(f"7 {REAL}\n", REAL, "YouTube-real/00001.mp4"),
     [("no label", "bad label value", (f"{REAL} (bad label value '7' at List_of_testing_videos.txt:1)",))]),
    ("Celeb-DF-v2", _celeb(f"1 {REAL}\n", REAL, "Celeb-real/x.mp4", "odd.bin"),
     [("in no rule", "no rule", ("Celeb-real/x.mp4", "odd.bin"))]),
    ("Celeb-DF-v2", {**_celeb(f"1 {REAL}\n"), REAL: b""},
     [("empty file", "no bytes: was the download cut?", (REAL,))]),
    # two versions mixed: the same clip in both forms of the layout
    ("Celeb-DF-v2", {**_celeb(f"1 {REAL}\n"), REAL: b"clip", "Celeb-real/videos/id0_0001.mp4": b"clip"},
     [("same file twice", "one size, start and end in two places", (f"{REAL} = Celeb-real/videos/id0_0001.mp4",))]),
    ("FaceForensics++", {CLIP: b"clip"},
     [("missing label file", "table 'splits' needs it",
       tuple(f"dataset/splits/{name}.json" for name in ("test", "train", "val")))]),
    ("FaceForensics++", {CLIP: b"clip", CLIP.replace("071", "200"): b"other", **LISTS},
     [("listed but not on disk", "table 'splits' lists it", ("054", "100", "101", "201"))]),
    # half downloaded: a part without its metadata, a clip that the part's own metadata does not know, one that is not there
    ("DFDC", {**DFDC, f"{PART}/cccccccccc.mp4": b"c", "dfdc_train_part_1/dddddddddd.mp4": b"d"},
     [("listed but not on disk", "table 'meta' lists it", (f"{PART}/bbbbbbbbbb.mp4",)),
      ("no label", "no row in table 'meta'", (f"{PART}/cccccccccc.mp4", "dfdc_train_part_1/dddddddddd.mp4"))]),
    # two releases in one folder
    ("DFDC", {**DFDC, f"{PART}/bbbbbbbbbb.mp4": b"b", "dataset.json": b"{}", "method_A/1/1_A/2_1_A_001.mp4": b"p"},
     [("in no rule", "fits DFDC Preview: are two datasets mixed?", ("dataset.json", "method_A/1/1_A/2_1_A_001.mp4"))]),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "files", "wanted"), FINDINGS)
def test_a_finding_is_told_with_its_files_and_nothing_else_is(
    dataset: str, files: Files, wanted: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    assert sorted(each for each in _told(checked(dataset, files)) if each[0] != "no media") == sorted(wanted)


@pytest.mark.parametrize(("content", "twice"), [(b"same", 1), (b"else", 0), (b"longer", 0)])
def test_a_folder_copied_under_another_method_is_found_by_content_not_by_name(content: bytes, twice: int) -> None:
    first, second = (f"manipulated_sequences/{name}/c23/videos/071_054.mp4" for name in ("Deepfakes", "FaceSwap"))
    found = checked("FaceForensics++", {CLIP: b"clip", first: b"same", second: content, **LISTS})
    told = [each.where for each in found.findings if each.check == "same file twice"]
    assert told == [(f"{first} = {second}",)] * twice


TWINS = [
    ((TWIN_BYTES, TWIN_BYTES), 1),
    ((TWIN_BYTES, TWIN_BYTES + 1), 0),
    ((TWIN_BYTES - 1, TWIN_BYTES - 1), 0),  # equal sizes are common among small files: only those of one name are read
]


@pytest.mark.parametrize(("sizes", "twice"), TWINS)
def test_a_large_file_under_a_second_name_is_found(sizes: tuple[int, int], twice: int) -> None:
    manifest = find_manifest("FFHQ")
    names = ["images1024x1024/00001.png", "images1024x1024/00002.png"]
    entries = [
        Entry(name, "media", None, size, "train", "real", None, "train", None, None, None)
        for name, size in zip(names, sizes, strict=True)
    ]
    disk = Disk(NOTHING.__getitem__, lambda path: b"piece", NOTHING.get)
    found = check(manifest, entries, disk, missing=[], ignored={})
    assert [each.where for each in found.findings] == [(" = ".join(names),)] * twice


MIXED = "are two datasets mixed?"
STRAYS = [
    ("FFHQ", "odd.bin", "no rule"),
    ("FFHQ", "images1024x1024/.DS_Store", "left behind by a file manager"),
    ("FFHQ", "images1024x1024/._00001.png", "left behind by a file manager"),
    ("FFHQ", "__MACOSX/images1024x1024/00001.png", "left behind by a file manager"),
    ("FFHQ", "images1024x1024/00001.png.crdownload", "looks like an unfinished download"),
    ("FFHQ", "images1024x1024/00001.png.PART", "looks like an unfinished download"),
    ("FFHQ", "images1024x1024/00001.png ", "the name begins or ends with a space"),
    ("FFHQ", "images1024x1024/00001.PNG", "there is a rule for it but for upper and lower case"),
    ("FaceForensics++", "manipulated_sequences/DeepFakes/c23/videos/000_003.mp4",
     "there is a rule for it but for upper and lower case"),
    ("CelebA", "CelebA/img_align_celeba/000001.jpg", "there would be a rule without the folder 'CelebA/' above it"),
    ("CelebA", "a/b/list_eval_partition.txt", "there would be a rule without the folder 'a/b/' above it"),
    ("CelebA", "a/b/c/d/e/f/list_eval_partition.txt",
     "there would be a rule without the folder 'a/b/c/d/e/f/' above it"),
    ("Celeb-DF-v2", "Celeb-DF-v1/Celeb-real/id0_0001.mp4", f"a file of Celeb-DF-v1: {MIXED}"),
    ("DFDC", "method_A/1/1_A/2_1_A_001.mp4", f"fits DFDC Preview: {MIXED}"),
    ("SiW", "SiW_release/Train/spoof/003/003-1-2-2-1.MOV", "there is a rule for it but for upper and lower case"),
    ("WildDeepfake", "real_train/1/REAL/2/3.png", "there is a rule for it but for upper and lower case"),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "path", "reason"), STRAYS)
def test_a_file_in_no_rule_is_told_why_where_its_name_says_so(dataset: str, path: str, reason: str) -> None:
    assert Strays(find_manifest(dataset)).reason(path) == reason


@given(path=st.text(min_size=1, max_size=60), dataset=st.sampled_from(sorted(bundled())))
def test_any_name_has_a_reason(path: str, dataset: str) -> None:
    assert Strays(find_manifest(dataset)).reason(path)


def test_there_is_advice_for_every_kind_of_finding() -> None:
    assert set(ADVICE) == set(get_args(FindingKind))


def test_refused_entries_are_findings() -> None:
    image = {"images1024x1024/00000.png": b"1"}
    assert _told(checked("FFHQ", image, None, "a", "b")) == [("refused", "link to nothing", ("a", "b"))]


def test_a_dataset_without_a_medium_is_a_finding_with_what_lies_there() -> None:
    found = checked("FFHQ", {"a/1.txt": b"1", "b/2.txt": b"2"})
    assert not found.clean and ("no media", "nothing in its folder is a medium", ("a", "b")) in _told(found)
    assert ("no media", "nothing in its folder is a medium", (".",)) in _told(checked("FFHQ", {}))


def test_a_dataset_with_every_expected_medium_is_clean() -> None:
    files = {f"images1024x1024/{number:05d}.png": str(number).encode() for number in range(70000)}
    found = checked("FFHQ", files)
    assert found.clean and [each.found for each in found.compared] == [70000, 60000, 10000]


def test_the_difference_has_a_sign_and_each_compression_is_compared_by_itself() -> None:
    clips = [f"original_sequences/youtube/c23/videos/{clip:03d}.mp4" for clip in range(998)]
    found = checked("FaceForensics++", {**dict.fromkeys(clips, b""), CLIP.replace("c23", "c40"): b""})
    youtube = [each for each in found.compared if each.rule == "youtube" and each.split is None]
    assert [(each.compression, each.found, each.difference) for each in youtube] == [("c23", 998, -2), ("c40", 1, -999)]
    assert {"rule", "label", "method", "split", "compression", "found", "expected"} < set(asdict(youtube[0]))


def test_more_media_than_the_official_release_is_a_difference() -> None:
    clips = [f"YouTube-real/{clip:05d}.mp4" for clip in range(301)]
    found = checked("Celeb-DF-v2", {clip: b"" for clip in clips})
    assert [each.difference for each in found.compared if each.rule == "YouTube-real"] == [1]


def test_counts_add_up_to_the_media() -> None:
    found = checked("Celeb-DF-v2", _celeb(f"1 {REAL}\n", REAL, FAKE, "YouTube-real/00001.mp4"))
    assert sum(count for _, count in found.counts) == 3
    assert {(place.rule, place.split): count for place, count in found.counts} == {
        ("Celeb-real", "test"): 1, ("Celeb-synthesis", None): 1, ("YouTube-real", None): 1,
    }  # fmt: skip


def test_known_defects_and_sidecars_are_told_and_are_no_findings() -> None:
    found = checked("Celeb-DF-v2", _celeb(f"1 {REAL}\n", "Celeb-real/frames/1.png", REAL))
    assert found.ignored == {"*/frames/**": 1} and not found.findings
    assert found.known_defects == find_manifest("Celeb-DF-v2").known_defects != ()


EMPTY = ["RDDM/ff/071", "e4e/ff/003", "DF40_train/StyleGAN2/440", "fomm/ff/frames/071"]


def test_an_empty_folder_is_a_finding_unless_it_is_empty_in_the_official_release() -> None:
    manifest = find_manifest("DF40")
    disk = Disk(NOTHING.__getitem__, NOTHING.__getitem__, NOTHING.get)
    found = check(manifest, [], disk, missing=[], ignored={}, empty=EMPTY)
    assert _told(found)[1:] == [("empty folder", "nothing in it: was the download cut?", ("fomm/ff/frames/071",))]
    assert found.known_defects[: len(manifest.known_defects)] == manifest.known_defects
    (told,) = found.known_defects[len(manifest.known_defects) :]
    assert told == f"empty folders here: 3 ({', '.join(EMPTY[:3])})"
    assert check(manifest, [], disk, missing=[], ignored={}).known_defects == manifest.known_defects


ABROAD = """\
name: Abroad
slug: abroad
year: 2024
folders: [Abroad]
summary: fakes whose reals are another dataset's
access: none
citation: none
licence: {id: other, name: none, url: "https://example.org", redistributable: false}
verified: true
type_basis: stated
fields: {number: '\\d{5}'}
rules:
  - id: fake
    path: "{number}.png"
    label: fake
    method: FaceSwap
    pair: {dataset: FFHQ, media: "images1024x1024/{number}.png"}
"""


@pytest.mark.parametrize(
    ("others", "wanted"),
    [
        ({}, [("fakes of reals in FFHQ, which is not indexed", ("00001.png", "00002.png"))]),
        ({"FFHQ": ["images1024x1024/00001.png"]}, [("fakes whose real in FFHQ is absent", ("00002.png",))]),
        ({"FFHQ": ["images1024x1024/00001.png", "images1024x1024/00002.png"]}, []),
    ],
)
def test_reals_in_another_dataset_are_looked_for_there(
    others: dict[str, list[str]], wanted: list[tuple[str, tuple[str, ...]]]
) -> None:
    manifest = load_manifest(ABROAD, "abroad.yaml")
    found = describe(manifest, ["00001.png", "00002.png"], NOTHING.__getitem__).media
    entries = [
        Entry(m.media, "media", None, 1 + n, m.rule, m.label, m.method, m.split, m.compression, m.pair_dataset, m.pair_media)
        for n, m in enumerate(found)
    ]
    disk = Disk(NOTHING.__getitem__, NOTHING.__getitem__, {name: frozenset(media) for name, media in others.items()}.get)
    told = check(manifest, entries, disk, missing=[], ignored={}).findings
    assert [(each.what, each.where) for each in told] == wanted


@pytest.mark.parametrize(
    ("entry", "message"),
    [("rule: fakes", "rule 'fakes': unknown; did you mean 'fake'?"), ("method: FaceSwop", "did you mean 'FaceSwap'?")],
)
def test_a_count_of_a_rule_or_method_that_is_none_is_an_error_with_its_line(entry: str, message: str) -> None:
    text = f"{ABROAD}expected:\n  - {{{entry}, count: 2}}\n"
    line = text.count("\n")
    with pytest.raises(ManifestError, match=rf"abroad\.yaml:{line}: ") as error:
        load_manifest(text, "abroad.yaml")
    assert message in str(error.value)


SPELLINGS = """
tables:
  list: {files: list.csv, key: ["{name}", "{name}.png"], values: {x: "{name}"}, unlisted: {x: null}}
"""


def test_of_two_spellings_of_a_key_the_one_that_the_copy_does_not_use_is_not_missed() -> None:
    text = ABROAD.replace("method: FaceSwap", 'method: FaceSwap\n    look_up: {list: "{number}.png"}') + SPELLINGS
    manifest = load_manifest(text, "abroad.yaml")
    files = {"00001.png": b"1", "list.csv": b"name\n00001\n00002\n"}
    found = describe(manifest, files, files.__getitem__)
    (medium,) = found.media
    entries = [_entry("list.csv", "label file", None, 1)]
    entries.append(Entry(medium.media, "media", None, 1, "fake", "fake", "FaceSwap", None, None, "FFHQ", medium.pair_media))
    disk = Disk(files.__getitem__, files.__getitem__, lambda name: {medium.pair_media or ""})
    told = check(manifest, entries, disk, missing=[], ignored={}).findings
    assert [(each.check, each.where) for each in told] == [("listed but not on disk", ("00002.png",))]


def test_a_table_that_lists_more_than_the_media_misses_no_file() -> None:
    rows = b"pristine/id00/id00_03/id00_scene_0010-0.mp4\naudio_shuffle/id00/x.mp4\n"
    found = checked("IDForge", {"main/pristine/id00/id00_03/id00_scene_0010-0.mp4": b"a", "train.csv": rows})
    assert not [each for each in found.findings if each.check == "listed but not on disk"]
