"""A label file is taken for what it is: whole, short, cut, of another encoding, or nothing of the dataset at all."""

from __future__ import annotations

import hashlib
import json

import pytest

from mmidd.errors import ManifestError
from mmidd.manifest import Accounting, load_manifest
from mmidd.manifest.lists import Listed

from .trees import CELEB, account, whole

CELEB_LIST = "List_of_testing_videos.txt"
TEST_REAL, TEST_FAKE = "Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id1_0000.mp4"
TRAIN = "Celeb-real/id1_0000.mp4"
CLIPS = [TEST_REAL, TEST_FAKE, TRAIN]
ROWS = f"1 {TEST_REAL}\n0 {TEST_FAKE}\n"
FF = [f"original_sequences/youtube/c23/videos/{number:03d}.mp4" for number in range(20)]
PAIRS = {"train": [[f"{i:03d}", f"{i + 1:03d}"] for i in range(0, 14, 2)], "val": [["014", "017"]], "test": [["019", "015"]]}
PHOTOS = [f"img_align_celeba/{number:06d}.jpg" for number in range(1, 4)]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab\nsize 12345\n"
QUOTA = (
    '<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head>\n<body><p class="a">Sorry, '
    "you can't view or download this file at this time.</p>\n</body> </html>\n"
)


def _splits(result: Accounting) -> dict[str, str | None]:
    return {medium.media: medium.split for medium in result.media}


def _ff(**lists: str) -> dict[str, str | bytes]:
    texts = {name: json.dumps(pairs) for name, pairs in PAIRS.items()} | lists
    return {f"dataset/splits/{name}.json": text for name, text in texts.items()}


NOTHING: list[tuple[str, list[str], dict[str, str | bytes], str]] = [
    ("Celeb-DF-v2", CLIPS, {CELEB_LIST: ""}, f"{CELEB_LIST}: has no rows"),
    ("Celeb-DF-v2", CLIPS, {CELEB_LIST: "\n\n"}, f"{CELEB_LIST}: has no rows"),
    ("Celeb-DF-v2", CLIPS, {CELEB_LIST: POINTER}, f"{CELEB_LIST}: names nothing of this dataset in its 3 rows"),
    ("Celeb-DF-v2", CLIPS, {CELEB_LIST: QUOTA}, f"{CELEB_LIST}: names nothing of this dataset"),
    (
        "Celeb-DF-v2",
        CLIPS,
        {CELEB_LIST: whole("", ("1 Celeb-DF-v2/Celeb-real/id0_{:04d}.mp4\n", 518))},
        "names nothing of this",
    ),
    ("Celeb-DF-v1", CLIPS, {CELEB_LIST: "1 Celeb-real/id9_0009.mp4\n"}, f"{CELEB_LIST}: none of the 1 rows names a medium"),
    (
        "Celeb-DF-v2",
        CLIPS,
        {CELEB_LIST: ROWS + "1 Celeb-real/id1_00"},
        f"{CELEB_LIST}: ends within a line (row 3)",
    ),
    ("FaceForensics++", FF, _ff(test="[]"), "dataset/splits/test.json: has no rows"),
    ("FaceForensics++", FF, _ff(test="[[19, 15]]"), "dataset/splits/test.json: names nothing of this dataset in its 1 rows"),
    # the last person is cut, too
    ("CelebA", PHOTOS, {"identity_CelebA.txt": "000001.jpg 2880\n000002.jpg 28"}, "identity_CelebA.txt: ends within a line"),
    (
        "CelebA",
        PHOTOS,
        {"identity_CelebA.txt": QUOTA},
        "identity_CelebA.txt: names nothing of this dataset in its 3 rows (it is a web page)",
    ),
    ("CelebA", PHOTOS, {"list_eval_partition.txt": "1.jpg 0\n2.jpg 1\n"}, "list_eval_partition.txt: names nothing of this"),
    ("CelebA", PHOTOS, {"list_eval_partition.csv": "image_id,partition\n"}, "list_eval_partition.csv: has no rows"),
]


