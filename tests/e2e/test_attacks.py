"""Presentation attacks through every stage: columns, counts, losses, card, publication; and a corpus without any as ever."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Build, Said

from mmidd.corpus.read import Corpus
from mmidd.schema import IF_ANY

Run = Callable[..., Said]
RECIPE = (
    "name: attacks\ndatasets: [MSU-MFSD]\nframes: {count: 2}\ndetector: {kind: mtcnn, size: 128}\ncaptioner: attributes\n"
)
SHOWN = ("printed_photo", "ipad_video")
PEOPLE = {"000": "002", "002": "001"}
"""Two clips of which the sample has two fakes, and who they are here: of train and of test."""


@pytest.fixture
def place(sample_data: Path, tmp_path: Path) -> Path:
    """Clips of the sample as live ones and as attacks, of a person of train and of one of test."""
    scene = tmp_path / "data/MSU-MFSD/scene01"
    for folder in ("real", "attack"):
        (scene / folder).mkdir(parents=True)
    ours = sample_data / "FaceForensics++"
    for clip, who in PEOPLE.items():
        real = ours / f"original_sequences/youtube/c23/videos/{clip}.mp4"
        shutil.copy(real, scene / f"real/real_client{who}_android_SD_scene01.mp4")
        fakes = sorted(ours.glob(f"manipulated_sequences/*/c23/videos/{clip}_*.mp4"))
        for fake, shown in zip(fakes, SHOWN, strict=True):
            shutil.copy(fake, scene / f"attack/attack_client{who}_android_SD_{shown}_scene01.mp4")
    (tmp_path / "attacks.yaml").write_text(RECIPE)
    return tmp_path


def test_attacks_are_fakes_of_a_family_and_an_instrument_everywhere(place: Path, mmidd: Run) -> None:
    out, work = place / "corpus", place / "work"
    told = mmidd("build", str(place / "attacks.yaml"), "--data", str(place / "data"), "--out", str(out), "--work", str(work))
    assert told.code == 0
    assert "REAL 4, print 4, replay 4" in told.out + told.err
    assert mmidd("verify", str(out)).code == 0

    corpus = Corpus(out)
    names = ("label", "forgery_type", "method", "attack", "target_id")
    rows = corpus.rows(names).to_pylist()
    assert {tuple(row[name] for name in names) for row in rows} == {
        each
        for who in ("001", "002")
        for each in (
            (0, 0, None, None, who),
            (1, None, "MSU-print", "print", who),
            (1, None, "MSU-ipad", "replay", who),
        )
    }
    media = corpus.media.to_pylist()
    assert {(row["method"], row["attack"]) for row in media} == {
        (None, None),
        ("MSU-print", "print"),
        ("MSU-ipad", "replay"),
    }
    card = (out / "README.md").read_text()
    assert "| MSU-MFSD | attack: print (a printed picture) | 2 | 0 | 2 | 4 |" in card and "type unknown" not in card
    assert "| method |  | MSU-ipad | 2 | 0 |" in card and "| class |  | replay | 2 | 0 |" in card

    status = mmidd("status", str(work), "--json")
    assert status.code == 0 and '"MSU-ipad"' in status.out
    published = mmidd("publish", str(out), "--out", str(place / "published"))
    assert published.code == 0
    text = (place / "published/README.md").read_text()
    assert "attack: replay (a picture or video on a screen)" in text and "type unknown" not in text
    assert "attack" in pq.read_schema(place / "published/media.parquet").names


def test_a_corpus_without_attacks_has_no_more_columns_than_before(built: Build) -> None:
    written = pq.read_schema(built.out / "media.parquet").names
    media = Corpus(built.out).media
    assert [*written, *IF_ANY] == media.column_names and media["attack"].null_count == len(media)
