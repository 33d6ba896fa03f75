"""A corpus staged as a publication: in a folder beside its place, verified, and moved there in one step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from mmidd import __version__
from mmidd.corpus.about import MANIFEST, MEDIA, Listed, Shard
from mmidd.corpus.place import Folder
from mmidd.corpus.read import Corpus
from mmidd.corpus.target import link_or_copy, manifest_bytes
from mmidd.corpus.verify import verify
from mmidd.corpus.where import unknown
from mmidd.engine.faults import fault
from mmidd.engine.files import digest, disk_errors
from mmidd.errors import MmiddError, ShareError, UsageError
from mmidd.manifest import Manifest, bundled
from mmidd.share.beside import alone
from mmidd.share.card import files as card_files
from mmidd.share.publication.beside import Beside, put
from mmidd.share.publication.changes import CHANGELOG, MOST_CHANGELOG, changelog, changes
from mmidd.share.publication.format import (
    FORMAT,
    ORIGINAL,
    PUBLICATION,
    Publication,
    Redaction,
    Terms,
    labels_name,
)
from mmidd.share.publication.labels import listed, write_labels
from mmidd.share.publication.opened import Opened, open_publication
from mmidd.share.publication.redacted import Wish, redacted
from mmidd.share.publication.terms import terms_of
from mmidd.share.publication.written import document, publication_bytes
from mmidd.watch import NOBODY, Watch

_SHOWN = 3
LABEL_BYTES, LABEL_FILE = 400, 24_000
"""About what a row takes in `labels/`, and a file beside its rows."""
Previous = Opened | Literal["out"] | None
"""The publication before this one; "out": what the folder holds now."""


@dataclass(frozen=True)
class Plan:
    """What would be published: terms by dataset, rows by dataset and split, the bytes of the corpus's files that go (where
    something is redacted they come out a little smaller), and about how many the labels take."""

    terms: tuple[Terms, ...]
    rows: Mapping[str, Mapping[str, int]]
    files: Mapping[str, int]
    label_bytes: int
    redacted: tuple[Redaction, ...]
    silent: tuple[str, ...]
    """Datasets whose captions are withheld by their licence."""


@dataclass(frozen=True)
class Staged:
    """A publication in its folder. `changed`: was the folder written, or was it there already, to the byte?"""

    out: Path
    publication: Publication
    digest: str
    changed: bool

    @property
    def opened(self) -> Opened:
        """The folder, opened."""
        return open_publication(Folder(self.out))


@dataclass(frozen=True)
class _Wanted:
    """What is asked for, checked."""

    corpus: Corpus
    name: str
    labels_only: bool
    wish: Wish
    manifests: Mapping[str, Manifest]

    @property
    def terms(self) -> tuple[Terms, ...]:
        return terms_of(self.corpus, self.manifests, labels_only=self.labels_only, only=self.wish.only)

    @property
    def key(self) -> str:
        """Of all that shapes the files that a killed command leaves."""
        asked = [FORMAT, __version__, pa.__version__, self.labels_only, asdict(self.wish)]
        return digest(dict(self.corpus.about.content), asked, [asdict(each) for each in self.terms])


def plan(
    corpus: Corpus,
    *,
    labels_only: bool = False,
    redact: Iterable[Redaction] = (),
    only: Iterable[str] = (),
    manifests: Mapping[str, Manifest] | None = None,
) -> Plan:
    """What `stage` would make of a corpus, and why. Nothing is written; the corpus is verified."""
    wanted = _wanted(corpus, "plan", labels_only, redact, only, manifests)
    terms = wanted.terms
    going = {each.slug for each in terms if each.pixels}
    shards = [shard for shard in corpus.shards if shard.dataset in {each.slug for each in terms}]
    files = {shard.name: shard.bytes for shard in shards if shard.dataset in going} | {MEDIA: corpus.files[MEDIA].bytes}
    rows = _rows(terms, shards)
    complete = all(each.pixels for each in terms)
    label_bytes = 0 if complete else sum(LABEL_FILE + LABEL_BYTES * shard.rows for shard in shards)
    return Plan(terms, rows, files, label_bytes, wanted.wish.redact, wanted.wish.silent)


def stage(
    corpus: Corpus,
    out: Path,
    *,
    name: str,
    labels_only: bool = False,
    redact: Iterable[Redaction] = (),
    only: Iterable[str] = (),
    manifests: Mapping[str, Manifest] | None = None,
    previous: Previous = "out",
    repository: str | None = None,
    workers: int | None = None,
    watch: Watch = NOBODY,
) -> Staged:
    """Make the publication of a corpus in the folder `out`, which is new, empty, or holds a publication of that name.

    `only`: these datasets (by name or slug). `manifests`: by name, beside those that mmidd knows. `previous` is what the
    version and the changes are counted from. The same command ends in the same bytes, also after a kill at any moment; where
    nothing differs from the previous version, the version stays. Raises ShareError for a corpus that `mmidd verify` finds
    fault with, and for a folder that holds anything else; UsageError for names that are none.
    """
    wanted = _wanted(corpus, name, labels_only, redact, only, manifests)
    out = out.parent.resolve() / out.name
    root = Path(corpus.place.path("")).resolve()
    if not out.name or out.is_relative_to(root) or root.is_relative_to(out):
        raise UsageError(f"{out} is no place for a publication of {root}; choose a folder beside the corpus")
    with alone(out, "publication", ShareError), disk_errors(out):
        place = Beside(out, wanted.key)
        place.recover()
        there = _there(out, name)
        before = there if previous == "out" else previous
        place.begin()
        publication = _made(wanted, place, there, before, repository, workers, watch)
        data = publication_bytes(publication)
        sealed = digest(document(publication))
        if there is not None and there.digest == sealed and not there.check(watch):
            place.end()
            return Staged(out, publication, sealed, changed=False)
        put(place.made / PUBLICATION, data)
        open_publication(Folder(place.made))  # what cannot be read again takes nobody's place
        if Corpus(root).about.content != corpus.about.content:  # files are linked by name
            raise ShareError(f"{root} changed while it was published; run the same command again")
        place.swap({*publication.files, PUBLICATION}, sealed)
    return Staged(out, publication, sealed, changed=True)


def _wanted(
    corpus: Corpus, name: str, labels_only: bool, redact: Iterable[Redaction], only: Iterable[str],
    manifests: Mapping[str, Manifest] | None,
) -> _Wanted:  # fmt: skip
    where = corpus.place.path("")
    if not isinstance(corpus.place, Folder):
        raise ShareError(f"{where} lies elsewhere; a publication is made from a folder of this machine: download it first")
    if PUBLICATION in corpus.place.names():
        raise ShareError(f"{where} is a publication itself; publish the corpus that it is of")
    if corpus.about.derived is not None:
        raise ShareError(f"{where} is not published: {corpus.about.derived}. Publish the corpus that it was made of")
    if not 0 < len(name) <= 200 or not name.isprintable():
        raise UsageError("a publication's name is one line of 1 to 200 visible characters")
    if odd := [each for each in redact if each not in get_args(Redaction)]:
        raise UsageError(unknown("redaction", odd[0], get_args(Redaction)))
    found = verify(corpus.place)
    if found.findings:
        told = "; ".join(f"{each.where[0]} {each.what}" for each in found.findings[:_SHOWN])
        more = f"; and {len(found.findings) - _SHOWN} more" if len(found.findings) > _SHOWN else ""
        raise ShareError(f"{where} is not published, for `mmidd verify` finds fault with it: {told}{more}")
    known = dict(bundled())
    for key, manifest in (manifests or {}).items():
        if key in known and known[key].digest != manifest.digest:
            raise ShareError(f"a second manifest is named {key}; which of them holds is not known, so give it another name")
        known[key] = manifest
    chosen = tuple(sorted({_dataset(corpus, each) for each in only}))
    some = _Wanted(corpus, name, labels_only, Wish(chosen), known)
    silent = tuple(each.dataset for each in some.terms if not each.captions)
    asked = tuple(each for each in get_args(Redaction) if each in set(redact))
    if not some.terms:
        raise ShareError(f"{where} holds no rows, so there is nothing to publish")
    return replace(some, wish=Wish(chosen, asked, () if "captions" in asked else silent))


def _dataset(corpus: Corpus, named: str) -> str:
    datasets = {name: found.slug for name, found in corpus.about.datasets.items() if found.slug in corpus.datasets}
    found = next((name for name, slug in datasets.items() if named in (name, slug)), None)
    if found is None:
        raise UsageError(f"{corpus.place.path('')} holds no rows of it: {unknown('dataset', named, datasets)}")
    return found


def _rows(terms: Sequence[Terms], shards: Iterable[Shard]) -> dict[str, dict[str, int]]:
    datasets = {each.slug: each.dataset for each in terms}
    found: dict[str, dict[str, int]] = {}
    for shard in shards:
        splits = found.setdefault(datasets[shard.dataset], {})
        splits[shard.split] = splits.get(shard.split, 0) + shard.rows
    return found


def _there(out: Path, name: str) -> Opened | None:
    """The publication that the folder holds. Raises ShareError where it holds anything else."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ShareError(f"{out} is a link or a file; choose another --out")
    if not out.exists() or not any(out.iterdir()):
        return None
    try:
        found = open_publication(Folder(out))
    except MmiddError as error:
        raise ShareError(f"{out} holds something that is no publication; nothing was touched ({error})") from error
    if found.about.name != name:
        raise ShareError(f"{out} holds the publication {found.about.name!r}; nothing was touched. Choose another --out")
    if strange := sorted(found.place.names() - {*found.about.files, PUBLICATION}):
        told = ", ".join(strange[:_SHOWN]) + (f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else "")
        raise ShareError(f"{out} holds what is not of its publication ({told}); nothing was touched. Move it away")
    return found


