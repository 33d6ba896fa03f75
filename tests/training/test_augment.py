from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from mmidd.errors import UsageError
from mmidd.training.augment import (
    Augment,
    Augmentation,
    Blur,
    Brightness,
    ChannelShift,
    Colour,
    Contrast,
    Crop,
    CropShift,
    Encoding,
    Flip,
    Grey,
    Jpeg,
    Noise,
    OneOf,
    ResizeAndBack,
    Rotate,
    Sharpen,
    Video,
    chain,
    chance_of,
    platforms,
    seeded,
    sheet,
)
from mmidd.training.augment.matrices import blurring, resizing
from mmidd.training.sample import Sample
from training.pictures import EVERY, GEOMETRIC, LANDMARKS, face, picture

every = pytest.mark.parametrize("name", EVERY)


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(torch.equal(one, other))


@every
def test_an_augmentation_keeps_shape_and_type_and_changes_the_picture_but_never_its_input(name: str) -> None:
    for height, width in ((96, 96), (97, 63)):
        image = picture(height, width)
        before = image.clone()
        after = Augment([EVERY[name]]).image(image, seed=3)
        assert after.dtype == torch.uint8 and after.shape == image.shape
        assert not _same(after, before) and _same(image, before)


@every
def test_the_same_seed_gives_the_same_and_another_seed_another(name: str) -> None:
    augment, image = Augment([EVERY[name]]), picture()
    assert _same(augment.image(image, 5), augment.image(image.contiguous(), 5))  # however it lies in memory
    drawn = {repr(augment.drawn(chance_of(seed), (96, 96))) for seed in range(4)}
    assert len(drawn) == 1 if name in ("flip", "grey") else len(drawn) > 1


@every
def test_with_p_0_nothing_happens(name: str) -> None:
    never = replace(EVERY[name], p=0)
    given = face()
    found = Augment([never])(given, chance_of(1))
    assert found["image"] is given["image"] and found["mask"] is given["mask"]


@every
def test_a_clip_gets_one_draw_for_all_its_frames(name: str) -> None:
    image = picture()
    clip = torch.stack([image, image, image])
    after = Augment([EVERY[name]]).image(clip, 3)
    assert after.shape == clip.shape
    if not isinstance(
        EVERY[name], Noise | Video | OneOf
    ):  # noise is new in each frame, a codec predicts from the one before
        assert all(_same(frame, Augment([EVERY[name]]).image(image, 3)) for frame in after)


@every
def test_a_batch_equals_its_pictures_one_by_one(name: str) -> None:
    augment = Augment([EVERY[name]])
    images = torch.stack([picture(64, 96, seed).contiguous() for seed in range(6)])
    seeds = torch.tensor([1, 2, -3, 4, 2**62, -(2**63)])
    before = images.clone()
    found = augment.batch(images, seeds)
    single = torch.stack([augment.image(image, int(seed)) for image, seed in zip(images, seeds, strict=True)])
    apart = (found.int() - single.int()).abs()
    assert found.dtype == torch.uint8 and _same(images, before)
    assert int(apart.max()) <= 2 and float((apart > 1).float().mean()) < 0.005
    if augment.on_cpu:
        assert name in ("jpeg", "webp", "video", "platforms", "one of") and int(apart.max()) == 0


def test_a_batch_is_the_same_under_autocast_and_may_be_empty() -> None:
    augment = Augment([Blur(sigma=(1, 2)), ResizeAndBack(), Rotate(), Colour()])
    images = torch.stack([picture(seed=seed).contiguous() for seed in range(4)])
    with torch.autocast("cpu", torch.bfloat16):
        assert _same(augment.batch(images, range(4)), augment.batch(images, [0, 1, 2, 3]))
        within = augment.batch(images, range(4))
    assert _same(within, augment.batch(images, range(4)))
    assert augment.batch(images[:0], []).shape == (0, 3, 96, 96)


