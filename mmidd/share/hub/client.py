"""Asking the Hub: what it refuses becomes an error that says what to do, what passes by itself is waited for, what was done
though its answer was lost is not done twice.

No text of the Hub's client goes into an error: it quotes addresses, some of them signed.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from mmidd.errors import ShareError, UsageError, sanitised

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Found = TypeVar("Found")
Tell = Callable[[str], None]
TRIES, LONGEST = 7, 300.0
"""Of one request, and the most seconds that are waited for the next (the Hub counts its limits over five minutes)."""
TOLD = 4.0
"""A wait of so many seconds is told."""
AGAIN = "what was done is kept, and main has complete versions only: run the same command to go on"
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_TOKEN = re.compile(r"hf_\w{6,}|Bearer \S+")
_CODE = re.compile(r"HTTP status client error \((\d{3})")
_LEFT = re.compile(r"\bt=(\d+)")


class Passing(Exception):
    """The Hub is busy, broken or not to be reached: the same may go well later. `wait`: for how long it said, in seconds."""

    def __init__(self, told: str, wait: float | None = None) -> None:
        super().__init__(told)
        self.wait = wait


class Moved(Exception):
    """Somebody was faster: what was to be changed is no longer what it was."""


@dataclass(frozen=True)
class Hub:
    """A dataset repository, and who asks for it with the token of the usual places."""

    api: HfApi
    repo: str
    tell: Tell = field(default=lambda line: None, compare=False)

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"{self.api.endpoint}/datasets/{self.repo}"


def connect(repo: str, tell: Tell = lambda line: None) -> Hub:
    """To ORG/NAME; nothing is asked yet. Raises UsageError for what can be no repository."""
    if _REPO.fullmatch(repo) is None or ".." in repo or "--" in repo or repo.endswith((".git", ".", "-")):
        raise UsageError(f"{repo!r} is no name of a dataset repository; write ORG/NAME, with letters, digits, - _ and .")
    from huggingface_hub import HfApi

    return Hub(HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None), repo, tell)


def patiently(hub: Hub, what: str, call: Callable[[], Found]) -> Found:
    """Ask what may be asked twice, until there is an answer. Raises ShareError; Moved where the Hub says so."""
    for attempt in range(TRIES):
        try:
            with asking(what):
                return call()
        except Passing as error:
            waited(hub, what, error, attempt)
    raise AssertionError


def brought_about(hub: Hub, what: str, look: Callable[[], Found | None], act: Callable[[], Any]) -> Found:
    """Look whether it is so; if not, act and look again: so a write whose answer was lost is not repeated."""
    for attempt in range(TRIES):
        if (found := patiently(hub, what, look)) is not None:
            return found
        try:
            with asking(what):
                act()
        except Moved as error:
            waited(hub, what, Passing(str(error), 0.2), attempt)
        except Passing as error:
            waited(hub, what, error, attempt)
    if (found := patiently(hub, what, look)) is not None:
        return found
    raise ShareError(f"the Hub did {what} and it is not so; {AGAIN}")


def waited(hub: Hub, what: str, error: Passing, attempt: int) -> None:
    """Wait before the next try; after the last one raises ShareError."""
    if attempt + 1 == TRIES:
        raise ShareError(f"the Hub could not {what} ({error}), tried {TRIES} times; {AGAIN}") from None
    seconds = min(LONGEST, 0.5 * 2**attempt if error.wait is None else error.wait)
    if seconds >= TOLD:
        hub.tell(f"the Hub could not {what} ({error}); the next try is in {seconds:.0f} s")
    time.sleep(seconds)


@contextmanager
def quietly() -> Iterator[None]:
    """The Hub's client warns with addresses that are signed, and draws a bar a file: neither is shown meanwhile."""
    from huggingface_hub import utils

    log, were_off = logging.getLogger("huggingface_hub"), utils.are_progress_bars_disabled()  # type: ignore[attr-defined]
    level = log.level
    log.setLevel(logging.ERROR)
    utils.disable_progress_bars()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        log.setLevel(level)
        if not were_off:
            utils.enable_progress_bars()  # type: ignore[attr-defined]


