"""The seven sample datasets: every folder, name and label file as the official downloads have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from mmidd.sampledata import fakes, people, shots
from mmidd.sampledata.fakes import Edit
from mmidd.sampledata.people import PEOPLE, Person
from mmidd.sampledata.pictures import Portrait
from mmidd.sampledata.scenes import Scene
from mmidd.sampledata.shots import File, Shot, clip, seed_of

Pairs = tuple[tuple[str, str], ...]

FF_SPLITS: dict[bool, dict[str, Pairs]] = {
    False: {"train": (("000", "003"), ("001", "002")), "val": (("004", "005"),), "test": (("006", "007"),)},
    True: {"train": (("000", "003"),), "val": (("001", "004"),), "test": (("002", "005"),)},
}
# Which splits' pairs a method has: Deepfakes all of them, the others enough to be in more than one split.
FF_METHODS = {
    "Deepfakes": ("train", "val", "test"),
    "FaceSwap": ("train", "test"),
    "Face2Face": ("train", "val"),
    "NeuralTextures": ("train", "test"),
    "FaceShifter": ("train", "val"),
}
FF_TINY_METHODS = {
    "Deepfakes": ("train",),
    "FaceSwap": ("val",),
    "Face2Face": ("train",),
    "NeuralTextures": ("test",),
    "FaceShifter": ("test",),
}


AGED: tuple[Edit, ...] = ("smile", "age", "glasses")
RECOLOURED: tuple[Edit, ...] = ("hair", "skin", "lips")


def plan(tiny: bool) -> list[File]:
    """Every file of the sample, dataset by dataset, in a fixed order."""
    datasets = (_faceforensics, _celeb_df, _dfdc, _deepfakeface, _dffd, _celeba, _ffhq)
    return [file for dataset in datasets for file in dataset(tiny)]


def _faceforensics(tiny: bool) -> Iterator[File]:
    name, splits = "FaceForensics++", FF_SPLITS[tiny]
    originals = {f"{i:03d}": clip(PEOPLE[i], f"ff{i}", tiny=tiny) for i in range(6 if tiny else 8)}
    for key, shot in originals.items():
        yield File(name, f"original_sequences/youtube/c23/videos/{key}.mp4", shots.real_video(shot, crf=23))
    for method, used in (FF_TINY_METHODS if tiny else FF_METHODS).items():
        pairs = [pair for split in used for pair in splits[split][: None if method == "Deepfakes" else 1]]
        for target, source in _directions(pairs, both=not tiny or method == "Deepfakes"):
            write = shots.fake_video(originals[target], method, originals[source].person, crf=23)
            yield File(name, f"manipulated_sequences/{method}/c23/videos/{target}_{source}.mp4", write)
    yield from _second_compression(originals)
    yield from _actors(tiny)
    for split, pairs_of in _whole_lists(splits):
        yield File(name, f"dataset/splits/{split}.json", shots.text(json.dumps(pairs_of) + "\n"))


def _whole_lists(splits: Mapping[str, Pairs]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each split's list as long as the official one: behind the sample's pairs stand those of the clips that it has not."""
    ours = {clip for pairs in splits.values() for pair in pairs for clip in pair}
    others = (clip for clip in (f"{number:03d}" for number in range(1000)) if clip not in ours)
    for split, count in {"train": 360, "val": 70, "test": 70}.items():
        yield split, [*splits[split], *((next(others), next(others)) for _ in range(count - len(splits[split])))]


def _directions(pairs: list[tuple[str, str]], both: bool) -> Iterator[tuple[str, str]]:
    for a, b in pairs:
        yield a, b
        if both:
            yield b, a


def _second_compression(originals: dict[str, Shot]) -> Iterator[File]:
    name, source = "FaceForensics++", originals["003"].person
    for key in ("000", "003"):
        yield File(name, f"original_sequences/youtube/c40/videos/{key}.mp4", shots.real_video(originals[key], crf=40))
    fake = "manipulated_sequences/Deepfakes/c40/videos/000_003.mp4"
    yield File(name, fake, shots.fake_video(originals["000"], "Deepfakes", source, crf=40))
    mask = "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4"
    yield File(name, mask, shots.mask_video(originals["000"], "Deepfakes"))


def _actors(tiny: bool) -> Iterator[File]:
    name, scene = "FaceForensics++", "walking_outside"
    actors = {"01": PEOPLE[8], "02": PEOPLE[9]}
    fakes_of = {"01_02": "ABCDEFGH", "02_01": "IJKLMNOP"}
    for actor, person in list(actors.items())[: 1 if tiny else 2]:
        shot = clip(person, f"actor{actor}", tiny=tiny)
        yield File(name, f"original_sequences/actors/c23/videos/{actor}__{scene}.mp4", shots.real_video(shot, crf=23))
    for pair, code in list(fakes_of.items())[: 1 if tiny else 2]:
        target, source = pair.split("_")
        shot = clip(actors[target], f"actor{target}", tiny=tiny)
        write = shots.fake_video(shot, "DeepFakeDetection", actors[source], crf=23)
        yield File(name, f"manipulated_sequences/DeepFakeDetection/c23/videos/{pair}__{scene}__{code}.mp4", write)


