"""SD2: its counts, its terms against brute force, what is left out and counted, and what trains."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from mmidd.detectors import texts
from mmidd.detectors.backbones import clip_pair
from mmidd.detectors.backbones.lora import add_lora, trained
from mmidd.detectors.sd2 import DETECTOR, SD2, Clam, SD2Options, classification, contrast, separation
from runs import toy
from torch import nn
from torch.nn import functional as F

from mmidd.errors import RunError, UsageError
from mmidd.runs.detector import Loss
from mmidd.runs.settings import Settings
from mmidd.runs.train import Trained, train
from mmidd.schema import FORGERY_TYPES

TINY = {"backbone": "clip:tiny", "weights": "random"}
FACES = [
    "seen from the front",
    "a young man",
    "",
    "seen from the front",
    "in profile",
    "a smile",
    "a beard",
    "seen from the front",
]
PLACES = ["a street", "a street", "a street", "", "", "a room", "a dark wall", "outdoors"]


def tiny(**options: Any) -> SD2:
    torch.manual_seed(0)
    return SD2(SD2Options(**{**TINY, "phrasings": 1, **options}))


def a_batch(rows: slice = slice(None)) -> dict[str, Any]:
    """Eight rows, two of unknown type, one without a face caption, two without one of the environment."""
    chance = torch.Generator().manual_seed(1)
    types = torch.tensor([0, 1, -1, 0, 4, 2, -1, 3])
    whole = {
        "image": torch.randn(8, 3, 64, 64, generator=chance), "label": (types != 0).long(), "forgery_type": types,
        "face_caption": FACES, "environment_caption": PLACES,
    }  # fmt: skip
    return {name: each[rows] for name, each in whole.items()}


def disturb(network: nn.Module) -> None:
    """As if it had been trained: LoRA's B is no longer zero."""
    torch.manual_seed(5)
    with torch.no_grad():
        for each in network.parameters():
            if each.requires_grad:
                each.add_(0.05 * torch.randn_like(each))


def total(loss: Loss) -> torch.Tensor:
    return sum(loss.terms.values(), torch.zeros(()))


def gradients(network: SD2) -> dict[str, torch.Tensor]:
    return {name: each.grad.clone() for name, each in network.named_parameters() if each.grad is not None}


# Counts


@pytest.mark.parametrize(("targets", "count"), [("qv", 1_081_344), ("qkv", 1_622_016), ("qkvo", 2_162_688)])
def test_the_full_size_has_these_numbers(targets: str, count: int) -> None:
    with torch.device("meta"):
        pair = clip_pair("clip:openai/clip-vit-large-patch14", "random")
        for tower in (pair.image, pair.text):
            add_lora(tower, 8, 8, targets)
    assert trained(pair.image) + trained(pair.text) == count
    for tower in (pair.image, pair.text):
        assert not any(each.requires_grad for each in tower.projection.parameters())
        assert [type(each).__name__ for each in tower.projection.modules()] == ["Linear"]


def test_clam_at_full_size_has_these_numbers() -> None:
    with torch.device("meta"):
        clam = Clam(1024, 16, 1024, 768)
    assert (trained(clam.attention), trained(clam.adapter)) == (4_198_400, 1_573_632)


def test_all_that_is_trained_is_lora_clam_and_the_sigmoids_two_numbers() -> None:
    names = {name for name, each in tiny().named_parameters() if each.requires_grad and "lora_" not in name}
    assert {name.split(".")[0] for name in names} == {"clam", "log_temperature", "bias"}


# Modules


def test_clam_is_attention_over_layers_by_hand() -> None:
    torch.manual_seed(2)
    clam, layers, last = Clam(8, 2, 5, 6), torch.randn(3, 4, 8), torch.randn(3, 5)
    q, k, v = F.linear(layers, clam.attention.in_proj_weight, clam.attention.in_proj_bias).chunk(3, dim=2)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        shares = (q[:, :, part] @ k[:, :, part].transpose(1, 2) / 2).softmax(dim=2)
        heads.append(shares @ v[:, :, part])
    mixed = clam.attention.out_proj(torch.cat(heads, dim=2)).mean(dim=1)
    torch.testing.assert_close(clam(layers, last), clam.adapter(torch.cat([mixed, last], dim=1)))


