"""Chat completions of an OpenAI-compatible server: bounded, patient, and with a clear end when the server is down.

Relies on `/chat/completions` alone: no `/models`, `stop` or `logprobs`. `max_tokens` and `temperature` are always sent.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import httpx2

from mmidd.errors import causes, sanitised
from mmidd.llm.answer import Answer
from mmidd.llm.backoff import Patience, retry_after, wait
from mmidd.llm.health import Health
from mmidd.llm.key import KEY_VARIABLE, Key, check_address

LARGEST_REPLY = 4 << 20
_TRANSIENT = {408, 409, 425, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 529}
_UNGUIDED = {400, 422, 501}


@dataclass(frozen=True)
class Chat:
    """One request: the messages, and the JSON schema that its reply should follow where the server can hold it to one."""

    messages: tuple[dict[str, Any], ...]
    max_tokens: int
    temperature: float = 0.0
    schema: dict[str, Any] | None = None


@dataclass(frozen=True)
class Refused:
    """A request without an answer: `rejected` (the server will not do it) or not answered in all its attempts."""

    rejected: bool
    why: str


class ChatClient:
    """Asks one model of one server. To be used and closed in one event loop."""

    def __init__(self, base_url: str, model: str, limits: Patience, *, seed: int | None = None) -> None:
        """`base_url`: up to and with `/v1`. The key is read from MMIDD_API_KEY. Raises UsageError for a bad
        address or key."""
        check_address(base_url)
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model, self._limits = model, limits
        self._key = Key.read()
        self.health = Health(base_url, limits)
        self._rng = random.Random(seed)
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._not_before = 0.0
        self._guided = True
        headers = {"content-type": "application/json"}
        if self._key:
            headers["authorization"] = self._key.header
        pool = httpx2.Limits(max_connections=limits.concurrency, max_keepalive_connections=limits.concurrency)
        self._http = httpx2.AsyncClient(limits=pool, headers=headers, timeout=limits.timeout, follow_redirects=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, chat: Chat) -> Answer | Refused:
        """The answer to one request. Raises ServerDown where the server cannot be used at all."""
        async with self._slots:
            tries = faults = 0
            while True:
                tries += 1
                guided = chat.schema is not None and self._guided
                reply = await self._try(chat, guided)
                if isinstance(reply, _Failure):
                    faults += not reply.busy
                    if faults >= self._limits.attempts and await self._answers_others():
                        tries, faults, reply = tries + 1, 0, await self._try(chat, guided)
                        if isinstance(reply, _Failure):
                            return Refused(False, reply.why)
                if isinstance(reply, Answer):
                    return replace(reply, tries=tries)
                if isinstance(reply, Refused):
                    return await self._plain(chat, reply, tries) if guided and reply.rejected else reply
                self.health.failed(reply.why)
                self._await_asked(reply)
                await asyncio.sleep(wait(tries, self._limits, self._rng))

    async def _answers_others(self) -> bool:
        """Whether the server answers a trivial request: then it is not down, but breaks on the one before."""
        return isinstance(await self._try(_TRIVIAL, guided=False), Answer)

    async def _plain(self, chat: Chat, before: Refused, tries: int) -> Answer | Refused:
        """A server may know no guided decoding: the same request without it decides, for all that follow."""
        reply = await self._try(chat, guided=False)
        if isinstance(reply, Answer):
            self._guided = False
            return replace(reply, tries=tries + 1)
        if isinstance(reply, Refused):
            self.health.rejected(reply.why)
            return reply
        return before

    async def _try(self, chat: Chat, guided: bool) -> Answer | Refused | _Failure:
        self.health.check()
        await self._hold()
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.timeout):
                status, headers, body = await self._send(self._body(chat, guided))
        except TimeoutError:
            return _Failure(f"no reply within {self._limits.timeout:g} s")
        except httpx2.TimeoutException as error:
            return _Failure(f"no reply in time ({type(error).__name__})")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            self._check_tls(error)
            return _Failure(self._told(f"{type(error).__name__}: {error}"))
        if status == HTTPStatus.OK:
            return self._answer(body, guided, time.monotonic() - started)
        return self._bad(status, headers, body, guided)

    async def _send(self, body: bytes) -> tuple[int, Any, bytes]:
        async with self._http.stream("POST", self._url, content=body) as response:
            pieces, size = [], 0
            async for piece in response.aiter_bytes():
                pieces.append(piece)
                size += len(piece)
                if size > LARGEST_REPLY:
                    raise httpx2.TransportError(f"the reply has more than {LARGEST_REPLY} bytes")
            return response.status_code, response.headers, b"".join(pieces)

    def _body(self, chat: Chat, guided: bool) -> bytes:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": chat.messages,
            "max_tokens": chat.max_tokens,
            "temperature": chat.temperature,
        }
        if guided:
            schema = {"name": "reply", "strict": True, "schema": chat.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return json.dumps(body).encode()

    def _answer(self, body: bytes, guided: bool, seconds: float) -> Answer | _Failure:
        try:
            reply = json.loads(body)
            choice = reply["choices"][0]
            text = _text(choice["message"])
            usage = reply.get("usage") or {}
            answer = Answer(
                text, _string(choice.get("finish_reason")), _string(reply.get("model")), _count(usage.get("prompt_tokens")),
                _count(usage.get("completion_tokens")), guided, seconds=round(seconds, 3),
            )  # fmt: skip
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            said = body.decode("utf-8", "replace")
            return _Failure(self._told(f"no chat completion came back, but {said[:80]!r}", said))
        if self._key.is_in(body.decode("utf-8", "replace"), answer.text, answer.finish, answer.model):
            return _Failure(_REPEATED)
        self.health.answered()
        return answer

    def _bad(self, status: int, headers: Any, body: bytes, guided: bool) -> Refused | _Failure:
        why = self._told(f"HTTP {status} {_message(body)}", body.decode("utf-8", "replace"))
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            how = f"the key in {KEY_VARIABLE} is not accepted" if self._key else f"put the API key into {KEY_VARIABLE}"
            self.health.stop(f"lets nobody in ({why}): {how}")
        if status == HTTPStatus.NOT_FOUND or HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            self.health.stop(
                f"has no model {self._model!r}, or no chat completions at this address ({why}); mend the recipe"
            )
        if status in _TRANSIENT or (status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _UNGUIDED):
            return _Failure(why, retry_after(headers.get("retry-after")), status == HTTPStatus.TOO_MANY_REQUESTS)
        if not (guided and status in _UNGUIDED):
            self.health.rejected(why)
        return Refused(True, why)

    def _await_asked(self, failure: _Failure) -> None:
        """What the server asks to wait, all requests wait."""
        if failure.asked is None:
            return
        if failure.asked > self._limits.longest_asked:
            self.health.stop(f"asks to wait {failure.asked:.0f} s ({failure.why}); run again then")
        self._not_before = max(self._not_before, time.monotonic() + failure.asked)

    async def _hold(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(left)
            self.health.check()

    def _check_tls(self, error: Exception) -> None:
        """Trying again mends no certificate. Raises ServerDown."""
        for each in causes(error):
            if isinstance(each, ssl.SSLCertVerificationError):
                self.health.stop(
                    f"shows a certificate that is not trusted here ({sanitised(each.verify_message)}): name the file of its "
                    "authority's certificates in SSL_CERT_FILE, or mend base_url"
                )
            if isinstance(each, ssl.SSLError) and each.reason == "WRONG_VERSION_NUMBER":
                self.health.stop("speaks no TLS: is its address http:// and not https://? Mend base_url")

    def _told(self, text: str, whole: str = "") -> str:
        """What may be said of what went wrong; `whole` is what was cut for it."""
        return _REPEATED if self._key.is_in(text, whole) else sanitised(text)


@dataclass(frozen=True)
class _Failure:
    """An attempt that may go better next time. `asked`: the seconds the server asks to wait; `busy`: too much to do."""

    why: str
    asked: float | None = None
    busy: bool = False


_REPEATED = "what it said repeats the API key, so it is shown and kept nowhere"
_TRIVIAL = Chat(({"role": "user", "content": "Say ok."},), 16)


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or message.get("refusal") or "")


def _message(body: bytes) -> str:
    text = body[:2000].decode("utf-8", "replace")
    try:
        error = json.loads(body)
        error = error.get("error", error)
        return str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, AttributeError, RecursionError):
        return text


def _string(value: Any) -> str | None:
    return value[:200] if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else None