def test_a_batch_takes_each_items_own_coin() -> None:
    augment = Augment([Flip(p=0.5), Brightness(p=0.5, factor=(0.5, 0.5)), Jpeg(p=0.5)])
    images, seeds = torch.stack([picture().contiguous()] * 16), list(range(16))
    found = augment.batch(images, seeds)
    assert all(_same(found[i], augment.image(images[i], i)) for i in range(16))
    assert len({each.numpy().tobytes() for each in found}) > 6
    assert augment.on_cpu == ("Jpeg",)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_landmarks_and_mask_follow_the_pixels(name: str) -> None:
    """A dot in the picture, a dot in the mask and a landmark that lie on one spot still do."""
    for seed in range(8):
        sample = face()
        y, x = 52, 41
        image, mask = torch.zeros(3, 96, 96, dtype=torch.uint8), sample["mask"].clone()
        image[:, y - 1 : y + 2, x - 1 : x + 2] = 255
        mask[:, y - 1 : y + 2, x - 1 : x + 2] = 255
        points = LANDMARKS.clone()
        points[0] = torch.tensor([float(x), float(y)])
        found = Augment([EVERY[name]])(Sample(image=image, mask=mask, landmarks=points), chance_of(seed))
        eye = found["landmarks"][1 if name == "flip" else 0]
        for plane in (found["image"][0], found["mask"][0]):
            rows, columns = np.nonzero(plane.numpy() > 127)
            assert len(rows) and np.hypot(rows.mean() - float(eye[1]), columns.mean() - float(eye[0])) < 0.75
        assert set(found["mask"].unique().tolist()) == {0, 255}


def test_what_is_not_geometric_leaves_mask_and_landmarks_alone() -> None:
    for name in EVERY.keys() - set(GEOMETRIC):
        sample = face()
        found = Augment([EVERY[name]])(sample, chance_of(0))
        assert _same(found["mask"], sample["mask"]) and _same(found["landmarks"], sample["landmarks"])


def test_a_flip_exchanges_left_and_right() -> None:
    sample = face()
    found = Augment([Flip(p=1)])(sample, chance_of(0))
    assert _same(found["image"], sample["image"].flip(-1))
    assert found["landmarks"][:, 0].tolist() == [95 - 61, 95 - 35, 95 - 48, 95 - 59, 95 - 37]
    assert found["landmarks"][0, 0] < found["landmarks"][1, 0]  # the first is the eye on the picture's left again


def test_landmarks_of_whole_images_stay_unknown_and_clips_keep_theirs_a_frame() -> None:
    rotate = Augment([Rotate(degrees=(10, 10)), Flip(p=1)])
    unknown = rotate({**face(), "landmarks": torch.full((5, 2), float("nan"))}, chance_of(0))
    assert bool(unknown["landmarks"].isnan().all())
    one = rotate(face(), chance_of(0))
    clip = cast(Sample, {name: torch.stack([cast(Any, face())[name]] * 2) for name in ("image", "mask", "landmarks")})
    both = rotate(clip, chance_of(0))
    assert all(_same(both["landmarks"][i], one["landmarks"]) and _same(both["image"][i], one["image"]) for i in (0, 1))
    assert both["mask"].shape == (2, 1, 96, 96)


