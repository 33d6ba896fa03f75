"""How a published corpus was cut and written, from its `mmidd.json`; and what is otherwise here."""

from __future__ import annotations

import pyarrow as pa
from pydantic import ValidationError

from mmidd.corpus.about import About
from mmidd.corpus.shards import ShardLimits
from mmidd.errors import ShareError
from mmidd.extraction.replay import Cutting
from mmidd.recipe import Crop, ImageEncoding, Shards


def cutting(about: About) -> Cutting:
    """How its crops are cut. Raises ShareError where it does not say so in a way that this mmidd understands."""
    try:
        crop = Crop.model_validate(about.recipe["crop"])
        image = ImageEncoding.model_validate(about.recipe["image"])
        found = Cutting.of(crop.model_dump(), image.model_dump(), str(about.recipe["decoder"]))
    except (LookupError, TypeError, ValueError) as error:
        raise _strange("how its faces were cut", error) from error
    found.libraries()  # a decoder that is not installed is told now
    return found


def limits(about: About) -> ShardLimits:
    """How large its files and row groups are. Raises ShareError."""
    try:
        found = Shards.model_validate(about.recipe.get("shards", {}))
    except (TypeError, ValidationError) as error:
        raise _strange("how its files were written", error) from error
    return ShardLimits(found.max_bytes, found.row_group_rows, found.row_group_bytes)


def here(taken: Cutting) -> dict[str, str]:
    """The versions here of the libraries that shape crops and shards."""
    return {**taken.libraries(), "pyarrow": pa.__version__}


def differences(about: About, taken: Cutting) -> dict[str, tuple[str, str]]:
    """Those that are of another version here than where the corpus was built: name, there and here."""
    there, mine = about.content.get("libraries"), here(taken)
    known = there if isinstance(there, dict) else {}
    return {name: (str(known[name]), mine[name]) for name in sorted(known) if name in mine and known[name] != mine[name]}


def _strange(what: str, error: Exception) -> ShareError:
    kind = type(error).__name__
    return ShareError(
        f"the publication does not say {what} in a way that this mmidd understands ({kind}): "
        "install the version that built it"
    )