def _celeb_df(tiny: bool) -> Iterator[File]:
    name = "Celeb-DF-v2"
    cast = {"id0": PEOPLE[8], "id1": PEOPLE[5], "id2": PEOPLE[2]}
    reals = ["id0_0000", "id1_0000"] if tiny else ["id0_0000", "id0_0001", "id1_0000", "id2_0000"]
    swaps = ["id0_id1_0000"] if tiny else ["id0_id1_0000", "id0_id1_0001", "id1_id0_0000", "id2_id1_0000"]
    clips = {key: clip(cast[key.split("_")[0]], f"celeb{key}", tiny=tiny) for key in reals}
    for key, shot in clips.items():
        yield File(name, f"Celeb-real/{key}.mp4", shots.real_video(shot))
    for number, person in enumerate([PEOPLE[6]] if tiny else [PEOPLE[6], PEOPLE[7]]):
        # The second one has a variable frame rate; the tiny set's only one too.
        uneven = tiny or number == 1
        shot = clip(person, f"youtube{number}", tiny=tiny)
        yield File(name, f"YouTube-real/{number:05d}.mp4", shots.real_video(shot, uneven=uneven))
    for key in swaps:
        target, source, take = key.split("_")
        write = shots.fake_video(clips[f"{target}_{take}"], "Celeb-synthesis", cast[source])
        yield File(name, f"Celeb-synthesis/{key}.mp4", write)
    tests = ["1 YouTube-real/00000.mp4"] if tiny else ["1 YouTube-real/00001.mp4", "1 Celeb-real/id2_0000.mp4"]
    tests += [] if tiny else ["0 Celeb-synthesis/id2_id1_0000.mp4"]
    # as long as the official one, by clips that the sample has not
    tests += [f"0 Celeb-synthesis/id50_id51_{number:04d}.mp4" for number in range(518 - len(tests))]
    yield File(name, "List_of_testing_videos.txt", shots.text("".join(f"{line}\n" for line in tests)))


def _ten_letters(name: str) -> str:
    rng = np.random.default_rng(seed_of("dfdc", name))
    return "".join(chr(ord("a") + int(i)) for i in rng.integers(0, 26, 10)) + ".mp4"


def _dfdc(tiny: bool) -> Iterator[File]:
    name, part = "DFDC", "train/dfdc_train_part_0"
    metadata: dict[str, dict[str, str]] = {}
    swaps = (("a", 3, 4),) if tiny else (("a", 3, 4), ("a", 3, 0), ("b", 0, 1))
    for key, target in dict((key, target) for key, target, _ in swaps).items():
        real = _ten_letters(f"real {key}")
        metadata[real] = {"label": "REAL", "split": "train"}
        yield File(name, f"{part}/{real}", shots.real_video(clip(PEOPLE[target], f"dfdc{key}", tiny=tiny)))
    for key, target, source in swaps:
        fake = _ten_letters(f"fake {key} {source}")
        metadata[fake] = {"label": "FAKE", "split": "train", "original": _ten_letters(f"real {key}")}
        shot = clip(PEOPLE[target], f"dfdc{key}", tiny=tiny)
        yield File(name, f"{part}/{fake}", shots.fake_video(shot, "DFDC", PEOPLE[source]))
    yield File(name, f"{part}/metadata.json", shots.text(json.dumps(metadata, indent=1) + "\n"))
    yield from _dfdc_test(tiny)


def _dfdc_test(tiny: bool) -> Iterator[File]:
    name, rows = "DFDC", ["filename,label"]
    upright = clip(PEOPLE[7], "dfdc telephone", tiny=tiny, upright=True)
    tests = [(upright, 0, 90), (clip(PEOPLE[6], "dfdc test", tiny=tiny), 1, 0)]
    tests += [] if tiny else [(clip(PEOPLE[1], "dfdc test 2", tiny=tiny), 0, 0)]
    for shot, label, rotation in tests:
        file = _ten_letters(f"test {shot.seed}")
        rows.append(f"{file},{label}")
        write = shots.fake_video(shot, "DFDC", PEOPLE[9]) if label else shots.real_video(shot, rotation=rotation)
        yield File(name, f"test/{file}", write)
    yield File(name, "test/labels.csv", shots.text("".join(f"{row}\n" for row in rows)))


