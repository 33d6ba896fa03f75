from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from mmidd.captions.choose import CaptionerConfig, captioner_identity, make_captioner
from mmidd.captions.protocol import Caption, CaptionRequest
from mmidd.errors import UsageError

CROP = np.zeros((8, 8, 3), np.uint8)


def test_a_request_holds_pixels_and_geometry_and_nothing_else() -> None:
    names = [field.name for field in dataclasses.fields(CaptionRequest)]
    assert names == ["crop", "context", "landmarks", "face_box", "frame_size", "context_box", "padding"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": np.zeros((8, 8), np.uint8)}, "crop must be"),
        ({"crop": np.zeros((0, 8, 3), np.uint8)}, "crop must be"),
        ({"crop": np.zeros((8, 8, 3), np.float32)}, "crop must be"),
        ({"context": np.zeros((8, 337, 3), np.uint8)}, "more than 336"),
        ({"context": np.zeros((8, 8, 4), np.uint8)}, "context must be"),
        ({"landmarks": np.zeros((4, 2), np.float32)}, "landmarks must be"),
        ({"landmarks": np.full((5, 2), np.nan, np.float32)}, "finite"),
        ({"face_box": np.full(4, np.inf, np.float32)}, "finite"),
        ({"frame_size": (0, 8)}, "not positive"),
        ({"context_box": np.full(4, np.inf, np.float32)}, "finite"),
        ({"padding": np.zeros((8, 9), bool)}, "padding must be"),
        ({"padding": np.zeros((8, 8), np.uint8)}, "padding must be"),
    ],
)
def test_a_malformed_request_is_refused(change: dict[str, Any], message: str) -> None:
    whole: dict[str, Any] = {"crop": CROP, "context": None, "landmarks": None, "face_box": None, "frame_size": (8, 8)}
    with pytest.raises(ValueError, match=message):
        CaptionRequest(**whole | change)


@pytest.mark.parametrize(
    ("face", "environment", "status"),
    [(None, None, "ok"), ("a", None, "ok"), (None, "b", "ok"), ("a", "b", "refused"), ("a", None, "refused")],
)
def test_a_caption_has_both_texts_or_a_reason(face: str | None, environment: str | None, status: str) -> None:
    with pytest.raises(ValueError, match="caption"):
        Caption(face, environment, status)
    assert Caption("a", "b", "ok").face == "a"
    assert Caption(None, None, "refused").status == "refused"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"kind": "magic"}, "no captioner 'magic'; choose one of attributes, none, openai, transformers"),
        ({"kind": "openai", "base_url": "http://localhost:1/v1"}, "'openai' needs a model"),
        ({"kind": "transformers"}, "'transformers' needs a model"),
        ({"kind": "openai", "model": "m"}, "needs the server's address: --set captioner.base_url="),
        ({"kind": "openai", "model": "m", "base_url": "localhost"}, "'localhost' is no address"),
        ({"kind": "openai", "model": "m", "base_url": "http://me:pass@host/v1"}, "must hold no user"),
        ({"kind": "openai", "model": "m", "base_url": "http://host/v1", "batch": 4}, "takes no batch"),
        ({"kind": "transformers", "model": "m", "temperature": 0.5}, "takes no temperature"),
        (
            {"kind": "transformers", "model": "m", "base_url": "http://host/v1", "concurrency": 3},
            "no base_url and no concurrency",
        ),
        ({"every": 2}, "'attributes' takes no every"),
    ],
)
def test_a_captioner_that_cannot_be_made_so_is_a_usage_error_that_says_what_to_do(config: dict[str, Any], told: str) -> None:
    for make in (make_captioner, captioner_identity):
        with pytest.raises(UsageError, match=told):
            make(CaptionerConfig(**config))


def test_an_option_that_would_be_ignored_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="takes no model"):
        make_captioner(CaptionerConfig(model="Qwen"))
    with pytest.raises(UsageError, match="takes no base_url"):
        captioner_identity(CaptionerConfig(kind="none", base_url="http://localhost"))


def test_none_is_no_captioner() -> None:
    assert make_captioner(CaptionerConfig(kind="none")) is None
    assert captioner_identity(CaptionerConfig(kind="none")) == {"captioner": "none"}


def test_the_identity_holds_the_version_and_the_libraries() -> None:
    found = captioner_identity(CaptionerConfig())
    captioner = make_captioner(CaptionerConfig())
    assert captioner is not None and found["captioner"] == captioner.name
    assert set(found) == {"captioner", "numpy", "opencv"}
    assert found == captioner_identity(CaptionerConfig())
