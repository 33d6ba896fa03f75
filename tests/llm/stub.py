"""A small HTTP server on loopback that answers chat completions as a test tells it to, and remembers what it was asked.

`python stub.py PORT_FILE LOG` runs it as a process: every request is a line of LOG, every reply a sound caption.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FACE = "The face looks straight ahead and is evenly lit from the front."
ENVIRONMENT = "A plain grey backdrop with soft light on it, slightly out of focus."
CAPTION = json.dumps({"face": FACE, "environment": ENVIRONMENT})


@dataclass(frozen=True)
class Reply:
    """What to send: `cut` closes the connection after so many bytes; `delay` seconds pass before anything is sent."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None


@dataclass(frozen=True)
class Request:
    """What was asked."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def text(self) -> str:
        """The text part of the first message."""
        content = self.body["messages"][0]["content"]
        return content if isinstance(content, str) else next(part["text"] for part in content if part["type"] == "text")

    @property
    def name(self) -> str:
        """Names what was asked, whoever asks."""
        return hashlib.sha256(json.dumps(self.body["messages"], sort_keys=True).encode()).hexdigest()[:16]


def chat(text: str, finish: str = "stop", **more: Any) -> Reply:
    """A chat completion that says this."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 300, "completion_tokens": 40, "total_tokens": 340}
    return Reply(body=json.dumps({"id": "x", "model": "served", "choices": [choice], "usage": usage}).encode(), **more)


def refuse(status: int, message: str = "no", **headers: str) -> Reply:
    """An error as servers tell it."""
    return Reply(status, json.dumps({"error": {"message": message}}).encode(), headers)


Answering = Callable[[Request, int], Reply]
"""A request and its number, from 1, to what is sent."""


class Stub:
    """The server, in a thread of its own."""

    def __init__(self, answering: Answering | None = None) -> None:
        self.answering: Answering = answering or (lambda request, number: chat(CAPTION))
        self.asked: list[Request] = []
        self.at_once = self.most_at_once = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result()
        self.port = int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def __enter__(self) -> Stub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(head[0].split()[1], headers, json.loads(body))
        self.asked.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            reply = self.answering(request, len(self.asked))
            await asyncio.sleep(reply.delay)
        finally:
            self.at_once -= 1
        lines = [f"HTTP/1.1 {reply.status} X", "content-type: application/json", f"content-length: {len(reply.body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in reply.headers.items()]
        data = "\r\n".join([*lines, "", ""]).encode() + reply.body
        writer.write(data if reply.cut is None else data[: reply.cut])
        await writer.drain()
        return reply.cut is None


def _main(port_file: str, log: str, delay: str) -> None:
    with Path(log).open("a", buffering=1) as lines:

        def answering(request: Request, number: int) -> Reply:
            lines.write(f"{request.name}\n")
            return chat(CAPTION, delay=float(delay))

        stub = Stub(answering)
        Path(port_file).write_text(str(stub.port))
        threading.Event().wait()


if __name__ == "__main__":
    _main(*sys.argv[1:])
