"""An object store as fsspec shows it: what it holds, ranges of it, and whose fault an error is.

A fault of one object (vanished, denied, replaced) is UnreadableMedia, as a file's; anything else is the store's and stops
the build with a DataError. No text of a library goes into either: it may quote an address or a key.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mmidd.errors import ChangedMedia, DataError, MissingExtra, UnreadableMedia, UsageError
from mmidd.raw.cache import Cache
from mmidd.raw.junk import is_litter

_URL = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_DISK = ("file", "local")
_STAMPS = ("ETag", "etag", "generation", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
"""What may tell one state of an object from another, the surest first; listing and looking give the same one."""
_LONGEST_NAME = 255
PATIENCE_S = 120.0
"""How long one request may take, whatever the library tries again: a store that hangs is one that cannot be reached."""


class Seen(NamedTuple):
    """What the store says of an object, named as in `os.stat_result`: its bytes, and a stamp of its tag or time, which is
    only ever compared for equality."""

    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int | None = None


class Listed(NamedTuple):
    """All files (of a store: objects) below a folder; the paths that are refused, with the reason; the folders that hold
    nothing; how many files of litter were passed by. Of links on a disk: where those lead that are followed (`at`), and
    those that `--follow-links` would follow (`links`)."""

    objects: Mapping[str, Seen]
    refused: Mapping[str, str]
    empty: tuple[str, ...]
    litter: int = 0
    at: Mapping[str, str] = {}
    links: Mapping[str, str] = {}


def address(data: str | Path) -> Path | str:
    """`--data` as a folder of a file system, or as the address of an object store. Raises UsageError, quoting no secret."""
    found = _URL.fullmatch(data) if isinstance(data, str) else None
    if found is None:
        return Path(data)
    protocol, rest = found["protocol"].lower(), found["rest"].rstrip("/")
    host = rest.partition("/")[0]
    if "@" in host or "?" in rest or "#" in rest:
        raise UsageError(
            f"--data {protocol}://...: an address with a user, a password or a query is not taken, for it would be written "
            "down; give credentials as the store's library reads them (for S3: AWS_PROFILE, or AWS_ACCESS_KEY_ID ...)"
        )
    if protocol in _DISK:
        return Path(rest or "/")
    parts = rest.removeprefix("/").split("/")
    if "::" in rest or not rest.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"--data {protocol}://...: give a plain address, such as s3://bucket/folder")
    return f"{protocol}://{rest}"


@cache
def _filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system for an address, and the address as that one names it. One a process, for all its threads."""
    protocol = url.partition(":")[0]
    try:
        from fsspec.core import url_to_fs
        from fsspec.registry import known_implementations
    except ImportError as error:
        raise MissingExtra("remote", f"--data {protocol}://...") from error
    try:
        found, root = url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        lacks = known_implementations.get(protocol, {}).get("err", "a package is missing")
        raise MissingExtra("remote", f"--data {protocol}://... ({lacks})") from error
    except ValueError as error:
        raise UsageError(f"--data {protocol}://...: fsspec knows no such protocol, or not this address") from error
    return found, str(root).rstrip("/")


