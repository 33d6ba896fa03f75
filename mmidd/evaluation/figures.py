"""One figure with what stands behind it: the only form in which figures leave this room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """`low`, `high`: its 95% interval over groups. `value` None: it cannot be told, `why` says so; with a value, `why` says
    why there is no interval, or what the figure does not say. `rows`, `groups`: it was measured on so many."""

    value: float | None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    groups: int = 0
    why: str = ""

    def document(self) -> dict[str, Any]:
        """JSON."""
        return dict(vars(self))

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        return shown(self.value) + (f" [{shown(self.low)}, {shown(self.high)}]" if self.interval else "")

    @property
    def interval(self) -> bool:
        return self.low is not None and self.high is not None


def shown(value: float | None, digits: int = 3) -> str:
    """A figure as people read it: -0.000 is 0.000; none is a dash."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if not float(text) else text


def counted(count: int, what: str) -> str:
    """`1 clip`, `2,000 clips`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
