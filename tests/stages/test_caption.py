"""Captioning by a model as a stage: what is asked, what is shared, what is kept through every way of stopping."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Place, Said, walk_here
from llm.stub import CAPTION, ENVIRONMENT, FACE, Reply, Request, Stub, chat, refuse

from mmidd.captions.journal import Journal
from mmidd.engine.local import Inline, Local
from mmidd.engine.run import Silent, run_units
from mmidd.engine.store import Store
from mmidd.engine.threads import Threads
from mmidd.engine.units import Engine, Resources
from mmidd.flow import steps
from mmidd.flow.walkers import Look
from mmidd.recipe import read
from mmidd.stages import caption

Command = Callable[..., Said]
SAMPLES, DISTINCT = 15, 14
"""Of the small place: four videos of two frames, seven images; two of these have the same pixels."""


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as server:
        yield server


def served(stub: Stub, **more: Any) -> list[str]:
    """Settings that let a server describe."""
    options = {"kind": "openai", "model": "tiny", "base_url": stub.url, **more}
    return [word for key, value in options.items() for word in ("--set", f"captioner.{key}={value}")]


def names(stub: Stub) -> set[str]:
    """What was asked, each request once: two tasks may ask the same at the same time."""
    return {request.name for request in stub.asked}


def rows(place: Place) -> list[dict[str, Any]]:
    columns = ["dataset", "media", "frame", "face_caption", "environment_caption", "captioner", "caption_status"]
    found = [row for path in place.out.glob("data/*.parquet") for row in pq.read_table(path, columns=columns).to_pylist()]
    return sorted(found, key=lambda row: (row["dataset"], row["media"], row["frame"]))


def numbered(request: Request, number: int) -> Reply:
    """A caption that says whose it is."""
    words = ["north", "south", "east", "west", "amber", "teal", "violet", "umber", "ochre", "ivory", "slate", "coral"]
    told = f"{words[int(request.name[0], 16) % 12]} {words[int(request.name[1], 16) % 12]}"
    face, environment = f"A face in {told} light number {request.name}.", f"A place in {told} tones number {request.name}."
    return chat(json.dumps({"face": face, "environment": environment}))


def test_every_sample_is_described_by_the_server_and_the_end_says_what_it_took(
    place: Place, mmidd: Command, stub: Stub
) -> None:
    done = mmidd(*place.words("build", *served(stub)))
    assert done.code == 0
    found = rows(place)
    assert len(found) == DISTINCT == len(names(stub))
    told = {(row["face_caption"], row["environment_caption"], row["captioner"], row["caption_status"]) for row in found}
    assert told == {(FACE, ENVIRONMENT, "openai:tiny:plain-1", "ok")}
    assert f"captions: {SAMPLES} ok; {SAMPLES} replies, {SAMPLES * 300} tokens sent, {SAMPLES * 40} received" in done.err
    about = (place.out / "mmidd.json").read_text()
    assert (
        "127.0.0.1" not in about and "base_url" not in about and json.loads(about)["recipe"]["captioner"]["model"] == "tiny"
    )

    stub.asked.clear()
    again = mmidd(*place.words("build", *served(stub)))
    assert again.code == 0 and stub.asked == [] and "(unchanged)" in again.err


def test_nothing_that_is_sent_names_a_medium_a_dataset_or_a_label(place: Place, mmidd: Command, stub: Stub) -> None:
    assert mmidd(*place.words("build", *served(stub))).code == 0
    for request in stub.asked:
        body = dict(request.body)
        for part in body["messages"][0]["content"]:
            part.get("image_url", {}).pop("url", None)
        sent = json.dumps([body, request.headers, request.path]).casefold()
        for word in ("faceforensics", "celeba", "deepfakes", ".mp4", ".jpg", "fake", "real", str(place.root).casefold()):
            assert word not in sent


def test_every_nth_frame_is_described_and_the_others_share(place: Place, mmidd: Command, stub: Stub) -> None:
    stub.answering = numbered
    assert mmidd(*place.words("build", *served(stub, every=2))).code == 0
    found = rows(place)
    clips = [row for row in found if row["media"].endswith(".mp4")]
    assert len(names(stub)) == DISTINCT - len(clips) // 2
    assert [row["caption_status"] for row in clips] == ["ok", "shared"] * (len(clips) // 2)
    for first, second in zip(clips[::2], clips[1::2], strict=True):
        assert first["media"] == second["media"]
        assert (first["face_caption"], first["environment_caption"]) == (
            second["face_caption"],
            second["environment_caption"],
        )
    assert len({row["face_caption"] for row in clips}) == len(clips) // 2
    assert {row["caption_status"] for row in found if row not in clips} == {"ok"}

    stub.asked.clear()
    assert mmidd(*place.words("build", *served(stub, every=1))).code == 0
    assert len(stub.asked) == len(clips) // 2, "what was described before is not asked again"
    assert {row["caption_status"] for row in rows(place)} == {"ok"}


def test_captions_that_did_not_come_out_are_listed_and_only_a_retry_asks_again(
    place: Place, mmidd: Command, stub: Stub
) -> None:
    victims: set[str] = set()

    def leaking(request: Request, number: int) -> Reply:
        image = json.dumps(request.body["messages"][0]["content"][0])
        if len(victims) < 2:
            victims.add(image)
        return chat(CAPTION.replace("straight", "deepfake")) if image in victims else chat(CAPTION)

    stub.answering = leaking
    done = mmidd(*place.words("build", *served(stub, concurrency=1)))
    assert done.code == 3
    assert f"captions: {SAMPLES - 2} ok, 2 null (leak)" in done.err and "asked for once more: 4 leak" in done.err
    statuses = Counter(row["caption_status"] for row in rows(place))
    assert statuses == {"ok": DISTINCT - 2, "leak": 2}
    assert all((row["face_caption"] is None) == (row["caption_status"] == "leak") for row in rows(place))

    listed = mmidd("failures", str(place.work), "--json").document
    assert {failure["stage"] for failure in listed} == {"caption"}
    assert sum("captions did not come out" in failure["message"] for failure in listed) == len(listed) >= 1

    stub.asked.clear()
    stub.answering = lambda request, number: chat(CAPTION)
    assert mmidd(*place.words("build", *served(stub, concurrency=1))).code == 3 and stub.asked == []
    mmidd("failures", str(place.work), "--retry")
    assert len(stub.asked) == 2
    assert {row["caption_status"] for row in rows(place)} == {"ok"}
    assert mmidd("failures", str(place.work), "--json").document == []


def test_a_server_that_goes_away_ends_the_build_and_the_next_one_goes_on(place: Place, mmidd: Command, stub: Stub) -> None:
    before = rows(place)
    stub.answering = lambda request, number: chat(CAPTION) if number <= 6 else refuse(401, "expired")
    done = mmidd(*place.words("build", *served(stub, concurrency=1)))
    assert done.code == 1 and "lets nobody in (HTTP 401 expired): put the API key into MMIDD_API_KEY" in done.err
    assert rows(place) == before
    asked = {request.name for request in stub.asked[:6]}
    stub.asked.clear()
    stub.answering = lambda request, number: chat(CAPTION)
    assert mmidd(*place.words("build", *served(stub, concurrency=1))).code == 0
    assert len(names(stub)) == DISTINCT - 6 and not asked & names(stub)


def test_a_server_that_is_not_there_is_one_line_of_error_and_no_traceback(place: Place) -> None:
    words = [
        "--set",
        "captioner.kind=openai",
        "--set",
        "captioner.model=m",
        "--set",
        "captioner.base_url=http://127.0.0.1:9/v1",
    ]
    command = [sys.executable, "-X", "dev", "-m", "mmidd", *place.words("caption", *words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    told = done.stderr[done.stderr.index("mmidd: ") :]
    assert "the server http://127.0.0.1:9/v1 does not answer" in told and "Start it, or mend base_url" in told
    for noise in ("Traceback", "never", "ignored"):
        assert noise not in told


def test_replies_that_would_take_over_a_page_or_a_terminal_stay_out_of_the_corpus(
    place: Place, mmidd: Command, stub: Stub
) -> None:
    evil = json.dumps({"face": "A face <script>alert(1)</script>", "environment": "\x1b]0;owned\x07 A wall"})
    stub.answering = lambda request, number: chat(evil)
    done = mmidd(*place.words("build", *served(stub)))
    assert done.code == 3 and {row["caption_status"] for row in rows(place)} == {"markup"}
    files = [path for path in place.out.rglob("*") if path.is_file()]
    assert files and not any(b"<script>" in path.read_bytes() or b"owned" in path.read_bytes() for path in files)
    listed = mmidd("failures", str(place.work))
    assert "\x1b" not in done.err + listed.out and "<script>" not in done.err + listed.out


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.01)


@pytest.mark.parametrize("concurrency", [4])
def test_after_a_kill_no_request_that_was_answered_is_asked_again(place: Place, stub: Stub, concurrency: int) -> None:
    stub.answering = lambda request, number: chat(CAPTION, delay=0.1)
    words = place.words("caption", *served(stub, concurrency=concurrency))
    command = [sys.executable, "-m", "mmidd", *words]
    with (place.root / "log").open("w") as log:
        killed = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        wait_for(lambda: len(stub.asked) >= 6)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    kept = len(Journal(place.work / "journal"))
    asked = len(stub.asked)
    assert asked - concurrency <= kept <= asked < DISTINCT
    stub.asked.clear()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(names(stub)) == DISTINCT - kept


def test_a_plan_says_what_captions_will_take_and_asks_nobody(place: Place, mmidd: Command, stub: Stub) -> None:
    planned = mmidd(*place.words("plan", *served(stub, every=2), "--json")).document["captions"]
    assert planned["requests"] == SAMPLES - 4
    assert planned["prompt_tokens"] == 500 * planned["requests"] and planned["hours"] > 0 and "assumed" in planned["basis"]
    assert mmidd(*place.words("build", *served(stub))).code == 0
    stub.asked.clear()
    dry = mmidd(*place.words("build", *served(stub, every=2), "--dry-run"))
    assert dry.code == 0 and "captions: at most 11 requests, about 3300 tokens sent and 440 received" in dry.out
    assert "tokens measured here over 15 replies; rate measured here" in dry.out
    assert mmidd(*place.words("plan", "--json")).document["captions"] is None
    assert stub.asked == []


def test_every_engine_commits_the_same_bytes(place: Place, stub: Stub, tmp_path: Path) -> None:
    stub.answering = numbered
    settings = served(stub)[1::2]
    setup, walked = walk_here(read(str(place.recipe), settings), place.data, place.work, "extract", run=False)
    assert walked.crops is not None
    looked = steps.caption_samples(setup, walked.crops, Look())
    assert looked is not None
    units, base = looked.work.units, looked.work.base
    engines: dict[str, Engine] = {"inline": Inline(), "threads": Threads(5), "local": Local(2, Resources())}
    found = {}
    for name, engine in engines.items():
        store = Store.open(tmp_path / name)
        config = replace(caption.config(setup.recipe), journal=tmp_path / f"{name}-journal")
        options: dict[str, Any] = {"store": store, "engine": engine, "progress": Silent()}
        try:
            records = run_units(caption.STAGE, base, units, config, **options)
        finally:
            caption.release()
            engine.close()
        found[name] = {unit: {f: store.path(r, f).read_bytes() for f in r.files} for unit, r in records.items()}
    assert found["inline"] == found["threads"] == found["local"]
    assert len(names(stub)) == DISTINCT
