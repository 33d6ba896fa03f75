"""Clips in HDF5 files: one array of all frames, or an array a frame. A frame is read when it is asked for.

Nothing is read outside the file: links, virtual data sets and external storage are refused before they are followed.
libhdf5 is asked where frames lie, and no more: their bytes are read and inflated here, to the size that the file states, so
that no filter of a plugin runs, and the sizes of a damaged file meet no buffer of C.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mmidd.errors import EmptyMedia, MediaError, MissingExtra, TooLargeMedia, UnreadableMedia
from mmidd.media import Inside
from mmidd.video.picture import Image, Pixels
from mmidd.video.reader import MAX_PIXELS, Frame

MOST_FRAMES = 1_000_000
MOST_CHUNK_BYTES = 512 * 2**20
"""Of the chunks that one frame lies in, inflated: they are held while frames are read of them."""
MOST_CHUNKS = 65_536
MOST_STEPS = 2**26
"""To find one frame: libhdf5 goes through the chunks of the file for each that the frame lies in (seconds at most)."""
_DEFLATE, _SHUFFLE = 1, 2
_NUMBER = "([0-9]{1,9})"


def needs_h5py() -> None:
    """Raises MissingExtra where HDF5 files cannot be read here."""
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise MissingExtra("hdf5", "reading HDF5 files") from error


@dataclass(frozen=True)
class Arrays:
    """The frames of an open file: their numbers, ascending, and how one's pixels are read."""

    numbers: Sequence[int]
    read: Callable[[int], Image]

    def frame(self, number: int) -> Frame:
        """The frame of that number, lost where it cannot be read."""
        try:
            with _faults():
                return Frame(number, None, Pixels(self.read(number)))
        except TooLargeMedia:
            return Frame(number, None, None, "too_large_frame")
        except MediaError:
            return Frame(number, None, None, "undecodable_frame")


@contextmanager
def open_hdf5(file: Path | BinaryIO, inside: Inside | None, *, max_pixels: int = MAX_PIXELS) -> Iterator[Arrays]:
    """The frames that lie `inside` an HDF5 file: a path, or an open file that can be sought.

    Raises EmptyMedia, UnreadableMedia (also for what is refused), TooLargeMedia, MissingExtra.
    """
    if inside is None:
        raise UnreadableMedia("no manifest says where in the HDF5 file its frames are")
    needs_h5py()
    import h5py

    with file.open("rb") if isinstance(file, Path) else nullcontext(file) as raw:
        try:
            opened = h5py.File(raw, "r")
        except MemoryError:
            raise
        except Exception as error:  # h5py's errors are of many kinds
            raise UnreadableMedia("no HDF5 file, or one that was cut off") from error
        with opened:
            with _faults():
                arrays = _arrays(opened, raw, inside, max_pixels)
            yield arrays


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except (MediaError, MemoryError):
        raise
    except Exception as error:
        raise UnreadableMedia(f"the HDF5 data is truncated or damaged ({type(error).__name__})") from error


def _arrays(file: Any, raw: BinaryIO, inside: Inside, max_pixels: int) -> Arrays:
    path, axes = inside
    if file.userblock_size:
        raise UnreadableMedia("an HDF5 file within another file (a user block)")  # versions count places from here or there
    if "*" not in path:
        array = _array(_found(file, path), raw, axes, max_pixels)
        if array.frames > MOST_FRAMES:
            raise TooLargeMedia(f"{array.frames} frames, beyond the limit of {MOST_FRAMES}")
        return Arrays(range(array.frames), array.image)
    before, after = path.split("*")
    above, _, head = before.rpartition("/")
    tail, _, below = after.partition("/")
    names = _numbered(_found(file, above), head, tail)
    if not names:
        raise EmptyMedia(f"the HDF5 file has nothing named '{path}'")

    def one(number: int) -> _Array:
        return _array(_found(file, "/".join(each for each in (above, names[number], below) if each)), raw, axes, max_pixels)

    one(next(iter(names)))  # what is wrong with all of them is said in words
    return Arrays(tuple(names), lambda number: one(number).image(None))


