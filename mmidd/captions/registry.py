"""The captioners: a row each. The code of one is in its own file."""

from __future__ import annotations

from dataclasses import dataclass

from mmidd.registry import Registry, Row


@dataclass(frozen=True)
class CaptionerFacts:
    """`model`: a vision-language model answers: replies are kept, the clip's context is shown. `served`: it does so by HTTP,
    many requests at once."""

    model: bool = False
    served: bool = False


CAPTIONERS: Registry[CaptionerFacts] = Registry(
    "captioner",
    "mmidd.captioners",
    "CAPTIONER",
    (
        Row("attributes", "mmidd.captions.attributes", "what is measured: light, pose, colours; no model", CaptionerFacts()),
        Row(
            "transformers", "mmidd.captions.local", "a vision-language checkpoint in this process",
            CaptionerFacts(model=True), "caption", ("torch", "transformers"),
        ),
        Row(
            "openai", "mmidd.captions.served", "a vision-language model behind an OpenAI-compatible server",
            CaptionerFacts(model=True, served=True),
        ),
        Row("none", "mmidd.captions.none", "no captions", CaptionerFacts()),
    ),
)  # fmt: skip
