"""Digests of functions and values that are equal in every process, to see what has changed.

Pickles will not do: those of two processes differ for equal values. A digest follows what a
function does: its code, defaults, closure, attributes, and the globals that it names, through the
user's own modules. Of a library (the standard library, and what lies in a folder site-packages or
dist-packages) it has the name and the version and, but for those that most programs use, the code
of the function or the class itself; not the globals, which a library may fill as it goes.
"""

from __future__ import annotations

import contextlib
import copyreg
import dis
import functools
import gc
import hashlib
import importlib.metadata
import importlib.util
import pathlib
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa


def fingerprint(value: Any) -> str:
    """Returns the digest of a value, in hexadecimal."""
    return _Walk().digest(value).hex()


def table_fingerprint(table: pa.Table) -> str:
    """Returns the digest of a table's schema and rows, however they are cut into chunks."""
    sink = _HashSink()
    whole = table.combine_chunks()
    with pa.ipc.new_stream(pa.PythonFile(sink, "w"), whole.schema) as writer:
        writer.write_table(whole)
    return sink.hash.hexdigest()


class _HashSink:
    """A file that keeps only the hash of what is written to it."""

    def __init__(self) -> None:
        self.hash = hashlib.blake2b(digest_size=16)
        self.closed = False

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


# By id; the values are kept, so that the ids stay theirs.
_Done = dict[int, tuple[bytes, Any]]


