"""The files of a publication on this machine: a folder as it lies, or of the Hub those that are needed, at one commit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmidd.corpus.about import MEDIA, PUBLICATION
from mmidd.corpus.place import Hub, place_of
from mmidd.engine.faults import fault
from mmidd.engine.files import disk_errors, sha256_file, write_text
from mmidd.errors import CorpusError, ShareError
from mmidd.share.hub.client import quietly
from mmidd.share.publication.format import LABELS, MOST_BYTES, ORIGINAL
from mmidd.share.publication.opened import Opened, address, open_publication
from mmidd.watch import Watch

FOLDER, PINNED = "publication", "pinned.json"
"""In the work folder: what was fetched, and of which commit."""
_AT_ONCE = 8


@dataclass(frozen=True)
class Fetched:
    """A publication whose `publication.json`, labels, media table and own corpus files lie in `folder`, as they are listed.
    `hub`: where more comes from; None where all of it lies there. `notes`: what is to be known of that."""

    opened: Opened
    folder: Path
    hub: _Pinned | None = None
    notes: tuple[str, ...] = ()

    def file(self, name: str) -> Path:
        """A file that is listed, checked: fetched where it is not there. Raises ShareError."""
        if self.hub is not None:
            self.hub.fetch(self.opened, self.folder, [name])
        else:
            _check(self.opened, [name])
        return self.folder / name


@dataclass(frozen=True)
class _Pinned:
    """A dataset repository at one commit; no `place` where the Hub cannot be asked, and what was fetched has to do."""

    where: str
    commit: str
    place: Hub | None

    def fetch(self, opened: Opened, folder: Path, names: Iterable[str]) -> None:
        """Bring these files into the folder, and check each against what is listed."""
        missing = [name for name in names if not _is_there(opened, folder, name)]
        if not missing:
            return
        place = self.place
        if place is None:
            raise ShareError(f"{self.where} cannot be reached, and {missing[0]} was not fetched before: try again")
        listed = opened.about.files
        with quietly(), ThreadPoolExecutor(_AT_ONCE) as pool:
            for name in pool.map(lambda name: _bring(place, folder, name, listed[name].bytes), missing):
                fault("fetched", name, folder / name)
                if not _is_there(opened, folder, name):
                    (folder / name).unlink(missing_ok=True)
                    raise ShareError(
                        f"{self.where} serves another {name} than {PUBLICATION} lists: try again; if it stays so, tell its "
                        "owner"
                    )


def _bring(place: Hub, folder: Path, name: str, most: int) -> str:
    """Bring one file, whatever lies there; one of more than `most` bytes is not asked for."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import GatedRepoError

    faults: tuple[type[Exception], ...] = (*place.faults, ValueError)
    try:
        if place.size(name) > most:
            raise ShareError(f"{place.path(name)} is larger than it may be ({most:,} bytes): tell its owner")
        with disk_errors(folder):
            hf_hub_download(
                place.repo, name, repo_type="dataset", revision=place.commit, local_dir=folder, endpoint=place.fs.endpoint,
            )  # fmt: skip
    except GatedRepoError:
        raise ShareError(f"{place.address} is gated: ask for access on its page, then `hf auth login`") from None
    except faults as error:
        raise ShareError(
            f"{place.path(name)} cannot be fetched ({type(error).__name__}); run the same command to go on"
        ) from None
    return name


def fetched(where: str | Path, work: Path, watch: Watch) -> Fetched:
    """A publication in a folder, or at ORG/NAME[@REVISION] or hf://datasets/ORG/NAME[@REVISION]: there its metadata are
    fetched into the work folder, where a killed run goes on. Raises CorpusError and ShareError for none that is sound."""
    found = address(where)
    if not str(found).startswith("hf://"):
        opened = open_publication(Path(found))
        _check(opened, _metadata(opened))
        return Fetched(opened, Path(found))
    pinned = _pinned(str(found), work)
    folder = work / FOLDER
    if pinned.place is not None:
        (folder / PUBLICATION).unlink(missing_ok=True)
        with quietly():
            _bring(pinned.place, folder, PUBLICATION, MOST_BYTES)
    opened = open_publication(folder)
    names = _metadata(opened)
    watch.begin("fetch", len(names), 0, "files")
    pinned.fetch(opened, folder, names)
    watch.end()
    notes = (f"{found} cannot be reached; what was fetched of commit {pinned.commit[:12]} before is used",)
    return Fetched(opened, folder, pinned, () if pinned.place is not None else notes)


def _pinned(where: str, work: Path) -> _Pinned:
    """The commit that is read: the one that the address names now, or, where the Hub cannot be asked, the one before."""
    try:
        place = place_of(where, PUBLICATION)
    except CorpusError:
        with suppress(OSError, ValueError, LookupError, TypeError):
            before = json.loads((work / PINNED).read_text(encoding="utf-8"))
            if before["where"] == where and (work / FOLDER / PUBLICATION).is_file():
                return _Pinned(where, str(before["commit"]), None)
        raise
    if not isinstance(place, Hub):
        raise ShareError(f"{where} is no dataset repository")
    about = {"where": where, "commit": place.commit}
    write_text(work / PINNED, json.dumps(about), scratch=work)
    return _Pinned(where, place.commit, place)


def _metadata(opened: Opened) -> list[str]:
    return sorted(name for name in opened.about.files if name == MEDIA or name.partition("/")[0] in (LABELS, ORIGINAL))


def _is_there(opened: Opened, folder: Path, name: str) -> bool:
    listed, path = opened.about.files[name], folder / name
    return path.is_file() and path.stat().st_size == listed.bytes and sha256_file(path) == listed.sha256


def _check(opened: Opened, names: Iterable[str]) -> None:
    """Raises ShareError for a file that is not as it is listed."""
    for finding in opened.check(only=list(names)):
        raise ShareError(f"{opened.place.path(finding.where[0])} {finding.what}; get the publication again")
