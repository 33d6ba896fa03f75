"""Which audits there are, and running them: read a corpus, write the report beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmidd.audit.captions import Audited, AuditOptions, audit_captions
from mmidd.audit.results import Audit
from mmidd.audit.review import read_answers, tally
from mmidd.audit.rows import code
from mmidd.corpus.read import Corpus
from mmidd.engine.files import write_text
from mmidd.errors import UsageError
from mmidd.results import Result
from mmidd.show import corpus as show

if TYPE_CHECKING:
    from rich.console import Console

AUDITS: dict[str, Callable[[Corpus, AuditOptions], Audited]] = {"captions": audit_captions}
"""What `--only` may name. Without it all of them run."""
PAGE = "review.html"


@dataclass(frozen=True, repr=False)
class Done(Result):
    """The audits that ran, and the files that were written."""

    audits: tuple[Audit, ...]
    written: tuple[Path, ...]

    def tell(self, console: Console) -> None:
        show.audited(console, self)

    def document(self) -> dict[str, Any]:
        """Everything as JSON, by the audits' names."""
        return {audit.name: audit.document() for audit in self.audits}


def run(
    corpus: Path,
    only: Sequence[str],
    options: AuditOptions,
    report: Path,
    review: Path | None = None,
    results: Path | None = None,
) -> Done:
    """Audit a corpus and write the report, and the page into the folder `review`; with `results` only those are read back.

    Raises UsageError for an unknown name and for a place inside the corpus, whose files are sealed.
    """
    _check(only)
    if results is not None and (review or options.clip or options.attributes):
        raise UsageError("--review-results only reads answers back: leave --review, --clip and --attributes out")
    for place in (report, review):
        if place is not None and place.resolve().is_relative_to(corpus.resolve()):
            raise UsageError(f"{place} lies in the corpus, whose files are sealed; choose a place beside it")
    if results is not None:
        done = [Audited(tally(code(Corpus(corpus)), read_answers(results)), None)]
    else:
        done = _audited(Corpus(corpus), only, options)
    audits = tuple(each.audit for each in done)
    written = [_write(report, json.dumps(Done(audits, ()).document(), indent=1, ensure_ascii=True) + "\n")]
    pages = [each.page for each in done if each.page is not None]
    written += [_write(review / PAGE, page) for page in pages if review is not None]
    return Done(audits, tuple(written))


def audit(corpus: Corpus, only: Sequence[str], options: AuditOptions) -> Done:
    """Audit a corpus and write nothing. Raises UsageError for an unknown name, and what the audits raise."""
    _check(only)
    return Done(tuple(each.audit for each in _audited(corpus, only, options)), ())


def _check(only: Sequence[str]) -> None:
    if unknown := [name for name in only if name not in AUDITS]:
        raise UsageError(f"there is no audit {unknown[0]!r}; there are: {', '.join(AUDITS)}")


def _audited(corpus: Corpus, only: Sequence[str], options: AuditOptions) -> list[Audited]:
    return [run_one(corpus, options) for name, run_one in AUDITS.items() if not only or name in only]


def _write(path: Path, text: str) -> Path:
    write_text(path, text, scratch=path.parent)
    return path
