"""The CLIP rank: exact on embeddings that are known, near chance with a random CLIP, errors that say the way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mmidd.audit.rank import OTHERS, load, rank, rank_test
from mmidd.errors import MissingWeights, WrongWeights

from .conftest import picture


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float64)


def test_right_captions_rank_first_and_shuffled_ones_by_chance() -> None:
    chance = np.random.default_rng(0)
    vectors = _unit(chance.normal(size=(200, 32)))
    texts, zeros = [f"caption {n}" for n in range(200)], np.zeros(200, np.int64)
    right = rank("face", vectors, vectors, texts, zeros, np.arange(200), 0)
    assert right is not None and (right.median_rank, right.first, right.won) == (1, 200, 1)
    wrong = rank("face", vectors, vectors[chance.permutation(200)], texts, zeros, np.arange(200), 0)
    assert wrong is not None and wrong.low <= 0.5 <= wrong.high


def test_others_are_of_the_same_dataset_another_group_and_another_wording() -> None:
    vectors = _unit(np.random.default_rng(0).normal(size=(60, 8)))
    dataset, groups = np.repeat([0, 1], 30), np.arange(60)
    texts = [f"caption {n}" for n in range(60)]
    assert rank("face", vectors, vectors, texts, dataset, groups, 0) is not None
    assert rank("face", vectors, vectors, texts, np.arange(60), groups, 0) is None
    assert rank("face", vectors, vectors, texts, dataset, np.zeros(60, np.int64), 0) is None
    assert rank("face", vectors, vectors, ["the same"] * 60, dataset, groups, 0) is None


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of random weights, built from a configuration and saved."""
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast

    torch.manual_seed(0)
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|start|>", "<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    raw.train_from_iterator(["a face in front of a wall"], trainer)
    raw.post_processor = processors.TemplateProcessing(
        single="<|start|> $A <|end|>", special_tokens=[("<|start|>", 0), ("<|end|>", 1)]
    )
    words = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<|start|>", eos_token="<|end|>", pad_token="<|end|>", model_max_length=77
    )
    common = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"vocab_size": len(words), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = CLIPConfig(
        text_config={**common, **ends, "initializer_range": 0.18},
        vision_config={**common, "image_size": 32, "patch_size": 8, "initializer_range": 0.18},
        projection_dim=16,
    )
    folder = tmp_path_factory.mktemp("clip") / "tiny-clip"
    CLIPModel(config).save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(image_processor=pictures, tokenizer=words).save_pretrained(folder)
    return folder


def test_a_random_clip_is_near_chance_and_that_is_a_finding(tiny_clip: Path) -> None:
    images = [picture(f"{n}.png") for n in range(80)] + [b"no image", b""]
    texts: dict[str, list[str | None]] = {"face": [f"a face number {n}" for n in range(82)], "environment": [None] * 82}
    part = rank_test("tiny", load(str(tiny_clip)), images, texts, np.zeros(82, np.int64), np.arange(82), 0)
    face = part.figures["face"]
    assert face["images"] == 80 and part.figures["unreadable_images"] == 2
    assert 0.35 < face["won"] < 0.65 and 5 < face["median_rank"] < OTHERS + 1 - 4
    assert [finding.check for finding in part.findings] == ["CLIP rank"]
    assert [each.check for each in part.untested] == ["CLIP rank of environment"]


def test_an_image_and_a_text_move_its_embedding(tiny_clip: Path) -> None:
    embed = load(str(tiny_clip))
    pictures, captions = embed([picture("a"), picture("b")], ["one wall", "two faces"])
    assert np.allclose(np.linalg.norm(np.vstack([pictures, captions]), axis=1), 1)
    assert np.abs(pictures[0] - pictures[1]).max() > 1e-3 and np.abs(captions[0] - captions[1]).max() > 1e-3


def test_a_model_that_is_none_is_refused(tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingWeights, match="no CLIP model"):
        load(str(tmp_path))
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_clip / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"junk")
    with pytest.raises((WrongWeights, MissingWeights)):
        load(str(tmp_path))
