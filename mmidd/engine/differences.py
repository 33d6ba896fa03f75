"""What two JSON values differ in, for a message that names it."""

from __future__ import annotations

import json
from typing import Any


def differences(then: Any, now: Any, place: str = "") -> list[str]:
    """What two JSON values differ in, by the names of their leaves."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [
            told
            for key in {**then, **now}
            for told in differences(then.get(key, _ABSENT), now.get(key, _ABSENT), f"{place}.{key}" if place else key)
        ]
    return [] if then == now and type(then) is type(now) else [f"{place} was {_shown(then)}, is {_shown(now)}"]


class _Absent:
    def __repr__(self) -> str:
        return "absent"


_ABSENT = _Absent()


def _shown(value: Any) -> str:
    told = repr(value) if isinstance(value, _Absent) else json.dumps(value, ensure_ascii=False)
    return told if len(told) <= 80 else told[:79] + "…"
