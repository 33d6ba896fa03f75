"""The review page: nothing of the label on it, nothing from elsewhere in it, and its answers read back."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmidd.audit.review import FORMAT, Question, choose, page, read_answers, shown, tally
from mmidd.audit.rows import Rows, code
from mmidd.corpus.read import Corpus
from mmidd.errors import DataError

from .conftest import WriteCorpus, picture, rows_of

HOSTILE = """<script>alert(1)</script><img src=x onerror=alert(1)> "quoted" 'so' &amp; {{items}} \x1b[31m </fieldset>"""


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def _items(count: int = 3) -> list[Question]:
    return [Question(f"{n:024x}", picture(f"{n}"), (f"A face {n}.", f"A wall {n}.")) for n in range(count)]


def test_the_page_holds_everything_and_asks_nobody() -> None:
    text = page([*_items(), Question("f" * 24, b"GIF89a", ("Only a face.", None))])
    found = _Page(text)
    assert len(found.all("article")) == 4 and len(found.all("fieldset")) == 7 and len(found.all("input")) == 21
    sources = [image["src"] or "" for image in found.all("img")]
    assert base64.b64decode(sources[0].split(",")[1]) == picture("0") and len(sources) == 3
    assert "This image cannot be shown." in text
    assert not re.search(r"https?:|//\w|\b(?:link|iframe|object|embed)\b", re.sub(r"data:[^\"]*", "", text))
    policy = next(meta["content"] for meta in found.all("meta") if "http-equiv" in meta) or ""
    script = text.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'") and f"script-src 'sha256-{digest}'" in policy


def test_hostile_captions_are_text_and_nothing_else() -> None:
    found = _Page(page([Question('"><b>', picture("x"), (HOSTILE, HOSTILE))]))
    plain = _Page(page([Question("0" * 24, picture("x"), ("a", "b"))]))
    assert Counter(tag for tag, _ in found.tags) == Counter(tag for tag, _ in plain.tags)
    assert HOSTILE.replace("\x1b", "\ufffd") in "".join(found.texts)
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)


def test_the_reviewer_is_not_told_what_it_is(write_corpus: WriteCorpus) -> None:
    rows = code(Corpus(write_corpus(rows_of(["Alpha", "Beta"], 20, 0))))
    text = re.sub(r"data:[^\"]*", "", page(choose(rows, np.ones(len(rows), np.bool_), 0)))
    assert not re.search(r"Alpha|Beta|REAL|fake|\bFS\b|attributes-1|\.png", text)


def test_the_sample_is_even_over_strata_and_takes_captioned_rows_only(write_corpus: WriteCorpus) -> None:
    written = rows_of(["A"], 400, 0) + rows_of(["B"], 20, 0)
    written[0]["face_caption"] = written[0]["environment_caption"] = None
    rows = code(Corpus(write_corpus(written)))
    captioned = np.array([row["face_caption"] is not None for row in written])
    items = choose(rows, captioned, 0)
    texts = {row["face_caption"] for row in written if row["dataset"] == "B"}
    assert len(items) == 385 and sum(item.captions[0] in texts for item in items) >= 40
    assert all(item.captions[0] for item in items) and items == choose(rows, captioned, 0) != choose(rows, captioned, 1)


def _saved(path: Path, answers: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"format": FORMAT, "page": "x", "answers": answers}), encoding="utf-8")
    return path


def _answers(rows: Rows) -> list[dict[str, Any]]:
    items = choose(rows, np.ones(len(rows), np.bool_), 0)
    return [{"id": item.id, "shown": shown(item.captions), "face": None, "environment": None} for item in items]


def test_answers_come_back_by_stratum_with_their_interval(write_corpus: WriteCorpus, tmp_path: Path) -> None:
    written = rows_of(["A", "B"], 20, 0)
    rows = code(Corpus(write_corpus(written)))
    answers = _answers(rows)
    for number, answer in enumerate(answers):
        answer["face"] = "wrong" if number < 30 else "right"
    answers[0]["environment"], answers[1]["shown"] = "unsure", "0" * 16
    answers.append({"id": "f" * 24, "shown": "", "face": "right", "environment": None})
    audit = tally(rows, read_answers(_saved(tmp_path / "a.json", answers)))
    figures = audit.parts[0].figures
    assert {name: figures[name] for name in ("answers", "not_in_corpus", "stale", "open")} == {
        "answers": 81, "not_in_corpus": 1, "stale": 1, "open": 78,
    }  # fmt: skip
    strata = {(each["field"], each["by"], each["stratum"]): each for each in figures["strata"]}
    whole = strata["face", "all", ""]
    assert (whole["right"], whole["wrong"], whole["n"]) == (50, 29, 79) and whole["interval"] == [0.5228, 0.7307]
    assert strata["environment", "all", ""]["unsure"] == 1 and strata["environment", "all", ""]["n"] == 0
    by_dataset = [strata["face", "dataset", name] for name in ("A", "B")]
    assert sum(each["right"] for each in by_dataset) == 50 and sum(each["n"] for each in by_dataset) == 79
    assert any("50 of 79 right" in finding.what for finding in audit.findings)


def test_all_right_is_no_finding_and_no_answer_is_not_testable(write_corpus: WriteCorpus, tmp_path: Path) -> None:
    rows = code(Corpus(write_corpus(rows_of(["A"], 20, 0))))
    answers = _answers(rows)
    assert (
        tally(rows, read_answers(_saved(tmp_path / "a.json", answers))).untested[0].because
        == "no caption of this corpus was judged"
    )
    right = [answer | {"face": "right", "environment": "right"} for answer in answers]
    assert tally(rows, read_answers(_saved(tmp_path / "a.json", right))).findings == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "is not what a review page saves"),
        ('{"format": "mmidd-review-1", "answers": {}}', "is not what a review page saves"),
        ('{"format": "mmidd-review-1", "answers": [3]}', "answer 1: needs an id"),
        ('{"format": "mmidd-review-1", "answers": [{"id": "a", "shown": "b", "face": []}]}', "answer 1: needs an id"),
        ('{"format": "mmidd-review-1", "answers": [{"id": "a", "shown": "b", "face": "good"}]}', "answer 1: needs an id"),
        ('{"format": "mmidd-review-1", "answers": [{"id": "a", "shown": "b"}, {"id": "a", "shown": "b"}]}', "'a' twice"),
    ],
)  # fmt: skip
def test_a_file_that_no_page_saved_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_answers(tmp_path / "x.json")


_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_JUDGE = """
<script>
addEventListener("load", async () => {
  for (const key of "1123")
    (document.activeElement ?? document.body).dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const saved = await (await fetch(document.getElementById("save").href)).text();
  const out = document.createElement("pre");
  out.id = "saved";
  out.textContent = JSON.stringify(JSON.parse(saved));
  document.body.append(out);
});
</script>
"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_judges_by_keyboard_and_saves_what_can_be_read_back(tmp_path: Path) -> None:
    """The page's own script under its own policy; only the hand on the keyboard is added, and let through the policy."""
    digest = base64.b64encode(hashlib.sha256(_JUDGE.split("<script>")[1].split("</script>")[0].encode()).digest()).decode()
    text = page(_items()).replace("script-src ", f"connect-src blob:; script-src 'sha256-{digest}' ")
    place = tmp_path / "review.html"
    place.write_text(text.replace("</body>", _JUDGE + "</body>"), encoding="utf-8")
    command = ["chromium", *_QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run([*command, place.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    saved = _Page(done.stdout.split('<pre id="saved">')[1].split("</pre>")[0]).texts
    (tmp_path / "saved.json").write_text("".join(saved), encoding="utf-8")
    answers = read_answers(tmp_path / "saved.json")
    assert [answer.verdicts for answer in answers] == [("right", "right"), ("wrong", "unsure"), (None, None)]
    assert [answer.shown for answer in answers] == [shown(item.captions) for item in _items()]
    assert "4 of 6 captions judged." in done.stdout
