"""Which detectors a study trains where nobody names them: those that run here in minutes, one of a kind, and why not the
others. A function of what is installed and of what the corpus holds, not of how fast this machine is today: the same command
has to go on with the same study. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmidd.studies.facts import Facts

PRESET = "tiny"
"""The preset that takes minutes on a CPU and no file that is not at hand."""
MINUTES = 10.0
SECONDS = {
    "xception": 0.003, "gend": 0.002, "sd2": 0.004, "clip-lora": 0.003, "lnclip": 0.003, "univfd": 0.002, "effort": 0.003,
    "spsl": 0.015, "recce": 0.009, "aide": 0.025, "forensics-adapter": 0.03, "tall": 0.008,
}  # fmt: skip
"""For a row and step of a tiny network, on one core of 2026 (measured on the sample corpus)."""
EPOCHS = 2
KINDS = {
    "a convolutional network, all of it trained": ("xception", "recce", "spsl"),
    "an image tower that is tuned": ("gend", "lnclip", "effort", "univfd", "forensics-adapter"),
    "image and text": ("sd2", "clip-lora"),
}
OTHERS = {
    "aide": "it looks for the noise of whole images, and here are face crops",
    "tall": "it takes clips, and is compared with others of clips",
}


@dataclass(frozen=True)
class Choice:
    """`why_not`: of the detectors that were not chosen, by name."""

    detectors: tuple[str, ...]
    why_not: Mapping[str, str]


def choice(facts: Facts, needs: Mapping[str, tuple[str, ...]], lacking: Mapping[str, str]) -> Choice:
    """Of the reference detectors with the columns that they need. `lacking`: what is not installed here, by detector."""
    why = {name: _cannot(facts, name, of, lacking) for name, of in needs.items()}
    chosen = []
    for kind, names in KINDS.items():
        first = next((name for name in names if name in why and why[name] is None), None)
        if first is None:
            continue
        chosen.append(first)
        for name in names:
            if name != first and name in why and why[name] is None:
                why[name] = f"{first} is of its kind ({kind})"
    for name, reason in OTHERS.items():
        if name in why and why[name] is None:
            why[name] = reason
    rest = "it is another package's"
    return Choice(tuple(chosen), {name: each or rest for name, each in why.items() if name not in chosen})


def _cannot(facts: Facts, name: str, needs: tuple[str, ...], lacking: Mapping[str, str]) -> str | None:
    if name in lacking:
        return lacking[name]
    if empty := [column for column in needs if column in facts.empty]:
        return f"it needs {empty[0]}, which is empty in all rows of train"
    minutes = minutes_of(facts, name)
    if minutes is not None and minutes > MINUTES:
        return f"a run takes about {minutes:,.0f} minutes on a core, over {MINUTES:.0f}: name it, or --set steps=N"
    return None


def minutes_of(facts: Facts, name: str) -> float | None:
    """About how long a tiny run takes on one core."""
    rows = facts.count(["train"])
    return None if name not in SECONDS else rows * EPOCHS * SECONDS[name] / 60
