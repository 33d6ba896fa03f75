"""The HTTP side of the Hub: reads a request, lets faults happen, sends the answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from .faults import Fault, spoiled
from .git import ApiError
from .routing import Answer, Call, matching, told

if TYPE_CHECKING:
    from .server import Asked, Hub

WATCHER = "X-Watcher"
"""A header of requests that are not in the log, and that no fault meets."""


def refusal(error: ApiError) -> Answer:
    """What the Hub answers in place of what was asked for."""
    headers = {"X-Error-Message": error.message, **({"X-Error-Code": error.code} if error.code else {})}
    headers |= error.more.pop("headers", {})
    return told({"error": error.message, **error.more}, error.status, headers)


def limited(fault: Fault) -> Answer:
    """What the Hub's own machinery answers in place of the route."""
    assert fault.status
    headers = {"Content-Type": "application/json"}
    if fault.status == 429:
        headers |= {"RateLimit": f'"api";r=0;t={fault.retry_after}', "RateLimit-Policy": '"fixed window";"api";q=1000;w=300'}
        headers["Retry-After"] = str(fault.retry_after)
    return Answer(b'{"error": "on purpose"}', fault.status, headers)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every answer waits 40 ms for an acknowledgement
    timeout = 60
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """The hub has its own log."""

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the client is gone, as it may be

    def one(self) -> None:
        """A request and its answer."""
        path = urlsplit(self.path)
        found = matching(self.command, path.path)
        size = int(self.headers.get("Content-Length") or 0)
        asked, faults = self.hub.note(self.command, unquote(self.path), size, found, counts=WATCHER not in self.headers)
        if not self.begins(asked, faults):
            return
        body = b"".join(self.body())
        if found is None:
            self.hub.wrong.append(f"no such route: {self.command} {self.path}")
            self.send(asked, told({"error": "this Hub has no such route"}, 501), ())
            return
        for fault in faults:
            if fault.before:
                fault.before()
        route, part = found
        call = Call(self.hub, None, part, parse_qs(path.query, keep_blank_values=True), self.headers, body, None)  # type: ignore[arg-type]
        denied = next((limited(fault) for fault in faults if fault.status), None)
        answer = denied or self.hub.answer(asked, route, call)
        for fault in faults:
            if fault.after:
                fault.after()
        self.send(asked, answer, faults)

    def begins(self, asked: Asked, faults: Sequence[Fault]) -> bool:
        """Does the request get as far as being read?"""
        for fault in faults:
            time.sleep(fault.slow)
            if fault.drop == "reading":
                self.rfile.read(min(asked.size // 2, 1 << 16))
            if fault.drop in ("before", "reading"):
                self.hang_up()
                return False
        return True

    def body(self) -> Iterator[bytes]:
        """Of the request."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def send(self, asked: Asked, answer: Answer, faults: Sequence[Fault]) -> None:
        """The answer, or what faults leave of it."""
        drops = {fault.drop for fault in faults}
        if "after" in drops:
            self.hang_up()
            return
        body = spoiled(answer.body) if any(fault.wrong for fault in faults) else answer.body
        asked.status = answer.status
        self.send_response(answer.status)
        for name, value in {"X-Request-Id": f"Root=1-{asked.number}", **answer.headers}.items():
            self.send_header(name, value.replace("\n", " "))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[: len(body) // 2] if "middle" in drops else body)
        if "middle" in drops:
            self.wfile.flush()
            self.hang_up()

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = one


def handler(hub: Hub) -> type[Handler]:
    """The handler of a hub's requests."""
    return type("HubHandler", (Handler,), {"hub": hub})
