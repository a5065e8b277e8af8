"""`Chain`: preprocessors one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.preprocessor import Preprocessor, SerializablePreprocessorBase
from headrace.preprocessors.version_support import SerializablePreprocessor

if TYPE_CHECKING:
    from headrace.dataset import Dataset


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.chain")
class Chain(SerializablePreprocessorBase):
    """Transforms by each of some preprocessors in turn.

    Each is fitted to what those before it make of the dataset, so fitting takes a pass over the
    data for each that has a state.

    Args:
        preprocessors: in their order.
    """

    def __init__(self, *preprocessors: SerializablePreprocessorBase) -> None:
        super().__init__()
        self._preprocessors = preprocessors

    @property
    def preprocessors(self) -> tuple[SerializablePreprocessorBase, ...]:
        return self._preprocessors

    def __repr__(self) -> str:
        return f"Chain({', '.join(map(repr, self._preprocessors))})"

    def fit_status(self) -> Preprocessor.FitStatus:
        """Returns FITTED if all are that have a state, NOT_FITTABLE if none has one."""
        states = {part.fit_status() for part in self._preprocessors}
        states.discard(Preprocessor.FitStatus.NOT_FITTABLE)
        if not states:
            return Preprocessor.FitStatus.NOT_FITTABLE
        return states.pop() if len(states) == 1 else Preprocessor.FitStatus.PARTIALLY_FITTED

    def fit_transform(self, ds: Dataset) -> Dataset:  # type: ignore[override]
        """Fits each to what those before it make, and returns what the last makes."""
        for part in self._preprocessors:
            ds = part.fit_transform(ds)
        return ds

    def _fit(self, ds: Dataset) -> None:
        *before, last = self._preprocessors
        for part in before:
            ds = part.fit_transform(ds)
        last.fit(ds)

    def _transform(self, ds: Dataset, arguments: dict[str, Any]) -> Dataset:
        for part in self._preprocessors:
            ds = part.transform(ds, **arguments)
        return ds

    def _transform_batch(self, data: Any) -> Any:
        for part in self._preprocessors:
            data = part.transform_batch(data)
        return data
