"""Checkpoints of strangers, and replies that spell what is no text for a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from captions.tiny import TEMPLATE
from mmidd.detectors.backbones.mllms import mllm
from mmidd.detectors.backbones.tiny_mllm import tiny_llava
from mmidd.detectors.explain import network as of_network
from mmidd.detectors.explain.answers import as_text, ids_of, special
from mmidd.detectors.explain.network import Explaining
from mmidd.detectors.explain.options import ExplainOptions
from mmidd.detectors.explain.prompts import written
from mmidd.detectors.explain.replies import Replies

from mmidd.errors import MmiddError, UsageError, WrongWeights
from mmidd.runs.folder import RunFolder

from . import tiny

Change = Callable[[Path], Any]


def changed(name: str, **keys: Any) -> Change:
    """A JSON file with these keys, `a__b` for b in a."""

    def change(folder: Path) -> None:
        place = folder / name
        found = json.loads(place.read_text())
        for key, value in keys.items():
            *into, last = key.split("__")
            held = found
            for each in into:
                held = held[each]
            held[last] = value
        place.write_text(json.dumps(found))

    return change


def template(text: str) -> Change:
    return lambda folder: (folder / "chat_template.jinja").write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    for each in tiny_llava():
        each.save_pretrained(tmp_path / "mllm")
    return tmp_path / "mllm"


def opened(folder: Path, **options: Any) -> Explaining:
    small = {"held": "float32", "side": 56, "lora_rank": 4, "lora_alpha": 8, "reply_tokens": 8}
    return Explaining(ExplainOptions(backbone=str(folder), **{**small, **options}))


def test_how_a_checkpoint_would_decode_is_not_taken_over_but_its_ends(folder: Path) -> None:
    steering = {
        "return_dict_in_generate": True, "no_repeat_ngram_size": 2, "min_new_tokens": 5, "stop_strings": ["a"], "min_p": 0.5,
        "penalty_alpha": 0.6, "max_time": 1e-4, "num_beams": 3, "prompt_lookup_num_tokens": 3, "guidance_scale": 2.0,
    }  # fmt: skip
    changed("generation_config.json", **steering, eos_token_id=[2, 5])(folder)
    found = mllm(str(folder)).model.generation_config
    assert found.eos_token_id == [2, 5]
    assert not [name for name in steering if getattr(found, name, None)]
    scores, said = opened(folder).eval().explain(tiny.rows(2))
    assert len(said) == 2 and bool(scores.fake.isfinite().all())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (template("{% for"), "does not load"),
        (template("{{ ''.__class__.__mro__ }}"), "does not load"),
        (template("<|image|>hello"), "does not load"),
        (template(TEMPLATE.replace("{{ c['text'] }}", "hello").replace("IMAGE", "")), "does not load"),
        (template("{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<|image|>{% endif %}"
                  "{% endfor %}{% endfor %}hello"), "leaves the question out"),
        (changed("config.json", text_config__vocab_size=2**30), "has 137,"),
        (changed("config.json", vision_config__num_hidden_layers=10**7), "names 10,000,002 layers"),
        (changed("processor_config.json", patch_size=7), "does not take what its processor"),
        (changed("processor_config.json", image_processor__crop_size={"height": 28, "width": 28}), "does not take what"),
        (changed("processor_config.json", image_processor__image_mean=[float("nan")] * 3), "no finite number"),
        (changed("tokenizer_config.json", eos_token=None, pad_token=None), "no token that ends a reply"),
    ],
)  # fmt: skip
def test_files_that_do_not_belong_together_are_told_in_words(folder: Path, change: Change, words: str) -> None:
    change(folder)
    with pytest.raises(WrongWeights, match=words):
        opened(folder).begin(iter(()), {"corpus": "x", "train": "y"})


@pytest.mark.parametrize("token", ["<|image|>", "<|specialist|>", "<|im_end|>"])
def test_a_question_with_a_special_token_is_refused(token: str) -> None:
    with pytest.raises(UsageError, match="no text for this model"):
        tiny.network(question=f"Look {token} here")


def test_a_reply_that_spells_a_special_token_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tiny.network().eval()
    for token in special(found.processor):
        text = f"<think>the {token} is odd</think><answer>fake</answer>"
        replies = Replies((text,) * 2, (9,) * 2, (False,) * 2, torch.zeros(2, 1), torch.ones(2, 1))
        monkeypatch.setattr(of_network, "replied", lambda *given, held=replies, **more: held)
        scores, said = found.explain(tiny.rows(2))
        assert bool(scores.fake.isfinite().all()) and said[0].reply == text and said[0].alone is not None
        assert token not in as_text(found.processor, text)
    assert as_text(found.processor, "the <think> of it") == "the <think> of it"


def test_a_start_that_was_trained_with_other_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tiny.network(start=str(tmp_path))
    options = found.options.model_dump(mode="json")
    monkeypatch.setattr(of_network, "options_of_run", lambda run: (tmp_path / "seed-0", options))
    other = {"specialist": {"weights": "run", "files": {"network": "another"}}}
    monkeypatch.setattr(RunFolder, "about", lambda self: {"sources": other})
    with pytest.raises(MmiddError, match=r"was trained with other files: .*specialist"):
        found.begin(iter(()), {"corpus": "x", "train": "y"})


def test_what_is_scored_behind_reasons_is_spelled_in_the_tokens_that_were_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tiny.network().eval()
    text = written("the eyes look natural", found.answers.between + "real")
    taught = ids_of(found.processor.tokenizer, text)
    replies = Replies((text,), (9,), (False,), torch.zeros(1, 1), torch.ones(1, 1))
    given, seen = found.given(tiny.rows(1)), list[Any]()

    def watched(model: Any, placed: Any, held: Any, keep: Any) -> torch.Tensor:
        seen.append(held)
        return torch.zeros(1, 1, 600)

    monkeypatch.setattr(of_network, "logits_of", watched)
    found._behind(given, replies)
    behind = seen[0].inputs["input_ids"][0, given.length :].tolist()
    assert behind == list(taught[: len(behind)]) and taught[len(behind)] in found.answers.real
