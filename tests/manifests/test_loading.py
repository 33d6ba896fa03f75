"""Loading manifests and the registry: what is refused, with line and way out; names, digests, types."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from mmidd.errors import ManifestError
from mmidd.manifest import bundled, describe, find_manifest, load_manifest
from mmidd.manifest import format as manifests
from mmidd.manifest.methods import UnknownMethod, load_methods, registry
from mmidd.schema import ATTACKS

NOTHING: dict[str, Any] = {}

MINIMAL = """\
name: Made up
slug: made_up
year: 2020
folders: [made]
summary: s
access: a
citation: c
licence: {id: other, name: L, url: u, redistributable: false}
verified: true
type_basis: stated
compressions: [c23]
fields:
  id: '\\d{3}'
  method: [Deepfakes, Face2Face]
  split: [train, val]
tables:
  lists:
    files: "{split}.json"
    key: "{0}"
    values: {split: "{split}", label: {from: "{1}", as: {"1": real}}}
rules:
  - id: r
    path: "real/{id}.mp4"
    label: real
    look_up: {lists: "{id}"}
    split: "{lists.split}"
  - id: f
    path: "{method}/{id}.mp4"
    label: fake
    method: "{method}"
    pair: "real/{id}.mp4"
"""


def test_the_worked_example_of_the_guide_is_what_it_says() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "manifests.md").read_text(encoding="utf-8")
    manifest = load_manifest(guide.split("```yaml\n")[1].split("```")[0], "docs/manifests.md")
    labels = {"lists/test.csv": b"clip,class,donor\n0007,FAKE,p3\n0008,REAL,\n0009,???,\n"}
    paths = [
        *(f"clips/{name}.avi" for name in ("0007", "0008", "0009", "0010")),
        "clips/0007_mask.avi",
        "lists/test.csv",
    ]
    result = describe(manifest, paths, labels.__getitem__)
    assert [(m.media, m.label, m.forgery_type, m.source_id, m.split) for m in result.media] == [
        ("clips/0007.avi", "fake", "FS", "p3", "test"),
        ("clips/0008.avi", "real", "REAL", None, "test"),
    ]
    assert result.ignored == {"clips/*_mask.avi": 1}
    assert result.unmatched == [
        ("clips/0009.avi", "bad label value '???' at lists/test.csv:4"),
        ("clips/0010.avi", "no row in table 'clips'"),
    ]
    assert result.missing_label_files == ["clips: lists/train.csv"]


REFUSED = [
    ("slug: made_up", "slug: Made-Up", "m.yaml:2: key 'slug'"),
    ("summary: s", "sumary: s", "m.yaml:5: key 'sumary': unknown; did you mean 'summary'?"),
    ("    label: fake", "    lable: fake", "key 'lable': unknown; did you mean 'label'?"),
    ("year: 2020", "year: '2020'", "m.yaml:3: key 'year'"),
    ("verified: true", "verified: yes", "m.yaml:9: key 'verified'"),
    ("verified: true", "verified: false", "m.yaml:9: 'verified: false' needs a 'verified_note'"),
    ("label: real\n", "label: REAL\n", "m.yaml:24: key 'rules[0].label'"),
    ("  id: '\\d{3}'", "  id: '.*'", "m.yaml:13: field 'id'"),
    ("[Deepfakes, Face2Face]", "[Deepfakes, Face2Fac]", "method 'Face2Fac': unknown; did you mean 'Face2Face'?"),
    ('path: "real/{id}.mp4"', 'path: "real/{idd}.mp4"', "m.yaml:23: no field 'idd'"),
    ('path: "real/{id}.mp4"', 'path: "real/{id}.xyz"', "m.yaml:23: 'real/{id}.xyz' ends in no known suffix"),
    ('path: "real/{id}.mp4"', 'path: "../{id}.mp4"', "m.yaml:23: '../{id}.mp4' is no plain relative path"),
    ("  - id: f", "  - id: r", "m.yaml:27: rule 'r' is there twice"),
    ('look_up: {lists: "{id}"}', 'look_up: {list: "{id}"}', "table 'list': unknown; did you mean 'lists'?"),
    ('split: "{lists.split}"', 'split: "{lists.spit}"', "value 'lists.spit': unknown; did you mean 'lists.split'?"),
    ('    method: "{method}"\n', "", "a fake needs a 'method'"),
    ("    label: real\n", "    label: real\n    method: Deepfakes\n", "a real has no 'method'"),
    (
        "    label: real\n",
        "    label: real\n    compression: c40\n",
        "compression 'c40': unknown; known: c23",
    ),
    ("    label: real\n", "    label: real\n    where: {lists.label: [fake]}\n", "'lists.label' is never 'fake'"),
    ("type_basis: stated", "type_basis: dataset", "'type_basis: dataset' and 'forgery_type' go together"),
    ('files: "{split}.json"', "files: []", "key 'tables.lists.files'"),
    ("folders: [made]", 'folders: ["a\\0b"]', "m.yaml:4: key 'folders[0]': a control character"),
    ("folders: [made]", "folders: [a/b]", "m.yaml:4: key 'folders[0]': no folder can have this name"),
    ("citation: c", 'citation: "\\e[31mred"', "key 'citation': a control character"),
    ("folders: [made]", "folders: []", "m.yaml:4: key 'folders'"),
    ('files: "{split}.json"', 'files: "{split}.xml"', "a label file is .json, .csv or .txt"),
    ('key: "{0}"', 'key: "{0"', "a brace is not closed"),
    ('    key: "{0}"', '    unlisted: {spit: a}\n    key: "{0}"', "column 'spit': unknown; did you mean 'split'?"),
    ('    key: "{0}"', '    bundled: {x.json: y.json}\n    key: "{0}"', "'x.json' is none of the table's files"),
    ('    key: "{0}"', '    bundled: {val.json: no.json}\n    key: "{0}"', "does not ship with mmidd"),
]


@pytest.mark.parametrize(("old", "new", "message"), REFUSED)
def test_a_broken_manifest_is_an_error_with_its_line(old: str, new: str, message: str) -> None:
    assert old in MINIMAL
    with pytest.raises(ManifestError) as caught:
        load_manifest(MINIMAL.replace(old, new, 1), "m.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("m.yaml:")


def test_a_split_that_is_none_is_refused_on_loading_or_leaves_the_medium_unmatched() -> None:
    with pytest.raises(ManifestError, match="split 'holdout': unknown"):
        load_manifest(MINIMAL.replace('split: "{lists.split}"', "split: holdout"), "m.yaml")
    manifest = load_manifest(MINIMAL.replace("[train, val]", "[train, holdout]"), "m.yaml")
    result = describe(manifest, ["real/001.mp4", "holdout.json"], lambda path: b'[["001", "1"]]')
    assert result.unmatched == [("real/001.mp4", "bad split value 'holdout'")]


def test_a_list_that_ships_with_the_manifest_stands_in_only_where_the_dataset_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manifests, "_resource", {"made.json": b'[["001", "1"]]'}.__getitem__)
    text = MINIMAL.replace('    key: "{0}"', '    bundled: {val.json: made.json}\n    unlisted: {}\n    key: "{0}"')
    manifest = load_manifest(text, "m.yaml")
    assert describe(manifest, ["real/001.mp4"], NOTHING.__getitem__).media[0].split == "validation"
    own = describe(manifest, ["real/001.mp4", "train.json"], {"train.json": b'[["001", "1"]]'}.__getitem__)
    assert own.media[0].split == "train"
    assert own.label_files == ["train.json"]
    monkeypatch.setattr(manifests, "_resource", {"made.json": b'[["002", "1"]]'}.__getitem__)
    assert load_manifest(text, "m.yaml").digest != manifest.digest


def test_types_of_fakes_whose_method_nobody_published() -> None:
    text = MINIMAL.replace('    method: "{method}"\n', "")
    for basis, forgery_type in (("unknown", None), ("dataset", "FS")):
        stated = f"type_basis: {basis}\n" + (f"forgery_type: {forgery_type}" if forgery_type else "")
        manifest = load_manifest(text.replace("type_basis: stated", stated), "m.yaml")
        medium = describe(manifest, ["Deepfakes/001.mp4"], NOTHING.__getitem__).media[0]
        assert (medium.method, medium.forgery_type) == ("unknown", forgery_type)


def test_a_method_may_come_from_a_label_file_and_an_unknown_one_is_told_rather_than_a_condition() -> None:
    head, tail = (
        MINIMAL.split("tables:")[0],
        """\
