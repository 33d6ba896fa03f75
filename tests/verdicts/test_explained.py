"""Reasons beside verdicts: what was said, what is withheld, whether what it names matters; hostile text in every output."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Place
from explanations import toy
from once import Once
from rich.console import Console
from runs import corpora

import mmidd as api
from mmidd.corpus.read import Corpus
from mmidd.errors import UsageError
from mmidd.explanations.regions import boxes
from mmidd.explanations.reply import Said, read
from mmidd.scoring.model import Found, Look
from mmidd.scoring.run_model import RunModel
from mmidd.verdicts.explained import CONSOLE, Explained, cover
from mmidd.verdicts.result import Detected


@pytest.fixture(scope="module")
def run(once: Once) -> Path:
    corpus = once("learnable", corpora.corpus)
    return once("explaining-toy", lambda folder: toy.trained(corpus, folder / "run")) / "run"


@pytest.fixture(scope="module")
def media(small: Place) -> list[Path]:
    rows = Corpus(small.out).media.to_pylist()
    names = sorted({row["media"] for row in rows if row["label"] == "real" and row["frames_ok"]})
    found = [path for name in names for path in small.data.rglob(name.rpartition("/")[2]) if str(path).endswith(f"/{name}")]
    assert len(found) > 2
    return found


def detected(media: Any, run: Path, place: Place, **more: Any) -> Detected:
    return api.detect(media, toy.opened(run), corpus=place.out, workers=0, explain=True, **more)


def _saying(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The model says this of every picture."""

    def said(self: toy.ExplainingToy, place: int, direct: float) -> Said:
        found = read(text, ("real", "fake"))
        return Said(text, found.chain, found.answer, found.wrong, 9, False, direct, 0.25)

    monkeypatch.setattr(toy.ExplainingToy, "_said", said)


def _console(found: Detected) -> str:
    console = Console(width=250, record=True, file=io.StringIO())
    found.tell(console)
    return console.export_text()


def test_each_medium_has_the_reasons_of_its_most_suspicious_frame(media: list[Path], run: Path, small: Place) -> None:
    plain = api.detect(media, toy.opened(run), corpus=small.out, workers=0)
    found = detected(media, run, small)
    assert [each.score for each in found.verdicts] == [each.score for each in plain.verdicts]
    for verdict in found.verdicts:
        assert verdict.state == "judged" and 1 <= len(verdict.explained) <= 3
        first = verdict.explained[0]
        track = next(each for each in verdict.tracks if each.number == first.track)
        best = max(track.looks, key=lambda look: look.score or 0)
        assert first.frame == best.frame and first.said.direct == pytest.approx(best.score, abs=1e-6)
        (told, *_) = verdict.document(found.rates)["explanations"]
        assert told["answer"] in ("real", "fake", None) and (told["answer"] is None) == (told["no_answer"] is not None)
    assert all(not each.explained for each in plain.verdicts) and plain.document()["explained"] is None
    assert json.dumps(found.document())


