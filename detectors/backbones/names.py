"""Backbones by name or folder: which library's, with which files; see the package's docstring for names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mmidd.errors import UsageError

from . import files
from .files import RANDOM, Files, Named, Weights, folder_of, named_as, on_meta, unknown
from .from_timm import TIMM_TINY, timm_tower
from .text_towers import ClipText, FileTokenizer, HashedWords, TextTower, Tokenizer, bert_text
from .towers import (
    ClipTower,
    ImageTower,
)

_TEXT = {"vocab_size": 49408, "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 1, "max_position_embeddings": 77}


def _sizes(width: int, layers: int, heads: int) -> dict[str, int]:
    return {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers, "num_attention_heads": heads}


def _clip(shared: int, vision: dict[str, Any], text: dict[str, Any]) -> dict[str, Any]:
    return {
        "projection_dim": shared,
        "vision_config": {"image_size": 224, "projection_dim": shared, **vision},
        "text_config": {"projection_dim": shared, **_TEXT, **text},
    }


_TINY = {**_sizes(64, 3, 4), "intermediate_size": 128, "initializer_range": 0.125}
CLIPS: dict[str, dict[str, Any]] = {
    "openai/clip-vit-large-patch14": _clip(768, {**_sizes(1024, 24, 16), "patch_size": 14}, _sizes(768, 12, 12)),
    "openai/clip-vit-large-patch14-336": _clip(
        768, {**_sizes(1024, 24, 16), "patch_size": 14, "image_size": 336}, _sizes(768, 12, 12)
    ),
    "openai/clip-vit-base-patch16": _clip(512, {**_sizes(768, 12, 12), "patch_size": 16}, _sizes(512, 12, 8)),
    "openai/clip-vit-base-patch32": _clip(512, {**_sizes(768, 12, 12), "patch_size": 32}, _sizes(512, 12, 8)),
    "tiny": _clip(32, {**_TINY, "patch_size": 8, "image_size": 64}, {**_TINY, "num_hidden_layers": 2}),
}
"""CLIPs whose shape is known here, so that a random one, or one on `meta`, needs no file. `tiny` is only ever random."""
_CLIP_KINDS = ("clip", "clip_vision_model")


def image_tower(name: str, weights: Weights = "pretrained") -> ImageTower:
    """The image network of that name. Raises UsageError for an unknown one, MissingWeights where its files are not at hand,
    WrongWeights where they are damaged or another network's."""
    named = named_as(name)
    if (named.kind or _kind_of(named)) == "clip":
        from transformers import CLIPVisionModelWithProjection

        model, found = _clip_model(named, weights, CLIPVisionModelWithProjection)
        named.check_side(model.config.patch_size)
        return ClipTower(model, found.source() if found else RANDOM, named.side)
    return timm_tower(named, weights)


@dataclass(frozen=True)
class ClipPair:
    """Both towers of a CLIP. `logit_scale`: the natural logarithm of what cosines are multiplied by, a parameter."""

    image: ClipTower
    text: ClipText
    logit_scale: nn.Parameter


def clip_pair(name: str, weights: Weights = "pretrained") -> ClipPair:
    """Both towers of a CLIP, by a name as of `image_tower`; its tokenizer is `text.tokenizer`: that of the files, or, of a
    network that was never trained, hashed words, which need no file. Raises as `image_tower` does."""
    from transformers import CLIPModel

    named = named_as(name)
    if (named.kind or _kind_of(named)) != "clip":
        raise UsageError(f"backbone {name!r} has no text tower: take a CLIP, such as clip:openai/clip-vit-large-patch14")
    model, found = _clip_model(named, weights, CLIPModel)
    source = found.source() if found else RANDOM
    text = model.config.text_config
    tokenizer: Tokenizer = HashedWords()
    if found:
        tokenizer = FileTokenizer(name, found.folder, words=text.vocab_size, length=text.max_position_embeddings)
    return ClipPair(ClipTower(model, source, named.side), ClipText(model, tokenizer, source), model.logit_scale)


