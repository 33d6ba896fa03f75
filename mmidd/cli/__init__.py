"""The command line: one verb a function; it parses, calls and prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from gc import set_threshold
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from mmidd import __version__
from mmidd.cli import complete, show
from mmidd.errors import MmiddError, UsageError

if TYPE_CHECKING:
    from mmidd.corpus.target import Target
    from mmidd.engine.local import Local
    from mmidd.engine.run import Progress
    from mmidd.project import Site

app = typer.Typer(
    name="mmidd",
    help="Turns licensed face-forgery datasets into one corpus that is safe to train on and easy to share.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_WIDE = None if sys.stdout and sys.stdout.isatty() else 160  # a table in a pipe or a log is not folded to 80 columns
_out = Console(highlight=False, emoji=False, soft_wrap=True, width=_WIDE)
_err = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


class Device(StrEnum):
    """Where models run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class EngineKind(StrEnum):
    """Who runs the workers."""

    local = "local"
    ray = "ray"
    slurm = "slurm"


RecipeName = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="A recipe file, or a bundled one: sample, ff++, mmi-dd.", autocompletion=complete.recipes
    ),
]
Data = Annotated[
    str, typer.Option("--data", metavar="ROOT", help="The folder that holds the datasets' folders, or its s3://... address.")
]
Out = Annotated[Path, typer.Option("--out", metavar="CORPUS", help="The corpus folder to make or to update.")]
Work = Annotated[Path | None, typer.Option("--work", metavar="DIR", help="The work folder (default: CORPUS.work).")]
StageWork = Annotated[Path, typer.Option("--work", metavar="DIR", help="The work folder.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=0, help="Worker processes (default: one a core; 0: this process alone).")
]
WorkerMemory = Annotated[
    float | None,
    typer.Option("--worker-memory", metavar="GB", min=0.1, help="Stop a worker that holds more; its medium is charged."),
]
On = Annotated[Device, typer.Option("--device", help="auto takes a GPU where the detector can use one.")]
Engine = Annotated[EngineKind, typer.Option("--engine", help="Who does the work: this machine, or a cluster.")]
EngineSet = Annotated[
    list[str] | None,
    typer.Option("--engine-set", metavar="KEY=VALUE", help="ray: address, gpus. slurm: jobs, partition, minutes, ..."),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="DATASET", help="Only this dataset (repeatable).", autocompletion=complete.datasets),
]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe.")]
Exclude = Annotated[
    Path | None,
    typer.Option("--exclude", metavar="FILE", help="Takedown list (sha256:, media:, identity: lines), kept for good."),
]
RequireAll = Annotated[bool, typer.Option("--require-all", help="Fail if a dataset of the recipe is not there.")]
AllowRemovals = Annotated[bool, typer.Option("--allow-removals", help="Let rows of the existing corpus go.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, for programs.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with DESIGN's exit codes; no traceback for what we know."""
    set_threshold(100_000, 50, 50)  # of millions of objects none is garbage: looking for some took a quarter of the time
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # its own allocator keeps what was freed: a seventh more
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    code = _run(arguments)
    if code == show.INTERRUPTED:
        _err.print("\nStopped. Nothing that was committed is lost; run the same command to go on.")
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        code = app(list(arguments), standalone_mode=False, prog_name=complete.NAME)
        for line in complete.undetected(arguments) if code else ():
            _err.print(escape(f"mmidd: {line}"), style="red")
        return code if isinstance(code, int) else show.COMPLETE
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):  # the parser makes an exit code of it, if it hears of it first
        return show.INTERRUPTED
    except MmiddError as error:
        _err.print("mmidd: " + "\n".join(show.plain(line) for line in str(error).split("\n")), style="red")
        return error.exit_code
    except BrokenPipeError:  # who read our output has seen enough; rich ends with 1 as well
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (the interpreter flushes it at its end)
        return show.ERROR
    except OSError as error:
        place = f" ({show.plain(str(error.filename))})" if error.filename is not None else ""
        _err.print(f"mmidd: the system says: {show.plain(error.strerror or str(error))}{place}", style="red")
        return show.ERROR
    except Exception as error:
        usage = getattr(error, "show", None)  # a usage error of the parser knows how to show itself
        if not callable(usage):
            raise
        if isinstance(message := getattr(error, "message", None), str):
            error.message = show.printable(message)  # type: ignore[attr-defined]
        usage()
        return show.USAGE


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        _out.print(f"mmidd {__version__}")
        raise typer.Exit


@app.command()
def build(
    recipe: RecipeName,
    data: Data,
    out: Out,
    work: Work = None,
    workers: Workers = None,
    worker_memory: WorkerMemory = None,
    device: On = Device.auto,
    engine: Engine = EngineKind.local,
    engine_settings: EngineSet = None,
    only: Only = None,
    settings: Set = None,
    exclude: Exclude = None,
    require_all: RequireAll = False,
    allow_removals: AllowRemovals = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would do and take, as mmidd plan does.")
    ] = False,
) -> int:
    """Build a corpus from raw datasets, or bring it up to date: only what is missing or stale is done."""
    if dry_run:
        return plan(recipe, data, out, work, workers, device, engine, engine_settings, only, settings, exclude)
    place = work or _work_of(out)
    with _early(place, engine, workers, worker_memory) as early:
        from mmidd.flow.build import build

        corpus = _claim(out, data, place)
        with _site(
            recipe, data, place, workers, device, only, settings, exclude, require_all, out=out,
            on=(engine, engine_settings), worker_memory=worker_memory, early=early,
        ) as site:  # fmt: skip
            report = build(site, corpus, allow_removals=allow_removals, tell=lambda indexed: show.notices(_err, indexed))
            return show.built(_err, report, site)


