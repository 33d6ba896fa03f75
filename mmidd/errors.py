"""The errors mmidd raises on purpose: each says what, where and what to do, and never needs a traceback."""

from __future__ import annotations

import re


class MmiddError(Exception):
    """Base of every error that is meant for the user. `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(MmiddError):
    """The command itself is off: an unknown name, an impossible combination of options."""

    exit_code = 2


class RecipeError(MmiddError):
    """A recipe (or a `--set`) has an unknown key, a wrong type or an impossible value."""


class ManifestError(MmiddError):
    """A dataset manifest, the method registry, or a label file that a manifest names is broken."""


class DataError(MmiddError):
    """The raw data root, or a dataset in it, is missing, empty or unreadable."""


class WorkError(MmiddError):
    """The work folder cannot be used: not writable, disk full, of another kind, held by another build."""


class CorpusError(MmiddError):
    """The output folder is not a corpus, holds something else, or would lose rows."""


class MissingExtra(MmiddError):
    """An optional capability is not installed; the message names the `pip install` to run."""

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(f"{what} needs an extra that is not installed; run: pip install 'mmidd[{extra}]'")
        self.extra, self.what = extra, what

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        return MissingExtra, (self.extra, self.what)  # it crosses from a worker to its parent


class MissingWeights(MmiddError):
    """A model file is not at hand; the message names the three ways out."""


class WrongWeights(MmiddError):
    """A model file is there, but its digest is not the pinned one; it is never used."""


class PluginError(MmiddError):
    """What another package adds to mmidd does not load, is of another kind, or is claimed by two packages."""


class MediaError(Exception):
    """One medium (or one of its frames) cannot be used. Recorded as a failure of that medium, never fatal."""


class UnreadableMedia(MediaError):
    """The bytes are no image or video that can be decoded."""


CHANGED = "the file changed while the build was under way; run it again"


class ChangedMedia(UnreadableMedia):
    """What was decoded is not for certain what was hashed: the file changed meanwhile. Nothing is kept of what was read."""

    def __init__(self, message: str = CHANGED) -> None:
        super().__init__(message)


class EmptyMedia(MediaError):
    """The file has no bytes, or no frame at all."""


class TooLargeMedia(MediaError):
    """Decoding would need more pixels than the limit allows (an image or video bomb)."""


class OutsideRoot(MediaError):
    """The path leaves its dataset's root through `..` or a link."""


class DetectorFault(MediaError):
    """The face detector itself broke on a frame of the medium."""


_PATH = re.compile(r"(?<![\w.])/(?:[^\s/'\":]+/)+")


def sanitised(text: str, limit: int = 200) -> str:
    """A library's error text as it may be stored: one line, no absolute path, no control character, bounded."""
    line = " ".join("".join(c if c.isprintable() else " " for c in _PATH.sub("", text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
