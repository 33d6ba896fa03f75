"""From a manifest's text to compiled patterns, tables and rules, with every cross-check that needs no dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from mmidd.manifest.accounting import SPLITS, SUFFIXES, Layout, PairRule, Rule
from mmidd.manifest.layout import Field, LayoutError, Pattern, Template, compile_pattern, compile_template, make_field
from mmidd.manifest.methods import Method, Methods, UnknownMethod
from mmidd.manifest.spec import RuleSpec, Spec, TableEntry
from mmidd.manifest.tables import TableColumn, TableSpec
from mmidd.media import Inside
from mmidd.raw.archives import SUFFIXES as ARCHIVES
from mmidd.raw.archives import is_archive
from mmidd.yamlfile import Path, unknown

T = TypeVar("T")


class CompileFault(Exception):
    """What the parts of a manifest get wrong together; `path` is the place in its document."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


def compile_layout(manifest: Spec, methods: Methods, resource: Callable[[str], bytes]) -> Layout:
    """Compile and check a manifest; `resource` gives the bytes of a list that ships with it. Raises CompileFault."""
    fields = {
        name: _at(("fields", name), _field, name, spec.pattern, spec.choices, spec.as_, spec.path, spec.any_case)
        for name, spec in manifest.fields.items()
    }
    tables = {name: _table(name, entry, fields, _forms(manifest, name, fields)) for name, entry in manifest.tables.items()}
    _check_basis(manifest)
    for index, text in enumerate(manifest.archives):
        _require(is_archive(text), ("archives", index), f"'{text}': an archive ends in {', '.join(ARCHIVES)}")
    seen: set[str] = set()
    for index, spec in enumerate(manifest.rules):
        _require(spec.id not in seen, ("rules", index, "id"), f"rule '{spec.id}' is there twice")
        seen.add(spec.id)
    _check_expected(manifest, seen, methods)
    compiler = _Rules(manifest, fields, tables, methods)
    return Layout(
        dataset=manifest.name,
        licence=manifest.licence.name,
        fields=fields,
        tables=tuple(tables.values()),
        rules=tuple(compiler.rule(index, spec) for index, spec in enumerate(manifest.rules)),
        archives=tuple(_at(("archives", i), compile_pattern, text, fields) for i, text in enumerate(manifest.archives)),
        ignore=tuple(_at(("ignore", index), compile_pattern, text, fields) for index, text in enumerate(manifest.ignore)),
        empty_folders=tuple(
            _at(("empty_folders", index), compile_pattern, text, fields) for index, text in enumerate(manifest.empty_folders)
        ),
        find_method=methods.find,
        bundled={
            name: {path: _at(("tables", name, "bundled"), resource, file) for path, file in entry.bundled.items()}
            for name, entry in manifest.tables.items()
            if entry.bundled
        },
    )


def used_methods(layout: Layout, methods: Methods) -> tuple[Method, ...]:
    """The methods that a manifest's rules can give, by id; all of them where a label file names them."""
    columns = _column_values(layout.tables)
    found: dict[str, Method] = {}
    for rule in layout.rules:
        if rule.method is None:
            continue
        names = _named(rule, layout.fields, columns)
        chosen = methods.by_id.values() if names is None else [methods.resolve(name) for name in names]
        found.update({method.id: method for method in chosen})
    return tuple(found[name] for name in sorted(found))


def _at(path: Path, make: Callable[..., T], *arguments: object) -> T:
    """What `make` returns; its faults get the place in the document."""
    try:
        return make(*arguments)
    except (LayoutError, UnknownMethod) as error:
        raise CompileFault(path, str(error)) from None
    except FileNotFoundError as error:
        raise CompileFault(path, f"does not ship with mmidd: {error.filename or arguments}") from None


def _require(holds: bool, path: Path, message: str) -> None:
    if not holds:
        raise CompileFault(path, message)


def _field(
    name: str, pattern: str | None, choices: Iterable[str] | None, rename: Mapping[str, str], path: bool, any_case: bool
) -> Field:
    return make_field(name, pattern, choices, rename, path=path, any_case=any_case)


def _check_basis(manifest: Spec) -> None:
    bases = {manifest.type_basis, *(rule.type_basis for rule in manifest.rules)}
    _require(
        ("dataset" in bases) == (manifest.forgery_type is not None),
        ("forgery_type",),
        "'type_basis: dataset' and 'forgery_type' go together: one type for all fakes of unknown method",
    )
    _require(
        manifest.verified or bool(manifest.verified_note),
        ("verified",),
        "'verified: false' needs a 'verified_note' that says what is unconfirmed",
    )


def _check_expected(manifest: Spec, rules: Iterable[str], methods: Methods) -> None:
    """A count for a rule or method that is none would differ from every disk."""
    for index, entry in enumerate(manifest.expected):
        path: Path = ("expected", index)
        _require(entry.rule is None or entry.rule in set(rules), (*path, "rule"), unknown("rule", entry.rule or "", rules))
        if entry.method not in (None, "unknown"):
            _at((*path, "method"), methods.resolve, entry.method)


