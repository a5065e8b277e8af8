"""Images: a source that decodes with Pillow in workers, and a sink."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pyarrow as pa

from headrace import _core
from headrace._internal import convert
from headrace._internal.table_rows import slice_rows
from headrace.block import Block
from headrace.datasource.file_based_datasource import FileBasedDatasource
from headrace.datasource.file_datasink import RowBasedFileDatasink

_BLOCK_BYTES = 16 << 20  # Small enough that memory is used again, while it is warm.
_ENCODING_GUESS = 1.0 / 8  # Bytes of a compressed image by those of its pixels.


class ImageDatasource(FileBasedDatasource):
    """Reads images into the column "image": arrays (height, width, channels), uint8.

    Args:
        size: (height, width) to resize to.
        mode: Pillow's mode to convert to, such as "RGB" or "L".
    """

    def __init__(
        self,
        paths: Any,
        *,
        size: tuple[int, int] | None = None,
        mode: str | None = None,
        **file_based_datasource_kwargs: Any,
    ) -> None:
        if size is not None and len(size) != 2:
            raise ValueError(
                "Expected `size` to contain two integers for height and width, but got "
                f"{len(size)} integers instead."
            )
        if size is not None and (size[0] <= 0 or size[1] <= 0):
            raise ValueError(
                f"Expected `size` to contain positive integers, but got {size} instead."
            )
        super().__init__(paths, **file_based_datasource_kwargs)
        self._size = size
        self._mode = mode

    def get_name(self) -> str:
        return "Image"

    def estimate_inmemory_data_size(self) -> int | None:
        if self._size is not None:
            channels = {"L": 1, "1": 1, "RGBA": 4, "CMYK": 4}.get(self._mode or "RGB", 3)
            return len(self._files) * self._size[0] * self._size[1] * channels
        return int(sum(self._file_sizes()) / _ENCODING_GUESS)

    def _make_read_fn(self, paths: list[str]) -> Any:
        if type(self)._read_stream is not ImageDatasource._read_stream:
            return super()._make_read_fn(paths)

        def read() -> Iterator[Block]:
            images = _ImageColumn(len(paths))
            read_paths: list[str] = []
            for number, path in enumerate(paths, 1):
                images.append(self._decode(path))
                read_paths.append(path)
                if images.num_bytes >= _BLOCK_BYTES:
                    yield self._to_block(images, read_paths)
                    images, read_paths = _ImageColumn(len(paths) - number), []
            if read_paths:
                yield self._to_block(images, read_paths)

        return read

    def _decode(self, path: str) -> np.ndarray:
        """Returns the pixels of one file. ValueError if it is no image."""
        from PIL import Image, UnidentifiedImageError

        with self._open_input_source(
            self._filesystem, path, **dict(self._open_stream_args)
        ) as stream:
            data = stream.read()
        try:
            image: Any = Image.open(io.BytesIO(data))
            if self._size is not None:
                height, width = self._size
                # A JPEG can be decoded at a fraction of its size, which costs a fraction.
                image.draft(self._mode if self._mode in ("L", "RGB") else None, (width, height))
                if image.size != (width, height):
                    image = image.resize((width, height), Image.Resampling.BILINEAR)
            if self._mode is not None and image.mode != self._mode:
                image = image.convert(self._mode)
            return np.asarray(image)
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"PIL couldn't load image file at path '{path}'.") from error

    def _to_block(self, images: _ImageColumn, paths: list[str]) -> Block:
        table = pa.table({"image": images.to_arrow()})
        if self._partitioning is None and not self._include_paths:
            return table
        parts = [
            self._with_path_columns(slice_rows(table, i, 1), path) for i, path in enumerate(paths)
        ]
        return pa.concat_tables(parts, promote_options="permissive")

    def _read_stream(self, f: pa.NativeFile, path: str) -> Iterator[Block]:
        raise NotImplementedError("images are read by groups of files")


class _ImageColumn:
    """A column that grows by one image at a time.

    Images of one shape are written where their block will lie, in shared memory. The first one of
    another shape makes all of them a list; so do booleans, which Arrow packs, and images without
    pixels.

    Args:
        most: how many images there will be at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._memory: _core.ArrayMemory | None = None
        self._pixels = np.empty(0, np.uint8)
        self._images: list[np.ndarray] | None = None
        self._count = 0
        self.num_bytes = 0

    def append(self, image: np.ndarray) -> None:
        if not image.dtype.isnative:
            image = image.astype(image.dtype.newbyteorder("="))
        if self._count == 0 and (image.dtype.kind == "b" or image.size == 0):
            self._images = []
        elif self._count == 0:
            most = min(self._most, _BLOCK_BYTES // max(1, image.nbytes) + 1)
            self._memory = _core.allocate_shared(most * image.nbytes)
            flat = np.frombuffer(cast("memoryview", self._memory), image.dtype)
            self._pixels = flat.reshape(most, *image.shape)
        if self._images is None and (
            image.shape != self._pixels.shape[1:] or image.dtype != self._pixels.dtype
        ):
            self._images = list(self._pixels[: self._count])
        if self._images is None:
            self._pixels[self._count] = image
        else:
            self._images.append(image)
        self._count += 1
        self.num_bytes += image.nbytes

    def to_arrow(self) -> pa.Array:
        if self._images is not None:
            if len({(image.shape, image.dtype) for image in self._images}) == 1:
                return convert.column_to_arrow(np.stack(self._images))
            values = np.empty(self._count, dtype=object)
            for i, image in enumerate(self._images):
                values[i] = image
            return convert.column_to_arrow(values)
        assert self._memory is not None
        type_ = pa.fixed_shape_tensor(
            pa.from_numpy_dtype(self._pixels.dtype), self._pixels.shape[1:]
        )
        size = self._pixels[: self._count].size
        flat = pa.Array.from_buffers(type_.value_type, size, [None, self._memory.buffer])
        storage = pa.FixedSizeListArray.from_arrays(flat, type=type_.storage_type)
        return pa.ExtensionArray.from_storage(type_, storage)


class ImageDatasink(RowBasedFileDatasink):
    """Writes a column of pixels, one image file a row."""

    def __init__(self, path: str, column: str, file_format: str, **file_datasink_kwargs: Any):
        super().__init__(path, file_format=file_format, **file_datasink_kwargs)
        self.column = column
        self.file_format = file_format

    def get_name(self) -> str:
        return "Image"

    def write_row_to_file(self, row: dict[str, Any], file: pa.NativeFile) -> None:
        from PIL import Image

        if self.column not in row:
            raise ValueError(f"Column '{self.column}' not found: there are {list(row)}.")
        buffer = io.BytesIO()
        Image.fromarray(np.asarray(row[self.column])).save(buffer, format=self.file_format)
        file.write(buffer.getvalue())
