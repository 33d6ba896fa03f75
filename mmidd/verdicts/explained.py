"""Why a model says that a face is forged, in its own words, and whether what it names matters to its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmidd.errors import ScoreError
from mmidd.explanations.covering import covered, elsewhere
from mmidd.explanations.flags import Flag, flags, withheld
from mmidd.explanations.regions import Box, boxes, filled, mentions
from mmidd.explanations.reply import Said
from mmidd.schema import LABELS
from mmidd.scoring.crops import scores_of
from mmidd.scoring.model import Model
from mmidd.training.images import Sizing
from mmidd.verdicts.faces import Crop
from mmidd.verdicts.region import FAINT

CONSOLE, CSV_MOST, PAGE = 300, 2_000, 2_000
"""Characters of reasons that are shown there; JSON has all."""
CAVEAT = (
    "What a model says is a text that fits its training: that it names a part of the face does not show that it looked "
    "there, and no reason is a proof"
)


@dataclass(frozen=True)
class Cover:
    """What covering the named regions grey does to the score without reasons. `share`: of the crop; `score`, `covered`:
    before and behind it; `elsewhere`: with as large an area covered at other places."""

    share: float
    score: float
    covered: float
    elsewhere: tuple[float, ...]

    @property
    def moves(self) -> float:
        return self.covered - self.score

    @property
    def elsewhere_moves(self) -> float | None:
        """The mean; None where the named area leaves no place for as large a one."""
        return float(np.mean(self.elsewhere)) - self.score if self.elsewhere else None

    @property
    def stands_out(self) -> bool | None:
        """Does covering what it names move the score, and by more than an area anywhere else? None: unknown."""
        if not self.elsewhere:
            return None
        return abs(self.moves) >= FAINT and abs(self.moves) > max(abs(each - self.score) for each in self.elsewhere)

    def document(self) -> dict[str, Any]:
        more = {name: getattr(self, name) for name in ("moves", "elsewhere_moves", "stands_out")}
        return {**vars(self), "elsewhere": list(self.elsewhere), **more}

    def __str__(self) -> str:
        told = f"covering it grey ({self.share:.0%} of the crop) moves the score without reasons by {self.moves:+.3f}"
        if self.elsewhere_moves is None:
            return f"{told}; it leaves no place for as large a part elsewhere"
        told += f", as large a part elsewhere by {self.elsewhere_moves:+.3f} (mean of {len(self.elsewhere)})"
        return f"{told}: {'it matters more than any of these' if self.stands_out else 'it does not stand out'}"


@dataclass(frozen=True, eq=False)
class Explained:
    """What a model says of the most suspicious frame of a track. `score`: behind its reasons, None where its reply has no
    answer; `regions`: that it names, `denied`: only to say that nothing is wrong there; `places`: boxes of the named ones,
    none of a face without landmarks; `image`: the crop as the network saw it."""

    track: int
    frame: int
    said: Said
    score: float | None
    regions: tuple[str, ...]
    denied: tuple[str, ...]
    flags: tuple[Flag, ...]
    cover: Cover | None
    places: dict[str, tuple[Box, ...]]
    image: npt.NDArray[np.uint8]

    @property
    def answer(self) -> str | None:
        return None if self.said.answer is None else LABELS[self.said.answer]

    @property
    def withheld(self) -> str:
        """Why its words are not shown; "" where they are."""
        return withheld(self.flags)

    def document(self) -> dict[str, Any]:
        """JSON: all that was said, whatever it names, with its flags; without pixels."""
        said = self.said
        return {
            "track": self.track, "frame": self.frame, "answer": self.answer, "no_answer": said.wrong,
            "flags": [vars(each) for each in self.flags], "withheld_elsewhere": bool(self.flags),
            "reasons": said.chain, "reply": said.reply, "tokens": said.tokens, "cut": said.cut,
            "score": self.score, "score_without_reasons": said.direct, "score_of_reasons_alone": said.alone,
            "regions": list(self.regions), "nothing_wrong_at": list(self.denied),
            "covered": None if self.cover is None else self.cover.document(), "caveat": CAVEAT,
        }  # fmt: skip

    def words(self, most: int) -> str:
        """Its reasons, as far as they are shown."""
        if self.withheld:
            return f"({self.withheld}; --json has it, with its flags)"
        chain = " ".join(self.said.chain.split())
        if not chain:
            return "(no reasons)"
        more = len(chain) - most
        return chain if more <= 0 else f"{chain[:most]} ... ({more:,} more characters: --json has all)"

    def figures(self) -> str:
        """The answer, and the scores with and without reasons."""
        if self.answer is None:
            told = f"no answer in its reply ({self.said.wrong}): an error"
        else:
            told = f"it answers {self.answer}"
            told += (
                f", score {self.score:.4f} behind its reasons" if self.score is not None else ", and no number behind them"
            )
        parts = [] if self.said.direct is None else [f"{self.said.direct:.4f} without reasons"]
        parts += [] if self.said.alone is None else [f"{self.said.alone:.4f} by the reasons alone, without the picture"]
        return f"{told} ({', '.join(parts)})" if parts else told

    def looks(self) -> str:
        """The regions that it names, and what covering them does."""
        named = f"names: {', '.join(self.regions)}" if self.regions else "names no part of the face"
        named += f" (nothing wrong at: {', '.join(self.denied)})" if self.denied else ""
        if self.cover is not None:
            return f"{named}; {self.cover}"
        return f"{named}; where that lies is not known here" if self.regions else named


def explained(model: Model, asking: Model, crop: Crop, frame: int) -> Explained:
    """Ask for the reasons behind one crop. `asking`: the same model, opened to explain."""
    found = scores_of(asking, [crop.image])
    if found.said is None:
        raise ScoreError("the model was asked to explain and said nothing")
    said, score = found.said[0], float(found.fake[0])
    told = mentions(said.chain)
    regions = tuple(each.region for each in told if not each.denied)
    held = {} if crop.points is None else boxes(np.array(crop.points))
    places = {region: held[region] for region in regions if held.get(region)}
    image = Sizing(model.look.side, model.look.fit).image(crop.image, f"the crop of frame {frame}")[0]
    return Explained(
        crop.track, frame, said, score if np.isfinite(score) else None, regions,
        tuple(each.region for each in told if each.denied), flags(said.reply),
        cover(model, image, [box for each in places.values() for box in each]) if places else None, places, image,
    )  # fmt: skip


def cover(model: Model, image: npt.NDArray[np.uint8], named: Sequence[Box]) -> Cover:
    """Of a picture as the network sees it, (side, side, 3), and the boxes that are covered together."""
    mask = filled(named, len(image))
    copies = [image, *(covered(image, each) for each in (mask, *elsewhere(mask)))]
    first, without, *rest = scores_of(model, copies).fake.tolist()
    return Cover(float(mask.mean()), first, without, tuple(rest))