def _deepfakeface(tiny: bool) -> Iterator[File]:
    name = "DeepFakeFace"
    shown = [PEOPLE[i] for i in ((0, 1) if tiny else (0, 1, 4, 7, 8, 3))]
    for number, person in enumerate(shown):
        file = f"{number % 2:02d}/{1000 + 37 * number}_19{50 + number}-05-1{number}_20{number:02d}.jpg"
        seed = seed_of("dff", number)
        following = shown[(number + 1) % len(shown)]
        following_seed = seed_of("dff", (number + 1) % len(shown))
        # The published insight images carry the source's name, on another image's scene.
        made = {
            "wiki": (partial(shots.posed, person, seed), seed),
            "text2img": (partial(shots.invented, seed), seed_of("dff text", number)),
            "inpainting": (partial(_inpainted, person, seed), seed),
            "insight": (partial(_swapped, following, following_seed, person), following_seed),
        }
        for folder, (portrait, place) in made.items():
            scene = Scene(place, 384, 384, eye_distance=72, eye_height=0.45)
            yield File(name, f"{folder}/{file}", shots.still(portrait, scene))
    yield File(name, "notes.txt", shots.text("A stray file, to show that the index accounts for everything it finds.\n"))


def _inpainted(person: Person, seed: int) -> Portrait:
    return fakes.inpaint(shots.posed(person, seed), shots.invented(seed + 1))


def _swapped(target: Person, seed: int, source: Person) -> Portrait:
    return fakes.swap(shots.posed(target, seed), people.portrait_of(source), fakes.SWAPS["insight"])


def _dffd(tiny: bool) -> Iterator[File]:
    name = "DFFD"
    folders = {"train": 1, "validation": 1, "test": 1} if tiny else {"train": 3, "validation": 1, "test": 2}
    for source in ("ffhq", "celeba", "faceapp", "stargan", "pggan_v1", "pggan_v2", "stylegan_celeba", "stylegan_ffhq"):
        number = 0
        for split, count in folders.items():
            for _ in range(count):
                yield File(name, f"{source}/{split}/{number + 1:05d}.png", _dffd_image(source, number))
                number += 1


def _dffd_image(source: str, number: int) -> shots.Writer:
    seed = seed_of("dffd", source, number)
    person = PEOPLE[(number * 3 + len(source)) % len(PEOPLE)]
    scene = Scene(seed, 256, 256, eye_distance=62, eye_height=0.46)
    if source == "faceapp":
        return shots.still(partial(shots.edited, person, seed, AGED[number % 3]), scene)
    if source == "stargan":
        return shots.still(partial(shots.edited, person, seed, RECOLOURED[number % 3]), scene)
    if source in ("ffhq", "celeba"):
        return shots.still(partial(shots.posed, person, seed), scene)
    return shots.still(partial(shots.invented, seed), scene)


def _celeba(tiny: bool) -> Iterator[File]:
    name = "CelebA"
    shown = [0, 1, 2, 3, 6, 8] if tiny else [i for i in range(10) for _ in range(2)]
    twin_of = 2
    rows = [(number, person, seed_of("celeba", number)) for number, person in enumerate(shown)]
    # The last image is, byte for byte, an earlier one under another number.
    rows.append((len(shown), shown[twin_of], seed_of("celeba", twin_of)))
    for number, person, seed in rows:
        scene = Scene(seed, 178, 218, eye_distance=40, eye_height=0.51, motion=0.3)
        write = shots.still(partial(shots.posed, PEOPLE[person], seed), scene, quality=90)
        yield File(name, f"img_align_celeba/{number + 1:06d}.jpg", write)
    identities = "".join(f"{number + 1:06d}.jpg {2880 + person}\n" for number, person, _ in rows)
    partitions = "".join(f"{number + 1:06d}.jpg {_celeba_partition(person)}\n" for number, person, _ in rows)
    yield File(name, "identity_CelebA.txt", shots.text(identities))
    yield File(name, "list_eval_partition.txt", shots.text(partitions))


def _celeba_partition(person: int) -> int:
    """0 train, 1 validation, 2 test: no identity in two of them."""
    return 0 if person < 6 else 1 if person < 8 else 2


def _ffhq(tiny: bool) -> Iterator[File]:
    numbers = (0, 1, 60000) if tiny else (0, 1, 2, 3, 4, 5, 60000, 60001)
    for number in numbers:
        seed = seed_of("ffhq", number)
        scene = Scene(seed, 256, 256, eye_distance=64, eye_height=0.47)
        write = shots.still(partial(shots.posed, PEOPLE[(number + number // 60000 * 7) % 10], seed), scene)
        yield File("FFHQ", f"images1024x1024/{number // 1000 * 1000:05d}/{number:05d}.png", write)