@dataclass(frozen=True)
class Remote:
    """The folder of an object store that a build reads, and where copies are kept (None: nothing is kept)."""

    url: str
    cache: Cache | None = field(default=None, repr=False)

    def folders(self, key: str) -> list[tuple[str, Seen | None]]:
        """What lies directly in a folder: names, and what is known of those that are objects."""
        found, path = self._at(key)
        try:
            entries = found.ls(path, detail=True, **_limit(found))
        except Exception as error:
            raise self._outage(error) from error
        inside = f"{path}/"
        named = {(str(info["name"]).rstrip("/").removeprefix(inside), info["type"]): info for info in entries}
        return [
            (name, None if kind == "directory" else self._seen(info))
            for (name, kind), info in sorted(named.items())
            if name and "/" not in name
        ]

    def listed(self, key: str) -> Listed:
        """Everything below a folder, by keys from there: one listing, and no look at single objects."""
        found, path = self._at(key)
        try:
            infos = found.find(path, detail=True, withdirs=False)
        except Exception as error:
            raise self._outage(error) from error
        start = f"{path}/"
        inside = {name[len(start) :]: info for name, info in infos.items() if name.startswith(start)}
        return self._sorted_out({name: info for name, info in inside.items() if name})

    def _sorted_out(self, every: Mapping[str, Any]) -> Listed:
        infos = {name: info for name, info in every.items() if not is_litter(name)}
        folders = {parent for name in infos for parent in _parents(name)}
        objects: dict[str, Seen] = {}
        refused: dict[str, str] = {}
        markers: list[str] = []
        for name, info in sorted(infos.items()):
            marker = name.endswith("/") and not info["size"]
            reason = _name_fault(name.removesuffix("/") if marker else name)
            if reason is None and name in folders:
                reason = "both a file and a folder"
            if reason is not None:
                refused[name.encode(errors="backslashreplace").decode()] = reason
            elif marker:
                markers.append(name.removesuffix("/"))
            else:
                objects[name] = self._seen(info)
        filled = {parent for name in [*objects, *markers] for parent in _parents(name)}
        empty = tuple(name for name in markers if name not in filled)
        return Listed(objects, refused, empty, sum(not name.endswith("/") for name in every.keys() - infos.keys()))

    def look(self, key: str) -> Seen:
        """What the store says of an object now. Raises UnreadableMedia, DataError."""
        try:
            return self._looked(key)
        except (DataError, UnreadableMedia):
            raise
        except Exception as error:
            raise self._objects(error) from error

    def pieces(self, key: str, seen: Seen, start: int, end: int, most: int) -> Iterator[bytes]:
        """The bytes of an object from `start` to `end`, in pieces of at most `most`; at last a look whether it is still
        what was `seen`. Raises ChangedMedia, UnreadableMedia, DataError."""
        found, path = self._at(key)
        for at in range(start, end, most):
            until = min(at + most, end)
            try:
                data: bytes = found.cat_file(path, start=at, end=until, **_limit(found))
            except Exception as error:
                raise self._judged(error, key, seen) from error
            if len(data) != until - at:
                raise ChangedMedia
            yield data
        if self.look(key) != seen:
            raise ChangedMedia

    def _at(self, key: str) -> tuple[Any, str]:
        found, root = _filesystem(self.url)
        return found, f"{root}/{key}" if key else root

    def _looked(self, key: str) -> Seen:
        found, path = self._at(key)
        return self._seen(found.info(path, **_limit(found)))

    def _seen(self, info: Mapping[str, Any]) -> Seen:
        if info.get("type") == "directory":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        told = next((_text(info[name]) for name in _STAMPS if info.get(name)), None)
        if told is None or info.get("size") is None:
            raise DataError(
                f"{self.url}: this store tells of its objects neither size, tag nor time: copy the data to a disk"
            )
        return Seen(int(info["size"]), int(hashlib.sha256(told.encode()).hexdigest()[:15], 16))

    def _judged(self, error: Exception, key: str, seen: Seen) -> Exception:
        """Why a read failed: the object was replaced or is gone, it may not be read, or it is the store's fault."""
        if isinstance(error, TimeoutError):
            return self._outage(error)
        try:
            if self.look(key) != seen:
                return ChangedMedia()
        except (DataError, UnreadableMedia) as found:
            return found
        return self._objects(error) if isinstance(error, PermissionError) else self._outage(error)

    def _objects(self, error: Exception) -> Exception:
        """An object that is not found or denied, while the store itself answers: as a file that cannot be read."""
        if not isinstance(error, FileNotFoundError | PermissionError):
            return self._outage(error)
        try:
            self.folders("")
        except DataError as outage:
            return outage
        number = errno.ENOENT if isinstance(error, FileNotFoundError) else errno.EACCES
        return UnreadableMedia(f"cannot be read: {os.strerror(number)}")

    def _outage(self, error: Exception) -> Exception:
        if isinstance(error, DataError):
            return error
        told = f"{self.url} cannot be read"
        if isinstance(error, FileNotFoundError):
            told = f"there is nothing at {self.url}: no such bucket or folder"
        elif isinstance(error, PermissionError):
            told = f"access to {self.url} is denied"
        return DataError(
            f"{told} ({_kind(error)}). Check the address, the network and the credentials as the store's library reads them "
            "(for S3: AWS_ENDPOINT_URL, AWS_PROFILE, AWS_ACCESS_KEY_ID ...), then run the same command to go on."
        )


def _limit(found: Any) -> dict[str, float]:
    """Our patience, as asynchronous file systems take it (those of S3, GCS, Azure); others have none."""
    return {"timeout": PATIENCE_S} if found.async_impl else {}


def _kind(error: Exception) -> str:
    """The store's own word for an error (as S3's NoSuchBucket), else the error's class."""
    for each in (error, error.__cause__):
        response = getattr(each, "response", None)
        code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
        if isinstance(code, str) and code.isalnum():
            return code
    return type(error).__name__


def _text(value: Any) -> str:
    """A tag or a time in one form: with a listing and with a look it may be quoted or not, and of another type."""
    return str(value.timestamp() if isinstance(value, datetime) else value).strip('"')


def _parents(name: str) -> Iterable[str]:
    parts = name.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _name_fault(name: str) -> str | None:
    """Why a key cannot be a file's path below the dataset's root."""
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in name:
        return "not a plain relative path"
    try:
        longest = max(len(part.encode()) for part in parts)
    except UnicodeEncodeError:
        return "name is not UTF-8"
    if longest > _LONGEST_NAME:
        return f"a name of more than {_LONGEST_NAME} bytes"
    return "a name that s3fs reads as another object's" if "?versionId=" in name else None
