"""TFRecord files of `tf.train.Example` messages, without TensorFlow.

A file is a row of frames: the length (8 bytes, little endian), its checksum, the message, its
checksum; a checksum is a masked CRC-32C. An Example is a map of names to lists of bytes, floats or
int64s, in the form of Protocol Buffers.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.block import Block, BlockAccessor
from headrace.datasource.file_based_datasource import FileBasedDatasource
from headrace.datasource.file_datasink import BlockBasedFileDatasink

_ROWS_PER_BLOCK = 16384
_BYTES, _FLOATS, _INTS = 1, 2, 3  # The fields of a Feature.
_TYPES = {_BYTES: pa.binary(), _FLOATS: pa.float32(), _INTS: pa.int64()}
_KINDS_OF_SCHEMA = {1: _BYTES, 2: _INTS, 3: _FLOATS}  # Of tensorflow_metadata's FeatureType.


class TFRecordDatasource(FileBasedDatasource):
    """Reads Examples, a column a feature.

    A feature that has one value in all Examples of a block is a column of values, with null where
    it is missing; else a column of lists.

    Args:
        tf_schema: a `tensorflow_metadata` Schema: names the columns and their types.
    """

    def __init__(self, paths: Any, *, tf_schema: Any = None, **kwargs: Any) -> None:
        super().__init__(paths, **kwargs)
        self._kinds: dict[str, int] | None = None
        if tf_schema is not None:
            self._kinds = {f.name: _KINDS_OF_SCHEMA[f.type] for f in tf_schema.feature}

    def get_name(self) -> str:
        return "TFRecord"

    def resolve_compression(self, path: str, open_args: dict[str, Any]) -> str | None:
        return open_args.get("compression") or super().resolve_compression(path, {})

    def _read_stream(self, f: pa.NativeFile, path: str) -> Iterator[Block]:
        examples: list[dict[str, tuple[int, list[Any]]]] = []
        for message in read_frames(f, path):
            try:
                examples.append(parse_example(message))
            except (IndexError, ValueError, struct.error) as error:
                raise ValueError(f"{path} holds a message that is no tf.train.Example") from error
            if len(examples) == _ROWS_PER_BLOCK:
                yield examples_to_table(examples, self._kinds)
                examples = []
        if examples:
            yield examples_to_table(examples, self._kinds)


class TFRecordDatasink(BlockBasedFileDatasink):
    """Writes rows as Examples."""

    def __init__(self, path: str, *, tf_schema: Any = None, **kwargs: Any) -> None:
        super().__init__(path, file_format="tfrecords", **kwargs)
        self._kinds: dict[str, int] = {}
        if tf_schema is not None:
            self._kinds = {f.name: _KINDS_OF_SCHEMA[f.type] for f in tf_schema.feature}

    def get_name(self) -> str:
        return "TFRecord"

    def write_block_to_file(self, block: BlockAccessor, file: pa.NativeFile) -> None:
        kinds = {**_kinds_of(block.to_arrow().schema), **self._kinds}
        for row in block.iter_rows(public_row_format=False):
            file.write(frame(make_example(row, kinds)))


# ---- Frames ---------------------------------------------------------------------------------


def read_frames(file: pa.NativeFile, path: str) -> Iterator[bytes]:
    """Yields the messages of a file. ValueError where it is cut short or damaged."""
    while head := file.read(12):
        if len(head) == 12 and _masked(head[:8]) == head[8:]:
            size = int.from_bytes(head[:8], "little")
            body = file.read(size + 4)
            if len(body) == size + 4 and (not _is_fast() or _masked(body[:-4]) == body[-4:]):
                yield body[:-4]
                continue
        raise ValueError(f"{path} is no TFRecord file, or damaged")


def frame(message: bytes) -> bytes:
    """Returns a message with its length and checksums."""
    size = len(message).to_bytes(8, "little")
    return size + _masked(size) + message + _masked(message)


def _masked(data: bytes) -> bytes:
    crc = _crc32c()(data)
    return ((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def _is_fast() -> bool:
    return _crc32c() is not _slow_crc32c


@functools.cache
def _crc32c() -> Callable[[bytes], int]:
    """Returns the CRC-32C of a library if one is installed, else our own."""
    try:
        from google_crc32c import value  # type: ignore[import-not-found, unused-ignore]

        return value
    except ImportError:
        pass
    try:
        from crc32c import crc32c  # type: ignore[import-not-found, unused-ignore]

        return crc32c
    except ImportError:
        return _slow_crc32c


@functools.cache
def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


def _slow_crc32c(data: bytes) -> int:
    table = _crc_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


# ---- Examples from bytes ----------------------------------------------------------------------


def parse_example(message: bytes) -> dict[str, tuple[int, list[Any]]]:
    """Returns the features by name: their kind and values. A feature without a kind is left out.

    Raises ValueError, IndexError or struct.error if the bytes are no Example.
    """
    found: dict[str, tuple[int, list[Any]]] = {}
    for field, features in _fields(message):
        if field != 1:
            raise ValueError(f"field {field} in an Example")
        for _, entry in _fields(_as_bytes(features)):
            name, feature = "", b""
            for key, value in _fields(_as_bytes(entry)):
                if key == 1:
                    name = _as_bytes(value).decode()
                elif key == 2:
                    feature = _as_bytes(value)
            for kind, values in _fields(feature):
                found[name] = (kind, _parse_list(kind, _as_bytes(values)))
    return found


def _parse_list(kind: int, data: bytes) -> list[Any]:
    values: list[Any] = []
    for _, value in _fields(data):
        if kind == _BYTES:
            values.append(_as_bytes(value))
        elif kind == _FLOATS:
            values.extend(np.frombuffer(_as_bytes(value), "<f4").tolist())
        elif kind != _INTS:
            raise ValueError(f"field {kind} in a Feature")
        elif isinstance(value, int):
            values.append(_signed(value))
        else:
            at = 0
            while at < len(value):
                number, at = _varint(value, at)
                values.append(_signed(number))
    return values


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yields the numbers and values of a message's fields."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        value: bytes | int
        if wire == 0:
            value, at = _varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(wire, -1)
            if wire == 2:
                size, at = _varint(data, at)
            if size < 0 or at + size > len(data):
                raise ValueError("cut short, or no Protocol Buffers message")
            value = data[at : at + size]
            at += size
        yield tag >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _as_bytes(value: bytes | int) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def examples_to_table(
    examples: list[dict[str, tuple[int, list[Any]]]], kinds: dict[str, int] | None = None
) -> pa.Table:
    """Returns the Examples as rows. ValueError for a feature of another kind than expected."""
    found: dict[str, int] = dict(kinds or {})
    for example in examples:
        for name, (kind, _) in example.items():
            if kinds is not None and name not in kinds:
                continue
            if found.setdefault(name, kind) != kind:
                raise ValueError(f"feature '{name}' has values of two types")
    columns = {}
    for name, kind in found.items():
        lists = [example[name][1] if name in example else None for example in examples]
        if all(values is None or len(values) <= 1 for values in lists):
            scalars = [values[0] if values else None for values in lists]
            columns[name] = pa.array(scalars, _TYPES[kind])
        else:
            columns[name] = pa.array(lists, pa.list_(_TYPES[kind]))
    if not columns:
        return pa.table({}).select([])
    return pa.table(columns)


# ---- Bytes from rows --------------------------------------------------------------------------


def make_example(row: dict[str, Any], kinds: dict[str, int]) -> bytes:
    """Returns the bytes of a row as an Example. TypeError for a value that it cannot hold."""
    features = b""
    for name, value in row.items():
        feature = _make_feature(name, value, kinds.get(name))
        features += _message(1, _message(1, name.encode()) + _message(2, feature))
    return _message(1, features)


def _make_feature(name: str, value: Any, kind: int | None) -> bytes:
    values = _as_list(value)
    if kind is None:
        kind = _kind_of_values(name, values)
    if kind is None:
        return b""
    if kind == _BYTES:
        data = b"".join(_message(1, _to_bytes(name, item)) for item in values)
    elif kind == _FLOATS:
        data = _message(1, np.asarray(values, "<f4").tobytes()) if values else b""
    else:
        numbers = b"".join(_varint_bytes(int(item) & 0xFFFFFFFFFFFFFFFF) for item in values)
        data = _message(1, numbers) if values else b""
    return _message(kind, data)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, np.ndarray):
        return value.ravel().tolist()
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _kind_of_values(name: str, values: Iterable[Any]) -> int | None:
    for item in values:
        if isinstance(item, (bytes, str)):
            return _BYTES
        if isinstance(item, (bool, int, np.integer, np.bool_)):
            return _INTS
        if isinstance(item, (float, np.floating)):
            return _FLOATS
        raise TypeError(
            f"column '{name}' holds a {type(item).__name__}: an Example holds bytes, floats and "
            "integers"
        )
    return None


def _kinds_of(schema: pa.Schema) -> dict[str, int]:
    """Returns the kinds that the columns' types say."""
    kinds = {}
    for field in schema:
        dtype = field.type
        while pa.types.is_nested(dtype) and hasattr(dtype, "value_type"):
            dtype = dtype.value_type
        if pa.types.is_integer(dtype) or pa.types.is_boolean(dtype):
            kinds[field.name] = _INTS
        elif pa.types.is_floating(dtype):
            kinds[field.name] = _FLOATS
        elif any(
            test(dtype)
            for test in (
                pa.types.is_string,
                pa.types.is_large_string,
                pa.types.is_binary,
                pa.types.is_large_binary,
            )
        ):
            kinds[field.name] = _BYTES
    return kinds


def _to_bytes(name: str, item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, bytes):
        return item
    raise TypeError(f"column '{name}' holds a {type(item).__name__} where bytes should be")


def _message(field: int, data: bytes) -> bytes:
    return _varint_bytes(field << 3 | 2) + _varint_bytes(len(data)) + data


def _varint_bytes(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
