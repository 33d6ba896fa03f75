"""Texts for text towers: each once, alike where the tower reads the same, and tokenizers that lack the words."""

from __future__ import annotations

import pytest
import torch
from mmidd.detectors import texts
from mmidd.detectors.backbones import HashedWords, Tokens, text_tower

from mmidd.errors import WrongWeights


def test_which_rows_have_a_caption() -> None:
    assert texts.said(["a", "", " \n", "b"]).tolist() == [0, 3]
    assert texts.said([]).tolist() == []


def test_each_text_once_and_where_it_went() -> None:
    once, which = texts.distinct(["b", "a", "b", "c", "a"])
    assert once == ["b", "a", "c"] and [once[each] for each in which.tolist()] == ["b", "a", "b", "c", "a"]


def test_a_text_is_the_same_whatever_stands_beside_it() -> None:
    """Filling up to the longest of a batch tells nothing, and neither does a repetition."""
    torch.manual_seed(0)
    for name in ("clip:tiny", "text:tiny"):
        tower = text_tower(name, "random").eval()
        alone = texts.embedded(tower, ["a face"])
        beside = texts.embedded(tower, ["a face", "a much longer text about a street at night, with rain", "a face"])
        torch.testing.assert_close(beside[0], alone[0], rtol=0, atol=1e-6)
        assert torch.equal(beside[0], beside[2]) and beside.shape[1] == texts.width_of(tower)


def test_filling_makes_no_two_texts_the_same() -> None:
    ids, mask = torch.tensor([[1, 2, 2], [1, 2, 2], [1, 2, 2]]), torch.tensor([[1, 1, 0], [1, 1, 1], [1, 1, 0]])
    assert texts.same(Tokens(ids, mask)).tolist() == [[True, False, True], [False, True, False], [True, False, True]]


def _nothing(given: list[str]) -> Tokens:
    return Tokens(torch.ones(len(given), 2, dtype=torch.int64), torch.ones(len(given), 2, dtype=torch.int64))


def _unknown(given: list[str]) -> Tokens:
    found = HashedWords()(given)
    return Tokens(found.ids, found.mask, unknown=7)


@pytest.mark.parametrize(
    ("tokenizer", "said"), [(_nothing, "the same of different texts"), (_unknown, "does not know 7 of")]
)
def test_a_tokenizer_without_the_words_is_refused(tokenizer: object, said: str) -> None:
    texts.check_words("clip:tiny", HashedWords())
    with pytest.raises(WrongWeights, match=said):
        texts.check_words("text:foo", tokenizer)
