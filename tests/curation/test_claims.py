"""What the fakes' pixels say of their pairs, counted, and told as common where it is."""

from __future__ import annotations

import pytest

from mmidd.curation.claims import Claim, weigh
from mmidd.media import PairCheck


def fakes(method: str, check: PairCheck | None, count: int, *, unsure: bool = False) -> list[Claim]:
    return [Claim(("D", f"{method}/{check}/{unsure}/{number}"), method, check, unsure) for number in range(count)]


@pytest.mark.parametrize(
    ("claims", "common"),
    [
        (fakes("m", "proved", 9) + fakes("m", "other_picture", 1), []),
        (fakes("m", "proved", 8) + fakes("m", "other_picture", 2), [("m", "other_picture", 2, 10)]),
        (fakes("m", "proved", 80) + fakes("n", "other_time", 3), [("n", "other_time", 3, 3)]),
        (fakes("m", "unseen", 5) + fakes("m", "unchecked", 5), []),
        (fakes("m", None, 8) + fakes("m", None, 2, unsure=True), [("m", None, 2, 10)]),
    ],
    ids=["a tenth", "more", "of one method", "what stands", "whom"],
)
def test_what_more_than_a_tenth_of_a_methods_fakes_have_is_common(
    claims: list[Claim], common: list[tuple[str, str | None, int, int]]
) -> None:
    found = weigh(claims)["D"]
    assert [(each.method, each.check, each.count, each.fakes) for each in found.findings] == common
    assert all(each.advice and each.method in str(each) for each in found.findings)


def test_everything_but_proved_pairs_is_told_and_counted() -> None:
    claims = fakes("m", "proved", 7) + fakes("m", "other_size", 2) + fakes("m", None, 1, unsure=True)
    found = weigh(claims)["D"]
    assert found.counts == {"checked": 9, "proved": 7, "other_size": 2, "unsure_person": 1, "flagged": 1}
    assert [line.partition(" fakes")[0] for line in found.lines] == ["2 of 9 checked", "1"]
    assert weigh(fakes("m", None, 3)) == {}
