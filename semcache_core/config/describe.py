"""Describes the values of an option in words, for error messages and the generated reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import inspect

from semcache_core.settings import Secret


def expected(kind: inspect.Type) -> str:
    """Return what a value of this type looks like, for example ``'safe', 'balanced' or 'loose'``."""
    unit = unit_of(kind)
    bare = without_metadata(kind)
    if unit == "seconds":
        never = ", or 'never'" if takes_never(kind) else ""
        number = _numbers(bare)
        above = " above 0" if isinstance(number, inspect.FloatType) and number.gt == 0 else ""
        return f"a duration{above} such as 90, '500ms', '90s', '1h' or '7d'{never}"
    if unit == "bytes":
        return f"a size such as 65536, '64 KiB' or '4 MiB'{_bounds(_numbers(bare))}"
    if isinstance(bare, inspect.UnionType):
        return " or ".join(expected(part) for part in bare.types if not isinstance(part, inspect.NoneType))
    return _plain(bare)


def unit_of(kind: inspect.Type) -> str | None:
    """Return ``seconds`` or ``bytes`` if the option accepts a unit."""
    if isinstance(kind, inspect.Metadata):
        unit = (kind.extra or {}).get("unit")
        return str(unit) if unit is not None else unit_of(kind.type)
    if isinstance(kind, inspect.UnionType):
        return next((unit for unit in map(unit_of, kind.types) if unit is not None), None)
    return None


def without_metadata(kind: inspect.Type) -> inspect.Type:
    """Return the type without its description and unit."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    """Yield the alternatives of a union, without None; any other type yields itself."""
    bare = without_metadata(kind)
    if isinstance(bare, inspect.UnionType):
        for part in bare.types:
            yield from parts(part)
    elif not isinstance(bare, inspect.NoneType):
        yield bare


def holds_secret(kind: inspect.Type) -> bool:
    """Say whether a value of this type is or contains a secret."""
    for part in parts(kind):
        match part:
            case inspect.CustomType(cls=cls):
                return cls is Secret
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                return holds_secret(item)
            case inspect.DictType(value_type=item):
                return holds_secret(item)
    return False


def literals(kind: inspect.Type) -> tuple[str, ...]:
    """Return the allowed words of an option that is an enumeration."""
    found = (part for part in parts(kind) if isinstance(part, inspect.LiteralType))
    return tuple(str(value) for part in found for value in part.values)


def _plain(kind: inspect.Type) -> str:
    match kind:
        case inspect.LiteralType(values=values):
            words = [repr(value) for value in values]
            return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_bounds(kind)}"
        case inspect.FloatType():
            return f"a number{_bounds(kind)}"
        case inspect.StrType(pattern=pattern, min_length=least):
            if pattern == "^/":
                return "a string that begins with '/'"
            return "a string that is not empty" if least else "a string"
        case inspect.CustomType(cls=cls) if cls is Secret:
            return 'a string, or { env = "NAME" }'
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item) | inspect.SetType(item_type=item):
            return f"a list, each {expected(item)}"
        case inspect.StructType(fields=fields):
            return f"a table with {', '.join(field.encode_name for field in fields)}"
        case inspect.DictType(value_type=item):
            return "a table" if isinstance(item, inspect.AnyType) else f"a table, each value {expected(item)}"
        case _:
            return "another type of value"


def _bounds(kind: Any) -> str:
    if kind is None:
        return ""
    bounds = ((kind.ge, "at least"), (kind.gt, "more than"), (kind.le, "at most"), (kind.lt, "less than"))
    said = [f"{word} {bound:g}" for bound, word in bounds if bound is not None]
    return f" of {' and '.join(said)}" if said else ""


def _numbers(kind: inspect.Type) -> inspect.Type | None:
    found = (part for part in parts(kind) if isinstance(part, inspect.IntType | inspect.FloatType))
    return next(found, None)


def takes_never(kind: inspect.Type) -> bool:
    """Say whether the duration may be "never": otherwise None only means that an override is absent."""
    while isinstance(kind, inspect.Metadata):
        if kind.extra is not None and "unit" in kind.extra:
            inner = without_metadata(kind)
            return isinstance(inner, inspect.UnionType) and inner.includes_none
        kind = kind.type
    return False
