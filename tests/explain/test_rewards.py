"""Each reward against replies made by hand, degenerate ones among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mmidd.detectors.explain.rewards.chosen import chosen
from mmidd.detectors.explain.rewards.protocol import Asked, RewardMaker
from mmidd.detectors.explain.rewards.registry import REWARDS

from mmidd.errors import MmiddError, UsageError
from mmidd.explanations.reply import read
from mmidd.plugins import plugins

WORDS = ("real", "fake")
BY_TEXT = ("class", "format", "consistent-rule", "consistent-lexicon", "consistent-self")


@dataclass(frozen=True)
class Options:
    rewards: dict[str, float]
    words: tuple[str, str] = WORDS
    judge_url: str | None = None
    judge_model: str | None = None


def written(chain: str, answer: str) -> str:
    return f"<think>{chain}</think><answer>{answer}</answer>"


def asked(texts: Sequence[str], labels: Sequence[int], **more: Any) -> Asked:
    return Asked(texts, [read(text, WORDS) for text in texts], labels, WORDS, **more)


def alone(chains: Sequence[str]) -> list[float | None]:
    """A reader of chains that goes by one word."""
    return [0.9 if "seam" in chain else 0.5 if "?" in chain else 0.1 for chain in chains]


CASES = {
    # the reply to a fake: what class, format, rule, lexicon and self give
    "argues for its answer": (written("A seam at the chin. It looks fake.", "fake"), (1, 1, 1, 1, 1)),
    "argues against its answer": (written("The skin is natural. It looks real.", "fake"), (1, 1, 0, 0, 0)),
    "wrong, and argues for it": (written("The skin is natural. It looks real.", "real"), (0, 1, 1, 1, 1)),
    "a negation": (written("No sign of blending, so it is real.", "real"), (0, 1, 1, 1, 1)),
    "a negation that is not heeded": (written("No sign of blending, so it is real.", "fake"), (1, 1, 0, 0, 0)),
    "states one thing and argues the other": (written("Natural, consistent. It is fake.", "fake"), (1, 1, 1, 0, 0)),
    "names no class": (written("A seam runs along the chin.", "fake"), (1, 1, 0, 1, 1)),
    "says nothing": (written("I look at the eyes.", "fake"), (1, 1, 0, 0, 0)),
    "no opinion alone": (written("it is fake, is it? It is fake.", "fake"), (1, 1, 1, 1, 0)),
    "a question": (written("is it fake?", "fake"), (1, 1, 0, 0, 0)),
    "leaves it open": (written("I cannot rule out that it is fake.", "fake"), (1, 1, 0, 0, 0)),
    "an empty chain": (written("", "fake"), (1, 0, 0, 0, 0)),
    "blanks alone": (written(" \n ", "fake"), (1, 0, 0, 0, 0)),
    "no tags of reasons": ("It looks fake, a seam. <answer>fake</answer>", (1, 0, 1, 1, 1)),
    "both answers at once": (written("It looks fake, a seam.", "real or fake"), (0, 0, 0, 0, 0)),
    "two answers": (written("It looks fake.", "fake") + "<answer>real</answer>", (0, 0, 0, 0, 0)),
    "no answer": ("<think>It looks fake, a seam.</think>", (0, 0, 0, 0, 0)),
    "another answer": (written("It looks fake, a seam.", "perhaps"), (0, 0, 0, 0, 0)),
    "tags within the chain": (written("It looks <answer>real</answer> fake, a seam.", "fake"), (0, 0, 0, 0, 0)),
    "a second beginning": (written("<think>A seam. It looks fake.", "fake"), (1, 0, 1, 1, 1)),
    "something behind": (written("A seam. It looks fake.", "fake") + " I am sure.", (1, 0, 1, 1, 1)),
    "empty": ("", (0, 0, 0, 0, 0)),
    "unicode": (written("A seam \U0001f600 at the chin\u3002It\u2019s \uff26\uff21\uff2b\uff25.", "Fake."), (1, 1, 1, 1, 1)),
    "another language": (written("Das Gesicht ist gef\u00e4lscht.", "fake"), (1, 1, 0, 0, 0)),
    "very long": (written("The seam is fake. " * 1000 + "It looks fake.", "fake"), (1, 1, 1, 1, 1)),
    "longer than is read": (written("The seam. " * 5000, "fake"), (0, 0, 0, 0, 0)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_reply_is_worth(case: str) -> None:
    text, expected = CASES[case]
    found = chosen(Options(dict.fromkeys(BY_TEXT, 1.0))).judged(asked([text], [1], alone=alone))
    assert tuple(found.values[name][0] for name in BY_TEXT) == expected


def test_answers_that_never_look_get_the_share_of_their_class_and_the_whole_of_consistency() -> None:
    """What consistency rewards alone would teach, and why `class` goes with them."""
    replies = [written("A seam. It looks fake.", "fake")] * 4
    found = chosen(Options(dict.fromkeys(BY_TEXT, 1.0))).judged(asked(replies, [0, 1, 0, 1], alone=alone)).values
    assert found["class"] == [0, 1, 0, 1]
    assert all(found[name] == [1, 1, 1, 1] for name in BY_TEXT if name.startswith("consistent"))


def test_what_comes_to_nothing_is_told_and_weights_add_up() -> None:
    replies = [written("Hm.", "fake"), written("It looks fake.", "fake"), ""]
    found = chosen(Options({"class": 1.0, "consistent-rule": 0.5, "consistent-lexicon": 0.25})).judged(
        asked(replies, [1] * 3)
    )
    assert found.total == [1.0, 1.75, 0.0]
    assert sorted(found.counts.values()) == [1, 1] and all("chain" in why for why in found.counts)


def test_the_model_is_asked_once_for_each_different_chain() -> None:
    heard: list[str] = []

    def counting(chains: Sequence[str]) -> list[float | None]:
        heard.extend(chains)
        return alone(chains)

    replies = [written("A seam.", "fake"), written("A seam.", "real"), written("", "fake"), ""]
    found = chosen(Options({"consistent-self": 1.0})).judged(asked(replies, [1] * 4, alone=counting))
    assert found.total == [1, 0, 0, 0] and heard == ["A seam."]


@pytest.mark.parametrize(
    ("rewards", "told"),
    [
        ({}, "none has a weight"),
        ({"class": 0.0}, "none has a weight"),
        ({"clas": 1.0}, "did you mean 'class'"),
        ({"zzz": 1.0}, "there are: class, format"),
        ({"judge": 1.0}, "judge_url="),
    ],
)
def test_rewards_that_cannot_be_are_refused(rewards: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        chosen(Options(rewards))


def test_another_package_brings_one_and_what_it_gives_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_short.py").write_text(
        "from mmidd.detectors.explain.rewards.protocol import RewardMaker\n"
        "SHORT = RewardMaker(lambda options: lambda asked: [1 / (1 + len(each)) for each in asked.texts])\n"
        "WRONG = RewardMaker(lambda options: lambda asked: [2.0 for each in asked.texts])\n"
        "BREAKS = RewardMaker(lambda options: lambda asked: 1 / 0)\n"
        "NOTHING = RewardMaker(lambda options: lambda asked: None)\n"
        "WORDS = RewardMaker(lambda options: lambda asked: ['much' for each in asked.texts])\n"
        "LATE = RewardMaker(lambda options: lambda asked: (1 / 0 for each in asked.texts))\n"
        "SPOILS = RewardMaker(lambda options: lambda asked: asked.replies.clear() or [])\n"
    )
    about = tmp_path / "acme_short-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-short\nVersion: 1\n")
    (about / "entry_points.txt").write_text(
        "[mmidd.rewards]\nshort = acme_short:SHORT\nwrong = acme_short:WRONG\nbreaks = acme_short:BREAKS\n"
        "nothing = acme_short:NOTHING\nwords = acme_short:WORDS\nlate = acme_short:LATE\nspoils = acme_short:SPOILS\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert chosen(Options({"short": 2.0})).judged(asked(["", "abc"], [0, 1])).total == [2.0, 0.5]
    assert "short" in [row.name for row in plugins().rows if row.kind == "reward"]
    whose = dict.fromkeys(("breaks", "nothing", "words", "late"), "acme-short 1")
    for name, told in {"wrong": "0..1", "spoils": "0..1", **whose}.items():
        with pytest.raises(MmiddError, match=told):
            chosen(Options({name: 1.0})).judged(asked(["a"], [0]))


@pytest.mark.parametrize("name", REWARDS.names())
def test_each_says_what_it_does_not_prove(name: str) -> None:
    import sys

    row = REWARDS.own(name)
    assert row is not None and isinstance(REWARDS.load(name, RewardMaker), RewardMaker)
    assert "Proves" in (sys.modules[row.module].__doc__ or "")


def test_a_reward_without_a_model_to_ask_says_so() -> None:
    with pytest.raises(UsageError, match="consistent-self"):
        chosen(Options({"consistent-self": 1.0})).judged(asked([written("a", "real")], [0]))
