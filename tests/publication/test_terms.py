from __future__ import annotations

from pathlib import Path

import pytest

from mmidd.manifest import load_manifest, shipped
from mmidd.share.publication.terms import terms_of

from . import sound


@pytest.mark.parametrize(
    ("free", "derivatives", "licence", "labels_only", "pixels", "captions", "known", "why"),
    [
        (True, None, sound.LICENCE, False, True, True, True, "lets crops be passed on"),
        (False, None, sound.LICENCE, False, False, True, False, "does not let crops"),
        (False, True, sound.LICENCE, False, False, True, False, "does not let crops"),
        (False, False, sound.LICENCE, False, False, False, False, "nor what is derived"),
        (True, None, sound.LICENCE, True, False, True, True, "labels only"),
        (True, None, "Another Licence", False, False, True, None, "name another licence"),
        (None, None, "", False, False, True, None, "no manifest"),
    ],
)  # fmt: skip
def test_what_is_not_known_to_be_allowed_is_forbidden(
    free: bool | None, derivatives: bool | None, licence: str, labels_only: bool, pixels: bool, captions: bool,
    known: bool | None, why: str, tmp_path: Path,
) -> None:  # fmt: skip
    corpus = sound.corpus(tmp_path / "corpus", shards=["train-alpha"])
    text = sound.manifest("Alpha", redistributable=bool(free), derivatives=derivatives, licence=licence)
    manifests = {} if free is None else {"Alpha": load_manifest(text, "made")}
    (found,) = terms_of(corpus, manifests, labels_only=labels_only)
    assert (found.dataset, found.slug) == ("Alpha", "alpha")
    assert (found.pixels, found.masks, found.captions, found.redistributable) == (pixels, pixels, captions, known)
    assert why in found.why


def test_rows_of_two_licences_are_forbidden(tmp_path: Path) -> None:
    def two(shard: str, rows: sound.Rows) -> None:
        for row in rows[:2]:
            row["license"] = None

    (found,) = terms_of(sound.corpus(tmp_path / "corpus", two, ["train-alpha"]), sound.manifests())
    assert not found.pixels and found.licence == "Made Licence, none"


def test_derivatives_move_no_digest_of_a_manifest() -> None:
    texts = [sound.manifest("Alpha", redistributable=False, derivatives=each) for each in (None, False, True)]
    assert len({load_manifest(text, "made").digest for text in texts}) == 1
    assert not any(each.licence.derivatives for each in shipped().values())  # no agreement that we know of speaks of them
