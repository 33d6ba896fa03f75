"""What reasons argue for: by their closing statement (`concluded`), and by the words that they use (`leaning`). English
alone; a chain of another language says nothing here. Linear in its length."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

REAL, FAKE = 0, 1


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MOST = 20_000
"""Characters that are looked at, from the end of the chain."""
_CLASSES = (
    _words("real genuine authentic live bonafide unaltered unmanipulated unedited original untampered"),
    _words("fake faked forged forgery manipulated synthetic spoof spoofed spoofing deepfake generated counterfeit"),
)
"""Words that name a whole picture's class."""
_CUES = (
    _CLASSES[REAL]
    | _words(
        "natural naturally consistent consistently coherent plausible intact realistic lifelike living seamless harmonious "
        "symmetrical undistorted"
    ),
    _CLASSES[FAKE]
    | _words(
        "artifact artifacts artefact artefacts inconsistent inconsistently inconsistency inconsistencies unnatural "
        "unnaturally unrealistic implausible incoherent blended blending blends swapped warped warping distorted distortion "
        "distortions mismatch mismatched mismatches seam seams smudged smeared tampered tampering edited retouched "
        "oversmoothed glitch glitches ghosting morphed replay replayed printed printout print prints recaptured recapture "
        "recording moire screen monitor bezel cutout paper mask silicone"
    ),
)
_NEGATORS = _words(
    "no not never without neither nor none cannot non lack lacks lacking absence hardly scarcely fail fails failed nothing "
    "free devoid barely nobody impossible unlikely"
)
_DOUBTS = _words("doubt doubts doubtful doubted")
"""Negate too (`I doubt that it is real`), but for `no doubt`."""
_NO_NEGATION = frozenset(("only", "doubt", "question", "surprise", "merely", "just", "wonder"))
"""Behind a negator: `not only`, `no doubt`."""
_ARTICLES = frozenset(("a", "any", "the"))
_AFTER = frozenset(("visible", "present", "found", "seen", "apparent", "detected", "evident", "noticeable", "there"))
_GONE = frozenset(("absent", "missing"))
_ENDS = frozenset(".,;!?…。！？，；\n")
_BREAKS = frozenset(("but", "however", "although", "though", "yet", "while", "whereas", "because", "since", "despite"))
_COPULAS = _words(
    "is are was be looks look seems seem appears appear being it's that's this's remains judge judged call classify "
    "classified conclude label"
)
_SUBJECTS = _words(
    "it it's this this's that that's answer image picture photo photograph face person video frame subject "
    "i sample he she they"
)
_OPENERS = _words("so therefore thus hence conclusion verdict overall finally answer conclude")
_OPEN = frozenset(("whether", "if", "or", "could", "might", "may", "would", "neither", "both"))
"""A clause with one of these names a class and does not state it."""
_REACH, _BEHIND = 6, 4
"""Words that a negator reaches, and in which one may follow its cue (`artifacts are not visible`)."""
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[.,;!?…。！？，；\n]")
_SMALL = _words(
    "a an the of to and or but as so i'm i think believe say see am do does did would could can may might must have has "
    "very quite clearly definitely surely certainly really truly totally obviously probably sure certain "
    "absolutely just only too here there my you we reason reasons because since"
)
"""That say nothing of a picture."""
_FAR = re.compile(r"\b(?:anything but|far from)\b")
_RULED = re.compile(r"\brul(?:e|es|ed|ing) (?:\w+ ){0,3}?out\b")
_TAG = re.compile(r"</?[a-zA-Z|_]{1,30}>")


@dataclass(frozen=True)
class Leaning:
    """How many words speak for either; `value` in -1 (real) .. 1 (fake), 0 where they are as many."""

    real: int
    fake: int

    @property
    def value(self) -> float:
        return (self.fake - self.real) / max(1, self.fake + self.real)

    @property
    def answer(self) -> int | None:
        """0 real, 1 fake, None where neither has more."""
        return None if self.real == self.fake else int(self.fake > self.real)


def leaning(chain: str, words: Sequence[str] = ()) -> Leaning:
    """By a lexicon of cues, negations counted for the other side. `words`: the answers' own words, the first for real."""
    cues = _with(_CUES, words)
    found = [0, 0]
    for clause in _clauses(chain):
        for place, word in enumerate(() if _undecided(clause) else clause):
            side = _side(word, cues)
            if side is not None:
                found[side ^ _negated(clause, place)] += 1
    return Leaning(*found)


