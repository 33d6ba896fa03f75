"""Opening hostile containers with PyAV: only real video formats, one local file, one thread, bounded frames."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mmidd.errors import EmptyMedia, TooLargeMedia, UnreadableMedia
from mmidd.video.damage import Damage, Shown
from mmidd.video.reader import Lost

# Playlists and scripts (hls, dash, concat, image2 ...) are video "formats" to ffmpeg too: a text file named .mp4 could
# make it read any other file. Still images are not clips either; they go through `read_still`.
FORMATS = (
    "mov", "matroska", "webm", "avi", "flv", "live_flv", "kux", "mpegts", "mpeg", "mpegvideo", "m4v", "h261", "h263",
    "h264", "hevc", "vvc", "obu", "av1", "ivf", "gif", "ogg", "asf", "mjpeg", "dv", "mxf", "nut", "rm", "wtv", "vc1",
    "nsv", "yuv4mpegpipe",
)  # fmt: skip

PRESENTATION_TIMES = frozenset({"mov", "matroska", "flv", "mpegts", "mpeg", "ogg", "asf", "mxf", "nut"})


def size_of(path: Path | BinaryIO) -> int:
    """The bytes of a file, given by its path or open."""
    if isinstance(path, Path):
        return path.stat().st_size
    place = path.tell()
    size = path.seek(0, os.SEEK_END)
    path.seek(place)  # a container that reads it goes on where it was
    return size


def open_container(path: Path | BinaryIO, max_pixels: int) -> InputContainer:
    """Open one local video file, or an open file from its beginning.

    Raises EmptyMedia, UnreadableMedia, and OSError for the file system's own faults.
    """
    if size_of(path) == 0:
        raise EmptyMedia("the file has no bytes")
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(FORMATS),
        "max_pixels": _allocated(max_pixels),
    }
    try:
        if not isinstance(path, Path):
            path.seek(0)
            return av.open(path, "r", options=options, metadata_errors="replace")
        # "file:" keeps a name such as `http:x.mp4` or `concat:a|b` from being read as a protocol.
        return av.open(f"file:{path}", "r", options=options, metadata_errors="replace")
    except av.error.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        if isinstance(error, OSError):
            _read_through(path)  # to ffmpeg damaged data is an input/output error too: the file system knows better
            raise UnreadableMedia("no video container that can be read (it is damaged)") from error
        raise UnreadableMedia(f"no video container that can be read ({reason(error)})") from error


def _read_through(path: Path | BinaryIO) -> None:
    """Raises OSError if the file system cannot give the file's bytes."""
    if isinstance(path, Path):
        with path.open("rb") as file:
            while file.read(2**20):
                pass


def _allocated(max_pixels: int) -> str:
    """ffmpeg's limit is for padded buffers, so it needs room above ours; it stops bombs before memory is filled."""
    return str(2 * max_pixels + 2**20)


def reason(error: av.error.FFmpegError) -> str:
    """ffmpeg's own short text for an error code; never a path."""
    return error.strerror or type(error).__name__


def video_stream(container: InputContainer, max_pixels: int) -> VideoStream:
    """The stream that a player would show, cover pictures aside; the others are discarded while demuxing.

    Raises UnreadableMedia when there is none that has a decoder, TooLargeMedia by the size that the headers declare.
    """
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    moving = [stream for stream in container.streams.video if not stream.disposition & pictures]
    if not moving:
        raise UnreadableMedia("no video stream")
    best = container.streams.best("video")
    stream = next((stream for stream in moving if best is not None and stream.index == best.index), moving[0])
    if stream.codec_context is None:
        raise UnreadableMedia("no decoder for the video stream")
    check_size(stream.codec_context, max_pixels)
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    return stream


def check_size(decoder: VideoCodecContext, max_pixels: int) -> None:
    """Raises TooLargeMedia when the declared size of a frame is beyond the limit."""
    width, height = max(decoder.width, decoder.coded_width), max(decoder.height, decoder.coded_height)
    if width * height > max_pixels:
        raise TooLargeMedia(f"frames of {width}x{height} are beyond the limit of {max_pixels} pixels")


def states_presentation_times(container: InputContainer, stream: VideoStream) -> bool:
    """False where the demuxer passes decoding times off as presentation times (AVI, raw streams)."""
    formats = set(container.format.name.split(","))
    return bool(formats & PRESENTATION_TIMES) or not stream.codec_context.codec.reorder


@dataclass(frozen=True)
class Declared:
    """What a video's headers say of its stored frames, undecoded: size in pixels, rate, codec, pixel aspect."""

    width: int
    height: int
    fps: float | None
    codec: str
    aspect: float


def declared(path: Path | BinaryIO, max_pixels: int) -> Declared:
    """Read the headers only. Raises as `open_container` and `video_stream` do."""
    with open_container(path, max_pixels) as container:
        return declared_of(video_stream(container, max_pixels))


def declared_of(stream: VideoStream) -> Declared:
    """What the headers said of an open stream."""
    decoder = stream.codec_context
    fps = float(stream.average_rate) if stream.average_rate else None
    aspect = float(stream.sample_aspect_ratio or 1)
    return Declared(decoder.width, decoder.height, fps, decoder.codec.canonical_name, aspect)


def cut_off(container: InputContainer, stream: VideoStream, size: int) -> int:
    """How many frames an mp4's own index places at least partly beyond the end of the file, which has `size` bytes."""
    if "mov" not in container.format.name.split(","):
        return 0
    return sum(not entry.is_discard and entry.pos + entry.size > size for entry in stream.index_entries if entry.size)