@pytest.mark.parametrize(("dataset", "paths", "labels", "message"), NOTHING)
def test_a_list_that_names_nothing_of_the_dataset_is_an_error_where_unlisted_media_would_be_believed_by_it(
    dataset: str, paths: list[str], labels: dict[str, str | bytes], message: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        account(dataset, paths, labels)
    assert message in str(caught.value)
    assert "ownload it again" in str(caught.value)


def test_such_a_list_stops_nothing_where_no_medium_asks_it() -> None:
    actors = ["original_sequences/actors/c23/videos/01__kitchen.mp4"]
    assert [medium.split for medium in account("FaceForensics++", actors, _ff(test="[]")).media] == [None]


def test_a_whole_list_is_believed_also_where_few_or_none_of_its_media_are_here() -> None:
    for paths, here in ((CLIPS, 2), ([TRAIN], 0)):
        result = account("Celeb-DF-v2", paths, {CELEB_LIST: whole(ROWS)})
        assert _splits(result) == {path: "train" if path == TRAIN else "test" for path in paths}
        (listed,) = result.lists
        assert (listed.rows, listed.here, listed.expected, listed.partial, listed.sound) == (518, here, 518, False, True)
        assert not result.partial_rules


SHORT = [
    ROWS,
    ROWS + "\n",
    ROWS.rstrip("\n"),
    # as long as the official list, by rows that stand twice, or that can name nothing
    ROWS + ROWS.splitlines(keepends=True)[0] * 600,
    ROWS + "".join(f"1 row{number}\n" for number in range(600)),
]


@pytest.mark.parametrize("text", SHORT)
def test_what_a_short_list_does_not_name_is_not_silently_for_training(text: str) -> None:
    result = account("Celeb-DF-v2", CLIPS, {CELEB_LIST: text})
    assert _splits(result) == {TEST_REAL: "test", TEST_FAKE: "test", TRAIN: None}
    rules = ["Celeb-real", "YouTube-real", "Celeb-synthesis"]
    assert result.partial_rules == [*rules, *(f"{rule}-frames" for rule in rules)]
    assert "no split is official by it" in str(result.lists[0])


def test_a_list_that_leaves_media_out_which_it_should_name_is_not_whole() -> None:
    named = account("CelebA", PHOTOS, {"list_eval_partition.txt": "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n"})
    assert not named.partial_rules and named.lists[0].sound
    cut = account("CelebA", PHOTOS, {"list_eval_partition.txt": "000001.jpg 0\n000002.jpg 1\n"})
    assert cut.partial_rules == ["aligned"]
    assert (cut.lists[0].unnamed, cut.lists[0].sound) == (1, False)


def test_ids_that_a_spreadsheet_made_numbers_of_leave_a_list_not_whole() -> None:
    result = account("FaceForensics++", FF, _ff(val='[["014", 17], ["016", "018"]]'))
    assert [each.strange for each in result.lists if each.path.endswith("val.json")] == [1]
    assert {"youtube", "fakes"} <= set(result.partial_rules)


SPELLINGS = [
    ROWS.replace("/", "\\"),
    ROWS.replace("Celeb", "./Celeb", 1).replace(" Celeb-synth", " ./Celeb-synth"),
    ROWS.replace("Celeb-", ".\\Celeb-").replace("/", "\\"),
    f'1 "{TEST_REAL}"\r\n0 "{TEST_FAKE}"  \r\n',
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_names_in_the_spelling_of_other_tools_are_read_and_told(text: str) -> None:
    result = account("Celeb-DF-v2", CLIPS, {CELEB_LIST: whole(text)})
    assert _splits(result) == {TEST_REAL: "test", TEST_FAKE: "test", TRAIN: "train"}
    (note,) = result.lists[0].notes
    assert note.startswith("2 names read as paths, without backslashes, ./ or quotes, the first ")


ENCODED = [
    (whole(ROWS).encode("utf-16"), "read as UTF-16"),
    (whole(ROWS).encode("utf-16-be"), "read as UTF-16, which nothing in it says"),
    (whole(ROWS).encode("utf-16-le"), "read as UTF-16, which nothing in it says"),
    (whole(ROWS).encode("utf-8-sig"), None),
]


@pytest.mark.parametrize(("data", "note"), ENCODED)
def test_a_list_in_utf_16_is_read_and_told(data: bytes, note: str | None) -> None:
    result = account("Celeb-DF-v2", CLIPS, {CELEB_LIST: data})
    assert _splits(result) == {TEST_REAL: "test", TEST_FAKE: "test", TRAIN: "train"}
    assert result.lists[0].notes == ((note,) if note else ())
    assert result.lists[0].sha256 == hashlib.sha256(data).hexdigest()


KOREAN = "변조영상_training_메타데이터.csv"
HEAD = "영상ID,타겟영상,타겟UUID,소스UUID,변조모델"
ROW = "fake_1,real_1,7,8,fsgan"
FAKE = "1.Training/x/fake_1.mp4"
EXCEL = [
    (f"{HEAD}\r\n{ROW}\r\n".encode("cp949"), "read as CP949"),
    (f"{HEAD}\n{ROW}\n".encode("utf-16"), "read as UTF-16"),
    (f"{HEAD}\n{ROW}\n".encode("utf-16-le"), "read as UTF-16, which nothing in it says"),
    (f"{HEAD}\r\n{ROW}\r\n".replace(",", ";").encode("utf-8-sig"), "read with ; between columns"),
    (f"sep=;\r\n{HEAD}\r\n{ROW}\r\n".replace(",", ";").encode(), "read with ; between columns"),
    (f"{HEAD}\n{ROW}\n".replace(",", "\t").encode(), "read with tabs between columns"),
    (f'{HEAD}\n"fake_1","real_1",7,"8","fsgan"\n'.encode(), None),
]


@pytest.mark.parametrize(("data", "note"), EXCEL)
def test_a_table_that_excel_saved_is_read_where_its_columns_say_how(data: bytes, note: str | None) -> None:
    result = account("KoDF", [FAKE], {KOREAN: data})
    assert [(medium.method, medium.source_id) for medium in result.media] == [("FSGAN", "8")]
    assert result.lists[0].notes == ((note,) if note else ())


def test_an_encoding_that_nothing_in_the_file_settles_is_an_error_that_says_what_to_do() -> None:
    text = "000001.jpg 김\n".encode("cp949")
    with pytest.raises(ManifestError, match="not UTF-8 text at byte 11; if it was saved in another encoding"):
        account("CelebA", PHOTOS, {"identity_CelebA.txt": text})


def test_not_a_number_is_no_identity() -> None:
    result = account("CelebA", PHOTOS, {"identity_CelebA.txt": "000001.jpg nan\n000002.jpg NaN\n000003.jpg 7\n"})
    assert [medium.target_id for medium in result.media] == [None, None, "7"]


def test_a_label_with_blanks_around_it_is_read_and_one_outside_the_vocabulary_is_lost_and_counted() -> None:
    meta = {"aaaaaaaaaa.mp4": {"label": "FAKE "}, "bbbbbbbbbb.mp4": {"label": "fake"}, "cccccccccc.mp4": {"label": 1}}
    part = "dfdc_train_part_0"
    result = account("DFDC", [f"{part}/{name}" for name in meta], {f"{part}/metadata.json": json.dumps(meta)})
    assert [(medium.media, medium.label) for medium in result.media] == [(f"{part}/aaaaaaaaaa.mp4", "fake")]
    assert result.unlabelled == {f"{part}/bbbbbbbbbb.mp4", f"{part}/cccccccccc.mp4"}


def test_two_tables_that_contradict_each_other_label_nothing() -> None:
    clip, other = "test/aaaaaaaaaa.mp4", "test/bbbbbbbbbb.mp4"
    labels: dict[str, str | bytes] = {
        "test/metadata.json": '{"aaaaaaaaaa.mp4": {"is_fake": 0}, "bbbbbbbbbb.mp4": {"is_fake": 1}}',
        "test/labels.csv": "filename,label\naaaaaaaaaa.mp4,1\nbbbbbbbbbb.mp4,1\n",
    }
    result = account("DFDC", [clip, other], labels)
    assert [(medium.media, medium.label) for medium in result.media] == [(other, "fake")]
    assert result.unmatched == [
        (
            clip,
            "two label files contradict each other: label is 'real' by rule 'test-real' (table test_meta), 'fake' by rule "
            "'held-out-fake' (table labels)",
        )
    ]
    assert result.unlabelled == {clip}


def test_a_clip_that_one_table_calls_an_original_and_another_a_fake_is_labelled_by_neither() -> None:
    originals = "영상ID,UUID\nfake_1,7\n"
    labels: dict[str, str | bytes] = {KOREAN: f"{HEAD}\n{ROW}\n", "원본영상_training_메타데이터.csv": originals}
    result = account("KoDF", [FAKE], labels)
    assert not result.media and result.unlabelled == {FAKE}


def test_media_without_a_label_are_told_apart_from_files_that_no_rule_takes() -> None:
    fake = "FakeVideo-RealAudio/African/men/id00076/00109_1.mp4"
    real = "RealVideo-RealAudio/African/men/id00076/00109.mp4"
    for labels in (
        {},
        {"meta_data.csv": ""},
        {"meta_data.csv": "source,target1,target2,method,category,type,race,gender,path,\n"},
    ):
        result = account("FakeAVCeleb", [fake, real, "odd.bin"], dict[str, str | bytes](labels))
        assert [medium.media for medium in result.media] == [real]
        assert result.unlabelled == {fake}


def test_what_came_of_a_label_file_survives_a_commit() -> None:
    (listed,) = account("Celeb-DF-v2", CLIPS, {CELEB_LIST: ROWS.replace("/", "\\")}).lists
    assert Listed.of(json.loads(json.dumps({**vars(listed)}))) == listed


def test_a_manifest_says_how_many_rows_a_list_has_and_only_of_files_that_are_its_own() -> None:
    text = """
name: X
slug: x
year: 2020
folders: x
summary: x
access: x
citation: x
licence: {id: x, name: x, url: x, redistributable: false}
verified: true
type_basis: stated
fields: {clip: '[a-z]+'}
tables:
  t: {files: a.txt, key: "{0}", values: {split: test}, unlisted: {split: train}, expects: {FILE: 2}}
rules:
  - {id: r, path: "{clip}.mp4", label: real, look_up: {t: "{clip}"}, split: "{t.split}"}
"""
    assert load_manifest(text.replace("FILE", "a.txt"), "x.yaml").layout.tables[0].expects == {"a.txt": 2}
    with pytest.raises(ManifestError, match=r"x\.yaml:14: 'b\.txt' is none of the table's files"):
        load_manifest(text.replace("FILE", "b.txt"), "x.yaml")


def test_the_official_test_list_is_as_long_as_the_manifest_says() -> None:
    assert len(whole(ROWS, CELEB).splitlines()) == 518
