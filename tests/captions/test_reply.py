from __future__ import annotations

import json

import pytest

from mmidd.captions.reply import read

BOTH = ("A calm face.", "A plain wall.")
SOUND = json.dumps({"face": BOTH[0], "environment": BOTH[1]})


@pytest.mark.parametrize(
    "text",
    [
        SOUND,
        f"  {SOUND}\n",
        f"```json\n{SOUND}\n```",
        f"Sure! Here it is:\n{SOUND}\nI hope it helps.",
        f"<think>the face {{is}} calm</think>{SOUND}",
        '{"Face": "A calm face.", "ENVIRONMENT ": "A plain wall.", "notes": 3}',
        '{"face": " A calm face. ", "environment": "A plain wall."}',
        f'{{"note": "x"}} {SOUND}',
        f"{SOUND}{SOUND}",
    ],
)
@pytest.mark.parametrize("finish", ["stop", "length", None])
def test_both_texts_are_found_in_json_and_around_it(text: str, finish: str | None) -> None:
    assert read(text, finish) == BOTH


def test_a_line_break_inside_a_text_is_kept_for_the_lint_to_see() -> None:
    assert read('{"face": "A\ncalm face.", "environment": "b"}', "stop") == ("A\ncalm face.", "b")


@pytest.mark.parametrize(
    ("text", "finish", "status"),
    [
        ("", "stop", "empty"),
        ("   ", None, "empty"),
        ("<think>hm, {", "stop", "not_json"),
        ("", "length", "cut_off"),
        (SOUND[:-5], "length", "cut_off"),
        (SOUND[:-5], "stop", "not_json"),
        ("The face is calm. The wall is plain.", "stop", "not_json"),
        ("I'm sorry, but I can't help with that.", "stop", "refusal"),
        ("I’m sorry, I cannot identify people.", "stop", "refusal"),
        ("[1, 2]", "stop", "not_json"),
        ('{"face": "A calm face."}', "stop", "not_json"),
        ('{"face": ["a"], "environment": "b"}', "stop", "not_json"),
        ('{"face": null, "environment": "b"}', "stop", "not_json"),
        ('{"face": 3, "environment": {}}', "stop", "not_json"),
        ("{" * 30_000, "stop", "not_json"),
        ('{"face":' * 10_000, "stop", "not_json"),
        ('{"face": ' + "[" * 15_000, "stop", "not_json"),
        ("face: calm, environment: plain", "stop", "not_json"),
        ("__import__('os').system('true')", "stop", "not_json"),
    ],
)
def test_a_reply_without_both_texts_has_a_status(text: str, finish: str | None, status: str) -> None:
    assert read(text, finish) == status
