"""People judge a sample of captions: one page that works offline, and its answers read back."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from mmidd.audit.results import Audit, CheckPart, Untested, finding
from mmidd.audit.rows import CAPTIONS, FIELDS, LONGEST, NULL, Rows, spread
from mmidd.errors import DataError
from mmidd.statistics import wilson

PAGE_SIZE = 385
"""Images of a page: so many give a share to within 5 points at 95%."""
LEAST_RIGHT = 0.9
"""A share of right captions that lies below this, with the whole of its Wilson interval, is a finding ..."""
LEAST_JUDGED = 10
"""... if so many were judged right or wrong."""
FORMAT = "mmidd-review-1"
_MOST_BYTES = 16 << 20
_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}

Verdict = Literal["right", "wrong", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Question:
    """One image on the page, as bytes, and its captions. Nothing here says what it is: the reviewer must not know."""

    id: str
    image: bytes
    captions: tuple[str | None, ...]


@dataclass(frozen=True)
class Judgement:
    """What was said of one image: a verdict a field, None where it was left open."""

    id: str
    shown: str
    verdicts: tuple[Verdict | None, ...]


def choose(rows: Rows, captioned: Any, seed: int) -> list[Question]:
    """At most PAGE_SIZE captioned samples, spread evenly over dataset, forgery type and captioner, in an order of chance."""
    chosen = spread(rows, (rows.dataset, rows.kind, rows.captioner), PAGE_SIZE, seed, captioned)
    found = rows.corpus.take(chosen, ("id", "image", *CAPTIONS))
    images = [(image or {}).get("bytes") or b"" for image in found["image"].to_pylist()]
    captions = zip(*(found[name].to_pylist() for name in CAPTIONS), strict=True)
    items = [Question(*each) for each in zip(found["id"].to_pylist(), images, captions, strict=True)]
    return [items[place] for place in np.random.default_rng(seed).permutation(len(items))]


def shown(captions: Sequence[str | None]) -> str:
    """Names the texts that were shown, so that answers about other texts are not counted."""
    return hashlib.sha256(json.dumps(list(captions)).encode()).hexdigest()[:16]


def page(items: Sequence[Question]) -> str:
    """One HTML page with everything inside: images as data URIs, text escaped, no address of anywhere."""
    here = files("mmidd.audit")
    script = here.joinpath("review.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    filled = {
        "script_hash": f"sha256-{digest}",
        "page": hashlib.sha256("".join(item.id + shown(item.captions) for item in items).encode()).hexdigest()[:16],
        "items": "\n".join(_article(number, len(items), item) for number, item in enumerate(items, start=1)),
        "script": script,
    }
    before, *pieces = here.joinpath("review.html").read_text(encoding="utf-8").split("{{")
    return before + "".join(filled[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces))


def _article(number: int, total: int, item: Question) -> str:
    fields = [
        _fieldset(number, name, text[:LONGEST]) for name, text in zip(FIELDS, item.captions, strict=True) if text is not None
    ]
    return (
        f'<article data-id="{html.escape(item.id)}" data-shown="{shown(item.captions)}">\n{_image(number, item.image)}\n'
        f"<div><h2>{number} of {total}</h2>\n" + "\n".join(fields) + "\n</div></article>"
    )


def _image(number: int, image: bytes) -> str:
    kind = next((kind for start, kind in _TYPES.items() if image.startswith(start)), None)
    if kind is None:
        return "<p>This image cannot be shown.</p>"
    return f'<img alt="picture {number}" src="data:{kind};base64,{base64.b64encode(image).decode()}">'


def _fieldset(number: int, field: str, text: str) -> str:
    buttons = "".join(
        f'<label><input type="radio" name="{field}-{number}" value="{verdict}"> {verdict}</label>' for verdict in VERDICTS
    )
    text = html.escape("".join(c if c.isprintable() else "\ufffd" for c in text))
    return f'<fieldset data-field="{field}"><legend>{field}</legend><p>{text}</p>{buttons}</fieldset>'


def read_answers(path: Path) -> list[Judgement]:
    """The answers that a page saved. Raises DataError for anything else."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} has more than 16 MiB: no review page saves so much")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read as JSON ({type(error).__name__}); give the file that the page saved"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("answers"), list):
        raise DataError(f"{path} is not what a review page saves ({FORMAT}); give the file of its button 'Save the answers'")
    answers = [_answer(path, number, entry) for number, entry in enumerate(content["answers"], start=1)]
    twice = [name for name, count in Counter(answer.id for answer in answers).items() if count > 1]
    if twice:
        raise DataError(f"{path} answers for {twice[0]!r} twice: give the file as one page saved it")
    return answers


