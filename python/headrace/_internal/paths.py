"""Paths as users give them: files, directories, globs, URIs, of any file system."""

from __future__ import annotations

import fnmatch
import os
import pathlib
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from headrace import _core

_GLOB_CHARACTERS = "*?["


def to_path_list(paths: Any) -> list[str]:
    """Returns one path or several as a list of strings.

    Raises ValueError for no path and for what is none.
    """
    if isinstance(paths, (str, os.PathLike)):
        return [os.fspath(paths)]
    if not isinstance(paths, (list, tuple)) or not all(
        isinstance(path, (str, os.PathLike)) for path in paths
    ):
        raise ValueError(
            f"paths must be str, {pathlib.Path.__module__}.Path, or list, got {type(paths)}"
        )
    if not paths:
        raise ValueError("Must provide at least one path.")
    return [os.fspath(path) for path in paths]


def to_filesystem(filesystem: Any) -> Any:
    """Returns a `pyarrow.fs.FileSystem`, wrapping fsspec's; None for None.

    Raises TypeError for other things.
    """
    from pyarrow import fs

    if filesystem is None or isinstance(filesystem, fs.FileSystem):
        return filesystem
    if hasattr(filesystem, "protocol") and hasattr(filesystem, "open"):
        return fs.PyFileSystem(fs.FSSpecHandler(filesystem))
    if hasattr(filesystem, "unwrap"):
        return filesystem.unwrap()
    raise TypeError(
        "The filesystem passed must either conform to pyarrow.fs.FileSystem, or "
        f"fsspec.spec.AbstractFileSystem. The provided filesystem was: {filesystem}"
    )


def resolve_for_core(paths: Sequence[str], filesystem: Any) -> tuple[list[str], Any]:
    """Does what `resolve` does; the file system is as the engine takes it: None for the local one.

    For local paths it leaves out `pyarrow.fs`, whose import takes longer than a small job.
    """
    if filesystem is None and not any("://" in path for path in paths):
        return [_absolute(path) for path in paths], None
    resolved, found = resolve(paths, filesystem)
    return resolved, for_core(found)


def resolve(paths: Sequence[str], filesystem: Any) -> tuple[list[str], Any]:
    """Returns the paths as their file system writes them, and that file system."""
    from pyarrow import fs

    filesystem = to_filesystem(filesystem)
    resolved = []
    for path in map(os.fspath, paths):
        if "://" in path:
            try:
                found, inner = fs.FileSystem.from_uri(path)
            except ValueError:
                found, inner = _from_fsspec(path)
            filesystem = filesystem or found
            resolved.append(inner)
        elif filesystem is None or isinstance(filesystem, fs.LocalFileSystem):
            resolved.append(_absolute(path))
        else:
            resolved.append(path)
    return resolved, filesystem or fs.LocalFileSystem()


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def is_local(filesystem: Any) -> bool:
    """Returns True for the file system of this machine, and for None, which stands for it."""
    if filesystem is None:
        return True
    from pyarrow import fs

    return type(filesystem) is fs.LocalFileSystem


def for_core(filesystem: Any) -> Any:
    """Returns a `pyarrow.fs` file system as the engine takes it: None for the local one."""
    return None if is_local(filesystem) else filesystem


