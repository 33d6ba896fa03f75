"""What a file is that is none of a dataset's: told by its name, or by its first bytes. One place for all who list.

A folder whose name begins with a dot is a program's (`.git`, `.cache`, `.Trash`, `.snapshot`), as are those that file
managers and network disks make: nothing in it is the dataset's. A file whose name begins with a dot may be anything
(`.gitattributes`), but no frame and no medium.
"""

from __future__ import annotations

import re
from typing import Literal

Sort = Literal["litter", "unfinished"]
"""`litter`: what a program left behind; nobody misses it. `unfinished`: a download that did not end; somebody may."""

UNFINISHED = "an unfinished download: finish it, or remove it"
PART = "a part of an archive in parts: join them, or unpack them"
BESIDE = ".aria2"
"""What aria2 puts behind the name of a file as long as it is not whole."""
HEAD = 512
"""First bytes of a file that `holds` looks at."""
SHORT, SHORT_OBJECTS = range(20, HEAD + 1), range(100, 200)
"""Bytes that a pointer may have; in an object store, where to look costs a request, those that Git LFS's have."""

_FOLDERS = (
    r"__macosx|@eadir|@recycle|@recently-snapshot|#recycle|#snapshot|\$recycle\.bin|system volume information|lost\+found"
    r"|network trash folder|temporary items|__pycache__|\.(?!\.?/)[^/]+"
)
_NAMES = (
    r"\._[^/]*|\.ds_store|(?:eh)?thumbs(?:_vista)?\.db|desktop\.ini|\.directory|\.localized|icon\r|\.apdisk|\.volumeicon\.icns"
    r"|\.fuse_hidden[^/]*|\.nfs[0-9a-f]{8,}|\.smbdelete[^/]*|\.~lock\.[^/]*#|~\$[^/]*|\.#[^/]*|\.[^/]*\.sw[a-p]|\.hidden"
    r"|\.stfolder|\.stignore|\.sync|\.dropbox|\.dropbox\.attr"
)
_LITTER = re.compile(rf"(?:.*/)?(?:(?:{_FOLDERS})/.*|(?:{_NAMES}))", re.IGNORECASE | re.DOTALL)
_UNDONE = re.compile(
    r"(?:.*/)?(?:[^/]+\.(?:(?:download|crdownload)/.*"
    r"|part|partial|crdownload|download|aria2|filepart|tmp|incomplete|opdownload|ytdl|!ut|!qb|!sync|bc!|icloud|part-frag\d+)"
    r"|[^/]+\.(?:mp4|avi|zip|tar|tgz|gz|png|jpe?g)[a-z0-9_]{8}(?:tmp|\.part)"
    r"|\.[^/]+\.[a-z0-9]{6})",
    re.IGNORECASE | re.DOTALL,
)
_PART = re.compile(
    r".+\.(?:z\d{2,3}|(?:zip|tar|tar\.gz|tgz|7z|rar)\.(?:part)?-?(?:\d{1,4}|(?!gz|xz)[a-z]{2})|part\d+\.rar|r\d{2})",
    re.IGNORECASE | re.DOTALL,
)
_POINTERS = (
    (re.compile(rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/"),
     "a Git LFS pointer and not the file: `git lfs pull` gets it"),
    (re.compile(rb"(?:/|(?:\.\./)*\.git/)annex/objects/"),
     "a git-annex pointer and not the file: `git annex get` (or `datalad get`) gets it"),
)  # fmt: skip
_PAGES = (
    (re.compile(rb"(?:<!--.{0,300}?-->\s*)?<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE | re.DOTALL),
     "an HTML page and not the file: the download was answered by a web page; get it again"),
    (re.compile(rb"(?:<\?xml[^>]*>\s*)?<Error>\s*<Code>"),
     "a store's error message and not the file: get it again"),
)  # fmt: skip


def named(path: str) -> Sort | None:
    """What a path's names say; None for what may be the dataset's."""
    if _LITTER.fullmatch(path):
        return "litter"
    return "unfinished" if _UNDONE.fullmatch(path) else None


def is_litter(path: str) -> bool:
    """Did a program leave it behind? Of a folder, ask with a `/` behind its name."""
    return _LITTER.fullmatch(path) is not None


def no_medium(path: str) -> bool:
    """Can it be neither a frame nor a medium, whatever a rule says?"""
    return path.rpartition("/")[2].startswith(".") or named(path) is not None


def whole_name(path: str) -> str:
    """What an unfinished download would be called when it is done."""
    folder, _, name = path.rpartition("/")
    done = re.sub(r"(\.[A-Za-z0-9!-]+|[a-z0-9_]{8}tmp)\Z", "", name).lstrip(".")
    return f"{folder}/{done}" if folder else done


def is_part(path: str) -> bool:
    """Is it called as a part of an archive in parts (`.z01`, `.zip.001`, `.tar.gz.0`, `.part1.rar`)?"""
    return _PART.fullmatch(path) is not None


def pointer(head: bytes) -> str | None:
    """What stands in a file's place, by its first bytes (all of them: it is short); None where it is the file itself."""
    return next((told for pattern, told in _POINTERS if pattern.match(head)), None)


def holds(head: bytes) -> str | None:
    """What a file is instead of what its name says, by its first HEAD bytes; None where nothing is noticed."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return pointer(head) or next((told for pattern, told in _PAGES if pattern.match(text)), None)
