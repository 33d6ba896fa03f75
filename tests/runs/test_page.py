"""The page of a run: stands alone, shows no markup from outside, says what its figures do not say."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from test_escaping import NAMES, shown_safely

from mmidd.runs.charts import Level, Scale, Series, chart, figures, thinned
from mmidd.runs.page import page

VOID = {"meta", "br"}
AREA = {"auroc": 0.9, "interval": [0.8, 0.95], "average_precision": 0.9, "equal_error_rate": 0.1}


class Read(HTMLParser):
    """The tags of a page, which have to be closed in order, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def about(**more: Any) -> dict[str, Any]:
    return {
        "format": "mmidd run 1",
        "asked": {"detector": {"name": "toy", "options": {"width": 4}}, "settings": {"lr": 0.1}, "selection": {}},
        "detector": {"name": "toy", "title": "Toy", "paper": "none"},
        "preset": "tiny",
        "corpus": {"name": "faces"},
        "rows": {"train": {"rows": 1234, "label": {"real": 34, "fake": 1200}}, "left_out": {"of no pair": 7}},
        "network": {"parameters": 1000, "trained": 10},
        "sources": {"tower": {"weights": "random", "name": "clip:tiny"}},
        "columns_alone": {"video_auroc": 0.7},
        "surroundings": {"command": "mmidd train toy faces --out run", "begun": "2026-01-02"},
        **more,
    }


def validated(step: int, **more: Any) -> dict[str, Any]:
    return {
        "kind": "validation", "step": step, "best": True, "video_auroc": 0.9, "frame_auroc": 0.88, "loss": 0.3, "groups": 12,
        "video": AREA, "frame": AREA, "left_out": {"cannot be read": 3}, "left_out_by_terms": {"none of these": 0}, **more,
    }  # fmt: skip


def written(run: Path, told: dict[str, Any], *seeds: list[dict[str, Any]]) -> str:
    run.mkdir(exist_ok=True, parents=True)
    (run / "run.json").write_text(json.dumps(told))
    for number, logged in enumerate(seeds):
        (run / f"seed-{number}").mkdir(exist_ok=True)
        (run / f"seed-{number}" / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in logged))
    return page(run)


def steps(count: int, *terms: str) -> list[dict[str, Any]]:
    each = {"kind": "step", "rate": 1e-4, "norm": 1.0, "loss": 0.5}
    return [{**each, "step": step, "terms": dict.fromkeys(terms, 0.25)} for step in range(1, count + 1)]


def test_it_says_what_was_trained_on_what(tmp_path: Path) -> None:
    text = Read(
        written(tmp_path / "run", about(), [*steps(5), validated(5)], [*steps(5), validated(5, video_auroc=0.8)])
    ).text
    for said in (
        "Toy on faces", "1,234 rows (real 34, fake 1,200)", "1,000 parameters, 10 trained (1.00%)", "Preset tiny; 2 seeds",
        "0.850, the mean of 2 seeds (0.800 to 0.900)", "reach 0.700 on the same clips", "0.900 [0.80, 0.95]",
        "not finished (seed 0 at step 5, seed 1 at step 5)", "Random weights", "of no pair", "cannot be read",
        "mmidd train toy faces --out run", "of 12 groups", "The test split was not\ntouched", "options.width",
    ):  # fmt: skip
        assert said in text, said
    assert "none of these" not in text


@pytest.mark.parametrize(
    ("figure", "low", "alone", "said"),
    [
        (0.9, 0.8, 0.7, None),
        (0.9, 0.65, 0.7, "An interval reaches down to that"),
        (0.65, 0.6, 0.7, "is no better than that"),
        (0.7, 0.45, None, "Chance lies in the interval"),
        (0.9, 0.8, None, "could not be measured"),
    ],
)
def test_a_figure_that_says_nothing_is_told_so(
    figure: float, low: float, alone: float | None, said: str | None, tmp_path: Path
) -> None:
    video = AREA | {"auroc": figure, "interval": [low, 0.99]}
    columns = None if alone is None else {"video_auroc": alone}
    text = Read(written(tmp_path, about(columns_alone=columns), [validated(5, video_auroc=figure, video=video)])).text
    box = text.partition("Video AUROC on validation: ")[2].partition("Seeds")[0]
    every = ("An interval reaches", "is no better", "Chance lies", "could not be measured")
    assert said is None or said in box
    assert said is not None or not any(each in box for each in every)


