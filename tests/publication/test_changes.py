from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from corpus import made

from mmidd.corpus.read import Corpus
from mmidd.share.publication.changes import changelog, changes
from mmidd.share.publication.stage import Staged, stage

from . import sound

SHARDS = ("train-alpha", "train-beta")


def staged(corpus: Corpus, out: Path, **more: object) -> Staged:
    return stage(corpus, out, name="lab/faces", manifests=sound.manifests(), workers=0, **more)  # type: ignore[arg-type]


def of(shard: str, do: Callable[[sound.Rows], object]) -> Callable[[str, sound.Rows], None]:
    def change(name: str, rows: sound.Rows) -> None:
        if name == shard:
            do(rows)

    return change


CHANGES: dict[str, tuple[Callable[[str, sound.Rows], None], list[tuple[str, int, int, int, int, int]]]] = {
    "nothing": (lambda shard, rows: None, []),
    "a row goes": (of("train-beta", lambda rows: rows.pop()), [("Beta", 0, 1, 0, 1, 0)]),
    "a column": (of("train-alpha", lambda rows: rows[1].update(sharpness=3.0)), [("Alpha", 0, 0, 1, 0, 0)]),
    "an image": (of("train-beta", lambda rows: rows[0].update(image=made.picture(99, "PNG"))), [("Beta", 0, 0, 1, 0, 0)]),
    "a mask": (of("train-beta", lambda rows: rows[1].update(mask=None)), [("Beta", 0, 0, 1, 0, 0)]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_changes_are_counted_by_dataset(what: str, tmp_path: Path) -> None:
    change, wanted = CHANGES[what]
    staged(sound.corpus(tmp_path / "old", shards=SHARDS), tmp_path / "out")
    found = staged(sound.corpus(tmp_path / "new", change, SHARDS), tmp_path / "out")
    assert [tuple(each.values()) for each in found.publication.changes if found.publication.version == 2] == wanted
    assert found.publication.version == (2 if wanted else 1)


def test_a_takedown_is_told_from_what_is_only_gone(tmp_path: Path) -> None:
    def gone(shard: str, rows: sound.Rows) -> None:
        if shard == "train-beta":
            del rows[5:]

    staged(sound.corpus(tmp_path / "old", shards=SHARDS), tmp_path / "out")
    down = [sound.lost("Beta", "train-beta/person6.mp4", "excluded")]
    found = staged(sound.corpus(tmp_path / "new", gone, SHARDS, down), tmp_path / "out").publication
    assert [tuple(each.values()) for each in found.changes] == [("Beta", 0, 2, 0, 2, 1)]
    text = (tmp_path / "out" / "CHANGELOG.md").read_text()
    assert text.index("## Version 2") < text.index("## Version 1") and text.count("## Version") == 2
    assert "| Beta | 0 | 2 | 0 | 2 | 1 |" in text


def test_pixels_that_go_no_more_are_no_change_of_rows(tmp_path: Path) -> None:
    """From one with pixels of all to one of labels alone: a new version, with the same rows."""
    corpus = sound.corpus(tmp_path / "corpus", shards=["train-alpha"])
    first = staged(corpus, tmp_path / "out").publication
    second = staged(corpus, tmp_path / "out", labels_only=True)
    assert first.complete and not second.publication.complete
    assert (second.publication.version, second.publication.changes) == (2, ())
    assert changes(second.opened, None)[0]["added"] == made.ROWS
    assert "No row changed." in (tmp_path / "out" / "CHANGELOG.md").read_text()


def test_the_version_before_may_lie_elsewhere(tmp_path: Path) -> None:
    """As the main of a repository does: whatever the folder holds, versions are counted from that."""
    corpus = sound.corpus(tmp_path / "corpus", shards=SHARDS)
    main = staged(corpus, tmp_path / "main")
    same = staged(corpus, tmp_path / "out", previous=main.opened)
    assert same.digest == main.digest
    newer = sound.corpus(tmp_path / "newer", of("train-alpha", lambda rows: rows.pop()), SHARDS)
    for _ in range(2):  # again: the folder holds it by then
        second = staged(newer, tmp_path / "out", previous=main.opened)
        assert second.publication.version == 2
    assert not second.changed
    assert staged(newer, tmp_path / "out", previous=None).publication.version == 1


def test_a_changelog_shows_names_as_they_are(tmp_path: Path) -> None:
    base = staged(sound.corpus(tmp_path / "corpus", shards=SHARDS), tmp_path / "out").publication
    hostile = replace(base, changes=({"dataset": "a|b <script>\n# c", "added": 1},))
    text = changelog(hostile, None).decode()
    assert "<script>" not in text and "\n# c" not in text and "a\\|b" in text


def test_of_a_first_version_no_row_is_read(tmp_path: Path) -> None:
    found = staged(sound.corpus(tmp_path / "corpus", shards=SHARDS), tmp_path / "out")
    for path in [*(tmp_path / "out" / "labels").iterdir(), *(tmp_path / "out" / "data").iterdir()]:
        path.unlink()
    assert changes(found.opened, None) == found.publication.changes
    assert [(each["dataset"], each["added"]) for each in found.publication.changes] == [
        (name, sum(splits.values())) for name, splits in found.publication.rows.items()
    ]
