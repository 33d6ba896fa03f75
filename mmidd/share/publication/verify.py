"""Is a publication as it was published? By its files alone; one with all pixels also as the corpus that it is."""

from __future__ import annotations

from pathlib import Path

from mmidd.corpus.about import MEDIA
from mmidd.corpus.place import Folder, Place, place_of
from mmidd.corpus.read import read_about
from mmidd.corpus.verify import Verified
from mmidd.corpus.verify import verify as verify_corpus
from mmidd.errors import CorpusError
from mmidd.share.publication.format import PUBLICATION
from mmidd.share.publication.opened import open_publication
from mmidd.watch import NOBODY, Watch


def verify(where: str | Path | Place, watch: Watch = NOBODY) -> Verified:
    """Compare every file with `publication.json`, and where every dataset has its pixels every row with its medium. Raises
    CorpusError and ShareError as `open_publication`."""
    opened = open_publication(where)
    if opened.complete:
        about = read_about(opened.place)
        listed = about.files if about is not None else {}
        # What both list alike is read once, as the corpus's; but a damaged media table would be told twice there.
        others = sorted(name for name, each in opened.about.files.items() if name == MEDIA or listed.get(name) != each)
        found = list(opened.check(watch, others))
        known = {finding.where for finding in found}
        found += [each for each in verify_corpus(opened.place).findings if each.where not in known]
    else:
        found = list(opened.check(watch))
    media = 0 if any(MEDIA in each.where for each in found) else opened.media.num_rows
    return Verified(len(opened.about.files), len(opened), media, tuple(found))


def published(where: str | Path) -> Place | None:
    """Where there is a `publication.json`, in a folder or a repository at hf://; None where there is none."""
    if not str(where).startswith("hf://"):
        return Folder(Path(where)) if (Path(where) / PUBLICATION).is_file() else None
    try:
        return place_of(where, PUBLICATION)
    except CorpusError:
        return None
