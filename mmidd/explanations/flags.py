"""What must not pass unflagged in what a model says of a face: a person's race, health or identity.

Words tell it, English ones: what cannot be read that way is flagged as unread. Nothing is rewritten. Age and gender are not
flagged: they are what any description of a face begins with, and a flag on every text would say nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmidd.explanations.words import FAMOUS, HEALTH, ORDINARY, PEOPLES, RACE, THINGS

KINDS = ("race", "health", "identity", "unread")
"""`race`: of race, ethnicity, origin or faith; `health`: of an illness, a condition, a treatment or a disability, not of a
mark that can be seen; `identity`: a name, or that somebody is known; `unread`: not English enough to be looked at."""
NAMES = {
    "race": "names a person's race or origin", "health": "names a person's health",
    "identity": "names who a person is", "unread": "is in no English that can be checked",
}  # fmt: skip
_MOST = 8
"""Flags of a kind that are told."""
_PERSON = (
    r"(?:man|men|woman|women|person|persons|people|male|males|female|females|guy|guys|boy|boys|girl|girls|lady|ladies|child|"
    r"children|kid|kids|baby|individual|individuals|gentleman|gentlemen|adult|adults|actor|actress|teenager|folk|folks|"
    r"subject|community|americans?|british)"
)
_SHADE = r"(?:black|white|brown|dark|light|fair|olive|tan|tanned|yellow|red)"
_RACE = (
    rf"\b(?:black|white|brown)(?:[ -](?:young|old|older|elderly|middle[ -]aged|adult|teenage|bearded|bald|smiling)){{0,2}} "
    rf"{_PERSON}\b",
    rf"\b(?:he|she|they|{_PERSON})(?:'s| is| are| was| looks?| appears?| seems?)(?: to be)?(?: likely| probably)? "
    r"(?:black|white|brown)\b(?=\s*(?:$|[.,;:!?)]|and\b(?! white| black)|or\b|but\b|with\b))",
    rf"\b{_SHADE}[ -]skinned\b",
    rf"\b{_SHADE}(?:[ -]brown)? (?:skin|complexion)\b"
    r"(?! (?:texture|smooth\w*|retouch\w*|reflection\w*|blemish\w*|patch\w*|spots?))",
    r"\b(?:skin|complexion|skin (?:tone|colou?r)) (?:is|are|looks|appears) (?:very )?(?:black|brown|white|dark|olive)\b"
    r"(?! (?:patch|spot|line|around|under|at|in)\w*)",
    r"(?<!human )\braces?\b(?! (?:car|track|condition)s?\b)",
    r"(?<!gradient )\bdescent\b",
    rf"\b(?:{PEOPLES})s?\b(?! (?:{THINGS})\b)",
    rf"\b(?:polish|english|turkic) (?:{_PERSON[3:-1]}|origin|accent)\b",
    rf"\b(?:{RACE})\b",
)
_HEALTH = (
    rf"\b(?:{HEALTH})\b",
    r"\bsick\b(?! of\b)",
    r"\bill\b(?!-)(?! (?:defined|fitting|fitted|lit|suited|formed|shaped|matched|aligned)\b)",
    r"\b(?:medical|skin|eye|health|heart|genetic|mental|physical|neurological) "
    r"(?:conditions?|disorders?|problems?|treatments?)\b",
    r"\b(?:had|has had|suffered|after|from) a stroke\b|\bstroke (?:patient|victim|survivor)s?\b",
    rf"\bblind {_PERSON}\b|\b(?:he|she|{_PERSON}) (?:is|was|seems|appears) (?:partially )?blind\b|\bblind (?:in|eyes?)\b",
    r"(?<!a )(?<!slight )(?<!small )(?<!shallow )\bdepression\b(?! (?:in|of|on|under|below)\b)",
    rf"\b(?:he|she|{_PERSON}) (?:is|was|seems|looks|appears)(?: to be)? depressed\b|\bdepressed {_PERSON}\b",
    r"\b(?:facial|bell's|cerebral) (?:paralysis|palsy|droop)\b",
)
_KNOWN = (
    r"\b(?:celebrit(?:y|ies)|public figures?|famous|well[ -]known|politicians?|presidents?|senators?|prime minister|actors?|"
    r"actress(?:es)?|singers?|footballers?|influencers?|pop star|movie star|film star|tv host|news ?anchor|newsreader)\b",
    r"\brecogni[sz]e[ds]? (?:him|her|them|this (?:person|man|woman|face)|the (?:person|man|woman)|who)\b",
    r"\b(?:person|man|woman|face|he|she|who) (?:is|was|can be|has been) (?:identified|recogni[sz]ed)\b|\bidentified as\b",
    r"\b(?:his|her|their|person's|man's|woman's|subject's) (?:name|identity) (?:is|was|seems|appears)\b",
    r"\b(?:doppelg[a]nger|lookalike|look-alike) of\b",
    r"[\w.+-]+@[\w-]+\.\w+|(?<!\S)@\w{3,}",
    rf"\b(?:{FAMOUS})\b",
)
_PATTERNS = {
    kind: tuple(re.compile(each, re.IGNORECASE) for each in every)
    for kind, every in (("race", _RACE), ("health", _HEALTH), ("identity", _KNOWN))
}
_CASED = re.compile(r"\b(?:HIV|AIDS|ADHD|PTSD|ALS|COPD|COVID)\b")
_NAME = r"[A-Z][a-z]+(?:['-][A-Z]?[a-z]+)*"
_RUN = re.compile(rf"\b{_NAME}(?: (?:[A-Z]\. ?)?(?:(?:van|von|de|der|la|bin|al|el|di|da) ){{0,2}}{_NAME})+\b")
_CALLED = re.compile(
    r"\b(?:[Tt]his is|[Tt]hat is|[Ii]t is|[Ii]t's|[Ll]ooks? (?:just )?like|[Rr]esembl(?:es?|ing)|[Nn]amed|[Cc]alled|"
    r"[Kk]nown as|[Rr]ecogni[sz]ed? as|(?:[Pp]hoto|[Pp]icture|[Pp]ortrait|[Ii]mage|[Ff]ace|[Vv]ideo) of|[Aa]ppears to be|"
    rf"[Ss]eems to be|[Mm]ust be|[Cc]ould be|[Hh]e is|[Ss]he is)(?: really| actually| probably| likely)? ({_NAME})\b"
)
_TITLED = re.compile(
    rf"\b(?:Mr|Mrs|Ms|Dr|Prof|Professor|President|Senator|King|Queen|Prince|Princess|Sir|Lady)\.? ({_NAME})\b"
)
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_FOREIGN, _SPOKEN = 3, 8
_KNOWN_SHARE = 0.2


@dataclass(frozen=True)
class Flag:
    """`kind`: of KINDS; `word`: what in the text says so, as it stands there but for its case ("" of a text that is
    unread)."""

    kind: str
    word: str


def flags(text: str) -> tuple[Flag, ...]:
    """What of KINDS a text names, in their order, each word once."""
    plain = _plain(text)
    found = {kind: _found(patterns, plain) for kind, patterns in _PATTERNS.items()}
    found["health"] += [each[0] for each in _CASED.finditer(plain)]
    found["identity"] += _names(plain)
    made = [
        Flag(kind, word)
        for kind in KINDS
        if kind in found
        for word in list(dict.fromkeys(each.casefold() for each in found[kind]))[:_MOST]
    ]
    return (*made, *((Flag("unread", ""),) if _unread(plain) else ()))


def kinds(found: Iterable[Flag]) -> tuple[str, ...]:
    """The kinds that are among these, in the order of KINDS."""
    there = {each.kind for each in found}
    return tuple(kind for kind in KINDS if kind in there)


def withheld(found: Sequence[Flag] | Sequence[str]) -> str:
    """What stands in place of a text with these flags (or kinds of them), where words of it are not to be spread; "" of one
    without any."""
    there = kinds(each if isinstance(each, Flag) else Flag(each, "") for each in found)
    return f"withheld: it {', '.join(NAMES[kind] for kind in there)}" if there else ""


def _plain(text: str) -> str:
    """One form of each letter, without accents and what is not seen, one blank between words."""
    apart = unicodedata.normalize("NFKD", text.replace("’", "'").replace("‐", "-").replace("‑", "-"))
    seen = (each for each in apart if unicodedata.category(each) not in ("Mn", "Cf"))
    return re.sub(r"\s+", " ", re.sub(r"</?\w{1,20}>|[*_`#]+", " ", "".join(seen)))


def _found(patterns: Sequence[re.Pattern[str]], text: str) -> list[str]:
    return [each[0].strip() for pattern in patterns for each in pattern.finditer(text)]


def _names(text: str) -> list[str]:
    """What is written as people's names are."""
    runs = [each[0] for each in _RUN.finditer(text)]
    names = [run for run in runs if (own := _own(run.split())) and len(own) > 1]
    called = [each[1] for pattern in (_CALLED, _TITLED) for each in pattern.finditer(text)]
    return names + [name for name in called if _own([name])]


def _own(words: Sequence[str]) -> list[str]:
    """Those of the capitalised words that are no ordinary ones."""
    return [word for word in words if word[:1].isupper() and not ordinary(word)]


def ordinary(word: str) -> bool:
    """Is it a word that is used of pictures of faces, or a small one of every text?"""
    low = word.casefold().partition("'")[0]
    return any(each in ORDINARY for each in {low, low.removesuffix("s"), low.removesuffix("es"), low.removesuffix("ed"),
                                             low.removesuffix("ing"), low.removesuffix("ly")})  # fmt: skip


def _unread(text: str) -> bool:
    letters = [each for each in text if each.isalpha()]
    if sum(not each.isascii() for each in letters) >= _FOREIGN:
        return True
    words = Counter(_WORD.findall(text))
    known = sum(count for word, count in words.items() if ordinary(word))
    return words.total() >= _SPOKEN and known < _KNOWN_SHARE * words.total()
