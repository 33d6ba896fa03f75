"""What extraction lost, from the index and the outcomes: labels join here, after the pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import cast

import pyarrow as pa

from mmidd.curation.losses import Loss, Losses, measure
from mmidd.curation.one_sided import PairFrames, compare
from mmidd.engine import tables
from mmidd.engine.units import Outcome
from mmidd.flow.pair_checks import claims
from mmidd.media import Name, SampleFacts
from mmidd.stages.extract import Selected

_NONE: Mapping[str, int] = MappingProxyType({})
_COLUMNS = ("dataset", "media", "label", "forgery_type", "attack", "method", "pair_dataset", "pair_media")


def losses(selected: Mapping[Name, Selected], media: pa.Table, outcomes: Mapping[Name, Outcome]) -> Losses:
    """The losses of the media that have an outcome; others were never extracted. `media` are their rows of the index,
    with their attacks."""
    sides, found = compare(_pairs(selected, outcomes)), claims(selected, outcomes)
    return replace(measure(_losses(media, outcomes)), sides=sides, claims=found)


def _pairs(selected: Mapping[Name, Selected], outcomes: Mapping[Name, Outcome]) -> Iterator[PairFrames]:
    """The fakes whose real was extracted too, each with it."""
    for name, medium in selected.items():
        if medium.label == "fake" and medium.pair_name != name and name in outcomes and medium.pair_name in outcomes:
            yield PairFrames(name, medium.pair_name, _shown(outcomes[name]), _shown(outcomes[medium.pair_name]))


def _shown(outcome: Outcome) -> frozenset[int]:
    """The frames that gave a sample."""
    return frozenset(cast(SampleFacts, outcome.facts).get("frames", ())) - {frame for frame, _, _ in outcome.reasons}


def _losses(media: pa.Table, outcomes: Mapping[Name, Outcome]) -> Iterator[Loss]:
    columns = (tables.shared(media[name]) for name in _COLUMNS)
    for dataset, name, label, kind, attack, method, pair_dataset, pair_media in zip(*columns, strict=True):
        outcome = outcomes.get((dataset, name))
        if outcome is not None:
            pair = (pair_dataset or dataset, pair_media) if pair_media else None
            yield Loss(
                dataset, name, label, kind or attack or "unknown", method, pair,
                outcome.planned, outcome.dropped, outcome.failed,
                Counter(reason for _, _, reason in outcome.reasons) if outcome.reasons else _NONE,
                outcome.error,
            )  # fmt: skip