def _numbered(group: Any, head: str, tail: str) -> dict[int, str]:
    """The members of a group whose names differ by a number alone, by that, ascending."""
    if not _is_group(group):
        raise UnreadableMedia("the HDF5 file has no group of frames where the manifest says")
    if len(group) > 2 * MOST_FRAMES:
        raise TooLargeMedia(f"{len(group)} members in a group of the HDF5 file")
    form = re.compile(re.escape(head) + _NUMBER + re.escape(tail))
    found: dict[int, str] = {}
    for name in group:
        match = form.fullmatch(name)
        if match and found.setdefault(int(match[1]), name) != name:
            raise UnreadableMedia(f"the HDF5 file has two frames of number {int(match[1])}")
    return dict(sorted(found.items()))


def _is_group(thing: Any) -> bool:
    import h5py

    return isinstance(thing, h5py.Group)


def _found(group: Any, path: str) -> Any:
    """What lies at a path below a group, by hard links alone: others may lead into other files, or in a circle."""
    import h5py

    for name in path.split("/") if path else ():
        link = group.get(name, getlink=True) if _is_group(group) else None
        if link is None:
            raise UnreadableMedia(f"the HDF5 file has no '{path}'")
        if not isinstance(link, h5py.HardLink):
            raise UnreadableMedia(f"'{path}' is a link in the HDF5 file: none is followed")
        group = group[name]
    return group


@dataclass
class _Array:
    """A checked array of frames, or of one. `order`: the axes of a frame, to (height, width, colour)."""

    dataset: Any
    raw: BinaryIO
    frames: int
    shape: tuple[int, ...]
    order: tuple[int, ...]
    chunks: tuple[int, ...] | None
    filters: tuple[int, ...]
    _held: dict[tuple[int, ...], Image] = field(default_factory=dict)
    _row: int = -1

    def image(self, index: int | None) -> Image:
        """One frame, (H,W,3) RGB uint8."""
        data = self._chunked(index) if self.chunks else self._plain(index)
        return np.ascontiguousarray(np.transpose(data, self.order))

    def _plain(self, index: int | None) -> Image:
        start = self.dataset.id.get_offset()
        if start is None:  # within the header: 64 KiB at most
            return np.asarray(self.dataset[() if index is None else index], np.uint8)
        size = prod(self.shape)
        return np.frombuffer(self._bytes(start + (index or 0) * size, size), np.uint8).reshape(self.shape)

    def _bytes(self, start: int, size: int) -> bytes:
        self.raw.seek(start)
        data = self.raw.read(size)
        if len(data) != size:
            raise UnreadableMedia("the HDF5 file ends within its frames")
        return data

    def _chunked(self, index: int | None) -> Image:
        assert self.chunks is not None
        chunks = self.chunks if index is None else self.chunks[1:]
        out = np.empty(self.shape, np.uint8)
        row = 0 if index is None else index // self.chunks[0]
        if row != self._row:
            self._held.clear()
            self._row = row
        for corner in itertools.product(*(range(0, size, step) for size, step in zip(self.shape, chunks, strict=True))):
            where = corner if index is None else (row * self.chunks[0], *corner)
            chunk = self._chunk(where)
            part = chunk if index is None else chunk[index - where[0]]
            ends = [min(size, at + step) for size, at, step in zip(self.shape, corner, chunks, strict=True)]
            target = tuple(slice(at, end) for at, end in zip(corner, ends, strict=True))
            out[target] = part[tuple(slice(0, end - at) for at, end in zip(corner, ends, strict=True))]
        return out

    def _chunk(self, where: tuple[int, ...]) -> Image:
        if where in self._held:
            return self._held[where]
        assert self.chunks is not None
        size = prod(self.chunks)
        stored = self.dataset.id.get_chunk_info_by_coord(where)
        if stored.byte_offset is None or not stored.size:
            raise UnreadableMedia("the HDF5 file declares frames that it does not hold")
        if stored.size > 2 * size + 4096:
            raise TooLargeMedia("a chunk that is stored larger than it is")
        data, skipped = self._bytes(stored.byte_offset, stored.size), stored.filter_mask
        if any(code == _DEFLATE and not skipped >> place & 1 for place, code in enumerate(self.filters)):
            data = _inflated(data, size)
        if len(data) != size:
            raise UnreadableMedia("a chunk of the HDF5 file is not whole")
        chunk: Image = np.frombuffer(data, np.uint8).reshape(self.chunks)
        self._held[where] = chunk
        return chunk


