"""What every reference detector promises: a row of `detectors/registry.py` is held to it for the asking."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from mmidd.detectors.listing import laid_out
from mmidd.detectors.registry import REFERENCE_DETECTORS, Facts, reference_detector
from safetensors.torch import load_file, save_file

from mmidd.registry import Row
from mmidd.runs.detector import PRESETS, Batch, Detector, Features, Network, Scores
from mmidd.runs.settings import Settings
from mmidd.schema import BY_NAME
from mmidd.training.augment.presets import PRESETS as AUGMENTS

from .rows import part_of, rows

ROWS = {row.name: row for row in REFERENCE_DETECTORS.rows}
NAMES = [each.name for each in REFERENCE_DETECTORS.listed() if each.installed and each.note is None]
"""Other packages' too, where any are; their authors run `pytest tests/contract/test_reference_detectors.py -k NAME`."""
LABELS, TYPES = (0, 1, 0, 1, 0, 1, 1, 1), (0, 1, 0, 2, 0, 3, 4, 1)

pytestmark = pytest.mark.parametrize("name", NAMES)


@lru_cache(maxsize=4)
def paper(name: str) -> Network:
    """At its size in the paper, without memory."""
    detector = reference_detector(name)
    found: Network = laid_out(detector, detector.options(**detector.presets["paper"].options))
    return found


def tiny(name: str, seed: int = 0) -> Network:
    """A network that computes here, of values drawn by that seed, in eval mode."""
    detector = reference_detector(name)
    torch.manual_seed(seed)
    network: Network = detector.build(detector.options(**detector.presets["tiny"].options))
    network.eval()
    return network


def mixed(network: Network, seed: int = 0) -> dict[str, Any]:
    return rows(network.input, LABELS, TYPES, seed)


def seen(network: Network, batch: Batch) -> Features:
    """Features as the loop hands them on."""
    torch.manual_seed(7)
    return {key: value.float() for key, value in network.features(batch).items()}


def terms(network: Network, batch: Batch, over: Mapping[str, int] | None = None) -> dict[str, torch.Tensor]:
    found = network.losses(seen(network, batch), batch, over or network.rows(batch)).terms
    for term, value in found.items():
        assert value.shape == () and bool(value.isfinite()), f"{term} is {value}"
    assert found and set(network.compares) <= set(found)
    return dict(found)


def scored(network: Network, batch: Batch) -> Scores:
    with torch.inference_mode():
        return network.scores(seen(network, batch))


def stepped(network: Network, batch: Batch, steps: int = 1, rate: float = 1e-2) -> list[float]:
    """Train on one batch; what it cost before each step and after the last."""
    trained = [each for each in network.parameters() if each.requires_grad]
    optimiser, costs = torch.optim.SGD(trained, lr=rate), []
    for step in range(steps + 1):
        torch.manual_seed(11)
        cost = torch.stack([*terms(network, batch).values()]).sum()
        costs.append(float(cost.detach()))
        if step < steps:
            optimiser.zero_grad(set_to_none=True)
            cost.backward()
            optimiser.step()
    return costs


# What it says of itself.


def test_every_word_that_describes_it_is_there(name: str) -> None:
    found = reference_detector(name)
    for key in ("title", "paper", "code", "code_licence", "backbone", "backbone_licence"):
        assert getattr(found, key).strip(), key
    assert tuple(found.presets)[: len(PRESETS)] == PRESETS
    assert (
        "label" in found.needs and {*found.needs, *found.uses} <= {*BY_NAME, "mask"} and not {*found.needs} & {*found.uses}
    )
    assert all(each.strip() for each in found.open_questions)


def test_its_row_says_what_its_module_says(name: str) -> None:
    if name not in ROWS:
        return  # another package's: it has no row
    row: Row[Facts] = ROWS[name]
    found, facts = reference_detector(name), row.facts
    for key in ("paper", "code_licence", "backbone", "backbone_licence"):
        assert getattr(facts, key) in getattr(found, key), key
    assert (facts.needs, facts.presets) == ((*found.needs, *found.options().needs()), tuple(found.presets))
    counted = [sum(p.numel() for p in paper(name).parameters() if p.requires_grad or every) for every in (True, False)]
    assert counted == [facts.parameters, facts.trained]
    assert row.extra == "train" and "torch" in row.needs


def test_every_option_says_what_it_means_and_none_is_a_setting_too(name: str) -> None:
    fields = reference_detector(name).options.model_fields
    assert not {*fields} & {*Settings.model_fields}
    assert [key for key, field in fields.items() if not (field.description or "").strip()] == []
    reference_detector(name).options()  # each has a default


def test_its_presets_are_options_and_settings_that_there_are(name: str) -> None:
    detector = reference_detector(name)
    for preset in detector.presets.values():
        detector.options(**preset.options)
        assert Settings(**preset.settings).augment in AUGMENTS


def test_it_asks_for_the_columns_that_it_says_it_needs_or_uses(name: str) -> None:
    wanted, found = tiny(name).input, reference_detector(name)
    asked = {*wanted.columns, *(("mask",) if wanted.mask else ())}
    assert asked <= {*found.needs, *found.uses} and wanted.frames >= 1 and wanted.side >= 8


# Its features and scores.


