"""The errors mmidd raises on purpose: each says what, where and what to do, and never needs a traceback."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator


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


class RunError(MmiddError):
    """A training run cannot begin or go on: its folder, its data, its numbers or its memory."""


class ScoreError(MmiddError):
    """Scores cannot be taken as they are: out of range, twice, of something else, of another corpus."""


class ShareError(MmiddError):
    """A publication cannot be made, sent, read or rehydrated: rights, licences, a repository that holds something else."""


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
    """A library's error text as a console or a log may show it: one line, few paths, no control character, bounded. What is
    stored or published takes `told`."""
    line = " ".join("".join(c if c.isprintable() else " " for c in _PATH.sub("", text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


_CREDENTIALS = re.compile(r"(?<=://)[^/\s'\"]*@")
_QUERY = re.compile(r"(://[^\s?#'\"]*[?#])[^\s'\"]+")


def without_secrets(text: str) -> str:
    """A text in which addresses hold no user, password, query or fragment any more."""
    return _QUERY.sub(r"\1***", _CREDENTIALS.sub("***@", text))


def told(error: BaseException) -> str:
    """An error's words as they may be stored and published: our own, the system's for its number, else the kind of error
    and the function that it came out of. Never a library's text: it may quote a path, however that is written."""
    module, function = _raiser(error)
    if isinstance(error, MediaError) and module.partition(".")[0] in ("", "mmidd"):
        return sanitised(str(error))
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    return f"unexpected {type(error).__name__}" + (f" in {module}.{function}" if module else "")


def _raiser(error: BaseException) -> tuple[str, str]:
    """The module and the function that raised it, empty if it never was."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "", ""
    return str(trace.tb_frame.f_globals.get("__name__", "?")), trace.tb_frame.f_code.co_name


_NO_MEMORY = re.compile(
    r"bad.alloc|out of memory|(?:not enough|insufficient) memory|(?:malloc|realloc|calloc|mmap) of size"
    r"|(?:can.?t|cannot|failed to|unable to|could not) allocate",
    re.IGNORECASE,
)


def is_memory(error: BaseException) -> bool:
    """Was there too little memory, whatever a library calls that?"""
    return any(
        isinstance(each, MemoryError)
        or (isinstance(each, OSError) and each.errno == errno.ENOMEM)
        or (not isinstance(each, MmiddError | MediaError) and _NO_MEMORY.search(str(each)) is not None)
        for each in causes(error)
    )


def check_memory(error: BaseException) -> None:
    """Raises MemoryError if that is what it was: nothing that is sound may be called damaged for it."""
    if is_memory(error):
        raise MemoryError from error


NO_MEMORY = "there was not enough memory: try fewer --workers, or free some; then run the same command to go on"
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ESTALE: "the network disk lost it",
    errno.EEXIST: "a file is in the way",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "there is a folder of that name",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "its links go round in a circle",
    errno.EFBIG: "the file system takes no file of that size",
    errno.EIO: "the disk reports an error",
    errno.EXDEV: "a folder in it is a file system of its own, and files are moved within one: mount the whole, or none",
    errno.EBUSY: "a file system is mounted right there: choose a folder inside it",
    errno.EMFILE: "too many files are open at once: raise the limit (`ulimit -n 4096`), or use fewer --workers",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: "there was not enough memory",
}
_PASSING = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN)


def reason(error: OSError) -> str | None:
    """What the system did to us, with the way out where there is one; None for what is not known here."""
    return _REASONS.get(error.errno or 0)


def is_passing(error: BaseException) -> bool:
    """Did the system only refuse to hand a file out, which says nothing against the file?"""
    return isinstance(error, OSError) and error.errno in _PASSING


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes, each once."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__
