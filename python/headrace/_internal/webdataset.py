"""WebDataset files: tar archives whose members "key.column" of one key, side by side, are a row."""

from __future__ import annotations

import fnmatch
import io
import json
import re
import tarfile
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from headrace._internal import convert
from headrace.block import Block, BlockAccessor
from headrace.datasource.file_based_datasource import FileBasedDatasource
from headrace.datasource.file_datasink import BlockBasedFileDatasink

Sample = dict[str, Any]

_IMAGES = ("jpg", "png", "ppm", "pgm", "pbm", "pnm")
_TEXTS = ("txt", "text")
_BLOCK_BYTES = 64 << 20


class WebDatasetDatasource(FileBasedDatasource):
    """Reads the samples of tar files.

    Args:
        decoder: True: decodes values by their column's last extension (see `decode`); None: leaves
            bytes; a string: how images are decoded ("rgb", "pil", "l"); a function of samples; or
            a list of these, applied in order.
        fileselect, suffixes: patterns, a list, or a function: which members, or columns, to take.
        filerename: pairs of patterns of `re.sub`, or a function of member names.
        verbose_open: print the paths that are opened.
        expand_json: the keys of the column "json" become columns.
    """

    _FILE_EXTENSIONS = ["tar"]

    def __init__(
        self,
        paths: Any,
        *,
        decoder: Any = True,
        fileselect: Any = None,
        filerename: Any = None,
        suffixes: Any = None,
        verbose_open: bool = False,
        expand_json: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(paths, **kwargs)
        self._decoders = decoder if isinstance(decoder, list) else [decoder]
        self._fileselect = fileselect
        self._filerename = filerename
        self._suffixes = suffixes
        self._verbose_open = verbose_open
        self._expand_json = expand_json

    def get_name(self) -> str:
        return "WebDataset"

    def _read_stream(self, f: pa.NativeFile, path: str) -> Iterator[Block]:
        if self._verbose_open:
            print(f"reading {path}")
        rows: list[Sample] = []
        num_bytes = 0
        for sample, size in self._samples(f, path):
            sample["__url__"] = path
            for decoder in self._decoders:
                sample = _apply(decoder, sample)
            if self._expand_json:
                sample.update(_expanded(sample))
            rows.append(sample)
            num_bytes += size
            if num_bytes >= _BLOCK_BYTES:
                yield _to_table(rows)
                rows, num_bytes = [], 0
        if rows:
            yield _to_table(rows)

    def _samples(self, f: pa.NativeFile, path: str) -> Iterator[tuple[Sample, int]]:
        """Yields the members of one key together, as bytes, and their size."""
        sample: Sample = {}
        size = 0
        for name, data in self._members(f):
            key, column = _split(name)
            if column is None:
                continue
            if sample and sample["__key__"] != key:
                yield sample, size
                sample, size = {}, 0
            if not sample:
                sample["__key__"] = key
            if column in sample:
                raise ValueError(f"{path}: duplicate file name {name} in one sample")
            if _selects(self._suffixes, column):
                sample[column] = data
                size += len(data)
        if sample:
            yield sample, size

    def _members(self, f: pa.NativeFile) -> Iterator[tuple[str, bytes]]:
        with tarfile.open(fileobj=f, mode="r|*") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                name = _renamed(self._filerename, member.name)
                if _selects(self._fileselect, name):
                    file = archive.extractfile(member)
                    yield name, file.read() if file is not None else b""


class WebDatasetDatasink(BlockBasedFileDatasink):
    """Writes rows as samples: the column "__key__" names them, the others are members.

    Args:
        encoder: True or False: encodes values by their column's last extension (see `encode`);
            None: values are bytes already; a function of samples; or a list of these.
    """

    def __init__(self, path: str, *, encoder: Any = True, **kwargs: Any) -> None:
        super().__init__(path, file_format="tar", **kwargs)
        self._encoders = encoder if isinstance(encoder, list) else [encoder]

    def get_name(self) -> str:
        return "WebDataset"

    def write_block_to_file(self, block: BlockAccessor, file: pa.NativeFile) -> None:
        with tarfile.open(fileobj=file, mode="w|") as archive:
            for row in block.iter_rows(public_row_format=False):
                sample = dict(row)
                for encoder in self._encoders:
                    sample = _encoded(encoder, sample)
                key = sample.get("__key__") or uuid.uuid4().hex
                for column, value in sample.items():
                    if column.startswith("__") or value is None:
                        continue
                    if isinstance(value, str):
                        value = value.encode()
                    member = tarfile.TarInfo(f"{key}.{column}")
                    member.size = len(value)
                    archive.addfile(member, io.BytesIO(value))


# ---- Names ----------------------------------------------------------------------------------


def _split(name: str) -> tuple[str, str | None]:
    """Splits at the first dot of the last part: "d/003.seg.txt" into "d/003" and "seg.txt"."""
    directory, slash, base = name.rpartition("/")
    stem, dot, column = base.partition(".")
    return directory + slash + stem, column if dot and stem else None


def _selects(patterns: Any, name: str) -> bool:
    if patterns is None:
        return True
    if callable(patterns):
        return bool(patterns(name))
    return any(name == p or fnmatch.fnmatch("." + name, p) for p in patterns) or any(
        fnmatch.fnmatch(name, p) for p in patterns
    )


def _renamed(rename: Any, name: str) -> str:
    if rename is None:
        return name
    if callable(rename):
        return rename(name)
    for pattern, replacement in rename:
        name = re.sub(pattern, replacement, name)
    return name


# ---- Values from bytes ------------------------------------------------------------------------


def _apply(decoder: Any, sample: Sample) -> Sample:
    if decoder is None:
        return sample
    if callable(decoder):
        return decoder(sample)
    mode = decoder if isinstance(decoder, str) else "rgb"
    return {name: decode(name, value, mode) for name, value in sample.items()}


def decode(column: str, value: Any, images: str = "rgb") -> Any:
    """Returns the value that bytes stand for, by the last extension of the column's name.

    txt, text: a string; cls, cls2: a whole number; json; npy: an array; jpg, png, ppm,
    pgm, pbm, pnm: an array of pixels (needs Pillow); mp: MessagePack (needs msgpack). Others stay
    bytes. ValueError for pickles, which would run code of the file's.
    """
    extension = column.rsplit(".", 1)[-1]
    if not isinstance(value, bytes) or column.startswith("__"):
        return value
    if extension in _TEXTS:
        return value.decode()
    if extension in ("cls", "cls2"):
        return int(value)
    if extension == "json":
        return json.loads(value)
    if extension == "npy":
        return np.load(io.BytesIO(value), allow_pickle=False)
    if extension in _IMAGES:
        return _decode_image(value, images)
    if extension == "mp":
        return _msgpack().unpackb(value, raw=False)
    if extension in ("pkl", "pickle"):
        raise ValueError(
            f"column '{column}' holds pickles, which could run any code: give a decoder that loads "
            "them if you trust the files"
        )
    return value


def _decode_image(data: bytes, mode: str) -> np.ndarray:
    from PIL import Image

    image: Any = Image.open(io.BytesIO(data))
    if mode in ("l", "gray"):
        image = image.convert("L")
    elif mode != "pil":
        image = image.convert("RGB")
    return np.asarray(image)


def _msgpack() -> Any:
    try:
        import msgpack  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ModuleNotFoundError("columns ending in .mp need the package msgpack") from error
    return msgpack


def _expanded(sample: Sample) -> Sample:
    found = sample.get("json")
    if isinstance(found, bytes):
        found = json.loads(found)
    return dict(found) if isinstance(found, dict) else {}


def _to_table(rows: list[Sample]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return convert.dicts_to_table([{name: row.get(name) for name in names} for row in rows])


# ---- Bytes from values ------------------------------------------------------------------------


def _encoded(encoder: Any, sample: Sample) -> Sample:
    if encoder is None:
        return sample
    if callable(encoder):
        return encoder(sample)
    return {name: encode(name, value) for name, value in sample.items()}


def encode(column: str, value: Any) -> Any:
    """Returns a value as bytes, the opposite of `decode`; bytes and None pass.

    Raises ValueError for a value that its column's extension has no form for.
    """
    if column.startswith("__") or value is None or isinstance(value, bytes):
        return value
    extension = column.rsplit(".", 1)[-1]
    forms: dict[tuple[str, ...], Callable[[Any], bytes]] = {
        ("cls", "cls2"): lambda v: str(v).encode(),
        ("json",): lambda v: json.dumps(_plain(v)).encode(),
        ("npy",): _npy,
        (*_IMAGES, "jpeg"): lambda v: _encode_image(v, extension),
        ("mp",): lambda v: _msgpack().packb(_plain(v)),
        ("pkl", "pickle"): _pickled,
    }
    for extensions, form in forms.items():
        if extension in extensions:
            return form(value)
    if isinstance(value, str):
        return value.encode()
    raise ValueError(
        f"column '{column}' holds a {type(value).__name__}, which has no form in a file that ends "
        f"in .{extension}: give an encoder"
    )


def _plain(value: Any) -> Any:
    """Returns arrays and numpy's numbers as Python's."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _npy(value: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(value), allow_pickle=False)
    return buffer.getvalue()


def _pickled(value: Any) -> bytes:
    import pickle

    return pickle.dumps(value)


def _encode_image(value: Any, extension: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    formats = {"jpg": "jpeg", "pgm": "ppm", "pbm": "ppm", "pnm": "ppm"}
    Image.fromarray(np.asarray(value)).save(buffer, format=formats.get(extension, extension))
    return buffer.getvalue()
