"""Pages to look at: one a medium, written when it is judged, and an index. Each holds all it shows; names are hostile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from mmidd.engine.files import ANEW, disk_errors
from mmidd.errors import UsageError
from mmidd.evaluation.figures import counted
from mmidd.show.pages import page, told
from mmidd.verdicts.drawn import boxed, covered, marked, parts_named, thumb, timeline
from mmidd.verdicts.explained import CAVEAT as SAYS
from mmidd.verdicts.explained import PAGE, Explained
from mmidd.verdicts.faces import Crop
from mmidd.verdicts.rates import Rates, Unmeasured
from mmidd.verdicts.region import CAVEAT, CELLS, FAINT, METHOD, Region
from mmidd.verdicts.verdict import (
    RULE,
    Track,
    Verdict,
    forged_words,
    mixed_told,
    reasons_told,
    several_told,
    short_told,
    word,
)

if TYPE_CHECKING:
    from mmidd.verdicts.result import Detected

INDEX, MEDIA = "index.html", "media"
MOST_TRACKS, MOST_FRAMES = 8, 4
"""Tracks whose crops are shown, the most suspicious ones; whole frames that are shown."""
MOST_CROPS = 64
_NOT = """<ul class="soft">
<li>A score says how much a picture looks, to this network, like the fakes that it was trained on. It is no probability that
this medium is forged, and no proof of anything.</li>
<li>The error rates were measured on the data that is named with them. On another camera, another compression or a newer
generator they are others, and unknown.</li>
<li>"real" means that this network saw nothing. Sound, text, and pictures outside the faces were not looked at.</li>
</ul>"""


@dataclass
class Pages:
    """A folder of pages that nobody else writes."""

    folder: Path
    model: str
    rates: Rates | Unmeasured
    _numbers: Iterator[int]

    @classmethod
    def begin(cls, folder: Path, model: str, rates: Rates | Unmeasured) -> Pages:
        """Raises UsageError where something lies there."""
        with disk_errors(folder):
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise UsageError(f"--out {folder} is there already and not empty: name a new folder, or remove it")
        return cls(folder, model, rates, count(1))

    def add(self, verdict: Verdict, crops: Sequence[Crop], regions: Sequence[Region]) -> Verdict:
        """Write the page of a medium; the verdict with its place."""
        name = f"{MEDIA}/{next(self._numbers):05}.html"
        body = "".join(_medium(verdict, crops, regions, self.rates, self.model))
        self._write(name, verdict.shown, body)
        return replace(verdict, page=name)

    def index(self, found: Detected) -> None:
        """Write the index, the most suspicious media first."""
        self._write(INDEX, f"mmidd detect: {len(found.verdicts):,} media", "".join(_index(found)))

    def _write(self, name: str, title: str, body: str) -> None:
        part = self.folder / f"{name}.part"  # a kill leaves this, and never half of a page
        with disk_errors(self.folder, ANEW):
            (self.folder / MEDIA).mkdir(parents=True, exist_ok=True)
            try:
                part.write_text(_page(title, body), encoding="utf-8")
                part.replace(self.folder / name)
            finally:
                part.unlink(missing_ok=True)


def _page(title: str, body: str) -> str:
    style = files("mmidd.verdicts").joinpath("page.css").read_text(encoding="utf-8")
    return page(title, body, style, images="data:")


def _medium(
    verdict: Verdict, crops: Sequence[Crop], regions: Sequence[Region], rates: Rates | Unmeasured, model: str
) -> Iterator[str]:
    yield f'<p class="soft"><a href="../{INDEX}">all media</a></p><h1>{told(verdict.shown)}</h1>'
    yield _headline(verdict, rates, model)
    if verdict.kind != "image":
        yield _titled("Score over time", timeline(verdict.tracks, rates))
    yield _titled("The picture" if verdict.kind == "image" else "Where the faces are", _framed(verdict, crops))
    yield from _strips(verdict, crops, rates)
    if verdict.explained:
        yield _titled("What it says", _said(verdict.explained))
    if regions:
        yield _titled("The region that mattered", _regions(regions))
    yield _titled("What is known of it", _facts(verdict))
    yield _titled("What this is not", _NOT)


def _titled(title: str, body: str) -> str:
    return f"<h2>{told(title)}</h2>{body}" if body else ""


def _headline(verdict: Verdict, rates: Rates | Unmeasured, model: str) -> str:
    if verdict.score is None:
        return f'<div class="big"><strong>{told(verdict.state)}</strong><p>{told(verdict.reason or "")}</p></div>'
    said = word(verdict.score, rates)
    kind = forged_words(verdict.worst.types) if verdict.worst else ""
    more = [
        several_told(verdict, rates),
        short_told(verdict, rates),
        mixed_told(verdict, rates),
        f"if forged, by {kind}" if kind else "",
    ]
    more += [RULE] if verdict.kind != "image" else []
    return (
        f'<div class="big"><strong>{told(said) if said else "no verdict"}</strong> &nbsp; score {verdict.score:.4f}'
        f"<p>{told(rates)}.</p>{''.join(f'<p>{told(each)}.</p>' for each in more if each)}"
        f'<p class="soft">model: {told(model)}</p></div>'
    )


def _framed(verdict: Verdict, crops: Sequence[Crop]) -> str:
    found = "".join(_frames(verdict, crops))
    return f'<div class="frames">{found}</div>' if found else ""


def _frames(verdict: Verdict, crops: Sequence[Crop]) -> Iterator[str]:
    """The frames in which tracks are first seen, with all faces that are in them."""
    contexts = {crop.frame: crop for crop in reversed(crops) if crop.context}
    scores = {(track.number, look.frame): look.score for track in verdict.tracks for look in track.looks}
    for frame, shown in sorted(contexts.items())[:MOST_FRAMES]:
        faces = [(crop.track, crop.box, scores.get((crop.track, frame))) for crop in crops if crop.frame == frame]
        when = f"{shown.timestamp:.2f} s, " if shown.timestamp is not None else ""
        caption = "" if verdict.kind == "image" else f"<figcaption>{when}frame {frame}</figcaption>"
        yield f"<figure>{boxed(shown.context or b'', shown.size, faces)}{caption}</figure>"
    if len(contexts) > MOST_FRAMES:
        more = counted(len(contexts) - MOST_FRAMES, "more frame")
        yield f'<p class="soft">{more} in which a face is first seen: not shown.</p>'


def _strips(verdict: Verdict, crops: Sequence[Crop], rates: Rates | Unmeasured) -> Iterator[str]:
    images = {(crop.track, crop.frame): crop.image for crop in crops}
    tracks = sorted(verdict.tracks, key=lambda each: -(each.score if each.score is not None else -1.0))
    for track in tracks[:MOST_TRACKS]:
        score = "not judged" if track.score is None else f"{track.score:.4f}"
        said = word(track.score, rates)
        title = f"Face {track.number}: {score}{f', {said}' if said else ''}, {counted(len(track.looks), 'frame')}"
        yield _titled(
            title, f'<div class="strip">{"".join(_strip(track, images, rates, still=verdict.kind == "image"))}</div>'
        )
    if len(tracks) > MOST_TRACKS:
        yield f'<p class="soft">{len(tracks) - MOST_TRACKS:,} less suspicious faces are not shown (--json has all).</p>'


def _strip(track: Track, images: dict[tuple[int, int], bytes], rates: Rates | Unmeasured, *, still: bool) -> Iterator[str]:
    for look in track.looks[:MOST_CROPS]:
        over = " class='over'" if word(look.score, rates) == "fake" else ""
        when = "" if still else f"{look.timestamp:.2f} s" if look.timestamp is not None else f"frame {look.frame}"
        score = "–" if look.score is None else f"{look.score:.3f}"
        picture = thumb(images[track.number, look.frame])
        image = f'<img src="{picture}" alt="face {track.number}, {when}">'
        yield f"<figure{over}>{image}<figcaption>{score}<br>{when}</figcaption></figure>"
    if len(track.looks) > MOST_CROPS:
        yield f'<p class="soft">and {len(track.looks) - MOST_CROPS:,} more</p>'


def _said(found: Sequence[Explained]) -> str:
    parts = "".join(
        f'<div class="reasons"><figure>{marked(each)}<figcaption>face {each.track}, frame {each.frame}'
        f"{parts_named(each)}</figcaption></figure>"
        f'<div><p>{told(each.figures())}.</p><blockquote class="{"soft" if each.withheld else "said"}">'
        f"{told(each.words(PAGE))}</blockquote><p>{told(each.looks())}.</p></div></div>"
        for each in found
    )
    return f'<p class="soft">{told(SAYS)}.</p>{parts}'


def _regions(regions: Sequence[Region]) -> str:
    figures = "".join(
        f"<figure>{covered(each)}<figcaption>face {each.track}, frame {each.frame}, score {each.score:.3f}. {_range(each)}"
        "</figcaption></figure>"
        for each in regions
    )
    legend = (
        f"{METHOD} ({CELLS * CELLS + 1} more images a face). Orange: the score falls when it is covered; blue: it rises."
    )
    return f'<p class="soft">{told(legend)} {told(CAVEAT)}</p><div class="regions">{figures}</div>'


def _range(region: Region) -> str:
    found = f"Covering one part: from {-region.falls.max():+.3f} to {-region.falls.min():+.3f}"
    return found if abs(region.falls).max() >= FAINT else f"{found}: no part stands out"


def _facts(verdict: Verdict) -> str:
    rows = {
        "kind": verdict.kind,
        "size": f"{verdict.size[0]} x {verdict.size[1]}" if verdict.size else None,
        "codec": verdict.codec,
        "frames a second": f"{verdict.fps:.3g}" if verdict.fps else None,
        "frames": f"{verdict.used:,} of {verdict.planned:,} planned show a face" if verdict.planned else None,
        "not used": reasons_told(verdict.reasons) or None,
        "notes": "; ".join(verdict.notes) or None,
        "sha256": verdict.sha256,
    }
    return (
        f"<table>{''.join(f'<tr><th>{name}</th><td>{told(each)}</td></tr>' for name, each in rows.items() if each)}</table>"
    )


def _index(found: Detected) -> Iterator[str]:
    yield f"<h1>mmidd detect: {len(found.verdicts):,} media</h1>"
    states = ", ".join(f"{number:,} {state}" for state, number in found.states.items())
    yield f'<div class="big"><p>{told(found.rates)}.</p><p>{told(RULE)}.</p>'
    yield f'<p class="soft">model: {told(found.model)}</p></div>'
    yield f"<p>{told(states)}: {told(found.speed)}</p>"
    heads = "".join(f"<th>{name}</th>" for name in ("score", "verdict", "medium", "faces", "frames"))
    yield f'<div class="wide"><table class="list"><tr>{heads}</tr>'
    for each in found.most_suspicious():
        name = told(each.shown)
        link = f'<a href="{each.page}">{name}</a>' if each.page else name
        score = "–" if each.score is None else f"{each.score:.4f}"
        said = word(each.score, found.rates) or (each.state if each.score is None else "no verdict")
        asides = [each.reason or "", short_told(each, found.rates), mixed_told(each, found.rates)]
        why = "".join(f'<br><span class="soft">{told(one)}</span>' for one in asides if one)
        counts = f"<td>{each.judged}</td><td>{each.used} / {each.planned}</td>"
        yield f"<tr><td>{score}</td><td>{told(said)}</td><td>{link}{why}</td>{counts}</tr>"
    yield "</table></div>"
    yield _titled("What this is not", _NOT)
