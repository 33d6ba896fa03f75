"""What a caption must not be. Each rule is a status of its own; a caption that breaks one is asked for once more."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from mmidd.captions.leaks import leaks
from mmidd.captions.protocol import (
    CROSS_TALK,
    EMPTY,
    LEAK,
    LOOPING,
    MARKUP,
    REFUSAL,
    TOO_LONG,
    WRONG_LANGUAGE,
)
from mmidd.captions.reply import refuses
from mmidd.captions.tokens import CONTENT_TOKENS, clip_tokens

_MARKUP = re.compile(r"<[a-zA-Z/!?|][^<]*|&(?:#\w+|[a-z]+);|\b(?:https?|javascript|data):\S|!?\[[^\]]*\]\(|```|\*\*|^#+ ")
_NOTHING = frozenset(
    {"n/a", "na", "none", "null", "nil", "unknown", "not visible", "not applicable", "string", "text", "..."}
)

# Words of the other field. "Behind the face" and "around the person" are how surroundings are told.
_FACE_TALK = re.compile(
    r"\b(?:(?<!behind the )(?<!around the )(?<!beside the )(?<!above the )(?<!below the )(?<!of the )(?<!near the )"
    r"(?:face|head)|eyes?|eye ?brows?|eyelids?|eyelash(?:es)?|nose|nostrils?|mouth|lips?|teeth|tooth|chin|jaw(?:line)?|"
    r"cheeks?|cheekbones?|forehead|fore?head|ears?|hair(?:line|cut)?|beard|mou?stache|stubble|skin|complexion|wrinkles?|"
    r"freckles?|smil(?:e|es|ing)|frown(?:s|ing)?|grin(?:s|ning)?|gaze|facial|glasses|make-?up|lipstick)\b",
    re.IGNORECASE,
)
_ENVIRONMENT_TALK = re.compile(
    r"\b(?:backgrounds?|surroundings?|environment|backdrop|indoors?|outdoors?|walls?|rooms?|ceiling|floor|street|buildings?|"
    r"trees?|sky|landscape|furniture|curtains?|bookshel(?:f|ves)|scenery|studio)\b",
    re.IGNORECASE,
)

# Function words: those of another language count against the English ones. No list has a word that is English as well.
_ENGLISH = frozenset(
    {"the", "of", "and", "with", "is", "are", "its", "it", "this", "that", "from", "behind", "by", "to", "there", "at"}
    | {"very", "which", "both", "has", "have", "for", "be", "as", "on", "not", "some", "an", "their", "his", "her", "while"}
)
_FOREIGN = {
    "German": {
        "der",
        "das",
        "und",
        "ist",
        "ein",
        "eine",
        "einer",
        "einem",
        "mit",
        "von",
        "auf",
        "dem",
        "sich",
        "nicht",
        "im",
    },
    "French": {"le", "les", "une", "est", "et", "avec", "du", "dans", "qui", "aux", "elle", "derrière", "sont", "très"},
    "Spanish": {"el", "los", "las", "una", "es", "con", "del", "y", "por", "al", "muy", "detrás", "está", "su", "se"},
    "Italian": {"il", "gli", "di", "è", "con", "della", "nel", "che", "dietro", "sono", "molto", "dello", "alla"},
    "Portuguese": {"os", "um", "uma", "é", "com", "da", "em", "atrás", "não", "muito", "ao"},
    "Dutch": {"het", "een", "van", "en", "op", "achter", "zijn", "niet", "wordt"},
    "Pinyin": {"de", "shi", "zai", "ren", "lian", "bei", "jing"},
}
_LATIN = 0.9
_REPEATS = {1: 3, 2: 3, 3: 3}
_SENTENCE_WORDS = 4
_VARIED = 0.4
_VARIED_FROM = 24


def lint(face: str, environment: str) -> str | None:
    """The status of the first rule that the two texts break, or None. MissingExtra where CLIP's tokens cannot be counted."""
    texts = (face, environment)
    if any(map(has_markup, texts)):
        return MARKUP
    if any(map(is_empty, texts)):
        return EMPTY
    if any(map(refuses, texts)):
        return REFUSAL
    if any(map(is_foreign, texts)):
        return WRONG_LANGUAGE
    if any(map(leaks, texts)):
        return LEAK
    if _FACE_TALK.search(environment) or _ENVIRONMENT_TALK.search(face) or _key(face) == _key(environment):
        return CROSS_TALK
    if any(map(is_looping, texts)):
        return LOOPING
    return TOO_LONG if any(clip_tokens(text) > CONTENT_TOKENS for text in texts) else None


def has_markup(text: str) -> bool:
    """Tags, entities, links, Markdown, or characters that are not for print: a page or a terminal might obey them."""
    return _MARKUP.search(text) is not None or any(unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Cn") for c in text)


def is_empty(text: str) -> bool:
    """No word, or a word that stands for none."""
    return not re.search(r"[^\W\d_]{2}", text) or _key(text) in _NOTHING


def is_foreign(text: str) -> bool:
    """Another script, or more function words of another language than of English."""
    letters = [c for c in text if c.isalpha()]
    latin = sum("LATIN" in unicodedata.name(c, "") for c in letters)
    if latin < _LATIN * len(letters):
        return True
    words = Counter(_words(text))
    english = sum(words[word] for word in _ENGLISH)
    return any(sum(words[word] for word in foreign) > max(1, english) for foreign in _FOREIGN.values())


def is_looping(text: str) -> bool:
    """The same words over and over: in a row, as whole sentences, or with hardly a new word in a long text."""
    words = _words(text)
    for size in range(1, len(words) // 2 + 1):
        least = _REPEATS.get(size, 2)
        for start in range(len(words) - size * least + 1):
            piece = words[start : start + size]
            if all(words[start + size * n : start + size * (n + 1)] == piece for n in range(1, least)):
                return True
    sentences = Counter(_key(sentence) for sentence in re.split(r"[.!?]+", text))
    if any(count > 1 and len(sentence.split()) >= _SENTENCE_WORDS for sentence, count in sentences.items()):
        return True
    return len(words) >= _VARIED_FROM and len(set(words)) < _VARIED * len(words)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text.casefold())


def _key(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .!?\"'")
