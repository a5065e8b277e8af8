"""The names by which serialized preprocessors find their classes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TypeVar

from headrace.preprocessor import SerializablePreprocessorBase

_Class = TypeVar("_Class", bound=type[SerializablePreprocessorBase])
_REGISTRY: dict[str, type[SerializablePreprocessorBase]] = {}


class UnknownPreprocessorError(ValueError):
    """A serialized preprocessor bears a name that no class has.

    Args:
        preprocessor_type: that name.
    """

    def __init__(self, preprocessor_type: str) -> None:
        self.preprocessor_type = preprocessor_type
        super().__init__(f"Unknown preprocessor type: {preprocessor_type}")


def SerializablePreprocessor(version: int, identifier: str) -> Callable[[_Class], _Class]:
    """Decorates a class with the name that its serialized preprocessors bear.

    Args:
        version: of the fields; bytes of later versions are refused.
        identifier: a name that no other class has.
    """

    def decorate(cls: _Class) -> _Class:
        cls.set_version(version)
        cls.set_preprocessor_class_id(identifier)
        _REGISTRY[identifier] = cls
        return cls

    return decorate


def class_of(identifier: str) -> type[SerializablePreprocessorBase]:
    """Returns the class of a name. UnknownPreprocessorError if there is none."""
    importlib.import_module("headrace.preprocessors")
    if identifier not in _REGISTRY:
        raise UnknownPreprocessorError(identifier)
    return _REGISTRY[identifier]
