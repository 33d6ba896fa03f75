"""docs/reference-detectors.md says what registry and settings say. `python tests/detectors/test_page.py` prints lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmidd.detectors.listing import about, options_of
from mmidd.detectors.registry import REFERENCE_DETECTORS

from mmidd.runs.settings import Settings
from mmidd.show.detectors import share

PAGE = Path(__file__).parents[2] / "docs" / "reference-detectors.md"


def detectors() -> Iterator[str]:
    for row in REFERENCE_DETECTORS.rows:
        facts = row.facts
        cells = (
            f"`{row.name}`", row.summary, facts.paper, facts.code_licence, f"{facts.backbone}: {facts.backbone_licence}",
            f"{facts.parameters:,}", share(facts.trained, facts.parameters), ", ".join(f"`{each}`" for each in facts.needs),
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def settings() -> Iterator[str]:
    for each in options_of(Settings):
        default = each.default if isinstance(each.default, str) else json.dumps(each.default)
        choices = f": {each.values.replace(' | ', ', ')}" if isinstance(each.default, str) and " | " in each.values else ""
        yield f"| `{each.name}` | `{default}` | {each.meaning}{choices} |"


@pytest.mark.parametrize("line", [*detectors(), *settings()])
def test_the_page_has_every_line(line: str) -> None:
    assert line in PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", [row.name for row in REFERENCE_DETECTORS.rows])
def test_the_page_says_what_training_holds(name: str) -> None:
    size = next(each.size for each in about(name).presets if each.name == "paper")
    assert size is not None and f"| `{name}` | {size.held_bytes / 1e9:.2f} GB |" in PAGE.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.stdout.write("\n".join([*detectors(), "", *settings()]) + "\n")
