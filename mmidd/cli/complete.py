"""What a shell is offered when somebody presses Tab. Light: no manifest is parsed, no package of ours loaded but names.

Shells read what is printed here as words of a command, one of them through `eval`, and insert it unquoted: only names of
harmless characters are offered. Where nothing is, the shell offers its own files and folders, which it quotes itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import resources
from itertools import islice
from pathlib import Path

NAME = "mmidd"
VARIABLE = "_MMIDD_COMPLETE"
OPTIONS = ("--install-completion", "--show-completion")
_HARMLESS = re.compile(r"[\w./@%+,=-]+")
_MOST = 10_000
"""Of a folder at most so many entries are looked at: a Tab should not wait for a million files."""


def recipes(incomplete: str) -> list[str]:
    """Bundled recipes, and recipe files in the folder that is being typed. Of folders none where no recipe fits: the shell
    has better words for these."""
    bundled = sorted(
        entry.name.removesuffix(".yaml")
        for entry in resources.files("mmidd.pipelines").iterdir()
        if entry.name.endswith(".yaml")
    )
    found = [name for name in bundled if name.startswith(incomplete)]
    files, folders = _beside(incomplete)
    return found + files + folders if found or files else []


def _beside(incomplete: str) -> tuple[list[str], list[str]]:
    """Recipe files and folders (with a slash) that what is typed may become."""
    head, slash, start = incomplete.rpartition("/")
    files, folders = [], []
    try:
        with os.scandir(os.path.expanduser(head + slash) or ".") as listed:  # noqa: PTH111
            for entry in islice(listed, _MOST):
                hidden = entry.name.startswith(".") and not start.startswith(".")
                if hidden or not entry.name.startswith(start) or not _HARMLESS.fullmatch(entry.name):
                    continue
                if entry.is_dir():
                    folders.append(f"{head}{slash}{entry.name}/")
                elif entry.name.endswith((".yaml", ".yml")):
                    files.append(f"{head}{slash}{entry.name}")
    except OSError:
        return [], []
    return sorted(files), sorted(folders)


def datasets(incomplete: str) -> list[str]:
    """Datasets by name, or by slug where a shell would have to quote the name, or where a slug is being typed."""
    found = []
    for name, slug in _known():
        fits = [each for each in (name, slug) if each.startswith(incomplete) and _HARMLESS.fullmatch(each)]
        found += fits[:1]
    return sorted(found)


def audits(incomplete: str) -> list[str]:
    """The audits that `mmidd audit --only` takes."""
    return [name for name in ("captions",) if name.startswith(incomplete)]


def exporters(incomplete: str) -> list[str]:
    """The layouts that `mmidd export --to` takes, other packages' too."""
    from mmidd.share.export.protocol import EXPORTERS

    return sorted(name for name in EXPORTERS.names() if name.startswith(incomplete) and _HARMLESS.fullmatch(name))


def detectors(incomplete: str) -> list[str]:
    """The reference detectors, other packages' too."""
    from mmidd.detectors.registry import REFERENCE_DETECTORS

    return sorted(name for name in REFERENCE_DETECTORS.names() if name.startswith(incomplete) and _HARMLESS.fullmatch(name))


def presets(incomplete: str) -> list[str]:
    """The presets that every reference detector has."""
    return [name for name in ("paper", "small", "tiny") if name.startswith(incomplete)]


def importers(incomplete: str) -> list[str]:
    """What `mmidd import` takes."""
    return [name for name in ("csv", "deepfakebench") if name.startswith(incomplete)]


def _known() -> Iterator[tuple[str, str]]:
    """Name and slug of every manifest, by the lines that say them."""
    places = [*resources.files("mmidd.manifests").iterdir()]
    with suppress(OSError, KeyError):
        places += [*Path(os.environ["MMIDD_MANIFESTS"]).iterdir()]
    for place in places:
        if place.name.endswith(".yaml"):
            try:
                text = place.read_bytes()[:4096].decode(errors="replace")
            except OSError:
                continue
            name, slug = (re.search(rf"^{key}:[ \t]*(.*?)[ \t]*$", text, re.MULTILINE) for key in ("name", "slug"))
            if name and slug:
                yield name[1].strip("'\""), slug[1].strip("'\"")


def undetected(arguments: Sequence[str]) -> list[str]:
    """What to do where it could not be told which shell this is."""
    if not arguments or arguments[0] not in OPTIONS:
        return []
    return [
        "it could not be told which shell this is, or it is one that has no completion here; for bash put the line "
        f'eval "$({VARIABLE}=source_bash {NAME})" into ~/.bashrc, for zsh the same with source_zsh into ~/.zshrc, for fish '
        f"{VARIABLE}=source_fish {NAME} | source into ~/.config/fish/config.fish"
    ]