def _answer(path: Path, number: int, entry: Any) -> Judgement:
    if isinstance(entry, dict) and isinstance(entry.get("id"), str) and isinstance(entry.get("shown"), str):
        verdicts = tuple(entry.get(name) for name in FIELDS)
        if all(verdict in (None, *VERDICTS) for verdict in verdicts):
            return Judgement(entry["id"], entry["shown"], verdicts)
    raise DataError(f"{path}, answer {number}: needs an id, shown, and for each field right, wrong, unsure or null")


def tally(rows: Rows, answers: Iterable[Judgement]) -> Audit:
    """The shares of right captions, in all and by stratum. What each sample is, is looked up in the corpus."""
    by_id = {answer.id: answer for answer in answers}
    counts: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    states = Counter({"answers": len(by_id), "not_in_corpus": len(by_id), "stale": 0, "open": 0})
    for number, name, captions in _asked(rows, by_id):
        states["not_in_corpus"] -= 1
        if shown(captions) != by_id[name].shown:
            states["stale"] += 1
            continue
        for field, text, verdict in zip(FIELDS, captions, by_id[name].verdicts, strict=True):
            if text is None:
                continue
            if verdict is None:
                states["open"] += 1
                continue
            for by, stratum in _strata(rows, number):
                counts[field, by, stratum][verdict] += 1
    return Audit("review", (_part(counts, states),))


def _strata(rows: Rows, number: int) -> tuple[tuple[str, str], ...]:
    kind = rows.kind.of(number)
    return (
        ("all", ""),
        ("dataset", rows.dataset.of(number)),
        ("type", kind if kind != NULL else "unknown"),
        ("captioner", rows.captioner.of(number)),
    )


def _asked(rows: Rows, wanted: Mapping[str, Judgement]) -> Iterable[tuple[int, str, tuple[str | None, ...]]]:
    for start, batch in rows.corpus.batches(("id", *CAPTIONS)):
        for place, name in enumerate(batch["id"].to_pylist()):
            if name in wanted:
                yield start + place, name, tuple(batch[column][place].as_py() for column in CAPTIONS)


def _part(counts: Mapping[tuple[str, str, str], Counter[str]], states: Mapping[str, int]) -> CheckPart:
    lines = [
        f"{states['answers']} images in the file: {states['not_in_corpus']} are not in this corpus, {states['stale']} have "
        f"other captions now; {states['open']} captions were left open"
    ]
    strata, findings = [], []
    for (field, by, stratum), verdicts in sorted(counts.items()):
        right, judged = verdicts["right"], verdicts["right"] + verdicts["wrong"]
        low, high = wilson(right, judged)
        figures: dict[str, Any] = {"field": field, "by": by, "stratum": stratum, "n": judged}
        figures |= {name: verdicts[name] for name in VERDICTS}
        strata.append(figures | {"interval": [round(low, 4), round(high, 4)]})
        told = f"{right} of {judged} right = {right / judged:.1%} ({low:.1%} to {high:.1%})" if judged else "none judged"
        lines.append(f"{' '.join((field + ',', by, stratum)).strip()}: {told}, {verdicts['unsure']} unsure")
        if judged >= LEAST_JUDGED and high < LEAST_RIGHT:
            advice = "read the captions marked wrong; take another captioner or prompt, or leave this field out"
            findings.append(finding("review", lines[-1], advice))
    untested = () if counts else (Untested("review", "no caption of this corpus was judged"),)
    return CheckPart("review", tuple(lines), {**states, "strata": strata}, tuple(findings), untested)
