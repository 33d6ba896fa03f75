"""What stage 2 does with a batch: replies, how likely they are, the distance to the start; on the tiny network."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from mmidd.detectors.explain import network as explaining
from mmidd.detectors.explain.replies import Replies, replied, silent
from mmidd.detectors.explain.rewards.chosen import Chosen
from mmidd.detectors.explain.sampling import _shared, log_chances
from safetensors.torch import load_file, save_file

from mmidd.errors import UsageError

from . import tiny


def features(network: explaining.Explaining, batch: dict[str, Any], seed: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return dict(network.features(batch))


def test_replies_are_as_likely_as_generation_says_they_are() -> None:
    """By the scores that transformers' generation draws from, with its cache, temperature and words that are never said."""
    network = tiny.network(temperature=0.6)
    tiny.disturb(network)
    with torch.no_grad():
        each = network.given(tiny.rows()).repeated(3)
        network.eval()
        torch.manual_seed(1)
        found = replied(network, each, sample=True)
        torch.manual_seed(1)
        with network.placed.shown(None):
            drawn = network.model.generate(
                **each.inputs, max_new_tokens=8, do_sample=True, temperature=0.6, top_k=0, top_p=1.0, num_beams=1,
                suppress_tokens=silent(network), pad_token_id=network.processor.tokenizer.pad_token_id, output_scores=True,
                return_dict_in_generate=True,
            )  # fmt: skip
        network.train()
        assert torch.equal(drawn.sequences[:, each.length :], found.ids)
        said = torch.stack(drawn.scores, 1).log_softmax(2).gather(2, found.ids.unsqueeze(2)).squeeze(2)
        logits = explaining.logits_of(
            network.model, network.placed, each.with_ids(found.ids, found.mask), found.ids.shape[1] + 1
        )
        ours = log_chances(network, logits, found)
    torch.testing.assert_close(ours, torch.where(found.mask, said, 0.0), rtol=1e-3, atol=1e-4)


def test_behind_a_replys_end_nothing_counts_not_even_what_is_never_said() -> None:
    network = tiny.network()
    ids = torch.tensor([[5, silent(network)[0]]])
    found = Replies(("",), (1,), (False,), ids, torch.tensor([[True, False]]))
    logits = torch.randn(1, 3, 394, requires_grad=True)
    said = log_chances(network, logits, found)
    said.sum().backward()
    assert said[0, 1] == 0 and logits.grad is not None and bool(logits.grad.isfinite().all())
    assert not logits.grad[0, 1:].any()


def test_a_specialist_is_the_same_by_either_name_of_its_place() -> None:
    alike = explaining._alike
    assert alike("specialist", "runs/gend", str(Path("runs/gend").absolute())) and alike("specialist", None, None)
    assert not alike("specialist", "runs/gend", "runs/other") and not alike("specialist", None, "runs/gend")
    assert not alike("backbone", "tiny", str(Path("tiny").absolute()))


def test_no_copy_of_all_logits_waits_for_the_gradient() -> None:
    network, kept = tiny.network(), dict[int, int]()
    ids = torch.randint(5, 300, (6, 7))
    found = Replies(("",) * 6, (7,) * 6, (False,) * 6, ids, torch.ones_like(ids, dtype=torch.bool))
    logits = torch.randn(6, 8, 394, requires_grad=True)

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    given = logits.to(torch.bfloat16)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        said = log_chances(network, given, found)
    kept.pop(given.untyped_storage().data_ptr(), None)
    assert sum(kept.values()) < given.numel() / 4
    said.sum().backward()
    assert logits.grad is not None and bool(logits.grad.any())


def test_features_are_rows_of_groups_the_same_again_and_without_a_gradient_the_same() -> None:
    network, batch = tiny.network(beta=0.1), tiny.rows()
    first = features(network, batch)
    assert {each.shape for each in first.values()} == {(4, 3)} and first["said"].requires_grad and first["kl"].requires_grad
    with torch.no_grad():
        again = features(network, batch)
    assert network.training and all(torch.equal(first[name], again[name]) for name in first)


