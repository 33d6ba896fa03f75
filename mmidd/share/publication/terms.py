"""What of each dataset may be published, and why: by its licence as its manifest states it. What is unknown is forbidden."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mmidd.corpus.read import Corpus
from mmidd.manifest import Manifest
from mmidd.share.publication.format import Terms


def terms_of(
    corpus: Corpus, manifests: Mapping[str, Manifest], *, labels_only: bool = False, only: Iterable[str] = ()
) -> tuple[Terms, ...]:
    """Of every dataset that has rows (or of `only` these), in the order of their names; `manifests` are known by name.

    Only where the manifest of that name says that crops may be passed on, and names the licence that all rows name, do
    pixels and masks go. Captions are sentences of mmidd's own and go, unless that manifest says that the licence forbids
    derivatives too.
    """
    told, wanted = corpus.rows(["dataset", "license"]), set(only)
    said: dict[str, set[str | None]] = {}
    for row in told.group_by(["dataset", "license"]).aggregate([]).to_pylist():
        said.setdefault(row["dataset"], set()).add(row["license"])
    slugs = {name: found.slug or "" for name, found in corpus.about.datasets.items()}
    return tuple(
        _terms(name, slugs.get(name, ""), said[name], manifests.get(name), labels_only)
        for name in sorted(said)
        if not wanted or name in wanted
    )


def _terms(dataset: str, slug: str, said: set[str | None], manifest: Manifest | None, labels_only: bool) -> Terms:
    rows = sorted(each or "none" for each in said)
    if manifest is None:
        why = "no manifest of its name is known, so nobody says that its pixels may be passed on"
        return Terms(dataset, slug, ", ".join(rows), "", None, False, False, True, why)
    licence = manifest.licence
    captions = licence.derivatives is not False or licence.redistributable
    if said != {licence.name}:
        why = f"its rows name another licence ({', '.join(rows)}) than its manifest ({licence.name}), so it is not known"
        return Terms(dataset, slug, ", ".join(rows), licence.url, None, False, False, captions, why)
    goes = licence.redistributable and not labels_only
    if goes:
        why = "its licence lets crops be passed on"
    elif licence.redistributable:
        why = "labels only were asked for"
    else:
        why = "its licence does not let crops be passed on" + ("" if captions else ", nor what is derived from it")
    return Terms(dataset, slug, licence.name, licence.url, licence.redistributable, goes, goes, captions, why)
