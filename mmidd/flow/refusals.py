"""Errors of commands that did nothing because they were refused: what they noted is taken back."""

from __future__ import annotations

from mmidd.errors import CorpusError, WorkError


class Refused(CorpusError):
    """A corpus is left as it is, because it would lose rows, or show again what was taken down."""


class NotUpToDate(WorkError):
    """A single stage was asked for, and one before it is to do."""
