"""Which of a user's files is which medium: by path, by digest, in folders and in archives."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import fsspec
import pytest

from mmidd.errors import DataError, ShareError, UsageError
from mmidd.raw.cache import Cache
from mmidd.raw.path import root_of
from mmidd.share.rehydrate.finding import find
from rehydrate.folders import (
    BOTH,
    CLIP,
    DF40,
    FAKE,
    FF,
    FILES,
    FRAMES,
    REAL,
    below,
    bytes_of,
    look,
    put,
    said,
    tarred,
    wanted,
    wanted_clip,
    zipped,
)

Form = Callable[[Mapping[str, bytes]], Mapping[str, bytes]]

AT_ITS_PATH: dict[str, Form] = {
    "the official folder": lambda files: below(FF, files),
    "another accepted name of it": lambda files: below("faceforensics++", files),
    "a zip in it": lambda files: {f"{FF}/download.zip": zipped(files)},
    "a tar in it": lambda files: {f"{FF}/download.tar": tarred(files)},
    "a compressed tar in it, a folder too deep": lambda files: {f"{FF}/x.tar.gz": tarred(below(FF, files), "w:gz")},
    "a folder too deep": lambda files: below(FF, below(FF, files)),
}
ELSEWHERE: dict[str, Form] = {
    "other names": lambda files: {f"mine/{number}.bin": data for number, data in enumerate(files.values())},
    "names of each other": lambda files: below(FF, dict(zip(files, reversed(list(files.values())), strict=True))),
    "another folder, with the layout": lambda files: below("downloads/of may", files),
    "the data root itself": lambda files: {Path(path).name: data for path, data in files.items()},
    "a zip beside the folders": lambda files: {"ff.zip": zipped(below("a/b", files))},
    "a tar beside them": lambda files: {"some/ff.tar": tarred(files)},
    "a compressed tar beside them": lambda files: {"ff.tgz": tarred(files, "w:gz")},
    "another dataset's folder": lambda files: below("DFDC", {f"x/{Path(path).name}": files[path] for path in files}),
    "one here, one in an archive": lambda files: {"a": files[FAKE], "b/c.zip": zipped({"d": files[REAL]})},
}


@pytest.mark.parametrize("form", AT_ITS_PATH.values(), ids=AT_ITS_PATH)
def test_a_medium_is_found_where_a_build_finds_it_and_no_file_is_read(form: Form, tmp_path: Path) -> None:
    put(tmp_path / "data", form(FILES))
    found = look(tmp_path, *BOTH)
    assert said(found) == dict.fromkeys(FILES, ("path", None))
    assert (found.lost, found.hashed, found.notes) == ((), (0, 0), ())
    assert {each.wanted.name[1]: bytes_of(each.file) for each in found.media} == FILES


@pytest.mark.parametrize("form", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_medium_that_lies_elsewhere_is_found_by_its_digest(form: Form, tmp_path: Path) -> None:
    put(tmp_path / "data", form(FILES))
    found = look(tmp_path, *BOTH)
    assert said(found) == dict.fromkeys(FILES, ("digest", True)) and not found.lost
    assert {each.wanted.name[1]: bytes_of(each.file) for each in found.media} == FILES


@pytest.mark.parametrize("form", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_second_run_reads_no_file_and_finds_the_same(form: Form, tmp_path: Path) -> None:
    put(tmp_path / "data", form(FILES))
    first, second = look(tmp_path, *BOTH), look(tmp_path, *BOTH)
    assert first.hashed[0] >= 2 and second.hashed == (0, 0) and second.media == first.media


FRAME_FORMS: dict[str, tuple[Form, str]] = {
    "at their path": (lambda frames: below(DF40, frames), "path"),
    "in a zip": (lambda frames: {f"{DF40}/simswap.zip": zipped(frames)}, "path"),
    "a renamed folder": (lambda frames: {f"x/{Path(path).name}": data for path, data in frames.items()}, "digest"),
    "a folder of a tar": (lambda frames: {"x.tar": tarred({f"y/{Path(p).name}": frames[p] for p in frames})}, "digest"),
    "of a compressed tar": (lambda frames: {"x.tar.gz": tarred(below("deep/er", frames), "w:gz")}, "digest"),
}


@pytest.mark.parametrize(("form", "by"), FRAME_FORMS.values(), ids=FRAME_FORMS)
def test_a_folder_of_frames_is_found_as_one(form: Form, by: str, tmp_path: Path) -> None:
    put(tmp_path / "data", form(FRAMES))
    (one,) = look(tmp_path, wanted_clip()).media
    assert (one.by, one.same, one.file.numbers) == (by, True if by == "digest" else None, [0, 1, 2])
    assert bytes_of(one.file) == b"".join(FRAMES.values())


def test_frames_whose_files_have_other_names_are_another_folder(tmp_path: Path) -> None:
    put(tmp_path / "data", {f"x/a{Path(path).name}": data for path, data in FRAMES.items()})
    assert look(tmp_path, wanted_clip()).media == ()


def test_only_what_has_a_wanted_size_is_read(tmp_path: Path) -> None:
    files = {
        "mine/0": FILES[FAKE],
        "mine/1": b"another size",
        "mine/2": FILES[FAKE][::-1],
        "mine/x.zip": zipped({"a": b"b"}),
    }
    put(tmp_path / "data", files)
    found = look(tmp_path, BOTH[0])
    assert found.hashed == (2, 2 * len(FILES[FAKE])) and found.media[0].file.name == "mine/0"


def test_a_redownload_with_other_bytes_is_given_and_told(tmp_path: Path) -> None:
    put(tmp_path / "data", below(FF, {**FILES, FAKE: b"made again: a longer file"}))
    found = look(tmp_path, *BOTH)
    assert said(found) == {FAKE: ("path", False), REAL: ("path", None)} and not found.lost
    assert bytes_of(found.media[0].file) == b"made again: a longer file"


def test_the_right_bytes_elsewhere_are_better_than_others_at_the_path(tmp_path: Path) -> None:
    put(tmp_path / "data", {**below(FF, {**FILES, FAKE: b"made again"}), "old/copy.mp4": FILES[FAKE]})
    found = look(tmp_path, *BOTH)
    assert said(found) == {FAKE: ("digest", True), REAL: ("path", None)}
    assert found.media[0].file.name == "old/copy.mp4"


def test_equal_sizes_and_other_bytes_are_seen_where_all_are_read_or_somebody_did(tmp_path: Path) -> None:
    data = put(tmp_path / "data", below(FF, {**FILES, FAKE: FILES[FAKE][::-1]}))
    found = look(tmp_path, *BOTH)
    assert said(found)[FAKE] == ("path", None)
    assert said(look(tmp_path, *BOTH, read_all=True)) == {FAKE: ("path", False), REAL: ("path", True)}
    assert said(look(tmp_path, *BOTH)) == {FAKE: ("path", False), REAL: ("path", True)}, "it is known by now"
    put(data, {"copy": FILES[FAKE]})
    assert said(look(tmp_path, *BOTH))[FAKE] == ("digest", True)


def test_who_reads_a_file_tells_the_next_run(tmp_path: Path) -> None:
    put(tmp_path / "data", below(FF, FILES))
    found = look(tmp_path, *BOTH)
    for each in found.media:
        found.digests.put(each.file, each.wanted.sha256)
    assert said(look(tmp_path, *BOTH)) == dict.fromkeys(FILES, ("path", True))


def test_media_of_a_redacted_publication_are_found_by_digest_alone(tmp_path: Path) -> None:
    put(tmp_path / "data", below(FF, FILES))
    names = {f"m/{data.hex()[:32]}": data for data in FILES.values()}
    found = look(tmp_path, *(wanted(FF, name, data) for name, data in names.items()))
    assert said(found) == dict.fromkeys(names, ("digest", True)) and not found.lost


def test_two_media_of_the_same_bytes_need_one_file(tmp_path: Path) -> None:
    put(tmp_path / "data", below(FF, {REAL: b"one"}))
    found = look(tmp_path, wanted(FF, FAKE, b"one"), wanted(FF, REAL, b"one"))
    assert said(found) == {FAKE: ("digest", None), REAL: ("path", None)} and found.hashed == (0, 0)
    assert found.media[0].file == found.media[1].file


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["b/1", "a/2"], "a/2"),
        (["a/1.mp4", "z/000_003.mp4"], "z/000_003.mp4"),
        (["a/000_003.mp4", f"z/{FAKE}"], f"z/{FAKE}"),
    ],
)
def test_of_two_files_with_the_bytes_the_one_with_the_name_is_taken_then_the_first(
    names: list[str], taken: str, tmp_path: Path
) -> None:
    put(tmp_path / "data", dict.fromkeys(names, FILES[FAKE]))
    assert [each.file.name for each in look(tmp_path, BOTH[0]).media] == [taken]


def test_a_medium_that_is_wanted_twice_is_found_once_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "data", below(FF, FILES))
    assert len(look(tmp_path, BOTH[0], BOTH[0]).media) == 1
    with pytest.raises(ShareError, match="wanted twice"):
        look(tmp_path, BOTH[0], wanted(FF, BOTH[0].name[1], b"others"))


def test_half_of_the_datasets_is_found_and_the_rest_told(tmp_path: Path) -> None:
    put(tmp_path / "data", below(FF, FILES))
    found = look(tmp_path, *BOTH, wanted_clip(), wanted("no such dataset", "a.mp4", b"x"))
    assert said(found) == dict.fromkeys(FILES, ("path", None))
    assert [(each.wanted.name[0], each.why) for each in found.lost] == [
        (DF40, "not there"),
        ("no such dataset", "not there"),
    ]
    assert dict(found.folders) == {DF40: None, FF: FF, "no such dataset": None}
    assert any("no such dataset: this mmidd has no manifest" in note for note in found.notes)


def test_media_with_their_pixels_in_the_publication_are_not_looked_for(tmp_path: Path) -> None:
    put(tmp_path / "data", {"x": b"y"})
    one = wanted(FF, FAKE, b"z")
    kept = type(one)(one.name, one.kind, one.bytes, one.sha256, one.rows, one.mask, pixels=True)
    found = look(tmp_path, kept)
    assert (found.media, found.lost, found.hashed) == ((), (), (0, 0))


def test_another_manifest_than_the_corpus_was_built_with_is_told(tmp_path: Path) -> None:
    put(tmp_path / "data", below(FF, FILES))
    found = find(BOTH, tmp_path / "data", tmp_path / "work", built_with={FF: "0" * 64})
    assert [note.partition(";")[0] for note in found.notes] == [f"{FF}: the corpus was built with another manifest"]


def test_links_are_followed_as_a_build_follows_them(tmp_path: Path) -> None:
    away = put(tmp_path / "away", {**below(FF, FILES), "secret": b"s" * 99})
    data = put(tmp_path / "data", {"mine/x": b"y"})
    (data / "mine/link").symlink_to(away / "secret")
    (data / "folder").symlink_to(away)
    secret = wanted(FF, "a.mp4", b"s" * 99)
    assert look(tmp_path, *BOTH, secret).media == (), "no link out of the data root is followed"
    (data / FF).symlink_to(away / FF)
    assert said(look(tmp_path, *BOTH, secret)) == dict.fromkeys(FILES, ("path", None)), "a dataset's folder may be a link"
    (data / FF).unlink()
    (data / "mine/link").unlink()
    (data / "mine/link").symlink_to(data / "mine/x")
    assert said(look(tmp_path, wanted(FF, "b.mp4", b"y"))) == {"b.mp4": ("digest", True)}, "a link within is"


def test_a_link_at_a_mediums_path_that_leads_away_is_told_as_the_reason(tmp_path: Path) -> None:
    away = put(tmp_path / "away", {"fake.mp4": FILES[FAKE]})
    data = put(tmp_path / "data", below(FF, {REAL: FILES[REAL]}))
    (data / FF / FAKE).parent.mkdir(parents=True)
    (data / FF / FAKE).symlink_to(away / "fake.mp4")
    found = look(tmp_path, *BOTH)
    assert [each.why for each in found.lost] == ["refused: link that leaves the dataset's root"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_told_and_found_when_it_can(tmp_path: Path) -> None:
    data = put(tmp_path / "data", {"mine/x": FILES[FAKE]})
    (data / "mine/x").chmod(0)
    found = look(tmp_path, BOTH[0])
    assert len(found.lost) == 1 and found.notes == (
        "1 file of a wanted size could not be read: mine/x (cannot be read: Permission denied)",
    )
    (data / "mine/x").chmod(0o600)
    assert said(look(tmp_path, BOTH[0])) == {BOTH[0].name[1]: ("digest", True)}


def test_a_damaged_archive_is_told_and_stops_nothing(tmp_path: Path) -> None:
    broken = bytearray(tarred(FILES, "w:gz"))[:-20]
    put(tmp_path / "data", {"a.tar.gz": bytes(broken), "b.zip": b"no zip", "mine/x": FILES[FAKE]})
    found = look(tmp_path, *BOTH)
    assert list(said(found)) == [FAKE] and [each.wanted.name[1] for each in found.lost] == [REAL]
    assert found.notes[0].startswith("2 files could not be looked into: a.tar.gz (") and "b.zip (" in found.notes[0]


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    data = put(tmp_path / "data", {"mine/x": FILES[FAKE]})
    assert look(tmp_path, BOTH[0]).lost == ()
    about = (data / "mine/x").stat()
    (data / "mine/x").write_bytes(FILES[FAKE][::-1])
    os.utime(data / "mine/x", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert len(look(tmp_path, BOTH[0]).lost) == 1, "its change time is not that of what was read"


def test_a_data_root_that_is_none_and_a_work_folder_in_it_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        look(tmp_path, *BOTH)
    data = put(tmp_path / "data", below(FF, FILES))
    with pytest.raises(UsageError, match="inside the data root"):
        find(BOTH, data, data / "work")
    with pytest.raises(UsageError, match="inside the work folder"):
        find(BOTH, data, tmp_path)
    put(data, below("faceforensics++", FILES))
    with pytest.raises(DataError, match="twice"):
        look(tmp_path, *BOTH)


def test_nothing_is_written_beside_the_work_folder(tmp_path: Path) -> None:
    put(tmp_path / "data", {"a.zip": zipped(FILES), "b.tar.gz": tarred(FRAMES, "w:gz")})
    before = sorted(path for path in (tmp_path / "data").rglob("*"))
    look(tmp_path, *BOTH, wanted_clip())
    assert sorted((tmp_path / "data").rglob("*")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "work"]
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["archives", "digests"]


def test_an_object_store_is_searched_as_a_disk_is(tmp_path: Path) -> None:
    files = {
        **below(FF, {REAL: FILES[REAL]}), **below("x", {Path(path).name: data for path, data in FRAMES.items()}),
        "a/b.zip": zipped({"c.mp4": FILES[FAKE]}), "loose": b"loose one", "y.tar.gz": tarred({"k": b"packed"}, "w:gz"),
    }  # fmt: skip
    memory = fsspec.filesystem("memory")
    for name, data in files.items():
        memory.pipe(f"/found/{name}", data)
    asked = [*BOTH, wanted_clip(), wanted(FF, "l.mp4", b"loose one"), wanted(FF, "p.mp4", b"packed")]
    try:
        for hashed in (4, 0):
            found = find(asked, root_of("memory://found", Cache.of(tmp_path / "work")), tmp_path / "work")
            assert {name for name, how in said(found).items() if how == ("path", None)} == {REAL}
            assert not found.lost and found.hashed[0] == hashed
        assert bytes_of(found.media[0].file) == b"".join(FRAMES.values())
    finally:
        memory.rm("/found", recursive=True)


def test_a_clip_with_a_frame_too_few_is_given_as_other_bytes(tmp_path: Path) -> None:
    put(tmp_path / "data", below(DF40, dict(list(FRAMES.items())[:2])))
    (one,) = look(tmp_path, wanted_clip()).media
    assert (one.wanted.name[1], one.by, one.same, one.file.numbers) == (CLIP, "path", False, [0, 1])
