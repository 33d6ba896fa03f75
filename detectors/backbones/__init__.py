"""Backbones by name or folder: CLIP from transformers, image networks from timm, text encoders, and small random ones.

A name is

- `clip:NAME`: a CLIP of the Hub such as `clip:openai/clip-vit-large-patch14`; `clip:tiny` is a random one for tests;
- `timm:NAME`: any network of timm, such as `timm:vit_large_patch16_dinov3`; `timm:tiny`, `timm:tiny-cnn` and
  `timm:tiny-swin` for tests;
- a folder (also as `clip:FOLDER`, `timm:FOLDER`) with `config.json` and `model.safetensors` as transformers'
  `save_pretrained` or timm's `save_for_hf` write them.

`@SIDE` after it takes images of another side, positions interpolated: `timm:vit_pe_core_large_patch14_336@224`. Files come
from the folder, the Hub's cache, or the Hub, which is said before it begins; they are safetensors, never a pickle, and no
code of theirs is run. `weights` is "pretrained", or "random" for the same network freshly initialised: chosen, never fallen
back to. On torch's `meta` device no files are read, whatever `weights` is.
"""

from .files import Source, Weights, on_meta
from .lora import Targets, add_lora
from .mllms import Held, Mllm, mllm
from .names import CLIPS, ClipPair, clip_pair, image_tower, text_tower
from .text_towers import ClipText, HashedWords, TextTower, Tokenizer, Tokens
from .towers import (
    CLIP_MEAN,
    CLIP_STD,
    HALF,
    IMAGENET_MEAN,
    IMAGENET_STD,
    ClipTower,
    ImageTower,
    Seen,
    TimmTower,
    Which,
    freeze,
)  # fmt: skip

__all__ = [
    "CLIPS", "CLIP_MEAN", "CLIP_STD", "HALF", "IMAGENET_MEAN", "IMAGENET_STD", "ClipPair", "ClipText", "ClipTower",
    "HashedWords", "Held", "ImageTower", "Mllm",
    "Seen", "Source", "Targets", "TextTower", "TimmTower", "Tokenizer", "Tokens", "Weights",
    "Which", "add_lora", "clip_pair", "freeze", "image_tower", "mllm", "on_meta", "text_tower",
]  # fmt: skip