class _Walk:
    """One walk over a value and what it refers to.

    Args:
        pure: digests that do not depend on the way to the value, which walks may share.
    """

    def __init__(self, pure: _Done | None = None) -> None:
        self._pure: _Done = {} if pure is None else pure
        # Of values that refer to what they are part of.
        self._looped: _Done = {}
        self._open: dict[int, int] = {}
        # How many such references were met.
        self._loops = 0

    def digest(self, value: Any) -> bytes:
        if id(value) in self._pure:
            return self._pure[id(value)][0]
        if id(value) in self._looped:
            self._loops += 1
            return self._looped[id(value)][0]
        if id(value) in self._open:
            self._loops += 1
            return b"part %d of itself" % self._open[id(value)]
        loops = self._loops
        self._open[id(value)] = len(self._open)
        try:
            digest = self._hash(*self._parts(value))
        finally:
            del self._open[id(value)]
        done = self._pure if self._loops == loops else self._looped
        done[id(value)] = digest, value
        return digest

    @staticmethod
    def _hash(kind: str, parts: list[Any]) -> bytes:
        hashed = hashlib.blake2b(kind.encode(), digest_size=16)
        for part in parts:
            data = part if isinstance(part, bytes) else str(part).encode(errors="replace")
            hashed.update(len(data).to_bytes(8, "little"))
            hashed.update(data)
        return hashed.digest()

    def _parts(self, value: Any) -> tuple[str, list[Any]]:
        if value is None or type(value) in (bool, int, float, complex, str):
            return type(value).__name__, [repr(value)]
        if type(value) in (bytes, bytearray):
            return "bytes", [bytes(value)]
        if isinstance(value, types.ModuleType):
            return "module", self._module(value, frozenset(), frozenset())
        if isinstance(value, types.CodeType):
            return "code", self._code(value)
        if isinstance(value, types.FunctionType):
            return "function", self._function(value)
        if isinstance(value, type):
            return "class", self._class(value)
        if isinstance(value, types.MethodType):
            return "method", [self.digest(value.__func__), self.digest(value.__self__)]
        if isinstance(value, (staticmethod, classmethod)):
            return type(value).__name__, [self.digest(value.__func__)]
        if isinstance(value, property):
            return "property", [self.digest(f) for f in (value.fget, value.fset, value.fdel)]
        if isinstance(value, functools.partial):
            return "partial", [self.digest(v) for v in (value.func, value.args, value.keywords)]
        if isinstance(value, functools.cached_property):
            return "property", [self.digest(value.func)]
        if isinstance(value, _CACHE):
            return "cache", [self.digest(value.__wrapped__), self.digest(value.cache_parameters())]
        return self._data(value)

    def _data(self, value: Any) -> tuple[str, list[Any]]:
        if type(value) in (tuple, list):
            return type(value).__name__, [self.digest(item) for item in value]
        if type(value) in (set, frozenset):
            return "set", sorted(self._apart(item) for item in value)
        if type(value) in (dict, types.MappingProxyType):
            return "dict", [self.digest(part) for item in value.items() for part in item]
        if isinstance(value, pa.Table):
            return "table", [table_fingerprint(value)]
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        if kind == "numpy.ndarray" and not value.dtype.hasobject:
            return "array", [value.dtype.str, value.shape, value.tobytes()]
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor) and not value.is_sparse:
            # Pickled, it would have the number of its storage in this process.
            flat = value.detach().cpu().contiguous().flatten().view(torch.uint8)
            return "tensor", [str(value.dtype), tuple(value.shape), flat.numpy().tobytes()]
        return "object", [kind, *self._reduced(value)]

    def _apart(self, value: Any) -> bytes:
        """The digest of an item of a set: it does not depend on those that came before."""
        walk = _Walk(self._pure)
        walk._open = dict(self._open)
        digest = walk.digest(value)
        self._loops += walk._loops
        return digest

    def _reduced(self, value: Any) -> list[Any]:
        """What the object is made from again when it is unpickled."""
        own = self.digest(type(value)) if _is_own(type(value).__module__) else b""
        if isinstance(value, _COMPARED):
            return [self.digest(part) for part in gc.get_referents(value)]
        try:
            reducer = copyreg.dispatch_table.get(type(value))
            reduced = value.__reduce_ex__(4) if reducer is None else reducer(value)
        except Exception:
            return [own]
        if isinstance(reduced, str):
            return [own, reduced]
        made, arguments, *rest = reduced
        parts = [own, self.digest(made), self.digest(arguments)]
        for part in rest[:3]:
            listed = part if part is None or isinstance(part, (dict, tuple)) else _listed(part)
            parts.append(self.digest(listed))
        return parts

    def _code(self, code: types.CodeType) -> list[Any]:
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        # Where exceptions are caught: before Python 3.11, it is in the code.
        caught = getattr(code, "co_exceptiontable", b"")
        return [code.co_code, caught, names, code.co_flags, *map(self.digest, code.co_consts)]

    def _function(self, function: types.FunctionType) -> list[Any]:
        parts: list[Any] = [function.__module__, function.__qualname__]
        if not _is_own(function.__module__):
            parts += self._library_code(function.__module__, [function])
            # What decorates may keep the module of the decorator.
            cells = [_content(cell) for cell in function.__closure__ or ()]
            wrapped = [cell for cell in cells if isinstance(cell, types.FunctionType)]
            return [*parts, *(self.digest(f) for f in wrapped if _is_own(f.__module__))]
        parts += [self.digest(function.__code__), self.digest(function.__defaults__)]
        parts += [self.digest(function.__kwdefaults__), self.digest(vars(function))]
        names = _names(function.__code__)
        for cell in function.__closure__ or ():
            parts.append(self._reached(_content(cell), names))
        for name in sorted(names):
            if name in function.__globals__:
                parts += [name, self._reached(function.__globals__[name], names)]
        for module in sorted(_imports(function.__code__, function.__globals__)):
            parts += [module, _source(module)]
        return parts

    def _reached(self, value: Any, names: frozenset[str]) -> bytes:
        """The digest of what a function that has these names refers to."""
        if isinstance(value, types.ModuleType):
            return self._hash("module", self._module(value, names, frozenset()))
        return self.digest(value)

    def _module(
        self, module: types.ModuleType, names: frozenset[str], above: frozenset[int]
    ) -> list[Any]:
        """Of a user's module, what has one of the names; all of its source if nothing has, as
        another function gets it."""
        parts: list[Any] = [module.__name__]
        if not _is_own(module.__name__):
            return [*parts, _version(module.__name__)]
        above |= {id(module)}
        for name in sorted({*names, "__getattr__"} & vars(module).keys()):
            value = vars(module)[name]
            if not isinstance(value, types.ModuleType):
                parts += [name, self.digest(value)]
            elif id(value) not in above:
                parts += [name, self._hash("module", self._module(value, names, above))]
        return parts if len(parts) > 1 else [*parts, _source(module.__name__)]

    def _class(self, cls: type) -> list[Any]:
        parts: list[Any] = [cls.__module__, cls.__qualname__]
        if not _is_own(cls.__module__):
            return [*parts, *self._library_code(cls.__module__, vars(cls).values())]
        parts += [self.digest(base) for base in (type(cls), *cls.__bases__)]
        for name, member in sorted(vars(cls).items()):
            if name not in _NO_VALUES and not isinstance(member, types.MemberDescriptorType):
                parts += [name, self.digest(member)]
        return parts

    def _library_code(self, module: str, members: Iterable[Any]) -> list[Any]:
        if _package(module) in _KNOWN:
            return [_version(module)]
        functions = [f for f in members if isinstance(f, types.FunctionType)]
        codes = {f.__qualname__: f.__code__ for f in functions if f.__module__ == module}
        return [_version(module), *(self.digest(codes[name]) for name in sorted(codes))]