def test_without_clam_the_adapter_sees_the_final_feature_alone_and_nothing_else_is_gone() -> None:
    with_it, without = (SD2(SD2Options(backbone="clip:tiny", weights="random", clam=each)) for each in (True, False))
    names = {name for name, _ in without.named_parameters()}
    gone = {name for name, _ in with_it.named_parameters()} - names
    assert gone and all(name.startswith("clam.attention") for name in gone)
    assert without.clam.adapter.in_features == without.image.width


def test_every_blocks_token_reaches_clam() -> None:
    network, batch = tiny(), a_batch()
    seen = network.image(batch["image"], layers=True)
    assert seen.layers.shape == (8, network.image.depth, network.image.width)
    layers = seen.layers.detach().requires_grad_()
    network.clam(layers, seen.last).sum().backward()
    assert (layers.grad.abs().sum(dim=(0, 2)) > 0).all()


# Terms


def test_the_types_are_a_cross_entropy_over_cosines() -> None:
    cosines, types = torch.tensor([[0.1, 0.3, 0.0, -0.2, 0.1], [0.5, 0.1, 0.1, 0.0, 0.2]]), torch.tensor([1, 4])
    expected = sum(
        math.log(sum(math.exp(100 * float(each)) for each in row)) - 100 * float(row[kind])
        for row, kind in zip(cosines, types, strict=True)
    )
    assert classification(100 * cosines, types).item() == pytest.approx(expected, rel=1e-5)


def test_five_texts_at_right_angles_are_separated() -> None:
    assert separation(100 * torch.eye(5)).item() == pytest.approx(math.log(1 + 4 * math.exp(-100)), abs=1e-6)
    assert separation(100 * torch.ones(5, 5)).item() == pytest.approx(math.log(5))


def test_the_contrast_is_siglips_sum_over_all_pairs() -> None:
    chance = torch.Generator().manual_seed(3)
    logits = torch.randn(4, 4, generator=chance)
    belong = torch.eye(4, dtype=torch.bool)
    belong[0, 2] = belong[2, 0] = True
    expected = 0.0
    for image in range(4):
        for caption in range(4):
            sign = 1 if belong[image, caption] else -1
            expected -= math.log(1 / (1 + math.exp(-sign * float(logits[image, caption]))))
    assert contrast(logits, belong).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("positives", ["identical", "diagonal"])
def test_all_terms_of_a_batch_by_brute_force(positives: str) -> None:
    network, batch = tiny(positives=positives).eval(), a_batch()
    disturb(network)
    features = network.features(batch)
    loss = network.losses(features, batch, network.rows(batch))
    image = F.normalize(features["image"], dim=1)
    named = F.normalize(texts.embedded(network.text, texts.labels()), dim=1)
    typed = [row for row, kind in enumerate(batch["forgery_type"].tolist()) if kind >= 0]
    expected = {
        "classification": sum(F.cross_entropy(100 * named @ image[r], batch["forgery_type"][r]) for r in typed) / 6,
        "separation": F.cross_entropy(100 * named @ named.T, torch.arange(5)),
    }
    scale, bias = network.log_temperature.exp(), network.bias
    for kind, captions in (("face", FACES), ("environment", PLACES)):
        rows = [row for row, each in enumerate(captions) if each]
        cost = torch.zeros(())
        for one in rows:
            for other in rows:
                told = F.normalize(texts.embedded(network.text, [captions[other]])[0], dim=0)
                belongs = one == other or (positives == "identical" and captions[one] == captions[other])
                cost = cost - F.logsigmoid((1 if belongs else -1) * (scale * image[one] @ told + bias))
        expected[kind] = 2 * cost / len(rows)
    assert loss.terms.keys() == expected.keys()
    for name, each in expected.items():
        torch.testing.assert_close(loss.terms[name], each, rtol=1e-4, atol=1e-4)
    assert {name: count for name, count in loss.counts.items() if count} == {
        "unknown type": 2, "no face caption": 1, "no environment caption": 2,
    }  # fmt: skip


def test_identical_captions_cost_less_as_positives_once_they_fit() -> None:
    """Two images of one caption: as negatives of each other the sigmoid cannot be satisfied."""
    logits = torch.full((2, 2), 8.0)
    assert contrast(logits, torch.ones(2, 2, dtype=torch.bool)).item() < 0.01
    assert contrast(logits, torch.eye(2, dtype=torch.bool)).item() > 15


