"""The captioners: a row each. The code of one is in its own file."""

from __future__ import annotations

from mmidd.registry import Registry, Row

CAPTIONERS: Registry[None] = Registry(
    "captioner",
    "mmidd.captioners",
    "CAPTIONER",
    (
        Row("attributes", "mmidd.captions.attributes", "what is measured: light, pose, colours; no model", None),
        Row(
            "transformers", "mmidd.captions.local", "a vision-language checkpoint in this process", None,
            "caption", ("torch", "transformers"),
        ),
        Row("openai", "mmidd.captions.served", "a vision-language model behind an OpenAI-compatible server", None),
        Row("none", "mmidd.captions.none", "no captions", None),
    ),
)  # fmt: skip
