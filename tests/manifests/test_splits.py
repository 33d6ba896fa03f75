"""Official splits on full-size trees (names only), and the published mistakes that are not repeated."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pytest

from mmidd.manifest import Accounting, Medium, find_manifest

from .trees import account

FF_METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")


def _ff_splits() -> dict[str, list[tuple[str, str]]]:
    """500 pairs in the sizes of the official lists; which clip is paired with which does not matter here."""
    pairs = [(f"{(7 * i) % 1000:03d}", f"{(7 * (i + 500)) % 1000:03d}") for i in range(500)]
    return {"train": pairs[:360], "val": pairs[360:430], "test": pairs[430:]}


def _ff() -> Accounting:
    splits = _ff_splits()
    paths = [f"original_sequences/youtube/{c}/videos/{i:03d}.mp4" for c in ("c23", "c40") for i in range(1000)]
    for a, b in (pair for pairs in splits.values() for pair in pairs):
        for name in (f"{a}_{b}", f"{b}_{a}"):
            paths += [f"manipulated_sequences/{method}/c23/videos/{name}.mp4" for method in FF_METHODS]
    return account("ff++", paths, {f"dataset/splits/{name}.json": json.dumps(splits[name]) for name in splits})


def _components(media: Iterable[Medium]) -> Iterator[list[Medium]]:
    """Media joined by their group keys."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    listed = list(media)
    for medium in listed:
        for key in medium.group_keys:
            parent[root(key)] = root(f"medium/{medium.media}")
    found: dict[str, list[Medium]] = defaultdict(list)
    for medium in listed:
        found[root(f"medium/{medium.media}")].append(medium)
    yield from found.values()


def _check_expected(dataset: str, media: list[Medium]) -> None:
    """Every count that the manifest states holds for a full-size tree of one compression."""
    for each in find_manifest(dataset).expected:
        stated = {name: value for name, value in each.model_dump().items() if name != "count" and value is not None}
        found = sum(all(getattr(medium, name) == value for name, value in stated.items()) for medium in media)
        assert found == each.count, stated


def test_ff_has_720_140_140_in_each_compression_and_method() -> None:
    media = _ff().media
    sizes = {"train": 720, "validation": 140, "test": 140}
    for compression in ("c23", "c40"):
        reals = Counter(m.split for m in media if m.rule == "youtube" and m.compression == compression)
        assert reals == sizes
    for method in FF_METHODS:
        assert Counter(m.split for m in media if m.method == method) == sizes


def test_ff_groups_hold_both_clips_of_a_pair_with_all_their_fakes_and_never_cross_a_split() -> None:
    groups = list(_components(_ff().media))
    assert len(groups) == 500
    assert {len(group) for group in groups} == {2 * 2 + 2 * len(FF_METHODS)}
    assert all(len({medium.split for medium in group}) == 1 for group in groups)


def test_ff_manifest_counts_are_met_by_the_full_release() -> None:
    actors = [f"original_sequences/actors/c23/videos/01__scene{i}.mp4" for i in range(363)]
    swaps = [f"manipulated_sequences/DeepFakeDetection/c23/videos/01_02__scene{i % 363}__{i:08d}.mp4" for i in range(3068)]
    media = [*_ff().media, *account("ff++", [*actors, *swaps]).media]
    _check_expected("ff++", [medium for medium in media if medium.compression == "c23"])


def test_actors_do_not_collapse_into_one_group_and_have_no_official_split() -> None:
    paths = [
        f"manipulated_sequences/DeepFakeDetection/c23/videos/{a:02d}_{b:02d}__kitchen_pan__ABCDEFG{b % 10}.mp4"
        for a in range(1, 29)
        for b in range(1, 29)
        if a != b
    ]
    paths += [f"original_sequences/actors/{c}/videos/{a:02d}__kitchen_pan.mp4" for c in ("c23", "c40") for a in range(1, 29)]
    media = account("ff++", paths).media
    groups = list(_components(media))
    assert len(groups) == 28
    assert {len({medium.target_id for medium in group}) for group in groups} == {1}
    assert {medium.split for medium in media} == {None}


def _celeb() -> tuple[list[str], list[str]]:
    real = [f"Celeb-real/id{i // 10}_{i % 10:04d}.mp4" for i in range(590)]
    youtube = [f"YouTube-real/{i:05d}.mp4" for i in range(300)]
    fake = [
        f"Celeb-synthesis/id{target}_id{(target + step) % 59}_{clip:04d}.mp4"
        for target in range(59)
        for step in range(1, 11)
        for clip in range(10)
    ][:5639]
    tests = [*(f"1 {path}" for path in [*real[:108], *youtube[:70]]), *(f"0 {path}" for path in fake[:340])]
    return [*real, *youtube, *fake], tests


