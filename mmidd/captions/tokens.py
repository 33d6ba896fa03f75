"""How long a text is for CLIP: its own byte pair encoding, counted with the vocabulary that open_clip_torch ships."""

from __future__ import annotations

import gzip
import html
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from mmidd.errors import MissingExtra

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CONTENT_TOKENS = 75
"""CLIP reads 77 tokens, two of which are start and end."""

_VOCABULARY = "open_clip/bpe_simple_vocab_16e6.txt.gz"
_MERGES = 49152 - 256 - 2
_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def clip_tokens(text: str) -> int:
    """The number of content tokens of a text, start and end not counted. Raises MissingExtra without the vocabulary."""
    plain = " ".join(html.unescape(html.unescape(text)).split())
    return len(_tokenizer().encode(plain).ids)


def check() -> None:
    """Raises MissingExtra where tokens cannot be counted."""
    _tokenizer()


@cache
def _tokenizer() -> Tokenizer:
    try:
        from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    except ImportError as error:
        raise MissingExtra("caption", "counting CLIP tokens") from error
    lines = gzip.decompress(_vocabulary().read_bytes()).decode("utf-8").split("\n")
    merges = [(left, right) for left, right in (line.split() for line in lines[1 : _MERGES + 1])]
    letters = _byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def _vocabulary() -> Path:
    try:
        path = Path(str(distribution("open_clip_torch").locate_file(_VOCABULARY)))
    except PackageNotFoundError as error:
        raise MissingExtra("caption", "counting CLIP tokens (open_clip_torch ships the vocabulary)") from error
    if not path.is_file():
        raise MissingExtra("caption", f"counting CLIP tokens ({path.name} is not in the installed open_clip_torch)")
    return path


def _byte_letters() -> list[str]:
    """The letter that stands for each byte, in the vocabulary's order: printable bytes as they are, then the others."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = len([byte for byte in range(256) if byte not in printable])
    return [*map(chr, printable), *(chr(256 + number) for number in range(others))]
