"""Families of functions: `col("a").str.upper()`, `.list`, `.struct`, `.dt`, `.map`, `.arr`.

Each method is one Arrow compute function, named in its body; the few that Arrow lacks are Python
functions over whole columns.
"""

from __future__ import annotations

from typing import Any, Literal

import pyarrow as pa

from headrace._internal.expr.nodes import Expr, UDFExpr, call
from headrace._internal.expr.values import value_class
from headrace.datatype import DataType

_BOOL = DataType(pa.bool_())
_INT32 = DataType(pa.int32())
_INT64 = DataType(pa.int64())
_STRING = DataType(pa.string())
_UNKNOWN = DataType(object)


def _options(name: str, *args: Any, **kwargs: Any) -> Any:
    # Where the options of `pyarrow.compute` are, which itself makes a function with its text of
    # help for each of Arrow's: that takes longer than a small job.
    try:
        import pyarrow._compute as pc
    except ImportError:
        import pyarrow.compute as pc

    return getattr(pc, name)(*args, **kwargs)


@value_class(frozen=True, eq=False, repr=False)
class StringNamespace:
    """Functions of strings. Lengths and positions count code points; regular expressions are
    RE2's."""

    _expr: Expr

    def len(self) -> Expr:
        return call("utf8_length", self._expr, data_type=_INT32)

    def byte_len(self) -> Expr:
        return call("binary_length", self._expr, data_type=_INT32)

    def _test(self, function: str) -> Expr:
        return call(function, self._expr, data_type=_BOOL)

    def is_alnum(self) -> Expr:
        return self._test("utf8_is_alnum")

    def is_alpha(self) -> Expr:
        return self._test("utf8_is_alpha")

    def is_ascii(self) -> Expr:
        return self._test("string_is_ascii")

    def is_decimal(self) -> Expr:
        return self._test("utf8_is_decimal")

    def is_digit(self) -> Expr:
        return self._test("utf8_is_digit")

    def is_lower(self) -> Expr:
        return self._test("utf8_is_lower")

    def is_numeric(self) -> Expr:
        return self._test("utf8_is_numeric")

    def is_printable(self) -> Expr:
        return self._test("utf8_is_printable")

    def is_space(self) -> Expr:
        return self._test("utf8_is_space")

    def is_title(self) -> Expr:
        return self._test("utf8_is_title")

    def is_upper(self) -> Expr:
        return self._test("utf8_is_upper")

    def _change(self, function: str, options: Any = None) -> Expr:
        return call(function, self._expr, options=options, data_type=_STRING)

    def capitalize(self) -> Expr:
        return self._change("utf8_capitalize")

    def lower(self) -> Expr:
        return self._change("utf8_lower")

    def upper(self) -> Expr:
        return self._change("utf8_upper")

    def swapcase(self) -> Expr:
        return self._change("utf8_swapcase")

    def title(self) -> Expr:
        return self._change("utf8_title")

    def reverse(self) -> Expr:
        return self._change("utf8_reverse")

    def strip(self, characters: str | None = None) -> Expr:
        """Cuts white space, or any of `characters`, from both ends."""
        return self._trim("utf8_trim", characters)

    def lstrip(self, characters: str | None = None) -> Expr:
        return self._trim("utf8_ltrim", characters)

    def rstrip(self, characters: str | None = None) -> Expr:
        return self._trim("utf8_rtrim", characters)

    def _trim(self, function: str, characters: str | None) -> Expr:
        if characters is None:
            return self._change(f"{function}_whitespace")
        return self._change(function, _options("TrimOptions", characters))

    def center(self, width: int, padding: str = " ", *args: Any, **kwargs: Any) -> Expr:
        """Pads both sides to `width`."""
        return self._change("utf8_center", _options("PadOptions", width, padding, *args, **kwargs))

    def lpad(self, width: int, padding: str = " ", *args: Any, **kwargs: Any) -> Expr:
        return self._change("utf8_lpad", _options("PadOptions", width, padding, *args, **kwargs))

    def rpad(self, width: int, padding: str = " ", *args: Any, **kwargs: Any) -> Expr:
        return self._change("utf8_rpad", _options("PadOptions", width, padding, *args, **kwargs))

    def pad(
        self, width: int, fillchar: str = " ", side: Literal["left", "right", "both"] = "right"
    ) -> Expr:
        """Pads one side or both to `width`. ValueError for another side."""
        functions = {"left": self.lpad, "right": self.rpad, "both": self.center}
        if side not in functions:
            raise ValueError("side must be 'left', 'right', or 'both'")
        return functions[side](width, fillchar)

    def _match(
        self, function: str, pattern: str, args: Any, kwargs: Any, data_type: DataType
    ) -> Expr:
        options = _options("MatchSubstringOptions", pattern, *args, **kwargs)
        return call(function, self._expr, options=options, data_type=data_type)

    def contains(self, pattern: str, *args: Any, **kwargs: Any) -> Expr:
        """True where `pattern` occurs; `ignore_case=True` ignores case."""
        return self._match("match_substring", pattern, args, kwargs, _BOOL)

    def starts_with(self, pattern: str, *args: Any, **kwargs: Any) -> Expr:
        return self._match("starts_with", pattern, args, kwargs, _BOOL)

    def ends_with(self, pattern: str, *args: Any, **kwargs: Any) -> Expr:
        return self._match("ends_with", pattern, args, kwargs, _BOOL)

    def match(self, pattern: str, *args: Any, **kwargs: Any) -> Expr:
        """True where the SQL pattern (`%`, `_`) matches the whole string."""
        return self._match("match_like", pattern, args, kwargs, _BOOL)

    def match_regex(self, pattern: str, *args: Any, **kwargs: Any) -> Expr:
        """True where the regular expression matches somewhere."""
        return self._match("match_substring_regex", pattern, args, kwargs, _BOOL)

    def find(self, pattern: str, *args: Any, **kwargs: Any) -> Expr:
        """The byte position of the first occurrence, or -1."""
        return self._match("find_substring", pattern, args, kwargs, _INT32)

    def find_regex(self, pattern: str, *args: Any, **kwargs: Any) -> Expr:
        return self._match("find_substring_regex", pattern, args, kwargs, _INT32)

    def count(self, pattern: str, *args: Any, **kwargs: Any) -> Expr:
        """The number of occurrences that do not overlap."""
        return self._match("count_substring", pattern, args, kwargs, _INT32)

    def count_regex(self, pattern: str, *args: Any, **kwargs: Any) -> Expr:
        return self._match("count_substring_regex", pattern, args, kwargs, _INT32)

    def extract(self, pattern: str, *args: Any, **kwargs: Any) -> Expr:
        """A struct of the named groups of the regular expression, or null."""
        options = _options("ExtractRegexOptions", pattern, *args, **kwargs)
        return call("extract_regex", self._expr, options=options)

    def replace(self, pattern: str, replacement: str, *args: Any, **kwargs: Any) -> Expr:
        """Replaces `pattern`; `max_replacements=n` the first n only."""
        options = _options("ReplaceSubstringOptions", pattern, replacement, *args, **kwargs)
        return self._change("replace_substring", options)

    def replace_regex(self, pattern: str, replacement: str, *args: Any, **kwargs: Any) -> Expr:
        options = _options("ReplaceSubstringOptions", pattern, replacement, *args, **kwargs)
        return self._change("replace_substring_regex", options)

    def replace_slice(
        self, start: int, stop: int, replacement: str, *args: Any, **kwargs: Any
    ) -> Expr:
        """Replaces the code points from `start` to `stop`."""
        options = _options("ReplaceSliceOptions", start, stop, replacement, *args, **kwargs)
        return self._change("utf8_replace_slice", options)

    def slice(self, *args: Any, **kwargs: Any) -> Expr:
        """The code points from `start` to `stop` by `step`."""
        return self._change("utf8_slice_codeunits", _options("SliceOptions", *args, **kwargs))

    def repeat(self, n: int, *args: Any, **kwargs: Any) -> Expr:
        return call("binary_repeat", self._expr, n, data_type=_STRING)

    def split(self, pattern: str, *args: Any, **kwargs: Any) -> Expr:
        """A list of the parts between occurrences of `pattern`."""
        options = _options("SplitPatternOptions", pattern, *args, **kwargs)
        return call("split_pattern", self._expr, options=options)

    def split_regex(self, pattern: str, *args: Any, **kwargs: Any) -> Expr:
        options = _options("SplitPatternOptions", pattern, *args, **kwargs)
        return call("split_pattern_regex", self._expr, options=options)

    def split_whitespace(self, *args: Any, **kwargs: Any) -> Expr:
        options = _options("SplitOptions", *args, **kwargs)
        return call("utf8_split_whitespace", self._expr, options=options)