@app.command(name="index")
def index_(
    recipe: RecipeName,
    data: Data,
    work: StageWork,
    only: Only = None,
    settings: Set = None,
    exclude: Exclude = None,
    require_all: RequireAll = False,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the official releases; exit with 4 on findings.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Account for every file of the recipe's datasets: medium, label file, sidecar, or unmatched."""
    from mmidd.flow.steps import index_all

    with _site(recipe, data, work, 0, Device.cpu, only, settings, exclude, require_all, quiet=as_json) as site:
        indexed = index_all(site)
    if not check and not as_json:
        return show.indexed(_out, indexed)
    from mmidd.flow.check import as_document, check_all

    found = check_all(indexed)
    if as_json:
        show.document(_out, as_document(found, indexed))
        return show.FINDINGS if check and not all(each.clean for each in found) else show.COMPLETE
    return show.checked(_out, found, indexed)


@app.command()
def extract(
    recipe: RecipeName,
    data: Data,
    work: StageWork,
    workers: Workers = None,
    worker_memory: WorkerMemory = None,
    device: On = Device.auto,
    engine: Engine = EngineKind.local,
    engine_settings: EngineSet = None,
    only: Only = None,
    settings: Set = None,
    exclude: Exclude = None,
    require_all: RequireAll = False,
) -> int:
    """Decode, detect, choose, align and encode the faces of the indexed media."""
    with _early(work, engine, workers, worker_memory) as early:
        from mmidd.flow.steps import extract_all, index_all

        with _site(
            recipe, data, work, workers, device, only, settings, exclude, require_all, on=(engine, engine_settings),
            worker_memory=worker_memory, early=early,
        ) as site:  # fmt: skip
            extracted = extract_all(site, index_all(site))
            return show.outcomes(_out, "extract", extracted.outcomes.values(), "mmidd caption")


@app.command()
def caption(
    recipe: RecipeName,
    data: Data,
    work: StageWork,
    workers: Workers = None,
    worker_memory: WorkerMemory = None,
    device: On = Device.auto,
    engine: Engine = EngineKind.local,
    engine_settings: EngineSet = None,
    only: Only = None,
    settings: Set = None,
    exclude: Exclude = None,
) -> int:
    """Describe every crop and its surroundings, label-blind. Extraction must be up to date."""
    from mmidd.engine.tables import read_outcomes
    from mmidd.flow.steps import caption_all, extract_all, index_all

    on = (engine, engine_settings)
    with _site(recipe, data, work, workers, device, only, settings, exclude, on=on, worker_memory=worker_memory) as site:
        records = caption_all(site, extract_all(site, index_all(site), run=False))
        found = [outcome for record in records.values() for outcome in read_outcomes(site.store, record)]
        return show.outcomes(_out, "caption", found, "mmidd curate")


@app.command()
def curate(
    recipe: RecipeName,
    data: Data,
    work: StageWork,
    only: Only = None,
    settings: Set = None,
    exclude: Exclude = None,
    device: On = Device.auto,
    engine: Engine = EngineKind.local,
    engine_settings: EngineSet = None,
) -> int:
    """Judge all samples: duplicates, groups, splits, pairs. Extraction must be up to date."""
    from mmidd.flow.steps import curate_all, extract_all, index_all

    with _site(recipe, data, work, None, device, only, settings, exclude, on=(engine, engine_settings)) as site:
        indexed = index_all(site)
        return show.curated(_out, site, curate_all(site, indexed, extract_all(site, indexed, run=False)))


@app.command()
def shard(
    recipe: RecipeName,
    data: Data,
    out: Out,
    work: Work = None,
    workers: Workers = None,
    only: Only = None,
    settings: Set = None,
    exclude: Exclude = None,
    device: On = Device.auto,
    engine: Engine = EngineKind.local,
    engine_settings: EngineSet = None,
    allow_removals: AllowRemovals = False,
) -> int:
    """Write the corpus from what the other stages committed. They must be up to date."""
    from mmidd.flow.build import shard_only

    place = work or _work_of(out)
    corpus = _claim(out, data, place)
    with _site(recipe, data, place, workers, device, only, settings, exclude, out=out, on=(engine, engine_settings)) as site:
        return show.built(_err, shard_only(site, corpus, allow_removals=allow_removals), site)


@app.command()
def plan(
    recipe: RecipeName,
    data: Data,
    out: Out,
    work: Work = None,
    workers: Workers = None,
    device: On = Device.auto,
    engine: Engine = EngineKind.local,
    engine_settings: EngineSet = None,
    only: Only = None,
    settings: Set = None,
    exclude: Exclude = None,
    as_json: Json = False,
) -> int:
    """Say what a build would do, and what disk and time it needs. Changes nothing."""
    from mmidd.flow.plan import plan as planned
    from mmidd.flow.steps import index_all

    place = work or _work_of(out)
    on = (engine, engine_settings)
    with _site(recipe, data, place, workers, device, only, settings, exclude, read_only=True, quiet=as_json, on=on) as site:
        return show.plan(_out, planned(site, index_all(site, run=False), out), as_json=as_json)


@app.command()
def status(work: Annotated[Path, typer.Argument(metavar="WORK")], as_json: Json = False) -> int:
    """Say how far the last build on a work folder is, and how its media ended."""
    from mmidd.flow.plan import status as looked_up

    with _again(work, read_only=True, quiet=as_json) as site:
        return show.status(_out, looked_up(site), as_json=as_json)


@app.command()
def failures(
    work: Annotated[Path, typer.Argument(metavar="WORK")],
    retry: Annotated[bool, typer.Option("--retry", help="Do the failed media again, and no others.")] = False,
    as_json: Json = False,
) -> int:
    """List what failed, with path, stage, error, message and attempts."""
    from mmidd.flow.build import build
    from mmidd.flow.plan import check_retry
    from mmidd.flow.plan import failures as listed

    if retry:
        with _again(work, retry=True, quiet=as_json) as site:
            before = check_retry(site)
            out = site.out or _corpus_of(work)
            build(site, _claim(out, str(site.data), work), allow_removals=False)
    with _again(work, read_only=True, quiet=True) as site:
        found = listed(site)
        if retry:
            show.retried(_err, before, found)
        return show.failures(_out, found, as_json=as_json)


@app.command()
def gc(
    work: Annotated[Path, typer.Argument(metavar="WORK")],
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE]...",
            help="Keep what these read (default: the last build of every corpus).",
            autocompletion=complete.recipes,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    as_json: Json = False,
) -> int:
    """Remove from a work folder what no build reads: old commits, left-over files, digests of files that are gone."""
    from mmidd.flow.gc import collect

    with (
        _again(work, read_only=True, quiet=True) as site,
        nullcontext(True) if dry_run else site.store.held(_tell, clear=False) as locks,
    ):
        return show.collected(_out, collect(site, recipes or (), dry_run=dry_run, locks=locks), dry_run, as_json=as_json)


