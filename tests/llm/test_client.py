"""The client against a real HTTP server on loopback, which does what servers do on bad days."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from mmidd.errors import UsageError
from mmidd.llm.answer import Answer
from mmidd.llm.asker import Asker
from mmidd.llm.backoff import Patience
from mmidd.llm.client import Chat, ChatClient, Refused
from mmidd.llm.health import ServerDown
from mmidd.llm.key import KEY_VARIABLE

from .stub import Answering, Reply, Request, Stub, chat, refuse

QUICK = Patience(
    concurrency=8, timeout=2.0, attempts=4, first_wait=0.01, longest_wait=0.05, patience=0.5, start=0.2, failures=3
)
SCHEMA = {"type": "object"}
SECRET = "sk-very-secret"


def question(number: int = 0, schema: dict[str, Any] | None = None) -> Chat:
    return Chat(({"role": "user", "content": [{"type": "text", "text": f"question {number}"}]},), 50, schema=schema)


def ask(url: str, chats: Sequence[Chat], limits: Patience = QUICK) -> list[Answer | Refused]:
    async def all_of_them() -> list[Answer | Refused]:
        client = ChatClient(url, "a-model", limits, seed=0)
        try:
            return list(await asyncio.gather(*(client.ask(one) for one in chats)))
        finally:
            await client.close()

    return asyncio.run(all_of_them())


def answered(answering: Answering, limits: Patience = QUICK, schema: dict[str, Any] | None = None) -> tuple[Any, Stub]:
    with Stub(answering) as stub:
        return ask(stub.url, [question(schema=schema)], limits)[0], stub


def first(bad: Reply) -> Answering:
    """The first request goes wrong like this, the others well."""
    return lambda request, number: bad if number == 1 else chat("fine")


def test_a_request_has_all_it_needs_and_nothing_that_servers_choke_on() -> None:
    answer, stub = answered(lambda request, number: chat("hello"))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish, answer.model, answer.prompt_tokens, answer.completion_tokens, answer.tries) == (
        "hello", "stop", "served", 300, 40, 1,
    )  # fmt: skip
    (asked,) = stub.asked
    assert asked.path == "/v1/chat/completions"
    assert set(asked.body) == {"model", "messages", "max_tokens", "temperature"}
    assert (asked.body["model"], asked.body["max_tokens"], asked.body["temperature"]) == ("a-model", 50, 0)
    assert "authorization" not in asked.headers


@pytest.mark.parametrize(
    "bad",
    [
        refuse(429),
        refuse(500),
        refuse(502),
        refuse(503, Retry_After="0"),
        refuse(529),
        Reply(503, b"<html>gateway</html>"),
        Reply(200, b"not json at all"),
        Reply(200, b'{"choices": []}'),
        Reply(200, b"[" * 100_000),
        Reply(200, b'{"choices": [{"message": null}]}'),
        replace(chat("cut"), cut=80),
        replace(chat("cut"), cut=0),
        chat("slow", delay=30.0),
    ],
    ids=["429", "500", "502", "503", "529", "gateway", "text", "empty", "deep", "null", "cut off", "closed", "slow"],
)
def test_what_passes_is_tried_again(bad: Reply) -> None:
    answer, stub = answered(first(bad), replace(QUICK, timeout=0.5))
    assert isinstance(answer, Answer) and (answer.text, answer.tries) == ("fine", 2)
    assert len(stub.asked) == 2


@pytest.mark.parametrize(
    "header",
    [lambda: "1", lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)],
    ids=["seconds", "date"],
)
def test_a_server_that_asks_to_wait_is_given_the_time_by_every_request(header: Callable[[], str]) -> None:
    times: list[float] = []

    def answering(request: Request, number: int) -> Reply:
        times.append(time.monotonic())
        return refuse(429, Retry_After=header()) if number == 1 else chat("fine")

    with Stub(answering) as stub:
        answers = ask(stub.url, [question(number) for number in range(3)], replace(QUICK, concurrency=1))
    assert all(isinstance(answer, Answer) for answer in answers)
    assert times[1] - times[0] >= 0.9


def test_more_than_so_many_requests_are_never_under_way() -> None:
    with Stub(lambda request, number: chat("fine", delay=0.02)) as stub:
        answers = ask(stub.url, [question(number) for number in range(40)], replace(QUICK, concurrency=5))
        assert len(answers) == 40 and stub.most_at_once == 5


def test_a_server_without_guided_decoding_is_asked_without_from_then_on() -> None:
    def answering(request: Request, number: int) -> Reply:
        return refuse(400, "response_format is not supported") if "response_format" in request.body else chat("fine")

    with Stub(answering) as stub:
        answers = ask(stub.url, [question(number, SCHEMA) for number in range(6)], replace(QUICK, concurrency=1))
        guided = ["response_format" in request.body for request in stub.asked]
    assert [isinstance(answer, Answer) and not answer.guided for answer in answers] == [True] * 6
    assert guided == [True, *[False] * 6]


def test_a_server_with_guided_decoding_is_given_the_schema() -> None:
    answer, stub = answered(lambda request, number: chat("{}"), schema=SCHEMA)
    assert isinstance(answer, Answer) and answer.guided
    form = stub.asked[0].body["response_format"]
    assert form["type"] == "json_schema" and form["json_schema"]["schema"] == SCHEMA and form["json_schema"]["strict"]


def test_one_request_that_is_refused_is_recorded_and_the_others_are_answered_guided() -> None:
    def answering(request: Request, number: int) -> Reply:
        return refuse(400, "image too large") if request.text == "question 3" else chat("fine")

    with Stub(answering) as stub:
        answers = ask(stub.url, [question(number, SCHEMA) for number in range(6)])
    refused = answers.pop(3)
    assert refused == Refused(True, "HTTP 400 image too large")
    assert all(isinstance(answer, Answer) and answer.guided for answer in answers)


def test_one_request_that_the_server_always_breaks_on_is_given_up_alone() -> None:
    def answering(request: Request, number: int) -> Reply:
        return refuse(500, "worker died") if request.text == "question 3" else chat("fine", delay=0.02)

    with Stub(answering) as stub:
        answers = ask(stub.url, [question(number) for number in range(30)], replace(QUICK, concurrency=4, patience=30.0))
        tried = sum(request.text == "question 3" for request in stub.asked)
    assert answers.pop(3) == Refused(False, "HTTP 500 worker died")
    assert tried == QUICK.attempts + 1 and all(isinstance(answer, Answer) for answer in answers)


def test_such_a_request_is_given_up_also_where_it_is_the_only_one() -> None:
    answer, stub = answered(lambda request, number: refuse(500) if request.text == "question 0" else chat("ok"))
    assert answer == Refused(False, "HTTP 500 no")
    assert [request.text for request in stub.asked].count("Say ok.") == 1


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (refuse(401, "no key"), f"put the API key into {KEY_VARIABLE}"),
        (refuse(403), f"put the API key into {KEY_VARIABLE}"),
        (refuse(404, "model not found"), "has no model 'a-model'.*model not found"),
        (refuse(301, Location="http://elsewhere"), "mend the recipe"),
        (
            refuse(400, "this model takes no images"),
            "refused the first 8 requests.*takes no images.*Does the model take images",
        ),
        (refuse(503, "loading"), "does not answer.*HTTP 503 loading.*Start it"),
        (refuse(429, "quota used up", Retry_After="86400"), "asks to wait 86400 s.*quota used up"),
        (Reply(200, b"<html>a web page</html>"), "does not answer.*no chat completion.*a web page"),
    ],
    ids=["401", "403", "404", "301", "no vision", "503", "quota", "page"],
)
def test_a_server_that_cannot_be_used_ends_everything_with_what_to_do(bad: Reply, told: str) -> None:
    with (
        Stub(lambda request, number: bad) as stub,
        pytest.raises(ServerDown, match=rf"the server http://127.*{told}.*run the same command to go on"),
    ):
        ask(stub.url, [question(number) for number in range(20)])
    assert len(stub.asked) <= 200


def test_nobody_listening_is_told_soon() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ServerDown, match=r"does not answer .*ConnectError"):
        ask(f"http://127.0.0.1:{port}/v1", [question()])


def test_a_server_that_dies_half_way_ends_everything_and_what_was_answered_has_landed() -> None:
    landed: list[int] = []
    with Stub(lambda request, number: chat("fine") if number <= 20 else refuse(503)) as stub:
        asker = Asker(lambda: ChatClient(stub.url, "m", replace(QUICK, concurrency=4)))
        try:
            with pytest.raises(ServerDown, match="no longer answers"):
                asker.ask([question(number) for number in range(40)], lambda place, answer: landed.append(place))
            with pytest.raises(ServerDown):
                asker.ask([question()], lambda place, answer: None)
        finally:
            asker.close()
    assert len(landed) == 20


def test_a_short_outage_is_waited_out() -> None:
    down = time.monotonic() + 0.3
    with Stub(lambda request, number: refuse(503) if number > 9 and time.monotonic() < down else chat("fine")) as stub:
        answers = ask(stub.url, [question(number) for number in range(30)], replace(QUICK, patience=20.0, attempts=3))
    assert all(isinstance(answer, Answer) for answer in answers)


def test_the_key_comes_from_the_environment_and_is_told_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    caplog.set_level(logging.DEBUG)
    answer, stub = answered(lambda request, number: chat("fine"))
    assert isinstance(answer, Answer) and stub.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    with Stub(lambda request, number: refuse(401, f"wrong key {SECRET}")) as other, pytest.raises(ServerDown) as caught:
        ask(other.url, [question()])
    assert SECRET not in str(caught.value) and f"the key in {KEY_VARIABLE} is not accepted" in str(caught.value)
    assert SECRET not in caplog.text


def test_what_a_server_says_in_an_error_cannot_reach_the_terminal_as_an_escape_sequence() -> None:
    answer, _ = answered(lambda request, number: refuse(413, "\x1b[31mred\x07 /etc/secret/file"))
    assert answer == Refused(True, "HTTP 413 [31mred file")


def test_an_endless_reply_is_not_read_to_its_end() -> None:
    answer, _ = answered(first(Reply(200, b" " * (5 << 20))))
    assert isinstance(answer, Answer) and answer.text == "fine"


@pytest.mark.parametrize(
    "address",
    ["", "localhost:8000", "ftp://host/v1", "http://", "http://host:99999/v1", "http://u:p@host/v1", "http://host/v1?key=1"],
)
def test_an_address_that_is_none_or_holds_a_secret_is_a_usage_error(address: str) -> None:
    with pytest.raises(UsageError, match="base_url"):
        ChatClient(address, "m", QUICK)


def _always(reply: Reply) -> Answering:
    return lambda request, number: reply


def test_texts_come_from_plain_content_parts_and_refusals() -> None:
    for message, text in (
        ({"content": "a"}, "a"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"content": None, "refusal": "I can't"}, "I can't"),
        ({"content": None}, ""),
    ):
        body = {"choices": [{"message": message, "finish_reason": 7}], "usage": {"prompt_tokens": "many"}}
        answer, _ = answered(_always(Reply(200, json.dumps(body).encode())))
        assert isinstance(answer, Answer) and (answer.text, answer.finish, answer.prompt_tokens) == (text, None, None)