def _made(
    wanted: _Wanted, place: Beside, there: Opened | None, before: Opened | None, repository: str | None,
    workers: int | None, watch: Watch,
) -> Publication:  # fmt: skip
    """Write all files but `publication.json`, and say what it is to say."""
    corpus = _source(wanted, place, watch)
    terms = terms_of(corpus, wanted.manifests, labels_only=wanted.labels_only)
    going = {each.slug for each in terms if each.pixels}
    files = {shard.name: corpus.files[shard.name] for shard in corpus.shards if shard.dataset in going}
    files[MEDIA] = corpus.files[MEDIA]
    for name in files:
        link_or_copy(Path(corpus.place.path(name)), place.made / name)
    for name in sorted({*corpus.files, MANIFEST} - {MEDIA, *(shard.name for shard in corpus.shards)}):
        link_or_copy(Path(corpus.place.path(name)), place.made / ORIGINAL / name)
        files[f"{ORIGINAL}/{name}"] = listed(place.made / ORIGINAL / name)
    fault("publication_linked", place.out)
    if not all(each.pixels for each in terms):
        if there is not None:
            _take_over(corpus, there, place.made)
        files |= write_labels(corpus, place.made, corpus.shards, workers=workers, watch=watch)
    rows = _rows(terms, corpus.shards)
    base = Publication(wanted.name, 1, __version__, corpus.about.content, terms, wanted.wish.redact, files, rows)
    finish = _finisher(corpus, wanted.manifests, repository)
    if before is None:
        publication, notes = finish(replace(base, changes=_changes(place, base, corpus, None)), None)
    else:
        text = before.read(CHANGELOG, MOST_CHANGELOG) if CHANGELOG in before.about.files else None
        said = before.about
        publication, notes = finish(
            replace(base, version=said.version, changes=said.changes, mmidd=said.mmidd), text, same=True
        )
        if document(publication) != document(said):
            counted = replace(base, version=said.version + 1, changes=_changes(place, base, corpus, before))
            publication, notes = finish(counted, text)
    for name, data in notes.items():
        put(place.made / name, data)
    fault("publication_written", place.out)
    return publication