@value_class(frozen=True, eq=False, repr=False)
class ListNamespace:
    """Functions of lists."""

    _expr: Expr

    def len(self) -> Expr:
        return call("list_value_length", self._expr, data_type=_INT32)

    def get(self, index: int) -> Expr:
        """The element at `index`. Raises IndexError where a list is shorter."""
        return call("list_element", self._expr, index)

    def __getitem__(self, key: int | slice) -> Expr:
        if isinstance(key, int):
            return self.get(key)
        if isinstance(key, slice):
            return self.slice(key.start, key.stop, key.step)
        raise TypeError("List indices must be integers or slices")

    def slice(
        self, start: int | None = None, stop: int | None = None, step: int | None = None
    ) -> Expr:
        """The elements from `start` to `stop` by `step`; ends need not exist."""
        options = _options(
            "ListSliceOptions", start or 0, stop, step or 1, return_fixed_size_list=False
        )
        return call("list_slice", self._expr, options=options)

    def sort(
        self,
        order: Literal["ascending", "descending"] = "ascending",
        null_placement: Literal["at_start", "at_end"] = "at_end",
    ) -> Expr:
        """Each list sorted."""
        if order not in ("ascending", "descending"):
            raise ValueError("order must be 'ascending' or 'descending'")
        if null_placement not in ("at_start", "at_end"):
            raise ValueError("null_placement must be 'at_start' or 'at_end'")
        return UDFExpr(_UNKNOWN, _SortLists(order, null_placement), [self._expr], {})

    def flatten(self) -> Expr:
        """Each list of lists with one level less."""
        return UDFExpr(_UNKNOWN, _flatten_lists, [self._expr], {})


