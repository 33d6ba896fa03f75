"""`mmidd publish`: a corpus staged as a publication, and sent to the Hub if a repository is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from mmidd.corpus.place import Folder
from mmidd.corpus.read import Corpus
from mmidd.engine.faults import fault
from mmidd.engine.files import disk_errors
from mmidd.engine.lock import held as held_by
from mmidd.errors import MmiddError, ShareError, UsageError
from mmidd.options import words_of
from mmidd.results import Result
from mmidd.share.hub.client import Hub, Tell, connect, quietly
from mmidd.share.hub.planned import Planned, planned
from mmidd.share.hub.repository import Gate, State, head, state, user
from mmidd.share.hub.send import Access, Checked, Released, check_ours, edited, released_as, send
from mmidd.share.hub.squash import Squash, forecast, squash
from mmidd.share.hub.staged import Staged
from mmidd.share.hub.takedown import Holder, holders, remote
from mmidd.share.publication.format import PUBLICATION, Publication, Redaction
from mmidd.share.publication.opened import Opened, open_publication
from mmidd.share.publication.stage import plan, stage
from mmidd.show import publish as show
from mmidd.watch import NOBODY, Watch

if TYPE_CHECKING:
    from rich.console import Console

COMMIT_BYTES = 10 * 10**9


@dataclass(frozen=True, repr=False)
class Published(Result):
    """A publication and where it is: its folder (`changed`: was anything written there?), and the repository that it was
    `released` to. `edited`: files of main that had been edited on the Hub. `holders`: which of its revisions still hold rows
    that this version has no more."""

    folder: str
    publication: Publication
    files: int
    bytes: int
    changed: bool
    repository: str | None = None
    address: str | None = None
    edited: tuple[str, ...] = ()
    released: Released | None = None
    squash: Squash | None = None
    holders: tuple[Holder, ...] = ()

    def tell(self, console: Console) -> None:
        show.published(console, self)

    def document(self) -> dict[str, Any]:
        """Everything as JSON."""
        about = self.publication
        return {
            **{name: getattr(self, name) for name in ("folder", "files", "bytes", "changed", "repository", "address")},
            "edited": list(self.edited),
            "released": None if self.released is None else asdict(self.released),
            "squash": None if self.squash is None else asdict(self.squash),
            "holders": [asdict(each) for each in self.holders],
            **{name: getattr(about, name) for name in ("name", "version", "complete")},
            "redacted": list(about.redacted),
            "rows": {name: dict(each) for name, each in about.rows.items()},
            "terms": [asdict(each) for each in about.terms],
            "changes": [dict(each) for each in about.changes],
        }


def publish(
    corpus: str | Path,
    repository: str | None = None,
    *,
    out: str | Path | None = None,
    labels_only: bool = False,
    only: str | Sequence[str] = (),
    redact: Redaction | Sequence[Redaction] | None = None,
    private: bool | None = None,
    gated: Gate | None = None,
    dry_run: bool = False,
    commit_bytes: int = COMMIT_BYTES,
    verify: Checked = "served",
    squash_history: bool = False,
    yes: bool = False,
    workers: int | None = None,
    watch: Watch = NOBODY,
    tell: Tell = lambda line: None,
) -> Published | Planned:
    """Make a publication of a corpus in the folder `out` (default: CORPUS.publication), and send it to the dataset
    repository ORG/NAME if one is named.

    A new repository is private and gated (`gated`: auto or manual) before it has a byte; `private=False` shows it at the
    end, still gated. Sent again, nothing changes; a run that was killed goes on. `verify="listed"` compares digests that the
    Hub tells instead of fetching all files. `squash_history` with `yes` takes away every other version, for good.
    `dry_run` says what would be published, and writes and sends nothing. `redact` None: as the version before it, so that
    nobody shows by forgetting a word what was left out; () redacts nothing.
    `workers`: processes that make labels (default: one a core).

    Raises UsageError for options at odds, CorpusError for no corpus, and ShareError for a corpus that fails `mmidd verify`,
    a token without rights, a repository that holds something else or was changed meanwhile, and a Hub that serves other
    bytes.
    """
    _choice("gated", gated, (None, *get_args(Gate)))
    _choice("verify", verify, get_args(Checked))
    _check(repository, dry_run=dry_run, squash_history=squash_history, yes=yes, commit_bytes=commit_bytes)
    opened = Corpus(corpus)
    folder = folder_of(corpus) if out is None else Path(out)
    asked: dict[str, Any] = {"labels_only": labels_only, "only": words_of(only)}
    staging = {"workers": workers, "watch": watch}
    if repository is None:
        asked["redact"] = _redaction(redact, _lying(folder, name_of(opened)), tell)
        if dry_run:
            return planned(opened, plan(opened, **asked), None, None, None, (), None)
        return _staged(opened, folder, "out", None, staging | asked)[0]
    hub = connect(repository, tell)
    with quietly(), _alone(folder):
        author = "" if dry_run else user(hub)
        found = state(hub)
        held = None if found is None else _held(hub, found, name_of(opened))
        wrong: tuple[str, ...] = ()
        if found is not None and held is not None:
            whole = released_as(hub, found, held.about)
            if (wrong := edited(found, held.about, whole)) and whole is not None:
                held = open_publication(remote(hub, whole.commit))  # what the version was before it was edited
        asked["redact"] = _redaction(redact, held.about if held else _lying(folder, name_of(opened)), tell)
        if dry_run:
            lost = None if held is None or not squash_history else forecast(hub, f"v{held.about.version}")
            return planned(opened, plan(opened, **asked), repository, found, held, wrong, lost)
        told, staged = _on(hub, wrong, lambda: _staged(opened, folder, held, repository, staging | asked))
        before, access = None if held is None else held.about, Access(private, gated)
        released = send(hub, author, found, before, staged, access, most=commit_bytes, checked=verify, watch=watch)
        lost = squash(hub, author, staged) if squash_history else None
        released = replace(released, commit=head(hub, "main")) if lost else released
        still = tuple(holders(hub, staged, released.commit))
    return replace(
        told, repository=repository, address=hub.address, edited=wrong, released=released, squash=lost, holders=still
    )


def _alone(folder: Path) -> AbstractContextManager[bool]:
    """Nobody else sends this folder: what is sent must stay as it was staged."""

    def busy(holder: str) -> ShareError:
        return ShareError(f"another command sends {folder} ({holder}); wait until it has ended, or choose another --out")

    place = folder.parent.resolve() / folder.name
    with disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    return held_by(place.with_name(f".{place.name}.sending.lock"), busy)


def _redaction(
    asked: Redaction | Sequence[Redaction] | None, before: Publication | None, tell: Tell
) -> tuple[Redaction, ...]:
    """What is redacted: what was asked for, else what the version before left out."""
    if asked is not None:
        return cast(tuple[Redaction, ...], words_of(asked))
    if before is None or not before.redacted:
        return ()
    tell(f"redacted as version {before.version} is: {', '.join(before.redacted)}. To show it: --redact none")
    return tuple(before.redacted)


def _lying(folder: Path, name: str) -> Publication | None:
    """The publication of that name in the folder, if it holds one."""
    try:
        found = open_publication(Folder(folder)).about
    except MmiddError:
        return None
    return found if found.name == name else None


def _on(hub: Hub, wrong: Sequence[str], make: Callable[[], tuple[Published, Staged]]) -> tuple[Published, Staged]:
    """Made on the version before. Raises ShareError where that was edited on the Hub and cannot be counted from."""
    try:
        return make()
    except MmiddError as error:
        if not wrong:
            raise
        raise ShareError(
            f"{error}. Files of {hub.repo} were edited on the Hub ({', '.join(wrong[:3])}), and no tag may have the version "
            f"as it was: if that is why, undo the edit at {hub.address}/commits/main"
        ) from error


def _staged(
    corpus: Corpus, folder: Path, previous: Any, repository: str | None, staging: Mapping[str, Any]
) -> tuple[Published, Staged]:
    """The publication's folder, made or found as it is; and what there is to say of it."""
    made = stage(corpus, folder, name=name_of(corpus), previous=previous, repository=repository, **staging)
    fault("publish_staged", made.out)
    staged = Staged(made.out, made.publication)
    size = sum(each.bytes for each in staged.files.values())
    return Published(str(made.out), made.publication, len(staged.files), size, made.changed), staged


