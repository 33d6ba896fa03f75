"""Tiny random checkpoints of the families that an explaining detector runs on, saved as real ones are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from captions.tiny import RANGE, SIZES, SPECIAL, TEMPLATE, llava, qwen, save, text_config, tokenizer

TEXT = (
    "<think>the eyes look natural</think><answer>real</answer>",
    "<think>the skin looks blended</think><answer>fake</answer>",
    "Is it real or fake? Give your reasons, then the answer: real, fake.",
) * 3  # fmt: skip
_ROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "mrope_interleaved": True, "rope_theta": 10000.0}


def qwen3(folder: Path) -> Path:
    """A Qwen3-VL, which puts what its tower sees into several layers."""
    import torch
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    torch.manual_seed(0)
    words = tokenizer(TEXT)
    ids = {f"{name}_token_id": words.convert_tokens_to_ids(SPECIAL[name]) for name in ("image", "video")}
    ids |= {f"vision_{name}_token_id": words.convert_tokens_to_ids(SPECIAL[name]) for name in ("start", "end")}
    tower = {
        "depth": 2, "hidden_size": 32, "out_hidden_size": 64, "num_heads": 4, "intermediate_size": 64, "patch_size": 14,
        "num_position_embeddings": 64, "deepstack_visual_indexes": [0], "initializer_range": RANGE,
    }  # fmt: skip
    body = {**text_config(words), "rope_parameters": _ROPE, "head_dim": 16}
    processor = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56}, patch_size=14),
        video_processor=Qwen3VLVideoProcessor(),
        tokenizer=words,
        chat_template=TEMPLATE.replace("IMAGE", f"{SPECIAL['start']}{SPECIAL['image']}{SPECIAL['end']}"),
    )
    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(vision_config=tower, text_config=body, **ids))
    return save(model, processor, words, folder)


def internvl(folder: Path) -> Path:
    """An InternVL with a Qwen2 language model."""
    import torch
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
        PreTrainedTokenizerFast,
        Qwen2Config,
    )

    torch.manual_seed(0)
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    plain = tokenizer(TEXT)
    words = PreTrainedTokenizerFast(
        tokenizer_object=plain._tokenizer, eos_token=plain.eos_token, pad_token=plain.pad_token,
        extra_special_tokens={**named, "video_token": SPECIAL["video"]},
    )  # fmt: skip
    image = words.convert_tokens_to_ids("<IMG_CONTEXT>")
    tower = {**SIZES, "image_size": [56, 56], "patch_size": [14, 14], "initializer_range": RANGE}
    config = InternVLConfig(
        vision_config=tower, text_config=Qwen2Config(**text_config(words)), image_token_id=image, image_seq_length=4
    )
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size={"height": 56, "width": 56}, crop_to_patches=False),
        video_processor=InternVLVideoProcessor(),
        tokenizer=words,
        image_seq_length=4,
        chat_template=TEMPLATE.replace("IMAGE", "<IMG_CONTEXT>"),
    )
    return save(InternVLForConditionalGeneration(config), processor, words, folder)


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "llava": lambda folder: llava(folder, TEXT),
    "qwen2.5-vl": lambda folder: qwen(folder, TEXT),
    "qwen3-vl": qwen3,
    "internvl": internvl,
}