def _forms(manifest: Spec, table: str, fields: Mapping[str, Field]) -> tuple[Pattern, ...]:
    """The patterns of all that rules look up in a table; none where one of them is open."""
    texts = dict.fromkeys(rule.look_up[table] for rule in manifest.rules if table in rule.look_up)
    try:
        return tuple(compile_pattern(text, fields) for text in texts)
    except LayoutError:  # a key need not be a path; what is wrong with it is found where the rule is compiled
        return ()


def _table(name: str, entry: TableEntry, fields: Mapping[str, Field], forms: tuple[Pattern, ...]) -> TableSpec:
    path: Path = ("tables", name)
    files = tuple(_at((*path, "files", index), compile_pattern, text, fields) for index, text in enumerate(entry.files))
    for text in entry.files:
        suffix = text.rpartition(".")[2]
        _require(suffix in ("json", "csv", "txt"), (*path, "files"), f"'{text}': a label file is .json, .csv or .txt")
    for key, official in (*(("bundled", each) for each in entry.bundled), *(("expects", each) for each in entry.expects)):
        known = any(each.match(official) is not None for each in files)
        _require(known, (*path, key, official), f"'{official}' is none of the table's files")
    strange = sorted(set(entry.unlisted or {}) - set(entry.values))
    _require(not strange, (*path, "unlisted"), unknown("column", "".join(strange[:1]), entry.values))
    columns = {
        column: TableColumn(_at((*path, "values", column), compile_template, spec.from_), spec.as_, spec.optional)
        for column, spec in entry.values.items()
    }
    return TableSpec(
        name=name,
        files=files,
        rows=entry.rows,
        at=entry.at,
        header=entry.header,
        columns_in_line=entry.columns,
        keys=tuple(_at((*path, "key"), compile_template, text) for text in entry.key),
        columns=columns,
        required=entry.required,
        unlisted=entry.unlisted,
        lists_more=entry.lists_more,
        expects=entry.expects,
        forms=forms,
    )


def _column_values(tables: Iterable[TableSpec]) -> dict[str, frozenset[str] | None]:
    """`table.column` -> every value it can have, or None where it is open."""
    found: dict[str, frozenset[str] | None] = {}
    for table in tables:
        for name, column in table.columns.items():
            known = None if column.rename is None else set(column.rename.values())
            extra = (table.unlisted or {}).get(name)
            found[f"{table.name}.{name}"] = None if known is None else frozenset(known | ({extra} if extra else set()))
    return found


def _possible(
    template: Template, fields: Mapping[str, Field], columns: Mapping[str, frozenset[str] | None]
) -> frozenset[str] | None:
    """Every text a template can give, or None where that is open."""
    if not template.names:
        return frozenset({template.text})
    if len(template.parts) != 3 or template.parts[0] or template.parts[2]:
        return None
    name = template.names[0]
    return fields[name].values() if name in fields else columns.get(name)


def _named(rule: Rule, fields: Mapping[str, Field], columns: Mapping[str, frozenset[str] | None]) -> frozenset[str] | None:
    """Every method that a rule can name, or None where that is open. What its conditions shut out it cannot."""
    names = _possible(rule.method, fields, columns) if rule.method is not None else frozenset[str]()
    allowed = next((allowed for name, allowed in rule.where if rule.method and rule.method.text == "{" + name + "}"), None)
    return names if names is None or allowed is None else names & allowed


def _inside(path: Path, spec: RuleSpec) -> Inside | None:
    """Where the frames of an HDF5 file are in it; None for what is none."""
    if spec.kind != "hdf5":
        stated = "frames" if spec.frames else "axes" if spec.axes else None
        _require(stated is None, (*path, stated or ""), f"only HDF5 files have '{stated}': state 'kind: hdf5'")
        return None
    if spec.frames is None or spec.axes is None:
        raise CompileFault((*path, "kind"), "HDF5 files need 'frames' (where in the file they are) and 'axes' (their order)")
    plain = all(part not in ("", ".", "..") for part in spec.frames.split("/"))
    _require(plain, (*path, "frames"), "a path in the file, such as Color_Data or Frame_*/array")
    _require(spec.frames.count("*") <= 1, (*path, "frames"), "one '*' at most: it stands for a frame's number")
    many = spec.axes.startswith("n")
    message = "an array of all frames has axis 'n', and one of a single frame (a '*' in 'frames') has none"
    _require(many == ("*" not in spec.frames), (*path, "axes"), message)
    return Inside(spec.frames, spec.axes)


