"""How media lay and were turned, by class and method: labels join here, after the pixels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from mmidd.engine.units import Outcome
from mmidd.media import Name, SampleFacts
from mmidd.stages.extract import Selected


@dataclass(frozen=True)
class Turned:
    """The media of one class and method whose rules speak of turning: how many, and of those that were turned how many by
    each angle (degrees clockwise). For `found` of them it was looked for, in `looks` pictures, and in `faceless` of them no
    face was found at any turn."""

    dataset: str
    label: Literal["real", "fake"]
    method: str | None
    media: int
    turned: Mapping[int, int]
    found: int
    faceless: int
    looks: int

    def __str__(self) -> str:
        kind = "reals" if self.label == "real" else f"fakes ({self.method or 'unknown'})"
        angles = ", ".join(f"{count:,} by {angle} degrees" for angle, count in self.turned.items())
        told = f"{sum(self.turned.values()):,} of {self.media:,} {kind} were turned upright{f': {angles}' if angles else ''}"
        if not self.found:
            return told
        unseen = f"; {self.faceless:,} show no face at any turn" if self.faceless else ""
        return f"{told}; {self.looks:,} pictures were looked at for it{unseen}"


def turned(selected: Mapping[Name, Selected], outcomes: Mapping[Name, Outcome]) -> tuple[Turned, ...]:
    """Of the media that were extracted and whose rules speak of turning, by dataset, class and method."""
    groups: dict[tuple[str, Literal["real", "fake"], str], list[SampleFacts]] = defaultdict(list)
    for name, medium in selected.items():
        facts = cast(SampleFacts, outcomes[name].facts) if name in outcomes else SampleFacts()
        if "turn" in facts:
            groups[medium.dataset, medium.label, medium.method or ""].append(facts)
    return tuple(
        _turned(*group, groups[group]) for group in sorted(groups, key=lambda each: (each[0], each[1] != "real", each))
    )


def _turned(dataset: str, label: Literal["real", "fake"], method: str, media: list[SampleFacts]) -> Turned:
    angles = Counter(facts["turn"] for facts in media if facts["turn"])
    faces = [facts["turn_faces"] for facts in media if "turn_faces" in facts]
    looks = sum(len(facts["turn_faces"]) * facts["turn_frames"] for facts in media if "turn_faces" in facts)
    faceless = sum(not any(each) for each in faces)
    return Turned(dataset, label, method or None, len(media), dict(sorted(angles.items())), len(faces), faceless, looks)
