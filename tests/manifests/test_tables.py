"""Label files: three forms, and what is said of broken ones."""

from __future__ import annotations

import pytest

from mmidd.errors import ManifestError
from mmidd.manifest import tables
from mmidd.manifest.layout import compile_pattern, compile_template
from mmidd.manifest.tables import BadValue, Table, TableColumn, TableSpec, read_table

from .trees import account


def _read(path: str, data: str | bytes, **more: object) -> Table:
    keys = {"json": "{id}", "csv": "{id}", "txt": "{0}"}
    value = {"json": "{label}", "csv": "{label}", "txt": "{1}"}
    form = path.rpartition(".")[2]
    settings: dict[str, object] = {
        "name": "t",
        "files": (compile_pattern(path, {}),),
        "rows": "list",
        "at": (),
        "header": True,
        "columns_in_line": None,
        "keys": (compile_template(keys[form]),),
        "columns": {"label": TableColumn(compile_template(value[form]), {"0": "real", "1": "fake"}, False)},
        "required": False,
        "unlisted": None,
    }
    spec = TableSpec(**(settings | more))  # type: ignore[arg-type]
    return read_table(spec, [path], lambda _: data.encode() if isinstance(data, str) else data)


READ = [
    ("a.json", '[{"id": "x", "label": 0}, {"id": "y", "label": "1"}]'),
    ("a.csv", "id,label\nx,0\ny,1\n"),
    ("a.csv", "\ufeffid,label\r\nx,0\r\n\r\ny,1\r\n"),
    ("a.csv", 'id,label\n"x",0\n"y", 1 \n'),
    ("a.txt", "x 0\ny 1\n"),
    ("a.txt", "\ufeffx\t0\r\n\r\ny   1   \r\n"),
]


@pytest.mark.parametrize(("path", "data"), READ)
def test_the_three_forms_give_the_same_rows(path: str, data: str) -> None:
    assert dict(_read(path, data).rows) == {"x": ("real",), "y": ("fake",)}


def test_a_json_object_is_rows_by_key_with_plain_or_named_members() -> None:
    keys = (compile_template("{key}"),)
    plain = {"label": TableColumn(compile_template("{value}"), None, False)}
    nested = _read("a.json", '{"data": {"x": true, "y": null}}', rows="object", at=("data",), keys=keys, columns=plain)
    assert dict(nested.rows) == {"x": ("true",), "y": (None,)}
    named = _read("a.json", '{"x": {"label": "0", "more": [1]}}', rows="object", keys=keys)
    assert dict(named.rows) == {"x": ("real",)}


def test_an_optional_column_may_be_absent_and_others_may_not() -> None:
    column = TableColumn(compile_template("{original}"), None, True)
    assert dict(_read("a.json", '[{"id": "x"}]', columns={"original": column}).rows) == {"x": (None,)}


def test_a_value_outside_the_list_is_kept_as_bad_with_its_place() -> None:
    assert _read("a.csv", "id,label\nx,REAL\n").rows["x"] == (BadValue("REAL", "a.csv:2"),)


BROKEN: list[tuple[str, str | bytes, str]] = [
    ("a.json", "[1, 2", "a.json:1:6: broken JSON"),
    ("a.json", '[\n{"id": "x",}]', "a.json:2:12: broken JSON"),
    ("a.json", "", "a.json:1:1: broken JSON"),
    ("a.json", "[" * 200_000, "nested too deep"),
    ("a.json", '{"id": 1}', "expected a JSON list, found an object"),
    ("a.json", "3", "expected a JSON list, found a plain value"),
    ("a.json", '[{"id": "x"}]', "a.json: item 0: no 'label' here (table 't'); has id"),
    ("a.json", "[7]", "item 0: no 'id' here"),
    ("a.json", '[{"id": "x", "id": "y", "label": 1}]', "'id' stands twice in one JSON object"),
    ("a.json", '[{"id": "x", "label": 0}, {"id": "x", "label": 1}]', "item 1: 'x' says other things"),
    ("a.json", b"\xff\xfe[", "not UTF-8 text at byte 0"),
    ("a.csv", "id,label\nx\n", "a.csv:2: 1 columns where the header has 2"),
    ("a.csv", 'id,label\n"x,0\n', "a.csv:2: broken CSV"),
    ("a.csv", "name,label\nx,0\n", "a.csv:2: no 'id' here"),
    ("a.csv", "id,label\n" + "x" * 200_000 + ",0\n", "a.csv:2: broken CSV"),
    ("a.csv", "id,label\nx,0\nx,1\n", "a.csv:3: 'x' says other things"),
    ("a.csv", "," * 5000, "5001 columns"),
    ("a.txt", "x\n", "a.txt:1: no '1' here"),
]


@pytest.mark.parametrize(("path", "data", "message"), BROKEN)
def test_a_broken_label_file_is_an_error_with_place_and_cause(path: str, data: str | bytes, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        _read(path, data)
    assert message in str(caught.value)
    assert str(caught.value).startswith(path)


def test_a_line_of_too_few_columns_is_an_error_with_its_number() -> None:
    with pytest.raises(ManifestError, match=r"identity_CelebA\.txt:2: 1 columns, expected 2"):
        account("celeba", [], {"identity_CelebA.txt": "000001.jpg 2880\n000002.jpg\n"})


def test_a_label_file_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_LABEL_BYTES", 10)
    with pytest.raises(ManifestError, match=r"a\.txt: a label file of 11 bytes; at most 10"):
        _read("a.txt", "x 0\ny 1\nz 0")


def test_two_lists_that_put_one_clip_in_two_splits_are_an_error_that_names_both() -> None:
    labels: dict[str, str | bytes] = {
        "dataset/splits/train.json": '[["000", "003"]]',
        "dataset/splits/test.json": '[["003", "007"]]',
    }
    with pytest.raises(ManifestError) as caught:
        account("ff++", [], labels)
    assert "dataset/splits/train.json: item 0: '003' says other things than in dataset/splits/test.json" in str(caught.value)


def test_the_same_list_in_two_places_is_no_contradiction() -> None:
    text = '[["000", "003"]]'
    paths = ["original_sequences/youtube/c23/videos/003.mp4"]
    result = account("ff++", paths, {"train.json": text, "dataset/splits/train.json": text})
    assert result.media[0].split == "train"
    assert result.label_files == ["dataset/splits/train.json", "train.json"]


def test_a_bad_label_value_leaves_its_medium_unmatched_with_the_place() -> None:
    result = account("dfdc", ["test/aaaaaaaaaa.mp4"], {"test/labels.csv": "filename,label\naaaaaaaaaa.mp4,maybe\n"})
    assert result.unmatched == [("test/aaaaaaaaaa.mp4", "bad label value 'maybe' at test/labels.csv:2")]