# What `functools.lru_cache` makes.
_CACHE: Any = type(functools.cache(repr))
# What `functools.cmp_to_key` makes; it tells of its function to the garbage collector alone.
_COMPARED: Any = type(functools.cmp_to_key(lambda a, b: 0))
# Attributes of a class that Python makes, of which no result depends.
_NO_VALUES = frozenset(
    {
        "__annotate_func__",
        "__annotations__",
        "__annotations_cache__",
        "__dict__",
        "__doc__",
        "__firstlineno__",
        "__module__",
        "__qualname__",
        "__static_attributes__",
        "__weakref__",
        "_abc_impl",
    }
)
_LIBRARIES = frozenset({"headrace", "numpy", "pandas", "pyarrow", "torch", "cloudpickle"})
_KNOWN = sys.stdlib_module_names | _LIBRARIES
# Folders of libraries.
_INSTALLED_IN = frozenset({"site-packages", "dist-packages"})


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # It is empty.
        return types.CellType


def _package(module: Any) -> str:
    # Types of extensions may have other things for a name.
    return module.partition(".")[0] if isinstance(module, str) else "builtins"


def _is_own(module: Any) -> bool:
    """True if a module, of a function or a class, is the user's."""
    if module is None or _package(module) in ("__main__", "__mp_main__"):
        return True
    if _package(module) in _KNOWN:
        return False
    loaded = sys.modules.get(module) or sys.modules.get(_package(module))
    return not _is_installed(getattr(loaded, "__file__", None), getattr(loaded, "__path__", ()))


def _is_installed(file: str | None, folders: Iterable[str] | None) -> bool:
    """True if a module is of a library; one in several folders has no file."""
    place = file or next(iter(folders or ()), "")
    return not _INSTALLED_IN.isdisjoint(pathlib.PurePath(place).parts)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yields a function's code and those of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _names(code: types.CodeType) -> frozenset[str]:
    """The names of globals and attributes."""
    return frozenset(name for part in _codes(code) for name in part.co_names)


def _imports(code: types.CodeType, room: dict[str, Any]) -> set[str]:
    """The modules that a function imports when it runs."""
    found = set()
    for part in _codes(code):
        before: list[Any] = []
        for step in dis.get_instructions(part):
            if step.opname == "IMPORT_NAME":
                level, names = before[-2:]
                name = "." * level + step.argval
                with contextlib.suppress(ImportError):
                    name = importlib.util.resolve_name(name, room.get("__package__"))
                    found |= {name, *(f"{name}.{attribute}" for attribute in names or ())}
            before.append(step.argval)
    return found


def _source(module: str) -> bytes:
    """The digest of the source of a user's module; nothing of a library, which is not imported."""
    if _package(module) in _KNOWN:
        return b""
    try:
        for name in (_package(module), module):
            spec = importlib.util.find_spec(name)
            if spec is None or _is_installed(spec.origin, spec.submodule_search_locations):
                return b""
        source: str | None = spec.loader.get_source(module)  # type: ignore[union-attr]
    except Exception:  # It cannot be found, or a package that it is in cannot be imported.
        return b""
    return hashlib.blake2b((source or "").encode(), digest_size=16).digest()


def _listed(items: Any) -> Any:
    try:
        return list(items)
    except TypeError:
        return type(items).__qualname__


@functools.cache
def _version(module: str) -> str:
    package = _package(module)
    version = getattr(sys.modules.get(package), "__version__", None)
    if version is None and package not in sys.stdlib_module_names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            version = importlib.metadata.version(package)
    return str(version or "")
