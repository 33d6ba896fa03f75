"""Backbones by name and folder: what is read comes out as it was saved, and what cannot be had is said with the way out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmidd.detectors.backbones import CLIPS, ClipTower, clip_pair, files, image_tower, text_tower

from mmidd.errors import MissingWeights, MmiddError, UsageError, WrongWeights


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, and an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def _save_clip(folder: Path, kind: str = "CLIPModel") -> Any:
    import transformers

    torch.manual_seed(0)
    config = transformers.CLIPConfig(**CLIPS["tiny"])
    if kind != "CLIPModel":
        config = config.vision_config
        config.projection_dim = CLIPS["tiny"]["projection_dim"]
    model = getattr(transformers, kind)(config).eval()
    model.save_pretrained(folder)
    return model


def _save_timm(folder: Path, architecture: str = "test_vit", **arguments: Any) -> Any:
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    model = timm.create_model(architecture, **arguments).eval()
    save_for_hf(model, folder, model_args=arguments, safe_serialization=True)
    return model


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    _save_clip(folder)
    return folder


@pytest.fixture(scope="module")
def timm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timm")
    _save_timm(folder, img_size=64, patch_size=8)
    return folder


IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["CLIPModel", "CLIPVisionModelWithProjection", "CLIPVisionModel"])
@pytest.mark.parametrize("prefix", ["", "clip:"])
def test_a_clip_of_save_pretrained_gives_what_it_gave_before(tmp_path: Path, kind: str, prefix: str) -> None:
    model = _save_clip(tmp_path / "saved", kind)
    name = f"{prefix}{tmp_path / 'saved'}"
    if kind == "CLIPVisionModel":  # which has no projection
        with pytest.raises(WrongWeights, match=r"not in the file: visual_projection\.weight"):
            image_tower(name)
        return
    tower = image_tower(name)
    assert isinstance(tower, ClipTower) and tower.projection is not None
    assert torch.equal(tower(IMAGES).last, model.vision_model(pixel_values=IMAGES).pooler_output)
    assert torch.equal(tower.projection.weight, model.visual_projection.weight)
    assert tower.source["name"] == name and set(tower.source["files"]) == {"config.json", "model.safetensors"}


def test_the_whole_clip_says_how_wide_its_shared_space_is(clip_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(clip_folder, tmp_path / "other")
    _changed(vision_config__projection_dim=512)(tmp_path / "other")  # as files of older versions have it
    tower = image_tower(str(tmp_path / "other"))
    assert isinstance(tower, ClipTower) and tower.projection is not None and tower.projection.out_features == 32


@pytest.mark.parametrize("prefix", ["", "timm:"])
def test_a_network_of_timms_save_for_hf_gives_what_it_gave_before(timm_folder: Path, prefix: str) -> None:
    import timm

    tower = image_tower(f"{prefix}{timm_folder}")
    model = timm.create_model(f"local-dir:{timm_folder}", pretrained=True).eval()
    assert torch.equal(tower(IMAGES).last, model.forward_head(model.forward_features(IMAGES), pre_logits=True))
    assert tower.side == 64 and tower.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("architecture", "arguments"), [("test_efficientnet", {}), ("test_efficientnet", {"num_classes": 0}), ("test_vit3", {})]
)
def test_the_classifier_of_a_timm_network_is_left_out_and_all_else_is_loaded(
    tmp_path: Path, architecture: str, arguments: dict[str, Any]
) -> None:
    model = _save_timm(tmp_path / "saved", architecture, **arguments)
    tower = image_tower(str(tmp_path / "saved"))
    side = torch.randn(1, 3, tower.side, tower.side)
    assert torch.equal(tower(side).last, model.forward_head(model.forward_features(side), pre_logits=True))


def test_a_network_in_several_safetensors_files_is_read_whole(tmp_path: Path) -> None:
    model = _save_clip(tmp_path / "one")
    model.save_pretrained(tmp_path / "parts", max_shard_size="100KB")
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    tower = image_tower(str(tmp_path / "parts"))
    assert torch.equal(tower(IMAGES).last, model.vision_model(pixel_values=IMAGES).pooler_output)
    assert len(tower.source["files"]) > 3
    next((tmp_path / "parts").glob("model-00002*")).unlink()
    with pytest.raises(MissingWeights, match="lacks model-00002"):
        image_tower(str(tmp_path / "parts"))


def test_a_source_names_the_content_of_the_files(clip_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(clip_folder, tmp_path / "copy")
    first, copy = image_tower(str(clip_folder)).source["files"], image_tower(str(tmp_path / "copy")).source["files"]
    assert first == copy and all(len(each) == 64 for each in first.values())
    _save_clip(tmp_path / "copy", "CLIPVisionModelWithProjection")
    assert image_tower(str(tmp_path / "copy")).source["files"]["model.safetensors"] != first["model.safetensors"]


def test_files_that_change_while_they_are_read_are_not_used(clip_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(clip_folder, tmp_path / "copy")
    found = files.in_folder("name", tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").write_bytes((clip_folder / "model.safetensors").read_bytes())
    with pytest.raises(WrongWeights, match="changed while they were read"):
        found.source()


def test_half_precision_files_are_read_as_float32(clip_folder: Path, tmp_path: Path) -> None:
    from transformers import CLIPModel

    CLIPModel.from_pretrained(clip_folder).half().save_pretrained(tmp_path / "half")
    assert all(each.dtype == torch.float32 for each in image_tower(str(tmp_path / "half")).parameters())


def test_a_random_network_of_a_folder_reads_its_configuration_alone(
    clip_folder: Path, timm_folder: Path, tmp_path: Path
) -> None:
    for folder in (clip_folder, timm_folder):
        place = tmp_path / folder.name
        place.mkdir()
        shutil.copy(folder / "config.json", place)
        tower = image_tower(str(place), "random")
        assert tower.source == {"weights": "random"}
        assert tower(IMAGES).last.shape == image_tower(str(folder))(IMAGES).last.shape


# What is wrong with a folder, what is said of it.


def _pickle_alone(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _cut_off(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def _garbage(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x80\x04\x95 this is no safetensors file")


def _empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _config_cut_off(folder: Path) -> None:
    (folder / "config.json").write_text((folder / "config.json").read_text()[:40])


def _config_a_list(folder: Path) -> None:
    (folder / "config.json").write_text("[1, 2]")


def _index(text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "model-1.safetensors")
        (folder / "evil.bin").write_bytes(b"a pickle")
        (folder / "model.safetensors.index.json").write_text(text)

    return change


def _changed(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        for key, value in changes.items():
            where, _, last = key.rpartition("__")
            (config[where] if where else config)[last] = value
        (folder / "config.json").write_text(json.dumps(config))

    return change


def _renamed(folder: Path) -> None:
    """The trap: names of another library, of which `strict=False` would load nothing in silence."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    save_file(
        {f"encoder_of_mine.{name}": each for name, each in tensors.items()}, folder / "model.safetensors", {"format": "pt"}
    )


