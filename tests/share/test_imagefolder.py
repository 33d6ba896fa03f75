"""The imagefolder layout: what `datasets` and people find in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpus import made

from mmidd.corpus.read import Corpus
from mmidd.share.export.run import export


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small corpus as an imagefolder."""
    folder = tmp_path_factory.mktemp("imagefolder")
    export(Corpus(made.corpus(folder / "corpus")), "imagefolder", folder / "out")
    return folder / "out"


def _lines(folder: Path, split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / split / "metadata.jsonl").read_text().splitlines()]


def test_the_real_datasets_library_reads_every_row_with_its_image(exported: Path, tmp_path: Path) -> None:
    import datasets

    found = datasets.load_dataset("imagefolder", data_dir=str(exported), cache_dir=str(tmp_path / "cache"))
    written = {row["id"]: row for shard in made.SHARDS for row in (made.row(shard, n) for n in range(made.ROWS))}
    assert {split: len(rows) for split, rows in found.items()} == {"train": 14, "validation": 7, "test": 7}
    raw = {split: rows.cast_column("image", datasets.Image(decode=False)) for split, rows in found.items()}
    for row in [row for rows in raw.values() for row in rows]:
        of = written.pop(row["id"])
        assert Path(row["image"]["path"]).read_bytes() == of["image"]
        assert (row["label"], row["media"], row["frame"]) == (("real", "fake")[of["label"]], of["media"], of["frame"])
        assert (row["timestamp"], row["method"]) == (of["timestamp"], of["method"] or "")
        assert row["face_caption"] == (of["face_caption"] or "") and row["box"] == of["box"]
        assert row["sharpness"] == (None if of["frame"] == 1 else 1.5)
    assert not written and found["train"][0]["image"].size == (10, 8)


def test_files_lie_by_split_and_label_under_their_ids(exported: Path) -> None:
    for shard in made.SHARDS:
        split = shard.split("-")[0]
        for row in (made.row(shard, number) for number in range(made.ROWS)):
            label, ending = ("real", "fake")[row["label"]], ("jpg", "png", "webp")[row["frame"] % 3]
            assert (exported / split / label / f"{row['id']}.{ending}").read_bytes() == row["image"]
    assert {path.name for path in (exported / "train").iterdir()} == {"real", "fake", "metadata.jsonl"}


def test_masks_are_kept_beside_and_named(exported: Path) -> None:
    fakes = [line for line in _lines(exported, "train") if line["dataset"] == "Beta" and line["label"] == "fake"]
    assert len(fakes) == 3 and len(list((exported / "masks").iterdir())) == 6
    for line in fakes:
        assert (exported / line["mask"]).read_bytes() == made.picture(line["frame"], "PNG", "L")


def test_a_number_that_a_split_never_has_is_left_out_and_told(tmp_path: Path) -> None:
    corpus = Corpus(made.corpus(tmp_path / "corpus"))
    assert "runner_up" in export(corpus, "imagefolder", tmp_path / "all").left_out
    alpha = export(corpus.part(dataset="alpha"), "imagefolder", tmp_path / "alpha")
    assert "runner_up" not in alpha.left_out
    assert all(line["runner_up"] == 0.5 for line in _lines(tmp_path / "alpha", "train"))


def test_the_first_lines_hold_a_value_of_every_column_that_may_be_null(exported: Path, tmp_path: Path) -> None:
    corpus = Corpus(made.corpus(tmp_path / "corpus")).part("train", "alpha")
    export(corpus, "imagefolder", tmp_path / "out")
    lines = _lines(tmp_path / "out", "train")
    assert [line["frame"] for line in lines][:2] == [0, 4] and lines[1]["timestamp"] == 2.0
    assert len(lines) == len({line["id"] for line in lines}) == 7


def test_the_command_says_what_it_wrote_and_as_json_exactly_the_document(mmidd: Any, tmp_path: Path) -> None:
    made.corpus(tmp_path / "corpus")
    words = ["export", str(tmp_path / "corpus"), "--to", "imagefolder", "--out", str(tmp_path / "out")]
    said = mmidd(*words)
    assert said.code == 0 and "28 rows as 37 files" in said.out and "left out: runner_up" in said.out.replace("\n", " ")
    again = mmidd(*words, "--json")
    assert (again.code, again.err) == (0, "")
    assert again.document == export(Corpus(tmp_path / "corpus"), "imagefolder", tmp_path / "out").document()
    assert mmidd(*words[:3], "imagefoldre", *words[4:]).code == 2
