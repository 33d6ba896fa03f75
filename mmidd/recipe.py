"""Recipe YAML to typed, frozen configuration. An unknown key or an impossible value is an error with its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import resources
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from mmidd import yamlfile
from mmidd.captions.registry import CAPTIONERS
from mmidd.errors import ManifestError, MmiddError, PluginError, RecipeError, UsageError, without_secrets
from mmidd.faces.detector import DetectorConfig
from mmidd.faces.pack import folder_name
from mmidd.faces.registry import DETECTORS
from mmidd.llm.key import check_address
from mmidd.manifest import bundled as manifests
from mmidd.manifest import find_manifest
from mmidd.manifest.folders import Folder, know
from mmidd.manifest.layout import LayoutError, Pattern, compile_pattern
from mmidd.registry import Registry
from mmidd.video.registry import DECODERS

PRESETS: dict[str, dict[str, Any]] = {
    # The geometry of DeepfakeBench's preprocessing (32 frames by linspace, ArcFace template, 256 px, margin 1.3, PNG).
    "deepfakebench": {
        "frames": {"count": 32, "spacing": "linspace"},
        "crop": {"size": 256, "margin": 1.3, "template": "arcface", "border": "black", "pairs": "independent"},
        "image": {"format": "png"},
    },
}


_MOST_MANIFESTS = 1000


class Later:
    """Marks a key that recipes got after the first corpora were built: `Annotated[int, LATER, Field(...)] = 0`."""


LATER = Later()


class Part(BaseModel):
    """A part of a recipe: frozen, closed to unknown keys, and strict: `'3'` is no number and `yes` is no truth.

    A key marked LATER is written only where it is not at its default: a recipe that does not use it is written as it always
    was, and so keeps its place in the keys of what was built by it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_serializer(mode="wrap")
    def _without_unused_later_keys(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        for name, field in type(self).model_fields.items():
            if LATER in field.metadata and getattr(self, name) == field.get_default(call_default_factory=True):
                written.pop(name, None)
        return written


def _of(registry: Registry[Any]) -> Callable[[str], str]:
    """A check that a name is in the registry. What it stands for is not imported."""

    def check(name: str) -> str:
        if name not in registry:
            known = registry.names()
            *others, last = map(repr, known)
            near = yamlfile.nearest(name, known)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ValueError(f"Input should be {', '.join(others)} or {last}{hint}")
        try:
            registry.plugin(name)
        except PluginError as error:
            raise ValueError(str(error)) from error
        return name

    return check


def _named(value: Any) -> Any:
    """`CelebA` is short for `{name: CelebA}`."""
    return {"name": value} if isinstance(value, str) else value


def _of_kind(value: Any) -> Any:
    """`mtcnn` is short for `{kind: mtcnn}`."""
    return {"kind": value} if isinstance(value, str) else value


def _published(name: str) -> str:
    """The dataset's own name, for any of the names its manifest answers to."""
    try:
        return find_manifest(name).name
    except ManifestError as error:
        raise ValueError(str(error)) from error


def _plain_address(base_url: str) -> str:
    """An address that may be written down. No recipe holds another, so none can show one."""
    try:
        check_address(base_url)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return base_url


class ManifestFolder(Part):
    """A folder of manifests of one's own, and its YAML files by name as they were when the recipe was read: whoever has the
    recipe, or a build's note of it, needs that folder no more."""

    folder: str
    texts: dict[str, str] = Field(strict=False)

    def known(self) -> Folder:
        """The same, as the manifests' room has it."""
        return Folder(Path(self.folder), "the recipe names", tuple(sorted(self.texts.items())))


def _with_texts(value: Any) -> Any:
    """What a recipe names is a folder, or several; what a note has was read already."""
    listed = [value] if isinstance(value, str) else value
    return [_read_folder(each) for each in listed] if isinstance(listed, list | tuple) else listed


def _read_folder(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    place = Path(value).absolute()
    try:
        files = sorted(path for path in place.iterdir() if path.suffix == ".yaml")
        if not files:
            raise ValueError(f"no manifest (.yaml) lies in {place}")
        return {"folder": str(place), "texts": {path.name: yamlfile.read_text(path) for path in files[:_MOST_MANIFESTS]}}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ValueError(f"cannot read the manifests in {place}: {reason}") from error


def _made_known(folders: tuple[ManifestFolder, ...]) -> tuple[ManifestFolder, ...]:
    """From here on the process knows these manifests, if they are sound."""
    if folders:
        know([folder.known() for folder in folders])
        try:
            manifests()
        except MmiddError as error:
            know([])
            raise ValueError(str(error)) from error
    return folders


def know_manifests(folders: Sequence[str]) -> None:
    """From here on the process knows the manifests in these folders. Raises UsageError where they are not sound."""
    try:
        _made_known(tuple(ManifestFolder.model_validate(_read_folder(folder)) for folder in folders))
    except ValueError as error:
        raise UsageError(f"--manifests: {error}") from error


Split = Literal["train", "validation", "test", "none"]


def _as_published(value: Any) -> Any:
    """`[test]` is short for `{test: test}`."""
    return {name: name for name in value} if isinstance(value, list | tuple) and all(map(_is_text, value)) else value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


class DatasetEntry(Part):
    """One dataset of the corpus, and how much of it.

    `splits`: the official splits that are taken, each with the one it is here; `none` are media that have no official split:
    they go by `curation.splits` as ever. `methods`: fakes of these alone (of none: `[]`), with the reals that fakes which
    are taken, of any dataset, were made from; with all its reals where none of these fakes names one of them. `media`: those
    alone whose path fits one of these patterns, in the language and with the fields of the dataset's manifest.
    """

    name: Annotated[str, AfterValidator(_published)]
    compression: str | None = Field(None, description="which one to take where a dataset has several")
    frames: int | None = Field(None, ge=1, le=100_000, description="frames per video, instead of the recipe's")
    cap_per_method: int | None = Field(
        None, ge=1, description="at most so many media of each method; as many reals, or all that these need"
    )
    subset: float = Field(1.0, gt=0, le=1, description="fraction to take, chosen by the seed; pairs stay together")
    splits: Annotated[dict[Split, Split] | None, LATER, BeforeValidator(_as_published)] = None
    methods: Annotated[tuple[str, ...] | None, LATER, Field(strict=False)] = None
    media: Annotated[tuple[str, ...] | None, LATER, Field(strict=False, min_length=1, max_length=1000)] = None

    @cached_property
    def patterns(self) -> tuple[Pattern, ...]:
        """What `media` means. Raises LayoutError for what is no pattern."""
        fields = find_manifest(self.name).layout.fields
        return tuple(compile_pattern(text, fields) for text in self.media or ())

    @field_validator("media")
    @classmethod
    def _patterns(cls, media: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        try:
            for text in media or () if "name" in info.data else ():
                compile_pattern(text, find_manifest(info.data["name"]).layout.fields)
        except LayoutError as error:
            raise ValueError(str(error)) from error
        return media

    @field_validator("splits")
    @classmethod
    def _some(cls, splits: dict[Split, Split] | None) -> dict[Split, Split] | None:
        if splits is not None and not splits:
            raise ValueError("name at least one split, or leave the key out to take all")
        if any((official == "none") != (here == "none") for official, here in (splits or {}).items()):
            raise ValueError("what has no official split goes by curation.splits (none: none), and nothing else does")
        return splits

    @field_validator("methods")
    @classmethod
    def _of_the_dataset(cls, methods: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        """By their canonical names, each once."""
        if methods is None or "name" not in info.data:
            return methods
        known = {
            name.casefold(): each.id
            for each in find_manifest(info.data["name"]).methods
            for name in (*each.aliases, each.id)
        }
        for name in methods:
            if name.casefold() not in known:
                raise ValueError(yamlfile.unknown(f"method of {info.data['name']}", name, sorted(set(known.values()))))
        return tuple(dict.fromkeys(known[name.casefold()] for name in methods))


class Frames(Part):
    """Which frames of a video become samples."""

    count: int = Field(32, ge=1, le=100_000)
    spacing: Literal["even", "linspace", "consecutive"] = "even"


class Crop(Part):
    """The geometry of a face crop."""

    size: int = Field(256, ge=32, le=2048, description="pixels")
    margin: float = Field(1.3, ge=1.0, le=4.0)
    template: Literal["arcface"] = "arcface"
    border: Literal["black", "replicate", "reflect"] = Field("black", description="what a crop shows beyond its frame")
    pairs: Literal["shared", "independent"] = Field("shared", description="does a fake take its real's geometry?")
    choice: Literal["largest", "central", "all"] = Field("largest", description="whose face, where no mask says it")
    least_face: int = Field(0, ge=0, le=4096, description="smaller faces are no samples: pixels of the frame, long side")


class ImageEncoding(Part):
    """How crops are encoded: the same for real and fake."""

    format: Literal["jpeg", "png", "webp"] = "jpeg"
    quality: int = Field(95, ge=1, le=100)
    subsampling: Literal["444", "420"] = "444"


class DetectorChoice(Part):
    """Which face detector, and its working size."""

    kind: Annotated[str, AfterValidator(_of(DETECTORS))] = "mtcnn"
    size: int = Field(640, ge=64, le=4096, description="long side of the working frame, pixels")
    min_score: float | None = Field(None, gt=0, lt=1)
    min_face: int = Field(20, ge=12, le=1024, description="smallest face, pixels of the working frame")
    enough: int = Field(64, ge=0, le=4096, description="a face of so many pixels in a smaller frame will do; 0: always size")
    pack: Annotated[
        str | None, LATER, Field(min_length=1, max_length=1024, description="of insightface: a pack's name or folder")
    ] = None
    runtime: Annotated[
        Literal["auto", "onnxruntime", "torch"], LATER, Field(description="what computes it; auto: torch on a GPU only")
    ] = "auto"

    @model_validator(mode="after")
    def _possible(self) -> DetectorChoice:
        self.config()
        return self

    def config(self) -> DetectorConfig:
        """The same, as the detector takes it; raises ValueError for what the kind cannot do."""
        return DetectorConfig(self.kind, self.size, self.min_score, self.min_face, self.enough, self.pack, self.runtime)

    def published(self) -> dict[str, Any]:
        """The options as they may leave this machine: of a folder its name alone."""
        part = self.model_dump(mode="json")
        return part if self.pack is None else {**part, "pack": folder_name(self.pack)}


class CaptionerChoice(Part):
    """Who describes the samples, and how. Which kind reads which option: docs/captions.md."""

    kind: Annotated[str, AfterValidator(_of(CAPTIONERS))] = "attributes"
    every: int = Field(1, ge=1, le=100_000, description="describe every n-th frame of a clip; the others share")
    model: str | None = Field(None, min_length=1, max_length=512)
    revision: str | None = Field(None, min_length=1, max_length=128)
    prompt: str = Field("plain-1", min_length=1, description="a bundled prompt, or a YAML file")
    max_tokens: int = Field(200, ge=16, le=4096)
    base_url: Annotated[str, AfterValidator(_plain_address)] | None = None
    concurrency: int = Field(32, ge=1, le=1024, description="requests at once")
    timeout: float = Field(120, gt=0, le=3600, description="seconds for one reply")
    temperature: float = Field(0, ge=0, le=2)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch: int = Field(8, ge=1, le=1024, description="images at once")

    def published(self) -> dict[str, Any]:
        """The options as they may leave this machine: no address, and of a folder or a file its name alone."""
        part = self.model_dump(mode="json", exclude={"base_url"})
        for key in ("model", "prompt"):
            path = Path(part[key] or "")
            if path.is_absolute() or path.parts[:1] in ((".",), ("..",), ("~",)) or (path.parent.name and path.exists()):
                part[key] = path.name
        return part


class Splits(Part):
    """Fractions of the media groups that have no official split."""

    train: float = Field(0.8, ge=0, le=1)
    validation: float = Field(0.1, ge=0, le=1)
    test: float = Field(0.1, ge=0, le=1)

    @model_validator(mode="after")
    def _whole(self) -> Splits:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError("train + validation + test must be 1")
        return self


class Curation(Part):
    """What is removed, and how the rest is split."""

    exact_duplicates: bool = True
    splits: Splits = Splits()


class Shards(Part):
    """The size of the corpus's files."""

    max_bytes: int = Field(500_000_000, ge=100_000, le=2_000_000_000)
    row_group_rows: int = Field(1000, ge=1, le=1000)
    row_group_bytes: int = Field(64_000_000, ge=10_000, le=100_000_000)


def _each_once(entries: tuple[DatasetEntry, ...]) -> tuple[DatasetEntry, ...]:
    names = [entry.name for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"named twice: {', '.join(twice)}")
    if not names:
        raise ValueError("at least one dataset is needed")
    return entries


Entries = Annotated[
    tuple[Annotated[DatasetEntry, BeforeValidator(_named)], ...], Field(strict=False), AfterValidator(_each_once)
]


class Recipe(Part):
    """Everything a build depends on beside the data: which datasets, which options, which models."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")
    description: str = ""
    preset: Literal["deepfakebench"] | None = None
    seed: int = Field(0, ge=0, le=2**31 - 1)
    manifests: Annotated[  # before `datasets`, which it may make known
        tuple[ManifestFolder, ...], LATER, Field(strict=False), BeforeValidator(_with_texts), AfterValidator(_made_known)
    ] = ()
    datasets: Entries
    decoder: Annotated[str, AfterValidator(_of(DECODERS))] = "pyav"
    frames: Frames = Frames()
    crop: Crop = Crop()
    image: ImageEncoding = ImageEncoding()
    detector: Annotated[DetectorChoice, BeforeValidator(_of_kind)] = DetectorChoice()
    captioner: Annotated[CaptionerChoice, BeforeValidator(_of_kind)] = CaptionerChoice()
    curation: Curation = Curation()
    shards: Shards = Shards()
    time_limit: float = Field(600, gt=0, description="seconds a worker may take for one video or run of images")

    @classmethod
    def read(cls, name: str, settings: Sequence[str] = ()) -> Recipe:
        """A recipe by file or bundled name, with `key=value` settings laid over it. Raises RecipeError, UsageError."""
        return read(name, settings)

    def changed(self, settings: Sequence[str]) -> Recipe:
        """The same with `key=value` settings laid over it. Raises RecipeError, UsageError."""
        if settings:
            return _with_settings(self.model_dump(mode="json", exclude_unset=True), settings)
        _made_known(self.manifests)  # another recipe may have been read meanwhile
        return self

    def published(self) -> dict[str, Any]:
        """The recipe as it may leave this machine."""
        parts = {"detector": self.detector.published(), "captioner": self.captioner.published()}
        return {**self.model_dump(mode="json", exclude={"manifests"}), **parts}


def bundled() -> dict[str, str]:
    """The recipes that come with mmidd: name to YAML text."""
    folder = resources.files("mmidd.pipelines")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name)
    return {entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8") for entry in files}


def read(name: str, settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe by file or bundled name, with `key=value` settings laid over it."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        try:
            text = yamlfile.read_text(path)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise RecipeError(f"cannot read the recipe {name}: {reason}") from error
        return parse(text, name, settings, path.parent)
    known = bundled()
    if name not in known:
        near = yamlfile.nearest(name, known)
        hint = f"; did you mean {near!r}?" if near else ""
        raise RecipeError(f"no recipe {name!r}: neither a file nor one of {', '.join(known)}{hint}")
    return parse(known[name], f"{name}.yaml", settings)


def parse(text: str, source: str, settings: Sequence[str] = (), folder: Path = Path()) -> Recipe:
    """Parse recipe YAML; folders of manifests in it are relative to `folder`. Raises RecipeError that names file, line, key
    and the nearest known key."""
    document = yamlfile.load(text, source)
    if not isinstance(document.data, dict):
        raise RecipeError(f"{source}: a recipe is a mapping of keys, this is {_kind(document.data)}")
    if "manifests" in document.data:
        document.data["manifests"] = _beside(document.data["manifests"], folder)
    recipe = _validate(document.data, document, source)
    return _with_settings(document.data, settings) if settings else recipe


def _beside(value: Any, folder: Path) -> Any:
    """Folders that a recipe names, relative to its own place."""
    if isinstance(value, list):
        return [_beside(each, folder) for each in value]
    return str(folder / value) if isinstance(value, str) and value else value


def _with_settings(data: dict[str, Any], settings: Sequence[str]) -> Recipe:
    """The settings hold together (two fractions may add up to 1 only as a pair); else the first bad one is named."""
    steps = list(accumulate(settings, _set, initial=data))
    try:
        return _validate(steps[-1], yamlfile.Document(steps[-1], {}), "--set")
    except RecipeError:
        for setting, laid in zip(settings, steps[1:], strict=True):
            _validate(laid, yamlfile.Document(laid, {}), _setting(setting))
        raise


def _validate(data: dict[str, Any], document: yamlfile.Document, source: str) -> Recipe:
    """The recipe of the keys that are written, with those of its preset under them."""
    try:
        return Recipe.model_validate(_over(PRESETS.get(str(data.get("preset")), {}), data))
    except ValidationError as error:
        raise RecipeError(yamlfile.explain(error, document, source, Recipe)) from error


def _set(data: dict[str, Any], setting: str) -> dict[str, Any]:
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise UsageError(f"--set takes key=value, as in --set captioner.kind=none; got {without_secrets(setting)!r}")
    path = key.split(".")
    tree: Any = yamlfile.load(value, f"--set {key}").data
    for name in reversed(path):
        tree = {name: tree}
    return _over(data, tree)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, mapping by mapping; a short form (`detector: yunet`) below is spelled out first."""
    merged = dict(below)
    for key, value in above.items():
        under = _of_kind(merged.get(key)) if key in ("detector", "captioner") else merged.get(key)
        merged[key] = _over(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged


def _setting(words: str) -> str:
    """How an error names a setting: without a value that may be a secret."""
    key = words.partition("=")[0]
    secret = any(part in key.lower() for part in ("key", "token", "secret", "password", "url"))
    return f"--set {key if secret else words}"


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", type(None): "empty", bool: "true or false"}.get(type(value), "a number")
