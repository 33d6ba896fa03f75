"""The captioner `none`: describes nothing."""

from __future__ import annotations

from mmidd.captions.protocol import CaptionerMaker

CAPTIONER = CaptionerMaker(lambda _config: {"captioner": "none"}, lambda _config: None)
