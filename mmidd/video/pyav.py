"""The exact reader: a demux pass numbers the frames by presentation time, a sequential decode finds them again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mmidd.errors import EmptyMedia, UnreadableMedia
from mmidd.video import orientation
from mmidd.video.container import (
    Decoder,
    cut_off,
    declared_of,
    missing_bytes,
    open_container,
    packets,
    size_of,
    states_presentation_times,
    video_stream,
)
from mmidd.video.orientation import Orientation
from mmidd.video.reader import MAX_PIXELS, Clip, CountMismatch, DecoderMaker, Frame, checked_indices
from mmidd.video.yuv import CONVERSION, REDUCTION, Converter, Decoded

# H.264 and HEVC hold back at most 16 pictures; a timestamp further from its place in the file is no reordering.
REORDER_LIMIT = 64

MOST_KEPT = 32 * 2**20
"""Bytes of packets that are kept between the survey and the decode, so that the file is not opened and read again."""

KEPT = frozenset({"h264", "hevc"})
"""Codecs whose decoder, once flushed, is as good as a new one (proved by tests/video)."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A container, its video stream and decoder, and the packets in decoding order."""

    container: InputContainer
    stream: VideoStream
    decoder: Decoder
    packets: Iterable[Packet[VideoStream]]


@dataclass(frozen=True)
class PacketSurvey:
    """What one pass over the packets told: `times` are the presentation timestamps in display order, None where they
    cannot number the frames (missing, repeated, or jumping); `kept` is what was opened for it, where it stays open."""

    clip: Clip
    orientation: Orientation
    times: tuple[int, ...] | None
    kept: Opened | None = None


class PyavReader:
    """Exact on every container, codec and timing tried (docs/video.md). Decodes with one thread: the same bytes
    whatever runs beside it."""

    def __init__(self, path: Path | BinaryIO, *, recount: bool = False, max_pixels: int = MAX_PIXELS) -> None:
        self._path = path
        self._max_pixels = max_pixels
        self._converter = Converter()
        self._survey = survey(path, recount=recount, max_pixels=max_pixels)
        self.bad_packets = 0

    @property
    def clip(self) -> Clip:
        return self._survey.clip

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        """See VideoReader. `bad_packets` then holds the packets that this pass could not decode."""
        wanted = deque(checked_indices(indices, self.clip.frame_count))
        if not wanted:
            return iter(())
        return self._by_order(wanted) if self._survey.times is None else self._by_time(wanted, self._survey.times)

    def close(self) -> None:
        """Close what the survey left open."""
        if self._survey.kept is not None:
            self._survey.kept.container.close()

    @contextmanager
    def _opened(self) -> Iterator[Opened]:
        """The packets from the first one on, and a decoder that has seen none of them."""
        if self._survey.kept is not None:
            self._survey.kept.decoder.restart()
            yield self._survey.kept
            return
        with open_container(self._path, self._max_pixels) as container:
            stream = video_stream(container, self._max_pixels)
            yield Opened(container, stream, Decoder(stream, self._max_pixels), packets(container, stream))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _by_time(self, wanted: deque[int], times: tuple[int, ...]) -> Iterator[Frame]:
        """Frames known by their timestamps; pictures that nobody needs are not decoded."""
        with self._opened() as opened:
            stream, decoder = opened.stream, opened.decoder
            needed = {times[index] for index in wanted}
            for decoded, harmed in decoder.judged(opened.packets, needed):
                self.bad_packets = decoder.bad_packets
                if decoded.pts is None:
                    continue
                while wanted and times[wanted[0]] < decoded.pts:
                    yield _refused(wanted.popleft(), times, decoder, stream)
                if wanted and times[wanted[0]] == decoded.pts:
                    yield self._frame(wanted.popleft(), decoded, harmed, stream)
                if not wanted:
                    return
            self.bad_packets = decoder.bad_packets
            while wanted:
                yield _refused(wanted.popleft(), times, decoder, stream)

    def _by_order(self, wanted: deque[int]) -> Iterator[Frame]:
        """Frames known by their place in the decoder's output; everything before the last one is decoded."""
        with self._opened() as opened:
            stream, decoder = opened.stream, opened.decoder
            for index, (decoded, harmed) in enumerate(decoder.judged(opened.packets)):
                self.bad_packets = decoder.bad_packets
                if index == wanted[0]:
                    yield self._frame(wanted.popleft(), decoded, harmed, stream)
                if not wanted:
                    return
            for index in wanted:
                yield Frame(index, None, None, "undecodable_frame")

    def _frame(self, index: int, decoded: VideoFrame, harmed: bool, stream: VideoStream) -> Frame:
        timestamp = _seconds(decoded.pts, stream.time_base)
        if decoded.width * decoded.height > self._max_pixels:
            return Frame(index, timestamp, None, "too_large_frame")
        if harmed:
            return Frame(index, timestamp, None, "corrupt_frame")
        return Frame(index, timestamp, Decoded(decoded, self._survey.orientation, self._converter))


