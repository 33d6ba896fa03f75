"""A captioner by model against a real HTTP server that replies what a test tells it to."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from llm.stub import CAPTION, ENVIRONMENT, FACE, Answering, Reply, Request, Stub, chat, refuse

from mmidd.captions.choose import CaptionerConfig, captioner_identity, make_captioner
from mmidd.captions.prompts import load
from mmidd.captions.protocol import Asked, Caption, CaptionRequest
from mmidd.errors import WrongWeights
from mmidd.llm.health import ServerDown


def scene(shade: int, *, context: bool = True) -> CaptionRequest:
    crop = np.full((64, 64, 3), shade, np.uint8)
    around = np.full((90, 120, 3), shade, np.uint8)
    return CaptionRequest(
        crop, around if context else None, None, np.array([0, 0, 9, 9], np.float32) if context else None, (120, 90)
    )


def shade_of(request: Request) -> int:
    """The grey of the first image that the server was sent."""
    uri = request.body["messages"][0]["content"][0]["image_url"]["url"]
    data = np.frombuffer(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert pixels is not None
    return round(float(pixels.mean()))


def described(
    answering: Answering, requests: list[CaptionRequest], folder: Path | None = None, **options: Any
) -> tuple[list[Caption], Stub]:
    with Stub(answering) as stub:
        config = CaptionerConfig("openai", model="tiny", base_url=stub.url, journal=folder, **options)
        captioner = make_captioner(config)
        assert captioner is not None
        try:
            return captioner.caption(requests), stub
        finally:
            captioner.close()


def fields(face: str, environment: str) -> Reply:
    return chat(json.dumps({"face": face, "environment": environment}))


def test_the_model_is_shown_crop_and_frame_and_nothing_that_names_them() -> None:
    (caption, alone), stub = described(lambda request, number: chat(CAPTION), [scene(40), scene(90, context=False)])
    assert caption == Caption(FACE, ENVIRONMENT, "ok", Asked(1, 300, 40)) == alone
    both, single = sorted(stub.asked, key=lambda request: -len(request.body["messages"][0]["content"]))
    assert [part["type"] for part in both.body["messages"][0]["content"]] == ["image_url", "image_url", "text"]
    assert [part["type"] for part in single.body["messages"][0]["content"]] == ["image_url", "text"]
    prompt = load("plain-1")
    assert (both.text, single.text) == (prompt.both, prompt.alone)
    assert (shade_of(both), shade_of(single)) == (40, 90)
    assert both.body["temperature"] == 0 and both.body["max_tokens"] == 200


BAD: dict[str, Callable[[], Reply]] = {
    "not_json": lambda: chat("The face is calm."),
    "cut_off": lambda: chat(CAPTION[:40], "length"),
    "refusal": lambda: chat("I'm sorry, I can't help with that."),
    "empty": lambda: fields("", "A wall."),
    "markup": lambda: fields("A <b>calm</b> face \x1b[2J", "A wall."),
    "wrong_language": lambda: fields("Das Gesicht ist mit dem Licht von vorne.", "A wall."),
    "leak": lambda: fields("A deepfake of a face.", "A wall."),
    "cross_talk": lambda: fields("A calm face.", "She has brown eyes."),
    "looping": lambda: fields("A calm calm calm face.", "A wall."),
    "too_long": lambda: fields(" ".join(f"item{n}" for n in range(60)), "A wall."),
}


@pytest.mark.parametrize("status", BAD)
def test_a_reply_of_no_use_is_asked_for_once_more_and_then_the_caption_is_null(status: str, tmp_path: Path) -> None:
    (caption,), stub = described(lambda request, number: BAD[status](), [scene(1)], tmp_path)
    assert (caption.face, caption.environment, caption.status) == (None, None, status)
    assert caption.asked.faults == (status, status) and caption.asked.replies == 2
    first, second = stub.asked
    assert second.text == f"{first.text}\n\n{load('plain-1').again}"
    (path,) = tmp_path.glob("*.log")
    assert path.read_bytes().isascii() and path.read_bytes().count(b"\n") == 2 and b"\x1b" not in path.read_bytes()


@pytest.mark.parametrize("status", BAD)
def test_a_second_reply_that_is_sound_is_taken_and_the_first_is_counted(status: str) -> None:
    (caption,), _ = described(lambda request, number: BAD[status]() if number == 1 else chat(CAPTION), [scene(1)])
    assert caption == Caption(FACE, ENVIRONMENT, "ok", Asked(2, 600, 80, (status,)))


def test_one_refused_request_is_one_null_caption() -> None:
    def answering(request: Request, number: int) -> Reply:
        return refuse(400, "image too small") if shade_of(request) == 100 else chat(CAPTION)

    captions, _ = described(answering, [scene(shade) for shade in (50, 100, 150)])
    assert [caption.status for caption in captions] == ["ok", "rejected", "ok"]


def test_no_answered_request_is_asked_again(tmp_path: Path) -> None:
    requests = [scene(shade) for shade in range(10, 60, 10)]
    first, stub = described(lambda request, number: chat(CAPTION), requests[:3], tmp_path)
    again, more = described(lambda request, number: chat(CAPTION), requests, tmp_path)
    assert len(stub.asked) == 3 and sorted(map(shade_of, more.asked)) == [40, 50] and again[:3] == first
    _, none = described(lambda request, number: refuse(500), requests, tmp_path)
    assert none.asked == []


def test_what_was_answered_before_the_server_died_is_kept(tmp_path: Path) -> None:
    requests = [scene(shade) for shade in range(10, 170, 10)]
    with pytest.raises(ServerDown):
        described(lambda request, number: chat(CAPTION) if number <= 6 else refuse(401), requests, tmp_path, concurrency=2)
    captions, stub = described(lambda request, number: chat(CAPTION), requests, tmp_path)
    assert len(stub.asked) == len(requests) - 6 and {caption.status for caption in captions} == {"ok"}


@pytest.mark.parametrize(
    ("change", "asked_again"),
    [
        ({"model": "other"}, True),
        ({"revision": "v2"}, True),
        ({"prompt": "brief-1"}, True),
        ({"max_tokens": 100}, True),
        ({"temperature": 0.5}, True),
        ({"concurrency": 2}, False),
        ({"timeout": 7.0}, False),
    ],
)
def test_a_reply_belongs_to_image_prompt_model_and_parameters(
    tmp_path: Path, change: dict[str, Any], asked_again: bool
) -> None:
    config = CaptionerConfig("openai", model="tiny", journal=tmp_path)
    with Stub() as stub:
        for each in (config, replace(config, **change)):
            captioner = make_captioner(replace(each, base_url=stub.url))
            assert captioner is not None
            captioner.caption([scene(10)])
            captioner.close()
        assert len(stub.asked) == (2 if asked_again else 1)
    other = replace(config, base_url="http://other:1/v1", **change)
    same = captioner_identity(other) == captioner_identity(replace(config, base_url="http://localhost:1/v1"))
    assert same is not asked_again


def test_the_context_is_part_of_the_request(tmp_path: Path) -> None:
    plain, other = scene(10), scene(10)
    other = replace(other, context=np.full((90, 120, 3), 99, np.uint8))
    _, stub = described(lambda request, number: chat(CAPTION), [plain, other, scene(10, context=False)], tmp_path)
    assert len(stub.asked) == 3


def test_only_where_it_is_wished_are_replies_of_no_use_asked_for_anew(tmp_path: Path) -> None:
    requests = [scene(10), scene(20)]

    def answering(request: Request, number: int) -> Reply:
        return chat("no JSON") if shade_of(request) == 20 else chat(CAPTION)

    described(answering, requests, tmp_path)
    captions, stub = described(lambda request, number: chat(CAPTION), requests, tmp_path)
    assert stub.asked == [] and captions[1].status == "not_json"
    captions, stub = described(lambda request, number: chat(CAPTION), requests, tmp_path, again=True)
    assert [shade_of(request) for request in stub.asked] == [20] and captions[1].status == "ok"
    captions, stub = described(lambda request, number: refuse(500), requests, tmp_path)
    assert stub.asked == [] and captions[1].status == "ok"


def test_the_name_in_the_corpus_holds_model_revision_and_prompt_and_no_address() -> None:
    config = CaptionerConfig("openai", model="Org/Model 7B", revision="v1.2", base_url="http://secret-host:1/v1")
    captioner = make_captioner(config)
    assert captioner is not None and captioner.name == "openai:Org/Model-7B@v1.2:plain-1"
    captioner.close()


def test_a_prompt_that_is_replaced_between_its_digest_and_its_use_stops_the_build(tmp_path: Path) -> None:
    """Else its captions would stand under the other one's key, for ever."""
    path, before = tmp_path / "mine.yaml", {"both": "two, JSON", "alone": "one, JSON", "again": "once more"}
    path.write_text(json.dumps(before))
    config = CaptionerConfig("openai", model="tiny", base_url="http://127.0.0.1:9", prompt=str(path))
    pinned = (("prompt", captioner_identity(config)["prompt"]),)
    captioner = make_captioner(replace(config, pinned=pinned))
    assert captioner is not None
    captioner.close()
    with pytest.raises(WrongWeights, match=r"methods.yaml\), .* changed while the build was under way"):
        make_captioner(replace(config, pinned=(("leaks", "of another list"),)))
    path.write_text(json.dumps(before | {"alone": "another, JSON"}))
    with pytest.raises(WrongWeights, match="captioner's prompt changed while the build was under way"):
        make_captioner(replace(config, pinned=pinned))
    captioner = make_captioner(config)
    assert captioner is not None
    captioner.close()
