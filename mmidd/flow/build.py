"""A build, top to bottom: the whole story in one function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmidd.corpus.target import Target
from mmidd.flow.captioning import Usage, usage
from mmidd.flow.finish import Built, assemble
from mmidd.flow.steps import Indexed, caption_all, curate_all, extract_all, index_all
from mmidd.project import Site


@dataclass(frozen=True)
class Report:
    """What there is to tell after a build."""

    indexed: Indexed
    built: Built
    captions: Usage | None = None


def build(
    site: Site, corpus: Target, *, allow_removals: bool, tell: Callable[[Indexed], None] = lambda indexed: None
) -> Report:
    """Bring the corpus up to date with the data, the recipe and the code; do only what is missing or stale.

    `tell` hears of the raw data before the long work begins.
    """
    with corpus.held():
        indexed = index_all(site)
        tell(indexed)
        extracted = extract_all(site, indexed)
        captions = caption_all(site, extracted)
        verdicts = curate_all(site, indexed, extracted)
        built = assemble(site, indexed, extracted, captions, verdicts, corpus, allow_removals=allow_removals)
        return Report(indexed, built, usage(site.store, captions.values()))


def shard_only(site: Site, corpus: Target, *, allow_removals: bool) -> Report:
    """Assemble the corpus from committed stages alone. Raises WorkError if one of them is not up to date."""
    with corpus.held():
        indexed = index_all(site)
        extracted = extract_all(site, indexed, run=False)
        captions = caption_all(site, extracted, run=False)
        verdicts = curate_all(site, indexed, extracted, run=False)
        built = assemble(site, indexed, extracted, captions, verdicts, corpus, allow_removals=allow_removals)
        return Report(indexed, built, usage(site.store, captions.values()))