def identity() -> dict[str, str]:
    """The versions of PyAV and of the ffmpeg libraries that it carries, and the conversion to RGB."""
    libraries = {name: ".".join(map(str, av.library_versions[name])) for name in ("libavcodec", "libavformat", "libswscale")}
    return {"av": av.__version__, **libraries, "conversion": f"{int(CONVERSION)} {int(REDUCTION)}"}


def survey(path: Path | BinaryIO, *, recount: bool, max_pixels: int) -> PacketSurvey:
    """Number the frames without decoding them, but for the first one, which tells the orientation.

    Where timestamps cannot number them, or with `recount`, all are decoded once and counted as they come out.
    Raises EmptyMedia, UnreadableMedia, TooLargeMedia.
    """
    with ExitStack() as stack:
        container = stack.enter_context(open_container(path, max_pixels))
        stream = video_stream(container, max_pixels)
        decoder = Decoder(stream, max_pixels)
        lost = cut_off(container, stream, size_of(path))
        times: list[int | None] = []
        first: VideoFrame | None = None
        kept: list[Packet[VideoStream]] | None = [] if stream.codec_context.codec.canonical_name in KEPT else None
        held = 0
        for packet in packets(container, stream):
            partial = lost and packet.is_corrupt  # the file ends within it
            if not packet.is_discard and not partial and not _hidden(packet, stream):
                times.append(packet.pts)
            if first is None:
                first = next(iter(decoder.frames(packet)), None)
            held += packet.size
            if kept is not None:
                kept.append(packet)
                kept = kept if held <= MOST_KEPT else None
        if first is None:
            first = next(iter(decoder.frames(None)), None)
        if first is None:
            raise (UnreadableMedia("no frame can be decoded") if times else EmptyMedia("the video has no frame"))
        ordered = display_order(times) if not recount and states_presentation_times(container, stream) else None
        upright = _orientation(first)
        clip = _clip(stream, first, upright, frame_count=len(times), recounted=ordered is None, cut_off=lost)
        clip = replace(clip, missing_bytes=missing_bytes(path))
        opened = None
        if kept is not None:
            opened = Opened(container, stream, decoder, kept)
            stack.pop_all()  # it stays open, for the reader to close
    if ordered is None:
        clip = replace(clip, frame_count=count_decodable(path, max_pixels))
    return PacketSurvey(clip, upright, ordered, opened)


def display_order(times: Sequence[int | None]) -> tuple[int, ...] | None:
    """Sort presentation timestamps that came in decoding order; None where they cannot number the frames."""
    known = [time for time in times if time is not None]
    if len(known) != len(times) or len(set(known)) != len(known):
        return None
    order = np.argsort(np.asarray(known, dtype=np.int64), kind="stable")
    if len(order) and int(np.abs(order - np.arange(len(order))).max()) > REORDER_LIMIT:
        return None
    return tuple(known[i] for i in order)


def count_decodable(path: Path | BinaryIO, max_pixels: int) -> int:
    """How many frames come out of a full decode that skips what cannot be decoded."""
    with open_container(path, max_pixels) as container:
        stream = video_stream(container, max_pixels)
        return sum(1 for _ in Decoder(stream, max_pixels).judged(packets(container, stream)))


def _refused(index: int, times: tuple[int, ...], decoder: Decoder, stream: VideoStream) -> Frame:
    if times[index] not in decoder.refused:
        raise CountMismatch(f"frame {index} of {len(times)} never came out of the decoder")
    return Frame(index, _seconds(times[index], stream.time_base), None, decoder.refused[times[index]])


def _hidden(packet: Packet[VideoStream], stream: VideoStream) -> bool:
    """VP8 stores alternate reference pictures as packets of their own that are never shown (RFC 6386, 9.1)."""
    return stream.codec_context.codec.canonical_name == "vp8" and not memoryview(packet)[0] & 0x10


def _orientation(frame: VideoFrame) -> Orientation:
    side_data: Any = frame.side_data  # PyAV's stubs call it a dictionary; it is a list of buffers that know their type
    matrices = (bytes(data) for data in side_data if data.type is Type.DISPLAYMATRIX)
    return orientation.from_display_matrix(next(matrices, b""))


def _clip(
    stream: VideoStream, first: VideoFrame, upright: Orientation, *, frame_count: int, recounted: bool, cut_off: int
) -> Clip:
    said = declared_of(stream)
    turned = upright.swap_axes
    return Clip(
        frame_count=frame_count,
        width=first.height if turned else first.width,
        height=first.width if turned else first.height,
        fps=said.fps,
        codec=said.codec,
        rotation=upright.rotation,
        sample_aspect_ratio=1 / said.aspect if turned else said.aspect,
        recounted=recounted,
        mirrored=upright.mirrored,
        cut_off=cut_off,
    )


def _seconds(pts: int | None, time_base: Fraction | None) -> float | None:
    return None if pts is None or time_base is None else float(pts * time_base)


DECODER = DecoderMaker(identity, lambda path, recount, most: PyavReader(path, recount=recount, max_pixels=most), True)
