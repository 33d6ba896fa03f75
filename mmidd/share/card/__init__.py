"""The dataset card of a publication, and what lies beside it: croissant.json, CITATION.cff, LICENSES.md, a picture."""

from __future__ import annotations

from collections.abc import Mapping

from mmidd.corpus.read import Corpus
from mmidd.manifest import Manifest
from mmidd.share.card import picture
from mmidd.share.card.citation import cff
from mmidd.share.card.croissant import croissant
from mmidd.share.card.facts import Facts
from mmidd.share.card.licences import licences
from mmidd.share.card.readme import readme
from mmidd.share.publication.format import Publication


def files(
    corpus: Corpus, publication: Publication, manifests: Mapping[str, Manifest], repository: str | None
) -> Mapping[str, bytes]:
    """The files that describe a publication, by name. `corpus` is what is published, `publication.files` what is staged of
    it already; `repository` is ORG/NAME, None for a folder. Of equal arguments the same bytes: no time, host or path.
    Raises CorpusError for a corpus that cannot be read, or an image to be shown that does not decode."""
    facts = Facts(corpus, publication, manifests, repository)
    shown = picture.name(facts)
    return {
        "README.md": readme(facts, shown),
        "CITATION.cff": cff(facts),
        "croissant.json": croissant(facts),
        "LICENSES.md": licences(facts),
        shown: picture.picture(facts),
    }
