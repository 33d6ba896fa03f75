"""Routes: a pattern of paths, what one may need to ask, and a function that answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from .access import Need, Who
from .git import Repo

if TYPE_CHECKING:
    from .server import Hub

PARTS = {"repo": "[^/]+/[^/]+", "rev": "refs/[^/]+/[^/]+|[^/]+", "path": ".+", "num": "[0-9]+", "name": "[^/]+"}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def told(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer."""
    return Answer(
        json.dumps(value, separators=(",", ":")).encode(),
        status,
        {"Content-Type": "application/json; charset=utf-8", **(headers or {})},
    )


@dataclass(frozen=True)
class Call:
    """A request that is allowed. `part`: what the route's pattern names."""

    hub: Hub
    who: Who | None
    part: Mapping[str, str]
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    found: Repo | None

    @property
    def repo(self) -> Repo:
        assert self.found is not None
        return self.found

    @property
    def name(self) -> str:
        return self.who.name if self.who else ""

    @property
    def rev(self) -> str:
        return self.part.get("rev") or "main"

    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    def one(self, name: str) -> str | None:
        """A value of the query, if it is there."""
        return next(iter(self.query.get(name, [])), None)

    def page(self, values: list[Any], path: str) -> Answer:
        """A page of them, with the address of the next in `Link`."""
        start, size = int(self.one("cursor") or 0), self.hub.page
        more = {}
        if start + size < len(values):
            others = "".join(f"&{name}={value}" for name, given in self.query.items() if name != "cursor" for value in given)
            more["Link"] = f'<{self.hub.url}{path}?cursor={start + size}{others}>; rel="next"'
        return told(values[start : start + size], headers=more)


@dataclass(frozen=True)
class Route:
    """`name` is what faults and the log call it."""

    name: str
    method: str
    pattern: re.Pattern[str]
    need: Need
    do: Callable[[Call], Answer]


ROUTES: list[Route] = []


def route(
    name: str, method: str, path: str, need: Need = "see"
) -> Callable[[Callable[[Call], Answer]], Callable[[Call], Answer]]:
    """Answer requests of a method and a path with parts in braces."""
    pattern = re.sub(r"{(\w+)}", lambda part: f"(?P<{part[1]}>{PARTS[part[1]]})", path)

    def kept(do: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        ROUTES.append(Route(name, method, re.compile(pattern), need, do))
        return do

    return kept


def matching(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a request, and the parts of its path, unquoted."""
    for each in ROUTES:
        if each.method == method and (found := each.pattern.fullmatch(path)):
            return each, {name: unquote(value) for name, value in found.groupdict().items() if value is not None}
    return None


def names() -> Iterator[str]:
    """Of all routes."""
    yield from sorted({each.name for each in ROUTES})
