"""Text towers and their tokenizers: what is read comes out as it was saved, words that are missing are counted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from mmidd.detectors.backbones import CLIPS, HashedWords, TextTower, Tokens, clip_pair, text_tower

from mmidd.errors import MissingWeights, UsageError, WrongWeights

TEXTS = ["a real face", "a forged face that somebody made, with hair"]
WORDS = ["a", "real", "face", "forged", "that", "made", "with", "hair", ","]


def _save_tokenizer(folder: Path, ends: tuple[str, str], **specials: str) -> None:
    """A word-level tokenizer of WORDS with the two ends around a text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = list(dict.fromkeys([*specials.values(), *ends]))
    found = Tokenizer(models.WordLevel({word: place for place, word in enumerate([*names, *WORDS])}, specials["unk_token"]))
    found.normalizer, found.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    start, end = ends
    found.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(each, found.token_to_id(each)) for each in dict.fromkeys(ends)]
    )
    PreTrainedTokenizerFast(tokenizer_object=found, **specials).save_pretrained(folder)


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    BertModel(BertConfig(**sizes, vocab_size=40, max_position_embeddings=12)).save_pretrained(folder)
    _save_tokenizer(folder, ("[CLS]", "[SEP]"), pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")
    return folder


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import CLIPConfig, CLIPModel

    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    config = json.loads(json.dumps(CLIPS["tiny"]))
    config["text_config"] |= {"vocab_size": 40, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    CLIPModel(CLIPConfig(**config)).save_pretrained(folder)
    ends = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
    _save_tokenizer(
        folder, ("<|startoftext|>", "<|endoftext|>"), **ends, unk_token="<|endoftext|>", pad_token="<|endoftext|>"
    )
    return folder


def _full(name: str) -> int:
    with torch.device("meta"):
        return sum(each.numel() for each in text_tower(name).parameters())


def test_full_size_text_towers_are_built_on_meta_without_files() -> None:
    assert _full("clip:openai/clip-vit-large-patch14") == 123_060_480 + 589_824
    with torch.device("meta"):
        pair = clip_pair("clip:openai/clip-vit-large-patch14")
    both = sum(each.numel() for tower in (pair.image, pair.text) for each in tower.parameters())
    assert both + pair.logit_scale.numel() == 427_616_513
    assert [len(list(tower.attention_linears())) for tower in (pair.image, pair.text)] == [96, 48]


@pytest.mark.parametrize("name", ["clip:tiny", "text:tiny"])
def test_a_text_is_the_same_vector_alone_and_among_longer_ones(name: str) -> None:
    torch.manual_seed(0)
    tower = text_tower(name, "random").eval()
    together, alone = tower(tower.tokenizer(TEXTS)), tower(tower.tokenizer(TEXTS[:1]))
    assert together.shape == (2, tower.width) and torch.allclose(together[:1], alone, atol=1e-5)
    assert tower.source == {"weights": "random"} and not torch.allclose(together[0], together[1], atol=1e-2)


@pytest.mark.parametrize("name", ["clip:tiny", "text:tiny"])
def test_a_text_tower_computed_again_gives_the_same_gradients(name: str) -> None:
    torch.manual_seed(0)
    tower = text_tower(name, "random").train()
    tokens = tower.tokenizer(TEXTS)

    def gradients() -> list[torch.Tensor]:
        torch.manual_seed(1)  # BERT's dropout
        tower.zero_grad()
        tower(tokens).square().sum().backward()
        return [each.grad.clone() for each in tower.parameters() if each.grad is not None]

    plain = gradients()
    tower.checkpointing()
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(plain, gradients(), strict=True)) and plain


def test_attention_linears_of_a_bert_are_those_of_every_layer() -> None:
    tower = text_tower("text:tiny", "random")
    assert [name for _, name in tower.attention_linears()] == ["query", "key", "value", "dense"] * 2
    assert all(isinstance(getattr(holder, name), torch.nn.Linear) for holder, name in tower.attention_linears())


def test_hashed_words_are_clips_in_shape_the_same_everywhere_and_cut_where_they_must_be() -> None:
    tokens = HashedWords()(["A face, real.", "a FACE, real.", " ".join(["word"] * 80), ""])
    assert tokens.ids.shape == tokens.mask.shape == (4, 77) and tokens.ids.dtype == torch.int64
    assert torch.equal(tokens.ids[0], tokens.ids[1]) and tokens.cut == 1 and tokens.unknown == 0
    assert (tokens.ids[:, 0] == 49406).all() and tokens.mask.sum(1).tolist() == [7, 7, 77, 2]
    assert tokens.ids[0, :7].tolist() == [49406, 33687, 49048, 18659, 37638, 28494, 49407]  # in every process
    assert (tokens.ids[0, 6:] == 49407).all() and int(tokens.ids[2, 76]) == 49407
    assert HashedWords()([]).ids.shape == (0, 1)


def _mean_by_hand(tower: TextTower, tokens: Tokens) -> torch.Tensor:
    found = tower.inner(input_ids=tokens.ids, attention_mask=tokens.mask).last_hidden_state
    return torch.stack([row[mask.bool()].mean(0) for row, mask in zip(found, tokens.mask, strict=True)])


@pytest.mark.parametrize("prefix", ["", "text:"])
def test_a_bert_of_a_folder_is_the_mean_over_its_tokens(bert_folder: Path, prefix: str) -> None:
    from transformers import BertModel

    tower = text_tower(f"{prefix}{bert_folder}")
    tokens = tower.tokenizer(TEXTS)
    assert torch.allclose(tower(tokens), _mean_by_hand(tower, tokens), atol=1e-6)
    model = BertModel.from_pretrained(bert_folder).eval()
    expected = model(input_ids=tokens.ids, attention_mask=tokens.mask).last_hidden_state
    assert torch.equal(tower.inner(input_ids=tokens.ids, attention_mask=tokens.mask).last_hidden_state, expected)
    assert "tokenizer.json" in tower.source["files"] and "pooler" not in dict(tower.inner.named_children())


def test_a_clips_text_tower_is_that_of_the_folder_at_the_end_of_the_text(clip_folder: Path) -> None:
    from transformers import CLIPModel

    pair = clip_pair(str(clip_folder))
    tokens = pair.text.tokenizer(TEXTS)
    model = CLIPModel.from_pretrained(clip_folder).eval()
    found = model.text_model(input_ids=tokens.ids, attention_mask=tokens.mask)
    assert torch.equal(pair.text(tokens), found.pooler_output)
    assert torch.equal(pair.text.projection(pair.text(tokens)), model.text_projection(found.pooler_output))
    assert pair.image.source == pair.text.source == text_tower(str(clip_folder)).source
    assert {"model.safetensors", "tokenizer.json"} <= set(pair.text.source["files"])


@pytest.mark.parametrize("folder", ["bert_folder", "clip_folder"])
def test_words_that_the_tokenizer_has_not_are_counted_and_long_texts_too(
    folder: str, request: pytest.FixtureRequest
) -> None:
    tower = text_tower(str(request.getfixturevalue(folder)))
    assert tower.tokenizer(TEXTS).unknown == 1 and tower.tokenizer(TEXTS).cut == 0  # "somebody"
    longer = tower.tokenizer([" ".join(["face"] * 90), "a face of nobody known"])
    assert longer.unknown == 3 and longer.cut == 1 and longer.ids.shape[1] == (12 if folder == "bert_folder" else 77)
    assert tower(longer).isfinite().all()
    assert tower.tokenizer([]).ids.shape[0] == 0


def _without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _cut_off(folder: Path) -> None:
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text[: len(text) // 2])


def _of_another(folder: Path) -> None:
    document = json.loads((folder / "tokenizer.json").read_text())
    document["model"]["vocab"] |= {f"word{place}": 100 + place for place in range(60)}
    (folder / "tokenizer.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (_without_tokenizer, MissingWeights, "holds no tokenizer"),
        (_cut_off, WrongWeights, "does not load"),
        (_of_another, WrongWeights, "tokenizer has .* tokens, and its network takes 40"),
    ],
)
@pytest.mark.parametrize("folder", ["bert_folder", "clip_folder"])
def test_a_tokenizer_that_is_missing_damaged_or_anothers_is_told(
    folder: str, damage: Any, error: Any, words: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    shutil.copytree(request.getfixturevalue(folder), tmp_path / "bad")
    damage(tmp_path / "bad")
    with pytest.raises(error, match=words):
        text_tower(str(tmp_path / "bad"))


def test_a_text_backbone_of_another_kind_or_none_is_told(bert_folder: Path, tmp_path: Path) -> None:
    from mmidd.detectors.backbones import image_tower

    with pytest.raises(UsageError, match="there is no text backbone 'nowhere'"):
        text_tower("nowhere")
    with pytest.raises(UsageError, match="add weights=random"):
        text_tower("text:tiny")
    with pytest.raises(UsageError, match="names the model type 'bert'; image backbones are"):
        image_tower(str(bert_folder))
    shutil.copytree(bert_folder, tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(UsageError, match="names the model type 'gpt2'; text backbones are"):
        text_tower(str(tmp_path / "other"))
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))
    with pytest.raises(WrongWeights, match="of another size"):
        text_tower(str(tmp_path / "other"))


def test_a_random_text_network_of_a_folder_has_its_shape_and_hashed_words(bert_folder: Path) -> None:
    tower = text_tower(str(bert_folder), "random")
    tokens = tower.tokenizer(TEXTS)
    assert tower.source == {"weights": "random"} and int(tokens.ids.max()) < 40 and tower(tokens).shape == (2, 32)
