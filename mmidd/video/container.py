"""Opening hostile containers with PyAV: only real video formats, one local file, one thread, bounded frames."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
        if isinstance(error, OSError | MemoryError):
            raise
        raise UnreadableMedia(f"no video container that can be read ({reason(error)})") from error


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


class Decoder:
    """A single-threaded decoder that survives bad packets and counts them.

    `bad_packets` is the number of packets that could not be decoded, `too_large` the presentation timestamps of those
    that were refused for the size of their frames.
    """

    def __init__(self, stream: VideoStream, max_pixels: int) -> None:
        self.bad_packets = 0
        self.too_large: set[int] = set()
        self._max_pixels = max_pixels
        self._context = stream.codec_context
        self._context.options = {"max_pixels": _allocated(max_pixels)}
        self._context.thread_type = "NONE"
        self._context.thread_count = 1
        # Frames before the first clean entry point come out flagged, instead of silently shifting the count.
        self._context.flags |= av.codec.context.Flags.output_corrupt
        self._skips = self._context.codec.canonical_name in SKIPPING

    def decode(self, packet: Packet[VideoStream] | None, *, needed: bool = True) -> list[VideoFrame]:
        """The frames that a packet completes (None: those still held back); packets not `needed` are decoded only
        where others refer to them."""
        self._context.skip_frame = "DEFAULT" if needed or not self._skips else "NONREF"
        try:
            return self._context.decode(packet)
        except av.error.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            self.bad_packets += 1
            if packet is not None and packet.pts is not None and self._refused_size():
                self.too_large.add(packet.pts)
            return []

    def _refused_size(self) -> bool:
        return self._context.width * self._context.height > self._max_pixels
