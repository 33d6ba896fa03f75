"""A vision-language model of Qwen3-VL-2B's shape with random weights, and a processor for it: nothing is downloaded."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_MOST_WORDS = 3_000


def text_shape(toy: bool) -> dict[str, Any]:
    if toy:
        sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
        return {**sizes, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 4096, "max_position_embeddings": 4096}
    sizes = {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16}
    return {**sizes, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936, "max_position_embeddings": 32_768}


def vision_shape(toy: bool) -> dict[str, Any]:
    if toy:
        sizes = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 64}
        return {**sizes, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    sizes = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "out_hidden_size": 2048}
    return {**sizes, "num_position_embeddings": 2304, "deepstack_visual_indexes": [5, 11, 17]}


def model(toy: bool, words: Any, device: str) -> Any:
    """The model in bfloat16 on the device, in evaluation mode. `words`: its tokenizer."""
    from transformers import AutoModelForImageTextToText, Qwen3VLConfig

    text, vision = text_shape(toy), vision_shape(toy)
    sections = [2, 3, 3] if toy else [24, 20, 20]
    rope = {"rope_type": "default", "mrope_section": sections, "mrope_interleaved": True, "rope_theta": 5_000_000.0}
    for shape in (text, vision):
        shape["initializer_range"] = 1 / math.sqrt(shape["hidden_size"])
    ids = {f"{name}_token_id": words.convert_tokens_to_ids(f"<|{name}_pad|>") for name in ("image", "video")}
    ids |= {f"vision_{name}_token_id": words.convert_tokens_to_ids(f"<|vision_{name}|>") for name in ("start", "end")}
    ends = {"eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id, "bos_token_id": None}
    config = Qwen3VLConfig(
        text_config={**text, **ends, "rope_parameters": rope, "tie_word_embeddings": True},
        vision_config=vision, tie_word_embeddings=True, **ids,
    )  # fmt: skip
    with torch.device(device):
        made = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    made.generation_config.eos_token_id, made.generation_config.pad_token_id = words.eos_token_id, words.pad_token_id
    return made.to(device).eval()


def processor(toy: bool, texts: Sequence[str]) -> Any:
    """What turns a talk into the model's inputs: every word of these texts is one token, as to one that read much."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    size = (
        {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
        if toy
        else {"shortest_edge": 256 * 256, "longest_edge": 4096 * 4096}
    )
    colours = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, patch_size=16, merge_size=2, temporal_patch_size=2, **colours),
        video_processor=Qwen3VLVideoProcessor(),
        tokenizer=tokenizer(text_shape(toy)["vocab_size"], texts),
        chat_template=_TEMPLATE,
    )


def tokenizer(size: int, texts: Sequence[str]) -> Any:
    """A byte-level tokenizer of exactly so many words, of which most are never met."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=_MOST_WORDS, min_frequency=1, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(texts, trainer)
    learnt = json.loads(raw.to_str())["model"]
    vocabulary: dict[str, int] = learnt["vocab"]
    vocabulary |= {f"w{number}": number for number in range(len(vocabulary), size)}
    filled = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(pair) for pair in learnt["merges"]]))
    filled.pre_tokenizer, filled.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    filled.add_special_tokens(list(SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=filled, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left",
        additional_special_tokens=list(SPECIAL[3:]),
    )  # fmt: skip


def save(made: Any, processed: Any, folder: Path) -> int:
    """Write a checkpoint as the Hub has them; its size in bytes."""
    made.save_pretrained(folder)
    processed.save_pretrained(folder)
    return sum(path.stat().st_size for path in folder.iterdir())
