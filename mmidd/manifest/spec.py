"""What a dataset manifest may say: the pydantic models of its YAML, explained in docs/manifests.md."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic import StringConstraints as Text

from mmidd.manifest.accounting import Basis, Label, Split
from mmidd.media import FaceMode, Kind, Turn


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _as_pattern(value: Any) -> Any:
    return {"pattern": value} if isinstance(value, str) else {"choices": value} if isinstance(value, list) else value


def _visible(text: str) -> str:
    if any(unicodedata.category(each) in _INVISIBLE for each in text):
        raise ValueError("a control character or one that cannot be seen")
    return text


def _visible_lines(text: str) -> str:
    _visible(text.replace("\n", ""))
    return text


def _plain_folder(name: str) -> str:
    if name in (".", "..") or "/" in name:
        raise ValueError("no folder can have this name below the data root")
    return name


def _as_column(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


def _as_pair(value: Any) -> Any:
    return {"media": value} if isinstance(value, str) else value


_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
Name = Annotated[StrictStr, Text(min_length=1, max_length=200), AfterValidator(_visible)]
Prose = Annotated[StrictStr, AfterValidator(_visible_lines)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_listed)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Licence(_Model):
    """Under which terms the dataset's media are had, and whether crops of them may be passed on. `derivatives`
    false: nor may what is made from them and shows nothing of them, such as captions."""

    id: Name
    name: Name
    url: Name
    redistributable: StrictBool
    derivatives: StrictBool | None = None


class FieldSpec(_Model):
    """A `{field}`: a regular expression (`pattern`) or `choices`; `as` renames choices, `any_case` takes them in any case;
    `path` may span folders."""

    pattern: Name | None = None
    choices: tuple[Name, ...] | None = None
    as_: dict[str, Name] = Field(default={}, alias="as")
    path: StrictBool = False
    any_case: StrictBool = False


class ColumnSpec(_Model):
    """A table's column: a template over the row (`from`), and the only values allowed with their meaning (`as`)."""

    from_: Name = Field(alias="from")
    as_: dict[str, Name] | None = Field(default=None, alias="as")
    optional: StrictBool = False


class TableEntry(_Model):
    """A label file or several of one form; `bundled` maps official paths to lists that ship with the manifest, `expects` to
    the rows that the official file has."""

    files: Names = Field(min_length=1)
    rows: Literal["list", "object"] = "list"
    at: Names = ()
    header: StrictBool = True
    columns: StrictInt | None = None
    key: Names
    values: dict[str, Annotated[ColumnSpec, BeforeValidator(_as_column)]]
    required: StrictBool = False
    unlisted: dict[str, Name | None] | None = None
    lists_more: StrictBool = False
    bundled: dict[str, Name] = {}
    expects: dict[str, Annotated[StrictInt, Field(ge=1)]] = {}


class PairSpec(_Model):
    """Where a fake's real lies; `dataset` names another one."""

    media: Name
    dataset: Name | None = None


class RuleSpec(_Model):
    """Which paths are media, and what is known of them; the first rule that fits a path takes it."""

    id: Name
    path: Names
    kind: Kind | None = None
    frames: Name | None = None
    axes: Literal["nchw", "nhwc", "chw", "hwc"] | None = None
    faces: FaceMode = "detect"
    turn: Turn = 0
    look_up: dict[str, Name] = {}
    where: dict[str, Annotated[tuple[Name | None, ...], BeforeValidator(_listed)]] = {}
    label: Label
    method: Name | None = None
    type_basis: Basis | None = None
    compression: Name | None = None
    target_id: Name | None = None
    source_id: Name | None = None
    pair: Annotated[
        tuple[Annotated[PairSpec, BeforeValidator(_as_pair)], ...],
        BeforeValidator(lambda value: (value,) if isinstance(value, str | dict) else value),
    ] = ()
    mask: Names = ()
    unless: Names = ()
    aligned: StrictBool = True
    group: Names = ()
    join_identities: StrictBool | None = None
    split: Name | None = None


class Expected(_Model):
    """How many media the official release has, of a rule, label, method or split, in each compression."""

    count: StrictInt
    rule: Name | None = None
    label: Label | None = None
    method: Name | None = None
    split: Split | None = None


class Spec(_Model):
    """One dataset, as its manifest says it; `format.Manifest` is the same compiled."""

    name: Name
    slug: Annotated[StrictStr, Text(pattern=r"^[a-z][a-z0-9_]*$")]
    year: StrictInt
    folders: Annotated[tuple[Annotated[Name, AfterValidator(_plain_folder)], ...], BeforeValidator(_listed)] = Field(
        min_length=1
    )
    summary: Name
    access: Prose
    citation: Prose
    licence: Licence
    verified: StrictBool
    verified_note: Prose | None = None
    type_basis: Basis
    forgery_type: Literal["FS", "FR", "EFS", "FE"] | None = None
    join_identities: StrictBool = False
    compressions: Names = ()
    fields: dict[str, Annotated[FieldSpec, BeforeValidator(_as_pattern)]] = {}
    tables: dict[str, TableEntry] = {}
    rules: tuple[RuleSpec, ...] = Field(min_length=1)
    archives: Names = ()
    ignore: Names = ()
    empty_folders: Names = ()
    expected: tuple[Expected, ...] = ()
    known_defects: tuple[Prose, ...] = ()
