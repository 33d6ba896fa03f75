"""Keys of commits are data: a work folder of an older mmidd stays up to date while what shapes its bytes is the same.

Each value here was written down once. A change of one of them makes people's committed work stale: then raise the stage's
version on purpose, or leave the key as it was.
"""

from __future__ import annotations

from typing import Any

import pytest

from mmidd.engine.files import digest
from mmidd.engine.units import Item, bucket, unit_key
from mmidd.recipe import read
from mmidd.stages import caption, curate, extract, shard

CUT = {
    "extract": "064bc9cc0e75aff25ca170bd950bf669",
    "caption": "52450c9fc4fbad62b535be55cd38662f",
    "curate": "b16aaad59eb55d7e7bdf3b8d368639f5",
}
OF_STAGES = {
    "ff++": {**CUT, "shard": "b22bc6d4a29646a9f6a8a36253ce8607"},
    "mmi-dd": {**CUT, "shard": "b22bc6d4a29646a9f6a8a36253ce8607"},
    "sample": {**CUT, "shard": "95e0eb4645ae734a2adf996a86f85585"},
}


def _without_versions(ingredients: dict[str, Any]) -> str:
    """The digest of ingredients, the versions of libraries aside: which ones they are stays."""
    libraries = ingredients.get("libraries")
    return digest({**ingredients, **({"libraries": sorted(libraries)} if libraries else {})})


def _ingredients(name: str) -> dict[str, dict[str, Any]]:
    recipe = read(name, ["detector=mtcnn"])
    return {
        "extract": extract.ingredients(recipe, "cpu"),
        "caption": caption.ingredients(recipe, "cpu"),
        "curate": curate.ingredients(recipe),
        "shard": shard.ingredients(recipe),
    }


@pytest.mark.parametrize("name", OF_STAGES)
def test_the_ingredients_of_every_stage_are_those_of_the_first_corpora(name: str) -> None:
    assert {stage: _without_versions(found) for stage, found in _ingredients(name).items()} == OF_STAGES[name]


CLIPS = [Item("D", f"clip{number:03d}.mp4", ("a", "b")) for number in range(150)]
IMAGES = [Item("D", f"image{number:04d}.jpg", ("a",)) for number in range(1000)]
BESIDE = {("D", "image0000.jpg"): ("E", "other.jpg")}


@pytest.mark.parametrize(
    ("name", "items", "per_task", "beside", "count", "first", "laid"),
    [
        ("D/first-video", CLIPS, 1, None, 56, "D/first-video/00-6", "69db049a088f3caf32d1f41559d501f7"),
        ("D/first-image", IMAGES, 256, BESIDE, 4, "D/first-image/0-2", "d92acb59398fe960236022b41884fd43"),
    ],
)
def test_media_lie_in_the_units_of_the_first_corpora(
    name: str, items: list[Item], per_task: int, beside: Any, count: int, first: str, laid: str
) -> None:
    units = bucket(name, items, per_task=per_task, beside=beside)
    assert (len(units), units[0].name) == (count, first)
    assert digest([(unit.name, [[item.media for item in task.items] for task in unit.tasks]) for unit in units]) == laid


def test_a_units_key_is_that_of_its_ingredients_and_members_in_any_order() -> None:
    members = [(("D", "b"), ("x", "y")), (("D", "a"), ("z",))]
    base = {"stage": "extract", "version": 3}
    assert unit_key(base, members) == unit_key(base, members[::-1]) == "de96d5c412b64770501be7a60e2bb194"
