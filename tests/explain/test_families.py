"""One network over the families of vision-language models: the same promises for each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmidd.detectors.explain.network import Explaining
from mmidd.detectors.explain.options import ExplainOptions
from mmidd.detectors.explain.replies import Replies, silent

from .families import FAMILIES

LABEL = torch.tensor([0, 1, 0, 1])
BASE = {"held": "float32", "side": 56, "lora_rank": 4, "lora_alpha": 8, "reply_tokens": 12}


def batch(count: int = 4) -> dict[str, Any]:
    drawn = torch.rand(count, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    return {"image": (drawn * 255).round() / 255, "label": LABEL[:count]}


@pytest.fixture(scope="module", params=FAMILIES)
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Explaining:
    folder = FAMILIES[request.param](tmp_path_factory.mktemp("mllm") / request.param)
    torch.manual_seed(3)
    return Explaining(ExplainOptions(backbone=str(folder), **BASE)).eval()


def test_both_words_are_one_token_and_the_odds_are_numbers_that_an_image_changes(network: Explaining) -> None:
    with torch.no_grad():
        odds = network.features(batch())["odds"]
    assert odds.shape == (4,) and bool(odds.isfinite().all()) and float(odds.std()) > 1e-4


def test_a_row_is_the_same_alone_and_beside_others(network: Explaining) -> None:
    with torch.no_grad():
        together, alone = network.features(batch())["odds"], network.features(batch(1))["odds"]
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-4)


def test_it_explains_and_scores_behind_its_reasons(network: Explaining) -> None:
    scores, said = network.explain(batch(2))
    assert scores.fake.shape == (2,) and len(said) == 2
    for each in said:
        assert (each.answer is None) == (each.wrong is not None) and 1 <= each.tokens <= 12
        assert each.direct is not None and 0 <= each.direct <= 1 and "<|" not in each.reply


def test_stage_1_reaches_all_that_is_trained_and_nothing_else(network: Explaining) -> None:
    network.train()
    try:
        network.options = network.options.model_copy(update={"format_share": 1.0})
        found = network.losses(network.features(batch()), batch(), {"rows": 4})
        torch.stack([*found.terms.values()]).sum().backward()
        reached = {name for name, each in network.named_parameters() if each.grad is not None}
        assert reached == {name for name, each in network.named_parameters() if each.requires_grad} and reached
        assert all("lora" in name for name in reached)
    finally:
        network.zero_grad(set_to_none=True)
        network.eval()


def test_repeated_rows_say_what_their_row_says(network: Explaining) -> None:
    with torch.no_grad():
        given = network.given(batch(2))
        once, thrice = network.odds(given), network.odds(given.repeated(3))
        one = network.odds(given.taken(torch.tensor([1])))
    torch.testing.assert_close(thrice, once.repeat_interleave(3), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(one, once[1:], rtol=1e-4, atol=1e-4)


def _said(*texts: str) -> Replies:
    none = torch.zeros(0)
    return Replies(texts, (1,) * len(texts), (False,) * len(texts), none, none)


def test_the_answer_behind_reasons_is_the_same_alone_and_beside_longer_ones(network: Explaining) -> None:
    texts = ("<think>the skin looks blended</think><answer>fake</answer>", "<answer>real", "the eyes " * 9)
    with torch.no_grad():
        given = network.given(batch(3))
        together = network._behind(given, _said(*texts))
        alone = [network._behind(given.taken(torch.tensor([place])), _said(texts[place])) for place in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


def test_a_reply_that_spells_a_special_token_is_text(network: Explaining) -> None:
    tokenizer = network.processor.tokenizer
    assert network.model.config.image_token_id in silent(network)
    for name in tokenizer.all_special_tokens:
        text = f"<think>the {name} looks natural</think><answer>real</answer>"
        with torch.no_grad():
            odds = network._behind(network.given(batch(1)), _said(text))
            alone = network.alone([f"the {name} looks natural"])
        assert bool(odds.isfinite().all()) and alone[0] is not None
