"""Targets that read files: archives, still images, video containers, a corpus from elsewhere."""

from __future__ import annotations

import io
import itertools
import tarfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath

from mmidd.corpus.card import escape
from mmidd.corpus.cells import Cells
from mmidd.corpus.read import Corpus
from mmidd.corpus.verify import Verified, verify
from mmidd.errors import MediaError, sanitised
from mmidd.faces.encode import decode
from mmidd.raw import archives
from mmidd.show import plain
from mmidd.video import open_video
from mmidd.video.reader import CountMismatch, Frame
from mmidd.video.still import FORMATS, read_still

from . import media
from .guard import canary, sandbox
from .mutate import mend_png, mend_tar
from .target import Target, refusing, require

MOST_PIXELS = 2**20
SUFFIX = (".zip", ".tar", ".tgz")
_names = itertools.count()


def run_archive(data: bytes) -> bool:
    """Members lie below the archive, are as long as listed, and hold what Python's own modules find there."""
    if not data:
        return False
    suffix = SUFFIX[data[0] % 3]
    path = sandbox() / f"a{next(_names)}{suffix}"
    path.write_bytes(data[1:])
    try:
        with refusing(family=MediaError) as refused:
            found = archives.contents(path)
        if not refused:
            _check_members(path, found, data[1:])
        return not refused
    finally:
        archives._zip_open.cache_clear()
        path.unlink()


def _check_members(path: Path, found: archives.Contents, data: bytes) -> None:
    names = [member.name for member in found.members]
    require(len(set(names)) == len(names), "a name was listed twice")
    streamed: dict[str, bytes] = {}
    if path.suffix != ".zip":
        with refusing(family=MediaError):
            streamed = dict(archives.stream(path, set(names)))
    for member in found.members:
        parts = PurePosixPath(member.name)
        require(not parts.is_absolute() and ".." not in parts.parts and "\0" not in member.name, f"{member.name!r} leaves")
        require(str(parts) == member.name, f"{member.name!r} is not plain")
        with refusing(family=MediaError) as refused:
            content = archives.read(path, member)
        if refused:
            continue
        require(len(content) == member.bytes, f"{member.name!r} is of another length")
        require(streamed.get(member.name, content) == content, f"{member.name!r} streamed otherwise")
        require(content in _otherwise(path, member.name, data), f"{member.name!r} holds something else")


