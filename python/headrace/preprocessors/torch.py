"""`TorchVisionPreprocessor`: images through a transform of torchvision, or one like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.preprocessors.base import ColumnsPreprocessor, described
from headrace.preprocessors.version_support import SerializablePreprocessor
from headrace.util.data_batch_conversion import BatchFormat

if TYPE_CHECKING:
    import torch


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.torchvision_preprocessor")
class TorchVisionPreprocessor(ColumnsPreprocessor):
    """Calls a function with the images of columns.

    Args:
        columns: columns of arrays, such as images of (height, width, channels).
        transform: takes a `torch.Tensor`, or, if it raises TypeError for one, a numpy array, as
            torchvision's `ToTensor` wants; returns either, else ValueError.
        output_columns: the results' columns; None: in place.
        batched: call it with (rows, ...) instead of each image.
    """

    _is_fittable = False

    def __init__(
        self,
        columns: list[str],
        transform: Callable[[np.ndarray | torch.Tensor], torch.Tensor],
        output_columns: list[str] | None = None,
        batched: bool = False,
    ) -> None:
        super().__init__(columns, output_columns)
        self._torchvision_transform = transform
        self._batched = batched

    @property
    def torchvision_transform(self) -> Callable[[np.ndarray | torch.Tensor], torch.Tensor]:
        return self._torchvision_transform

    @property
    def batched(self) -> bool:
        return self._batched

    def __repr__(self) -> str:
        return described(
            self,
            columns=self._columns,
            output_columns=self._output_columns,
            transform=self._torchvision_transform,
        )

    @classmethod
    def preferred_batch_format(cls) -> BatchFormat:
        return BatchFormat.NUMPY

    def _transform_numpy(self, batch: Any) -> Any:
        if isinstance(batch, np.ndarray):
            return self._transform_images(batch)
        inputs = {column: batch[column] for column in self._columns}
        made = {
            output: self._transform_images(inputs[column])
            for column, output in zip(self._columns, self._output_columns, strict=True)
        }
        return {**batch, **made}

    def _transform_images(self, images: np.ndarray) -> np.ndarray:
        if self._batched:
            return self._call(images)
        made = [self._call(image) for image in images]
        if len({image.shape for image in made}) == 1:
            return np.stack(made)
        ragged = np.empty(len(made), dtype=object)
        ragged[:] = made
        return ragged

    def _call(self, image: np.ndarray) -> np.ndarray:
        import torch

        try:
            made = self._torchvision_transform(torch.as_tensor(np.require(image, None, ["C", "W"])))
        except TypeError:
            made = self._torchvision_transform(image)  # type: ignore[arg-type]
        if isinstance(made, torch.Tensor):
            return made.numpy()
        if not isinstance(made, np.ndarray):
            raise ValueError(
                "`TorchVisionPreprocessor` expects the transform to return a `torch.Tensor` or "
                f"`np.ndarray`, but it returned a `{type(made).__name__}`."
            )
        return made
