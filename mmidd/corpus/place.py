"""Where a corpus lies: a folder of this machine, or a dataset repository of the Hugging Face Hub, read in place."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from mmidd.corpus.about import MANIFEST, PUBLICATION
from mmidd.errors import CorpusError

_HUB = "hf://"
_ADDRESS = re.compile(r"hf://datasets/(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^\s@]+))?/?")
_PIECE = 1 << 20


class Place(Protocol):
    """A folder of files, by their POSIX names in it. What cannot be read is one of `faults`; a link that leads out of the
    folder a CorpusError."""

    @property
    def name(self) -> str:
        """The folder's own name."""

    @property
    def remote(self) -> bool:
        """Does reading cost a request?"""

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What reading raises."""

    def path(self, name: str) -> str:
        """How a message names a file of it."""

    def names(self) -> set[str]:
        """All files that are there."""

    def size(self, name: str) -> int:
        """The bytes of a file."""

    def open(self, name: str) -> Any:
        """A file to read at any position, as pyarrow takes it; a context manager."""

    def local(self, name: str) -> Path | None:
        """Where a file lies, if on this machine."""


def place_of(where: str | Path, holding: str = MANIFEST) -> Place:
    """The folder, or the repository at hf://datasets/ORG/NAME[@REVISION]. Raises CorpusError where it has no file of the
    name that says what it is: of a corpus, or of a publication."""
    found: Place = _hub(str(where), holding) if str(where).startswith(_HUB) else _folder(Path(where), holding)
    return found


def read_bytes(place: Place, name: str, most: int) -> bytes:
    """The first `most` + 1 bytes of a file. Raises the place's faults."""
    with place.open(name) as file:
        return bytes(file.read(most + 1))


def sha256_of(place: Place, name: str) -> str:
    """The sha256 of a file's bytes, read in pieces. Raises the place's faults."""
    found, size = hashlib.sha256(), 16 * _PIECE if place.remote else _PIECE  # each piece of a remote file is a request
    with place.open(name) as file:
        while piece := file.read(size):
            found.update(piece)
    return found.hexdigest()


def _folder(path: Path, holding: str) -> Folder:
    if not path.is_dir():
        remote = "; this needs a corpus on this machine" if str(path).startswith("hf:") else ""
        raise CorpusError(f"{path} is not a folder{remote}")
    if not (path / holding).is_file():
        raise _nothing(str(path), holding, published=(path / PUBLICATION).is_file())
    return Folder(path)


def _nothing(where: str, holding: str, *, published: bool) -> CorpusError:
    if holding == PUBLICATION:
        return CorpusError(f"{where} has no readable {PUBLICATION}: it is no publication of mmidd")
    if published:
        return CorpusError(
            f"{where} is a publication without all pixels, not a corpus: `mmidd rehydrate {where} --data ROOT --out CORPUS` "
            "makes the corpus again from your own copies of its datasets"
        )
    return CorpusError(f"{where} has no readable {MANIFEST}: it is no corpus of mmidd")


@dataclass(frozen=True)
class Folder:
    """A folder of this machine."""

    root: Path
    remote = False

    @property
    def name(self) -> str:
        return self.root.resolve().name

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        return (OSError,)

    def path(self, name: str) -> str:
        return str(self.root / name)  # with "" the folder itself

    def names(self) -> set[str]:
        return {path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if not path.is_dir()}

    def size(self, name: str) -> int:
        return self._inside(name).stat().st_size

    def open(self, name: str) -> Any:
        return pa.OSFile(str(self._inside(name)))

    def local(self, name: str) -> Path:
        return self._inside(name)

    def _inside(self, name: str) -> Path:
        """A file's path. Links may only lead to the folder itself, or to the store that a snapshot of the Hub links to."""
        path, root = self.root / name, self.root.resolve()
        within = [root, *([root.parents[1] / "blobs"] if root.parent.name == "snapshots" else [])]
        try:
            place = path.resolve()
        except RuntimeError as error:
            raise CorpusError(f"{path} is a link that leads to itself; put the file itself there") from error
        if not any(place.is_relative_to(each) for each in within):
            raise CorpusError(f"{path} is a link out of the corpus's folder; put the file itself there")
        if path.exists() and not path.is_file():
            raise FileNotFoundError(f"{path} is no file")
        return path


def _hub(address: str, holding: str) -> Hub:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise CorpusError(f"{address} is no address of a dataset; write hf://datasets/ORG/NAME or .../NAME@REVISION")
    from huggingface_hub import HfApi, HfFileSystem
    from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError

    endpoint, repo = os.environ.get("HF_ENDPOINT") or None, match["repo"]
    try:
        # One commit for all reads: a push meanwhile must not mix two corpora.
        commit = str(HfApi(endpoint=endpoint).dataset_info(repo, revision=match["revision"]).sha)
        found = Hub(address.rstrip("/"), repo, commit, HfFileSystem(endpoint=endpoint))
        names = found.names()
    except OfflineModeIsEnabled as error:
        raise CorpusError(
            f"{address} cannot be read: HF_HUB_OFFLINE is set. Unset it, or open a folder that you downloaded before"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        what = "revision" if isinstance(error, RevisionNotFoundError) else "dataset"
        raise CorpusError(
            f"the Hub has no {what} at {address}, or it is private or gated: check the name, then `hf auth login`; "
            "what is gated has to be asked for on its page"
        ) from error
    except (OSError, ValueError, _http_error()) as error:
        raise CorpusError(
            f"{address} cannot be reached ({type(error).__name__}): check the network and HF_ENDPOINT, then try again"
        ) from error
    if holding not in names:
        raise _nothing(address, holding, published=PUBLICATION in names)
    return found


def _http_error() -> type[Exception]:
    """What the Hub's client raises where a connection fails: httpx's or httpx2's, by its version."""
    from huggingface_hub import errors

    return errors.HTTPError  # type: ignore[attr-defined]


def _hub_again(address: str, repo: str, commit: str, endpoint: str | None, sizes: dict[str, int]) -> Hub:
    from huggingface_hub import HfFileSystem

    found = Hub(address, repo, commit, HfFileSystem(endpoint=endpoint))
    found.__dict__["_sizes"] = sizes
    return found


@dataclass(frozen=True)
class Hub:
    """A dataset repository at one commit; files are read by range, nothing is kept on this machine."""

    address: str
    repo: str
    commit: str
    fs: Any
    remote = True

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled, the file system forgets its endpoint; and the files need not be listed again.
        return _hub_again, (self.address, self.repo, self.commit, self.fs.endpoint, self._sizes)

    @property
    def name(self) -> str:
        return self.repo

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        return (OSError, _http_error())

    def path(self, name: str) -> str:
        return f"{self.address}/{name}".rstrip("/")

    def names(self) -> set[str]:
        return set(self._sizes)

    def size(self, name: str) -> int:
        if name not in self._sizes:
            raise FileNotFoundError(self.path(name))
        return self._sizes[name]

    def open(self, name: str) -> Any:
        self.size(name)
        return self.fs.open(f"{self._root}/{name}", "rb", cache_type="none")

    def local(self, name: str) -> None:
        return None

    @cached_property
    def _sizes(self) -> dict[str, int]:
        # What a file system remembers of a listing is part of it, once files of it were opened.
        found = self.fs.find(self._root, detail=True, refresh=True)
        return {name.removeprefix(f"{self._root}/"): int(entry["size"] or 0) for name, entry in found.items()}

    @property
    def _root(self) -> str:
        return f"datasets/{self.repo}@{self.commit}"