def normal_directory(path: str) -> str:
    """Returns the path without what file systems leave out of those that they list: a slash at the
    end, names that are empty or "."."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    return ("/" if path.startswith("/") else "") + "/".join(names)


def _from_fsspec(uri: str) -> tuple[Any, str]:
    from pyarrow import fs

    try:
        import fsspec
    except ImportError:
        raise ValueError(f"No file system knows the URI {uri!r}") from None
    found, inner = fsspec.core.url_to_fs(uri)
    return fs.PyFileSystem(fs.FSSpecHandler(found)), inner


def list_files(
    paths: Iterable[str],
    filesystem: Any,
    *,
    file_extensions: Sequence[str] | None = None,
    ignore_missing_paths: bool = False,
) -> list[tuple[str, int]]:
    """Returns (path, bytes) of all files under the paths, directories in order of name.

    Names that start with "." or "_" are skipped inside directories, and so are names without
    one of `file_extensions` (without dot, upper or lower case). `filesystem`: of `pyarrow.fs`, or
    None for the local one.

    Raises:
        FileNotFoundError: a path does not exist, unless `ignore_missing_paths`.
    """
    paths = list(paths)
    files: list[tuple[str, int]] = []
    for path, kind, size in _look_up(paths, filesystem):
        found = _list_one(path, kind, size, filesystem)
        if found is None:
            if not ignore_missing_paths:
                raise FileNotFoundError(path)
            continue
        files.extend(found)
    if file_extensions is not None:
        endings = tuple("." + extension.lower().lstrip(".") for extension in file_extensions)
        files = [(path, size) for path, size in files if path.lower().endswith(endings)]
    return files


def _look_up(paths: list[str], filesystem: Any) -> Iterator[tuple[str, str, int]]:
    """Yields (path, "file", "directory" or "", bytes) of each path."""
    if filesystem is None:
        for path in paths:
            try:
                found = os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                yield path, "", 0
                continue
            is_file, is_directory = stat.S_ISREG(found.st_mode), stat.S_ISDIR(found.st_mode)
            yield path, "file" if is_file else "directory" if is_directory else "", found.st_size
        return
    from pyarrow import fs

    kinds = {fs.FileType.File: "file", fs.FileType.Directory: "directory"}
    # One call for all of them: a remote file system answers many at once.
    for path, info in zip(paths, filesystem.get_file_info(paths), strict=True):
        yield path, kinds.get(info.type, ""), info.size or 0


def _list_one(path: str, kind: str, size: int, filesystem: Any) -> list[tuple[str, int]] | None:
    if kind == "file":
        return [(path, size)]
    if kind == "directory":
        return _list_directory(path, filesystem)
    if any(character in path for character in _GLOB_CHARACTERS):
        return _list_glob(path, filesystem) or None
    return None


def _list_directory(path: str, filesystem: Any) -> list[tuple[str, int]]:
    base = path.rstrip("/") + "/"
    return [
        (stored, size)
        for found, stored, size, is_directory in _list_committed(path, True, filesystem)
        if not is_directory and not _is_hidden(found.removeprefix(base))
    ]


def _list_committed(
    directory: str, recursive: bool, filesystem: Any
) -> list[tuple[str, str, int, bool]]:
    return _core.list_committed(for_core(filesystem), directory, recursive)


def _list_glob(pattern: str, filesystem: Any) -> list[tuple[str, int]]:
    fixed = pattern[: min(pattern.find(c) for c in _GLOB_CHARACTERS if c in pattern)]
    base = fixed.rpartition("/")[0] or "/"
    if next(_look_up([base], filesystem))[1] != "directory":
        return []
    deep = "**" in pattern or "/" in pattern[len(base) :].strip("/")
    files: list[tuple[str, int]] = []
    for path, stored, size, is_directory in _list_committed(base, deep, filesystem):
        if _glob_matches(path, pattern):
            files += _list_directory(path, filesystem) if is_directory else [(stored, size)]
    return list(dict.fromkeys(files))


def _glob_matches(path: str, pattern: str) -> bool:
    parts, wanted = path.split("/"), pattern.split("/")
    if "**" in wanted:
        head = wanted.index("**")
        tail = len(wanted) - head - 1
        if len(parts) < head + tail:
            return False
        middle = parts[head : len(parts) - tail]
        parts = parts[:head] + ["**"] + parts[len(parts) - tail :]
        if any(part.startswith(".") for part in middle):
            return False
    return len(parts) == len(wanted) and all(
        want == "**" or fnmatch.fnmatchcase(part, want)
        for part, want in zip(parts, wanted, strict=True)
    )


def _is_hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) and "=" not in part for part in relative.split("/"))


def check_found(paths: Sequence[str], files: Sequence[Any], extensions: Any, missing: bool) -> None:
    """Raises ValueError if no file is left to read."""
    if files:
        return
    if extensions is not None:
        raise ValueError(
            "No input files found to read with the following file extensions: "
            f"{list(extensions)}. Please double check that 'file_extensions' field is set properly."
        )
    hint = "Note that listing skips names starting with '_' or '.'."
    if missing:
        hint += (
            " Paths that do not exist were also skipped because 'ignore_missing_paths' is set to "
            "True."
        )
    raise ValueError(f"No files found under {list(paths)}. {hint}")