@pytest.mark.parametrize(("alpha_on", "doubled"), [
    ("contrast", {"face", "environment"}), ("separation", {"separation"}), ("classification", {"classification"}),
])  # fmt: skip
def test_alpha_multiplies_the_term_that_is_asked_for(alpha_on: str, doubled: set[str]) -> None:
    batch, found = a_batch(), {}
    for alpha in (1.0, 2.0):
        network = tiny(alpha=alpha, alpha_on=alpha_on).eval()
        found[alpha] = network.losses(network.features(batch), batch, network.rows(batch)).terms
    assert {name for name in found[1.0] if not torch.equal(found[1.0][name], found[2.0][name])} == doubled
    for name in doubled:
        torch.testing.assert_close(found[2.0][name], 2 * found[1.0][name])


# Rows that a term does without


@pytest.mark.parametrize(("captions", "kinds"), [
    ("both", ["face", "environment"]), ("face", ["face"]), ("environment", ["environment"]), ("none", []),
])  # fmt: skip
def test_which_captions_it_asks_for_and_what_it_says_of_the_others(captions: str, kinds: list[str]) -> None:
    network, batch = tiny(captions=captions), a_batch()
    assert network.input.columns == tuple(f"{kind}_caption" for kind in kinds)
    assert list(network.options.needs()) == [f"{kind}_caption" for kind in kinds]
    assert all("--set captions=" in each for each in network.options.needs().values())
    batch = {name: each for name, each in batch.items() if not name.endswith("_caption") or name in network.input.columns}
    loss = network.losses(network.features(batch), batch, network.rows(batch))
    assert list(loss.terms) == ["classification", "separation", *kinds]
    dropped = [kind for kind in ("face", "environment") if kind not in kinds]
    assert [name for name in loss.counts if "captions=" in name] == [
        f"{each} contrast: captions={captions}" for each in dropped
    ]
    assert network.log_temperature.requires_grad is bool(kinds)


def test_a_batch_without_types_or_captions_costs_nothing_there_and_is_counted() -> None:
    network, batch = tiny(), a_batch()
    batch |= {"forgery_type": torch.full((8,), -1), "face_caption": [""] * 8, "environment_caption": ["  "] * 8}
    loss = network.losses(network.features(batch), batch, network.rows(batch))
    assert all(loss.terms[name] == 0 for name in ("classification", "face", "environment"))
    assert [loss.counts[name] for name in ("unknown type", "no face caption", "no environment caption")] == [8, 8, 8]
    total(loss).backward()


def test_captions_that_are_too_long_are_cut_and_counted_and_alike_where_the_tower_reads_the_same() -> None:
    network, batch = tiny(captions="face"), a_batch()
    words = " ".join(f"word{number}" for number in range(100))
    batch["face_caption"] = [f"{words} one", f"{words} two", *FACES[2:]]
    loss = network.losses(network.features(batch), batch, network.rows(batch))
    (count,) = [count for name, count in loss.counts.items() if "longer than" in name]
    assert count == 2
    tokens = network.text.tokenizer(batch["face_caption"][:4])
    assert tokens.ids.shape[1] == 77
    assert texts.same(tokens).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_with_nothing_of_the_texts_to_train_separation_is_left_out_and_said() -> None:
    batch = a_batch()
    for options, has in (({}, False), ({"text_head": True}, True), ({"learn_scale": True}, True)):
        network = tiny(lora_rank=0, **options)
        loss = network.losses(network.features(batch), batch, network.rows(batch))
        assert ("separation" in loss.terms) is has
        assert ("separation: of the texts nothing is trained" in loss.counts) is not has


# Parts of a batch


