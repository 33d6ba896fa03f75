"""Do captions say what was measured? Precision and recall of words against brightness, sharpness, landmarks and box."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from mmidd.audit.attributes import DATASET, WORDS, affirmed, said
from mmidd.audit.results import CheckPart, Untested, finding
from mmidd.captions.measures import pose
from mmidd.statistics import wilson

LEAST_PRECISION = 0.5
"""A statement whose precision lies below this, with the whole of its Wilson interval, is a finding ..."""
LEAST_SAID = 20
"""... if so many media say it."""
MEASURES = ("brightness", "sharpness", "landmarks", "box", "height")
_ADVICE = "look at some of these images: the captioner says what is not there, or means another thing by these words"


@dataclass(frozen=True)
class Statement:
    """Words of a face caption, and when they are true: `holds` gives True, False, or None in between or unmeasured."""

    name: str
    words: str
    rule: str
    holds: Callable[[Mapping[str, Any]], bool | None]


@dataclass(frozen=True)
class Agreement:
    """A statement against its measure, in media: said and true, said and false, true and not said; `unclear` media were
    not judged."""

    name: str
    rule: str
    right: int
    wrong: int
    missed: int
    unclear: int

    @property
    def said(self) -> int:
        return self.right + self.wrong

    @property
    def true(self) -> int:
        return self.right + self.missed

    def __str__(self) -> str:
        return f"{self.name}: precision {_share(self.right, self.said)}, recall {_share(self.right, self.true)}"

    def document(self) -> dict[str, Any]:
        intervals = {"precision_interval": wilson(self.right, self.said), "recall_interval": wilson(self.right, self.true)}
        rounded = {name: [round(end, 4) for end in ends] for name, ends in intervals.items()}
        return {**asdict(self), "said": self.said, "true": self.true, **rounded}


def _share(part: int, whole: int) -> str:
    if not whole:
        return "of none"
    low, high = wilson(part, whole)
    return f"{part}/{whole} = {part / whole:.1%} ({low:.1%} to {high:.1%})"


def between(value: float | None, false: float, true: float) -> bool | None:
    """True beyond `true`, False on the other side of `false`, None between them or unmeasured."""
    if value is None or not np.isfinite(value):
        return None
    sign = 1 if true > false else -1
    return True if sign * (value - true) >= 0 else False if sign * (value - false) <= 0 else None


def _yaw(row: Mapping[str, Any]) -> float | None:
    if row["landmarks"] is None:
        return None
    found = pose(np.asarray(row["landmarks"], dtype=np.float64))
    return None if found is None else found.yaw


def _turned(row: Mapping[str, Any]) -> float | None:
    yaw = _yaw(row)
    return None if yaw is None else abs(yaw)


def _height(row: Mapping[str, Any]) -> float | None:
    if row["box"] is None or not row["height"]:
        return None
    return float(row["box"][3] - row["box"][1]) / float(row["height"])


def statements(sharpness: Sequence[float]) -> tuple[Statement, ...]:
    """All that is measured; sharp and blurred are relative: quarters of the `sharpness` measured here."""
    low, middle, high = np.percentile(sharpness, [25, 50, 75]) if len(sharpness) else (np.nan, np.nan, np.nan)
    light = r"lit|lighting|light|illuminated"
    return (
        Statement(
            "dark",
            rf"(?:dimly|poorly|badly|darkly|barely) (?:{light})|(?:dim|low|poor|dark) (?:{light})|"
            r"under-?exposed|in (?:deep )?shadow",
            "brightness below 75; not above 115",
            lambda row: between(row["brightness"], 115, 75),
        ),
        Statement(
            "bright",
            rf"(?:brightly|well|strongly)[- ](?:{light})|(?:bright|strong|ample) (?:{light})|over-?exposed",
            "brightness above 125; not below 85",
            lambda row: between(row["brightness"], 85, 125),
        ),
        Statement(
            "blurred",
            r"blurr(?:ed|y)|out of focus|without detail|(?:very|slightly) soft|lacks? detail|low[- ]resolution|unsharp",
            "sharpness in the lowest quarter of the sampled media; not in the upper half",
            lambda row: between(row["sharpness"], middle, low),
        ),
        Statement(
            "sharp",
            r"(?:fairly |very )?sharp(?! (?:nose|chin|jaw\w*|features|contrast))|in focus|crisp|highly detailed",
            "sharpness in the highest quarter of the sampled media; not in the lower half",
            lambda row: between(row["sharpness"], middle, high),
        ),
        Statement(
            "frontal",
            r"(?:seen |viewed )?from the front|front(?:al|-facing)|fac(?:es|ing) (?:the )?(?:camera|viewer|forward)|"
            r"(?:looks?|looking) (?:straight|directly) (?:ahead|at)",
            "nose at most 0.22 half eye distances off the middle; not from 0.5",
            lambda row: between(_turned(row), 0.5, 0.22),
        ),
        Statement(
            "turned",
            r"turned(?: far)? (?:to|away)|profile|side view|three[- ]quarters?|from the side",
            "nose from 0.5 half eye distances off the middle; not up to 0.22",
            lambda row: between(_turned(row), 0.22, 0.5),
        ),
        Statement(
            "turned image left",
            r"turned (?:\w+ )?to the (?:image )?left",
            "nose from 0.22 half eye distances towards the image left; not to the right",
            lambda row: between(_yaw(row), 0.0, -0.22),
        ),
        Statement(
            "turned image right",
            r"turned (?:\w+ )?to the (?:image )?right",
            "nose from 0.22 half eye distances towards the image right; not to the left",
            lambda row: between(_yaw(row), 0.0, 0.22),
        ),
        Statement(
            "large in the picture",
            r"fills (?:most|about two thirds|two thirds) of|close-?up|fills the (?:frame|picture)",
            "face box from 0.55 of the frame's height; not below 0.4",
            lambda row: between(_height(row), 0.4, 0.55),
        ),
        Statement(
            "small in the picture",
            r"(?:is |appears )small in the (?:picture|frame|image)|in the distance|far (?:away|from the camera)",
            "face box up to 0.2 of the frame's height; not from 0.3",
            lambda row: between(_height(row), 0.3, 0.2),
        ),
    )


def with_measures(captions: Sequence[str], measured: Sequence[Mapping[str, Any]]) -> CheckPart:
    """Face captions (one a medium) against what was measured on the same crop."""
    name = "measured"
    if not captions:
        return CheckPart(name, untested=(Untested("agreement with measures", "there are no face captions"),))
    sharpness = [row["sharpness"] for row in measured if row["sharpness"] is not None]
    found = []
    for statement in statements(sharpness):
        pattern = re.compile(rf"\b(?:{statement.words})(?!\w)", re.IGNORECASE)
        told = [bool(pattern.search(affirmed(text))) for text in captions]
        found.append(_compared(statement.name, statement.rule, told, [statement.holds(row) for row in measured]))
    return _part(name, found)


def with_celeba(
    captions: Sequence[str], names: Sequence[tuple[str, str]], listed: Mapping[str, frozenset[str]]
) -> CheckPart:
    """Face captions of media (dataset, path) of CelebA against its attributes; other datasets' media do not count."""
    name, check = "celeba", "agreement with CelebA's attributes"
    numbers = [PurePosixPath(path).stem if dataset == DATASET else None for dataset, path in names]
    here = [place for place, number in enumerate(numbers) if number is not None and number in listed]
    unlisted = sum(number is not None for number in numbers) - len(here)
    if not here:
        why = f"no sampled medium of {DATASET} with a face caption is in the list ({unlisted} are not)"
        return CheckPart(name, untested=(Untested(check, why),))
    told, true = [said(captions[place]) for place in here], [listed[numbers[place] or ""] for place in here]
    found = [
        _compared(attribute, f"{attribute} in CelebA's list", [attribute in t for t in told], [attribute in t for t in true])
        for attribute in WORDS
    ]
    part = _part(name, found)
    line = f"{len(here)} media in the list, {unlisted} of {DATASET} not in it"
    return CheckPart(name, (line, *part.lines), {**part.figures, "media": len(here), "unlisted": unlisted}, part.findings)


def _compared(name: str, rule: str, told: Iterable[bool], true: Iterable[bool | None]) -> Agreement:
    pairs = list(zip(told, true, strict=True))
    return Agreement(
        name,
        rule,
        right=pairs.count((True, True)),
        wrong=pairs.count((True, False)),
        missed=pairs.count((False, True)),
        unclear=sum(truth is None for _, truth in pairs),
    )


def _part(name: str, found: Sequence[Agreement]) -> CheckPart:
    told = [each for each in found if each.said]
    silent = [each.name for each in found if not each.said]
    lines = [str(each) for each in told]
    if silent:
        lines.append(f"never said: {', '.join(silent)}")
    findings = [
        finding(f"agreement: {each.name}", f"{each}; true means: {each.rule}", _ADVICE)
        for each in told
        if each.said >= LEAST_SAID and wilson(each.right, each.said)[1] < LEAST_PRECISION
    ]
    return CheckPart(name, tuple(lines), {"statements": [each.document() for each in found]}, tuple(findings))