def _source(wanted: _Wanted, place: Beside, watch: Watch) -> Corpus:
    """The corpus that is published: the one that was given, or what was asked for of it."""
    if wanted.wish.nothing:
        return wanted.corpus
    corpus = redacted(wanted.corpus, wanted.wish, place.corpus, watch)
    found = verify(corpus.place)
    if found.findings:
        raise ShareError(f"what was made of the corpus is not sound ({found.findings[0].where[0]} {found.findings[0].what})")
    fault("redacted", place.out)
    return corpus


def _take_over(corpus: Corpus, there: Opened, made: Path) -> None:
    """Labels that the folder has of the very same shards are not made again."""
    if there.about.mmidd != __version__:
        return
    for shard in corpus.shards:
        name = labels_name(shard.name)
        is_same = name in there.about.files and there.corpus.files.get(shard.name) == corpus.files[shard.name]
        if is_same and not (made / name).is_file() and not there.check(only=[name]):
            path = Path(there.place.path(name))
            if f"version {pa.__version__}" in pq.read_metadata(path).created_by:  # other versions write other bytes
                link_or_copy(path, made / name)


def _changes(place: Beside, base: Publication, corpus: Corpus, before: Opened | None) -> tuple[Mapping[str, Any], ...]:
    return changes(Opened(Folder(place.made), base, corpus.about), before)


Finish = Callable[..., tuple[Publication, dict[str, bytes]]]


def _finisher(corpus: Corpus, manifests: Mapping[str, Manifest], repository: str | None) -> Finish:
    def finish(about: Publication, text: bytes | None, *, same: bool = False) -> tuple[Publication, dict[str, bytes]]:
        """The publication with its cards. `text`: the changelog before it; with `same` it is this version's."""
        notes = {
            **card_files(corpus, about, manifests, repository),
            CHANGELOG: text if same and text else changelog(about, text),
        }
        files = {**about.files, **{name: _listed(data) for name, data in notes.items()}}
        if about.complete:
            told = {name: each.document() for name, each in files.items()}
            notes[MANIFEST] = manifest_bytes({**corpus.about.content, "files": told})
            files[MANIFEST] = _listed(notes[MANIFEST])
        return replace(about, files=dict(sorted(files.items()))), notes

    return finish


def _listed(data: bytes) -> Listed:
    return Listed(len(data), hashlib.sha256(data).hexdigest())
