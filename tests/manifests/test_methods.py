"""The registry of methods: DF40's forty by type, one meaning a name, attacks, and what an unknown name is told."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

from mmidd.errors import ManifestError
from mmidd.manifest.methods import Attack, UnknownMethod, load_methods, registry
from mmidd.schema import ATTACKS

# DF40's own names and its folder names, as its authors list them
DF40 = {
    "FS": [
        "FSGAN",
        "FaceSwap",
        "SimSwap",
        "InSwapper",
        "BlendFace",
        "UniFace",
        "MobileSwap",
        "e4s",
        "FaceDancer",
        "DeepFaceLab",
    ],
    "FR": [
        "FOMM",
        "FS_vid2vid",
        "Wav2Lip",
        "MRAA",
        "OneShot",
        "PIRender",
        "TPSM",
        "LIA",
        "DaGAN",
        "SadTalker",
        "MCNet",
        "HyperReenact",
        "HeyGen",
    ],
    "EFS": [
        "VQGAN",
        "StyleGAN2",
        "StyleGAN3",
        "StyleGAN-XL",
        "SD-2.1",
        "DDPM",
        "RDDM",
        "PixArt-α",
        "DiT-XL/2",
        "SiT-XL/2",
        "MidJourney6",
        "WhichIsReal",
    ],
    "FE": ["CollabDiff", "e4e", "StarGAN", "StarGANv2", "StyleCLIP"],
}
DF40_FOLDERS = {
    "facevid2vid": "FS_vid2vid",
    "one_shot_free": "OneShot",
    "danet": "DaGAN",
    "ddim": "DDPM",
    "sd2.1": "SD-2.1",
    "uniface": "UniFace",
    "simswap": "SimSwap",
    "e4e": "e4e",
    "stargan": "StarGAN",
    "StarGANv2": "StarGANv2",
    "styleclip": "StyleCLIP",
    "MidJourney": "MidJourney6",
    "WhichIsReal": "WhichIsReal",
    "deepfacelab": "DeepFaceLab",
    "heygen": "HeyGen",
    "CollabDiff": "CollabDiff",
}
OTHERS = {
    "FS": [
        "Deepfakes",
        "FaceSwap",
        "FaceShifter",
        "DeepFakeDetection",
        "Celeb-DF",
        "InsightFace",
        "dffs",
        "dfl",
        "fsgan",
        "method_A",
        "method_B",
        "faceswap-GAN",
        "DF-VAE",
        "FFIW",
        "DFDM-Faceswap",
        "Lightweight",
        "IAE",
        "Dfaker",
        "DFL-H128",
    ],
    "FR": ["Face2Face", "NeuralTextures", "fo", "ATFHP", "LivePortrait"],
    "EFS": [
        "SD-1.5",
        "SD-Inpainting",
        "PGGAN",
        "StyleGAN",
        "Midjourney",
        "stable_diffusion_v_1_4",
        "stable_diffusion_v_1_5",
        "ADM",
        "glide",
        "VQDM",
        "wukong",
        "BigGAN",
    ],
    "FE": ["FaceAPP", "StarGAN"],
}


def test_df40_has_forty_methods_ten_thirteen_twelve_and_five_of_a_type() -> None:
    found = {registry().resolve(name) for names in DF40.values() for name in names}
    assert len(found) == 40
    assert Counter(method.type for method in found) == {"FS": 10, "FR": 13, "EFS": 12, "FE": 5}


@pytest.mark.parametrize("names", [DF40, OTHERS], ids=["DF40", "the other datasets"])
def test_every_method_has_its_published_type(names: dict[str, list[str]]) -> None:
    wanted = {name: kind for kind, listed in names.items() for name in listed}
    assert {name: registry().resolve(name).type for name in wanted} == wanted


@pytest.mark.parametrize(("folder", "name"), DF40_FOLDERS.items())
def test_df40s_folders_mean_its_methods(folder: str, name: str) -> None:
    assert registry().resolve(folder) is registry().resolve(name)


def test_genimage_has_eight_generators_and_dfdm_five_models() -> None:
    generators = ["imagenet_midjourney", "imagenet_ai_0419_sdv4", "imagenet_ai_0424_sdv5", "imagenet_ai_0508_adm"]
    generators += ["imagenet_glide", "imagenet_ai_0424_wukong", "imagenet_ai_0419_vqdm", "imagenet_ai_0419_biggan"]
    assert len({registry().resolve(name).id for name in generators}) == 8
    models = ["DFDM-Faceswap", "Lightweight", "IAE", "Dfaker", "DFL-H128"]
    assert len({registry().resolve(name).id for name in models}) == 5


def test_no_two_methods_share_a_name_whatever_its_case() -> None:
    methods = registry().by_id.values()
    names = [name.casefold() for method in methods for name in {method.id, *method.aliases}]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert len(registry().by_name) == len(names)


def test_every_method_says_what_it_is() -> None:
    for method in registry().by_id.values():
        assert method.name
        assert method.reference
        assert 2010 <= method.year <= 2026


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("SimSwp", "SimSwap"), ("StyleGan2x", "StyleGAN2"), ("one_shot_fre", "one_shot_free"), ("Wav2Lips", "Wav2Lip")],
)
def test_an_unknown_method_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownMethod, match=f"method '{name}': unknown; did you mean '{nearest}'"):
        registry().resolve(name)


def test_a_method_has_a_type_or_is_the_instrument_of_an_attack() -> None:
    said = ("attack: replay", "type: FS")
    entries = (f"  {name}: {{{each}, name: a, year: 2024, reference: r}}" for name, each in zip("AB", said, strict=True))
    found = load_methods("\n".join(("methods:", *entries)), "own.yaml").by_id.values()
    assert [(each.type, each.attack, each.kind) for each in found] == [(None, "replay", "replay"), ("FS", None, "FS")]
    assert get_args(Attack) == ATTACKS


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("attack: print, type: FS, ", "'type' .* or, of a presentation attack, an 'attack', not both"),
        ("", "'type' .* or, of a presentation attack, an 'attack', not both"),
        ("attack: prints, ", "own.yaml:2: .*'print'"),
    ],
)
def test_a_method_of_both_or_neither_is_an_error_with_its_line(said: str, fault: str) -> None:
    with pytest.raises(ManifestError, match=fault):
        load_methods(f"methods:\n  A: {{{said}name: a, year: 2024, reference: r}}", "own.yaml")