def _one_missing(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors[max(name for name in tensors if "norm1" in name)]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


BOTH: list[tuple[Callable[[Path], None], type[MmiddError], str]] = [
    (_pickle_alone, MissingWeights, r"only as pytorch_model\.bin; mmidd reads safetensors alone"),
    (_no_weights, MissingWeights, r"no weights \(model\.safetensors\); put them there, or take weights=random"),
    (_no_config, MissingWeights, r"no config\.json"),
    (_cut_off, WrongWeights, "no whole safetensors file .* get it again"),
    (_garbage, WrongWeights, "no whole safetensors file"),
    (_empty, WrongWeights, "no whole safetensors file"),
    (_config_cut_off, WrongWeights, "cannot be read as JSON"),
    (_config_a_list, WrongWeights, "no object of keys and values"),
    (_renamed, WrongWeights, "not in the file: .* and [0-9]+ more; in the file, but not in the network: encoder_of_mine"),
    (_one_missing, WrongWeights, "not in the file: .*norm1"),
    (
        _index('{"weight_map": {"a": "evil.bin", "b": "model-1.safetensors"}}'),
        WrongWeights,
        "names 'evil.bin', which is no safetensors file",
    ),
    (_index("[]"), WrongWeights, "index.json cannot be read"),
    (_index("[" * 100_000), WrongWeights, "index.json cannot be read"),
]
CLIP_ALONE: list[tuple[Callable[[Path], None], type[MmiddError], str]] = [
    (_changed(model_type="llama"), UsageError, "'llama'"),
    (
        _changed(vision_config__hidden_size=32, vision_config__num_attention_heads=2),
        WrongWeights,
        r"of another size: \S+: \([\d, ]+\) in the file, \([\d, ]+\) in the network",
    ),
    (_changed(vision_config__hidden_size=200_000), WrongWeights, "has 480,[0-9,]+ parameters, its files hold"),
    (_changed(vision_config__num_hidden_layers=10**7), WrongWeights, "names [0-9,]+ layers, its files hold [0-9]+ tensors"),
    (_changed(vision_config__num_hidden_layers=5), WrongWeights, "not in the file: .* and 28 more"),
    (_changed(vision_config__num_hidden_layers=2), WrongWeights, "in the file, but not in the network"),
]
TIMM_ALONE: list[tuple[Callable[[Path], None], type[MmiddError], str]] = [
    (_changed(architecture="vit_of_nobody"), UsageError, "timm has no architecture 'vit_of_nobody'"),
    (_changed(architecture="test_efficientnet", model_args={}), WrongWeights, "not in the file: "),
    (
        _changed(model_args__num_classes=7),
        WrongWeights,
        r"of another size: head\.weight: \(1000, 64\) in the file, \(7, 64\)",
    ),
    (
        _changed(model_args__embed_dim=32),
        WrongWeights,
        r"of another size: cls_token: \(1, 1, 64\) in the file, \(1, 1, 32\)",
    ),
    (_changed(model_args__checkpoint_path="other.pth"), WrongWeights, "not made of: checkpoint_path"),
    (_changed(model_args__in_chans=1), WrongWeights, "not made of: in_chans"),
    (_changed(model_args=[1]), WrongWeights, "none that timm writes"),
    (_changed(model_args__depth=10**7), WrongWeights, "names 10,000,000 layers"),
    (_changed(pretrained_cfg={"std": [0, 0, 0]}), WrongWeights, "none that timm writes"),
    (_changed(pretrained_cfg={"mean": 1}), WrongWeights, "none that timm writes"),
]


def _check(folder: Path, place: Path, damage: Callable[[Path], None], error: type[MmiddError], words: str) -> None:
    shutil.copytree(folder, place)
    damage(place)
    with pytest.raises(error, match=words) as told:
        image_tower(str(place))
    assert str(place) in str(told.value)


@pytest.mark.parametrize(("damage", "error", "words"), [*BOTH, *CLIP_ALONE])
def test_a_bad_folder_of_transformers_is_told(
    clip_folder: Path, tmp_path: Path, damage: Callable[[Path], None], error: type[MmiddError], words: str
) -> None:
    _check(clip_folder, tmp_path / "bad", damage, error, words)


@pytest.mark.parametrize(("damage", "error", "words"), [*BOTH, *TIMM_ALONE])
def test_a_bad_folder_of_timm_is_told(
    timm_folder: Path, tmp_path: Path, damage: Callable[[Path], None], error: type[MmiddError], words: str
) -> None:
    _check(timm_folder, tmp_path / "bad", damage, error, words)


def test_a_pickle_beside_safetensors_is_not_opened(clip_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(clip_folder, tmp_path / "both")
    (tmp_path / "both" / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch never'\ntR.")
    assert "pytorch_model.bin" not in image_tower(str(tmp_path / "both")).source["files"]


def test_a_folder_with_code_of_its_own_is_read_without_running_it(clip_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(clip_folder, tmp_path / "code")
    _changed(auto_map={"AutoModel": "own.Own"})(tmp_path / "code")
    (tmp_path / "code" / "own.py").write_text("raise SystemExit('it ran')")
    assert torch.equal(image_tower(str(tmp_path / "code"))(IMAGES).last, image_tower(str(clip_folder))(IMAGES).last)


@pytest.mark.parametrize("weights", ["pretrained", "random"])
@pytest.mark.parametrize(
    "values", [{"vision_config": 7}, {"vision_config": {"hidden_size": 30}}, {"projection_dim": "many"}]
)
def test_a_configuration_that_means_nothing_is_told(
    clip_folder: Path, tmp_path: Path, values: dict[str, Any], weights: Any
) -> None:
    shutil.copytree(clip_folder, tmp_path / "odd")
    _changed(**values)(tmp_path / "odd")
    with pytest.raises(WrongWeights, match="does not load"):
        image_tower(str(tmp_path / "odd"), weights)


UNKNOWN = [
    ("clip:tinny", "did you mean 'clip:tiny'"),
    ("clip:openai/clip-vit-large-patch14 ", "did you mean 'clip:openai/clip-vit-large-patch14'"),
    ("timm:vit_large_patch16_dinov4", "did you mean 'timm:vit_large_patch16_dinov3'"),
    ("timm:mobilenetv2_100.nobody", "did you mean 'timm:mobilenetv2_100"),
    ("openai/clip-vit-large-patch14", "did you mean 'clip:openai/clip-vit-large-patch14'"),
    ("/no/such/folder", "neither a folder"),
    ("", "neither a folder"),
    ("clip:", "neither a folder"),
    ("timm:", "neither a folder"),
]


@pytest.mark.parametrize("weights", ["pretrained", "random"])
@pytest.mark.parametrize(("name", "words"), UNKNOWN)
def test_an_unknown_name_is_told_with_the_nearest_one(name: str, words: str, weights: Any) -> None:
    with pytest.raises(UsageError, match=words):
        image_tower(name, weights)


@pytest.mark.parametrize("name", ["clip:tiny", "timm:tiny", "timm:tiny-cnn"])
def test_what_is_for_tests_has_no_pretrained_weights(name: str) -> None:
    with pytest.raises(UsageError, match="add weights=random"):
        image_tower(name)


@pytest.mark.parametrize("name", ["clip:openai/clip-vit-base-patch16", "timm:mobilenetv2_100", "clip:nobody/at-all"])
def test_weights_that_are_not_at_hand_without_a_network_are_told_and_never_random(name: str) -> None:
    with pytest.raises(MissingWeights, match=r"not at hand.*\(1\) let them be downloaded.*\(2\).*--local-dir FOLDER.*\(3\)"):
        image_tower(name)


def test_a_clip_whose_shape_is_not_known_here_needs_its_configuration_even_at_random() -> None:
    with pytest.raises(MissingWeights, match="not at hand"):
        image_tower("clip:nobody/at-all", "random")


def test_a_side_that_is_not_made_of_whole_patches_is_told(clip_folder: Path) -> None:
    with pytest.raises(UsageError, match="neither a folder"):
        image_tower("timm:tiny@large", "random")
    for name in (str(clip_folder), "timm:tiny", "clip:tiny"):
        for side, near in ((4, 8), (0, 8), (61, 64)):
            with pytest.raises(UsageError, match=f"a multiple of it, such as @{near}"):
                image_tower(f"{name}@{side}", "pretrained" if "/" in name else "random")


def test_the_hubs_cache_is_read_without_a_network(clip_folder: Path, tmp_path: Path) -> None:
    commit = "0" * 40
    repository = tmp_path / "hub" / "models--nobody--tiny-clip"
    shutil.copytree(clip_folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    tower = image_tower("clip:nobody/tiny-clip")
    assert tower.source["revision"] == commit
    assert torch.equal(tower(IMAGES).last, image_tower(str(clip_folder))(IMAGES).last)
    assert text_tower("clip:nobody/tiny-clip", "random").source == {"weights": "random"}
    (repository / "snapshots" / commit / "model.safetensors").unlink()  # as another tool may leave it
    with pytest.raises(MissingWeights, match="not at hand"):
        image_tower("clip:nobody/tiny-clip")


def test_a_download_is_announced_and_a_repository_of_pickles_refused(
    clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Hub's client is the only thing that is stood in for: there is none here."""
    import huggingface_hub

    class Sibling:
        def __init__(self, name: str, size: int) -> None:
            self.rfilename, self.size = name, size

    class About:
        sha = "1" * 40
        siblings: tuple[Sibling, ...] = (
            Sibling("config.json", 1_000),
            Sibling("model.safetensors", 2_000_000),
            Sibling("pytorch_model.bin", 9),
        )

    def snapshot_download(repo: str, **how: Any) -> str:
        if how.get("local_files_only"):
            raise huggingface_hub.errors.LocalEntryNotFoundError("none")
        assert how["revision"] == About.sha and how["allow_patterns"] == ["config.json", "model.safetensors"]
        assert "downloading nobody/clip (2 MB) from the Hugging Face Hub" in capsys.readouterr().err
        shutil.copytree(clip_folder, tmp_path / About.sha)
        return str(tmp_path / About.sha)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: About)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert image_tower("clip:nobody/clip").source["revision"] == About.sha
    About.siblings = (Sibling("config.json", 1_000), Sibling("pytorch_model.bin", 9))
    with pytest.raises(MissingWeights, match=r"only as pytorch_model\.bin"):
        image_tower("clip:nobody/clip")


def test_towers_of_a_pair_share_one_file_and_one_scale(clip_folder: Path) -> None:
    pair = clip_pair("clip:tiny", "random")
    assert float(pair.logit_scale.detach().exp()) == pytest.approx(1 / 0.07, rel=1e-3)
    with pytest.raises(UsageError, match="has no text tower"):
        clip_pair("timm:tiny", "random")
    with pytest.raises(MissingWeights, match="holds no tokenizer"):
        clip_pair(str(clip_folder))
