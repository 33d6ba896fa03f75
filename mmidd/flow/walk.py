"""The order of the stages, written once. Every command that builds, plans, tells or cleans up is one walk.

    index -> extract (reals, then fakes on their tracks) -> caption -> curate -> shard

A step (`steps.py`) says what its stage has to do; a walker (`walkers.py`) what comes of it: `Build` does it, `Build(only)`
does one stage and wants the others done, `Look` says how far all is and writes nothing. A new stage is one file in
`stages/`, one step, and one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmidd.flow import steps
from mmidd.flow.indexing import Indexed, refuse_barren, refuse_unlisted
from mmidd.flow.setup import Setup
from mmidd.flow.steps import Extracted, Sharded
from mmidd.flow.unreached import refuse_unreached
from mmidd.flow.walkers import Reached, Walker

STAGES = ("index", "extract", "caption", "curate", "shard")


@dataclass(frozen=True)
class Walked:
    """What every step reached. None: the step was not come to, or has nothing to do by the recipe."""

    index: Indexed
    crops: Extracted | None = None
    captions: Reached | None = None
    verdicts: Reached | None = None
    shards: Sharded | None = None


def walk(
    setup: Setup, walker: Walker, until: str = "shard", *, tell: Callable[[Indexed], None] = lambda indexed: None
) -> Walked:
    """Walk the stages as far as `until`. `tell` hears of the raw data before the long work begins."""
    index = steps.index_media(setup, walker)
    tell(index)
    if until == "index":
        return Walked(index)
    refuse_unreached(setup, index)
    refuse_barren(setup, index)
    refuse_unlisted(setup, index)
    crops = steps.extract_samples(setup, index, walker)
    if until == "extract":
        return Walked(index, crops)
    captions = steps.caption_samples(setup, crops, walker) if until != "curate" else None
    if until == "caption":
        return Walked(index, crops, captions)
    verdicts = steps.curate_samples(setup, index, crops, walker)
    if until == "curate":
        return Walked(index, crops, captions, verdicts)
    shards = steps.write_shards(setup, index, crops, captions, verdicts, walker)
    return Walked(index, crops, captions, verdicts, shards)