@app.command()
def verify(corpus: Annotated[Path, typer.Argument(metavar="CORPUS")], as_json: Json = False) -> int:
    """Check a corpus from its files alone: checksums, schema, counts, ids, and every row's medium."""
    from mmidd.corpus.verify import verify as checked
    from mmidd.engine.start import without_pandas

    without_pandas()
    return show.verified(_out, checked(corpus), as_json=as_json)


@app.command()
def audit(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS")],
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Only this audit: captions.", autocompletion=complete.audits),
    ] = None,
    clip: Annotated[str | None, typer.Option("--clip", metavar="MODEL", help="Rank captions by this CLIP model.")] = None,
    attributes: Annotated[
        Path | None, typer.Option("--attributes", metavar="FILE", help="CelebA's list_attr_celeba.txt, to compare with.")
    ] = None,
    review: Annotated[
        Path | None, typer.Option("--review", metavar="DIR", help="Put a page here on which people judge a sample.")
    ] = None,
    review_results: Annotated[
        Path | None, typer.Option("--review-results", metavar="FILE", help="Only read back what that page saved.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of samples and intervals.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The report (default: CORPUS.audit.json, CORPUS.review.json)."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Look for what a corpus gives away: leaks, repetition and errors in captions. Exit with 4 on findings."""
    from mmidd.audit.captions import AuditOptions
    from mmidd.audit.run import run
    from mmidd.engine.start import without_pandas

    without_pandas()
    options = AuditOptions(clip, attributes, review is not None, seed)
    report = out or _beside(corpus, "audit.json" if review_results is None else "review.json")
    done = run(corpus, only or (), options, report, review, review_results)
    return show.audited(_out, done, as_json=as_json)


@app.command()
def sample(folder: Annotated[Path, typer.Argument(metavar="DIR")]) -> int:
    """Lay out small raw datasets, made here from two free pictures, to try mmidd on. No benchmark."""
    from mmidd.sample import write_sample

    return show.sampled(_err, folder, lambda report: write_sample(folder, report=report))


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", autocompletion=complete.datasets)] = None,
    data: Annotated[str | None, typer.Option("--data", metavar="ROOT", help="Say which are there.")] = None,
    as_json: Json = False,
) -> int:
    """List the datasets that mmidd can read; with NAME, how to get one and how it must lie."""
    return show.datasets(_out, name, data, as_json=as_json)


def _work_of(out: Path) -> Path:
    place = out.resolve() if out.name in ("", "..") else out
    if not place.name:
        raise UsageError(f"--out {out} is no place for a corpus; name a folder in it")
    return place.with_name(f"{place.name}.work")


def _beside(corpus: Path, ending: str) -> Path:
    place = corpus.resolve()
    return place.with_name(f"{place.name}.{ending}")


def _corpus_of(work: Path) -> Path:
    return work.with_name(work.name.removesuffix(".work")) if work.suffix == ".work" else work.with_name("corpus")


def _claim(out: Path, data: str, work: Path) -> Target:
    from mmidd.project import claim_corpus

    return claim_corpus(out, data, work)


@contextmanager
def _early(work: Path, kind: EngineKind, workers: int | None, memory: float | None) -> Iterator[Local | None]:
    """The local engine, whose workers start while this process still imports what it needs: for a first build alone, which
    is known to have work for them."""
    if kind != EngineKind.local or workers == 0 or work.exists():
        yield None
        return
    from mmidd.engine.local import Local, usable_cores
    from mmidd.engine.units import Resources

    engine = Local(workers or usable_cores(), Resources(), _bytes(memory), ["mmidd.stages.extract", "onnxruntime", "onnx"])
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


def _bytes(gigabytes: float | None) -> int | None:
    return round(gigabytes * 1e9) if gigabytes is not None else None


@contextmanager
def _site(
    recipe: str,
    data: str,
    work: Path,
    workers: int | None,
    device: Device,
    only: list[str] | None,
    settings: list[str] | None,
    exclude: Path | None,
    require_all: bool = False,
    *,
    out: Path | None = None,
    read_only: bool = False,
    quiet: bool = False,
    on: tuple[EngineKind, list[str] | None] = (EngineKind.local, None),
    worker_memory: float | None = None,
    early: Local | None = None,
) -> Iterator[Site]:
    """A site from a command's words; its workers end with the command."""
    from mmidd.engine.start import without_pandas
    from mmidd.project import open_site
    from mmidd.recipe import read

    without_pandas()
    site = open_site(
        read(recipe, settings or ()),
        data,
        work,
        progress=_progress(quiet or read_only),
        workers=workers,
        device=device.value,
        only=only or (),
        exclude=exclude,
        require_all=require_all,
        read_only=read_only,
        out=out,
        engine=on[0].value,
        engine_settings=on[1] or (),
        worker_memory=_bytes(worker_memory),
        early=early,
    )
    with _used(site, read_only):
        yield site


@contextmanager
def _again(work: Path, *, retry: bool = False, read_only: bool = False, quiet: bool = False) -> Iterator[Site]:
    """The site of the last build on a work folder."""
    from mmidd.engine.start import without_pandas
    from mmidd.project import reopen_site

    without_pandas()
    site = reopen_site(work, progress=_progress(quiet or read_only), retry=retry, read_only=read_only)
    with _used(site, read_only):
        yield site


@contextmanager
def _used(site: Site, read_only: bool) -> Iterator[None]:
    """Nobody else writes the work folder meanwhile; the workers end with the command."""
    try:
        with nullcontext() if read_only else site.store.held(_tell):
            yield
    finally:
        site.engine.close()


def _tell(line: str) -> None:
    _err.print(escape(line))


def _progress(quiet: bool) -> Progress:
    from mmidd.cli.progress import Bars, Lines, Silent

    if quiet:
        return Silent()
    return Bars(_err) if _err.is_terminal else Lines(_tell)


@app.command()
def doctor(
    data: Annotated[
        str | None, typer.Option("--data", metavar="ROOT", help="Look at this data root: a folder, or its s3://... address.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="CORPUS", help="Look at the disk where this corpus is to be.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option("--work", metavar="DIR", help="Look at this work folder (default: CORPUS.work).")
    ] = None,
    as_json: Json = False,
) -> int:
    """Look at what a build would use: packages, models, GPU, disk, data, limits. Exit with 4 on problems."""
    from mmidd.cli.show_doctor import examined
    from mmidd.doctor import examine

    return examined(_out, examine(data, out, work), as_json=as_json)
