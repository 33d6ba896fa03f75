"""What every audit returns: findings, figures, and what could not be tested and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mmidd.findings import Finding


def finding(check: str, what: str, advice: str) -> Finding:
    """What an audit found, with its figures, and what to do. It is of the corpus as a whole: it names no file."""
    return Finding(check, what, advice=advice)


@dataclass(frozen=True)
class Untested:
    """A check that says nothing about this corpus, and why."""

    check: str
    because: str


@dataclass(frozen=True)
class CheckPart:
    """One check's outcome. `lines` tell its figures to people, `figures` to programs (JSON values alone)."""

    name: str
    lines: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    untested: tuple[Untested, ...] = ()


@dataclass(frozen=True)
class Audit:
    """All checks of one audit (`name` is that of `--only`)."""

    name: str
    parts: tuple[CheckPart, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(each for part in self.parts for each in part.findings)

    @property
    def untested(self) -> tuple[Untested, ...]:
        return tuple(each for part in self.parts for each in part.untested)

    def document(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "audit": self.name,
            "findings": [{"check": each.check, "what": each.what, "advice": each.advice} for each in self.findings],
            "untested": [asdict(each) for each in self.untested],
            **{part.name: dict(part.figures) for part in self.parts},
        }
