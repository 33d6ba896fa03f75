"""What a fuzz target is, and what counts as a fault of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from mmidd.errors import MediaError, MmiddError

from .guard import Fault, sandbox

MOST_MESSAGE = 20_000


@dataclass(frozen=True)
class Target:
    """An entry point. `run` gives True where it takes an input and False where it refuses one by an error of ours;
    anything else that leaves it is a find. `mend` puts right what a mutation broke beside its point (checksums); with
    `lines` half of the mutations move, change and replace whole lines and values.
    """

    name: str
    run: Callable[[bytes], bool]
    seeds: Callable[[], Mapping[str, bytes]]
    instrument: tuple[str, ...] = ("mmidd",)
    words: tuple[str, ...] = ()
    mend: Callable[[bytes], bytes] | None = None
    most_bytes: int = 4096
    lines: bool = field(default=False, kw_only=True)
    share: int = field(default=1, kw_only=True)
    """Of all inputs, how many parts go to this target."""


class Refusal:
    """Whether a `refusing` block ended by an error of ours."""

    refused = False

    def __bool__(self) -> bool:
        return self.refused


@contextmanager
def refusing(*where: str, family: type[Exception] = MmiddError) -> Iterator[Refusal]:
    """Let an error of ours end the block, and check that it says something, where, and no more than that."""
    found = Refusal()
    try:
        yield found
    except family as error:
        found.refused = True
        message = str(error)
        require(bool(message.strip()), f"an empty message: {type(error).__name__}")
        require(len(message) <= MOST_MESSAGE, f"a message of {len(message)} characters")
        require(not where or any(each in message for each in where), f"no place ({', '.join(where)}) in: {message[:300]}")
        if family is MediaError:
            require(message.isprintable(), f"a control character in: {message[:300]!r}")
            require(str(sandbox()) not in message, f"a path of this machine in: {message[:300]!r}")


def require(holds: bool, message: str) -> None:
    """A check that `python -O` cannot take away."""
    if not holds:
        raise Fault(message)
