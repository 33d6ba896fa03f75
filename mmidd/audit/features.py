"""Captions as a classifier reads them: weighted words and word pairs, and the style of the text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmidd.audit.ranking import Floats
from mmidd.errors import MissingExtra

VOCABULARY = 30_000
"""Words and word pairs, the most frequent ones; each stands in two captions at least."""
_CLIP = 4.0
_STYLE = ("words", "words, squared", "letters a word", "sentences", "commas", "other punctuation", "capitals", "digits")


@dataclass(frozen=True, eq=False)
class Features:
    """A sparse (n, d) matrix and the d names."""

    matrix: Any
    names: tuple[str, ...]

    def beside(self, other: Features) -> Features:
        from scipy.sparse import hstack

        return Features(hstack([self.matrix, other.matrix], format="csr"), (*self.names, *other.names))


def require() -> None:
    """Raises MissingExtra where scikit-learn is not installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtra("audit", "the leak test of captions") from error


def of_texts(texts: Sequence[str], prefix: str) -> Features:
    """TF-IDF of words and word pairs (rows of length 1), and eight numbers of style, standardised."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    style = csr_matrix(_style(texts))
    labels = tuple(f"{prefix}: [{name}]" for name in _STYLE)
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", min_df=2, max_features=VOCABULARY, sublinear_tf=True
    )
    try:
        words = vectorizer.fit_transform(texts)
    except ValueError:  # no word stands in two captions
        return Features(style, labels)
    named = tuple(f"{prefix}: {word}" for word in vectorizer.get_feature_names_out())
    return Features(words, named).beside(Features(style, labels))


def of_absence(missing: Sequence[bool]) -> Features:
    """One column: is there no caption?"""
    from scipy.sparse import csr_matrix

    return Features(csr_matrix(np.asarray(missing, dtype=np.float64)[:, None]), ("[no caption]",))


def _style(texts: Sequence[str]) -> Floats:
    raw = np.array([_measured(text) for text in texts], dtype=np.float64)
    spread = raw.std(axis=0)
    standard = np.clip((raw - raw.mean(axis=0)) / np.where(spread > 0, spread, 1.0), -_CLIP, _CLIP)
    squared = np.where(spread[0] > 0, standard[:, :1] ** 2 - 1, 0.0)
    return np.hstack([standard[:, :1], squared, standard[:, 1:]])


def _measured(text: str) -> tuple[float, ...]:
    words = text.split()
    count = max(len(words), 1)
    return (
        len(words),
        len(text) / count,
        len(re.findall(r"[.!?]+", text)),
        text.count(",") / count,
        sum(not (c.isalnum() or c.isspace() or c in ".,") for c in text) / count,
        sum(c.isupper() for c in text) / count,
        sum(c.isdigit() for c in text) / count,
    )
