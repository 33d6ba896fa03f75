from __future__ import annotations

import hashlib

import numpy as np
import pytest

from mmidd.share.publication.proofs import PROBE_BYTES, difference, pixels_sha256, probes, proof

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)


def test_probes_and_digests_never_change() -> None:
    ramp = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    assert pixels_sha256(ramp) == "3563c88143c569f47c4770ecd5c2091f407997b24ea7406fccf5a91b4d0841e3"
    told = probes("a" * 24, ramp)
    assert len(told) == PROBE_BYTES
    assert hashlib.sha256(told).hexdigest() == "694d6e191c522d092fcdf1a5e14cd1f57a73e1568351f3ee3a9ed09433ece97a"
    assert probes("a" * 24, ramp) != probes("b" * 24, ramp)
    assert proof("a", b"x", ramp).size == 1


@pytest.mark.parametrize(("by", "most"), [(0, 0), (1, 1), (-1, 1), (3, 3), (-7, 7), (8, 8)])
def test_probes_tell_a_difference_up_to_eight(by: int, most: int) -> None:
    moved = (PICTURE.astype(int) + by).astype(np.uint8)
    found = difference(probes("s", PICTURE), probes("s", moved))
    assert found.most == most
    assert found.within_one is (most <= 1)


def test_another_picture_is_never_within_one() -> None:
    other = np.random.default_rng(1).integers(0, 256, PICTURE.shape, dtype=np.uint8)
    assert not difference(probes("s", PICTURE), probes("s", other)).within_one