def test_generation_is_in_eval_mode_and_the_network_trains_on(monkeypatch: pytest.MonkeyPatch) -> None:
    network, seen = tiny.network(), list[tuple[bool, bool]]()
    generates = network.model.generate

    def watched(*given: Any, **more: Any) -> Any:
        seen.append((network.model.training, torch.is_grad_enabled()))
        return generates(*given, **more)

    monkeypatch.setattr(network.model, "generate", watched)
    network.checkpointing()
    features(network, tiny.rows())
    assert seen == [(False, False)] and network.training and network.model.training


def test_checkpointing_changes_no_gradient() -> None:
    found = []
    for checkpointing in (False, True):
        network, batch = tiny.network(), tiny.rows()
        network.checkpointing() if checkpointing else None
        features(network, batch)["said"].sum().backward()
        found.append({name: each.grad for name, each in network.named_parameters() if each.grad is not None})
    assert found[0] and found[0].keys() == found[1].keys()
    for name, each in found[0].items():
        torch.testing.assert_close(found[1][name], each, rtol=1e-4, atol=1e-6)


def test_without_beta_nothing_is_held_beside_the_network() -> None:
    network = tiny.network()
    assert network.reference is None and not [name for name in network.stored() if "reference" in name]
    assert "kl" not in features(network, tiny.rows())


def test_the_distance_is_none_at_the_start_and_is_to_it_also_when_it_is_loaded(tmp_path: Path) -> None:
    network, batch = tiny.network(beta=0.1), tiny.rows()
    at_start = features(network, batch)
    torch.testing.assert_close(at_start["kl"], torch.zeros(4, 3), atol=1e-5, rtol=0)
    tiny.disturb(network)
    apart = features(network, batch)["kl"]
    assert bool((apart > 1e-3).all())
    save_file({name: network.state_dict()[name].contiguous() for name in network.stored()}, tmp_path / "it.safetensors")
    other = tiny.network(beta=0.1)
    other.load_state_dict(load_file(tmp_path / "it.safetensors"), strict=False)
    assert torch.equal(features(other, batch)["kl"], apart)
    now = features(other, batch)
    loss = other.losses(now, batch, other.rows(batch))
    torch.testing.assert_close(loss.told["kl"], (apart / now["length"]).mean().detach())
    torch.testing.assert_close(loss.terms["kl"].detach(), 0.1 * loss.told["kl"])


def test_all_that_is_trained_gets_a_gradient() -> None:
    network, batch, reached = tiny.network(beta=0.1), tiny.rows(), set()
    network.judge = Chosen({"first": lambda asked: [float(at % 3 == 0) for at in range(len(asked.replies))]}, {"first": 1.0})
    tiny.disturb(network)
    loss = network.losses(features(network, batch), batch, network.rows(batch))
    sum(loss.terms.values()).backward()
    reached = {name for name, each in network.named_parameters() if each.grad is not None and bool(each.grad.any())}
    assert reached == {name for name, each in network.named_parameters() if each.requires_grad}


def test_what_a_reward_tells_is_counted_once_for_each_batch() -> None:
    def telling(asked: Any) -> list[float]:
        for _ in asked.replies:
            asked.note("no verdict")
        return [0.0] * len(asked.replies)

    network, batch = tiny.network(), tiny.rows()
    network.judge = Chosen({"told": telling}, {"told": 1.0})
    for _ in range(2):
        found = network.losses(features(network, batch), batch, network.rows(batch))
        assert found.counts == {"no verdict": 12} and network.noted == Counter()


@pytest.mark.parametrize(
    ("rewards", "words"), [({"clas": 1.0}, "did you mean 'class'"), ({"class": 0.0}, "none has a weight above 0")]
)
def test_rewards_that_there_are_not_are_refused_as_it_is_built(rewards: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        tiny.network(rewards=rewards)


def test_reasons_that_another_row_got_too_are_shared() -> None:
    assert _shared(["a", "b", "a", "c", "", ""], 2) == [True, False, True, False, False, False]
    assert _shared(["a", "a"], 2) == [False, False], "within a row replies are free to be alike"