def name_of(corpus: Corpus) -> str:
    """What a corpus's publications are called: as its recipe is, for its folder is called otherwise elsewhere."""
    found = corpus.about.recipe.get("name")
    return found if isinstance(found, str) and found.isprintable() and 0 < len(found) <= 200 else corpus.place.name


def folder_of(corpus: str | Path) -> Path:
    """The folder of a corpus's publication that is not named: beside it."""
    place = Path(corpus).resolve()
    return place.with_name(f"{place.name}.publication")


def _held(hub: Hub, found: State, name: str) -> Opened | None:
    """The publication on main; None where there is none yet. Raises ShareError for anything else that is there."""
    if PUBLICATION not in found.files:
        check_ours(hub, found, None, name)
        return None
    try:
        held = open_publication(remote(hub, found.commit))
    except MmiddError as error:
        raise ShareError(
            f"{hub.repo} has a {PUBLICATION} that is not sound, so nothing is changed in it ({error}). Publish to another "
            "name, or mend it"
        ) from error
    check_ours(hub, found, held.about, name)
    return held


def _choice(name: str, given: str | None, choices: Sequence[str | None]) -> None:
    if given not in choices:
        raise UsageError(f"{name} {given!r}: choose one of {', '.join(each for each in choices if each)}")


def _check(repository: str | None, *, dry_run: bool, squash_history: bool, yes: bool, commit_bytes: int) -> None:
    if squash_history and repository is None:
        raise UsageError("--squash-history is about a repository of the Hub: name it, mmidd publish CORPUS ORG/NAME")
    if squash_history and not (yes or dry_run):
        raise UsageError(
            f"--squash-history takes away every version of {repository} but this one, with its tag and its files, for good. "
            "Add --yes if that is meant; with --dry-run it lists what would go"
        )
    if commit_bytes < 1:
        raise UsageError(f"--commit-bytes {commit_bytes} is no size of a commit; the default is {COMMIT_BYTES}")
