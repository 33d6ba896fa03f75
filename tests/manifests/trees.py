"""Name-only trees: paths of a dataset and the bytes of its label files."""

from __future__ import annotations

from collections.abc import Iterable

from mmidd.manifest import Accounting, Medium, describe, find_manifest

CELEB, CELEB_PP = (
    ("0 Celeb-synthesis/id58_id57_{:04d}.mp4\n", 518),
    ("0 Celeb-synthesis/FaceSwap/GHOST/id58_id57_{:04d}.mp4\n", 5418),
)


def whole(listed: str, more: tuple[str, int] = CELEB) -> str:
    """A test list as long as the official one: rows of other videos stand behind those of `listed`."""
    line, count = more
    lines = [each for each in listed.splitlines(keepends=True) if each.strip()]
    ended = "".join(lines) + ("" if not lines or lines[-1].endswith("\n") else "\n")
    return ended + "".join(line.format(number) for number in range(count - len(lines)))


def account(dataset: str, paths: Iterable[str], labels: dict[str, str | bytes] | None = None) -> Accounting:
    """Describe `paths` and the label files, and check that every path ended in exactly one place."""
    files = {path: text.encode() if isinstance(text, str) else text for path, text in (labels or {}).items()}
    everything = {*paths, *files}
    result = describe(find_manifest(dataset), everything, files.__getitem__)
    media = [medium.media for medium in result.media]
    frames = [path for clip in result.frames.values() for path in clip.values()]
    whole = [name for name in media if name not in result.frames]
    listed = [*whole, *frames, *result.label_files, *(path for path, _ in result.unmatched)]
    assert len(listed) == len(set(listed))
    assert set(listed) <= everything
    assert len(listed) + sum(result.ignored.values()) == len(everything)
    assert media == sorted(media)
    return result


def only(dataset: str, path: str, labels: dict[str, str | bytes] | None = None, *others: str) -> Medium:
    """The one medium that `path` is, or is a frame of, in a tree of it, the label files and `others`."""
    result = account(dataset, [path, *others], labels)
    folder = next((name for name, clip in result.frames.items() if path in clip.values()), path)
    return {medium.media: medium for medium in result.media}[folder]


def fields(medium: Medium, names: Iterable[str]) -> dict[str, object]:
    """Those fields of a medium that a test speaks of."""
    return {name: getattr(medium, name) for name in names}
