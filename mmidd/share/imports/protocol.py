"""What an importer is, and which there are: a new one is one file with an `IMPORTER`, and one row here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from mmidd.errors import UsageError
from mmidd.findings import Finding
from mmidd.manifest.accounting import Label, Split
from mmidd.manifest.methods import ForgeryType
from mmidd.media import FaceMode, Kind
from mmidd.registry import Registry, Row

if TYPE_CHECKING:
    from mmidd.share.imports.root import File, Root

IMPORTERS: Registry[None] = Registry(
    "importer",
    "mmidd.importers",
    "IMPORTER",
    (
        Row("deepfakebench", "mmidd.share.imports.deepfakebench", "frame folders by DeepfakeBench's JSON lists", None),
        Row("csv", "mmidd.share.imports.listed", "images, videos or folders of frames by a table of labels", None),
    ),
)

Key = tuple[str, ...]
"""What a list calls a medium; its real is named by it."""

LOST = frozenset(
    {
        "missing file", "refused path", "unreadable image", "empty file", "ambiguous place", "no frame number",
        "second frame of a number", "no frames", "two labels", "two methods", "bad entry", "contradicting rows",
        "changed file",
    }
)  # fmt: skip
"""Findings by which something that is listed was not imported. All others were settled as they say, and nothing is lost."""


@dataclass(frozen=True)
class Choices:
    """What whoever imports says. `labels` and `types` are what NAME=real|fake and NAME=FS|FR|EFS|FE said of names that
    nobody knows; `link` makes hard links instead of copies."""

    name: str
    faces: FaceMode | None = None
    licence: str = "other"
    labels: Mapping[str, Label] = field(default_factory=dict)
    types: Mapping[str, ForgeryType] = field(default_factory=dict)
    link: bool = False


@dataclass(slots=True)
class Item:
    """One medium of a list. `files` are its frames by number; an image or a video is one file under 0. `group` and `name`
    are what its place here is named after, `original` is where the list says it is. `type` is what the list says of the
    method. `join`: do its identities keep media together? `pair` is the key of the real that it was made from."""

    key: Key
    group: str
    name: str
    kind: Kind
    label: Label
    original: str
    files: dict[int, File]
    masks: dict[int, File] = field(default_factory=dict)
    compression: str | None = None
    method: str | None = None
    type: ForgeryType | None = None
    target: str | None = None
    source: str | None = None
    split: Split | None = None
    pair: Key | None = None
    join: bool = False

    @property
    def place(self) -> str:
        """How messages and findings name it."""
        return "/".join(self.key)


@dataclass
class Notes:
    """Everything that somebody has to be told, in order; `mapped` counts the files by what was left out of their paths."""

    findings: list[Finding] = field(default_factory=list)
    mapped: Counter[str] = field(default_factory=Counter)

    def add(self, check: str, what: str, *where: str) -> None:
        """Something was found: of which kind, what it is, and of which medium or path."""
        self.findings.append(Finding(check, what, where))

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind."""
        return dict(sorted(Counter(each.check for each in self.findings).items()))

    @property
    def lost(self) -> int:
        """How many findings say that something was not imported."""
        return sum(each.check in LOST for each in self.findings)


@dataclass(frozen=True)
class Importer:
    """One kind of import: reads lists, finds their files below a root, and says what each medium is.

    `read` raises DataError for lists that are none of this kind, UsageError for names that need a choice. `faces` is how
    faces are had where nobody says it. `version` is raised when it reads otherwise.
    """

    read: Callable[[Sequence[Path], Root, Choices, Notes], list[Item]]
    faces: FaceMode
    version: int = 1


def importer(name: str) -> Importer:
    """The importer of this name. Raises UsageError for none, PluginError for another package's that does not work."""
    if name not in IMPORTERS:
        raise UsageError(f"there is no importer {name!r}; there are: {', '.join(sorted(IMPORTERS.names()))}")
    return IMPORTERS.load(name, Importer)


Known = tuple[Literal["real", "fake"], str | None, ForgeryType | None]
"""What a label name says: real or fake, by which method, of which type."""


def labels_of(words: Sequence[str]) -> dict[str, Label]:
    """What `--label NAME=real|fake` said. Raises UsageError for anything else."""
    return {name: cast("Label", said) for name, said in _said("--label", words, ("real", "fake"))}


def types_of(words: Sequence[str]) -> dict[str, ForgeryType]:
    """What `--method NAME=FS|FR|EFS|FE` said. Raises UsageError for anything else."""
    return {name: cast("ForgeryType", said) for name, said in _said("--method", words, ("FS", "FR", "EFS", "FE"))}


def _said(option: str, words: Sequence[str], allowed: Sequence[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        name, _, said = word.rpartition("=")
        if not name or said not in allowed:
            raise UsageError(f"{option} takes NAME=VALUE with one of {', '.join(allowed)}; got {word!r}")
        yield name, said