CLOSED: dict[str, tuple[Augmentation, Any]] = {
    "factor": (Brightness(factor=(0.5, 0.5)), lambda x: x * 0.5),
    "shift": (Brightness(factor=(1, 1), shift=(0.2, 0.2)), lambda x: x + 51),
    "channels": (ChannelShift(levels=(-20, -20)), lambda x: x - 20),
    "contrast": (Contrast(factor=(1.5, 1.5)), lambda x: x * 1.5 - 0.5 * (x.mean((0, 1)) @ [0.299, 0.587, 0.114])),
    "no contrast": (Contrast(factor=(0, 0)), lambda x: x * 0 + x.mean((0, 1)) @ [0.299, 0.587, 0.114]),
    "grey": (Grey(p=1), lambda x: (x @ [0.299, 0.587, 0.114])[..., None] + 0 * x),
    "saturation": (
        Colour(hue=(0, 0), saturation=(0.5, 0.5)), lambda x: 0.5 * x + 0.5 * (x @ [0.299, 0.587, 0.114])[..., None],
    ),
    "colour as it was": (Colour(hue=(0, 0), saturation=(1, 1)), lambda x: x),
    "as large as it was": (ResizeAndBack(scale=(1, 1)), lambda x: x),
    "not turned": (Rotate(degrees=(0, 0)), lambda x: x),
    "the whole window": (Crop(share=(1, 1)), lambda x: x),
    "blur of nothing": (Blur(sigma=(0, 0)), lambda x: x),
    "shifted": (
        CropShift(scale=(1, 1), shift=(0.25, 0.25), border="black"),
        lambda x: np.pad(x, ((24, 0), (24, 0), (0, 0)))[:96, :96],
    ),
    "turned by a right angle": (Rotate(degrees=(90, 90)), lambda x: np.rot90(x)),
    "nearest": (
        ResizeAndBack(scale=(0.5, 0.5), down=("nearest",), up=("nearest",)),
        lambda x: x[::2, ::2].repeat(2, 0).repeat(2, 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CLOSED)
def test_values_are_those_of_the_closed_form(case: str) -> None:
    augmentation, expected = CLOSED[case]
    image = picture()
    wanted = np.clip(np.asarray(expected(image.permute(1, 2, 0).numpy().astype(np.float64))), 0, 255)
    found = Augment([augmentation]).image(image, 0).permute(1, 2, 0).numpy()
    assert np.abs(found - wanted).max() < 0.75  # rounding, and matrices in OpenCV's fixed point of ten bits


def test_blur_flattens_by_the_kernel_it_was_given() -> None:
    dot = torch.zeros(3, 41, 41, dtype=torch.uint8)
    dot[:, 20, 20] = 255
    found = Augment([Blur(sigma=(1.5, 1.5))]).image(dot, 0)[0].numpy()
    expected = 255 * np.outer(weights := blurring(41, [11], [1.5], "cpu")[0, 20].numpy(), weights)
    assert np.abs(found - expected).max() < 1
    assert (Augment([Blur(sigma=None, kernel=(5, 5))]).image(dot, 0)[0].numpy() > 0).sum() <= 25


def test_sharpening_overshoots_at_an_edge() -> None:
    edge = torch.full((3, 32, 32), 100, dtype=torch.uint8)
    edge[:, :, 16:] = 150
    row = Augment([Sharpen(amount=(1, 1))]).image(edge, 0)[0, 16]
    assert int(row[15]) < 95 and int(row[16]) > 155 and int(row[2]) == 100


def test_noise_is_gaussian_of_its_sigma_and_new_in_each_frame() -> None:
    grey = torch.full((2, 3, 128, 128), 128, dtype=torch.uint8)
    noise = Augment([Noise(sigma=(8, 8))]).image(grey, 0).numpy().astype(np.float64) - 128
    assert abs(noise.mean()) < 0.1 and abs(noise.std() - 8) < 0.1
    assert abs((np.abs(noise) > 16).mean() - 0.0455) < 0.01 and abs((noise**4).mean() / noise.var() ** 2 - 3) < 0.1
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(noise[0, 0].ravel(), noise[0, 1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("how", ["area", "linear", "cubic", "nearest"])
def test_a_resizing_keeps_a_flat_picture_flat(how: Any) -> None:
    for size, wanted in ((96, 31), (31, 96), (7, 7), (5, 1)):
        if how != "area" or wanted <= size:
            found = resizing([size, 96], [wanted, 7], [how, "area"], "cpu")[0]
            assert np.allclose(found[:wanted, :size].sum(1), 1, atol=1e-5)
            assert not found[wanted:].any() and not found[:, size:].any()


def test_more_at_the_end_and_other_ranges_change_nothing_for_the_others() -> None:
    short, other = [Flip(p=0.5), Jpeg(p=0.5)], [Flip(p=1), Jpeg(p=0.5), Noise(p=0.5)]
    for seed in range(20):
        fewer, more = (Augment(each).drawn(chance_of(seed), (96, 96)) for each in (short, other))
        assert fewer[1] == more[1]
    one, same = chance_of(1), chance_of(1)
    Augment(short).drawn(one, (8, 8))
    Augment(other).drawn(same, (8, 8))
    assert one.random() == same.random()  # nor for what comes after the list


def test_real_and_fake_get_the_same_whatever_is_in_them() -> None:
    augment = Augment(list(EVERY.values()))
    assert augment.drawn(chance_of(4), (96, 96)) == augment.drawn(chance_of(4), (96, 96))
    real, fake = picture(seed=1), picture(seed=1).clone()
    fake[:, 40:60, 40:60] ^= 8
    light = Augment([Flip(), Rotate(), Colour(), Brightness()])
    one, other = light.image(real, 9).int(), light.image(fake, 9).int()
    assert 0 < float((one != other).float().mean()) < 0.1  # the difference stays where it was


def test_p_is_how_often_it_happens_and_one_of_takes_each_by_its_share() -> None:
    augment = Augment([Flip(p=0.3), OneOf(choices=(Grey(p=0.75), Flip(p=0.25)))])
    drawn = [augment.drawn(chance_of(seed), (8, 8)) for seed in range(2000)]
    assert abs(np.mean([first is not None for first, _ in drawn]) - 0.3) < 0.04
    assert abs(np.mean([type(second).__name__ == "Mixed" for _, second in drawn]) - 0.75) < 0.04


WRONG: dict[str, Any] = {
    "p above 1": lambda: Flip(p=1.5),
    "p that is no number": lambda: Flip(p=cast(Any, "often")),
    "a range the wrong way round": lambda: Rotate(degrees=(10, -10)),
    "one number for a range": lambda: Rotate(degrees=cast(Any, 10)),
    "not a number": lambda: Noise(sigma=(0, float("nan"))),
    "quality 0": lambda: Jpeg(quality=(0, 50)),
    "subsampling": lambda: Jpeg(subsampling=cast(Any, ("411",))),
    "interpolation": lambda: ResizeAndBack(down=cast(Any, ("lanczos",))),
    "no interpolation": lambda: ResizeAndBack(up=()),
    "larger": lambda: ResizeAndBack(scale=(0.5, 2)),
    "border": lambda: Rotate(border=cast(Any, "wrap")),
    "blur of neither": lambda: Blur(sigma=None),
    "crf": lambda: Encoding(crf=(10, 60)),
    "no chain": lambda: Video(chains=()),
    "an empty chain": lambda: Video(chains=((),)),
    "no frames": lambda: Video(still_frames=0),
    "platform": lambda: platforms("myspace"),
    "no choice": lambda: OneOf(choices=()),
    "choices that never happen": lambda: OneOf(choices=(Flip(p=0),)),
    "a torchvision transform in the list": lambda: Augment([cast(Any, v2.RandomHorizontalFlip())]),
    "a float image": lambda: Augment([Flip()]).image(torch.zeros(3, 8, 8), 0),
    "a grey image": lambda: Augment([Flip()]).image(torch.zeros(1, 8, 8, dtype=torch.uint8), 0),
    "no image": lambda: Augment([Flip()])(Sample(label=0), chance_of(0)),
    "seeds that do not fit": lambda: Augment([Flip()]).batch(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), [1]),
    "a mask of another size": lambda: Augment([Flip(p=1)])(
        Sample(image=picture(), mask=torch.zeros(1, 8, 8, dtype=torch.uint8)), chance_of(0)
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused_with_a_way_out(case: str) -> None:
    with pytest.raises(UsageError, match=r"give|there are|need|take|mask is"):
        WRONG[case]()


def test_a_range_may_come_from_yaml_as_a_list() -> None:
    assert Rotate(degrees=cast(Any, [-5, 5])) == Rotate(degrees=(-5, 5))
    assert hash(Rotate(degrees=cast(Any, [-5, 5]))) == hash(Rotate(degrees=(-5, 5)))


def test_repr_says_all_there_is_to_know() -> None:
    augment = Augment([Flip(p=0.25), OneOf(choices=(Noise(), Video(chains=platforms("social"))))])
    names: dict[str, Any] = {each.__name__: each for each in (Augment, Flip, OneOf, Noise, Video, Encoding)}
    assert repr(augment).startswith("Augment([Flip(p=0.25), OneOf(") and names
    assert Augment(augment.steps) == augment and Augment([Flip()]) != augment


def test_transforms_of_others_draw_from_the_samples_own_chance_and_leave_the_global_one_alone() -> None:
    def by_three(image: torch.Tensor) -> torch.Tensor:
        shifts = torch.randint(0, 9, (1,)).item() + random.randrange(9) * 10 + np.random.randint(9) * 100
        return image.roll(int(shifts), -1)

    for change in (by_three, v2.Compose([v2.RandomHorizontalFlip(), v2.ColorJitter(0.4, 0.4, 0.4, 0.1)])):
        transform = seeded(change)
        states = torch.get_rng_state(), random.getstate(), repr(np.random.get_state())
        one, same, other = (transform(face(), chance_of(seed))["image"] for seed in (1, 1, 2))
        assert _same(one, same) and not _same(one, other)
        assert _same(states[0], torch.get_rng_state()) and states[1] == random.getstate()
        assert states[2] == repr(np.random.get_state())


def test_transforms_in_a_chain_come_in_turn() -> None:
    flips = chain(Augment([Flip(p=1)]), seeded(v2.functional.horizontal_flip))
    assert _same(flips(face(), chance_of(0))["image"], face()["image"])


def test_a_sheet_shows_each_picture_as_it_is_and_then_as_it_becomes() -> None:
    found = sheet([picture(), picture(seed=1)], Augment([Flip(p=1)]), draws=3, size=48)
    assert found.shape == (96, 4 * 48, 3)
    assert np.array_equal(found[:, 48:96], found[:, 96:144]) and np.array_equal(found[:, :48][:, ::-1], found[:, 48:96])