def test_celeb_df_v2_has_its_518_test_videos_and_none_of_them_in_train() -> None:
    paths, tests = _celeb()
    media = account("celebdf_v2", paths, {"List_of_testing_videos.txt": "\n".join(tests)}).media
    by_split = {split: {medium.media for medium in media if medium.split == split} for split in ("train", "test")}
    assert by_split["test"] == {line.split()[1] for line in tests}
    assert len(by_split["test"]) == 518
    assert not by_split["train"] & by_split["test"]
    assert {medium.split for medium in media} == {"train", "test"}
    _check_expected("celebdf_v2", media)


def test_celeb_df_v2_identities_do_not_join_all_clips_into_one_group() -> None:
    paths, tests = _celeb()
    media = account("celebdf_v2", paths, {"List_of_testing_videos.txt": "\n".join(tests)}).media
    assert all(medium.group_keys == () for medium in media)


def test_a_test_list_that_contradicts_the_folders_is_reported_and_labels_nothing() -> None:
    result = account("celebdf_v2", ["Celeb-real/id0_0000.mp4"], {"List_of_testing_videos.txt": "0 Celeb-real/id0_0000.mp4"})
    assert not result.media
    assert result.unmatched == [("Celeb-real/id0_0000.mp4", "tests.label is 'fake', which rule 'Celeb-real' does not take")]


def test_without_the_test_list_no_video_is_called_train() -> None:
    result = account("celebdf_v2", ["Celeb-real/id0_0000.mp4"])
    assert result.media[0].split is None
    assert result.missing_label_files == ["tests: List_of_testing_videos.txt"]


def _celeba() -> Accounting:
    codes = [code for code, size in enumerate((162770, 19867, 19962)) for _ in range(size)]
    names = [f"{index:06d}.jpg" for index in range(1, len(codes) + 1)]
    labels: dict[str, str | bytes] = {
        "list_eval_partition.txt": "".join(f"{name} {code}\n" for name, code in zip(names, codes, strict=True)),
        "identity_CelebA.txt": "".join(f"{name} {index % 10177}\n" for index, name in enumerate(names)),
    }
    return account("celeba", [f"img_align_celeba/{name}" for name in names], labels)


DFFD = {
    "real": {"ffhq": 28703, "celeba": 30000},
    "fake": {
        "faceapp": 18000, "stargan": 79000, "pggan_v1": 20000, "pggan_v2": 20000, "stylegan_celeba": 50336,
        "stylegan_ffhq": 53000,
    },
}  # fmt: skip
"""Sizes of parts; only their sums, 58,703 and 240,336, are published."""


def _dffd(listed: bool) -> Accounting:
    """Half of each class for training, a twentieth for validation, the rest for the test: as folders, or (a tenth of
    all) as lists."""
    paths: list[str] = []
    lists: dict[str, list[str]] = defaultdict(list)
    for label, parts in DFFD.items():
        names = [f"{part}/{number:05d}.png" for part, size in parts.items() for number in range(size)]
        names = names[::10] if listed else names
        train, held = round(len(names) * 0.5), round(len(names) * 0.55)
        for split, chosen in (("train", names[:train]), ("validation", names[train:held]), ("test", names[held:])):
            lists[f"_lists/{split}_{label}.txt"] = chosen
            paths += chosen if listed else [name.replace("/", f"/{split}/") for name in chosen]
    texts: dict[str, str | bytes] = {name: "\n".join(names) for name, names in lists.items()}
    return account("dffd", paths, texts if listed else None)


def _dfdc_preview() -> Accounting:
    rows: dict[str, dict[str, object]] = {}
    for split, people, reals, fakes in (("train", range(40), 855, 3618), ("test", range(40, 66), 276, 501)):
        for number in range(reals):
            person = people[number % len(people)]
            rows[f"original_videos/{person}/{person}_A_{number:03d}.mp4"] = {
                "label": "real", "set": split, "target_id": person, "swapped_id": None,
            }  # fmt: skip
        for number in range(fakes):
            person, donor = people[number % len(people)], people[(number + 1) % len(people)]
            name = f"method_{'AB'[number % 2]}/{person}/{person}_A/{donor}_{person}_A_{number:03d}.mp4"
            rows[name] = {"label": "fake", "set": split, "target_id": person, "swapped_id": donor}
    return account("dfdcp", rows, {"dataset.json": json.dumps(rows)})


