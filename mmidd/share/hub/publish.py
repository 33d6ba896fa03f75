"""`mmidd publish`: a corpus staged as a publication, and sent to the Hub if a repository is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmidd.engine.faults import fault
from mmidd.errors import UsageError
from mmidd.results import Result
from mmidd.share.hub.client import connect
from mmidd.share.hub.repository import Gate, State, state, user
from mmidd.share.hub.send import Access, Checked, Released, check_ours, edited, send
from mmidd.share.hub.squash import Squash, forecast, squash
from mmidd.share.hub.staged import Staged
from mmidd.share.hub.takedown import Holder, holders
from mmidd.share.hub.upload import missing
from mmidd.share.publication.format import Publication, Redaction
from mmidd.show import publish as show
from mmidd.watch import NOBODY, Watch

if TYPE_CHECKING:
    from rich.console import Console

COMMIT_BYTES = 10 * 10**9


@dataclass(frozen=True)
class Difference:
    """What the Hub's main lacks of the publication: files to send and their bytes, files to delete there; and which of its
    files were edited on the Hub."""

    files: int
    bytes: int
    deletes: int
    edited: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Published(Result):
    """A publication and where it is: its folder, and its repository if it has one (`exists`: it is there). `planned`: it
    was a dry run, so nothing was sent. `holders`: which revisions still hold rows that this version has no more."""

    folder: str
    publication: Publication
    files: int
    bytes: int
    planned: bool
    repository: str | None = None
    address: str | None = None
    exists: bool = False
    visible: tuple[bool, str] | None = None
    difference: Difference | None = None
    released: Released | None = None
    holders: tuple[Holder, ...] = ()
    squash: Squash | None = None

    def tell(self, console: Console) -> None:
        show.published(console, self)

    def document(self) -> dict[str, Any]:
        """Everything as JSON."""
        about = self.publication
        kept = {name: each for name, each in vars(self).items() if name not in ("publication", "visible")}
        told = {name: asdict(each) if hasattr(each, "__dataclass_fields__") else each for name, each in kept.items()}
        return {
            **told,
            "visible": None if self.visible is None else dict(zip(("private", "gated"), self.visible, strict=True)),
            "holders": [asdict(each) for each in self.holders],
            "name": about.name,
            "version": about.version,
            "complete": about.complete,
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
    only: Sequence[str] = (),
    redact: Sequence[Redaction] = (),
    private: bool | None = None,
    gated: Gate | None = None,
    dry_run: bool = False,
    commit_bytes: int = COMMIT_BYTES,
    verify: Checked = "served",
    squash_history: bool = False,
    yes: bool = False,
    watch: Watch = NOBODY,
) -> Published:
    """Make a publication of a corpus in the folder `out` (default: CORPUS.publication), and send it to the dataset
    repository ORG/NAME if one is named.

    A new repository is private and gated (`gated`: auto or manual) before it has a byte; `private=False` shows it at the
    end, still gated. Sent again, nothing changes; a run that was killed goes on. `verify="listed"` compares digests that the Hub
    tells instead of fetching all files. `squash_history` with `yes` takes away every other version, for good.

    Raises UsageError for options at odds, CorpusError for no corpus, and ShareError for a corpus that fails `mmidd verify`,
    a token without rights, a repository that holds something else or was changed meanwhile, a Hub that serves other bytes.
    """
    _check(repository, dry_run=dry_run, squash_history=squash_history, yes=yes, commit_bytes=commit_bytes)
    hub = None if repository is None else connect(repository)
    author = "" if hub is None or dry_run else user(hub)
    found = None if hub is None else state(hub)
    staged, previous = _staged(corpus, out, hub, found, labels_only=labels_only, only=only, redact=redact, watch=watch)
    fault("publish_staged", staged.folder)
    told = Published(
        str(staged.folder), staged.publication, len(staged.files), sum(each.bytes for each in staged.files.values()), dry_run
    )
    if hub is None:
        return told
    told = _with(told, repository=hub.repo, address=hub.address, exists=found is not None,
                 difference=_difference(found, previous, staged))  # fmt: skip
    if found is not None:
        check_ours(hub, found, previous, staged.publication.name)
        told = _with(told, visible=(found.private, str(found.gated or "no")))
    if dry_run:
        lost = forecast(hub, staged) if squash_history and found is not None else None
        return _with(told, squash=lost)
    released = send(
        hub, author, found, previous, staged, Access(private, gated), most=commit_bytes, checked=verify, watch=watch
    )
    lost = squash(hub, author, staged) if squash_history else None
    still = tuple(holders(hub, staged, released.commit))
    return _with(
        told, released=released, exists=True, visible=(released.private, released.gated), squash=lost, holders=still
    )


def _with(told: Published, **more: Any) -> Published:
    return Published(**{**vars(told), **more})


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


def _difference(found: State | None, previous: Publication | None, staged: Staged) -> Difference:
    held = {} if found is None else found.files
    change = missing(held, staged)
    wrong = () if found is None else tuple(edited(found, previous))
    return Difference(len(change.adds), sum(staged.files[name].bytes for name in change.adds), len(change.deletes), wrong)
