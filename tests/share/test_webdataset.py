"""WebDataset tars: what the webdataset package, tarfile and a shell's tar find in them."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from corpus import made

from mmidd.corpus.read import Corpus
from mmidd.share.export import webdataset as ours
from mmidd.share.export.run import export
from mmidd.share.export.webdataset import samples_of_a_tar


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small corpus as tars."""
    folder = tmp_path_factory.mktemp("webdataset")
    export(Corpus(made.corpus(folder / "corpus")), "webdataset", folder / "out")
    return folder / "out"


def _written() -> dict[str, dict[str, Any]]:
    return {row["id"]: row for shard in made.SHARDS for row in (made.row(shard, n) for n in range(made.ROWS))}


def _as_written(samples: list[dict[str, Any]]) -> None:
    """Every row once, with its own bytes and labels."""
    written = _written()
    for sample in samples:
        row = written.pop(sample["__key__"])
        assert sample[("jpg", "png", "webp")[row["frame"] % 3]] == row["image"]
        assert sample.get("mask.png") == row["mask"] and int(sample["cls"]) == row["label"]
        told = json.loads(sample["json"])
        assert (told["id"], told["label"], told["media"]) == (row["id"], ("real", "fake")[row["label"]], row["media"])
        assert (told["method"], told["box"], told["frame"]) == (row["method"], row["box"], row["frame"])
        assert told["forgery_type"] == (None if row["forgery_type"] is None else ("REAL", "FS")[row["forgery_type"]])
        assert told["sharpness"] == (None if row["frame"] == 1 else 1.5) and told["face_caption"] == row["face_caption"]
    assert not written


def test_the_webdataset_package_reads_every_row_with_its_bytes_and_labels(exported: Path) -> None:
    import webdataset

    tars = sorted(str(path) for path in exported.glob("*.tar"))
    assert [Path(path).name for path in tars] == [
        "test-gamma-000000.tar", "train-alpha-000000.tar", "train-beta-000000.tar", "validation-beta-000000.tar",
    ]  # fmt: skip
    _as_written(list(webdataset.WebDataset(tars, shardshuffle=False)))
    decoded = next(iter(webdataset.WebDataset(tars[1], shardshuffle=False).decode("rgb8")))
    assert decoded["jpg"].shape == (8, 10, 3) and decoded["cls"] == 0 and decoded["json"]["label"] == "real"


def test_the_files_of_a_sample_stand_together_and_belong_to_nobody_and_no_time(exported: Path) -> None:
    samples: list[dict[str, Any]] = []
    for path in sorted(exported.glob("*.tar")):
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                assert (member.mtime, member.uid, member.gid, member.uname, member.mode) == (0, 0, 0, "", 0o644)
                if not samples or samples[-1]["__key__"] != key:
                    samples.append({"__key__": key})
                file = tar.extractfile(member)
                assert file is not None and member.isreg()
                samples[-1][ending] = file.read()
    _as_written(samples)


def test_a_tar_holds_so_many_samples_and_the_last_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "_MOST_SAMPLES", 3)
    corpus = Corpus(made.corpus(tmp_path / "corpus")).part("train", "alpha")
    export(corpus, "webdataset", tmp_path / "out")
    counts = {}
    for path in sorted((tmp_path / "out").glob("*.tar")):
        with tarfile.open(path, "r:") as tar:
            counts[path.name] = len({name.partition(".")[0] for name in tar.getnames()})
    assert counts == {"train-alpha-000000.tar": 3, "train-alpha-000001.tar": 3, "train-alpha-000002.tar": 1}


@pytest.mark.parametrize(
    ("rows", "size", "each"), [(1, 1, 1), (7, 0, 7), (1_000_000, 25 * 10**9, 10_000), (1000, 10**12, 1), (1000, 10**10, 100)]
)
def test_a_tar_is_about_a_gigabyte_and_ten_thousand_samples_at_most(rows: int, size: int, each: int) -> None:
    assert min(rows, samples_of_a_tar(rows, size)) == each


def test_a_row_without_a_label_has_no_class_file(tmp_path: Path) -> None:
    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        rows[1]["label"] = None

    export(Corpus(made.corpus(tmp_path / "corpus", change)).part("train", "alpha"), "webdataset", tmp_path / "out")
    with tarfile.open(tmp_path / "out" / "train-alpha-000000.tar", "r:") as tar:
        assert sum(name.endswith(".cls") for name in tar.getnames()) == 6


def test_the_command_exports_a_part_and_goes_on_where_it_was(
    mmidd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.corpus(tmp_path / "corpus")
    part = ["--split", "train", "--dataset", "Beta"]
    words = ["export", str(tmp_path / "corpus"), "--to", "webdataset", "--out", str(tmp_path / "out"), *part]
    monkeypatch.setenv("MMIDD_FAULT", f"marked:2:ENOSPC:{tmp_path / 'tally'}")
    said = mmidd(*words)
    assert said.code == 1 and "Mend it, then run the same command to go on" in said.err.replace("\n", " ")
    monkeypatch.delenv("MMIDD_FAULT")
    said = mmidd(*words)
    assert said.code == 0 and "7 rows as 1 files" in said.out and "6 of them from before it was cut off" in said.out
    assert "going on after the 6 of 7 rows" in said.err and "export: 7 rows, 6 up to date" in said.err
    assert mmidd(*words[:5], str(tmp_path / "none"), "--dataset", "Alpa").code == 1
