"""Files of pretrained networks: where they lie, that they are safetensors, what tells their content. Knows no network."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import torch

from mmidd.errors import MissingWeights, UsageError, WrongWeights, check_memory, sanitised
from mmidd.filestate import state

Weights = Literal["pretrained", "random"]
TINY = ("tiny", "tiny-cnn", "tiny-swin")
"""Small networks for tests, only ever random."""
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
_WANTED = ("*.json", "*.txt", "*.model", "*.jinja", "model*.safetensors")
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "sentencepiece.bpe.model")
_TOKENIZER = (*VOCABULARIES, "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
_PROCESSOR = (
    "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "chat_template.jinja",
    "chat_template.json", "generation_config.json",
)  # fmt: skip
_MOST_NAMES = 4
_SLACK = 100_000_000
"""Parameters that a network may have beyond twice those of its files before it is called another's at once; the differences
of smaller ones are told one by one."""
Source = dict[str, Any]
RANDOM: Source = {"weights": "random"}


@dataclass(frozen=True)
class Named:
    """A backbone's name, taken apart. `kind`: clip, timm, or empty for a plain folder; `side`: of `@SIDE`."""

    whole: str
    kind: str
    rest: str
    side: int | None

    @property
    def folder(self) -> Path | None:
        return folder_of(self.rest)

    def check_side(self, patch: int) -> None:
        """Raises UsageError for a side that is not made of whole patches."""
        if self.side is not None and (self.side == 0 or self.side % patch):
            raise UsageError(
                f"backbone {self.whole!r}: the network sees patches of {patch} pixels; give a side that is a multiple of "
                f"it, such as @{max(1, round(self.side / patch)) * patch}"
            )


def named_as(name: str) -> Named:
    """A name, taken apart; a folder whose name ends as a side does is that folder."""
    kind, colon, rest = name.partition(":")
    if not colon or kind not in ("clip", "timm"):
        kind, rest = "", name
    at = re.fullmatch(r"(.+)@(\d{1,5})", rest)
    return Named(name, kind, at[1], int(at[2])) if at and folder_of(rest) is None else Named(name, kind, rest, None)


def folder_of(place: str) -> Path | None:
    """The folder that a name stands for, if it does; `tiny` is none, whatever lies where the command runs."""
    return Path(place) if place and place not in TINY and Path(place).is_dir() else None


def unknown(name: str, known: list[str]) -> UsageError:
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known[:6])} ..."
    return UsageError(f"there is no backbone {name!r}: neither a folder, nor clip:NAME of the Hub, nor timm:NAME; {hint}")


def on_meta() -> bool:
    """Are networks built without memory (`with torch.device("meta")`)?"""
    return bool(torch.get_default_device().type == "meta")


@dataclass(frozen=True)
class Files:
    """A folder with `config.json` and one network's safetensors. `name`: as it was asked for; `revision`: the Hub's commit;
    `states`: what tells one state of each file from another, taken before any was read."""

    name: str
    folder: Path
    revision: str | None
    states: dict[str, tuple[int, ...]]

    @property
    def config(self) -> dict[str, Any]:
        """Raises WrongWeights where it cannot be read."""
        return read_config(self.name, self.folder)

    @property
    def tensors(self) -> tuple[Path, ...]:
        return tuple(self.folder / name for name in self.states if name.endswith(".safetensors"))

    def source(self) -> Source:
        """Where the weights are from, with a digest of every file. Raises WrongWeights where one changed since it was
        found."""
        digests = {}
        for name in self.states:
            with (self.folder / name).open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
        if any(state((self.folder / name).stat()) != before for name, before in self.states.items()):
            raise WrongWeights(f"backbone {self.name!r}: its files changed while they were read; run it again")
        return {"weights": "pretrained", "name": self.name, "revision": self.revision, "files": digests}


def in_folder(name: str, folder: Path, revision: str | None = None, *, text: bool = False, processor: bool = False) -> Files:
    """The network that lies in a folder; with `text` its tokenizer's files are among those that it is of, with `processor`
    those of all that makes its input. Raises MissingWeights without safetensors, WrongWeights for one that is damaged."""
    read_config(name, folder)
    found = Files(
        name, folder, revision, _states(folder, (*(_TOKENIZER if text else ()), *(_PROCESSOR if processor else ())))
    )
    if not found.tensors:
        pickles = sorted(each.name for each in folder.iterdir() if each.suffix in _PICKLES)
        raise MissingWeights(_only_pickles(name, pickles) if pickles else _without_weights(name, folder))
    for path in found.tensors:
        _check_whole(name, path)
    return found


