"""A stand-in for the Hugging Face Hub: one dataset repository, served from a folder; it counts the bytes it served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

SHA = "a" * 40


@dataclass
class FakeHub:
    """A repository ORG/NAME at `main` and at v1, both of them commit SHA."""

    folder: Path
    repo: str = "org/name"
    served: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    endpoint: str = ""


@contextmanager
def serve(folder: Path) -> Iterator[FakeHub]:
    """A hub on this machine for the length of the block."""
    hub = FakeHub(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    api, files = f"/api/datasets/{hub.repo}", f"/datasets/{hub.repo}/resolve/{SHA}/"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(path)
            if path in (api, *(f"{api}/revision/{revision}" for revision in ("main", "v1", SHA))):
                self._json({"id": hub.repo, "sha": SHA, "private": False, "tags": [], "siblings": []})
            elif path.startswith(f"{api}/tree/{SHA}"):
                self._json(
                    [
                        {
                            "type": "file",
                            "path": each.relative_to(hub.folder).as_posix(),
                            "size": each.stat().st_size,
                            "oid": "0",
                        }
                        for each in sorted(hub.folder.rglob("*"))
                        if each.is_file()
                    ]
                )
            elif path.startswith(files):
                self._file(path.removeprefix(files))
            else:
                code = "RevisionNotFound" if path.startswith(f"{api}/revision/") else "RepoNotFound"
                self._send(404, b"{}", {"X-Error-Code": code})

        def _file(self, name: str) -> None:
            data = (hub.folder / name).read_bytes()
            first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
            part = data[int(first) : int(last) + 1 if last else len(data)]
            hub.served[name] = hub.served.get(name, 0) + len(part)
            self._send(206, part, {"Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"})

        def _json(self, value: object) -> None:
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _send(self, code: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