def text_tower(name: str, weights: Weights = "pretrained") -> TextTower:
    """A text network by name: `clip:NAME` (the text tower of that CLIP), `text:NAME` (a BERT-like one of the Hub, such as
    text:sentence-transformers/all-MiniLM-L6-v2; `text:tiny` is a random one), or a folder with either. Raises as
    `image_tower` does."""
    kind, _, rest = name.partition(":")
    folder = folder_of(name)
    if kind == "clip" or (folder is not None and files.read_config(name, folder).get("model_type") == "clip"):
        return clip_pair(name, weights).text
    return bert_text(name, rest if kind == "text" else name, weights, meta=on_meta())


def _kind_of(named: Named) -> str:
    """What lies in a plain folder."""
    if named.folder is None:
        raise unknown(named.whole, [*(f"clip:{each}" for each in CLIPS), *(f"timm:{each}" for each in TIMM_TINY)])
    config = files.read_config(named.whole, named.folder)
    if config.get("model_type") in _CLIP_KINDS:
        return "clip"
    if "architecture" in config:
        return "timm"
    kind = str(config.get("model_type"))[:40]
    raise UsageError(
        f"backbone {named.whole!r}: its config.json names the model type {kind!r}; image backbones are CLIPs of "
        f"transformers ({', '.join(_CLIP_KINDS)}) and networks of timm (a config.json with 'architecture')"
    )


def _clip_model(named: Named, weights: Weights, kind: Any) -> tuple[Any, Files | None]:
    """A model of transformers' class `kind`, and the files that it was read from, if it was."""
    if weights == "random" or on_meta():
        values = _clip_config(named)
        with files.loading(named.whole):
            return kind(_configured(values, kind)), None
    found = _clip_files(named, text=kind.__name__ == "CLIPModel")
    if found.config.get("model_type") not in _CLIP_KINDS:
        raise UsageError(
            f"backbone {named.whole!r} is no CLIP: its config.json names {str(found.config.get('model_type'))[:40]!r}"
        )
    with files.loading(named.whole):
        config = _configured(_whole(found.config), kind)
    parts = [getattr(config, part, config) for part in ("vision_config", "text_config")]
    files.check_size(named.whole, found, [part.num_hidden_layers for part in parts], lambda: kind(config))
    with files.loading(named.whole):
        model, said = kind.from_pretrained(
            found.folder, config=config, use_safetensors=True, trust_remote_code=False,
            local_files_only=True, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True,
        )  # fmt: skip
    left = [each for each in said["unexpected_keys"] if not _may_be_left(each, kind)]
    files.check_all_loaded(named.whole, said["missing_keys"], left, said["mismatched_keys"])
    return model.eval(), found


def _may_be_left(key: str, kind: Any) -> bool:
    """Numbers of places, which older files have, and of a whole CLIP what the image tower is not."""
    text = ("text_model.", "text_projection.", "logit_scale")
    return key.endswith("position_ids") or (kind.__name__ != "CLIPModel" and key.startswith(text))


def _configured(values: dict[str, Any], kind: Any) -> Any:
    """Of a whole CLIP's values the configuration of transformers' class `kind`. The image tower's own may state another
    width of the shared space, which the whole CLIP does not look at."""
    from transformers import CLIPConfig

    config = CLIPConfig(**values)
    if kind.__name__ == "CLIPModel":
        return config
    config.vision_config.projection_dim = config.projection_dim
    return config.vision_config


def _whole(config: dict[str, Any]) -> dict[str, Any]:
    """A config.json of an image tower alone as that of a whole CLIP."""
    if config.get("model_type") != "clip_vision_model":
        return config
    return {"vision_config": config, "projection_dim": config.get("projection_dim", 512)}


def _clip_config(named: Named) -> dict[str, Any]:
    if named.folder is not None:
        config = files.read_config(named.whole, named.folder)
    elif named.rest in CLIPS:
        return CLIPS[named.rest]
    elif files.HUB_NAME.fullmatch(named.rest):
        config = files.config_on_hub(named.whole, named.rest)
    else:
        raise unknown(named.whole, [f"clip:{each}" for each in CLIPS])
    return _whole(config)


def _clip_files(named: Named, *, text: bool) -> Files:
    if named.folder is not None:
        return files.in_folder(named.whole, named.folder, text=text)
    if named.rest == "tiny":
        raise UsageError(f"backbone {named.whole!r} has no pretrained weights, it is for tests: add weights=random")
    if not files.HUB_NAME.fullmatch(named.rest):
        raise unknown(named.whole, [f"clip:{each}" for each in CLIPS])
    return files.on_hub(named.whole, named.rest, text=text)