def test_a_stage_is_said_and_what_its_curves_are(tmp_path: Path) -> None:
    staged = about(asked={"detector": {"options": {"stage": "reinforce", "start": "runs/<align>"}}})
    (tmp_path / "run.json").write_text(json.dumps(staged), encoding="utf-8")
    (tmp_path / "seed-0").mkdir()
    names = ("right", "reward.class", "reward.acme-short", "answered.fake.of_reals", "answered.none", "told by another")
    steps = [{"kind": "step", "step": step, "loss": 1.0, "told": dict.fromkeys(names, 0.5)} for step in (1, 2)]
    (tmp_path / "seed-0" / "metrics.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in steps), encoding="utf-8")
    text = page(tmp_path)
    assert "Preset <b>tiny</b>, stage 2 (reinforce), from runs/&lt;align&gt;;" in text
    for title in (
        "right: answers that are right", "reward.class", "reward.acme-short",
        "answered.fake.of_reals: replies that answer fake, of real rows", "answered.none: replies without an answer",
        "told by another",
    ):  # fmt: skip
        assert f">{title}<" in text


def test_it_stands_alone(tmp_path: Path) -> None:
    html = written(tmp_path, about(), [*steps(9, "a", "b"), validated(9)])
    tags = Read(html).tags
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in tags}
    for _, attributes in tags:
        assert not any(name.startswith("on") or name in ("src", "href", "style", "xlink:href") for name in attributes)
    assert not re.search(r"https?:|url\(|@import", html)
    policy = next(found["content"] for tag, found in tags if tag == "meta" and "http-equiv" in found)
    assert policy is not None and policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in tags
    assert "prefers-color-scheme: dark" in html


def hostile(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    everywhere = {name: 5, "x": name}
    told = about(
        detector={"title": name, "paper": name, "name": name}, corpus={"name": name}, preset=name,
        rows={"train": {"rows": 5, "label": {name: 5}}, "left_out": {name: 5}},
        sources={name: {"weights": name, name: name}},
        surroundings={"command": name, "begun": name, name: name, "versions": everywhere},
        asked={"detector": {"name": name, "options": everywhere}, "settings": everywhere, "selection": everywhere},
    )  # fmt: skip
    logged = [*steps(3, name, "b"), validated(3, left_out={name: 5}, left_out_by_terms={name: 1})]
    return told, logged


@pytest.mark.parametrize("name", NAMES)
def test_names_from_outside_are_shown_as_text(name: str, tmp_path: Path) -> None:
    text = NAMES[name]
    plain = Read(written(tmp_path / "plain", *hostile("plain")))
    found = Read(written(tmp_path / "run", *hostile(text)))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]
    assert shown_safely(found.text) and shown_safely(page(tmp_path / "run"))
    assert "".join(c if c.isprintable() else "?" for c in text) in found.text


def test_what_is_no_seeds_folder_is_not_shown(tmp_path: Path) -> None:
    written(tmp_path, about(), [*steps(3), validated(3)])
    (tmp_path / "seed-1<b>").mkdir()
    (tmp_path / "seed-2").write_text("")
    assert "1 seed," in Read(page(tmp_path)).text


@pytest.mark.parametrize(
    "logged", [[], steps(1), [validated(1)], [validated(1, video=None, video_auroc=None)], steps(3000)], ids=len
)
def test_it_can_be_made_at_any_time_of_a_run(logged: list[dict[str, Any]], tmp_path: Path) -> None:
    found = written(tmp_path, about(), logged)
    assert "Toy on faces" in Read(found).text and len(found) < 200_000 and "nan" not in found
    assert Read(written(tmp_path / "none", {})).text


ODD: list[Any] = [None, 3, "x", [], [1], {}, {"a": 1}, True, 1e308, [{"a": [1]}]]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_values_of_another_kind_are_no_fault_of_the_page(odd: Any, tmp_path: Path) -> None:
    told, logged = about(), [*steps(3, "a", "b"), validated(3)]
    for key in told:
        Read(written(tmp_path, told | {key: odd}, logged))
    for place, line in ((0, "step"), (3, "validation")):
        for key in logged[place]:
            if key not in ("kind", "step"):
                Read(written(tmp_path, told, [*logged[:place], {**logged[place], key: odd}, *logged[place + 1 :]]))
        assert logged[place]["kind"] == line


def test_a_line_is_drawn_where_its_points_are() -> None:
    svg = chart("t", [Series("a", [(0, 0.0), (10, 1.0)], [(0, 0.0, 0.5), (10, 0.5, 1.0)])], Level("b", 0.5))
    (points,) = re.findall(r'<polyline[^>]*points="([^"]*)"', svg)
    (x0, y0), (x1, y1) = (map(float, each.split(",")) for each in points.split())
    assert x0 < x1 and y0 > y1
    (level,) = re.findall(r'class="level"[^>]*y1="([^"]*)"', svg)
    assert float(level) == pytest.approx((y0 + y1) / 2, abs=0.1)
    assert "a ends at 1" in svg


@pytest.mark.parametrize(
    "bounds", [(0, 1), (0.1, 0.1), (0, 0), (-3, -3), (1e-9, 2e-9), (0, 123456), (-5, 7e9), (0.49, 0.51)]
)
def test_ticks_are_few_round_and_around_what_is_drawn(bounds: tuple[float, float]) -> None:
    scale = Scale.of(*bounds, 200, 0)
    assert 2 <= len(scale.ticks) <= 8 and scale.low <= bounds[0] and scale.high >= bounds[1]
    assert all(-0.1 <= scale(value) <= 200.1 for value in (*bounds, *scale.ticks))
    assert len({figures(value) for value in scale.ticks}) == len(scale.ticks)


def test_of_many_points_the_means_are_drawn() -> None:
    found = thinned([(float(x), float(x % 2)) for x in range(3000)])
    assert len(found) == 300 and found[0] == (4.5, 0.5)
    assert thinned([(1.0, 2.0)]) == [(1.0, 2.0)] and thinned([]) == []
