"""The captioner `transformers`: an image-text-to-text checkpoint in this process."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, Literal

from PIL import Image as Pillow

from mmidd.captions import by_model, checkpoint
from mmidd.captions.checkpoint import Checkpoint
from mmidd.captions.device import device_of
from mmidd.captions.protocol import CaptionerConfig, CaptionerMaker
from mmidd.captions.vision import Ask, Landed, Unanswered, Vision, plain_name
from mmidd.errors import MissingExtra, WorkError, WrongWeights, check_memory, sanitised
from mmidd.llm.answer import Answer

_REVISION = 12
_BROKEN = re.compile(r"CUDA error|CUDA driver error|CUBLAS_STATUS|CUDNN_STATUS|cuDNN error")
"""How torch's RuntimeErrors tell a fault of the GPU; only newer ones have a class for it, and not for libraries' faults."""
_SHORT = re.compile(r"out of memory|ALLOC_FAILED")
_NO_MEMORY = (
    "the GPU has not enough memory for captioner.batch images at once; try a smaller one. What was described is kept: run "
    "the same command to go on."
)
_NO_ROOM = (
    "the GPU has not enough memory for the model {}; take a smaller one, another captioner.dtype (bfloat16), or end what "
    "else runs there"
)


class LocalModel:
    """Answers by greedy decoding, batch by batch. Runs no code of the checkpoint; loads safetensors alone."""

    together = True

    def __init__(
        self, found: Checkpoint, *, dtype: str, device: Literal["cpu", "cuda"], batch: int, max_tokens: int
    ) -> None:
        """Raises MissingWeights, WrongWeights, MissingExtra or WorkError (of the GPU) where the checkpoint does not load."""
        self.name = plain_name(f"transformers:{found.name}@{found.content[:_REVISION]}")
        self._batch, self._max_tokens = batch, max_tokens
        self._answered = False
        self._claim, self._device = _claim(device)
        self._processor, self._model = _load(found.fetched(), found.name, dtype, self._device)
        found.check()
        if getattr(self._processor, "chat_template", None) is None:
            raise WrongWeights(
                f"{found.name} has no chat template, so it cannot be told what to describe; take an instruct model"
            )
        tokenizer = self._processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        self._ends = _ends(self._model.generation_config.eos_token_id, tokenizer.eos_token_id)

    def answer(self, asks: Sequence[Ask], landed: Landed) -> list[Answer | Unanswered]:
        """As `Answerer` promises; only what the processor refuses gets none."""
        found: list[Answer | Unanswered] = []
        for start in range(0, len(asks), self._batch):
            for reply in self._replies(asks[start : start + self._batch]):
                if isinstance(reply, Answer):
                    self._answered = True
                    landed(len(found), reply)
                found.append(reply)
        return found

    def inputs(self, asks: Sequence[Ask]) -> Any:
        """What the model is given for these requests, on its device."""
        return self._processor.apply_chat_template(
            [_conversation(ask) for ask in asks],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(self._device, dtype=self._model.dtype)

    def close(self) -> None:
        """Free the model's memory."""
        del self._model
        if self._device != "cpu":
            import torch

            torch.cuda.empty_cache()
        if self._claim is not None:
            self._claim.close()

    def _replies(self, asks: Sequence[Ask]) -> list[Answer | Unanswered]:
        """One reply per request; a request that the model's own processor refuses is rejected, alone."""
        import torch

        try:
            with torch.inference_mode():
                return [*self._batched(asks)]
        except (ValueError, IndexError, RuntimeError) as error:
            _check_gpu(error, _NO_MEMORY)
            check_memory(error)
            why = f"{type(error).__name__}: {sanitised(str(error))}"
            if len(asks) > 1:
                return [reply for ask in asks for reply in self._replies([ask])]
            if not self._answered:
                raise WrongWeights(f"the model {self.name} does not run: {why}") from error
            return [Unanswered(True, why)]

    def _batched(self, asks: Sequence[Ask]) -> list[Answer]:
        started = time.monotonic()
        inputs = self.inputs(asks)
        given = inputs["input_ids"].shape[1]
        options = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "num_beams": 1}
        output = self._model.generate(
            **inputs, max_new_tokens=self._max_tokens, pad_token_id=self._processor.tokenizer.pad_token_id, **options
        )
        seconds = round((time.monotonic() - started) / len(asks), 3)
        prompts = inputs["attention_mask"].sum(dim=1).tolist()
        return [self._reply(row, prompt, seconds) for row, prompt in zip(output[:, given:].tolist(), prompts, strict=True)]

    def _reply(self, tokens: list[int], prompt: int, seconds: float) -> Answer:
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        text = self._processor.tokenizer.decode(tokens[:end], skip_special_tokens=True)
        finish = "length" if end is None else "stop"
        return Answer(text, finish, None, prompt, len(tokens) if end is None else end + 1, False, 1, seconds)


