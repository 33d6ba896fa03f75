"""What a captioner's version stands for: while it is the same, the same request and the same reply give the same caption.

Its keys do not hash the code; these digests do what that did. Where one of them changes, raise the version beside the
captioner (every caption of that kind is then made anew), and write the new digest here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np

from mmidd.captions.attributes import VERSION, Attributes
from mmidd.captions.lint import lint
from mmidd.captions.protocol import CaptionRequest
from mmidd.captions.reply import read

from .conftest import Picture, blurred, dimmed, grey, lit_from_image_left, mirrored, request

REPLIES = (
    '{"face": "A calm face.", "environment": "A plain wall."}',
    '<think>{</think>{"face": "A calm face.", "environment": "A plain wall."}',
    '{"face": "A calm face."}',
    "I'm sorry, but I can't help with that.",
    "",
    '{"face": "A **calm** face.", "environment": "A wall."}',
    '{"face": "Ein Mann mit der Brille und einem Hut in dem Bild.", "environment": "Eine Wand ist in dem Bild."}',
    '{"face": "A deepfake face.", "environment": "A wall."}',
    '{"face": "A face, a face, a face, a face, a face, a face.", "environment": "A wall."}',
    '{"face": "none", "environment": "A wall."}',
)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def test_version_2_of_attributes_says_these_words(frame: Picture) -> None:
    changes = (lambda each: each, blurred, grey, lit_from_image_left, lambda each: dimmed(each, 0.4))
    shown = [request(change(frame)) for change in changes] + [mirrored(frame)]
    noise = np.random.default_rng(0).integers(0, 256, frame.shape, np.uint8)
    beyond = np.zeros(shown[0].crop.shape[:2], np.bool_)
    beyond[:, :90] = True
    shown += [request(noise), replace(shown[0], padding=beyond), replace(shown[0], context=None, padding=beyond)]
    shown += [
        CaptionRequest(each, None, None, None, (512, 600)) for each in (frame, np.pad(frame, ((9, 9), (60, 0), (0, 0))))
    ]
    said = [(each.face, each.environment) for each in Attributes().caption(shown)]
    assert (VERSION, _digest(said)) == ("2", "7771b52de73e1c02")


def test_the_same_replies_are_read_and_refused_in_the_same_way() -> None:
    found = [read(text, finish) for text in REPLIES for finish in ("stop", "length", None)]
    judged = [each if isinstance(each, str) else [*each, lint(*each)] for each in found]
    assert _digest(judged) == "1f5fa279fa7ca670"
