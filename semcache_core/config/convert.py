"""Converts tables to the frozen option structs, field by field, so that no mistake hides another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from semcache_core.authoring.suggest import did_you_mean, listed, nearest
from semcache_core.config.describe import expected, holds_secret, literals, parts, takes_never, unit_of
from semcache_core.config.problems import Problems
from semcache_core.engine.freshness import parse_duration
from semcache_core.errors import ConfigError
from semcache_core.settings import Secret

S = TypeVar("S", bound=msgspec.Struct)

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|B|kB|MB|GB|KiB|MiB|GiB)")
_SIZES = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_LONGEST_SHOWN = 60


class Variable(str):
    """The text of an environment variable: it may spell a number or a boolean."""

    __slots__ = ()


def to_struct(kind: type[S], table: object, *, path: str, problems: Problems) -> S | None:
    """Return ``table`` as a ``kind``; on mistakes add each to ``problems``, with its key path, and return None."""
    if not isinstance(table, Mapping):
        problems.add(path, f"expected a table, got {_shown(table)}")
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    wrong = False
    for name in table:
        if name not in fields:
            hint = did_you_mean(name, fields) or f"; known: {listed(fields)}"
            problems.add(_joined(path, name), f"unknown option{hint}")
            wrong = True
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            try:
                values[field.name] = to_value(field.type, table[name], path=_joined(path, name), problems=problems)
            except _Wrong:
                wrong = True
        elif field.required:
            problems.add(_joined(path, name), f"is missing; expected {expected(inspect.type_info(field.type))}")
            wrong = True
    if wrong:
        return None
    try:
        return kind(**values)
    except (ValueError, TypeError, ConfigError) as error:
        # An options struct may refuse a combination in its __post_init__.
        problems.add(path, str(error))
        return None


def to_value(annotation: Any, value: object, *, path: str, problems: Problems) -> Any:
    """Return ``value`` as the type ``annotation``. Raises _Wrong if that fails; the reason is in ``problems``."""
    kind = inspect.type_info(annotation)
    nested = _nested(kind, value, path, problems)
    if nested is not None:
        return nested
    try:
        return msgspec.convert(
            _with_unit(kind, _revealed(value)),
            annotation,
            strict=not isinstance(value, Variable | Secret),
            dec_hook=_secret_from,
        )
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        inside = re.search(r" - at `\$(.+)`$", str(error))
        if inside is None:
            problems.add(path, _mistake(kind, value))
        else:
            problems.add(path + inside[1], f"does not fit; expected {expected(kind)}")
        raise _Wrong from error


class _Wrong(Exception):
    """The value is wrong; the problem has been noted."""


def _nested(kind: inspect.Type, value: object, path: str, problems: Problems) -> object | None:
    """Convert tables field by field, wherever the type is a struct or a list of structs; None for all other types."""
    for part in parts(kind):
        match part:
            case inspect.StructType(cls=cls) if isinstance(value, Mapping):
                made = to_struct(cls, value, path=path, problems=problems)
                if made is None:
                    raise _Wrong
                return made
            case (
                inspect.VarTupleType(item_type=inspect.StructType(cls=cls))
                | inspect.ListType(item_type=inspect.StructType(cls=cls))
            ) if isinstance(value, Sequence) and not isinstance(value, str | bytes):
                items = [
                    to_struct(cls, item, path=f"{path}[{place}]", problems=problems) for place, item in enumerate(value)
                ]
                if None in items:
                    raise _Wrong
                return items if isinstance(part, inspect.ListType) else tuple(items)
    return None


def _with_unit(kind: inspect.Type, value: object) -> object:
    unit = unit_of(kind)
    if unit == "seconds" and isinstance(value, str | int | float):
        seconds = parse_duration(_number(value) if isinstance(value, Variable) else value)
        if seconds is None and not takes_never(kind):
            raise ValueError("it must end")
        return seconds
    if unit == "bytes" and isinstance(value, str):
        return parse_size(value)
    return value


def parse_size(value: str) -> int:
    """Return the bytes of ``"4 MiB"``, ``"500 kB"`` or ``"65536"``. Raises ValueError."""
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise ValueError(f"not a size: {value!r}")
    return round(float(found[1]) * _SIZES[found[2]])


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return str(text)


def _revealed(value: object) -> object:
    match value:
        case Secret():
            return Variable(value.reveal())
        case Mapping():
            return {name: _revealed(item) for name, item in value.items()}
        case list() | tuple():
            return [_revealed(item) for item in value]
        case _:
            return value


def _text(value: object) -> object:
    return value.reveal() if isinstance(value, Secret) else value


def _secret_from(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str) and value:
        return Secret(str(value))
    raise ValueError("not what is expected here")


def _mistake(kind: inspect.Type, value: object) -> str:
    if holds_secret(kind):
        # A blank in the deployment: a key that protects nothing, a token that matches an empty header.
        if _text(value) == "":
            return "is empty; set it, or leave the option out"
        return f"expected {expected(kind)}, got {_shown(Secret(''))}"
    words = literals(kind)
    meant = nearest(value, words) if isinstance(value, str) else None
    hint = f"; did you mean {meant!r}?" if meant is not None else ""
    if isinstance(value, Variable) and not hint and "a list" in expected(kind):
        hint = "; a variable holds no list, write it in the file"
    return f"expected {expected(kind)}, got {_shown(value)}{hint}"


def _shown(value: object) -> str:
    match value:
        case Secret():
            return "another kind of value (not shown, it may be a secret)"
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            text = repr(str(value)) if isinstance(value, str) else repr(value)
            return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
        case Mapping():
            return "a table"
        case list() | tuple():
            return "a list"
        case _:
            return f"a value of type {type(value).__name__}"


def _joined(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