def _deeperforensics() -> Accounting:
    names = [f"{clip:03d}_{'MW'[clip % 2]}{clip % 100:03d}.mp4" for clip in range(1000)]
    lists = {"train": names[:703], "val": names[703:799], "test": names[799:]}
    variants = find_manifest("DeeperForensics-1.0").layout.fields["variant"].choices or ()
    labels: dict[str, str | bytes] = {f"lists/splits/{name}.txt": "\n".join(listed) for name, listed in lists.items()}
    return account("DeeperForensics-1.0", [f"manipulated_videos/{v}/{name}" for v in variants for name in names], labels)


def _celeb_v2() -> Accounting:
    paths, tests = _celeb()
    return account("celebdf_v2", paths, {"List_of_testing_videos.txt": "\n".join(tests)})


OFFICIAL: dict[str, tuple[Callable[[], Accounting], list[tuple[str, str, int]]]] = {
    "FaceForensics++": (_ff, [
        ("real", "train", 2 * 720), ("real", "validation", 2 * 140), ("real", "test", 2 * 140),
        ("fake", "train", 5 * 720), ("fake", "validation", 5 * 140), ("fake", "test", 5 * 140),
    ]),
    "Celeb-DF-v2": (_celeb_v2, [
        ("real", "train", 890 - 178), ("real", "test", 178), ("fake", "train", 5639 - 340), ("fake", "test", 340),
    ]),
    "CelebA": (_celeba, [("real", "train", 162770), ("real", "validation", 19867), ("real", "test", 19962)]),
    "DFFD": (partial(_dffd, False), [
        ("real", "train", 29352), ("real", "validation", 2935), ("real", "test", 26416),
        ("fake", "train", 120168), ("fake", "validation", 12017), ("fake", "test", 108151),
    ]),
    "DFDC Preview": (_dfdc_preview, [
        ("real", "train", 855), ("real", "test", 276), ("fake", "train", 3618), ("fake", "test", 501),
    ]),
    "DeeperForensics-1.0": (_deeperforensics, [
        ("fake", "train", 11 * 703), ("fake", "validation", 11 * 96), ("fake", "test", 11 * 201),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_split_is_reproduced_to_the_last_medium(name: str) -> None:
    make, counts = OFFICIAL[name]
    found = make()
    assert Counter((m.label, m.split) for m in found.media) == {(label, split): count for label, split, count in counts}
    assert found.unmatched == [] and found.missing_label_files == []
    if name != "FaceForensics++":  # of which the counts are those of one compression
        _check_expected(name, found.media)
    if name == "CelebA":
        assert len({medium.target_id for medium in found.media}) == 10177


def test_dffd_unpacked_without_folders_of_splits_takes_them_from_its_lists() -> None:
    found = _dffd(listed=True)
    assert Counter((m.label, m.split) for m in found.media) == {
        ("real", "train"): 2936, ("real", "validation"): 293, ("real", "test"): 2642,
        ("fake", "train"): 12017, ("fake", "validation"): 1202, ("fake", "test"): 10815,
    }  # fmt: skip
    assert found.unmatched == [] and found.missing_label_files == []


def test_dfdc_preview_puts_no_person_on_both_sides() -> None:
    groups = _components(_dfdc_preview().media)
    assert all(len({medium.split for medium in group}) == 1 for group in groups)


def test_ffhq_has_60_000_and_10_000() -> None:
    media = account("ffhq", [f"images1024x1024/{i // 1000:02d}000/{i:05d}.png" for i in range(70000)]).media
    _check_expected("ffhq", media)


def test_dfdc_validation_and_test_are_neither_train_nor_each_other() -> None:
    names = [f"{chr(97 + i)}" * 10 + ".mp4" for i in range(6)]
    labels: dict[str, str | bytes] = {
        "validation/labels.csv": "filename,label\n" + "".join(f"{name},{i % 2}\n" for i, name in enumerate(names[:3])),
        "test/labels.csv": "filename,label\n" + "".join(f"{name},{i % 2}\n" for i, name in enumerate(names[3:])),
    }
    media = account("dfdc", [*(f"validation/{n}" for n in names[:3]), *(f"test/{n}" for n in names[3:])], labels).media
    assert [(m.media.split("/")[0], m.split) for m in media] == [("test", "test")] * 3 + [("validation", "validation")] * 3


def test_same_named_videos_of_two_methods_stay_two_media() -> None:
    paths = [f"manipulated_sequences/{method}/c23/videos/000_003.mp4" for method in FF_METHODS]
    assert sorted(str(medium.method) for medium in account("ff++", paths).media) == sorted(FF_METHODS)
