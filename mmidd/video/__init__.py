"""Decoding: videos behind one protocol, stills, and the plans that say which frames are taken.

`open_video` gives a reader that numbers frames in display order and returns exactly the frames asked for;
`frame_plan` says which ones to ask for; `read_still` decodes an image file's bytes.
"""

from __future__ import annotations

from mmidd.video.choose import backend_identity, open_video
from mmidd.video.hdf5 import open_hdf5
from mmidd.video.picture import Picture, Pixels
from mmidd.video.plan import Spacing, frame_plan
from mmidd.video.reader import MAX_PIXELS, Clip, CountMismatch, Frame, VideoReader
from mmidd.video.still import Still, read_still, still_identity

__all__ = [
    "MAX_PIXELS",
    "Clip",
    "CountMismatch",
    "Frame",
    "Picture",
    "Pixels",
    "Spacing",
    "Still",
    "VideoReader",
    "backend_identity",
    "frame_plan",
    "open_hdf5",
    "open_video",
    "read_still",
    "still_identity",
]