def _inflated(data: bytes, size: int) -> bytes:
    """The bytes of a deflated chunk, never more than one beyond its size; its checksum is compared."""
    stream = zlib.decompressobj()
    found = stream.decompress(data, size + 1)
    if len(found) != size or not stream.eof:
        raise UnreadableMedia("a chunk of the HDF5 file is not whole")
    return found


def _bounded(pieces: int, size: int, stored: int) -> None:
    """Raises TooLargeMedia for a frame in so many chunks of so many bytes, of all those stored, that it takes too much."""
    if pieces > MOST_CHUNKS or pieces * size > MOST_CHUNK_BYTES:
        raise TooLargeMedia(f"a frame lies in {pieces} chunks of {size} bytes, which is beyond the limit")
    if pieces * stored > MOST_STEPS:
        raise TooLargeMedia(f"a frame lies in {pieces} of {stored} chunks, which is beyond the limit")


def _array(dataset: Any, raw: BinaryIO, axes: str, max_pixels: int) -> _Array:
    """A data set, checked before anything of it is read. Raises MediaError."""
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise UnreadableMedia("what the manifest names in the HDF5 file is no data set")
    made = dataset.id.get_create_plist()  # first of all: to ask a virtual data set for its shape may open other files
    layout = made.get_layout()
    if layout not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED) or made.get_external_count():
        raise UnreadableMedia("the HDF5 file's frames lie in other files: none is followed")
    if dataset.dtype != np.uint8:
        raise UnreadableMedia(f"the HDF5 file's frames are {str(dataset.dtype)[:20]}, not uint8")
    shape = tuple(int(each) for each in dataset.shape or ())
    if len(shape) != len(axes):
        raise UnreadableMedia(f"the HDF5 file's frames have {len(shape)} axes, not {len(axes)} ({axes})")
    many = axes[0] == "n"
    one, names = (shape[1:], axes[1:]) if many else (shape, axes)
    size = dict(zip(names, one, strict=True))
    if size["c"] != 3:
        raise UnreadableMedia(f"the HDF5 file's frames have {size['c']} channels, not 3")
    if size["h"] * size["w"] > max_pixels:
        raise TooLargeMedia(f"{size['w']}x{size['h']} is beyond the limit of {max_pixels} pixels")
    if many and not shape[0]:
        raise EmptyMedia("the HDF5 file has no frame")
    if 0 in one or dataset.id.get_space_status() == h5py.h5d.SPACE_STATUS_NOT_ALLOCATED:
        raise UnreadableMedia("the HDF5 file declares frames that it does not hold")
    filters = tuple(made.get_filter(place)[0] for place in range(made.get_nfilters()))
    strange = set(filters) - {_DEFLATE, _SHUFFLE}  # of bytes, a shuffle is none
    if strange or filters.count(_DEFLATE) > 1:
        code = min(strange, default=_DEFLATE)
        raise UnreadableMedia(f"the HDF5 file's frames are packed by a filter that is not known here (number {code})")
    chunks = tuple(int(each) for each in made.get_chunk()) if layout == h5py.h5d.CHUNKED else None
    if chunks:
        pieces = prod(-(-whole // step) for whole, step in zip(one, chunks[1:] if many else chunks, strict=True))
        _bounded(pieces, prod(chunks), dataset.id.get_num_chunks())
    order = tuple(names.index(each) for each in "hwc")
    return _Array(dataset, raw, shape[0] if many else 1, one, order, chunks, filters)