def _conversation(ask: Ask) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = [{"type": "image", "image": Pillow.fromarray(image)} for image in ask.images]
    return [{"role": "user", "content": [*content, {"type": "text", "text": ask.text}]}]


def _load(folder: Path, name: str, dtype: str, device: str) -> tuple[Any, Any]:
    safe: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    try:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")  # containers set TORCH_ALLOW_TF32_CUBLAS_OVERRIDE
        processor = AutoProcessor.from_pretrained(folder, **safe)
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype, use_safetensors=True, **safe)
    except ImportError as error:
        raise MissingExtra("caption", f"the model {name} ({sanitised(str(error), 120)})") from error
    except Exception as error:  # a checkpoint is a stranger's: whatever is wrong with it, this is how it is told
        check_memory(error)
        raise WrongWeights(f"{name} does not load: {type(error).__name__}: {sanitised(str(error))}") from error
    try:
        return processor, model.to(device).eval()
    except RuntimeError as error:
        _check_gpu(error, _NO_ROOM.format(name))
        raise


def _check_gpu(error: Exception, no_memory: str) -> None:
    """Raises WorkError for what is the GPU's fault, with `no_memory` where it is too small: no picture is to blame."""
    import torch

    text = str(error)
    broken = _BROKEN.search(text) is not None
    if isinstance(error, torch.OutOfMemoryError) or (broken and _SHORT.search(text)):
        raise WorkError(no_memory) from error
    if broken:
        raise WorkError(f"the GPU broke down ({sanitised(text)}); run the same command to go on") from error


def _ends(*ids: Any) -> set[int]:
    return {each for one in ids for each in (one if isinstance(one, list) else [one]) if each is not None}


def _claim(device: Literal["cpu", "cuda"]) -> tuple[IO[bytes] | None, str]:
    """Of several GPUs one that no other worker of this user holds; held by a file lock, so that it goes with the process.

    GPUs are told apart by what they are, not by their number: what is number 0 differs with CUDA_VISIBLE_DEVICES, Ray and
    Slurm. Where all are held, workers spread over them.
    """
    if device == "cpu":
        return None, "cpu"
    import torch

    claim, number = None, os.getpid() % torch.cuda.device_count()
    for each in range(torch.cuda.device_count()):
        claim = _locked(str(torch.cuda.get_device_properties(each).uuid))
        if claim is not None:
            number = each
            break
    torch.cuda.set_device(number)  # else a worker of another GPU takes memory of the first one, too
    return claim, f"cuda:{number}"


def _locked(name: str) -> IO[bytes] | None:
    try:
        file = (Path(tempfile.gettempdir()) / f"mmidd-gpu-{os.getuid()}-{name}.lock").open("ab")
    except OSError:  # somebody else's file, or a full disk: then without a lock
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _identity(config: CaptionerConfig) -> dict[str, str]:
    by_model.check_model(config)
    shared = by_model.shared_identity(config)
    found = checkpoint.find(str(config.model), config.revision)
    libraries = {name: _version(name) for name in ("transformers", "torch", "pillow")}
    return {
        "captioner": "transformers", "model": found.name, "content": found.content, "dtype": config.dtype,
        "device": device_of(config), "batch": str(config.batch), **libraries, **shared,
    }  # fmt: skip


def _make(config: CaptionerConfig) -> Vision:
    identity = _identity(config)
    found, device = checkpoint.find(str(config.model), config.revision), device_of(config)
    local = LocalModel(found, dtype=config.dtype, device=device, batch=config.batch, max_tokens=config.max_tokens)
    return by_model.captioner(local, config, identity, batch=config.batch)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise MissingExtra("caption", "the captioner transformers") from error


CAPTIONER = CaptionerMaker(_identity, _make, by_model.READS | {"dtype", "device", "batch"})
