"""DeepfakeBench's lists, with what is known to be wrong with them, as datasets: imported, built, compared."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Said
from PIL import Image

import mmidd as api
from mmidd.corpus.read import Corpus
from mmidd.errors import DataError, MmiddError, UsageError
from mmidd.share.export.protocol import EXPORTERS
from mmidd.share.imports.run import Choices, Imported, import_dataset

from . import lists
from .lists import FF, MADE, YOUTUBE, bench, clip, entry, wrote

Run = Callable[..., Said]


def _import(tmp_path: Path, *contents: Any, **more: Any) -> Imported:
    files = [wrote(tmp_path / f"list{number}.json", content) for number, content in enumerate(contents)]
    return import_dataset("deepfakebench", files, tmp_path / "rgb", tmp_path / "data" / "mine", Choices("Mine", **more))


def _rows(tmp_path: Path) -> dict[str, dict[str, str]]:
    """The label table, by the name that the list has for each clip."""
    text = (tmp_path / "data/mine/labels/000.csv").read_text()
    return {row["listed_as"]: row for row in csv.DictReader(io.StringIO(text))}


def _found(tmp_path: Path, kind: str) -> list[tuple[str, str]]:
    text = (tmp_path / "data/mine/import-findings.csv").read_text()
    return [(row["where"], row["more"]) for row in csv.DictReader(io.StringIO(text)) if row["kind"] == kind]


def test_two_commands_make_a_corpus_of_a_deepfakebench_tree(tmp_path: Path, mmidd: Run) -> None:
    listed = wrote(tmp_path / "FaceForensics++.json", bench(tmp_path / "rgb"))
    said = mmidd(
        "import",
        "deepfakebench",
        str(listed),
        "--images",
        str(tmp_path / "rgb"),
        "--out",
        str(tmp_path / "data/mine"),
        "--json",
    )
    assert said.code == 3 and said.document["findings"] == {"missing file": 1} and said.document["lost"] == 1
    assert said.document["media"] == {"fake": 2, "real": 2} and said.document["mapped"] == {"rgb": 15}
    again = mmidd(
        "build", str(tmp_path / "data/mine/recipe.yaml"), "--data", str(tmp_path / "data"),
        "--out", str(tmp_path / "corpus"), "--workers", "0",
    )  # fmt: skip
    assert again.code == 0, again.err
    corpus = Corpus(str(tmp_path / "corpus"))
    rows = corpus.rows(["id", "media", "frame", "label", "method", "target_id", "source_id", "pair", "geometry"]).to_pylist()
    assert len(rows) == 12 and corpus.splits == {"train": 12} and {row["geometry"] for row in rows} == {"whole"}
    by_place = {(row["media"].rpartition("/")[2], row["frame"]): row for row in rows}
    swap = by_place["000_003", 10]
    assert (swap["label"], swap["method"], swap["target_id"], swap["source_id"]) == (1, "Deepfakes", "000", "003")
    assert swap["pair"] == by_place["000", 10]["id"] and by_place["003_000", 30]["pair"] is None
    assert by_place["003_000", 20]["pair"] == by_place["003", 20]["id"]
    assert {row["split_basis"] for row in corpus.media.to_pylist()} == {"official"}
    pixels = {
        row["id"]: Image.open(io.BytesIO(data)).convert("RGB") for row, (_, data) in zip(rows, corpus.images(), strict=True)
    }
    source = Image.open(tmp_path / "rgb" / MADE / "Deepfakes/c23/frames/000_003/010.png")
    assert pixels[swap["id"]].tobytes() == source.tobytes()
    masks = corpus.rows(["media", "mask"]).to_pylist()
    assert sum(row["mask"] is not None for row in masks) == 3
    assert "manifests" not in corpus.about.content["recipe"]
    assert not corpus.verify().findings
    checked = mmidd("index", str(tmp_path / "data/mine/recipe.yaml"), "--data", str(tmp_path / "data"), "--work",
                    str(tmp_path / "work"), "--check")  # fmt: skip
    assert checked.code == 0, checked.out


def test_frames_lie_as_they_were_under_names_of_plain_words(tmp_path: Path) -> None:
    done = _import(tmp_path, bench(tmp_path / "rgb"))
    own = tmp_path / "data/mine/clips/c23/FaceForensics-FF-DF/000_003"
    theirs = tmp_path / "rgb" / MADE / "Deepfakes/c23/frames/000_003"
    assert [path.name for path in sorted(own.iterdir())] == ["000.png", "010.png", "020.png"]
    assert all((own / path.name).read_bytes() == path.read_bytes() for path in theirs.iterdir())
    row = _rows(tmp_path)[f"{FF}/FF-DF/c23/000_003"]
    assert row["original"] == "F:\\rgb\\" + f"{MADE}/Deepfakes/c23/frames/000_003".replace("/", "\\")
    assert row["pair"] == "clips/c23/FaceForensics-FF-real/000" and row["split"] == "train"
    assert (done.pairs, done.masks, done.changed) == (2, 1, True)


SPLITS = [
    (("train", "test"), "test"),  # Celeb-DF: the test videos are in train as well
    (("train", "val", "test"), "test"),  # DFD, UADFV
    (("train", "val"), "validation"),  # DFDC
    (("train",), "train"),
]


@pytest.mark.parametrize(("splits", "kept"), SPLITS)
def test_of_several_splits_the_strictest_counts_and_is_told(tmp_path: Path, splits: tuple[str, ...], kept: str) -> None:
    frames = ["/home/me/rgb/" + path for path in clip(tmp_path / "rgb", "UADFV/real/frames/0001")]
    done = _import(tmp_path, {"UADFV": {"UADFV_Real": {split: {"0001": entry("UADFV_Real", frames)} for split in splits}}})
    assert _rows(tmp_path)["UADFV/UADFV_Real/0001"]["split"] == kept
    assert done.findings == ({} if len(splits) == 1 else {"several splits": 1}) and done.lost == 0


LABELS = [
    ("UADFV", "UADFV_Fake", ("fake", "unnamed FS", "FS")),
    ("FaceForensics++", "FF-NT", ("fake", "NeuralTextures", "")),
    ("FaceForensics++", "FF-FH", ("fake", "FaceShifter", "")),
    ("DFDCP", "DFDCP_FakeB", ("fake", "DFDCP-B", "")),
    ("DFDC", "DFDC_Fake", ("fake", "-", "")),
    ("Celeb-DF-v2", "CelebDFv2_fake", ("fake", "Celeb-DF", "")),
    ("Celeb-DF-v2", "CelebDFv2_real", ("real", "-", "")),
    ("DeeperForensics-1.0", "DF_fake", ("fake", "DF-VAE", "")),
    ("simswap_ff", "simswap_Fake", ("fake", "SimSwap", "")),
    ("uniface_ff", "roop_Fake", ("fake", "UniFace", "")),  # DF40 writes roop_Fake for several methods
    ("EFSAll_cdf", "EFSAll_Fake", ("fake", "unnamed EFS", "EFS")),
    ("Own", "Studio-real", ("real", "-", "")),
    ("Own", "Novel_Fake", ("fake", "-", "")),
]


@pytest.mark.parametrize(("dataset", "label_name", "expected"), LABELS)
def test_label_names_say_label_and_method(tmp_path: Path, dataset: str, label_name: str, expected: tuple[str, ...]) -> None:
    frames = clip(tmp_path / "rgb", "x/y/frames/clip")
    done = _import(tmp_path, {dataset: {label_name: {"test": {"clip": entry(label_name, frames)}}}})
    row = _rows(tmp_path)[f"{dataset}/{label_name}/clip"]
    assert (row["label"], row["method"], row["type"]) == expected
    assert ("label of another method" in done.findings) is (label_name == "roop_Fake")
    assert ("method without a type" in done.findings) is (label_name == "Novel_Fake")


def test_a_name_that_says_nothing_has_to_be_said(tmp_path: Path) -> None:
    content = {"Own": {"original": {"test": {"a": entry("original", clip(tmp_path / "rgb", "o/a"))}},
                       "mine": {"test": {"b": entry("mine", clip(tmp_path / "rgb", "m/b", seed=1))}}}}  # fmt: skip
    with pytest.raises(UsageError, match=r"real or fake: mine, original; say so with --label NAME=real"):
        _import(tmp_path, content)
    with pytest.raises(UsageError, match=r"--label minne: no list has this label name"):
        _import(tmp_path, content, labels={"minne": "fake", "mine": "fake", "original": "real"})
    done = _import(tmp_path, content, labels={"mine": "fake", "original": "real"})
    assert done.media == {"fake": 1, "real": 1} and done.methods == {"unknown": 1}


def test_a_method_of_ones_own_has_the_type_that_was_said(tmp_path: Path) -> None:
    content = {"Own": {"Novel_Fake": {"test": {"a": entry("Novel_Fake", clip(tmp_path / "rgb", "o/a"))}}}}
    done = _import(tmp_path, content, types={"Novel": "FR"})
    assert done.own_methods == {"Novel": "FR"} and "type: FR" in (tmp_path / "data/mine/manifests/methods.yaml").read_text()
    with pytest.raises(UsageError, match="--method SimSwap: mmidd knows it, as FS"):
        _import(tmp_path, content, types={"SimSwap": "FS"})


def _two(first: str, second: str, frames: list[str]) -> dict[str, Any]:
    return {"A": {first: {"train": {"x": entry(first, frames)}}}, "B": {second: {"test": {"y": entry(second, frames)}}}}


def test_one_clip_under_two_labels_is_refused_and_under_one_imported_once(tmp_path: Path) -> None:
    shared, other = clip(tmp_path / "rgb", "a/x"), clip(tmp_path / "rgb", "a/z", seed=1)
    content = _two("A_Real", "B_Fake", shared)
    content["C"] = {"C_Real": {"train": {"z": entry("C_Real", other)}}}
    done = _import(tmp_path, content)
    assert done.findings == {"two labels": 1} and set(_rows(tmp_path)) == {"C/C_Real/z"}
    assert _found(tmp_path, "two labels") == [("A/A_Real/x", "B/B_Fake/y")]
    second = tmp_path / "second"
    clip(second / "rgb", "a/x")
    done = _import(second, _two("A_Real", "B_Real", shared))
    assert done.findings == {"same clip twice": 1} and _rows(second)["A/A_Real/x"]["split"] == "test" and not done.lost


def test_a_clip_that_shows_the_files_of_two_makes_them_one(tmp_path: Path) -> None:
    first, second = (clip(tmp_path / "rgb", f"a/{name}", (number,), seed=number) for number, name in enumerate("xy", 1))
    content = {"A": {"A_Real": {"train": {"x": entry("A_Real", first)}, "test": {"y": entry("A_Real", second)}}}}
    content["A"]["A_Real"]["val"] = {"z": entry("A_Real", first + second)}
    done = _import(tmp_path, content)
    assert done.media == {"real": 1} and done.findings == {"same clip twice": 2}
    assert {name: row["split"] for name, row in _rows(tmp_path).items()} == {"A/A_Real/x": "test"}
    assert len(list((tmp_path / "data/mine/clips").rglob("*.png"))) == 2


def test_whoever_shows_files_of_clips_that_contradict_each_other_is_not_imported(tmp_path: Path) -> None:
    shared, other = clip(tmp_path / "rgb", "a/x"), clip(tmp_path / "rgb", "a/z", (7,), seed=1)
    content = _two("A_Real", "B_Fake", shared)
    content["C"] = {"A_Real": {"train": {"z": entry("A_Real", shared)}}, "B_Fake": {"train": {"w": entry("B_Fake", other)}}}
    done = _import(tmp_path, content)
    assert done.findings["two labels"] == 2 and done.lost == 2 and set(_rows(tmp_path)) == {"C/B_Fake/w"}


def test_masks_that_are_no_paths_are_told_and_so_is_why_a_list_has_no_clip(tmp_path: Path) -> None:
    frames = clip(tmp_path / "rgb", "a/x")
    done = _import(tmp_path, {"A": {"DFD_fake": {"train": {"x": entry("DFD_fake", frames, masks=[1, *frames])}}}})
    assert done.findings == {"bad entry": 1} and done.lost == 1
    with pytest.raises(DataError, match=r"lists no clip \(A/A_Real: no split is called 'nope'\)"):
        _import(tmp_path, {"A": {"A_Real": {"nope": {"x": entry("A_Real", frames)}}}})


def test_what_a_clip_says_of_itself_is_compared(tmp_path: Path) -> None:
    clips = {name: clip(tmp_path / "rgb", f"a/{name}", seed=seed) for seed, name in enumerate("abc")}
    entries = {
        "a": entry("DFDC_Real", clips["a"]),
        "b": entry("DFDC_Fake", clips["b"]),
        "c": entry("UADFV_Real", clips["c"]),
    }
    done = _import(tmp_path, {"DFDC": {"DFDC_Real": {"train": entries}}})
    assert done.findings == {"label inside": 1, "two labels": 1} and done.media == {"real": 2}


def test_odd_entries_are_counted_and_the_rest_is_imported(tmp_path: Path) -> None:
    root = tmp_path / "rgb"
    good = clip(root, "a/good")
    (root / "a/good/notes.png").write_bytes((root / good[0]).read_bytes())
    (root / "a/bad").mkdir()
    (root / "a/bad/000.png").write_bytes(b"no picture")
    (root / "a/bad/001.png").write_bytes(b"")
    clips = {
        "good": entry("DFDC_Real", [*good, "a/good/notes.png", good[0], 7]),  # type: ignore[list-item]
        "bad": entry("DFDC_Real", ["a/bad/000.png", "a/bad/001.png"]),
        "none": entry("DFDC_Real", []),
        "away": entry("DFDC_Real", ["a/away/000.png"]),
        "odd": {"label": "DFDC_Real"},
        "odd2": 5,
        "name\n": entry("DFDC_Real", good),
    }
    content = {"DFDC": {"DFDC_Real": {"train": clips, "val": entry("DFDC_Real", good), "dev": {}}}, "X": []}
    done = _import(tmp_path, content)
    assert done.media == {"real": 1} and set(_rows(tmp_path)) == {"DFDC/DFDC_Real/good"}
    assert done.findings == {
        "bad entry": 7, "empty file": 1, "listed twice": 1, "missing file": 1, "no frame number": 1, "no frames": 3,
        "unreadable image": 1,
    }  # fmt: skip


def test_two_folders_that_would_be_one_here_are_not_guessed(tmp_path: Path) -> None:
    here = clip(tmp_path / "rgb", "frames/000")
    apart = clip(tmp_path / "rgb", "frames/001", seed=1)
    content = {
        FF: {
            "FF-real": {"train": {"c23": {"000": entry("FF-real", ["/d/youtube/" + path for path in here]),
                                          "001": entry("FF-real", ["/d/youtube/" + path for path in apart])}}},
            "FF-DF": {"train": {"c23": {"000": entry("FF-DF", ["/d/Deepfakes/" + path for path in here])}}},
        }
    }  # fmt: skip
    done = _import(tmp_path, content)
    assert done.media == {"real": 1} and done.findings["ambiguous place"] == 7 and done.lost


HOSTILE = [
    "../../secret/000.png",
    "/etc/passwd",
    "a/../../secret/000.png",
    "out/000.png",
    "a/link.000.png",
    "a\0/000.png",
    "a" * 5000,
]


@pytest.mark.parametrize("path", HOSTILE)
def test_nothing_outside_the_images_is_read(tmp_path: Path, path: str) -> None:
    root = tmp_path / "rgb"
    good = clip(root, "a/good")
    lists.picture(tmp_path / "secret/000.png", seed=9)
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "a/link.000.png").symlink_to(tmp_path / "secret/000.png")
    done = _import(tmp_path, {"DFDC": {"DFDC_Real": {"train": {"x": entry("DFDC_Real", [*good, path])}}}})
    assert done.files == 3 + 4 and done.lost == 1 and set(done.findings) <= {"refused path", "missing file"}
    secret = (tmp_path / "secret/000.png").read_bytes()
    assert all(file.read_bytes() != secret for file in (tmp_path / "data/mine").rglob("*.png"))


def test_a_link_within_the_images_is_what_it_leads_to(tmp_path: Path) -> None:
    root = tmp_path / "rgb"
    clip(root, "store/x")
    (root / "a").symlink_to("store")
    done = _import(
        tmp_path, {"DFDC": {"DFDC_Real": {"train": {"x": entry("DFDC_Real", [f"a/x/{n:03d}.png" for n in (0, 10)])}}}}
    )
    assert done.media == {"real": 1} and not done.lost


NAMES = ["héllo wörld", "a/b", "..", ".hidden", "x" * 150, "000.png", "CON", "日本", "e\u0301", "a'b\"c$(x)"]


def test_names_of_clips_become_plain_words_and_none_clash(tmp_path: Path) -> None:
    clips = {
        name: entry("DFDC_Real", clip(tmp_path / "rgb", f"a/{place}", seed=place))
        for place, name in enumerate([*NAMES, "con"])
    }
    done = _import(tmp_path, {"DFDC": {"DFDC_Real": {"train": clips}}})
    folders = [path.name for path in (tmp_path / "data/mine/clips/DFDC-DFDC_Real").iterdir()]
    assert done.media == {"real": len(NAMES) + 1} == {"real": len(set(map(str.casefold, folders)))}
    assert all(name.isascii() and name.replace("-", "").replace("_", "").isalnum() and len(name) <= 80 for name in folders)
    listed = {row["listed_as"].removeprefix("DFDC/DFDC_Real/") for row in _rows(tmp_path).values()}
    assert listed == {*NAMES, "con"}


BROKEN = [
    ("[]", "no list of DeepfakeBench"),
    ("{}", "lists no clip"),
    ('{"a": {"A_Real": {"train": {}}}}', "lists no clip"),
    ("{", "is no JSON"),
    ("[" * 200_000, "nested too deep"),
    ('{"a": 1' + "0" * 9000 + "}", "lists no clip"),
]


@pytest.mark.parametrize(("text", "told"), BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_list_is_said_to_be_none(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "rgb").mkdir()
    with pytest.raises(MmiddError, match=told):
        _import(tmp_path, text)
    assert not (tmp_path / "data/mine").exists()


def test_an_lmdb_is_named_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "rgb/FF_lmdb").mkdir(parents=True)
    (tmp_path / "rgb/FF_lmdb/data.mdb").touch()
    with pytest.raises(DataError, match="LMDB of DeepfakeBench; databases are not read"):
        _import(tmp_path, bench(tmp_path / "other"))


def test_hard_links_are_made_where_they_are_asked_for(tmp_path: Path) -> None:
    done = _import(tmp_path, bench(tmp_path / "rgb"), link=True)
    own = tmp_path / "data/mine/clips/c23/FaceForensics-FF-real/000/000.png"
    assert done.linked == 15 and own.samefile(tmp_path / "rgb" / YOUTUBE / "000/000.png")


@pytest.mark.skipif("deepfakebench" not in EXPORTERS, reason="the exporter of this layout is not here yet")
def test_a_corpus_that_is_exported_and_imported_is_the_same(tmp_path: Path) -> None:
    """Frames, pixels, masks, labels and splits: pixels because an import's recipe says PNG. The lists of this layout name
    no method, identity or pair of a dataset that DeepfakeBench does not know, so these do not come back."""
    from mmidd.share.export.run import export

    _import(tmp_path, bench(tmp_path / "rgb"))
    data, recipe = tmp_path / "data", tmp_path / "data/mine/recipe.yaml"
    api.build(str(recipe), data=data, out=tmp_path / "first", workers=0)
    export(Corpus(str(tmp_path / "first")), "deepfakebench", tmp_path / "exported")
    found = sorted((tmp_path / "exported").rglob("*.json"))
    tables = [path for path in found if not path.name.startswith(".")]
    import_dataset("deepfakebench", tables, tmp_path / "exported", tmp_path / "back" / "again", Choices("Again"))
    api.build(str(tmp_path / "back/again/recipe.yaml"), data=tmp_path / "back", out=tmp_path / "second", workers=0)

    def content(place: str) -> list[Any]:
        corpus = Corpus(str(tmp_path / place))
        rows = corpus.rows(["frame", "label", "mask"]).to_pylist()
        pictures = (Image.open(io.BytesIO(data)).convert("RGB").tobytes() for _, data in corpus.images())
        told = zip(rows, pictures, strict=True)
        return sorted((row["frame"], row["label"], row["mask"] is not None, pixels) for row, pixels in told)

    assert content("first") == content("second")
    assert Corpus(str(tmp_path / "first")).splits == Corpus(str(tmp_path / "second")).splits