def concluded(chain: str, words: Sequence[str] = ()) -> int | None:
    """What the last statement about the whole picture says, such as `it looks fake` or `so this is not real`: 0 real, 1
    fake, None without one."""
    classes = _with(_CLASSES, words)
    found = None
    for clause in _clauses(chain):
        stated = _stated(clause, classes)
        found = found if stated is None else stated
    return found


def bare(chain: str, words: Sequence[str] = ()) -> bool:
    """Is there nothing in it but a class and words to state it (`I think it is fake`, `fake fake`)? In other languages than
    English nothing is."""
    names = _with(_CLASSES, words)
    said = [word for word in _TOKEN.findall(_plain(_TAG.sub(" . ", chain[-MOST:]))) if word not in _ENDS]
    small = names[REAL] | names[FAKE] | _SUBJECTS | _COPULAS | _OPENERS | _NEGATORS | _DOUBTS | _SMALL
    return all(word in small or word.endswith("n't") for word in said)


def _with(sides: tuple[frozenset[str], frozenset[str]], words: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
    """With the answers' own words, which go before ours; one that negates (`no`) is none."""
    own = [{_plain(word)} - _NEGATORS for word in words] or [set(), set()]
    return (sides[REAL] - own[FAKE]) | own[REAL], (sides[FAKE] - own[REAL]) | own[FAKE]


def _side(word: str, sides: tuple[frozenset[str], frozenset[str]]) -> int | None:
    return REAL if word in sides[REAL] else FAKE if word in sides[FAKE] else None


def _plain(text: str) -> str:
    """Without compatibility forms, case, and accents (moiré)."""
    apart = unicodedata.normalize("NFKD", text.replace("’", "'").casefold())
    return "".join(each for each in apart if not unicodedata.combining(each))


def _clauses(chain: str) -> Iterator[list[str]]:
    """Words up to a mark or to a word that turns the argument; without questions, which state nothing."""
    held: list[str] = []
    text = _plain(_TAG.sub(" . ", chain[-MOST:])).replace("bona fide", "bonafide")
    for token in _TOKEN.findall(_FAR.sub(" not ", text)):
        if token in _ENDS or token in _BREAKS:
            if held and token not in ("?", "？"):
                yield held
            held = []
        else:
            held.append(token)
    if held:
        yield held


def _undecided(clause: Sequence[str]) -> bool:
    """Does it leave open what it names (`whether`, `cannot rule out`)?"""
    return "whether" in clause or _RULED.search(" ".join(clause)) is not None


def _negator(clause: Sequence[str], place: int) -> bool:
    word, before = clause[place], clause[max(0, place - 2) : place]
    if word in _DOUBTS:
        return not _NEGATORS & {*before}
    if word == "to":
        return "too" in before  # `too smooth to be real`
    if not (word in _NEGATORS or word.endswith("n't")):
        return False
    behind = clause[place + 1 : place + 3]
    return not (_NO_NEGATION & {*behind[:1]} or (_ARTICLES & {*behind[:1]} and "doubt" in behind))


def _negators(clause: Sequence[str], places: Iterable[int]) -> int:
    """How many there are; `nor` goes on with the one before it (`no seams nor artifacts`)."""
    found = [clause[place] for place in places if _negator(clause, place)]
    return max(1, len(found) - found.count("nor")) if found else 0


def _negated(clause: Sequence[str], place: int) -> int:
    """1 where an odd number of negations holds for the word."""
    before = _negators(clause, range(max(0, place - _REACH), place))
    after = clause[place + 1 : place + 1 + _BEHIND]
    gone = any(word in _GONE for word in after)
    for number, word in enumerate(after[:-1]):
        gone |= (word == "not" or word.endswith("n't")) and after[number + 1] in _AFTER
    return (before + gone) % 2


def _stated(clause: Sequence[str], classes: tuple[frozenset[str], frozenset[str]]) -> int | None:
    """What a clause says of the whole picture: the first class behind a verb of being whose subject is the picture."""
    if _OPEN & {*clause} or _undecided(clause):
        return None
    begun = clause[0] in _OPENERS or clause[0] in _COPULAS
    subject = begun
    verb = begun and clause[0] not in ("i",)
    for place, word in enumerate(clause):
        subject |= word in _SUBJECTS
        verb |= subject and word.removesuffix("n't") in _COPULAS
        side = _side(word, classes)
        if side is not None and verb:
            return side ^ (_negators(clause, range(place)) % 2)
    return None