def test_parts_add_up_to_the_batch_but_for_the_contrast() -> None:
    """Accumulation 1 = 4, though the rows of unknown type and those without captions are not spread evenly."""
    whole = tiny(captions="none").eval()
    disturb(whole)
    batch = a_batch()
    over = whole.rows(batch)
    loss = whole.losses(whole.features(batch), batch, over)
    total(loss).backward()
    expected = gradients(whole)
    whole.zero_grad()
    sums, counts = torch.zeros(()), 0
    for start in range(0, 8, 2):
        part = a_batch(slice(start, start + 2))
        found = whole.losses(whole.features(part), part, over)
        total(found).backward()
        sums, counts = sums + total(found).detach(), counts + found.counts["unknown type"]
    torch.testing.assert_close(sums, total(loss).detach())
    assert counts == loss.counts["unknown type"] == 2
    for name, each in gradients(whole).items():
        torch.testing.assert_close(each, expected[name], rtol=1e-3, atol=1e-5)


def test_a_part_is_contrasted_with_its_own_rows_alone() -> None:
    network, batch = tiny(captions="face").eval(), a_batch()
    over = network.rows(batch)
    whole = network.losses(network.features(batch), batch, over).terms["face"]
    halves = [a_batch(slice(0, 4)), a_batch(slice(4, 8))]
    parts = sum(network.losses(network.features(each), each, over).terms["face"] for each in halves)
    # What is missing: 4 x 3 pairs across the halves, each way, of captions that mostly do not belong.
    assert 0 < parts < whole


def test_the_whole_batchs_loss_through_kept_features_has_the_same_gradient() -> None:
    """As contrast=whole computes it (GradCache)."""
    network, batch = tiny().eval(), a_batch()
    disturb(network)
    over = network.rows(batch)
    total(network.losses(network.features(batch), batch, over)).backward()
    expected = gradients(network)
    network.zero_grad()
    parts = [a_batch(slice(start, start + 2)) for start in range(0, 8, 2)]
    with torch.no_grad():
        kept = [network.features(each) for each in parts]
    joined = {name: torch.cat([each[name] for each in kept]).requires_grad_() for name in kept[0]}
    total(network.losses(joined, {name: each for name, each in batch.items() if name != "image"}, over)).backward()
    for place, each in enumerate(parts):
        found = network.features(each)
        rows = slice(2 * place, 2 * place + 2)
        names = [name for name in found if found[name].requires_grad]
        torch.autograd.backward([found[name] for name in names], [joined[name].grad[rows] for name in names])
    for name, each in gradients(network).items():
        torch.testing.assert_close(each, expected[name], rtol=1e-3, atol=1e-5)


# Training


def test_gradients_reach_both_towers_and_are_equal_with_checkpointing() -> None:
    found = []
    for checkpointing in (False, True):
        network, batch = tiny().train(), a_batch()
        disturb(network)
        if checkpointing:
            network.checkpointing()
        total(network.losses(network.features(batch), batch, network.rows(batch))).backward()
        found.append(gradients(network))
    assert found[0].keys() == found[1].keys() == {n for n, each in tiny().named_parameters() if each.requires_grad}
    # Image: 3 layers, text: 2; q and v; A and B.
    assert [sum(name.startswith(tower) for name in found[0]) for tower in ("image.", "text.")] == [12, 8]
    for name, each in found[0].items():
        assert each.abs().sum() > 0, name
        torch.testing.assert_close(found[1][name], each)


def test_it_begins_as_its_backbone() -> None:
    with_lora, without = tiny().eval(), tiny(lora_rank=0).eval()
    images = a_batch()["image"]
    assert torch.equal(with_lora.image(images).last, without.image(images).last)
    assert torch.equal(texts.embedded(with_lora.text, FACES), texts.embedded(without.text, FACES))


def test_what_was_trained_gives_the_same_network_on_the_same_backbone() -> None:
    network, batch = tiny().eval(), a_batch()
    before = network.scores(network.features(batch)).types
    disturb(network)
    told = network.scores(network.features(batch))
    assert (told.types - before).abs().max() > 1e-3
    stored = {name: each.clone() for name, each in network.named_parameters() if each.requires_grad}
    again = tiny().eval()
    assert not again.load_state_dict(stored, strict=False).unexpected_keys
    found = again.scores(again.features(batch))
    assert torch.equal(found.types, told.types) and torch.equal(found.fake, told.fake)