def test_what_it_says_of_a_row_depends_on_no_other_row(name: str) -> None:
    network = tiny(name)
    batch = mixed(network)
    with torch.inference_mode():
        together, alone = seen(network, batch), [seen(network, part_of(batch, at, at + 1)) for at in (0, 3)]
    for key, value in together.items():
        assert len(value) == len(LABELS), f"{key}: the first axis of features is the batch"
        for at, one in zip((0, 3), alone, strict=True):
            torch.testing.assert_close(value[at : at + 1], one[key], rtol=1e-3, atol=1e-4)


def test_scores_are_shares_of_one_and_the_same_twice(name: str) -> None:
    network = tiny(name)
    batch = mixed(network)
    first, again = scored(network, batch), scored(network, batch)
    assert first.fake.shape == (len(LABELS),) and first.fake.dtype == torch.float32
    assert bool(((first.fake >= 0) & (first.fake <= 1)).all()) and torch.equal(first.fake, again.fake)
    if first.types is not None:
        assert first.types.shape == (len(LABELS), 5) and bool((first.types >= 0).all())
        torch.testing.assert_close(first.types.sum(1), torch.ones(len(LABELS)), rtol=1e-4, atol=1e-4)


# Its losses.


@pytest.mark.parametrize(
    ("labels", "types"),
    [
        (LABELS, TYPES),
        (LABELS, (0, -1, 0, -1, 0, -1, -1, -1)),
        ((0, 0, 0, 0), (0, 0, 0, 0)),
        ((1, 1, 1, 1), (1, 2, 3, 4)),
        ((1,), (1,)),
        ((0,), (0,)),
    ],
    ids=["mixed", "unknown-types", "reals-alone", "fakes-alone", "one-fake", "one-real"],
)
def test_whatever_a_part_holds_its_losses_and_gradients_are_finite(
    name: str, labels: tuple[int, ...], types: tuple[int, ...]
) -> None:
    network = tiny(name)
    batch = rows(network.input, labels, types)
    found = terms(network, batch)
    told = network.losses(seen(network, batch), batch, network.rows(batch)).counts
    assert all(word.strip() and count >= 0 for word, count in told.items())
    cost = torch.stack([*found.values()]).sum()
    if cost.requires_grad:
        cost.backward()
    for key, each in network.named_parameters():
        assert each.grad is None or bool(each.grad.isfinite().all()), key


def test_terms_that_compare_no_rows_are_the_same_however_a_batch_is_cut(name: str) -> None:
    network = tiny(name)
    batch = mixed(network)
    over, whole = network.rows(batch), terms(network, batch)
    parts = [terms(network, part_of(batch, *cut), over) for cut in ((0, 2), (2, 6), (6, 8))]
    for term in whole.keys() - set(network.compares):
        torch.testing.assert_close(sum(part[term] for part in parts), whole[term], rtol=1e-3, atol=1e-4, msg=term)


def test_gradients_reach_all_that_is_trained_and_nothing_else(name: str) -> None:
    """Over two steps: what is multiplied by a zero at the start has its first gradient at the second."""
    network = tiny(name)
    network.train()
    batch, reached = mixed(network), set[str]()
    frozen = {key: each.detach().clone() for key, each in network.named_parameters() if not each.requires_grad}
    for _ in range(2):
        stepped(network, batch)
        reached |= {key for key, each in network.named_parameters() if each.grad is not None and bool(each.grad.any())}
        network.zero_grad(set_to_none=True)
    assert {key for key, each in network.named_parameters() if each.requires_grad} - reached == set()
    assert all(torch.equal(network.get_parameter(key), value) for key, value in frozen.items())


def test_a_few_steps_on_one_batch_make_it_cheaper(name: str) -> None:
    costs = stepped(tiny(name), mixed(tiny(name)), steps=4, rate=1e-3)
    assert min(costs[1:]) < costs[0], costs


def test_it_trains_in_training_mode_and_under_mixed_precision(name: str) -> None:
    network = tiny(name).train()
    batch = mixed(network)
    torch.manual_seed(7)
    with torch.autocast("cpu", torch.bfloat16):
        found = network.features(batch)
    features = {key: value.float() for key, value in found.items()}
    told = network.losses(features, batch, network.rows(batch)).terms
    cost = torch.stack([*told.values()]).sum()
    assert bool(cost.isfinite())
    cost.backward()
    full = torch.stack([*terms(tiny(name).train(), batch).values()]).sum()
    assert abs(cost.item() - full.item()) < 0.25 * abs(full.item()) + 0.25  # the same sum, less exact


# Its state.


def test_its_state_is_safetensors_and_scores_the_same_when_it_is_loaded(name: str, tmp_path: Path) -> None:
    network, other = tiny(name), tiny(name, seed=1)
    stepped(network, mixed(network))
    save_file(network.state_dict(), tmp_path / "model.safetensors")  # raises for tensors that share memory
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(scored(network, mixed(network)).fake, scored(other, mixed(other)).fake)


def test_one_seed_gives_one_network(name: str) -> None:
    first, again, other = (tiny(name, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_the_network_of_the_paper_is_laid_out_without_memory(name: str) -> None:
    network = paper(name)
    assert all(each.is_meta for each in network.parameters()) and network.input.side >= 8
    trained = [each for each in network.parameters() if each.requires_grad]
    assert len(trained) > 0 and all(each.dtype == torch.float32 for each in trained)


def test_a_detector_is_what_the_registry_promises(name: str) -> None:
    found = reference_detector(name)
    assert isinstance(found, Detector) and isinstance(tiny(name), Network)
