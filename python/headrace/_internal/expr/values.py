"""Immutable values, for modules that have many classes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as value_class
else:
    from dataclasses import MISSING, FrozenInstanceError, dataclass

    def value_class(*, frozen: bool, eq: bool, repr: bool) -> Any:
        """Does what `dataclass(frozen=True, eq=False, repr=False)` does.

        That one writes and compiles methods for each class, which for the classes of expressions
        takes longer than a small job. Here they share theirs; `fields` and `replace` of
        `dataclasses` work as ever.
        """
        if not frozen or eq or repr:
            raise ValueError("only immutable values without methods of their own share theirs")

        def decorate(cls: type) -> type:
            cls.__init__, cls.__setattr__, cls.__delattr__ = _init, _refuse, _refuse
            return dataclass(init=False, repr=False, eq=False)(cls)

        return decorate

    def _init(self: Any, *args: Any, **kwargs: Any) -> None:
        fields = self.__dataclass_fields__
        values = dict(zip(self.__match_args__, args))  # noqa: B905
        too_many = len(args) > len(self.__match_args__)
        if too_many or kwargs.keys() & values.keys() or kwargs.keys() - fields:
            raise TypeError(f"{type(self).__name__} takes {', '.join(fields)}, each once")
        values.update(kwargs)
        for name, field in fields.items():
            if values.setdefault(name, field.default) is MISSING:
                raise TypeError(f"{type(self).__name__} needs the field {name!r}")
        self.__dict__.update(values)
        if hasattr(self, "__post_init__"):
            self.__post_init__()

    def _refuse(self: Any, name: str, *value: Any) -> None:
        raise FrozenInstanceError(f"cannot change the field {name!r} of {type(self).__name__}")
