"""Vision-language models by name or folder: the model, its processor, and where they are from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from mmidd.errors import UsageError, WrongWeights

from . import files
from .files import RANDOM, Source, Weights, folder_of, on_meta
from .tiny_mllm import tiny_llava

Held = Literal["float32", "bf16"]
_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


def _qwen(hidden: int, inner: int, layers: int, heads: int, groups: int, words: int, tied: bool) -> dict[str, Any]:
    """A config.json of Qwen2.5-VL, whose tower is the same in all sizes."""
    text = {
        "model_type": "qwen2_5_vl_text", "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": groups, "vocab_size": words, "tie_word_embeddings": tied,
        "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1000000.0},
    }  # fmt: skip
    tower = {
        "depth": 32, "hidden_size": 1280, "out_hidden_size": hidden, "num_heads": 16, "intermediate_size": 3420,
        "patch_size": 14, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31],
    }  # fmt: skip
    return {"text_config": text, "vision_config": tower, "tie_word_embeddings": tied}


SHAPES: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2.5-VL-7B-Instruct": _qwen(3584, 18944, 28, 28, 4, 152064, False),
    "Qwen/Qwen2.5-VL-3B-Instruct": _qwen(2048, 11008, 36, 16, 2, 151936, True),
}
"""Models whose shape is known here, so that one on `meta` needs no file: facts of their config.json."""


@dataclass(frozen=True, eq=False)
class Mllm:
    """`model`: of transformers, in eval mode; `processor`: makes its input, None on `meta`; `source`: as a module's."""

    model: Any
    processor: Any
    source: Source


def mllm(name: str, weights: Weights = "pretrained", held: Held = "float32") -> Mllm:
    """The vision-language model of that name: a folder as transformers' save_pretrained writes it (model and processor), a
    name on the Hub, or `tiny`, a random one of few layers without files.

    Nothing but safetensors is read, and no code of a checkpoint run. Raises UsageError for an unknown name and for a model
    that does not read images, MissingWeights, WrongWeights.
    """
    if name == "tiny":
        if weights != "random":
            raise UsageError("backbone 'tiny' has no pretrained weights, it is for tests: add weights=random")
        model, processor = tiny_llava()
        return Mllm(model.eval(), None if on_meta() else processor, RANDOM)
    if on_meta():
        return Mllm(_of_shape(name).to(_DTYPES[held]).eval(), None, RANDOM)
    folder = folder_of(name)
    if folder is None and not files.HUB_NAME.fullmatch(name):
        raise UsageError(f"backbone {name!r}: neither a folder nor a name on the Hub such as {next(iter(SHAPES))}")
    if folder is not None:
        found = files.in_folder(name, folder, text=True, processor=True)
    else:
        found = files.on_hub(name, name, text=True, processor=True)
    return _opened(name, found, weights, held)


def _of_shape(name: str) -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    if name not in SHAPES:
        raise UsageError(f"backbone {name!r}: its shape is not known without its files; known: {', '.join(SHAPES)}")
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**SHAPES[name]))


def _opened(name: str, found: files.Files, weights: Weights, held: Held) -> Mllm:
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    kind = str(found.config.get("model_type"))[:60]
    if kind not in _kinds():
        raise UsageError(
            f"backbone {name!r} is a {kind!r} model, which reads no images together with text as far as the installed "
            f"transformers knows: take a vision-language model such as {next(iter(SHAPES))}"
        )
    options = {"local_files_only": True, "trust_remote_code": False}
    files.check_size(
        name, found, _layers(found.config),
        lambda: AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(found.folder, **options)),
    )  # fmt: skip
    with files.loading(name):
        processor = AutoProcessor.from_pretrained(found.folder, **options)
        if weights == "random":
            config = AutoConfig.from_pretrained(found.folder, **options)
            model = AutoModelForImageTextToText.from_config(config, dtype=_DTYPES[held])
            return Mllm(_generating(model), _checked(name, processor), RANDOM)
        model, said = AutoModelForImageTextToText.from_pretrained(
            found.folder, use_safetensors=True, dtype=_DTYPES[held], output_loading_info=True, **options
        )
    files.check_all_loaded(name, said["missing_keys"], said["unexpected_keys"], said["mismatched_keys"])
    return Mllm(_generating(model), _checked(name, processor), found.source())


def _layers(config: dict[str, Any]) -> list[Any]:
    """What its parts say of how many layers they have."""
    parts = [each for each in (config.get("text_config"), config.get("vision_config")) if isinstance(each, dict)]
    return [each.get(key) for each in (config, *parts) for key in ("num_hidden_layers", "depth")]


def _generating(model: Any) -> Any:
    """In eval mode; of how a checkpoint would reply its end tokens alone are taken: penalties, filters, beams, forced words
    and time limits would make replies others than those that the network's probabilities are of."""
    from transformers import GenerationConfig

    told = model.generation_config
    model.generation_config = GenerationConfig(
        **{name: getattr(told, name, None) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    )
    return model.eval()


def _checked(name: str, processor: Any) -> Any:
    if getattr(processor, "image_processor", None) is None:
        raise WrongWeights(f"backbone {name!r} has no processor for images: give the folder with preprocessor_config.json")
    if getattr(processor, "chat_template", None) is None:
        raise WrongWeights(f"backbone {name!r} has no chat template, so it cannot be asked: take an instruct model")
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "left"
    if tokenizer.eos_token_id is None:
        raise WrongWeights(f"backbone {name!r}: its tokenizer has no token that ends a reply: take an instruct model")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor


def _kinds() -> Any:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    return MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