@dataclass(frozen=True)
class _Rules:
    """Compiles the rules of one manifest."""

    manifest: Spec
    fields: Mapping[str, Field]
    tables: Mapping[str, TableSpec]
    methods: Methods

    def rule(self, index: int, spec: RuleSpec) -> Rule:
        """One compiled rule; raises CompileFault with the place of what is wrong."""
        path: Path = ("rules", index)
        inside = "/*" if spec.kind == "frames" else ""  # the medium is the folder, what the disk has are its files
        patterns = tuple(_at((*path, "path"), compile_pattern, text + inside, self.fields) for text in spec.path)
        in_path = frozenset.intersection(*(each.fields for each in patterns))
        look_up = self._look_up(path, spec, in_path)
        names = in_path | {f"{table}.{column}" for table, _ in look_up for column in self.tables[table].columns}
        self._check_label(path, spec)
        found = spec.turn != "find" or spec.faces in ("detect", "padded")
        _require(found, (*path, "turn"), f"with 'faces: {spec.faces}' no face is looked for by which a turn could be found")
        if spec.kind is None:
            for pattern in patterns:
                self._check_ending((*path, "path"), pattern.text, "; state 'kind: video', 'image', 'frames' or 'hdf5'")

        def text(key: str, value: str | None) -> Template | None:
            return None if value is None else self._template((*path, key), value, names)

        compiled = Rule(
            id=spec.id,
            paths=patterns,
            kind=spec.kind,
            inside=_inside(path, spec),
            faces=spec.faces,
            turn=spec.turn,
            look_up=look_up,
            where=tuple(
                (self._known((*path, "where", name), name, names), frozenset(values)) for name, values in spec.where.items()
            ),
            label=spec.label,
            method=text("method", spec.method),
            basis=spec.type_basis or self.manifest.type_basis,
            forgery_type=self.manifest.forgery_type if self._basis(spec) == "dataset" else None,
            compression=text("compression", spec.compression),
            target_id=text("target_id", spec.target_id),
            source_id=text("source_id", spec.source_id),
            pairs=tuple(PairRule(each.dataset, self._template((*path, "pair"), each.media, names)) for each in spec.pair),
            masks=tuple(self._mask((*path, "mask", place), each, names) for place, each in enumerate(spec.mask)),
            unless=tuple(self._template((*path, "unless", place), each, in_path) for place, each in enumerate(spec.unless)),
            aligned=spec.aligned,
            groups=tuple(self._template((*path, "group"), each, names) for each in spec.group),
            join_identities=self.manifest.join_identities if spec.join_identities is None else spec.join_identities,
            split=text("split", spec.split),
        )
        self._check_values(path, compiled)
        return compiled

    def _basis(self, spec: RuleSpec) -> str:
        return spec.type_basis or self.manifest.type_basis

    def _look_up(self, path: Path, spec: RuleSpec, in_path: frozenset[str]) -> tuple[tuple[str, Template], ...]:
        found = []
        for table, key in spec.look_up.items():
            place = (*path, "look_up", table)
            _require(table in self.tables, place, unknown("table", table, self.tables))
            found.append((table, self._template(place, key, in_path)))
        return tuple(found)

    def _template(self, path: Path, text: str, names: Iterable[str]) -> Template:
        template = _at(path, compile_template, text)
        for name in template.names:
            self._known(path, name, names)
        return template

    def _mask(self, path: Path, text: str, names: Iterable[str]) -> Template:
        """Where a fake's mask lies; its name's ending says whether it is a video or an image, and none that it is a folder
        of numbered images."""
        if "." in text.rpartition("/")[2]:
            self._check_ending(path, text)
        return self._template(path, text, names)

    def _known(self, path: Path, name: str, names: Iterable[str]) -> str:
        known = set(names)
        _require(name in known, path, unknown("value", name, known) + " (fields of every path, table.column)")
        return name

    def _check_label(self, path: Path, spec: RuleSpec) -> None:
        if spec.label == "real":
            wrong = "method" if spec.method else "pair" if spec.pair else "mask" if spec.mask else None
            _require(wrong is None, (*path, wrong or ""), f"a real has no '{wrong}'")
        elif spec.method is None:
            message = "a fake needs a 'method', unless 'type_basis' is dataset or unknown"
            _require(self._basis(spec) != "stated", path, message)

    def _check_ending(self, path: Path, text: str, hint: str = "") -> None:
        """Without a stated kind, the name's ending must say what the file is."""
        ending = text.rpartition("/")[2].rpartition(".")[2]
        template = _at(path, compile_template, ending)
        endings = _possible(template, self.fields, {})
        known = endings is not None and all(f".{each}" in SUFFIXES for each in endings)
        _require(known, path, f"'{text}' ends in no known suffix{hint}")

    def _check_values(self, path: Path, rule: Rule) -> None:
        columns = _column_values(self.tables.values())

        def possible(template: Template | None) -> frozenset[str]:
            return frozenset() if template is None else _possible(template, self.fields, columns) or frozenset()

        for name in sorted(_named(rule, self.fields, columns) or ()):
            _at((*path, "method"), self.methods.resolve, name)
        for name in sorted(possible(rule.split)):
            _require(name in SPLITS, (*path, "split"), unknown("split", name, SPLITS))
        for name in sorted(possible(rule.compression)):
            known = name in self.manifest.compressions
            _require(known, (*path, "compression"), unknown("compression", name, self.manifest.compressions))
        for name, allowed in rule.where:
            values = _possible(compile_template("{" + name + "}"), self.fields, columns)
            strange = sorted(each for each in allowed if each is not None and values and each not in values)
            _require(not strange, (*path, "where", name), f"'{name}' is never '{''.join(strange[:1])}'")
