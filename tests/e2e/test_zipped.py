"""A dataset in its zips, as it is downloaded, gives the corpus that it gives unpacked."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Said

from mmidd.cli import run

Run = Callable[..., Said]

PARTS = ("wiki", "text2img", "inpainting", "insight")


@pytest.fixture
def zipped(sample_data: Path, tmp_path: Path) -> Path:
    root = tmp_path / "zipped" / "DeepFakeFace"
    root.mkdir(parents=True)
    for part in PARTS:
        with zipfile.ZipFile(root / f"{part}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted((sample_data / "DeepFakeFace" / part).rglob("*.jpg")):
                archive.write(path, f"{part}/{path.relative_to(sample_data / 'DeepFakeFace' / part)}")
    return root.parent


def samples(data: Path, out: Path) -> list[tuple[object, ...]]:
    """What a build of DeepFakeFace alone holds, media by their place within their set."""
    arguments = ["build", "sample", "--data", str(data), "--out", str(out), "--only", "DeepFakeFace", "--workers", "0"]
    assert run([*arguments, "--set", "captioner=none"]) == 0
    rows = pq.read_table(out / "data").to_pylist()
    return sorted(
        (row["media"].replace(".zip/", "/", 1).split("/")[-2:], row["label"], row["method"], row["media_sha256"],
         row["geometry"], row["image"]["bytes"], row["pair"] is not None)
        for row in rows
    )  # fmt: skip


def test_zips_give_the_samples_of_the_unpacked_folders(sample_data: Path, zipped: Path, tmp_path: Path) -> None:
    unpacked = samples(sample_data, tmp_path / "unpacked")
    assert len(unpacked) >= 4
    assert samples(zipped, tmp_path / "out") == unpacked
    assert run(["verify", str(tmp_path / "out")]) == 0


FORMS = ("Celeb-DF-v2", "DFDC")


def packed(sample_data: Path, root: Path) -> Path:
    """Celeb-DF-v2 in one compressed tar of whoever downloaded it, DFDC in a zip a folder."""
    (root / "Celeb-DF-v2").mkdir(parents=True)
    with tarfile.open(root / "Celeb-DF-v2/all of it.tar.gz", "w:gz") as tar:
        tar.add(sample_data / "Celeb-DF-v2", "Celeb-DF-v2")
    (root / "DFDC").mkdir()
    for folder in (each for each in (sample_data / "DFDC").iterdir() if each.is_dir()):
        with zipfile.ZipFile(root / f"DFDC/{folder.name}.zip", "w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(sample_data / "DFDC"))
    for loose in (each for each in (sample_data / "DFDC").iterdir() if each.is_file()):
        shutil.copy(loose, root / "DFDC" / loose.name)
    return root


def words(data: Path, out: Path, *more: str) -> list[str]:
    only = [word for name in FORMS for word in ("--only", name)]
    return [
        "build",
        "sample",
        "--data",
        str(data),
        "--out",
        str(out),
        *only,
        "--workers",
        "0",
        "--set",
        "captioner=none",
        *more,
    ]


def corpus(out: Path) -> list[dict[str, object]]:
    return sorted(pq.read_table(out / "data").to_pylist(), key=lambda row: row["id"])


def test_a_corpus_from_archives_is_that_of_the_unpacked_folders(sample_data: Path, tmp_path: Path, mmidd: Run) -> None:
    """Ids, names, splits and pixels: what is taken down in one is taken down in the other."""
    data, out, other = packed(sample_data, tmp_path / "raw"), tmp_path / "out", tmp_path / "unpacked"
    assert mmidd(*words(sample_data, other)).code == 0
    said = mmidd(*words(data, out))
    assert said.code == 0 and "media in all of it.tar.gz/Celeb-DF-v2/ are read as if in ./" in " ".join(said.err.split())
    rows = corpus(out)
    assert rows and rows == corpus(other)
    status = mmidd("status", f"{out}.work", "--json").document
    assert all(stage["to_do"] == 0 for stage in status["plan"]["stages"])
    celeb = next(row["media"] for row in rows if row["dataset"] == "Celeb-DF-v2")
    for raw, corpus_of in ((data, out), (sample_data, other)):
        (tmp_path / "gone.txt").write_text(f"media:Celeb-DF-v2/{celeb}\n")
        assert mmidd(*words(raw, corpus_of, "--exclude", str(tmp_path / "gone.txt"))).code == 0
    assert corpus(out) == corpus(other) and celeb not in {row["media"] for row in corpus(out)}
    assert mmidd("verify", str(out)).code == 0


BARREN = {
    "empty videos": ("FaceForensics++", {"original_sequences/youtube/c23/videos/notes.doc": b"x"}, "notes.doc"),
    "parts": (
        "GenImage",
        {"Midjourney/imagenet_midjourney.z01": b"x", "Midjourney/imagenet_midjourney.zip": b"x"},
        "zip -s 0",
    ),
    "label files": ("DFDC", {"labels.csv": b"filename,label\n"}, "label files alone"),
    "sidecars": ("UADFV", {"real/landmarks/0000/000.npy": b"x"}, "*/landmarks/**"),
}


@pytest.mark.parametrize(("dataset", "files", "told"), BARREN.values(), ids=BARREN)
def test_a_dataset_whose_folder_holds_no_medium_stops_what_would_build(
    dataset: str, files: dict[str, bytes], told: str, tmp_path: Path, mmidd: Run
) -> None:
    for name, data in files.items():
        (tmp_path / "data" / dataset / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / dataset / name).write_bytes(data)
    (tmp_path / "one.yaml").write_text(f"name: one\ndatasets: [{dataset}]\ndetector: mtcnn\ncaptioner: none\n")
    common = [str(tmp_path / "one.yaml"), "--data", str(tmp_path / "data")]
    for verb, more in (("build", ["--out", str(tmp_path / "out")]), ("plan", ["--out", str(tmp_path / "out")])):
        said = mmidd(verb, *common, *more)
        words = (f"holds no medium of {dataset}", f"{dataset} would have no")
        assert said.code == 1 and any(each in said.err for each in words) and told in said.err, said
        assert not (tmp_path / "out/README.md").exists()
    listed = mmidd("index", *common, "--work", str(tmp_path / "work"))
    assert listed.code == 4 and "holds no medium" in " ".join(listed.out.split())
    found = mmidd("index", *common, "--work", str(tmp_path / "work"), "--check", "--json")
    assert found.code == 4 and "no media" in {each["kind"] for each in found.document["datasets"][0]["findings"]}


def test_a_datasets_archive_beside_the_folders_is_told(tmp_path: Path, mmidd: Run) -> None:
    (tmp_path / "data/UADFV/real").mkdir(parents=True)
    (tmp_path / "data/UADFV/real/0000.mp4").write_bytes(b"x")
    (tmp_path / "data/DFDC.zip").write_bytes(b"x")
    (tmp_path / "two.yaml").write_text("name: two\ndatasets: [UADFV, DFDC]\ndetector: mtcnn\ncaptioner: none\n")
    line = ["index", str(tmp_path / "two.yaml"), "--data", str(tmp_path / "data"), "--work", str(tmp_path / "work")]
    assert "DFDC.zip lies beside the datasets' folders" in " ".join(mmidd(*line).out.split())
    said = mmidd(*line, "--require-all")
    assert said.code == 1 and "Put DFDC.zip into a folder of the dataset's name." in said.err
