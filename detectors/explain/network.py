"""A vision-language model as a detector: its answer's log-odds, with reasons before it and without."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.nn import functional as F

from mmidd.errors import RunError, UsageError, WrongWeights, check_memory, sanitised
from mmidd.explanations.reply import ANSWER, Said, read
from mmidd.runs import checkpoint
from mmidd.runs.detector import Batch, Features, Input, Loss, Network, Scores
from mmidd.runs.folder import RunFolder, differences, known_by
from mmidd.runs.trained import options_of_run

from ..backbones import files, mllm
from . import collapse, prompts
from .align import written_loss
from .answers import answers, as_text, special
from .objective import objective
from .options import ExplainOptions
from .prompted import Prompted, logits_of, pictures, prompted
from .reference import Reference
from .replies import Replies, replied
from .rewards.chosen import chosen
from .sampling import rollouts, scoring
from .soft import Placed, Projector
from .specialist import Specialist

_SIDE = 224
_LINEAR = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
_SHAPES = ("backbone", "weights", "specialist", "soft_tokens", "lora_rank", "lora_alpha", "words", "question", "side")
"""Options in which a run and the one that it starts from are alike."""
_HELD = "reference."
"""What of a checkpoint is a run's own start."""


class Explaining(Network):
    """Sees a picture as it is; `scores` are of the answer without reasons, `explain` of the answer behind them."""

    explains = True

    def __init__(self, options: ExplainOptions) -> None:
        super().__init__()
        from peft import LoraConfig, get_peft_model

        self.options = options
        found = mllm(options.backbone, options.weights, options.held)
        self.processor = found.processor
        found.model.requires_grad_(False)
        found.model.source = found.source
        adapters = LoraConfig(
            r=options.lora_rank, lora_alpha=options.lora_alpha, target_modules=_LINEAR, task_type="CAUSAL_LM"
        )
        with warnings.catch_warnings():  # peft and transformers tell each other of names that they change
            warnings.simplefilter("ignore", FutureWarning)
            self.model = get_peft_model(found.model, adapters)
        self.specialist = Specialist(options.specialist) if options.specialist is not None else None
        side = options.side or (self.specialist.input.side if self.specialist else _SIDE)
        self.input = Input(
            side, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), fit=self.specialist.input.fit if self.specialist else "crop"
        )
        if self.processor is not None:
            self._ready(options)
        self.reference: Reference | None = None
        if options.stage == "reinforce":
            self.judge, self.noted = chosen(options), Counter[str]()
            self.looks_back = collapse.BACK
            self.reference = Reference(self) if options.beta else None

    def _ready(self, options: ExplainOptions) -> None:
        tokenizer = self.processor.tokenizer
        self.answers = answers(tokenizer, options.words)
        soft = options.soft_tokens if self.specialist is not None else 0
        self.question = prompts.question(options.words, soft, options.question)
        asked = prompts.question(options.words, 0, options.question)
        if held := [each for each in (prompts.SPECIALIST, *special(self.processor)) if each in asked]:
            raise UsageError(f"the question holds {held[0]!r}, which is no text for this model: ask in other words")
        embeddings = self.model.get_input_embeddings()
        tokenizer.add_special_tokens({"additional_special_tokens": [prompts.SPECIALIST]}, replace_extra_special_tokens=False)
        self.placed = Placed(embeddings, tokenizer.convert_tokens_to_ids(prompts.SPECIALIST))
        if self.specialist is not None:
            self.projector = Projector(self.specialist.width, embeddings.weight.shape[1], soft)
        with files.loading(options.backbone):
            self._check_template()

    def _check_template(self) -> None:
        """Raises for a processor or a chat template that does not put a picture and the question before the model."""
        grey, ids = Image.new("RGB", (self.input.side, self.input.side), (127, 127, 127)), []
        for text in (self.question, self.question + " Yes or no?"):
            ids.append(prompted(self.processor, [grey], [text], "cpu", self.model.dtype).inputs["input_ids"])
        prompted(self.processor, None, [prompts.without_picture("x", self.options.words)], "cpu", self.model.dtype)
        if ids[0].shape == ids[1].shape and torch.equal(*ids):
            raise WrongWeights(
                f"backbone {self.options.backbone!r}: its chat template leaves the question out: take an instruct model"
            )

    # What the model is given.

    def given(self, batch: Batch) -> Prompted:
        """The pictures of a batch with the question, and what the specialist says of them."""
        image = batch["image"]
        found = prompted(self.processor, pictures(image), [self.question] * len(image), image.device, self.model.dtype)
        if self.specialist is None:
            return found
        return Prompted(found.inputs, self.projector(self.specialist(image)), found.rows)

    def odds(self, given: Prompted) -> torch.Tensor:
        """log p(fake) - log p(real) of the answer without reasons, (rows,)."""
        behind, _, _ = given.with_rows([self.answers.prefix] * given.rows)
        return self.answers.odds(logits_of(self.model, self.placed, behind, 1)[:, -1])

    # What the loop and scoring ask for.

    def features(self, batch: Batch) -> Features:
        given = self.given(batch)
        if not self.training:
            return {"odds": self.odds(given)}
        if self.options.stage == "align":
            return {"odds": self.odds(given), "written": written_loss(self, given, batch["label"])}
        return rollouts(self, given, batch)

    def losses(self, features: Features, batch: Batch, over: Mapping[str, int]) -> Loss:
        if "odds" in features:
            odds, label = features["odds"], batch["label"].float()
            answer = F.binary_cross_entropy_with_logits(odds, label, reduction="sum") / over["rows"]
            told = {"right": ((odds > 0) == (label > 0)).sum() / over["rows"]}
            if "written" not in features:
                return Loss({"answer": answer}, told=told)
            return Loss({"answer": answer, "form": features["written"].sum() / over["rows"]}, told=told)
        noted, self.noted = self.noted, Counter()
        return replace(objective(self.options, features, batch, over), counts=dict(noted))

    def rows(self, batch: Batch) -> dict[str, int]:
        fakes = int((batch["label"] > 0).sum())
        return super().rows(batch) | {"reals": len(batch["label"]) - fakes, "fakes": fakes}

    def halt(self, recent: Sequence[Mapping[str, float]]) -> str | None:
        return collapse.collapsed(recent, sum(self.options.rewards.values()))

    def learnt(self, recent: Sequence[Mapping[str, float]]) -> str | None:
        return collapse.learnt(recent, sum(self.options.rewards.values()))

    def checkpointing(self) -> None:
        self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    def scores(self, features: Features) -> Scores:
        return Scores(features["odds"].sigmoid())

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def explain(self, batch: Batch) -> tuple[Scores, list[Said]]:
        given = self.given(batch)
        direct = self.odds(given).sigmoid()
        found = replied(self, given)
        read_as = [read(text, self.options.words, cut=cut) for text, cut in zip(found.texts, found.cut, strict=True)]
        odds = self._behind(given, found)
        alone = self.alone([each.chain for each in read_as])
        said = [
            Said(text, each.chain, each.answer, each.wrong, tokens, cut, float(d), a)
            for text, each, tokens, cut, d, a in zip(
                found.texts, read_as, found.lengths, found.cut, direct, alone, strict=True
            )
        ]
        return Scores(odds.sigmoid()), said

    def _behind(self, given: Prompted, found: Replies) -> torch.Tensor:
        """The answer's log-odds behind each reply's reasons."""
        heads = [as_text(self.processor, text.split(ANSWER[0])[0]) for text in found.texts]
        rows = [self.answers.behind(self.processor.tokenizer, head) for head in heads]
        behind, ids, mask = given.with_rows(rows)
        places, place = torch.unique(given.length + mask.sum(1) - 1, return_inverse=True)
        logits = logits_of(self.model, self.placed, behind, places)
        return self.answers.odds(logits[torch.arange(len(rows), device=ids.device), place])

    def alone(self, chains: Sequence[str]) -> list[float | None]:
        """The score that each chain gives without its picture; None of an empty one."""
        found: list[float | None] = []
        device = self.model.device
        for chain in chains:  # one by one: texts of other lengths beside it would be padding
            if not chain:
                found.append(None)
                continue
            text = prompts.without_picture(as_text(self.processor, chain), self.options.words)
            given = prompted(self.processor, None, [text], device, self.model.dtype)
            found.append(float(self.odds(given).sigmoid()))
        return found

    def sources(self) -> dict[str, dict[str, Any]]:
        """peft's wrappers answer for the model that they hold: it is named once."""
        return {name: found for name, found in super().sources().items() if not name.startswith("model.")}

    # How a run begins.

    def begin(self, batches: Iterator[Batch], data: Mapping[str, Any]) -> Sequence[str]:
        self._look()
        notes = [] if self.specialist is None else _of_another(self.specialist, data)
        if self.options.stage == "align":
            return notes
        if self.options.start is not None:
            self._start(self.options.start)
        if self.reference is not None:
            self.reference.take(self)
        formed, looked = self._formed(batches)
        if formed < self.options.least_format:
            raise RunError(
                f"stage=reinforce: of {looked} replies {formed:.0%} have the form that is asked for, and least_format is "
                f"{self.options.least_format:.0%}: there would be nothing to reward. Train stage=align anew, in "
                "another --out, for more --set steps=N (or epochs=N) or with a larger format_share, and name that run as "
                "start (of several validations the best by AUROC may be one from before the form was learnt: "
                "validate_every as large as epochs keeps the last)"
            )
        return [*notes, f"of {looked} replies before the first step {formed:.0%} have the form that is asked for"]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _look(self) -> None:
        """Answer for one grey picture. Raises WrongWeights where the model does not take what its processor makes."""
        side, name = self.input.side, self.options.backbone
        try:
            with scoring(self):
                odds = self.odds(self.given({"image": torch.full((1, 3, side, side), 0.5, device=self.model.device)}))
        except (ValueError, RuntimeError, LookupError, TypeError) as error:
            check_memory(error)
            raise WrongWeights(
                f"backbone {name!r}: the model does not take what its processor and chat template make of a picture "
                f"({sanitised(str(error), 200)}): give a folder whose files belong together"
            ) from error
        if not bool(odds.isfinite().all()):
            raise WrongWeights(f"backbone {name!r}: it gives no finite number for a grey picture: its files are damaged")

    def _start(self, run: str) -> None:
        """Take over the adapters and the projector of a run of stage align."""
        seed, options = options_of_run(run)
        own = self.options.model_dump(mode="json")
        was = {key: options.get(key) for key in _SHAPES}
        if differ := [f"{key} was {was[key]!r}, is {own[key]!r}" for key in _SHAPES if not _alike(key, was[key], own[key])]:
            raise UsageError(f"start={run} is of another network: {'; '.join(differ)}")
        sources = RunFolder(seed.parent).about().get("sources") or {}
        if differ := differences(known_by(sources), known_by(self.sources())):
            raise UsageError(
                f"start={run} was trained with other files: {'; '.join(differ)}. Get them back, or train stage=align again"
            )
        found = {name: each for name, each in checkpoint.read_best(seed).network.items() if not name.startswith(_HELD)}
        held = {name: each for name, each in checkpoint.stored(self).items() if name.startswith(_HELD)}
        checkpoint.restore(self, found | held)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _formed(self, batches: Iterator[Batch]) -> tuple[float, int]:
        """The share of sampled replies that have the form, and how many were looked at."""
        found: list[bool] = []
        with scoring(self):
            for batch in batches:
                replies = replied(self, self.given(batch), sample=True)
                found += [read(text, self.options.words).formed for text in replies.texts]
                if len(found) >= self.options.probe:
                    break
        return sum(found) / max(1, len(found)), len(found)


def _alike(key: str, one: Any, other: Any) -> bool:
    """Are two values of an option one? A run may be named from here or from the root."""
    if key == "specialist" and isinstance(one, str) and isinstance(other, str):
        return Path(one).absolute() == Path(other).absolute()
    return bool(one == other)


def _of_another(specialist: Specialist, data: Mapping[str, Any]) -> list[str]:
    """What is to be said of a specialist that was trained on other rows."""
    on = specialist.trained_on
    if on.get("corpus") != data["corpus"]:
        return [
            f"the specialist {specialist.name} was trained on another corpus: nothing is known of what both share, so rows "
            "that are validated and tested on may be among those that it was trained on"
        ]
    if on.get("train") != data["train"]:
        return [
            f"the specialist {specialist.name} was trained on other rows of this corpus: some that are validated on may be "
            "among them"
        ]
    return []