tables:
  lists:
    files: "{split}.json"
    rows: object
    key: "{key}"
    values: {label: {from: "{label}", as: {R: real, F: fake}}, method: {from: "{method}", optional: true}}
rules:
  - {id: r, path: "x/{id}.mp4", label: real, look_up: {lists: "{id}"}, where: {lists.label: real}}
  - id: f
    path: "x/{id}.mp4"
    label: fake
    method: "{lists.method}"
    look_up: {lists: "{id}"}
    where: {lists.label: fake}
""",
    )
    manifest = load_manifest(head + tail, "m.yaml")
    rows = b'{"001": {"label": "F", "method": "F2F"}, "002": {"label": "F", "method": "Zap"}, "003": {"label": "F"}}'
    result = describe(manifest, [*(f"x/00{i}.mp4" for i in (1, 2, 3)), "train.json"], lambda path: rows)
    assert [(medium.method, medium.forgery_type) for medium in result.media] == [("Face2Face", "FR")]
    assert result.unmatched == [("x/002.mp4", "unknown method 'Zap'"), ("x/003.mp4", "no method given")]


def test_a_pair_may_lie_in_another_dataset() -> None:
    text = MINIMAL.replace('pair: "real/{id}.mp4"', 'pair: {dataset: VidTIMIT, media: "x/{id}.avi"}')
    medium = describe(load_manifest(text, "m.yaml"), ["Deepfakes/001.mp4"], NOTHING.__getitem__).media[0]
    assert (medium.pair_dataset, medium.pair_media, medium.aligned) == ("VidTIMIT", "x/001.avi", True)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("FaceForensics++", "FaceForensics++"),
        ("ff++", "FaceForensics++"),
        ("faceforensics", "FaceForensics++"),
        ("CELEBA", "CelebA"),
        ("dff", "DeepFakeFace"),
        ("celebdf_v2", "Celeb-DF-v2"),
    ],
)
def test_datasets_are_found_by_name_slug_or_folder(name: str, found: str) -> None:
    assert find_manifest(name).name == found


def test_an_unknown_dataset_names_the_nearest() -> None:
    with pytest.raises(ManifestError, match="dataset 'FaceForensic': unknown; did you mean 'FaceForensics\\+\\+'"):
        find_manifest("FaceForensic")


def test_the_seven_datasets_are_bundled_and_have_all_five_types_between_them() -> None:
    assert set(bundled()) >= {"FaceForensics++", "Celeb-DF-v2", "DFDC", "DeepFakeFace", "DFFD", "CelebA", "FFHQ"}
    types = {name for manifest in bundled().values() for name in manifest.types}
    assert types == {"REAL", "FS", "FR", "EFS", "FE", *ATTACKS} - {"other"}
    for manifest in bundled().values():
        assert manifest.verified or manifest.verified_note
        assert manifest.expected or not manifest.verified
        assert "-" not in manifest.slug


def test_the_digest_changes_with_labels_and_with_the_methods_used_and_with_nothing_else() -> None:
    first = load_manifest(MINIMAL, "m.yaml").digest
    assert load_manifest("# a remark\n" + MINIMAL, "other.yaml").digest == first
    assert load_manifest(MINIMAL.replace("method: [Deepfakes, Face2Face]", "method: [Deepfakes]"), "m").digest != first
    assert load_manifest(MINIMAL.replace("\\d{3}", "\\d{4}"), "m").digest != first


def test_a_manifest_travels_to_a_worker_process() -> None:
    for manifest in bundled().values():
        name = manifest.clip_of("a/b.mp4")  # what was asked for before travels along
        copy = pickle.loads(pickle.dumps(manifest))  # noqa: S301 - our own bytes
        assert copy.clip_of("a/b.mp4") == name
        assert copy.digest == manifest.digest
        assert copy.layout.rules == manifest.layout.rules


TYPES = {
    "FS": ["Deepfakes", "FaceSwap", "FaceShifter", "DeepFakeDetection", "Celeb-DF", "InsightFace"],
    "FR": ["Face2Face", "NeuralTextures"],
    "EFS": ["SD-1.5", "SD-Inpainting", "PGGAN", "StyleGAN"],
    "FE": ["FaceAPP", "StarGAN"],
}


def test_every_method_has_its_published_type() -> None:
    expected = {name: kind for kind, names in TYPES.items() for name in names}
    assert {name: registry().by_id[name].type for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "found"),
    [("face2face", "Face2Face"), ("F2F", "Face2Face"), ("pggan_V2", "PGGAN"), ("insight", "InsightFace")],
)
def test_methods_are_found_by_alias_in_any_case(name: str, found: str) -> None:
    assert registry().resolve(name).id == found


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(UnknownMethod, match="method 'NeuralTexture': unknown; did you mean 'NeuralTextures'"):
        registry().resolve("NeuralTexture")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("A: {type: XX, name: a, year: 1, reference: r}", "m.yaml:2: key 'methods.A.type'"),
        ("A: {type: FS, name: a, year: 1, reference: r, alias: [b]}", "key 'alias': unknown; did you mean 'aliases'?"),
        (
            "A: {type: FS, name: a, year: 1, reference: r}\n  B: {type: FR, name: b, year: 1, reference: r, aliases: [a]}",
            "m.yaml:3: 'a' already names method 'A'",
        ),
    ],
)
def test_a_broken_registry_is_an_error_with_its_line(entry: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load_methods(f"methods:\n  {entry}\n", "m.yaml")
    assert message in str(caught.value)
