"""mmidd: licensed face-forgery datasets into one corpus that is safe to train on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmidd.corpus.read import Corpus as Corpus

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The public classes, loaded when they are first asked for: `import mmidd` loads nothing."""
    if name == "Corpus":
        from mmidd.corpus.read import Corpus

        return Corpus
    raise AttributeError(f"module 'mmidd' has no attribute {name!r}")
