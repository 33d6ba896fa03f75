"""What is said of one medium, and by what rule tracks become a clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from mmidd.schema import FORGERY_NAMES, FORGERY_TYPES
from mmidd.verdicts.rates import Rates, Unmeasured, Word

if TYPE_CHECKING:
    from mmidd.verdicts.explained import Explained

State = Literal["judged", "no face", "failed", "skipped"]
ENOUGH = 3
"""Scored frames that a track needs to decide, where another has as many: the rates are of clips whose face was seen for
long, and a face that is lost for a while comes back as a track of a frame or two."""
RULE = (
    "a track's score is the mean over its frames; a clip's is that of its most suspicious track, for one forged face is "
    f"enough. A track of under {ENOUGH} frames decides nothing where another is longer"
)
NO_FACE = "no face: nothing was judged"
_REASONS = {
    "no_face": "no face", "small_face": "only faces below the least size", "undecodable_frame": "undecodable",
    "corrupt_frame": "damaged", "too_large_frame": "too many pixels", "file_cut_off": "cut off with the file",
    "degenerate_face": "landmarks that fit no crop", "crowd": "more faces than are cut of one frame",
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """One face in one frame. `score`: None where the model needs more frames than there are. `types`: in the order of
    FORGERY_TYPES; None from a model that knows none. `box`: x0, y0, x1, y1 in pixels of the frame."""

    frame: int
    timestamp: float | None
    box: tuple[float, ...]
    score: float | None
    types: tuple[float, ...] | None = None

    def document(self) -> dict[str, Any]:
        return {**vars(self), "box": [round(each, 1) for each in self.box], "types": _by_type(self.types)}


@dataclass(frozen=True)
class Track:
    """One face through a medium. The largest is number 0."""

    number: int
    looks: tuple[Look, ...]

    @property
    def scored(self) -> tuple[float, ...]:
        return tuple(each.score for each in self.looks if each.score is not None)

    @property
    def score(self) -> float | None:
        return sum(self.scored) / len(self.scored) if self.scored else None

    @property
    def types(self) -> tuple[float, ...] | None:
        known = [each.types for each in self.looks if each.types is not None]
        return tuple(sum(each) / len(known) for each in zip(*known, strict=True)) if known else None

    def document(self, rates: Rates | Unmeasured) -> dict[str, Any]:
        return {
            "track": self.number,
            "verdict": said(self.score, rates),
            "score": self.score,
            "types": _by_type(self.types),
            "if_forged": forged_as(self.types),
            "frames": [each.document() for each in self.looks],
        }


@dataclass(frozen=True)
class Verdict:
    """What came of one medium. `reasons`: planned frames that gave no face, by why. `unscored`: tracks that are shorter than
    the model needs. `region`: of tracks, where their score falls (`region.Region.document`);
    `explained`: what the model says of the most suspicious ones, worst first."""

    shown: str
    kind: str
    state: State
    reason: str | None = None
    tracks: tuple[Track, ...] = ()
    planned: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    sha256: str | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    codec: str | None = None
    notes: tuple[str, ...] = ()
    regions: tuple[Mapping[str, Any], ...] = ()
    explained: tuple[Explained, ...] = ()
    page: str | None = None

    @property
    def deciding(self) -> tuple[Track, ...]:
        """The tracks that are seen for long enough to decide: all of a picture."""
        least = min(ENOUGH, max((len(each.scored) for each in self.tracks), default=0))
        return tuple(each for each in self.tracks if each.scored and len(each.scored) >= least)

    @property
    def worst(self) -> Track | None:
        """The most suspicious track of those that decide."""
        return max(self.deciding, key=lambda each: each.score or 0.0, default=None)

    @property
    def score(self) -> float | None:
        return self.worst.score if self.worst else None

    @property
    def judged(self) -> int:
        """How many tracks decide."""
        return len(self.deciding)

    @property
    def used(self) -> int:
        """Frames that gave a face."""
        return len({look.frame for track in self.tracks for look in track.looks})

    @property
    def faces(self) -> int:
        return sum(len(track.looks) for track in self.tracks)

    def document(self, rates: Rates | Unmeasured) -> dict[str, Any]:
        """JSON: all but pixels."""
        several = isinstance(rates, Rates) and self.judged > 1
        return {
            "path": self.shown,
            "kind": self.kind,
            "state": self.state,
            "reason": self.reason,
            "verdict": said(self.score, rates),
            "score": self.score,
            "most_suspicious_track": self.worst.number if self.worst else None,
            "tracks_deciding": [each.number for each in self.deciding],
            "false_positive_rate_if_tracks_were_independent": rates.expected(self.judged)
            if several and isinstance(rates, Rates)
            else None,
            "part_of_it": mixed_told(self, rates) or None,
            "decide_nothing": short_told(self, rates) or None,
            "if_forged": forged_as(self.worst.types) if self.worst else None,
            "frames_planned": self.planned,
            "frames_used": self.used,
            "frames_not_used": dict(self.reasons),
            "sha256": self.sha256,
            "width_height": list(self.size) if self.size else None,
            "fps": self.fps,
            "codec": self.codec,
            "notes": list(self.notes),
            "regions": [dict(each) for each in self.regions],
            "explanations": [each.document() for each in self.explained],
            "page": self.page,
            "tracks": [each.document(rates) for each in self.tracks],
        }


def word(score: float | None, rates: Rates | Unmeasured) -> Word | None:
    return rates.word(score) if score is not None and isinstance(rates, Rates) else None


def said(score: float | None, rates: Rates | Unmeasured) -> dict[str, Any] | None:
    """A verdict with the error rates that go with it; None where there is none."""
    if score is None or not isinstance(rates, Rates):
        return None
    shares = {name: vars(getattr(rates, name)) for name in ("false_positive", "true_positive")}
    return {"word": rates.word(score), "threshold": rates.threshold, **shares}


def forged_as(types: Sequence[float] | None) -> dict[str, Any] | None:
    """The likeliest of the forged types, with its share among them: what it would be, were it forged."""
    if types is None:
        return None
    forged = types[1:]
    best = max(range(len(forged)), key=lambda at: forged[at])
    whole = sum(forged)
    return {"type": FORGERY_TYPES[best + 1], "share": forged[best] / whole if whole > 0 else None}


def forged_words(types: Sequence[float] | None) -> str:
    """The same in words; nothing where the model knows no types."""
    found = forged_as(types)
    if found is None or found["share"] is None:
        return ""
    return f"{FORGERY_NAMES[found['type']]} ({found['share']:.0%})"


def reasons_told(reasons: Mapping[str, int]) -> str:
    """Why frames were not used, in words."""
    return ", ".join(f"{count:,} {_REASONS.get(why, why.replace('_', ' '))}" for why, count in sorted(reasons.items()))


def several_told(verdict: Verdict, rates: Rates | Unmeasured) -> str:
    """What several tracks do to the rate; nothing where there is one."""
    if verdict.judged < 2:
        return ""
    found = f"{verdict.judged} faces were judged, and the most suspicious one decides"
    if isinstance(rates, Rates):
        found += (
            f": of real media with so many faces about {rates.expected(verdict.judged):.0%} would be called fake, were the "
            f"faces independent, and not {rates.false_positive.value:.0%}"
        )
    return found


def short_told(verdict: Verdict, rates: Rates | Unmeasured) -> str:
    """The tracks that do not decide, though they have a score, and how many of them reach the threshold; nothing where there
    are none."""
    deciding = {each.number for each in verdict.deciding}
    short = [each for each in verdict.tracks if each.scored and each.number not in deciding]
    if not short:
        return ""
    shown = sorted(short, key=lambda each: -(each.score or 0.0))[:12]
    told = ", ".join(f"{each.number}: {each.score:.4f} in {len(each.scored)}" for each in shown)
    more = f" and {len(short) - 12:,} more" if len(short) > 12 else ""
    over = sum(word(each.score, rates) == "fake" for each in short)
    reach = f", {over:,} of {len(short):,} reach the threshold" if isinstance(rates, Rates) else ""
    return f"faces seen in under {ENOUGH} frames decide nothing beside longer ones: look at them ({told}{more}){reach}"


def mixed_told(verdict: Verdict, rates: Rates | Unmeasured) -> str:
    """Faces of a medium called real that reach the threshold for a third of their frames in a row: a mean hides a part, as
    where a cut joins two people in one track. Nothing where there is none."""
    if not isinstance(rates, Rates) or verdict.score is None or rates.word(verdict.score) == "fake":
        return ""
    found = [(each, _longest(each.scored, rates.threshold)) for each in verdict.tracks]
    parts = [f"{each.number}: {run} of {len(each.scored)}" for each, run in found if run > 1 and 3 * run >= len(each.scored)]
    if not parts:
        return ""
    return (
        f"frames in a row that reach the threshold, by face: {', '.join(parts)}. A mean hides a part of a clip, and a face "
        "is followed by its place, so that a cut can join two people: look at the frames. The rates say nothing of parts"
    )


def _longest(scores: Sequence[float], threshold: float) -> int:
    """How many in a row reach the threshold."""
    return max(
        (len(list(each)) for reached, each in groupby(scores, lambda score: score >= threshold) if reached), default=0
    )


def counted(reasons: Sequence[tuple[int, str, str]]) -> dict[str, int]:
    """Frames by reason."""
    return dict(sorted(Counter(why for _, _, why in reasons).items()))


def _by_type(types: Sequence[float] | None) -> dict[str, float] | None:
    return None if types is None else dict(zip(FORGERY_TYPES, types, strict=True))
