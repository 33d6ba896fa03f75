"""Damage that decoders conceal: noticed packet by packet, and followed through the pictures that refer to it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from mmidd.video.h264 import FrameNumbers

# No run of this many zeros lies in these codecs' data, and a hole in a file is zeros. H.264 and HEVC forbid three in a row
# within a unit; an arithmetic coder makes one of 256 from hundreds of thousands of perfectly predicted symbols at least.
# MPEG's may be stuffed with zeros, but a packet of nothing else has lost its picture.
_MOST_ZEROS = {"h264": 32, "hevc": 32, "vp8": 256, "vp9": 256}
_HOLLOW = frozenset({"mpeg1video", "mpeg2video", "mpeg4"})
_IN_START_CODES = frozenset({"h264", "hevc"})

# B-pictures of these codecs are never referred to.
_BARREN_B = frozenset({"mpeg1video", "mpeg2video", "mpeg4"})

# These decoders invent the pictures that the first ones of a headless file refer to, and do not say so.
_INVENTS = frozenset({"mpeg1video", "mpeg2video", "mpeg4", "hevc"})

# More packets than any decoder holds back: two fields for each of 16 pictures.
_MOST_HELD = 64

_NOWHERE = -1


@dataclass(eq=False)
class Mark:
    """Travels with a packet through the decoder to its frame: the packet's place in decoding order, and whether its
    picture is known to be one that no other refers to."""

    place: int
    barren: bool = False


@dataclass(frozen=True, eq=False)
class Shown:
    """A frame as it came out: `entry` is the place of the last clean key picture shown up to it, -1 where there is none."""

    frame: VideoFrame
    place: int
    entry: int


class Damage:
    """What went wrong in one pass, by places in decoding order.

    A picture is harmed by its own damage, and by any in the pictures and packets between its entry and itself in
    decoding order: it may refer to them. Pictures shown before an entry that are decoded after it have the entry
    before: they may refer to what lies before it.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self.sent = 0
        self._codec = codec
        self._start_codes = codec in _IN_START_CODES and (extradata or b"\0")[0] == 0
        self._numbers = FrameNumbers(extradata) if codec == "h264" else None
        self._barren_b = codec in _BARREN_B
        self._invents = codec in _INVENTS
        self._entries: list[int] = []
        self._started = False
        self._last = Mark(_NOWHERE)
        self._failed: list[int] = []
        self._alone: set[int] = set()
        self._corrupt: list[tuple[int, int]] = []  # (entry, first corrupt place after it), ascending
        self._open: deque[int] = deque(maxlen=_MOST_HELD)

    def send(self, packet: Packet[VideoStream]) -> bool:
        """Note a packet on its way to the decoder. True if it shows damage before it is decoded."""
        missing, barren = self._numbers.follow(bytes(packet)) if self._numbers else (False, False)
        packet.opaque = self._last = Mark(self.sent, barren)
        self._open.append(self.sent)
        self.sent += 1
        unexplained = missing and self._failed[-1:] != [self._last.place - 1]
        if missing:  # what is missing lies before it: a key picture does not suffer
            self._failed.append(self._last.place - packet.is_keyframe)
        visible = packet.is_corrupt or self._has_hole(packet)
        if visible:
            self.fail()
        return visible or unexplained

    def _has_hole(self, packet: Packet[VideoStream]) -> bool:
        if self._codec in _HOLLOW:
            return not any(memoryview(packet))
        most = _MOST_ZEROS.get(self._codec)
        if most is None or bytes(most) not in (data := bytes(packet)):
            return False
        # between units that begin with a start code (0 0 1) there may be any number of zeros
        return not self._start_codes or re.search(rb"\0{%d}[^\0\1]" % most, data) is not None

    def fail(self) -> None:
        """The last packet sent is damaged, or could not be decoded."""
        if self._last.barren:
            self._alone.add(self._last.place)
        else:
            self._failed.append(self._last.place)

    def show(self, frame: VideoFrame) -> Shown:
        """Note a frame that came out of the decoder; frames come in display order."""
        mark = frame.opaque
        place = mark.place if isinstance(mark, Mark) else self.sent - 1
        if place in self._open:
            self._open.remove(place)
        self._started = self._started or _is_key(frame)
        shown = Shown(frame, place, self._entry(place))
        if not frame.is_corrupt:
            if _is_key(frame) and place > shown.entry and not self._failed_between(place - 1, place):
                self._entries.append(place)
                shown = Shown(frame, place, place)
        elif self._started and not self._is_barren(frame):
            self._note_corrupt(shown)
        return shown

    def settled(self, shown: Shown, delay: int) -> bool:
        """Did everything come out that was sent before this frame's packet? The decoder holds back `delay` packets."""
        while self._open and self._open[0] < self.sent - delay:
            self._open.popleft()
        return not self._open or self._open[0] > shown.place

    def harmed(self, shown: Shown) -> bool:
        """Does the frame carry damage? Final once it is settled."""
        if shown.frame.is_corrupt or (shown.entry == _NOWHERE and self._invents):
            return True
        if shown.place in self._alone or self._failed_between(shown.entry, shown.place):
            return True
        for entry, place in reversed(self._corrupt):
            if entry < shown.entry:
                break
            if place <= shown.place:
                return True
        return False

    def _is_barren(self, frame: VideoFrame) -> bool:
        if isinstance(frame.opaque, Mark) and frame.opaque.barren:
            return True
        return self._barren_b and frame.pict_type == PictureType.B

    def _entry(self, place: int) -> int:
        before = bisect_right(self._entries, place)
        return self._entries[before - 1] if before else _NOWHERE

    def _failed_between(self, entry: int, place: int) -> bool:
        """Did a packet fail after `entry`, up to and with `place`?"""
        first = bisect_right(self._failed, entry)
        return first < len(self._failed) and self._failed[first] <= place

    def _note_corrupt(self, shown: Shown) -> None:
        if not self._corrupt or self._corrupt[-1][0] < shown.entry:
            self._corrupt.append((shown.entry, shown.place))
        elif shown.place < self._corrupt[-1][1]:
            self._corrupt[-1] = (self._corrupt[-1][0], shown.place)


def _is_key(frame: VideoFrame) -> bool:
    """Decoding can begin here. Where a picture is refreshed in stripes, the one that begins it is no intra picture."""
    return bool(frame.key_frame) and frame.pict_type == PictureType.I
