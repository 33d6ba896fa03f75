"""The parts of an explaining detector: answer tokens, soft tokens, written replies."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from captions.tiny import tokenizer
from mmidd.detectors.backbones.tiny_mllm import tiny_llava
from mmidd.detectors.explain import prompts
from mmidd.detectors.explain.answers import answers, ids_of
from mmidd.detectors.explain.options import ExplainOptions
from mmidd.detectors.explain.soft import Placed, Projector
from pydantic import ValidationError
from torch import nn

from mmidd.errors import UsageError
from mmidd.explanations.reply import read


def test_words_that_a_tokenizer_splits_are_named_with_their_parts_and_a_way_out() -> None:
    with pytest.raises(UsageError, match=r"not one token each .*'f' \+ .*words=\[yes,no\]"):
        answers(tokenizer(), ("real", "fake"))


def test_the_odds_are_of_all_spellings_of_a_word() -> None:
    _, processor = tiny_llava()
    found = answers(processor.tokenizer, ("real", "fake"))
    logits = torch.full((2, len(processor.tokenizer)), -9.0)
    logits[0, list(found.fake)] = 2.0
    logits[1, list(found.real)] = 2.0
    odds = found.odds(logits)
    assert odds[0] > 5 and odds[1] < -5


def test_the_ids_before_an_answer_are_those_of_a_written_reply() -> None:
    tokenizer = tiny_llava()[1].tokenizer
    found = answers(tokenizer, ("real", "fake"))
    written = ids_of(tokenizer, prompts.written("the skin looks blended", found.between + "fake"))
    before = found.behind(tokenizer, "<think>the skin looks blended</think>")
    assert written[: len(before)] == before and written[len(before)] in found.fake
    apart = (*ids_of(tokenizer, "<think>the skin looks blended</think>"), *found.prefix)
    assert apart != before, "this tokenizer no longer joins tags: the test proves nothing"


@pytest.mark.parametrize("words", [("real", "Real"), ("a b", "c"), ("", "fake"), ("real",)])
def test_words_that_are_not_two_different_words_are_refused(words: Any) -> None:
    with pytest.raises(ValidationError):
        ExplainOptions(words=words)


def test_soft_tokens_stand_where_their_token_does_row_by_row_and_nowhere_else() -> None:
    table = nn.Embedding(10, 4)
    placed = Placed(table, 77)  # no word of the table
    ids = torch.tensor([[1, 77, 77, 2], [77, 3, 77, 4]])
    soft = torch.arange(16.0).view(2, 2, 4)
    with placed.shown(soft):
        found = table(ids)
    assert torch.equal(found[0, 1:3], soft[0]) and torch.equal(found[1, [0, 2]], soft[1])
    assert torch.equal(found[0, 0], table.weight[1]) and torch.equal(found[1, 3], table.weight[4])
    plain = table(torch.tensor([[1, 2]]))
    assert torch.equal(plain, table.weight[[1, 2]][None])


def test_a_special_token_without_its_features_is_an_error_and_no_silence() -> None:
    table = nn.Embedding(10, 4)
    placed = Placed(table, 77)
    with pytest.raises(RuntimeError, match="features"):
        table(torch.tensor([[77]]))
    with placed.shown(torch.zeros(2, 2, 4)), pytest.raises(RuntimeError, match="features"):
        table(torch.tensor([[77]]))


def test_gradients_reach_the_features_through_the_hook() -> None:
    table, projector = nn.Embedding(10, 4).requires_grad_(False), Projector(5, 4, 2)
    placed = Placed(table, 77)
    with placed.shown(projector(torch.rand(1, 5))):
        table(torch.tensor([[77, 1, 77]])).square().sum().backward()
    assert all(each.grad is not None and bool(each.grad.any()) for each in projector.parameters())


@pytest.mark.parametrize("word", ["real", "fake"])
@pytest.mark.parametrize("chain", prompts.LOOKS)
def test_written_replies_have_the_form_that_is_asked_for(chain: str, word: str) -> None:
    found = read(prompts.written(chain, word), ("real", "fake"))
    assert found.formed and found.answer == ("real", "fake").index(word)


def test_the_question_names_both_words_and_the_form_and_holds_a_place_for_the_specialist() -> None:
    text = prompts.question(("live", "spoof"), 3)
    assert text.count(prompts.SPECIALIST) == 3 and "live" in text and "<think>" in text and "<answer>" in text
    assert prompts.SPECIALIST not in prompts.question(("live", "spoof"), 0)