def on_hub(name: str, repo: str, *, text: bool = False, processor: bool = False) -> Files:
    """The network of a repository of the Hub: out of the local cache, or downloaded there, which is said before it begins.

    Raises MissingWeights. The Hub's own variables (HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT) are honoured.
    """
    folder = _cached(repo)
    if folder is not None and (not text or any((folder / each).is_file() for each in VOCABULARIES)):
        try:
            return in_folder(name, folder, folder.name, text=text, processor=processor)
        except MissingWeights:  # what another tool fetched of it is not enough
            pass
    folder = _download(name, repo)
    return in_folder(name, folder, folder.name, text=text, processor=processor)


def config_on_hub(name: str, repo: str) -> dict[str, Any]:
    """The `config.json` of a repository alone. Raises MissingWeights."""
    from huggingface_hub import hf_hub_download

    try:
        with _quiet("huggingface_hub"):
            path = Path(hf_hub_download(repo, "config.json"))
    except Exception as error:  # hub, proxy, TLS, gate or disk: the ways out are the same
        raise _not_at_hand(name, repo, error) from error
    return read_config(name, path.parent)


def read_config(name: str, folder: Path) -> dict[str, Any]:
    """The folder's `config.json`. Raises MissingWeights where there is none, WrongWeights where it cannot be read."""
    path = folder / "config.json"
    if not path.is_file():
        raise MissingWeights(
            f"backbone {name!r}: the folder {folder} holds no config.json; give one that transformers' save_pretrained or "
            "timm's save_for_hf wrote (config.json and model.safetensors)"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WrongWeights(f"backbone {name!r}: {path} cannot be read as JSON ({sanitised(str(error), 80)})") from error
    if not isinstance(config, dict):
        raise WrongWeights(f"backbone {name!r}: {path} holds no object of keys and values")
    return config


@contextmanager
def loading(name: str) -> Iterator[None]:
    """What a library says of foreign files, as WrongWeights; without its progress bars and reports."""
    from transformers.utils import logging as transformers_logging

    level, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        with _quiet("timm"):
            yield
    except (UsageError, WrongWeights, MissingWeights):
        raise
    except Exception as error:  # the files are a stranger's: whatever is wrong with them, this is how it is told
        check_memory(error)
        raise WrongWeights(
            f"backbone {name!r} does not load: {type(error).__name__}: {sanitised(str(error), 600)}"
        ) from error
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()


def check_size(name: str, files: Files, layers: Any, build: Callable[[], Any]) -> None:
    """Raises WrongWeights where the network of a config.json, which `build` makes, is far larger than what the files hold:
    before any memory is taken for it. `layers`: what the config says of their number, one number or one a stage."""
    from safetensors import safe_open

    tensors = held = 0
    for path in files.tensors:
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118 (it is no mapping)
                tensors, held = tensors + 1, held + math.prod(file.get_slice(key).get_shape())
    told = layers if isinstance(layers, list | tuple) else [layers]
    deep = sum(each for each in told if isinstance(each, int | float))
    if deep > tensors:
        raise WrongWeights(f"backbone {name!r}: its config.json names {deep:,} layers, its files hold {tensors:,} tensors")
    with loading(name), torch.device("meta"):
        wanted = sum(each.numel() for each in build().state_dict().values())
    if wanted > 2 * held + _SLACK:
        raise WrongWeights(
            f"backbone {name!r}: the network of its config.json has {wanted:,} parameters, its files hold {held:,}. Give "
            "the folder whose config.json belongs to its model.safetensors"
        )


def check_all_loaded(name: str, missing: Any, unexpected: Any, mismatched: Any) -> None:
    """Raises WrongWeights unless every parameter got its value and no value was left over."""
    wrong = [f"{key}: {tuple(there)} in the file, {tuple(here)} in the network" for key, there, here in mismatched]
    parts = [
        _listed("of another size", wrong),
        _listed("not in the file", sorted(missing)),
        _listed("in the file, but not in the network", sorted(unexpected)),
    ]
    if any(parts):
        raise WrongWeights(
            f"backbone {name!r}: the weights are not this network's; {'; '.join(filter(None, parts))}. Give the folder "
            "whose config.json belongs to its model.safetensors, or the name of the network that they are of"
        )


def _listed(what: str, names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{what}: {', '.join(names[:_MOST_NAMES])}{more}" if names else ""


def _states(folder: Path, tokenizer: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """What the network is made of. With `model.safetensors`, or the parts that an index names, nothing else is read."""
    index = folder / "model.safetensors.index.json"
    names = ["config.json", *(each for each in tokenizer if (folder / each).is_file())]
    if (folder / "model.safetensors").is_file():
        names.append("model.safetensors")
    elif index.is_file():
        try:
            parts = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise WrongWeights(f"{index} cannot be read: get the folder again") from error
        parts = sorted(set(map(str, parts)))
        if other := [part for part in parts if not part.isprintable() or not part.endswith(".safetensors")]:
            raise WrongWeights(
                f"{index} names {sanitised(other[0], 60)!r}, which is no safetensors file: only these are read (a pickle "
                "can run code); get the folder again"
            )
        names += [index.name, *parts]
    absent = [name for name in names if not (folder / name).is_file() or Path(name).name != name]
    if absent:
        raise MissingWeights(f"{folder} lacks {', '.join(absent[:_MOST_NAMES])}: get the folder again")
    return {name: state((folder / name).stat()) for name in names}


def _check_whole(name: str, path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            file.keys()
    except (SafetensorError, OSError, ValueError) as error:
        raise WrongWeights(
            f"backbone {name!r}: {path} is no whole safetensors file ({sanitised(str(error), 80)}): it may have been cut "
            "off when it was copied; get it again"
        ) from error


def _cached(repo: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, local_files_only=True, allow_patterns=list(_WANTED)))
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None


def _download(name: str, repo: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    try:
        with _quiet("huggingface_hub"):
            about = HfApi().model_info(repo, files_metadata=True)
            sizes = {each.rfilename: each.size or 0 for each in about.siblings or []}
            wanted = {
                key: size for key, size in sizes.items() if any(Path(key).match(each) for each in _WANTED) and "/" not in key
            }
            if not any(key.endswith(".safetensors") for key in wanted):
                raise MissingWeights(_only_pickles(name, sorted(key for key in sizes if Path(key).suffix in _PICKLES)))
            total = sum(wanted.values()) / 1e6
            print(
                f"mmidd: downloading {repo} ({total:,.0f} MB) from the Hugging Face Hub into its cache",
                file=sys.stderr,
                flush=True,
            )
            return Path(snapshot_download(repo, revision=about.sha, allow_patterns=sorted(wanted)))
    except MissingWeights:
        raise
    except Exception as error:  # hub, proxy, TLS, gate or disk: the ways out are the same
        raise _not_at_hand(name, repo, error) from error


@contextmanager
def _quiet(library: str) -> Iterator[None]:
    """A library's warnings are told once, by our error."""
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _not_at_hand(name: str, repo: str, error: Exception) -> MissingWeights:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        why = "its terms have to be accepted on its page, then `hf auth login`"
    elif isinstance(error, RepositoryNotFoundError):
        why = "the Hub has no such repository, or it is private; look at its spelling"
    else:
        why = f"the Hub cannot be reached or refuses ({type(error).__name__})"
    return MissingWeights(
        f"backbone {name!r}: the weights of {repo} are not at hand: {why}. Ways out: (1) let them be downloaded once from "
        "huggingface.co (network, no HF_HUB_OFFLINE); (2) download them on another machine (`hf download "
        f"{repo} --local-dir FOLDER`) and give the folder as the backbone; (3) try the command without them: "
        "weights=random, which trains from scratch and says nothing of the detector"
    )


def _only_pickles(name: str, pickles: list[str]) -> str:
    return (
        f"backbone {name!r}: its weights are there only as {', '.join(pickles[:_MOST_NAMES]) or 'something else'}; mmidd "
        "reads safetensors alone (a pickle can run code). Save it again where you trust it (transformers: "
        "save_pretrained(FOLDER); timm: save_for_hf(model, FOLDER, safe_serialization=True)) and give that folder"
    )


def _without_weights(name: str, folder: Path) -> str:
    return (
        f"backbone {name!r}: the folder {folder} holds a config.json, but no weights (model.safetensors); put them there, "
        "or take weights=random for the same network freshly initialised"
    )
