"""moto's S3 behind a gate that counts, denies and interrupts: real requests over loopback."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from s3fs import S3FileSystem
from werkzeug.serving import BaseWSGIServer, make_server

from mmidd.engine.files import sha256_file
from mmidd.raw import cache, store

SECRET = "wJalrSENTINELbPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGSENTINELtokenEXAMPLE"

Request = tuple[str, str, str]
"""Method, path, and query of a request."""


LONG = bool(os.environ.get("MMIDD_CLUSTER"))
"""The long form: `make cluster`."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Clusters take minutes to start: `make cluster` has them."""
    left = [] if LONG else [item for item in items if item.path == Path(__file__).parent / "test_clusters.py"]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@dataclass
class Gate:
    """What stands before moto: it notes every request, and answers itself where `answer` gives a status and a code."""

    app: Any
    seen: list[Request] = field(default_factory=list)
    answer: Callable[[Request], tuple[str, str] | None] = lambda request: None

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        request = (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"])
        self.seen.append(request)
        refusal = self.answer(request)
        if refusal is None:
            return self.app(environ, start)  # type: ignore[no-any-return]
        status, code = refusal
        body = f"<Error><Code>{code}</Code><Message>{SECRET} refused</Message></Error>".encode()
        start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body] if request[0] != "HEAD" else []


@dataclass
class S3:
    """An S3 server with one bucket, which can go away and come back at the same port."""

    gate: Gate
    server: BaseWSGIServer
    bucket: str = "raw"

    @property
    def port(self) -> int:
        return int(self.server.server_port)

    @property
    def client(self) -> Any:
        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1")

    def upload(self, folder: Path, prefix: str) -> str:
        """Put all files of a folder under a prefix; gives its address."""
        client = self.client
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                client.put_object(Bucket=self.bucket, Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes())
        return f"s3://{self.bucket}/{prefix}"

    def fetched(self) -> list[str]:
        """The objects whose bytes were asked for."""
        return [path for method, path, query in self.gate.seen if method == "GET" and path.count("/") > 1]

    def listed(self) -> list[str]:
        """The prefixes that were listed, as they stand in the query."""
        return [query for method, path, query in self.gate.seen if method == "GET" and "list-type=2" in query]

    def down(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def up(self) -> None:
        self.server = make_server("127.0.0.1", self.port, self.gate, threaded=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="session")
def _s3() -> Iterator[S3]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    gate = Gate(DomainDispatcherApplication(create_backend_app))
    s3 = S3(gate, make_server("127.0.0.1", 0, gate, threaded=True))
    threading.Thread(target=s3.server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        _credentials(patch, s3)
        s3.client.create_bucket(Bucket=s3.bucket)
    yield s3
    s3.down()


def _credentials(patch: pytest.MonkeyPatch, s3: S3) -> None:
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIASENTINELEXAMPLE")
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("AWS_SESSION_TOKEN", TOKEN)
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3.port}")
    patch.setenv("AWS_MAX_ATTEMPTS", "1")
    patch.setenv("AWS_CONFIG_FILE", "/dev/null")
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


def forget() -> None:
    """As in a new process: no connection, no credentials, no idea of how full the cache is."""
    store._filesystem.cache_clear()
    S3FileSystem.clear_instance_cache()
    cache._left.clear()


@pytest.fixture
def s3(_s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """The server, in order and with nothing noted; what this process knew of it is forgotten."""
    _credentials(monkeypatch, _s3)
    _s3.gate.seen.clear()
    _s3.gate.answer = lambda request: None
    forget()
    yield _s3
    _s3.gate.answer = lambda request: None
    forget()


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder and its sha256."""
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}
