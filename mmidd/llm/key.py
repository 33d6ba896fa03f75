"""The API key of a server, and its address: checked once, told nowhere in any form. Standard library alone."""

from __future__ import annotations

import base64
import html
import os
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from mmidd.errors import UsageError, sanitised, without_secrets

KEY_VARIABLE = "MMIDD_API_KEY"
_LEAST, _LEAST_WORD = 8, 4
"""Characters from which a key is looked for in every form, and as a word as it is: `EMPTY`, as keyless servers are given, is
no secret."""
_ROUNDS = 4
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_NO_LETTER = re.compile(r"[\W_]+")


class Key:
    """An API key, or none. It says nothing of itself."""

    __slots__ = ("_needles", "_text")

    def __init__(self, text: str) -> None:
        """Raises UsageError, without the key, for what no header can hold."""
        self._text = text.strip()
        if any(c.isspace() or not c.isprintable() for c in self._text):
            raise UsageError(
                f"the key in {KEY_VARIABLE} has blanks, a line break or a control character within it, as no key has: was "
                "more than the key copied? Set it to the key alone"
            )
        if not self._text.isascii():
            raise UsageError(f"the key in {KEY_VARIABLE} has letters outside ASCII, as no key has; set it to the key alone")
        self._needles = tuple({needle for needle in _needles(self._text) if len(needle) >= _LEAST})

    @classmethod
    def read(cls) -> Key:
        """That of the environment. Raises UsageError."""
        return cls(os.environ.get(KEY_VARIABLE, ""))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Key(***)" if self else "Key()"

    __reduce__ = None  # type: ignore[assignment]  # it goes to no other process, and into no file

    @property
    def header(self) -> str:
        """The value of the header `authorization`."""
        return f"Bearer {self._text}"

    def is_in(self, *texts: str | None) -> bool:
        """Does one of the texts hold it: in any case, escaped, percent-encoded, as base64 or hex, broken by blanks?"""
        return bool(self) and any(self._is_in(form) for text in texts if text for form in _forms(text))

    def _is_in(self, text: str) -> bool:
        if len(self._text) >= _LEAST_WORD and re.search(rf"(?<!\w){re.escape(self._text)}(?!\w)", text):
            return True
        squeezed = _squeezed(text)
        return any(needle in squeezed for needle in self._needles)


def _needles(key: str) -> Iterator[str]:
    """What of a key a squeezed text may hold: itself, as hex, and what base64 makes of it wherever it begins."""
    plain = _squeezed(key)
    if len(plain) < _LEAST:
        return
    yield from (plain, key.encode().hex())
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + key.encode()).decode().rstrip("=")
        whole = (before + len(key)) % 3 == 0
        yield _squeezed(coded[-(-before * 4 // 3) : len(coded) if whole else -1])


def _forms(text: str) -> Iterator[str]:
    """A text, and what undoing percent signs, entities and escapes makes of it."""
    for _ in range(_ROUNDS):
        yield text
        undone = _ESCAPE.sub(_plain, html.unescape(unquote(text)))
        if undone == text:
            return
        text = undone


def _plain(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2]
    return chr(int(code, 16)) if code else "" if escape[3] in "nrtbf" else str(escape[3])


def _squeezed(text: str) -> str:
    """Its letters and digits alone, in one case."""
    return _NO_LETTER.sub("", unicodedata.normalize("NFKC", text)).casefold()


def check_address(base_url: str) -> None:
    """Raises UsageError, without any secret, unless the address is http(s), has a host, and holds no credentials, no key and
    no query."""
    try:
        parts = urlsplit(base_url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        sound = plain = False
    if any(mark in base_url for mark in "@?#") or (sound and not plain) or _holds_key(base_url):
        raise UsageError(f"base_url must hold no user, key, ? or #: the API key belongs into {KEY_VARIABLE}")
    if not sound:
        shown = sanitised(without_secrets(base_url))
        raise UsageError(f"base_url {shown!r} is no address; it looks like http://localhost:8000/v1")


def _holds_key(text: str) -> bool:
    try:
        return Key.read().is_in(text)
    except UsageError:  # told where it is needed
        return False
