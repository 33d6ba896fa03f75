"""mmidd: licensed face-forgery datasets into one corpus that is safe to train on.

    import mmidd
    mmidd.build("ff++", data="/data", out="corpus")    # in a script: under `if __name__ == "__main__":`
    corpus = mmidd.Corpus("corpus")

Nothing heavy is imported before one of these names is used. docs/api.md tells of them all.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmidd.corpus.read import Corpus
    from mmidd.errors import MmiddError
    from mmidd.evaluation.compare import compare
    from mmidd.evaluation.evaluate import evaluate
    from mmidd.manifest.catalogue import rows as datasets
    from mmidd.options import Options
    from mmidd.project import Project, build
    from mmidd.project import open_project as open
    from mmidd.recipe import Recipe
    from mmidd.reference import ablate, detect, faithful, score, train, validate
    from mmidd.sampledata import write_sample as sample
    from mmidd.share.hub.publish import publish
    from mmidd.share.rehydrate.rehydrate import rehydrate

__version__ = "0.1.0"
__all__ = [
    "Corpus", "MmiddError", "Options", "Project", "Recipe", "ablate", "build", "compare", "datasets", "detect", "evaluate",
    "faithful", "open", "publish", "rehydrate", "sample", "score", "train", "validate",
]  # fmt: skip

_WHERE = {
    "Corpus": "mmidd.corpus.read:Corpus",
    "MmiddError": "mmidd.errors:MmiddError",
    "Options": "mmidd.options:Options",
    "Project": "mmidd.project:Project",
    "Recipe": "mmidd.recipe:Recipe",
    "ablate": "mmidd.reference:ablate",
    "build": "mmidd.project:build",
    "compare": "mmidd.evaluation.compare:compare",
    "datasets": "mmidd.manifest.catalogue:rows",
    "detect": "mmidd.reference:detect",
    "evaluate": "mmidd.evaluation.evaluate:evaluate",
    "faithful": "mmidd.reference:faithful",
    "open": "mmidd.project:open_project",
    "publish": "mmidd.share.hub.publish:publish",
    "rehydrate": "mmidd.share.rehydrate.rehydrate:rehydrate",
    "sample": "mmidd.sampledata:write_sample",
    "score": "mmidd.reference:score",
    "train": "mmidd.reference:train",
    "validate": "mmidd.reference:validate",
}
"""Where each public name is: imported when it is first used. None of them is also a module of ours."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'mmidd' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
