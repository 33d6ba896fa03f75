"""What the fakes' own pixels say of the pairs that are claimed for them, from the outcomes of extraction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from mmidd.curation.claims import Claim, Claims, weigh
from mmidd.engine.units import Outcome
from mmidd.media import Name, PairCheck, SampleFacts
from mmidd.stages.extract import Selected


def pair_checks(selected: Mapping[Name, Selected], outcomes: Mapping[Name, Outcome]) -> dict[Name, PairCheck]:
    """What was found of each fake whose pair was checked."""
    found: dict[Name, PairCheck] = {}
    for name, medium in selected.items():
        if medium.label == "fake" and medium.pair_media and name in outcomes:
            check = cast(SampleFacts, outcomes[name].facts).get("pair_check")
            if check is not None:
                found[name] = check
    return found


def claims(selected: Mapping[Name, Selected], outcomes: Mapping[Name, Outcome]) -> dict[str, Claims]:
    """What was found of the fakes of each dataset."""
    return weigh(_claims(selected, outcomes))


def _claims(selected: Mapping[Name, Selected], outcomes: Mapping[Name, Outcome]) -> list[Claim]:
    found = []
    for name, medium in selected.items():
        outcome = outcomes.get(name) if medium.label == "fake" else None
        facts = cast(SampleFacts, dict(outcome.facts)) if outcome is not None else SampleFacts()
        check = facts.get("pair_check")
        if outcome is not None and (outcome.status == "ok" or check is not None):  # one that was denied may give nothing
            told = facts.get("people", 1) > 1 and facts.get("choice") not in ("mask", "difference")
            found.append(Claim(name, medium.method or "unknown", check, told))
    return found
