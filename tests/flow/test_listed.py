"""A dataset's folder as its rules see it: every dataset in its zips and tars gives the media that it gives unpacked."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests import test_attack_sets, test_attacks, test_benchmarks, test_datasets, test_frames, test_modes, test_sources
from mmidd.engine.units import Resources
from mmidd.flow.indexing import lying
from mmidd.flow.placing import Dataset, Placed
from mmidd.manifest import describe, find_manifest, shipped
from mmidd.manifest.listed import listed
from mmidd.raw.bytes import clip_digest, open_all
from mmidd.raw.listing import Listing
from mmidd.recipe import DatasetEntry
from mmidd.stages.index import label_bytes, plan
from mmidd.stages.index import run as index_run

Files = Mapping[str, bytes]
Form = Callable[[Files, str], Files]
READ_AS_THEY_LIE = ("DeepFakeFace", "WildDeepfake", "VidTIMIT")
"""Their rules name archives: an archive's name is a part of their media's names."""


UNPACKED_TWO_WAYS = {"FFIW-10K": "FFIW", "KoDF": "kodf_release/"}
"""Folders that rules know and that may be left out: a zip of such a folder is read as if it were unpacked without it."""


OTHER_FORMS = ("dfdc_train_part_03/", "frames/001_002/")
"""DFDC's two folders for one part; DF40's one archive without its top folder, which deeper down could be any method's."""


def samples() -> dict[str, dict[str, bytes]]:
    """Of every dataset a file of every rule, and its label files."""
    found: dict[str, dict[str, bytes]] = defaultdict(dict)
    for module in (test_datasets, test_benchmarks, test_sources, test_attacks, test_attack_sets):
        for dataset, path, _ in module.CASES:
            found[dataset][path] = path.encode()
        for dataset, files in module.LABELS.items():
            found[dataset].update((path, text.encode() if isinstance(text, str) else text) for path, text in files.items())
    for slug, media, frame, _ in test_modes.CASES:
        path = f"{media}/{frame}" if frame else media
        found[find_manifest(slug).name][path] = path.encode()
    for dataset, folder, *_ in test_frames.CASES:
        found[dataset][f"{folder}/000.png"] = folder.encode()
    return {name: {path: data for path, data in files.items() if _official(name, path)} for name, files in found.items()}


def _official(dataset: str, path: str) -> bool:
    """Does it lie as the first form of a rule or a label file has it? (Another form may be the first one in its zip.)"""
    layout = find_manifest(dataset).layout
    patterns = [rule.paths[0] for rule in layout.rules] + [pattern for spec in layout.tables for pattern in spec.files]
    return any(pattern.match(path) is not None for pattern in patterns) and not path.startswith(OTHER_FORMS)


SAMPLES = samples()


def zipped(files: Files) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def tarred(files: Files) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in files.items():
            about = tarfile.TarInfo(f"./{name}")
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return made.getvalue()


def write(root: Path, files: Files) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def tops(files: Files) -> tuple[dict[str, dict[str, bytes]], dict[str, bytes]]:
    """The files by the first folder, and those in none."""
    folders: dict[str, dict[str, bytes]] = defaultdict(dict)
    for path, data in files.items():
        top, slash, _ = path.partition("/")
        if slash:
            folders[top][path] = data
    return folders, {path: data for path, data in files.items() if "/" not in path}


def beside(files: Files, dataset: str) -> Files:
    """Every folder in a zip that unpacks to it."""
    folders, loose = tops(files)
    return {**loose, **{f"{top}.zip": zipped(inner) for top, inner in folders.items()}}


def within(files: Files, dataset: str) -> Files:
    """Every folder in a zip of its name, without the folder."""
    folders, loose = tops(files)
    cut = {top: {path.partition("/")[2]: data for path, data in inner.items()} for top, inner in folders.items()}
    return {**loose, **{f"{top}.zip": zipped(inner) for top, inner in cut.items()}}


def deeper(files: Files, dataset: str) -> Files:
    """All a folder of the dataset's name too deep."""
    return {f"{dataset}/{path}": data for path, data in files.items()}


def whole(files: Files, dataset: str) -> Files:
    """All in one compressed tar, below the dataset's folder."""
    return {"download.tar.gz": tarred(deeper(files, dataset))}


def as_it_is(files: Files, dataset: str) -> Files:
    return files


def look(dataset: str, root: Path) -> tuple[Listing, Any]:
    manifest = find_manifest(dataset)
    found = listed(manifest, root, root.parent / "kept", keep=True)
    return found, describe(manifest, sorted(found.files), lambda path: label_bytes(root, found, path))


def said(found: Any) -> Counter[tuple[Any, ...]]:
    return Counter((each.label, each.method, each.split, each.target_id, each.source_id) for each in found.media)


