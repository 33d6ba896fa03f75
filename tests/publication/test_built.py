"""A publication of what a build gave: real crops with masks and captions, every dataset of the sample."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
from conftest import Build

from mmidd.corpus.read import Corpus
from mmidd.share.publication.stage import stage

from . import sound


def test_a_built_corpus_is_published_and_redacted_whole(built: Build, tmp_path: Path) -> None:
    corpus = Corpus(built.out)
    plain = stage(corpus, tmp_path / "plain", name="a/b").opened
    assert len(plain) == built.samples and plain.check() == ()
    assert [each.dataset for each in plain.about.terms if each.pixels] == ["FFHQ"]
    assert plain.rows(["mask_sha256"])["mask_sha256"].null_count < len(plain)
    redacted = stage(corpus, tmp_path / "redacted", name="a/b", redact=["paths", "identities"]).opened
    assert len(redacted) == built.samples and redacted.check() == ()
    both = (each.rows(["image_sha256", "mask_pixels_sha256", "face_caption"]).to_pydict() for each in (plain, redacted))
    assert next(both) == next(both)
    known = {row["media"] for row in corpus.media.to_pylist()} | {row["target_id"] for row in corpus.media.to_pylist()}
    for name in sound.files(tmp_path / "redacted"):
        if name.endswith(".parquet"):
            for column in ("media", "group", "pair_media", "target_id", "source_id"):
                told = pq.read_table(tmp_path / "redacted" / name, columns=[column])[column].unique().to_pylist()
                assert not {each and each.partition("/")[2] for each in told} & known - {"", None} and not {
                    *told
                } & known - {None}
