"""The leak list: words from which a label, a dataset or a method could be read. The one place where they are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from mmidd.manifest import bundled
from mmidd.manifest.methods import registry

# Matched as whole words, whatever their case. "Natural light" and "really" are fine.
TERMS = (
    r"deep[- ]?fakes?", r"fak(?:e|es|ed|ing|ery)", r"forg(?:e|ed|ing|ery|eries)", r"counterfeit\w*", r"bogus", r"hoax\w*",
    r"synthe(?:tic|tically|si[sz]e[sd]?|si[sz]ing|sis)", r"artificial(?:ly)?", r"unreal", r"(?:un|hyper|photo)?-?realistic",
    r"real[- ](?:photo|photograph|person|people|human|image|face|picture|video|life)s?", r"(?:photo|hyper|sur)-?realism",
    r"(?:looks?|seems?|appears?|be|is|are|not) real", r"(?:computer|ai|gan)[- ]generated",
    r"generat(?:es?|ed|ing|ors?|ive|ion)", r"ai", r"gans?", r"cgi", r"render(?:ed|ings?)?", r"simulat\w*",
    r"swap(?:s|ped|ping)?", r"manipulat\w*", r"tamper\w*", r"(?:anti[- ]?)?spoof\w*", r"presentation attacks?", r"liveness",
    r"doctored", r"alter(?:ed|ations?)", r"edit(?:ed|ing)", r"retouch\w*", r"photo-?shop\w*", r"airbrush\w*",
    r"digitally \w+", r"morph(?:s|ed|ing)?", r"re-?enact\w*", r"art[ei]facts?", r"glitch\w*", r"distort\w*",
    r"unnatural\w*", r"inconsisten\w*", r"blend(?:s|ed|ing)?", r"authentic\w*", r"genuine\w*", r"pristine",
    r"original\w*", r"in-?paint\w*", r"diffusion", r"ff\+\+", r"celeb[- ]?df", r"celeb[- ]?a(?:[- ]?hq)?", r"timit", r"dff",
)  # fmt: skip

# Names of methods that are also words: they leak only as the registry spells them, with a capital inside.
WORDS = frozenset({"float", "ghost", "glide", "insight", "lightweight", "memo", "one_shot_free", "oneshot", "original"})
_SHORT = 3


def leaks(text: str) -> list[str]:
    """The words of the leak list that a text contains, each once: general terms first, then names."""
    return list(dict.fromkeys(match.group() for pattern in patterns() for match in pattern.finditer(text)))


@cache
def patterns() -> tuple[re.Pattern[str], ...]:
    """The leak list compiled: general terms and unmistakable names in any case, the other names as they are spelled."""
    names = set(_names())
    exact = {name for name in names if name.casefold() in WORDS or (name.isalpha() and len(name) <= _SHORT)}
    loose = sorted(names - exact, key=lambda name: (-len(name), name))
    spelled = sorted((name for name in exact if name[1:] != name[1:].lower()), key=lambda name: (-len(name), name))
    return _whole(TERMS, re.IGNORECASE), _whole(map(_name, loose), re.IGNORECASE), _whole(map(_name, spelled), 0)


def _names() -> Iterable[str]:
    for manifest in bundled().values():
        yield from (manifest.name, manifest.slug)
    for method in registry().by_id.values():
        yield from (method.id, *method.aliases)


def _name(name: str) -> str:
    """A name however its parts are joined: NeuralTextures, neural-textures, neural textures."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+|[^\w\s-]+", name)
    return r"[-_ ]?".join(re.escape(part) for part in parts) if parts else re.escape(name)


def _whole(terms: Iterable[str], flags: int) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(terms)})(?!\w)", flags)
