"""CelebA's 40 attributes: the file that lists them, and the words in which a caption tells them."""

from __future__ import annotations

import re
from pathlib import Path

from mmidd.errors import DataError

DATASET = "CelebA"
_MOST_BYTES = 256 << 20

# Attribute: words that say it. A clause that a negation opens does not count, but for those under ABSENCES.
WORDS = {
    "5_o_Clock_Shadow": r"stubble|five[- ]o'?clock shadow|unshaven",
    "Arched_Eyebrows": r"arched (?:eye)?brows",
    "Attractive": r"attractive|beautiful|handsome|pretty",
    "Bags_Under_Eyes": r"bags under|eye bags|dark circles|puffy eyes",
    "Bald": r"bald(?:ing)?|shaved head|hairless",
    "Bangs": r"bangs|fringe",
    "Big_Lips": r"(?:full|big|large|thick|plump) lips",
    "Big_Nose": r"(?:big|large|broad|wide|prominent) nose",
    "Black_Hair": r"(?:black|jet-black)(?: \w+){0,2} hair|hair is (?:\w+ )?black",
    "Blond_Hair": r"blonde?|(?:golden|fair|light)(?: \w+)? hair",
    "Blurry": r"blurr(?:y|ed)|out of focus",
    "Brown_Hair": r"(?:brown|brunette|chestnut)(?: \w+){0,2} hair|brunette|hair is (?:\w+ )?brown",
    "Bushy_Eyebrows": r"(?:bushy|thick|heavy) (?:eye)?brows",
    "Chubby": r"chubby|plump|round cheeks|heavyset",
    "Double_Chin": r"double chin",
    "Eyeglasses": r"(?:eye)?glasses|spectacles|sunglasses",
    "Goatee": r"goatee",
    "Gray_Hair": r"(?:gr[ae]y|silver|white)(?: \w+){0,2} hair|hair is (?:\w+ )?gr[ae]y",
    "Heavy_Makeup": r"make-?up|eye ?shadow|mascara|eyeliner",
    "High_Cheekbones": r"(?:high|prominent|defined) cheekbones",
    "Male": r"man|male|boy|gentleman",
    "Mouth_Slightly_Open": r"mouth (?:is )?(?:slightly |partly |wide )?open|(?:slightly |partly )?open mouth|"
    r"lips (?:are )?parted|parted lips|teeth (?:are )?(?:showing|visible)",
    "Mustache": r"mou?stache",
    "Narrow_Eyes": r"(?:narrow(?:ed)?|squinting) eyes|squint(?:s|ing)?",
    "No_Beard": r"clean[- ]shaven|beardless",
    "Oval_Face": r"oval(?:[- ]shaped)? face|oval-faced|face is oval",
    "Pale_Skin": r"(?:pale|fair|light) (?:skin|complexion)",
    "Pointy_Nose": r"(?:pointy|pointed|sharp) nose",
    "Receding_Hairline": r"receding hair(?:line)?|high hairline|thinning hair",
    "Rosy_Cheeks": r"(?:rosy|flushed|pink|blushing) cheeks",
    "Sideburns": r"sideburns",
    "Smiling": r"smil(?:e|es|ing)|grin(?:s|ning)?",
    "Straight_Hair": r"straight(?: \w+){0,2} hair",
    "Wavy_Hair": r"(?:wavy|curly|curled)(?: \w+){0,2} hair",
    "Wearing_Earrings": r"ear-?rings?",
    "Wearing_Hat": r"hat|cap|beanie|beret|helmet",
    "Wearing_Lipstick": r"lipstick|painted lips|red lips",
    "Wearing_Necklace": r"necklace|pendant",
    "Wearing_Necktie": r"(?:neck)?tie|bow tie",
    "Young": r"young|youthful|teenage[rd]?|child|boy|girl",
}
ABSENCES = {"No_Beard": r"(?:no|without(?: a| any)?) (?:visible )?(?:beard|facial hair)"}

_NEGATED = re.compile(r"\b(?:no|not|without|never|lacks?|neither|nor|isn't|doesn't)\b[^.,;]*", re.IGNORECASE)
_SAYS = {name: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for name, words in WORDS.items()}
_ABSENT = {name: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for name, words in ABSENCES.items()}


def affirmed(text: str) -> str:
    """A text without the clauses that a negation opens."""
    return _NEGATED.sub(" ", text)


def said(text: str) -> frozenset[str]:
    """The attributes that a face caption tells."""
    kept = affirmed(text)
    found = {name for name, pattern in _SAYS.items() if pattern.search(kept)}
    return frozenset(found | {name for name, pattern in _ABSENT.items() if pattern.search(text)})


def read_list(path: Path) -> dict[str, frozenset[str]]:
    """The attributes of each picture by its number ("000001"), from list_attr_celeba.txt. Raises DataError."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} has more than 256 MiB: it is no list of CelebA's attributes")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as text ({type(error).__name__}); give CelebA's list_attr_celeba.txt"
        ) from error
    rows = [line.replace(",", " ").split() for line in lines]
    head = next((place for place, row in enumerate(rows[:3]) if set(row) & set(WORDS)), None)
    if head is None:
        raise DataError(f"{path} names none of CelebA's attributes in its first lines; give CelebA's list_attr_celeba.txt")
    names = [name for name in rows[head] if name != "image_id"]
    if unknown := sorted(set(names) - set(WORDS)):
        raise DataError(f"{path}, line {head + 1}: {unknown[0]!r} is no attribute of CelebA")
    found: dict[str, frozenset[str]] = {}
    for number, row in enumerate(rows[head + 1 :], start=head + 2):
        if not row:
            continue
        if len(row) != len(names) + 1 or not set(row[1:]) <= {"1", "-1", "0"}:
            raise DataError(f"{path}, line {number}: not a name and {len(names)} values of 1 or -1")
        found[Path(row[0]).stem] = frozenset(name for name, value in zip(names, row[1:], strict=True) if value == "1")
    return found
