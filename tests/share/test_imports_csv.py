"""Anybody's own images, videos and folders of frames by a table: what is taken, what is refused, and what is built of it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Said

from mmidd.corpus.read import Corpus
from mmidd.errors import DataError, MmiddError, UsageError
from mmidd.share.imports.run import Choices, Imported, import_dataset

from .lists import clip, picture

Run = Callable[..., Said]


def _import(tmp_path: Path, table: str | bytes, **more: object) -> Imported:
    (tmp_path / "rgb").mkdir(exist_ok=True)
    (tmp_path / "table.csv").write_bytes(table.encode() if isinstance(table, str) else table)
    choices = Choices("Mine", **more)  # type: ignore[arg-type]
    return import_dataset("csv", [tmp_path / "table.csv"], tmp_path / "rgb", tmp_path / "data" / "mine", choices)


def _rows(tmp_path: Path) -> dict[str, dict[str, str]]:
    text = (tmp_path / "data/mine/labels/000.csv").read_text()
    return {row["original"]: row for row in csv.DictReader(io.StringIO(text))}


def _pictures(tmp_path: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        picture(tmp_path / "rgb" / name, seed)


def test_two_commands_make_a_corpus_of_videos_and_pictures(sample_data: Path, tmp_path: Path, mmidd: Run) -> None:
    ff = "FaceForensics++/{}/c23/videos/{}.mp4"
    names = [ff.format("original_sequences/youtube", "000"), ff.format("manipulated_sequences/Deepfakes", "000_003")]
    face = next((sample_data / "CelebA/img_align_celeba").glob("*.jpg"))
    for name in names:
        (tmp_path / "rgb" / name).parent.mkdir(parents=True)
        shutil.copy(sample_data / name, tmp_path / "rgb" / name)
    shutil.copy(face, tmp_path / "rgb/face.jpg")
    table = (
        "label;path;method;identity;pair;split\n"
        f"real;{names[0]};;000;;test\nfake;{names[1]};faceswap_own;000;{names[0]};test\n0;face.jpg;;;;train\n"
    )
    (tmp_path / "own.csv").write_text(table, encoding="utf-16")
    said = mmidd(
        "import", "csv", str(tmp_path / "own.csv"), "--images", str(tmp_path / "rgb"), "--out", str(tmp_path / "data/own"),
        "--name", "My own: faces", "--method", "faceswap_own=FS", "--licence", "CC-BY-4.0",
    )  # fmt: skip
    assert said.code == 0, said.err + said.out
    assert "2 real and 1 fake media (1 images, 2 videos), 1 with a pair" in said.out and "read as UTF-16" in said.out
    recipe = [
        "build",
        str(tmp_path / "data/own/recipe.yaml"),
        "--data",
        str(tmp_path / "data"),
        "--out",
        str(tmp_path / "corpus"),
    ]
    built = mmidd(*recipe, "--workers", "0", "--set", "frames.count=2", "--set", "detector.size=128")
    assert built.code == 0, built.err
    corpus = Corpus(str(tmp_path / "corpus"))
    rows = corpus.rows(["id", "dataset", "label", "forgery_type", "method", "pair", "license", "geometry"]).to_pylist()
    assert {row["dataset"] for row in rows} == {"My own: faces"} and {row["license"] for row in rows} == {"CC-BY-4.0"}
    fakes = [row for row in rows if row["label"] == 1]
    assert len(rows) == 5 and {(row["method"], row["forgery_type"], row["geometry"]) for row in fakes} == {
        ("faceswap_own", 1, "shared")
    }
    assert {row["pair"] for row in fakes} <= {row["id"] for row in rows} and corpus.splits == {"train": 1, "test": 4}


def test_every_column_reaches_the_label_table(tmp_path: Path) -> None:
    _pictures(tmp_path, "a.png", "b.jpg", "c.webp")
    clip(tmp_path / "rgb", "clips/one")
    done = _import(
        tmp_path,
        "path,label,method,type,identity,source_identity,split,pair\n"
        'a.png,real,,REAL,"Ann, B",,val,\n'
        "b.jpg,1,Face2Face,FR,Ann,Carl,valid,a.png\n"
        "c.webp,FAKE,,EFS,,,testing,\n"
        "clips/one,0,,,,,,\n",
        faces="whole",
    )
    rows = _rows(tmp_path)
    assert done.media == {"fake": 2, "real": 2} and done.kinds == {"frames": 1, "image": 3} and not done.findings
    assert (rows["a.png"]["target"], rows["a.png"]["split"], rows["a.png"]["file"]) == (
        "Ann, B",
        "validation",
        "images/real/a.png",
    )
    fake = rows["b.jpg"]
    assert (fake["method"], fake["source"], fake["pair"]) == ("Face2Face", "Carl", "images/real/a.png")
    assert rows["c.webp"]["method"] == "unnamed EFS" and rows["clips/one"]["file"] == "clips/real/one"
    assert done.splits == {"none": 1, "test": 1, "validation": 2}


def test_what_a_row_gets_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    _pictures(tmp_path, *(f"{name}.png" for name in "abcdefghij"))
    (tmp_path / "rgb/k.txt").write_text("x")
    (tmp_path / "rgb/l.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    done = _import(
        tmp_path,
        "path,label,type,method,split,pair\n"
        "a.png,real,,,,\n"
        "b.png,true,,,,\n"  # no label
        "c.png,fake,REAL,,,\n"  # a type that contradicts it
        "d.png,fake,XX,,,\n"  # no type
        "e.png,real,,SimSwap,dev,\n"  # a real has no method; no split of this name
        "f.png,fake,FR,SimSwap,,a.png\n"  # the registry knows another type
        "g.png,fake,,,train,z.png\n"  # no such pair
        "h.png,fake,,,,f.png\n"  # a fake is no pair
        "i.png,real,,,,a.png\n"  # a real has no pair
        "j.png,fake,,New,,\nj.png,fake,,Newer,,\n"  # contradiction
        "a.png,real,,,,\n"  # the same once more
        "k.txt,real,,,,\nl.png,real,,,,\nm.png,real,,,,\n",
        faces="whole",
    )
    assert done.findings == {
        "bad entry": 4, "contradicting rows": 1, "method of a real": 1, "missing file": 1, "other type": 1,
        "pair of a real": 1, "pair that is none": 2, "same row twice": 1, "unknown split": 1, "unreadable image": 1,
    }  # fmt: skip
    assert done.lost == 7 and set(_rows(tmp_path)) == {f"{name}.png" for name in "aefghi"}
    text = (tmp_path / "data/mine/import-findings.csv").read_text()
    assert "table.csv:3: label 'true' is none of real, fake" in text and "table.csv:16: not below the folder" in text


@pytest.mark.parametrize(
    ("first", "second"), [("a.png", "./a.png"), ("f/a.png", "f//a.png"), ("f", "f/"), ("f/a.png", "f\\a.png")]
)
def test_one_path_in_two_spellings_is_one_medium(tmp_path: Path, first: str, second: str) -> None:
    _pictures(tmp_path, "a.png", "f/a.png", "f/1.png", "b.png")
    done = _import(tmp_path, f"path,label\n{first},real\n{second},fake\n{first},real\nb.png,real\n")
    assert done.media == {"real": 1} and done.findings["contradicting rows"] == 1 and done.lost == 1
    shutil.rmtree(tmp_path / "data")
    done = _import(tmp_path, f"path,label\n{first},real\n{second},real\nb.png,real\n")
    assert done.media == {"real": 2} and done.findings["same row twice"] == 1 and not done.lost


def test_links_in_a_circle_in_a_folder_of_frames_are_told(tmp_path: Path) -> None:
    _pictures(tmp_path, "f/1.png")
    (tmp_path / "rgb/f/2.png").symlink_to("3.png")
    (tmp_path / "rgb/f/3.png").symlink_to("2.png")
    done = _import(tmp_path, "path,label\nf,real\n")
    assert done.media == {"real": 1}


def test_a_pair_in_two_splits_is_told_and_a_build_keeps_what_is_stricter(tmp_path: Path, mmidd: Run) -> None:
    _pictures(tmp_path, "a.png", "b.png", "c.png")
    table = "path,label,type,split,pair\na.png,real,,train,\nb.png,fake,FS,test,a.png\nc.png,real,,train,\n"
    done = _import(tmp_path, table, faces="whole")
    assert done.findings == {"pair in two splits": 1} and done.lost == 0 and done.pairs == 1
    recipe = [
        "build",
        str(tmp_path / "data/mine/recipe.yaml"),
        "--data",
        str(tmp_path / "data"),
        "--out",
        str(tmp_path / "corpus"),
    ]
    assert mmidd(*recipe, "--workers", "0").code == 0
    assert Corpus(str(tmp_path / "corpus")).splits == {"train": 1, "test": 1}


OUTSIDE = ["../secret.png", "/etc/hostname", "a/../../secret.png", "away.png", "..\\secret.png", "a//../../secret.png"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_never_leaves_the_images(tmp_path: Path, path: str) -> None:
    _pictures(tmp_path, "a.png", "../secret.png")
    (tmp_path / "rgb/away.png").symlink_to(tmp_path / "secret.png")
    done = _import(tmp_path, f"path,label\na.png,real\n{path},real\n")
    assert done.media == {"real": 1} and done.findings == {"refused path": 1} and done.lost == 1


TABLES = [
    ("path,label\na.png,real\n".encode("utf-8-sig"), 1),
    ("path\tlabel\na.png\treal\n".encode("utf-16-le"), 1),
    (b"label;path\r\nreal;a.png\r\n", 1),
    (b'"label","path"\n"real","a.png"\n', 1),
    (b"path,label\n.\\a.png,real\n", 1),
    ("path,label\ne\u0301.png,real\n".encode(), 1),
]


@pytest.mark.parametrize(("table", "count"), TABLES, ids=range(len(TABLES)))
def test_tables_as_programs_write_them_are_read(tmp_path: Path, table: bytes, count: int) -> None:
    _pictures(tmp_path, "a.png", "é.png")
    assert _import(tmp_path, table).media == {"real": count}


FAULTS = [
    ("path,label,methd\na.png,real,x\n", "column 'methd': unknown; did you mean 'method'?"),
    ("path,split\na.png,train\n", "no column 'label'"),
    ("path,label\n", "no row below its header"),
    ("path,label\na.png,real,x\n", "table.csv:2: 3 columns where the header has 2"),
    ('path,label\n"a.png,real\n', "broken CSV"),
    ("path,label\nz.png,real\n", "nothing can be imported: missing file 1; the first: z.png"),
    ("path,label\na.png,maybe\n", "nothing can be imported: bad entry 1"),
]


@pytest.mark.parametrize(("table", "told"), FAULTS, ids=[told for _, told in FAULTS])
def test_a_table_that_cannot_be_used_is_an_error_that_says_why(tmp_path: Path, table: str, told: str) -> None:
    _pictures(tmp_path, "a.png")
    with pytest.raises(MmiddError) as caught:
        _import(tmp_path, table)
    assert told in str(caught.value) and sorted(path.name for path in tmp_path.glob("data/*")) == []


def test_names_that_are_taken_and_places_that_are_none_are_refused(tmp_path: Path) -> None:
    _pictures(tmp_path, "a.png")
    (tmp_path / "t.csv").write_text("path,label\na.png,real\n")
    for name, out, told in (
        ("FFHQ", "mine", "'FFHQ' is a name of the dataset FFHQ; choose another --name"),
        ("Mine", "ff++", "'ff[+][+]' is a name of the dataset FaceForensics[+][+]; choose --out"),
        ("Mine", ".mine", "is no place for a dataset"),
        ("Mine", "rgb/mine", "lie in each other"),
        ("Mi\nne", "mine", "--name and --licence are words"),
    ):
        with pytest.raises(UsageError, match=told):
            import_dataset("csv", [tmp_path / "t.csv"], tmp_path / "rgb", tmp_path / out, Choices(name))
    with pytest.raises(UsageError, match="no importer 'csw'; there are: csv, deepfakebench"):
        import_dataset("csw", [tmp_path / "t.csv"], tmp_path / "rgb", tmp_path / "mine", Choices("Mine"))
    with pytest.raises(DataError, match="is no folder"):
        import_dataset("csv", [tmp_path / "t.csv"], tmp_path / "nowhere", tmp_path / "mine", Choices("Mine"))


def test_the_command_takes_words_apart_and_refuses_others(tmp_path: Path, mmidd: Run) -> None:
    _pictures(tmp_path, "a.png")
    (tmp_path / "t.csv").write_text("path,label\na.png,real\n")
    words = ["import", "csv", str(tmp_path / "t.csv"), "--images", str(tmp_path / "rgb"), "--out", str(tmp_path / "data/x")]
    assert mmidd(*words, "--method", "A=FX").code == 2 and mmidd(*words, "--faces", "none").code == 2
    assert json.loads(mmidd(*words, "--json").out)["changed"] is True
    assert json.loads(mmidd(*words, "--json").out)["changed"] is False


def test_odd_names_pass_through_manifest_and_tables_unharmed(tmp_path: Path) -> None:
    names = ["0o17.png", "1e5.png", "yes.png", "- x.png", "{name}.png", "#a.png", "nan.png"]
    _pictures(tmp_path, *names)
    methods = ["0o17", "1e5", "yes", "null", "{media.split}", "*x", "&y"]
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(("path", "label", "method", "type", "identity"))
    writer.writerows((name, "fake", method, "FE", name) for name, method in zip(names, methods, strict=True))
    done = _import(tmp_path, table.getvalue(), faces="whole")
    assert done.own_methods == dict.fromkeys(sorted({*methods, "unnamed FE"} - {"null"}), "FE")
    assert {row["method"] for row in _rows(tmp_path).values()} == {*methods, "unnamed FE"} - {"null"}