@value_class(frozen=True, eq=False, repr=False)
class StructNamespace:
    """Fields of structs."""

    _expr: Expr

    def field(self, field_name: str) -> Expr:
        options = _options("StructFieldOptions", [field_name])
        return call("struct_field", self._expr, options=options)

    def field_by_index(self, index: int) -> Expr:
        options = _options("StructFieldOptions", [index])
        return call("struct_field", self._expr, options=options)

    def __getitem__(self, key: str | int) -> Expr:
        if isinstance(key, str):
            return self.field(key)
        if isinstance(key, int):
            return self.field_by_index(key)
        raise TypeError("Struct access must be by field name (str) or index (int)")


@value_class(frozen=True, eq=False, repr=False)
class DatetimeNamespace:
    """Functions of dates and times. `unit` is one of nanosecond, microsecond, millisecond,
    second, minute, hour, day, week, month, quarter, year."""

    _expr: Expr

    def _part(self, function: str) -> Expr:
        return call(function, self._expr, data_type=_INT64)

    def year(self) -> Expr:
        return self._part("year")

    def month(self) -> Expr:
        return self._part("month")

    def day(self) -> Expr:
        return self._part("day")

    def hour(self) -> Expr:
        return self._part("hour")

    def minute(self) -> Expr:
        return self._part("minute")

    def second(self) -> Expr:
        return self._part("second")

    def strftime(self, fmt: str) -> Expr:
        options = _options("StrftimeOptions", fmt)
        return call("strftime", self._expr, options=options, data_type=_STRING)

    def _to_unit(self, function: str, unit: str) -> Expr:
        return call(function, self._expr, options=_options("RoundTemporalOptions", unit=unit))

    def ceil(self, unit: str) -> Expr:
        return self._to_unit("ceil_temporal", unit)

    def floor(self, unit: str) -> Expr:
        return self._to_unit("floor_temporal", unit)

    def round(self, unit: str) -> Expr:
        return self._to_unit("round_temporal", unit)