def _otherwise(path: Path, name: str, data: bytes) -> list[bytes]:
    """What Python's own modules give for a member, under any spelling of its name."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(data)) as made:
            return [made.read(info) for info in made.infolist() if info.filename.endswith(name)]
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as tar:
        files = [tar.extractfile(info) for info in tar if info.name.endswith(name) and info.isreg()]
        return [file.read() for file in files if file is not None]


def run_still(data: bytes) -> bool:
    """An image that is taken is upright RGB within the limit."""
    with refusing(family=MediaError) as refused:
        found = read_still(data, max_pixels=MOST_PIXELS)
    if refused:
        return False
    height, width, channels = found.image.shape
    require(channels == 3 and found.image.dtype == "uint8" and 0 < height * width <= MOST_PIXELS, f"{found.image.shape}")
    require(found.codec.upper() in FORMATS and found.frames >= 1, f"{found.codec}, {found.frames} frames")
    require(found.jpeg_quality is None or (found.codec in ("jpeg", "tiff") and 1 <= found.jpeg_quality <= 100), "quality")
    require(found.image.flags.c_contiguous, "not contiguous")
    return True


def run_crop(data: bytes) -> bool:
    """A crop that is taken has the size that its header states, and OpenCV reads the same file."""
    with refusing(family=MediaError) as refused:
        image = decode(data)
    if refused:
        return False
    require(image.ndim == 3 and image.shape[2] == 3 and image.dtype == "uint8", f"{image.shape}")
    return True


def run_video(data: bytes) -> bool:
    """Every frame that was promised is given once, in order, upright, within the limit; nothing else is opened."""
    path = sandbox() / f"v{next(_names)}.mp4"
    path.write_bytes(data)
    try:
        with refusing(family=MediaError) as refused:
            try:
                _read_clip(path, recount=False)
            except CountMismatch:
                _read_clip(path, recount=True)
        canary().check()
        return not refused
    finally:
        path.unlink()


def _read_clip(path: Path, *, recount: bool) -> None:
    with open_video(path, recount=recount, max_pixels=MOST_PIXELS) as video:
        clip = video.clip
        require(clip.frame_count > 0 and 0 < clip.width * clip.height <= MOST_PIXELS, f"{clip}")
        indices = sorted({*range(min(clip.frame_count, 8)), clip.frame_count - 1})
        found: list[Frame] = []
        for frame in video.frames(indices):
            found.append(frame)
            if frame.picture is not None:
                image = frame.image
                require(image is not None and image.shape[2] == 3 and image.shape[0] * image.shape[1] <= MOST_PIXELS, "size")
            else:
                require(frame.lost is not None, "a frame is lost without a reason")
        require([frame.index for frame in found] == indices, f"asked for {indices}, got {[f.index for f in found]}")


@cache
def _corpus() -> tuple[Path, Mapping[str, bytes], Verified]:
    """A corpus, its files, and what `verify` says of them unchanged (it is too small to be complete)."""
    folder = sandbox() / "corpus"
    files = media.corpus(folder)
    (folder / media.ABOUT).write_bytes(files[media.ABOUT])
    return folder, files, verify(folder)


def corpus_seeds() -> Mapping[str, bytes]:
    """Each of the files, under a first byte that says which and whether it is signed anew."""
    _, files, _ = _corpus()
    return {f"{place}-{bool(signed)}": bytes([place | signed]) + files[name]
            for place, name in enumerate(sorted(files)) for signed in (0, 128)}  # fmt: skip


def run_corpus(data: bytes) -> bool:
    """A changed file is found; if the forger signs it anew, checking still ends in findings or none, and in nothing else.
    `Corpus` reads all of it or refuses."""
    if not data:
        return False
    folder, sound, before = _corpus()
    name = sorted(sound)[(data[0] & 127) % len(sound)]
    files = {**sound, name: data[1:]}
    if data[0] & 128 and name != media.ABOUT:
        files = dict(media.sign({each: files[each] for each in files if each != media.ABOUT}))
    for each in {name, media.ABOUT}:
        (folder / each).write_bytes(files[each])
    try:
        with refusing("corpus") as refused:
            found = verify(folder)
        if not refused:
            for finding in found.findings:
                require(bool(finding.what) and len(finding.what) < 10_000, "a finding that says nothing, or too much")
            if not data[0] & 128 and name != media.ABOUT:
                require((found == before) == (files[name] == sound[name]), f"{name} was changed: {found.findings}")
        with refusing("corpus", "media.parquet"):
            opened = Corpus(folder)
            rows = opened.rows(opened.columns)
            require(rows.num_rows == len(opened) == sum(len(batch) for _, batch in opened.batches(["id"])), "other rows")
            require(all(picture.ndim == 3 for _, picture in opened.images(decode=True)), "an image of another shape")
            cells = Cells(opened)
            alone = [cells.read(row) for row in range(len(opened))]
            require(alone == [picture for _, picture in opened.images()], "an image by itself is another")
            masks = [picture and picture["bytes"] for picture in opened.rows(["mask"])["mask"].to_pylist()]
            require([cells.read(row, "mask") for row in range(len(opened))] == masks, "a mask by itself is another")
            require(opened.media.num_rows >= 0 and bool(opened._repr_html_()), "no media")
        return not refused
    finally:
        for each in {name, media.ABOUT}:
            (folder / each).write_bytes(sound[each])


def run_names(data: bytes) -> bool:
    """A name is shown without control characters, and Markdown shows it as the text it is."""
    from markdown_it import MarkdownIt
    from rich.console import Console
    from rich.table import Table

    name = data.decode("utf-8", "surrogateescape")
    shown = plain(name)
    console = Console(file=io.StringIO(), force_terminal=True, width=10_000, color_system=None, highlight=False, emoji=False)
    console.print(f"x {shown} y")
    table = Table(shown, box=None)
    console.print(table)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    whole = "".join(c if c.isprintable() else "?" for c in name)  # rich doubles backslashes at the end
    require(said.startswith("x " + whole.rstrip("\\")), f"{whole!r} is shown as {said!r:.200}")
    require(all(c.isprintable() or c == "\n" for c in said), f"control characters in {said!r:.200}")
    require(sanitised(name).isprintable() and len(sanitised(name)) <= 200, "sanitised is not")
    text = escape(name)
    tokens = MarkdownIt("commonmark").enable("table").parse(f"| head |\n| --- |\n| {text} |\n")
    cells = [token for token in tokens if token.type == "inline"]
    want = " ".join("".join(c for c in name if c.isprintable() or c in "\n\r").split())
    told = "".join(child.content for child in (cells[1].children or []) if child.type in ("text", "text_special"))
    kinds = {child.type for cell in cells[1:] for child in cell.children or []}
    require(len(cells) == 2 and kinds <= {"text", "text_special"}, f"Markdown of {name!r} has {kinds}")
    require(" ".join(told.split()) == want, f"{name!r} is shown as {told!r}")
    alone = MarkdownIt("commonmark").enable("table").parse(f"{text}\n")
    kinds = {token.type for token in alone}
    require(kinds <= {"paragraph_open", "inline", "paragraph_close"}, f"alone, {name!r} becomes {kinds}")
    return True


def _zip_or_tar(data: bytes) -> bytes:
    return data[:1] + mend_tar(data[1:]) if data[:1] == b"\1" else data


_NAMES = {
    "html": b"<script>alert(1)</script>&lt;b&gt;&#60;", "markdown": b"# a *b* _c_ `d` [e](http://f) | ![g](h) ~~i~~ \\",
    "terminal": b"\x1b[31m\x1b]8;;http://x\x07y\x9b2J", "bidi": "a\u202eb\u2066c\u200bd\ufeff".encode(), "formula": b"=1+1",
    "lines": b"a\nb\rc\x0bd\xe2\x80\xa8e", "list": b"- a", "number": b"1. a", "rule": b"---",
    "code": b"    x", "rich": b"[bold]\\[/]",
    "quote": b"> q", "heading": b"===", "link": b"<http://x>", "table": b"a | b\\",
}  # fmt: skip

TARGETS = (
    Target("archives", run_archive, media.archives, ("mmidd", "tarfile", "zipfile"), (), _zip_or_tar, 16384),
    Target("stills", run_still, media.stills, ("mmidd", "PIL"), (), mend_png, 8192, share=2),
    Target("crops", run_crop, media.stills, ("mmidd", "PIL"), (), mend_png, 8192),
    Target("videos", run_video, media.clips, ("mmidd",), (), None, 16384, share=2),
    Target("corpus", run_corpus, corpus_seeds, ("mmidd",), (), None, 65536),
    Target("names", run_names, lambda: _NAMES, ("mmidd", "markdown_it"), ("&amp;", "<b>", "](", "**", "\x1b[", "![", "|")),
)