def test_scores_are_one_minus_real_and_add_up() -> None:
    network, batch = tiny().eval(), a_batch()
    found = network.scores(network.features(batch))
    assert found.types.shape == (8, len(FORGERY_TYPES))
    torch.testing.assert_close(found.types.sum(dim=1), torch.ones(8))
    torch.testing.assert_close(found.fake, 1 - found.types[:, 0])
    alone = network.scores(network.features({"image": batch["image"]}))  # as in a data set without captions
    torch.testing.assert_close(alone.fake, found.fake)


def test_phrasings_are_drawn_from_torchs_chance_and_scores_from_none() -> None:
    torch.manual_seed(0)
    first, second = texts.sampled(5), texts.sampled(5)
    torch.manual_seed(0)
    assert texts.sampled(5) == first != second
    assert texts.sampled(1) == texts.labels()
    every = [each for found in texts.PHRASINGS.values() for each in found]
    assert list(texts.PHRASINGS) == list(FORGERY_TYPES) and len(set(every)) == len(every)


def test_a_batch_can_be_learnt() -> None:
    network, batch = tiny(captions="none", scale=20.0).train(), a_batch()
    optimiser = torch.optim.AdamW([each for each in network.parameters() if each.requires_grad], lr=5e-3)
    costs = []
    for _ in range(25):
        cost = total(network.losses(network.features(batch), batch, network.rows(batch)))
        cost.backward()
        optimiser.step()
        optimiser.zero_grad()
        costs.append(cost.item())
    assert costs[-1] < 0.3 * costs[0]
    fake = network.eval().scores(network.features(batch)).fake
    known = batch["forgery_type"] >= 0
    assert ((fake > 0.5) == (batch["label"] == 1))[known].all()


# Other towers


@pytest.mark.parametrize("rank", [0, 4])
def test_any_pair_of_towers_works(rank: int) -> None:
    network, batch = tiny(backbone="timm:tiny", text="text:tiny", lora_rank=rank, text_head=True).train(), a_batch()
    total(network.losses(network.features(batch), batch, network.rows(batch))).backward()
    found = {name.split(".")[0] for name in gradients(network)}
    assert found == {"clam", "log_temperature", "bias", "text_head"} | ({"image", "text"} if rank else set())


def test_a_convolutional_network_gives_its_stages_to_clam_and_takes_no_lora() -> None:
    network, batch = tiny(backbone="timm:tiny-cnn", text="text:tiny", lora_rank=0), a_batch()
    assert network.clam.attention.embed_dim == max(network.image.layer_widths)
    total(network.losses(network.features(batch), batch, network.rows(batch))).backward()
    with pytest.raises(UsageError, match="lora_rank=0"):
        tiny(backbone="timm:tiny-cnn", text="text:tiny")


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(UsageError, match="heads=7"):
        tiny(heads=7)


def test_the_paper_preset_is_the_papers_settings_and_says_the_negatives() -> None:
    settings = Settings(**DETECTOR.presets["paper"].settings)
    assert (settings.lr, settings.batch, settings.epochs, settings.augment, settings.contrast) == (
        5e-7,
        1024,
        4,
        "sd2",
        "micro",
    )
    assert settings.micro is not None and f"a row meets {settings.micro - 1} negatives" in DETECTOR.open_questions[0]
    assert "contrast=whole" in DETECTOR.open_questions[0]


# A corpus without captions


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some types are unknown, and nobody wrote a caption of an environment."""
    return toy.corpus(tmp_path_factory.mktemp("sd2") / "corpus")


def _train(corpus: Path, out: Path, *settings: str) -> Trained:
    return train(DETECTOR, "sd2", corpus, out, preset="tiny", workers=0, device="cpu", tell=lambda line: None,
                 settings=["steps=2", "batch=8", *settings])  # fmt: skip


def test_without_captions_it_stops_and_says_how_to_train_without_them(bare: Path, tmp_path: Path) -> None:
    said = r"sd2 cannot be trained without 'face_caption', which is empty in all .* rows.*captions=none both"
    with pytest.raises(RunError, match=said):
        _train(bare, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_it_trains_without_them_where_that_is_asked_for_and_says_what_was_dropped(bare: Path, tmp_path: Path) -> None:
    (done,) = _train(bare, tmp_path / "run", "captions=none").seeds
    assert done["steps"] == 2
    assert {name for name in done["left out by terms"] if "captions=none" in name} == {
        "face contrast: captions=none", "environment contrast: captions=none",
    }  # fmt: skip
