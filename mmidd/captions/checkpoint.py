"""Where an image-text-to-text checkpoint lies, and what names its content: a Hub commit, or the digest of a folder."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmidd.errors import MissingExtra, MissingWeights, UsageError, WrongWeights
from mmidd.filestate import State, state

_WANTED = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
FileState = tuple[Path, State]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is known to be a vision-language model. `content`: the Hub commit, or the digest of its files, which
    were in these `states` then."""

    name: str
    content: str
    folder: Path | None = None
    states: tuple[FileState, ...] = ()

    def fetched(self) -> Path:
        """The folder with its files; those of the Hub are downloaded first. Raises MissingWeights."""
        if self.folder is not None:
            return self.folder
        from huggingface_hub import snapshot_download

        try:
            return Path(snapshot_download(self.name, revision=self.content, allow_patterns=list(_WANTED)))
        except Exception as error:  # hub, proxy, TLS, gate or disk: the ways out are the same
            raise _not_at_hand(self.name, type(error).__name__) from error

    def check(self) -> None:
        """Raises WrongWeights where a file is not what was digested: to be asked when all are loaded."""
        if self.folder is not None and _states(self.folder) != self.states:
            raise WrongWeights(f"the files of the model {self.name} changed while they were read; run it again")


def find(model: str, revision: str | None) -> Checkpoint:
    """The checkpoint of a folder or of a name on the Hub. Raises MissingWeights, WrongWeights, UsageError, MissingExtra."""
    folder = Path(model)
    if folder.is_dir():
        if revision is not None:
            raise UsageError(f"captioner.revision belongs to a model of the Hub; {model} is a folder: leave revision out")
        states = _states(folder)
        if not any(path.suffix == ".safetensors" for path, _ in states):
            raise WrongWeights(
                f"{model} holds no .safetensors file; mmidd loads no other kind of weights (pickle can run code)"
            )
        _check_config(model, folder / "config.json")
        found = Checkpoint(folder.resolve().name, _content(states), folder, states)
        found.check()
        return found
    if not _HUB_NAME.fullmatch(model) or folder.is_absolute():
        raise MissingWeights(
            f"no model {model!r}: neither a folder nor a name on the Hub such as Qwen/Qwen2.5-VL-7B-Instruct"
        )
    return _on_hub(model, revision)


@lru_cache(maxsize=4)
def _on_hub(model: str, revision: str | None) -> Checkpoint:
    from huggingface_hub import hf_hub_download

    try:
        config = Path(hf_hub_download(model, "config.json", revision=revision))
    except Exception as error:
        raise _not_at_hand(model, type(error).__name__) from error
    _check_config(model, config)
    commit = config.parent.name
    if not _COMMIT.fullmatch(commit):
        raise _not_at_hand(model, "its commit is not known")
    return Checkpoint(model, commit)


def _check_config(model: str, path: Path) -> None:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WrongWeights(
            f"{model} is no checkpoint of transformers: its config.json cannot be read or has no model_type"
        ) from error
    if kind in _known():
        return
    if "auto_map" in config:
        raise WrongWeights(
            f"{model} needs code of its own to run, which mmidd never runs; take a model that transformers knows"
        )
    raise WrongWeights(
        f"{model} is a {str(kind)[:40]!r} model, which does not read images together with text as far as the installed "
        "transformers knows; take a vision-language model such as Qwen/Qwen2.5-VL-7B-Instruct"
    )


def _known() -> Any:
    try:
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    except ImportError as error:
        raise MissingExtra("caption", "captioner 'transformers'") from error
    return MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def _states(folder: Path) -> tuple[FileState, ...]:
    """The checkpoint's files, and what tells one state of each from another."""
    files = sorted(path for path in folder.iterdir() if any(path.match(pattern) for pattern in _WANTED))
    return tuple((path, state(path.stat())) for path in files)


@lru_cache(maxsize=4)
def _content(files: tuple[FileState, ...]) -> str:
    """The digest of a folder's files, read once in a process unless one of them changes."""
    found = hashlib.sha256()
    for path, _ in files:
        with path.open("rb") as file:
            found.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return found.hexdigest()[:32]


def _not_at_hand(model: str, why: str) -> MissingWeights:
    return MissingWeights(
        f"the model {model} is not at hand ({why}). Ways out: (1) let it be downloaded from huggingface.co (network, no "
        "HF_HUB_OFFLINE; a gated model needs `hf auth login`); (2) mend captioner.model or captioner.revision; (3) give the "
        "folder of a copy as captioner.model"
    )