@value_class(frozen=True, eq=False, repr=False)
class MapNamespace:
    """Keys and values of maps, each as a list."""

    _expr: Expr

    def keys(self) -> Expr:
        return UDFExpr(_UNKNOWN, _MapPart("keys"), [self._expr], {})

    def values(self) -> Expr:
        return UDFExpr(_UNKNOWN, _MapPart("items"), [self._expr], {})


@value_class(frozen=True, eq=False, repr=False)
class ArrayNamespace:
    """Functions of fixed-size arrays and tensors."""

    _expr: Expr

    def to_list(self) -> Expr:
        """The rows as lists of any length."""
        return UDFExpr(_UNKNOWN, _to_list, [self._expr], {})


# ---- What Arrow lacks, over whole columns ---------------------------------------------------


def _joined(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


@value_class(frozen=True, eq=False, repr=False)
class _SortLists:
    order: str
    null_placement: str

    def __call__(self, column: Any) -> pa.Array:
        import numpy as np
        import pyarrow.compute as pc

        array = _joined(column)
        parents = pc.list_parent_indices(array)
        table = pa.table({"parent": parents, "value": array.flatten()})
        order = pc.sort_indices(
            table,
            sort_keys=[("parent", "ascending"), ("value", self.order)],
            null_placement=self.null_placement,
        )
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        return pa.ListArray.from_arrays(
            pa.array(offsets), table["value"].combine_chunks().take(order), mask=array.is_null()
        )


def _flatten_lists(column: Any) -> pa.Array:
    import numpy as np
    import pyarrow.compute as pc

    array = _joined(column)
    if not pa.types.is_list(array.type.value_type):
        raise TypeError(f"list.flatten() needs a list of lists, got: {array.type}")
    inner = array.flatten()
    inner_lengths = pc.fill_null(pc.list_value_length(inner), 0).to_numpy(zero_copy_only=False)
    starts = np.concatenate(([0], np.cumsum(inner_lengths)))
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    ends = np.concatenate(([0], np.cumsum(lengths)))
    offsets = pa.array(starts[ends].astype(np.int32))
    return pa.ListArray.from_arrays(offsets, inner.flatten(), mask=array.is_null())


@value_class(frozen=True, eq=False, repr=False)
class _MapPart:
    part: str

    def __call__(self, column: Any) -> pa.Array:
        import pyarrow.compute as pc

        array = _joined(column)
        if not pa.types.is_map(array.type):
            raise TypeError(f".map functions need a map, got: {array.type}")
        first, last = array.offsets[0].as_py(), array.offsets[-1].as_py()
        offsets = pc.subtract(array.offsets, pa.scalar(first, pa.int32()))
        values = getattr(array, self.part)
        if len(values) != last - first:
            values = values.slice(first, last - first)
        return pa.ListArray.from_arrays(offsets, values, mask=array.is_null())


def _to_list(column: Any) -> pa.Array:
    array = _joined(column)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_fixed_size_list(array.type):
        return array.cast(pa.list_(array.type.value_type))
    return array
