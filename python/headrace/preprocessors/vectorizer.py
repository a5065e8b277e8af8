"""Vectorizers: texts become vectors of how often tokens occur in them; null stays null."""

from __future__ import annotations

import array
import functools
import pickle
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from headrace.preprocessors.base import described
from headrace.preprocessors.tokenizer import TextPreprocessor, lists_of
from headrace.preprocessors.tokens import simple_hash
from headrace.preprocessors.version_support import SerializablePreprocessor

if TYPE_CHECKING:
    from headrace.dataset import Dataset


class _Vectorizer(TextPreprocessor):
    """Counts the tokens of each text by their places."""

    def _counts(
        self, values: list[str | None], place_of: Callable[[str], int | None], width: int
    ) -> pa.Array:
        """Returns lists of `width` numbers; a token whose place is None does not count."""
        # No list is kept for each row: the collector of garbage would look at all of them.
        places, ends = array.array("q"), array.array("q", [0])
        texts = 0
        for text in values:
            if text is None:
                continue
            for token in self._tokenization_fn(text):
                place = place_of(token)
                if place is not None:
                    places.append(texts * width + place)
            texts += 1
        for text in values:
            ends.append(ends[-1] + (0 if text is None else width))
        counts = np.bincount(np.array(places, np.int64), minlength=texts * width)
        return lists_of(pa.array(counts.astype(np.int64)), np.array(ends), values)


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.hashing_vectorizer")
class HashingVectorizer(_Vectorizer):
    """Makes of each text a list of int64: how many of its tokens have each hash.

    Args:
        columns: columns of text.
        num_features: the length of the lists; different tokens may share a place.
        tokenization_fn: from a text to its tokens; default: what stands between single spaces.
        output_columns: the results' columns; None: in place.
    """

    _is_fittable = False

    def __init__(
        self,
        columns: list[str],
        num_features: int,
        tokenization_fn: Callable[[str], list[str]] | None = None,
        *,
        output_columns: list[str] | None = None,
    ) -> None:
        super().__init__(columns, tokenization_fn, output_columns)
        self._num_features = num_features

    @property
    def num_features(self) -> int:
        return self._num_features

    def __repr__(self) -> str:
        return described(
            self,
            columns=self._columns,
            num_features=self._num_features,
            tokenization_fn=self._shown_fn,
            output_columns=self._output_columns,
        )

    def _encoded(self, values: list[str | None], column: str) -> pa.Array:
        place_of = functools.cache(lambda token: simple_hash(token, self._num_features))
        return self._counts(values, place_of, self._num_features)


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.count_vectorizer")
class CountVectorizer(_Vectorizer):
    """Makes of each text a list of int64: how often each fitted token occurs in it.

    The tokens' places are those of `stats_["token_counts(column)"]`: the most frequent first, and
    of equals the first met.

    Args:
        columns: columns of text.
        tokenization_fn: from a text to its tokens; default: what stands between single spaces.
        max_features: only so many of the most frequent tokens count; None: all.
        output_columns: the results' columns; None: in place.
    """

    def __init__(
        self,
        columns: list[str],
        tokenization_fn: Callable[[str], list[str]] | None = None,
        max_features: int | None = None,
        *,
        output_columns: list[str] | None = None,
    ) -> None:
        super().__init__(columns, tokenization_fn, output_columns)
        self._max_features = max_features

    @property
    def max_features(self) -> int | None:
        return self._max_features

    def __repr__(self) -> str:
        return described(
            self,
            columns=self._columns,
            tokenization_fn=self._shown_fn,
            max_features=self._max_features,
            output_columns=self._output_columns,
        )

    def _fit(self, ds: Dataset) -> None:
        # Workers tokenize; what comes here is a row for each block, in the order of the blocks.
        totals: list[Counter[str]] = [Counter() for _ in self._columns]
        counted = ds.map_batches(
            _TokenCounts(self._columns, self._tokenization_fn), batch_format="pyarrow"
        )
        for row in counted.take_all():
            for total, part in zip(totals, pickle.loads(row["counts"]), strict=True):
                total.update(part)
        self.stats_ = {
            f"token_counts({column})": Counter(dict(total.most_common(self._max_features)))
            for column, total in zip(self._columns, totals, strict=True)
        }

    def _encoded(self, values: list[str | None], column: str) -> pa.Array:
        known = self.stats_[f"token_counts({column})"]
        places = {token: i for i, token in enumerate(known)}
        return self._counts(values, places.get, len(places))


class _TokenCounts:
    """Counts the tokens of a block."""

    def __init__(self, columns: list[str], tokenize: Callable[[str], list[str]]) -> None:
        self._columns = columns
        self._tokenize = tokenize

    def __call__(self, table: pa.Table) -> pa.Table:
        counts = []
        for column in self._columns:
            found: Counter[str] = Counter()
            for text in table.column(column).drop_null().to_pylist():
                found.update(self._tokenize(text))
            counts.append(found)
        return pa.table({"counts": pa.array([pickle.dumps(counts)], pa.binary())})
