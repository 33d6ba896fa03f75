"""A Hub on loopback: huggingface_hub's routes over repositories in memory, a log of all requests, faults on demand."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from . import discussions as _discussions  # noqa: F401 (routes)
from . import files as _files  # noqa: F401
from . import repositories, uploads
from .access import Who, allow, known
from .faults import Fault
from .git import MAIN, ApiError, Blob, Objects, Repo
from .http import handler, refusal
from .routing import Answer, Call, Route, told
from .xet import Store


@dataclass
class Asked:
    """A request in the log. `private` and `gated`: what the repository was when it came; `status` 0: never answered."""

    number: int
    route: str
    method: str
    path: str
    user: str
    size: int
    repo: str
    private: bool | None
    gated: str | bool | None
    status: int = 0


class Hub:
    """`token` is its owner's (a member of the organisation `lab`), `reading` the same user's without the right to write,
    `stranger` another user's. `merge_needs_base`: refuse to merge where main moved at all (else only in a conflict)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("objects", "xet"):
            (root / name).mkdir(parents=True)
        self.objects, self.xet = Objects(root / "objects"), Store(root / "xet")
        self.repos: dict[str, Repo] = {}
        self.users: dict[str, Who] = {}
        self.token = self.add(Who("owner", ("lab",)))
        self.reading = self.add(Who("owner", ("lab",), writes=False))
        self.stranger = self.add(Who("stranger"))
        self.secret = secrets.token_bytes(16)
        self.parts: dict[tuple[str, int], bytes] = {}
        self.log: list[Asked] = []
        self.faults: list[Fault] = []
        self.wrong: list[str] = []
        self.page, self.lfs_part = 1000, 64 << 20
        self.merge_needs_base, self.xet_downloads = False, True
        self.lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def store_url(self) -> str:
        """Of the store of large files: another host, so that clients leave the token at home."""
        return f"http://localhost:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, who: Who) -> str:
        """A user more; gives the token."""
        self.users[who.token] = who
        return who.token

    def env(self, home: Path, *, token: str | None = None, xet: bool = True) -> dict[str, str]:
        """What a process needs in its environment to talk to this Hub and to no other (`token` "": none)."""
        given = self.token if token is None else token
        return {
            "HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_TOKEN": given, "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "" if xet else "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "", "NO_PROXY": "127.0.0.1,localhost",
        }  # fmt: skip

    # What tests look at and do.

    def create(self, name: str, *, private: bool = True, gated: str | bool = False) -> Repo:
        """A repository as the Hub makes it."""
        with self.lock:
            repo = self.repos[name] = Repo(name, private, gated)
            repositories.first_commit(self.objects, repo)
            return repo

    def write(self, name: str, files: Mapping[str, bytes | None], revision: str = "main") -> str:
        """A commit of somebody else; None removes a file."""
        with self.lock:
            repo = self.repos[name]
            return uploads.write(self, repo, dict(files), repo.ref(revision) or MAIN)

    def tree(self, name: str, revision: str = "main") -> Mapping[str, Blob]:
        with self.lock:
            return self.repos[name].at(revision)[1].tree

    def read(self, name: str, path: str, revision: str = "main") -> bytes:
        return self.objects.read(self.tree(name, revision)[path].sha256)

    def digest(self, name: str, revision: str = "main") -> str:
        """Of all files, their names included."""
        files = sorted((path, blob.sha256) for path, blob in self.tree(name, revision).items())
        return hashlib.sha256(repr(files).encode()).hexdigest()

    def states(self, name: str, revision: str = "main") -> list[str]:
        """Every commit that the ref was ever at, in order."""
        with self.lock:
            repo = self.repos[name]
            return [oid for ref, oid in repo.moves if ref in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}")]

    def asked(self, *routes: str) -> list[Asked]:
        """The requests of some routes."""
        return [each for each in self.log if each.route in routes]

    def fault(self, route: str = "*", **how: Any) -> Fault:
        """Order one: see Fault."""
        made = Fault(route, **how)
        self.faults.append(made)
        return made

    # What requests need.

    def signed(self, path: str) -> str:
        """An address in the store of large files that opens without a token."""
        return f"{self.store_url}{path}?Signature={self._signature(path)}"

    def check(self, call: Call, path: str) -> None:
        """Raises ApiError: 403 without the signature, 400 with the token, which has no business there."""
        if call.one("Signature") != self._signature(path):
            raise ApiError(403, "", "Access denied")
        if call.headers.get("Authorization"):
            raise ApiError(400, "", "Only one auth mechanism allowed: a token came to the store of large files")

    def _signature(self, path: str) -> str:
        return hmac.new(self.secret, path.encode(), "sha256").hexdigest()

    def note(
        self, method: str, path: str, size: int, found: tuple[Route, dict[str, str]] | None, *, counts: bool
    ) -> tuple[Asked, list[Fault]]:
        """Write a request into the log; with the faults that are to meet it."""
        with self.lock:
            repo = self.repos.get(found[1].get("repo", "")) if found else None
            told_of = (repo.id, repo.private, repo.gated) if repo else ("", None, None)
            asked = Asked(len(self.log), found[0].name if found else "", method, path, "", size, *told_of)
            if not counts:
                return asked, []
            self.log.append(asked)
            return asked, [fault for fault in self.faults if found and fault.meets(asked.route, path)]

    def answer(self, asked: Asked, route: Route, call: Call) -> Answer:
        """What the Hub says to a request, faults aside."""
        with self.lock:
            try:
                who = known(self.users, call.headers.get("Authorization")) if route.need != "none" else None
                asked.user = who.name if who else ""
                repo = self.repos.get(call.part.get("repo", ""))
                allow(route.need, who, repo)
                return route.do(replace(call, who=who, found=repo))
            except ApiError as error:
                return refusal(error)
            except Exception:
                self.wrong.append(traceback.format_exc())
                return told({"error": "the test's Hub broke"}, 500)
