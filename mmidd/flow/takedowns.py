"""Takedown in a build: whom the list covers by all that is known here, and what is kept of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from typing import Any, cast

import pyarrow as pa

from mmidd.engine import tables
from mmidd.engine.store import Store
from mmidd.engine.units import Outcome, dataset_of
from mmidd.flow.digesting import learn
from mmidd.flow.kept import keep_hits
from mmidd.flow.setup import Setup
from mmidd.media import Name, SampleFacts
from mmidd.stages import extract
from mmidd.stages.extract import Selected
from mmidd.takedown import Cover, Exclusions, Hit, Of, hits_of, is_sha256, taken_down

NAMED_BY = ("dataset", "media", "target_id", "source_id", "pair_dataset", "pair_media", "pair_candidates", "group_keys")
"""The columns of the index by which a takedown list finds media."""


def covered(
    setup: Setup, rows: Collection[Mapping[str, Any]], sha256: Of, outcomes: Mapping[Name, Outcome] | None = None
) -> dict[Name, Cover]:
    """The media that the list covers; `outcomes` are those of extraction, once there are any: they name what media show."""
    if setup.excluded == Exclusions():
        return {}
    return taken_down(rows, sha256, known(setup, {row["dataset"] for row in rows}), pixels_of(outcomes or {}))


def known(setup: Setup, datasets: Iterable[str]) -> Exclusions:
    """The list, and what was known of the files that its lines name before they went."""
    return setup.excluded.hitting(_seen(setup, datasets))


def _seen(setup: Setup, datasets: Iterable[str]) -> Iterator[Hit]:
    for dataset in datasets:
        for media, about in setup.digests.all(dataset).items():
            mine = (about.sha256,) if is_sha256(about.sha256) else ()
            if (dataset, media) in setup.excluded.media:
                yield Hit(dataset, media, f"media:{dataset}/{media}", "named", mine)
            elif about.sha256 in setup.excluded.sha256:
                yield Hit(dataset, media, f"sha256:{about.sha256}", "named", mine)


def pixels_of(outcomes: Mapping[Name, Outcome]) -> Of:
    """What names a medium's samples: equal crops of equal frames, equal digest."""

    def pixels(name: Name) -> str | None:
        outcome = outcomes.get(name)
        return _pixels(outcome) if outcome is not None and outcome.ok else None

    return pixels


def _pixels(outcome: Outcome) -> str | None:
    return cast(SampleFacts, outcome.facts).get("pixels")


def keep(setup: Setup, found: Mapping[Name, Cover], media: Iterable[Selected], outcomes: Mapping[Name, Outcome]) -> None:
    """Keep what the list covers for good: names, digests of bytes (taken now where they are not known) and of samples.

    The caller holds the work folder's lock.
    """
    old = {hit.name for hit in setup.excluded.hits}
    learn(setup.digests, media)
    lasting = _seen(setup, {name[0] for name in found} | {name[0] for name in setup.excluded.media})
    hits = [*hits_of(found, last_sha256(setup), pixels_of(outcomes)), *lasting]
    for outcome in committed(setup.store, found.keys() - old):
        name = (outcome.dataset, outcome.media)
        pixels = _pixels(outcome)
        hits.append(Hit(*name, found[name].line, found[name].how, pixels=(pixels,) if pixels else ()))
    if setup.excluded.hitting(hits).hits != setup.excluded.hits:
        keep_hits(setup.store, hits)


def committed(store: Store, names: Set[Name]) -> Iterator[Outcome]:
    """How these media ended in the extractions that are in the work folder, whatever build they are of."""
    datasets = {dataset for dataset, _ in names}
    for record in store.records(extract.STAGE.name) if names else ():
        if dataset_of(record.unit) in datasets:
            found = tables.read_outcomes(store, record)
            yield from (each for each in found if each.ok and (each.dataset, each.media) in names)


def last_sha256(setup: Setup) -> Of:
    """What a medium's digest was when it was last taken, by its name; None where it never was."""

    def sha256(name: Name) -> str | None:
        about = setup.digests.last(*name)
        return about.sha256 if about else None

    return sha256


def named(setup: Setup, media: pa.Table) -> list[tables.LightRow]:
    """The media by what a takedown list may name; none where there is no list."""
    return tables.light_rows(media, NAMED_BY) if setup.excluded != Exclusions() else []