_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_HEAD = 4096


def missing_bytes(path: Path | BinaryIO) -> int:
    """By how many bytes an mkv, webm or avi is shorter than its own outermost header says; 0 where none is said."""
    size = size_of(path)
    if isinstance(path, Path):
        with path.open("rb") as file:
            head = file.read(_HEAD)
    else:
        place = path.tell()
        path.seek(0)
        head = path.read(_HEAD)
        path.seek(place)
    return max(0, _declared_end(head) - size)


def _declared_end(head: bytes) -> int:
    if head[:4] == b"RIFF":
        return 8 + int.from_bytes(head[4:8], "little")
    if head[:4] != _EBML:
        return 0
    start, length = _variable(head, 4)
    if head[start + (length or 0) :][:4] != _SEGMENT:
        return 0
    start, length = _variable(head, start + (length or 0) + 4)
    return 0 if length is None else start + length


def _variable(head: bytes, at: int) -> tuple[int, int | None]:
    """Of an EBML length at a place: where it ends, and its value; None where it says that it is not known."""
    width = 9 - head[at].bit_length() if at < len(head) and head[at] else 8
    value = int.from_bytes(head[at : at + width], "big") & ((1 << 7 * width) - 1)
    return at + width, None if value == (1 << 7 * width) - 1 else value


def packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The stream's packets in decoding order, without empty ones (an empty packet would end the decoder).

    A container that is damaged from some byte on ends there, as it does for any player.
    """
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed)
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            if isinstance(error, OSError | MemoryError):
                raise
            return
        if packet.size:
            yield packet


# Decoders that leave out single pictures on request without a change to the others (proved by tests/video).
SKIPPING = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vp8", "vp9"})

# Decoders that go on in silence after an error unless they are told not to, and lose no other frame by being told.
STRICT = frozenset({"hevc", "mjpeg"})


class Decoder:
    """A single-threaded decoder that survives bad packets and counts them.

    `bad_packets` is the number of packets that could not be decoded or were damaged to the eye. `refused` holds their
    presentation timestamps, and what a frame is lost as that does not come out of them.
    """

    def __init__(self, stream: VideoStream, max_pixels: int) -> None:
        self.bad_packets = 0
        self.refused: dict[int, Lost] = {}
        self._max_pixels = max_pixels
        self._context = stream.codec_context
        codec = self._context.codec.canonical_name
        self._context.options = {"max_pixels": _allocated(max_pixels)} | (
            {"err_detect": "explode"} if codec in STRICT else {}
        )
        self._context.thread_type = "NONE"
        self._context.thread_count = 1
        # Frames before the first clean entry point come out flagged, instead of silently shifting the count.
        self._context.flags |= av.codec.context.Flags.output_corrupt | av.codec.context.Flags.copy_opaque
        self._skips = codec in SKIPPING
        self._damage = Damage(codec, self._context.extradata)

    def restart(self) -> None:
        """Forget all that was decoded: what follows is a stream's first packet."""
        self._context.flush_buffers()
        self.bad_packets, self.refused = 0, {}
        self._damage = Damage(self._context.codec.canonical_name, self._context.extradata)

    def judged(
        self, packets: Iterable[Packet[VideoStream]], needed: Container[int | None] | None = None
    ) -> Iterator[tuple[VideoFrame, bool]]:
        """Decode all packets; each frame in display order, and whether it carries damage, its own or its references'.

        Frames wait until all that they may refer to is decoded. With `needed`, only frames of these timestamps are given.
        """
        held: deque[Shown] = deque()
        for packet in packets:
            shown = self._decode(packet, needed=needed is None or packet.pts in needed)
            held.extend(one for one in shown if needed is None or one.frame.pts in needed)
            delay = 2 * (self._context.reorder_depth + 1)  # a picture may come as two packets, one a field
            while held and self._damage.settled(held[0], delay):
                yield self._verdict(held.popleft())
        held.extend(one for one in self._decode(None) if needed is None or one.frame.pts in needed)
        while held:
            yield self._verdict(held.popleft())

    def frames(self, packet: Packet[VideoStream] | None, *, needed: bool = True) -> list[VideoFrame]:
        """The frames that a packet completes (None: those still held back); not `needed`, only if others refer to it."""
        return [shown.frame for shown in self._decode(packet, needed=needed)]

    def _verdict(self, shown: Shown) -> tuple[VideoFrame, bool]:
        return shown.frame, self._damage.harmed(shown)

    def _decode(self, packet: Packet[VideoStream] | None, *, needed: bool = True) -> list[Shown]:
        """Packets not `needed` are decoded only where others refer to them."""
        self._context.skip_frame = "DEFAULT" if needed or not self._skips else "NONREF"
        visible = packet is not None and self._damage.send(packet)
        if visible and packet is not None and packet.pts is not None:
            self.refused[packet.pts] = "undecodable_frame"
        self.bad_packets += visible
        try:
            return [self._damage.show(frame) for frame in self._context.decode(packet)]
        except av.error.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            self.bad_packets += not visible
            self._damage.fail()
            if packet is not None and packet.pts is not None:
                self.refused[packet.pts] = "too_large_frame" if self._refused_size() else "undecodable_frame"
            return []

    def _refused_size(self) -> bool:
        return self._context.width * self._context.height > self._max_pixels