@contextmanager
def asking(what: str) -> Iterator[None]:
    """The errors of one request to `what` ("create a tag"): Passing, Moved, or ShareError."""
    from huggingface_hub import errors

    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise ShareError(f"cannot {what}: HF_HUB_OFFLINE is set. Unset it, or publish to a folder with --out") from None
    except errors.LocalTokenNotFoundError:
        raise ShareError(
            f"cannot {what}: there is no token of the Hub on this machine. Run `hf auth login`, or set HF_TOKEN, with a "
            "token that may write"
        ) from None
    except errors.HfHubHTTPError as error:
        raise _refused(what, error) from None
    except errors.HTTPError as error:  # type: ignore[attr-defined]  # of httpx or httpx2, by the client's version
        raise Passing(f"no answer, {type(error).__name__}: check the network and HF_ENDPOINT") from None
    except (RuntimeError, OSError) as error:  # of an upload: what went wrong is its cause, or the Xet store's own word
        if isinstance(error.__cause__, errors.HfHubHTTPError):
            raise _refused(what, error.__cause__) from None
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _stored(what, error) from None
    except UnicodeEncodeError:
        raise ShareError(f"cannot {what}: the token has letters that no token has; check HF_TOKEN") from None
    except ValueError as error:  # of the client itself, or the Hub's word on the card
        raise ShareError(f"cannot {what}: {scrubbed(str(error))}") from None


def _refused(what: str, error: Any) -> Exception:
    answer = error.response
    code = 0 if answer is None else answer.status_code
    headers: Any = {} if answer is None else answer.headers
    told = scrubbed(error.server_message or headers.get("X-Error-Message") or "") or "no reason given"
    if code in (409, 412):
        return Moved(f"{code}: {told}")
    if code in (0, 408, 425, 429) or code >= 500:
        return Passing(f"{code}: {told}", _asked_wait(headers))
    if code == 401:
        return ShareError(
            f"cannot {what}: the Hub does not know the token, or it may not see the repository ({told}). Run "
            "`hf auth login` again, and check HF_TOKEN"
        )
    if code == 403:
        return ShareError(
            f"cannot {what}: the token has no right to ({told}). It must be one that may write to the repository, its "
            "settings and its pull requests: make it at https://huggingface.co/settings/tokens, then run `hf auth login`"
        )
    if code == 404:
        return ShareError(f"cannot {what}: there is nothing of that name, or the token may not see it. Check ORG/NAME")
    return ShareError(f"cannot {what}: the Hub answered {code} ({told})")


def _stored(what: str, error: Exception) -> Exception:
    """An error of the Xet store's client, which says the status in words alone; a token of it may have run out (401)."""
    told, code = scrubbed(str(error)), _CODE.search(str(error))
    if code is None or code[1] in ("401", "408", "429"):
        return Passing(f"{type(error).__name__}: {told}")
    return ShareError(
        f"cannot {what}: the Hub's storage of large files refused it ({told}). Check that the token may write; if it stays "
        f"so, tell the Hub. {AGAIN[0].upper()}{AGAIN[1:]}"
    )


def _asked_wait(headers: Any) -> float | None:
    """How many seconds a refusal asks to wait, in either of its ways to say it."""
    found = headers.get("Retry-After", "")
    if found.isdigit():
        return float(found)
    left = _LEFT.search(headers.get("RateLimit", "")) if "r=0" in headers.get("RateLimit", "") else None
    return float(left[1]) if left else None


def scrubbed(text: str) -> str:
    """A text of the Hub's as a message may show it: one line, no address, no token."""
    return sanitised(_TOKEN.sub("***", re.sub(r"\w+://\S+", "an address", text)))
