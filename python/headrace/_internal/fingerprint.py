"""Digests of functions and values that are equal in every process, to see what has changed.

Pickles will not do: those of two processes differ for equal values. A digest follows what a
function does: its code, defaults, closure and the globals that it names, as far as these belong to
the same package; of other packages, the name and the version.
"""

from __future__ import annotations

import copyreg
import functools
import hashlib
import sys
import types
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


class _Walk:
    """One walk over a value and what it refers to."""

    def __init__(self) -> None:
        # By id; the values are kept, so that the ids stay theirs.
        self._done: dict[int, tuple[bytes, Any]] = {}
        self._open: dict[int, int] = {}
        self._packages: set[str] = set()

    def digest(self, value: Any) -> bytes:
        if id(value) in self._done:
            return self._done[id(value)][0]
        if id(value) in self._open:
            return b"part %d of itself" % self._open[id(value)]
        self._open[id(value)] = len(self._open)
        try:
            digest = self._hash(*self._parts(value))
        finally:
            del self._open[id(value)]
        self._done[id(value)] = digest, value
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
        if value is None or isinstance(value, (bool, int, float, complex, str)):
            return type(value).__name__, [repr(value)]
        if isinstance(value, (bytes, bytearray)):
            return "bytes", [bytes(value)]
        if isinstance(value, types.ModuleType):
            return "module", [value.__name__, _version(value.__name__)]
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
        if type(value) is dict:
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
        walk = _Walk()
        walk._open = dict(self._open)
        walk._packages = set(self._packages)
        return walk.digest(value)

    def _reduced(self, value: Any) -> list[Any]:
        """What the object is made from again when it is unpickled."""
        own = self.digest(type(value)) if self._is_own(type(value)) else b""
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
        return [code.co_code, names, code.co_flags, *map(self.digest, code.co_consts)]

    def _function(self, function: types.FunctionType) -> list[Any]:
        parts: list[Any] = [function.__module__, function.__qualname__]
        if not self._is_own(function):
            return [*parts, _version(function.__module__)]
        parts += [self.digest(function.__code__), self.digest(function.__defaults__)]
        parts.append(self.digest(function.__kwdefaults__))
        for cell in function.__closure__ or ():
            try:
                parts.append(self.digest(cell.cell_contents))
            except ValueError:  # It is empty.
                parts.append("empty")
        for name in sorted(_global_names(function.__code__)):
            if name in function.__globals__:
                parts += [name, self.digest(function.__globals__[name])]
        return parts

    def _class(self, cls: type) -> list[Any]:
        parts: list[Any] = [cls.__module__, cls.__qualname__]
        if not self._is_own(cls):
            return [*parts, _version(cls.__module__)]
        parts += [self.digest(base) for base in cls.__bases__]
        for name, member in sorted(vars(cls).items()):
            if name not in _NO_VALUES and not isinstance(member, types.MemberDescriptorType):
                parts += [name, self.digest(member)]
        return parts

    def _is_own(self, value: Any) -> bool:
        """True if the value's code is the user's: in the package of the first such value."""
        package = str(getattr(value, "__module__", None) or "").partition(".")[0]
        if package in ("__main__", "__mp_main__"):
            return True
        if package in sys.stdlib_module_names or package in _LIBRARIES:
            return False
        if not self._packages:
            self._packages.add(package)
        return package in self._packages


# What `functools.lru_cache` makes.
_CACHE: Any = type(functools.cache(repr))
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


def _global_names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _global_names(constant)
    return names


def _listed(items: Any) -> Any:
    try:
        return list(items)
    except TypeError:
        return type(items).__qualname__


def _version(module: str | None) -> str:
    package = sys.modules.get(str(module).partition(".")[0])
    return str(getattr(package, "__version__", ""))
