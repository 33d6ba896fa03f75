"""Text encoders behind one interface: CLIP's text tower, and BERT-like networks of transformers, mean-pooled."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmidd.errors import MissingWeights, UsageError, WrongWeights

from . import files
from .files import RANDOM, Source
from .towers import compute_again

CLIP_START, CLIP_END, CLIP_WORDS, CLIP_LENGTH = 49406, 49407, 49408, 77
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Tokens:
    """Texts as a network takes them: `ids` and `mask` (1: a token, 0: filling), int64 (n, length). `unknown`: words or parts
    of words that the tokenizer does not have; `cut`: texts that were longer than the network can take."""

    ids: torch.Tensor
    mask: torch.Tensor
    unknown: int = 0
    cut: int = 0

    def to(self, device: Any) -> Tokens:
        return replace(self, ids=self.ids.to(device), mask=self.mask.to(device))


Tokenizer = Callable[[Sequence[str]], Tokens]


@dataclass(frozen=True)
class HashedWords:
    """A tokenizer that needs no file, for networks that were never trained: a word's number is its hash, so that none is
    unknown (and two may, rarely, be the same). `start` and `end` stand around the text; of CLIP by default."""

    words: int = CLIP_START
    start: int = CLIP_START
    end: int = CLIP_END
    length: int = CLIP_LENGTH

    def __call__(self, texts: Sequence[str]) -> Tokens:
        found = [[self._number(word) for word in _WORD.findall(text.lower())] for text in texts]
        rows = [[self.start, *each[: self.length - 2], self.end] for each in found]
        longest = max(map(len, rows), default=1)
        ids = torch.tensor([[*row, *[self.end] * (longest - len(row))] for row in rows], dtype=torch.int64, device="cpu")
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], dtype=torch.int64, device="cpu")
        cut = sum(len(each) > self.length - 2 for each in found)
        return Tokens(ids.reshape(len(rows), longest), mask.reshape(len(rows), longest), 0, cut)

    def _number(self, word: str) -> int:
        return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big") % self.words


class FileTokenizer:
    """The tokenizer of a folder, as transformers reads it."""

    def __init__(self, name: str, folder: Path, *, words: int, length: int) -> None:
        """`words`, `length`: what the network takes. Raises MissingWeights without files, WrongWeights for others' ones."""
        from transformers import AutoTokenizer

        if not any((folder / each).is_file() for each in files.VOCABULARIES):
            raise MissingWeights(
                f"backbone {name!r}: the folder {folder} holds no tokenizer ({', '.join(files.VOCABULARIES)}); put the "
                "files of the network's own there"
            )
        with files.loading(name):
            self._inner = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if not 3 < len(self._inner) <= words:
            raise WrongWeights(
                f"backbone {name!r}: its tokenizer has {len(self._inner):,} tokens, and its network takes {words:,}: they "
                "do not belong together; get the folder again"
            )
        if self._inner.pad_token is None:
            self._inner.pad_token = self._inner.eos_token or self._inner.unk_token
        self._length = min(length, self._inner.model_max_length)

    def __call__(self, texts: Sequence[str]) -> Tokens:
        if not texts:
            return Tokens(torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0, 1, dtype=torch.int64))
        plain = self._inner(list(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        around = self._inner.num_special_tokens_to_add()
        made = self._inner(list(texts), padding=True, truncation=True, max_length=self._length)
        return Tokens(
            torch.tensor(made["input_ids"], dtype=torch.int64, device="cpu"),
            torch.tensor(made["attention_mask"], dtype=torch.int64, device="cpu"),
            sum(each.count(self._inner.unk_token_id) for each in plain),
            sum(len(each) + around > self._length for each in plain),
        )


class TextTower(nn.Module):  # type: ignore[misc]
    """A text network that gives one vector a text, (n, width). `projection` leads on to the space that it shares with
    images, where the files have one."""

    inner: nn.Module
    projection: nn.Module | None
    width: int
    tokenizer: Tokenizer
    source: Source

    @abstractmethod
    def forward(self, tokens: Tokens) -> torch.Tensor:
        """Of tokens on the network's device."""

    @abstractmethod
    def attention_linears(self) -> Iterator[tuple[nn.Module, str]]:
        """Each of q, k, v and out of attention, as (the module that holds it, its name there)."""

    def checkpointing(self) -> None:
        """Compute activations again in the backward pass."""
        compute_again(self.inner)


class ClipText(TextTower):
    """The text tower of a CLIP: what stands at the end of the text, after the last norm."""

    def __init__(self, model: Any, tokenizer: Tokenizer, source: Source = RANDOM) -> None:
        """`model`: transformers' CLIPModel."""
        super().__init__()
        self.inner, self.projection = model.text_model, model.text_projection
        self.width, self.tokenizer, self.source = model.config.text_config.hidden_size, tokenizer, source

    def forward(self, tokens: Tokens) -> torch.Tensor:
        found: torch.Tensor = self.inner(input_ids=tokens.ids, attention_mask=tokens.mask).pooler_output
        return found

    def attention_linears(self) -> Iterator[tuple[nn.Module, str]]:
        for block in self.inner.encoder.layers:
            yield from ((block.self_attn, name) for name in ("q_proj", "k_proj", "v_proj", "out_proj"))


class BertText(TextTower):
    """A BERT-like network: the mean of the last layer over the tokens, as sentence-transformers pools its MiniLM."""

    def __init__(self, model: Any, tokenizer: Tokenizer, source: Source = RANDOM) -> None:
        super().__init__()
        self.inner, self.projection, self.tokenizer, self.source = model, None, tokenizer, source
        self.width = model.config.hidden_size
        if getattr(model, "pooler", None) is not None:
            model.pooler = None

    def forward(self, tokens: Tokens) -> torch.Tensor:
        found = self.inner(input_ids=tokens.ids, attention_mask=tokens.mask).last_hidden_state
        mask = tokens.mask[..., None].to(found.dtype)
        mean: torch.Tensor = (found * mask).sum(1) / mask.sum(1).clamp(min=1)
        return mean

    def attention_linears(self) -> Iterator[tuple[nn.Module, str]]:
        names = ("query", "key", "value")
        for path, module in self.inner.named_modules():
            if all(isinstance(getattr(module, name, None), nn.Linear) for name in names):
                yield from ((module, name) for name in names)
                yield self.inner.get_submodule(f"{path.rpartition('.')[0]}.output"), "dense"


_KINDS = ("bert", "roberta", "xlm-roberta", "camembert", "electra")
"""Those whose layers are named as BERT's."""
_TINY = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "initializer_range": 0.125, "vocab_size": 30522, "max_position_embeddings": 128,
}  # fmt: skip


def bert_text(name: str, place: str, weights: files.Weights, *, meta: bool) -> BertText:
    """The text network of a folder, of the Hub, or `tiny`. Raises UsageError, MissingWeights, WrongWeights."""
    from transformers import AutoConfig, AutoModel, BertConfig, BertModel

    folder = Path(place) if place != "tiny" and Path(place).is_dir() else None
    if place == "tiny":
        if weights != "random" and not meta:
            raise UsageError(f"backbone {name!r} has no pretrained weights, it is for tests: add weights=random")
        config = BertConfig(**_TINY)
        return BertText(BertModel(config), _hashed(config), RANDOM)
    if folder is None and not files.HUB_NAME.fullmatch(place):
        raise UsageError(
            f"there is no text backbone {name!r}: neither a folder nor text:NAME of the Hub, such as "
            "text:sentence-transformers/all-MiniLM-L6-v2, nor text:tiny"
        )
    if weights == "random" or meta:
        values = files.read_config(name, folder) if folder else files.config_on_hub(name, place)
        _check_kind(name, values)
        with files.loading(name):
            config = AutoConfig.for_model(**values)
            return BertText(AutoModel.from_config(config), _hashed(config), RANDOM)
    found = files.in_folder(name, folder, text=True) if folder else files.on_hub(name, place, text=True)
    _check_kind(name, found.config)
    layers = found.config.get("num_hidden_layers")
    files.check_size(name, found, layers, lambda: AutoModel.from_config(AutoConfig.for_model(**found.config)))
    with files.loading(name):
        model, said = AutoModel.from_pretrained(
            found.folder, use_safetensors=True, trust_remote_code=False, local_files_only=True, dtype=torch.float32,
            output_loading_info=True, ignore_mismatched_sizes=True,
        )  # fmt: skip
    # the pooler is not used, and heads for other tasks are none of ours
    missing, left = (
        [
            key
            for key in said[what]
            if not key.startswith(("pooler.", "cls.", "lm_head.")) and not key.endswith("position_ids")
        ]
        for what in ("missing_keys", "unexpected_keys")
    )
    files.check_all_loaded(name, missing, left, said["mismatched_keys"])
    config = model.config
    # RoBERTa and its kin count places from behind their filling token
    length = config.max_position_embeddings - (0 if config.model_type in ("bert", "electra") else config.pad_token_id + 1)
    tokenizer = FileTokenizer(name, found.folder, words=config.vocab_size, length=length)
    return BertText(model.eval(), tokenizer, found.source())


def _hashed(config: Any) -> HashedWords:
    """Like BERT's: the last two numbers for the ends, whatever the files' own tokenizer has."""
    words = config.vocab_size
    return HashedWords(words - 2, words - 2, words - 1, min(512, config.max_position_embeddings - 2))


def _check_kind(name: str, config: dict[str, Any]) -> None:
    if config.get("model_type") not in _KINDS:
        raise UsageError(
            f"backbone {name!r}: its config.json names the model type {str(config.get('model_type'))[:40]!r}; text "
            f"backbones are {', '.join(_KINDS)}, and the text towers of CLIPs"
        )