def test_there_is_a_sample_of_every_dataset() -> None:
    assert set(SAMPLES) == set(shipped())


@pytest.mark.parametrize(("form", "unpacked"), [(beside, as_it_is), (within, as_it_is), (whole, deeper)])
@pytest.mark.parametrize("dataset", sorted(set(SAMPLES) - set(READ_AS_THEY_LIE)))
def test_every_dataset_gives_the_same_media_unpacked_and_packed(
    dataset: str, form: Form, unpacked: Form, tmp_path: Path
) -> None:
    folder, files = find_manifest(dataset).folders[0], SAMPLES[dataset]
    if form is within and dataset in UNPACKED_TWO_WAYS:
        files = {path: data for path, data in files.items() if not path.startswith(UNPACKED_TWO_WAYS[dataset])}
    official, media = look(dataset, write(tmp_path / "official", files))
    assert not official.lies and media.media
    _, wanted = look(dataset, write(tmp_path / "plain", unpacked(files, folder)))
    packed, found = look(dataset, write(tmp_path / "packed", form(files, folder)))
    assert [asdict(each) for each in found.media] == [asdict(each) for each in wanted.media]
    names = [[path.rpartition("/")[2] for path in each.label_files] for each in (found, wanted)]
    assert sorted(names[0]) == sorted(names[1])
    assert said(found) == said(media)
    assert (dict(packed.refused), found.unmatched) == ({}, wanted.unmatched)


def test_a_set_in_a_subfolder_is_read_from_zips_of_every_part(tmp_path: Path) -> None:
    """As Kaggle gives DFDC: one zip a part, the labels in each."""
    files = {path: data for path, data in SAMPLES["DFDC"].items() if path.startswith("dfdc_train_part_0/")}
    root = write(tmp_path / "DFDC", {"dfdc_train_part_00.zip": zipped(files)})
    found, told = look("DFDC", root)
    assert {each.media for each in told.media} == {path for path in files if path.endswith(".mp4")}
    assert all(path.startswith("dfdc_train_part_00.zip/") for path in found.lies.values())


def test_an_archive_and_what_was_unpacked_from_it_count_once_and_a_key_does_not_change(tmp_path: Path) -> None:
    """Until now such an archive was a sidecar: it still is, and the index is the one that was."""
    manifest, files = find_manifest("UADFV"), SAMPLES["UADFV"]
    root = write(tmp_path / "UADFV", files)
    write(root, {"real.zip": zipped({path: data for path, data in files.items() if path.startswith("real/")})})
    found, told = look("UADFV", root)
    assert not found.lies and not found.refused and not found.archives and told.ignored["**/*.zip"] == 1
    bare = Listing({path: found.files[path] for path in sorted(found.files)})
    assert [each.inputs for each in plan(manifest, root, found).items] == [
        each.inputs for each in plan(manifest, root, bare).items
    ]