def test_regions_it_names_are_covered_and_compared(
    media: list[Path], run: Path, small: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _saying(monkeypatch, "<think>The eyes are blurred, no seam at the chin.</think><answer>fake</answer>")
    found = detected(media[:1], run, small)
    (said,) = found.verdicts[0].explained[:1]
    assert said.regions == ("eyes",) and said.denied == ("chin", "edges") and said.places.keys() == {"eyes"}
    assert said.cover is not None and 0.02 < said.cover.share < 0.1 and len(said.cover.elsewhere) > 5
    text = _console(found)
    assert "it answers fake, score" in text and "it says: The eyes are blurred, no seam at the chin." in text
    assert "names: eyes (nothing wrong at: chin, edges); covering it grey" in text and "does not show that it looked" in text


@pytest.mark.parametrize(
    ("reply", "flagged", "shown"),
    [
        ("<think>An Asian man with odd eyes.</think><answer>fake</answer>", ["race"], "withheld: it names a person's race"),
        ("<think>He looks sick.</think><answer>fake</answer>", ["health"], "withheld: it names a person's health"),
        ("<think>This is Obama.</think><answer>fake</answer>", ["identity"], "withheld: it names who a person is"),
        ("<think>脸部看起来是真的</think><answer>fake</answer>", ["unread"], "withheld: it is in no English"),
        ("I see an Asian nose", ["race"], "no answer in its reply (no answer): an error"),
        ("<think></think><answer>real</answer>", [], "(no reasons)"),
    ],
)
def test_what_names_a_person_is_withheld_everywhere_but_in_json_which_flags_it(
    media: list[Path], run: Path, small: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: str,
    flagged: list[str], shown: str,
) -> None:  # fmt: skip
    _saying(monkeypatch, reply)
    found = detected(media[:1], run, small, out=tmp_path / "pages", csv=tmp_path / "rows.csv")
    told = found.document()["media"][0]["explanations"][0]
    assert [each["kind"] for each in told["flags"]] == flagged and told["reply"] == reply
    assert told["withheld_elsewhere"] == bool(flagged)
    page = next((tmp_path / "pages" / "media").iterdir()).read_text()
    outputs = [_console(found), page.replace("&#x27;", "'"), (tmp_path / "rows.csv").read_text()]
    for output in outputs:
        assert not any(word in output for word in ("Asian", "sick", "Obama", "脸部"))
    assert shown in outputs[0] and shown in outputs[1]
    assert f"of a person: {bool(flagged):d}" in found.document()["explained"]


def test_hostile_reasons_break_no_output(
    media: list[Path], run: Path, small: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _saying(monkeypatch, f"<think>{toy.HOSTILE}</think><answer>fake</answer>")
    found = detected(media[:2], run, small, out=tmp_path / "pages", csv=tmp_path / "rows.csv")
    text = _console(found)
    assert "\x1b" not in text and "\u202e" not in text and "more characters: --json has all" in text
    assert all(len(line) < CONSOLE + 150 for line in text.splitlines() if "it says" in line)
    for path in (tmp_path / "pages" / "media").iterdir():
        page = path.read_text()
        assert "<script" not in page and "\x1b" not in page and "\u202e" not in page and "&lt;script&gt;" in page
        assert "http-equiv" in page and len(page) < 2_000_000
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["level"] for row in rows if row["explanation"].startswith("fake: ")} == {"clip", "track"}
    assert found.document()["media"][0]["explanations"][0]["reasons"].endswith("eyes are odd")


def test_what_cannot_explain_is_refused(media: list[Path], small: Place, once: Once) -> None:
    corpus = once("learnable", corpora.corpus)
    mute = once("mute-toy", lambda folder: toy.trained(corpus, folder / "run", "mute")) / "run"
    with pytest.raises(UsageError, match=r"--explain: .* gives no reasons"):
        detected(media, mute, small)
    assert not toy.opened(mute).explain and RunModel.explaining(toy.opened(once("explaining-toy", lambda f: None) / "run"))


class Bright:
    """How bright the left eye's place is."""

    look = Look(64)
    about: Mapping[str, Any] = {"kind": "python", "name": "bright", "digest": "b" * 16}

    def scores(self, batch: Any) -> Found:
        x0, y0, x1, y1 = (round(each * 64) for each in boxes()["eyes"][0])
        return Found(batch["image"][:, :, y0:y1, x0:x1].double().mean((1, 2, 3)).numpy() / 255)


@pytest.mark.parametrize(("region", "stands"), [("eyes", True), ("mouth", False), ("background", None)])
def test_covering_what_matters_stands_out_and_what_does_not_does_not(region: str, stands: bool | None) -> None:
    found = cover(Bright(), np.full((64, 64, 3), 255, np.uint8), boxes()[region])
    assert found.stands_out is stands and found.score == 1
    assert (found.moves < -0.4) == (region == "eyes")
    assert ("leaves no place" in str(found)) == (stands is None) and found.document()["stands_out"] is stands


def test_a_face_without_landmarks_has_no_places() -> None:
    said = Said("", "the eyes", 1, None, 2, False, 0.5, None)
    bare = Explained(0, 0, said, 0.7, ("eyes",), (), (), None, {}, np.zeros((8, 8, 3), np.uint8))
    assert bare.looks() == "names: eyes; where that lies is not known here" and bare.document()["covered"] is None
