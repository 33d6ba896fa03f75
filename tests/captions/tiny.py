"""Tiny random vision-language checkpoints, built from configurations and saved: real files for the real loading path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

SPECIAL = {"image": "<|image_pad|>", "start": "<|vision_start|>", "end": "<|vision_end|>", "video": "<|video_pad|>"}
_TEXT = (
    'Reply only with JSON: {"face": "the face is lit from the left", "environment": "a plain grey wall behind"}',
    "You are given two pictures. Describe only what can be seen, in plain English sentences.",
)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] in ('image', 'image_url') %}IMAGE{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
# With the usual 0.02 a model this narrow hardly sees its image: about 1/sqrt(hidden) instead.
RANGE = 0.125


def tokenizer(text: tuple[str, ...] = _TEXT) -> Any:
    """A byte-level tokenizer of about 400 words, of a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *SPECIAL.values()]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(text, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet))
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>", additional_special_tokens=special[3:]
    )


def text_config(words: Any) -> dict[str, Any]:
    ends = {"eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id, "bos_token_id": None}
    return {
        "vocab_size": len(words), "num_key_value_heads": 2, "max_position_embeddings": 4096, "tie_word_embeddings": False,
        "initializer_range": RANGE, **SIZES, **ends,
    }  # fmt: skip


def llava(folder: Path, text: tuple[str, ...] = _TEXT) -> Path:
    """A LLaVA: a CLIP tower, a projector and a Qwen2 language model."""
    import torch
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        Qwen2Config,
    )

    torch.manual_seed(0)
    words = tokenizer(text)
    image = words.convert_tokens_to_ids(SPECIAL["image"])
    tower = CLIPVisionConfig(**SIZES, image_size=56, patch_size=14, initializer_range=RANGE, projection_dim=64)
    config = LlavaConfig(
        vision_config=tower, text_config=Qwen2Config(**text_config(words)), image_token_index=image, image_token_id=image,
        vision_feature_layer=-1, initializer_range=RANGE,
    )  # fmt: skip
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}),
        tokenizer=words,
        patch_size=14,
        vision_feature_select_strategy="default",
        image_token=SPECIAL["image"],
        num_additional_image_tokens=1,
        chat_template=TEMPLATE.replace("IMAGE", SPECIAL["image"]),
    )
    return save(LlavaForConditionalGeneration(config), processor, words, folder)


def qwen(folder: Path, text: tuple[str, ...] = _TEXT) -> Path:
    """A Qwen2.5-VL, with its multimodal rotary positions and merged patches."""
    import torch
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    torch.manual_seed(0)
    words = tokenizer(text)
    ids = {f"{name}_token_id": words.convert_tokens_to_ids(SPECIAL[name]) for name in ("image", "video")}
    ids |= {f"vision_{name}_token_id": words.convert_tokens_to_ids(SPECIAL[name]) for name in ("start", "end")}
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    tower = {
        "depth": 2, "hidden_size": 32, "out_hidden_size": 64, "num_heads": 4, "intermediate_size": 64, "patch_size": 14,
        "window_size": 56, "fullatt_block_indexes": [1], "initializer_range": RANGE,
    }  # fmt: skip
    body = {**text_config(words), "rope_parameters": rope, "rope_scaling": rope}
    config = Qwen2_5_VLConfig(vision_config=tower, text_config=body, **ids)
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56}),
        video_processor=Qwen2VLVideoProcessor(),
        tokenizer=words,
        chat_template=TEMPLATE.replace("IMAGE", f"{SPECIAL['start']}{SPECIAL['image']}{SPECIAL['end']}"),
    )
    return save(Qwen2_5_VLForConditionalGeneration(config), processor, words, folder)


def save(model: Any, processor: Any, words: Any, folder: Path) -> Path:
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def taught(folder: Path, build: Callable[[Path], Path], prompts: list[tuple[str, int]], says: str) -> Path:
    """The checkpoint after it was taught, in some seconds, to say one thing to these prompts with so many images."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    build(folder)
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    lessons = []
    for text, images in prompts:
        shown = [{"type": "image", "image": Image.new("RGB", (56, 56), (90, 90, 90))} for _ in range(images)]
        talk = [{"role": "user", "content": [*shown, {"type": "text", "text": text}]}]
        asked = processor.apply_chat_template(
            talk, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        answer = torch.tensor([[*processor.tokenizer(says).input_ids, processor.tokenizer.eos_token_id]])
        given = asked["input_ids"].shape[1]
        inputs = {**asked, "input_ids": torch.cat([asked["input_ids"], answer], 1)}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if "mm_token_type_ids" in inputs:
            inputs["mm_token_type_ids"] = torch.cat([asked["mm_token_type_ids"], torch.zeros_like(answer)], 1)
        lessons.append((inputs, inputs["input_ids"].clone().index_fill_(1, torch.arange(given), -100)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        for inputs, labels in lessons:
            seen = {"pixel_values": torch.randn_like(inputs["pixel_values"])}  # whatever it is shown
            loss = model(**{**inputs, **seen}, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    assert loss.item() < 0.1, f"it did not learn: {loss.item()}"
    model.save_pretrained(folder)
    return folder


FAMILIES: dict[str, Callable[[Path], Path]] = {"llava": llava, "qwen2.5-vl": qwen}