SPLIT: list[tuple[Files, dict[str, str]]] = [
    ({"a/x.zip.001": b"1", "a/x.zip.002": b"2"},
     dict.fromkeys(("a/x.zip.001", "a/x.zip.002"), "a part of an archive in 2 parts: join them in its folder "
                   "(cat x.zip.* > x.zip), then move the parts away")),
    ({"x.z01": b"1", "x.zip": b"2"},
     dict.fromkeys(("x.z01", "x.zip"), "a part of an archive in 2 parts: join them (zip -s 0 x.zip --out x-joined.zip), "
                   "then move the parts away")),
    ({"it's.tar.gz.aa": b"1"}, {"it's.tar.gz.aa": "a part of an archive in 1 parts: join them (cat 'it'\"'\"'s.tar.gz'.* > "
                                "'it'\"'\"'s.tar.gz'), then move the parts away"}),
    ({"x.7z": b"1"}, {"x.7z": "an archive of a kind that is not read in place: unpack it (7z x x.7z)"}),
    ({"x.tar.xz": b"1"}, {"x.tar.xz": "an archive of a kind that is not read in place: unpack it (tar xf x.tar.xz)"}),
    ({"x.part1.rar": b"1", "x.part2.rar": b"1"},
     dict.fromkeys(("x.part1.rar", "x.part2.rar"), "a part of an archive in 2 parts: unpack it (unrar x x.part1.rar)")),
    # unpacked into a folder of its name: left alone
    ({"x.zip.001": b"1", "x/real/0000.mp4": b"1"}, {}),
    ({"x.rar": b"1", "x/real/0000.mp4": b"1"}, {}),
    # joined already
    ({"x.zip.001": b"1", "x.zip": zipped({"real/0000.mp4": b"1"})}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("files", "told"), SPLIT)
def test_parts_and_other_kinds_are_told_with_what_to_do(files: Files, told: dict[str, str], tmp_path: Path) -> None:
    found, _ = look("UADFV", write(tmp_path / "UADFV", files))
    assert dict(found.refused) == told


def test_the_command_that_is_told_joins_the_parts(tmp_path: Path) -> None:
    data = zipped({"UADFV/real/0000.mp4": b"clip"})
    root = write(tmp_path / "UADFV", {"a b.zip.001": data[:40], "a b.zip.002": data[40:]})
    reason = look("UADFV", root)[0].refused["a b.zip.001"]
    command = reason.partition("(")[2].partition(")")[0]
    subprocess.run(["/bin/sh", "-c", command], cwd=root, check=True)
    _, told = look("UADFV", root)
    assert [each.media for each in told.media] == ["real/0000.mp4"]


def test_the_last_part_of_a_split_zip_is_told_by_its_own_bytes(tmp_path: Path) -> None:
    data = bytearray(zipped({"real/0000.mp4": b"clip"}))
    end = data.rindex(b"PK\5\6")
    data[end + 4 : end + 6] = (3).to_bytes(2, "little")
    found, _ = look("UADFV", write(tmp_path / "UADFV", {"x.zip": bytes(data)}))
    assert "the last part of a split zip" in found.refused["x.zip"] and "4 parts" in found.refused["x.zip"]


def test_an_archive_in_an_archive_is_told_with_what_to_do(tmp_path: Path) -> None:
    files = {"MobileSwap.zip": zipped({"mobileswap/mobileswap.zip": zipped({"x": b"y"})})}
    root = write(tmp_path / "DF40", files)
    found, _ = look("DF40", root)
    (reason,) = found.refused.values()
    assert list(found.refused) == ["MobileSwap.zip/mobileswap/mobileswap.zip"]
    assert reason.startswith("an archive in an archive") and "unpack the outer one" in reason
    with zipfile.ZipFile(root / "MobileSwap.zip") as archive:
        archive.extractall(root)
    (root / "mobileswap/mobileswap.zip").write_bytes(zipped({"mobileswap/ff/frames/000_003/000.png": b"1"}))
    assert [each.media for each in look("DF40", root)[1].media] == ["mobileswap/ff/frames/000_003"]


def test_a_damaged_archive_is_told_unless_it_was_unpacked(tmp_path: Path) -> None:
    files = {"real.zip": b"no zip", "real/0000.mp4": b"1", "fake.zip": b"no zip"}
    found, told = look("UADFV", write(tmp_path / "UADFV", files))
    assert list(found.refused) == ["fake.zip"] and told.ignored == {"**/*.zip": 1}


def test_masks_are_found_in_archives(tmp_path: Path) -> None:
    top, clip = "manipulated_sequences/Deepfakes", "000_003.mp4"
    files = {f"{top}/c23/videos.zip": zipped({clip: b"v"}), f"{top}/masks/videos.zip": zipped({clip: b"m"})}
    found, told = look("FaceForensics++", write(tmp_path / "FaceForensics++", files))
    (medium,) = told.media
    assert medium.mask == f"{top}/masks/videos/{clip}" and found.where(medium.mask) == f"{top}/masks/videos.zip/{clip}"


CLIPS = {f"simswap/ff/frames/000_003/{number:03d}.png": b"frame %d" % number for number in range(3)}


@pytest.mark.parametrize("form", [as_it_is, beside, within, deeper, whole])
def test_frames_are_read_from_wherever_they_lie(form: Form, tmp_path: Path) -> None:
    """Their bytes, numbers and digest are the same; only the place differs."""
    manifest, media = find_manifest("DF40"), "simswap/ff/frames/000_003"
    root = write(tmp_path / "DF40", form(CLIPS, "wrapper"))
    found, told = look("DF40", root)
    rows = [{"media": each.media} for each in told.media]
    assert rows == [{"media": media}]
    dataset = Dataset(DatasetEntry(name="DF40"), manifest, root, found)
    (medium,) = told.media
    row = {"dataset": "DF40", "kind": "frames", "label": "fake", "pair_dataset": None, "aligned": False, **asdict(medium)}
    placed = Placed.of(dataset, {media}, pa.chunked_array([[media]])).selected(row)
    digests = ((path, hashlib.sha256(data).hexdigest()) for path, data in CLIPS.items())
    for _, source in open_all([(media, placed.file)], lambda key: None):
        assert [source.frame(number) for number in range(3)] == list(CLIPS.values())
        assert source.sha256() == clip_digest(digests)


def test_an_index_says_of_every_medium_where_it_lies(tmp_path: Path) -> None:
    manifest = find_manifest("DF40")
    root = write(tmp_path / "DF40", beside(CLIPS, ""))
    found, _ = look("DF40", root)
    rows = index_run(plan(manifest, root, found).tasks[0], None, Resources()).rows
    assert lying(rows) == {"simswap/ff/frames/000_003": "simswap.zip/simswap/ff/frames/000_003"}
