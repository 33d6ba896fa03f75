"""The instructions that a model is given: versioned files, known by their digests, free of every word of the leak list."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from mmidd import yamlfile
from mmidd.captions.leaks import leaks
from mmidd.errors import RecipeError

DEFAULT = "plain-1"
_FIELDS = ("both", "alone", "again")
_LONGEST = 8_000


@dataclass(frozen=True)
class Prompt:
    """One phrasing. `both`: for a crop and its context; `alone`: for one image; `again`: added when a reply was of no use.

    `name` is the bundled file's name, or `file` for one of the user's; `digest` is the sha256 of the file's bytes.
    """

    name: str
    digest: str
    both: str
    alone: str
    again: str


def bundled() -> list[str]:
    """The names of the prompts that ship with mmidd."""
    folder = resources.files("mmidd.captions").joinpath("prompts")
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def load(name: str) -> Prompt:
    """A bundled prompt by its name, or a file by its path. Raises RecipeError with what is wrong and the way out."""
    if name in bundled():
        data = resources.files("mmidd.captions").joinpath("prompts", f"{name}.yaml").read_bytes()
        return _parse(name, data, f"{name}.yaml")
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise RecipeError(f"no prompt {name!r}: neither a YAML file nor one of {', '.join(bundled())}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"cannot read the prompt {name}: {error.strerror or type(error).__name__}") from error
    return _parse("file", data, name)


def _parse(name: str, data: bytes, source: str) -> Prompt:
    try:
        found = yamlfile.load(data.decode("utf-8"), source).data
    except UnicodeDecodeError as error:
        raise RecipeError(f"{source}: a prompt is UTF-8 text") from error
    if not isinstance(found, dict) or set(found) != set(_FIELDS):
        raise RecipeError(f"{source}: a prompt has exactly the keys {', '.join(_FIELDS)} (docs/captions.md)")
    for key in _FIELDS:
        text = found[key]
        if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
            raise RecipeError(f"{source}: {key} must be a text of 1 to {_LONGEST} characters")
        if told := leaks(text):
            raise RecipeError(f"{source}: {key} has words that could tell a label: {', '.join(told)}; use others")
    return Prompt(name, hashlib.sha256(data).hexdigest(), found["both"], found["alone"], found["again"])
