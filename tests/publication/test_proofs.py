from __future__ import annotations

import hashlib
import io

import numpy as np
import PIL.Image
import pytest

from mmidd.corpus.pictures import decoded
from mmidd.extraction.replay import pixels_of
from mmidd.share.publication.proofs import PROBE_BYTES, difference, pixels_sha256, probes, proof

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)


def test_probes_and_digests_never_change() -> None:
    ramp = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    assert pixels_sha256(ramp) == "3563c88143c569f47c4770ecd5c2091f407997b24ea7406fccf5a91b4d0841e3"
    told = probes("a" * 24, ramp)
    assert len(told) == PROBE_BYTES
    assert hashlib.sha256(told).hexdigest() == "893f31209270d8ce57cb4b45bd907f0c483213f8ef35a8deca599be5ecd5652a"
    assert probes("a" * 24, ramp) != probes("b" * 24, ramp)
    assert proof("a", b"x", ramp).size == 1


@pytest.mark.parametrize("by", range(256))
def test_probes_tell_a_difference_up_to_six_and_of_a_larger_one_the_least_that_it_is(by: int) -> None:
    dark = np.minimum(PICTURE, 255 - by)
    found = difference(probes("s", dark), probes("s", dark + np.uint8(by)))
    assert found == difference(probes("s", dark + np.uint8(by)), probes("s", dark))
    assert found.within_one is (by <= 1)
    assert found.most == by if by <= 6 else 2 <= found.most <= 8


@pytest.mark.parametrize(("by", "share"), [(2, 0.018), (10, 0.018), (11, 0.024), (16, 0.036), (180, 0.07)])
def test_within_one_is_said_of_one_picture_in_a_hundred_where_so_many_values_differ(by: int, share: float) -> None:
    draw = np.random.default_rng(5)
    dark, said = (PICTURE % (256 - by)).astype(np.uint8), 0
    for number in range(2000):
        other = dark + np.uint8(by) * (draw.random(dark.shape) < share).astype(np.uint8)
        said += difference(probes(f"{number}", dark), probes(f"{number}", other)).within_one
    assert said < 35  # at most 20 are expected; 35 are three standard deviations more


def test_another_picture_is_never_within_one() -> None:
    other = np.random.default_rng(1).integers(0, 256, PICTURE.shape, dtype=np.uint8)
    assert not difference(probes("s", PICTURE), probes("s", other)).within_one


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_what_is_published_and_what_is_made_again_are_decoded_to_the_same_pixels(kind: str) -> None:
    """By Pillow, by what publishes and by what compares: their decoders are three copies of one library."""
    out = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(PICTURE[:63, :47])).save(out, kind, quality=90)
    by_pillow = np.asarray(PIL.Image.open(out).convert("RGB"))
    found = {pixels_sha256(each) for each in (by_pillow, decoded(out.getvalue(), ""), pixels_of(out.getvalue()))}
    assert len(found) == 1
