"""A random LLaVA of a few layers with its processor, made without files: what preset `tiny` of an explaining detector is."""

from __future__ import annotations

from typing import Any

IMAGE, END, PAD, START = "<|image|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>"
_WORDS = (
    "<think>the eyes and the mouth look natural and consistent</think><answer>real</answer>",
    "<think>the skin and the edges of the face look blended and inconsistent</think><answer>fake</answer>",
    "<think>the nose and the light look like a living person</think><answer>live</answer>",
    "<think>the paper and the screen look like a recording of a person</think><answer>spoof</answer>",
    "Look at the face. Is it real or fake? Is it live or spoof? Give your reasons first, then the answer, in this form:",
    "I look at the hair, the light, the teeth, the texture, the chin, the cheeks and the background. It looks real.",
    "so it is real", "so it is fake", "so it is live", "so it is spoof", " real", " fake", " live", " spoof",
)  # fmt: skip
_TEMPLATE = (
    "{% for m in messages %}" + START + "{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if 'image' in c['type'] %}" + IMAGE + "{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endif %}" + END + "\n{% endfor %}{% if add_generation_prompt %}" + START + "assistant\n{% endif %}"
)
_SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
_RANGE = 0.125
"""About 1 / sqrt(hidden): with the usual 0.02 a model this narrow hardly sees its image."""
_SIDE = 56


def tiny_llava() -> tuple[Any, Any]:
    """The model, drawn from torch's chance, and its processor."""
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        Qwen2Config,
    )

    words = _tokenizer()
    image = words.convert_tokens_to_ids(IMAGE)
    ends = {"eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id, "bos_token_id": None}
    text = Qwen2Config(
        vocab_size=len(words), num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=False,
        initializer_range=_RANGE, **_SIZES, **ends,
    )  # fmt: skip
    tower = CLIPVisionConfig(**_SIZES, image_size=_SIDE, patch_size=14, initializer_range=_RANGE, projection_dim=64)
    config = LlavaConfig(
        vision_config=tower, text_config=text, image_token_index=image, image_token_id=image, vision_feature_layer=-1,
        initializer_range=_RANGE,
    )  # fmt: skip
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": _SIDE}, crop_size={"height": _SIDE, "width": _SIDE}),
        tokenizer=words, patch_size=14, vision_feature_select_strategy="default", image_token=IMAGE,
        num_additional_image_tokens=1, chat_template=_TEMPLATE,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    return model, processor


def _tokenizer() -> Any:
    """Byte-level, of about 500 words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = [PAD, START, END, IMAGE]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    raw.train_from_iterator(_WORDS * 2, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=END, pad_token=PAD, padding_side="left", extra_special_tokens=[IMAGE]
    )
