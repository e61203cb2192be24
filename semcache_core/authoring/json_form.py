"""The canonical form of a JSON body: equal bytes exactly if an upstream would see the same request.

Strings compare by code point, numbers by literal, lists by order; null differs from absent. The caller decides which
objects are sorted (``seal`` keeps an object's order inside a sorted one). A body that two parsers may read differently
is ``Ambiguous``: it has no canonical form and is never looked up or stored.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NoReturn

import msgspec

from semcache_core.reasons import Code

__all__ = [
    "HASHED",
    "MAX_DEPTH",
    "MAX_VALUES",
    "SLOT",
    "Ambiguous",
    "by_value",
    "check_names",
    "folded",
    "has_long_number",
    "in_order",
    "outside_strings",
    "parse",
    "seal",
    "sorted_names",
]

MAX_DEPTH = 128
"""Levels of lists and objects that a body may have."""
MAX_VALUES = 50_000
"""Values that a body may have: members, elements, lists and objects.

To decode that many takes up to 10 ms, in which no other thread runs. A body of 4 MiB can have two million.
"""
_LONGEST_NUMBER = 1000
"""Digits of a number in a long body: reading and writing an integer takes time in the square of its digits."""
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_CONTAINERS = (dict, list)
_EXACT = 2**53
_INFINITE = (float("inf"), float("-inf"))

SLOT = msgspec.Raw(b"\x00")
"""Replaces a text that was taken out. JSON text cannot contain this byte, so a request cannot forge it."""
HASHED = b"\x01"
"""The mark before the hash that replaces a value; out of band as well."""


class Ambiguous(Exception):
    """The body has no canonical form: two parsers may read it differently, or it has too many values.

    ``reason`` is a reason code; the message does not quote the body.
    """

    def __init__(self, reason: Code) -> None:
        super().__init__(reason)
        self.reason = reason


def _literal(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


# A float is kept as its literal: encoders write a Raw unchanged, so 1.0 stays 1.0 and 1e2 stays 1e2.
_decode = msgspec.json.Decoder(float_hook=_literal).decode

in_order = msgspec.json.Encoder().encode
"""Encode a decoded value compactly, names in their order."""

sorted_names = msgspec.json.Encoder(order="sorted").encode
"""Encode a decoded value compactly, names sorted at every depth except inside sealed values."""


def parse(body: bytes) -> Any:
    """Decode a JSON body strictly: dict, list, str, int, bool, None, and ``msgspec.Raw`` for other number literals.

    Raises Ambiguous: ``ambiguous-json`` (malformed, NaN, a BOM, invalid UTF-8, a lone surrogate), ``ambiguous-depth``
    (more than 128 levels), ``ambiguous-duplicate`` (a name twice in one object, however it is escaped);
    ``body-too-complex`` (more than 50,000 values). The time it takes is in proportion to the length of the body.
    """
    if len(body) > MAX_VALUES:
        _check_amount(body)
    try:
        value = _decode(body)
    except RecursionError:
        raise Ambiguous("ambiguous-depth") from None
    except ValueError:
        raise Ambiguous("ambiguous-json") from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    return value if _is_faithful(value, body) else _parse_exactly(body)


def outside_strings(body: bytes) -> bytes | None:
    """Return JSON text without its strings: their quotes and what is between; None: it has over 100,000 of them.

    So its values can be counted before they are decoded.
    """
    if b"\\" in body:
        # From left to right, so that a quote after an escaped backslash remains one.
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    # A value has a name and a string at most, each in two quotes.
    return None if body.count(b'"') > 4 * MAX_VALUES else b"".join(body.split(b'"')[::2])


def _check_amount(body: bytes) -> None:
    plain = outside_strings(body)
    if plain is None or plain.count(b",") + plain.count(b"[") + plain.count(b"{") > MAX_VALUES:
        raise Ambiguous("body-too-complex")
    if has_long_number(plain):
        raise Ambiguous("ambiguous-json")


def has_long_number(plain: bytes) -> bool:
    """Say whether JSON without its strings has a number of more than 1,000 digits."""
    return b"0" * (_LONGEST_NUMBER + 1) in plain.translate(_DIGITS)


def _is_faithful(value: Any, body: bytes) -> bool:
    """Say whether encoding the value gives the received bytes, as it does for nearly every SDK.

    If so, decoding lost nothing: the decoder keeps only the last of two equal names, and reads -0 as 0.
    """
    try:
        plain = in_order(value)
    except OverflowError:
        return False  # An integer beyond 64 bits, in some releases; the exact parser keeps it as a literal.
    # White space between members may be lost. Escaped letters are never encoded the same, so they are not tried.
    return plain == body or (b"\\u" not in body and plain == msgspec.json.format(body, indent=-1))


def _check_depth(value: Any) -> None:
    level = [value]  # The containers at one depth.
    for _ in range(MAX_DEPTH):
        inside = (node.values() if type(node) is dict else node for node in level if type(node) in _CONTAINERS)
        level = [child for children in inside for child in children if type(child) in _CONTAINERS]
        if not level:
            return
    raise Ambiguous("ambiguous-depth")


def _integer(text: str) -> int | msgspec.Raw:
    # 18 digits always fit 64 bits; -0 is not 0.
    return int(text) if len(text) <= 18 and text != "-0" else _literal(text)


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise Ambiguous("ambiguous-duplicate")
    return found


def _no_constant(_: str) -> NoReturn:
    raise Ambiguous("ambiguous-json")


# The first decoder has validated strings: it refuses lone surrogates and invalid UTF-8, this one does not.
_exact = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_literal, parse_int=_integer, parse_constant=_no_constant
).decode


def _parse_exactly(body: bytes) -> Any:
    try:
        return _exact(body.decode())
    except RecursionError:
        raise Ambiguous("ambiguous-depth") from None
    except ValueError:
        raise Ambiguous("ambiguous-json") from None


def seal(value: Any) -> msgspec.Raw:
    """Fix a value's bytes with its names in order, so that sorting its container does not change it."""
    return msgspec.Raw(in_order(value))


def by_value(value: Any) -> Any:
    """Return a number in the form that compares by value (1, 1.0 and 1e0 are equal); other values unchanged.

    ``value`` comes from ``parse``: a Raw in it is always the literal of a number.
    """
    kind = type(value)
    if kind is msgspec.Raw:
        number = float(bytes(value))
    elif kind is int and -_EXACT < value < _EXACT:
        number = float(value)
    else:
        return value
    return value if number in _INFINITE else number + 0.0  # -0.0 + 0.0 is 0.0


def folded(names: Iterable[str]) -> Mapping[str, str]:
    """Return known names by their case-folded form, for ``check_names``."""
    return {name.casefold(): name for name in names}


def check_names(names: Collection[str], known: Mapping[str, str]) -> None:
    """Raise Ambiguous (``ambiguous-case``) if a name differs only in case from a known one, or from another one.

    Case folding, not lower-casing: U+212A (the Kelvin sign) folds to ``k``, and some parsers treat it as ``k``.
    """
    seen = set()
    for name in names:
        fold = name.casefold()
        if fold in seen or known.get(fold, name) != name:
            raise Ambiguous("ambiguous-case")
        seen.add(fold)
