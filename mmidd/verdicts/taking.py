"""How the faces of a model's training corpus were taken, read from its run or from the corpus."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmidd.corpus.read import Corpus
from mmidd.errors import RunError, UsageError, WrongWeights
from mmidd.extraction.sample import ExtractConfig
from mmidd.faces.choose import detector_identity
from mmidd.recipe import Crop, DetectorChoice, Frames, ImageEncoding, Recipe
from mmidd.stages import extract
from mmidd.video.registry import DECODERS

_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Taking:
    """`config` as the corpus's build had it; `frames`: planned of each clip. `notes`: what is not as it was."""

    config: ExtractConfig
    frames: int
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """JSON: what shapes the crops."""
        config = self.config
        return {
            "frames": {"count": self.frames, "spacing": config.spacing},
            "crop": {
                name: getattr(config, name) for name in ("size", "margin", "template", "border", "choice", "least_face")
            },
            "image": {name: getattr(config.image, name) for name in ("format", "quality", "subsampling")},
            "detector": {
                name: getattr(config.detector, name) for name in ("kind", "size", "min_score", "min_face", "enough")
            },
            "decoder": config.decoder,
            "models": dict(config.detector.pinned),
        }


def of_run(run: Path) -> Mapping[str, Any] | None:
    """What `run.json` of RUN or RUN/seed-N says of its corpus's extraction; None where it says nothing."""
    for folder in (run, run.parent):
        place = folder / "run.json"
        try:
            if not place.is_file() or place.stat().st_size > _MOST_BYTES:
                continue
            found = json.loads(place.read_bytes())["corpus"]["extraction"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return found if isinstance(found, dict) else None
    return None


def taking(model: str, corpus: str | Path | Corpus | None = None) -> Taking:
    """How faces are to be taken for a model: as `corpus` says where one is given, else as its run does. Raises UsageError
    where neither says it, RunError where this mmidd cannot take them so."""
    if corpus is not None:
        opened = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
        return parsed(opened.about.extraction, f"the corpus {opened.place.path('')}")
    about = of_run(Path(model))
    if about is None:
        raise UsageError(
            f"{model} does not say how the faces that it was trained on were taken (runs of an older mmidd do not, nor do "
            "ONNX files and functions): give --corpus CORPUS, the corpus that it was trained on, or one of its recipe"
        )
    return parsed(about, f"the run {model}")


def parsed(about: Mapping[str, Any], where: str) -> Taking:
    """`corpus.about.About.extraction`, as a build would have it."""
    try:
        part, models = about["recipe"], {str(name): str(digest) for name, digest in dict(about["models"]).items()}
        decoder = part["decoder"]
        recipe = Recipe.model_construct(
            name="taken",
            datasets=(),
            frames=Frames.model_validate(part["frames"]),
            crop=Crop.model_validate(part["crop"]),
            image=ImageEncoding.model_validate(part["image"]),
            detector=DetectorChoice.model_validate(part["detector"]),
            decoder=decoder,
        )
    except (LookupError, TypeError, ValueError, ValidationError) as error:
        raise RunError(
            f"{where} does not say how its faces were taken in a way that this mmidd understands ({_what(error)}): "
            "install the version that built it, or give --corpus"
        ) from error
    if decoder not in DECODERS:
        raise RunError(f"{where} was built with the decoder {str(decoder)[:60]!r}, which is not installed")
    config = extract.config(recipe)
    found = detector_identity(config.detector).weights
    if models and found != models:
        raise WrongWeights(
            f"{where} found its faces with other weights of {config.detector.kind} than those that are here "
            f"({', '.join(sorted(name for name in {*found, *models} if found.get(name) != models.get(name)))}): "
            "put back the ones that it was built with"
        )
    pinned = replace(config.detector, pinned=tuple(sorted(found.items())))
    return Taking(replace(config, detector=pinned), recipe.frames.count, tuple(_differences(about)))


def _what(error: Exception) -> str:
    """The key that is not understood, where one is to blame."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(each) for each in first["loc"])
        return f"{error.title}{f'.{where}' if where else ''}: {first['msg']}"[:300]
    return f"no {error}" if isinstance(error, KeyError) else type(error).__name__


def _differences(about: Mapping[str, Any]) -> list[str]:
    """What was otherwise there: the last digits of a crop's pixels may differ."""
    libraries = about.get("libraries")
    moved = []
    for name, was in sorted(libraries.items()) if isinstance(libraries, dict) else ():
        try:
            now = version(name)
        except PackageNotFoundError:  # no package, but a part of one
            continue
        if now != was and name != "pyarrow":
            moved.append(f"{name} {was} there, {now} here")
    notes = [f"crops may differ a little from the training corpus's: {', '.join(moved)}"] if moved else []
    if about.get("device") == "cuda":
        notes.append(
            "the training corpus's faces were found on a GPU, these on the CPU: boxes may differ in their last digits"
        )
    return notes
