"""What every embedded captioner promises."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from mmidd.captions.choose import CaptionerConfig, captioner_identity, make_captioner
from mmidd.captions.leaks import leaks
from mmidd.captions.protocol import CaptionRequest

EMBEDDED = [CaptionerConfig(kind="attributes")]
POINTS = np.array([[90, 100], [165, 100], [128, 145], [95, 185], [160, 185]], np.float32)

pytestmark = pytest.mark.parametrize("config", EMBEDDED, ids=lambda config: config.kind)


def scenes() -> list[CaptionRequest]:
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, high, (256, 256, 3), dtype=np.uint8) for high in (2, 60, 256)]
    tiny, context = np.full((1, 1, 3), 9, np.uint8), rng.integers(0, 256, (189, 336, 3), dtype=np.uint8)
    box = np.array([700, 200, 1100, 700], np.float32)
    return [
        *(CaptionRequest(crop, context, POINTS, box, (1920, 1080)) for crop in crops),
        CaptionRequest(crops[2], None, POINTS, box, (1920, 1080)),
        CaptionRequest(crops[2], context, POINTS, None, (1920, 1080)),
        CaptionRequest(crops[1], None, None, None, (256, 256)),
        CaptionRequest(tiny, tiny, None, None, (1, 1)),
    ]


def test_one_caption_per_request_with_both_texts_or_a_reason(config: CaptionerConfig) -> None:
    captioner = make_captioner(config)
    assert captioner is not None and re.fullmatch(r"[\w.@:/+-]+", captioner.name)
    captions = captioner.caption(scenes())
    assert len(captions) == len(scenes())
    for caption in captions:
        if caption.status == "ok":
            assert caption.face and caption.environment
        else:
            assert caption.status and caption.face is None and caption.environment is None


def test_no_requests_give_no_captions(config: CaptionerConfig) -> None:
    captioner = make_captioner(config)
    assert captioner is not None and captioner.caption([]) == []


def test_a_caption_depends_on_nothing_but_its_request(config: CaptionerConfig) -> None:
    captioner, again = make_captioner(config), make_captioner(config)
    assert captioner is not None and again is not None
    expected = captioner.caption(scenes())
    order = list(range(len(expected)))
    random.Random(0).shuffle(order)
    requests = scenes()
    assert captioner.caption([requests[i] for i in order]) == [expected[i] for i in order]
    assert [again.caption([request])[0] for request in requests] == expected


def test_captions_are_plain_short_sentences_without_a_leak(config: CaptionerConfig) -> None:
    captioner = make_captioner(config)
    assert captioner is not None
    for caption in captioner.caption(scenes()):
        for text in filter(None, (caption.face, caption.environment)):
            assert leaks(text) == []
            assert len(text.split()) <= 40
            assert re.fullmatch(r"([A-Z][a-z',\- ]+\. ?)+", text), text


def test_the_identity_is_text_and_stable(config: CaptionerConfig) -> None:
    found = captioner_identity(config)
    assert found == captioner_identity(config)
    assert all(isinstance(value, str) and value for value in found.values())
