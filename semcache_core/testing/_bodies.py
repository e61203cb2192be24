"""Changes to a JSON request: each leaf of a body, one at a time, and bodies that are not JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import strategies as st

from semcache_core.types import Request

Path = tuple[str | int, ...]

MALFORMED: tuple[bytes, ...] = (
    b"",
    b" ",
    b"{",
    b"\x00",
    b"\xff\xfe{}",
    b'{"a": 1',
    b'{"a": 1}}',
    b"{'a': 1}",
    b"--boundary\r\n",
    b"\x1f\x8b\x08\x00",
)
UNUSUAL: tuple[bytes, ...] = (b"null", b"true", b"[]", b'"text"', b"1", b"{}", b'{"a": 1e999999}', b"[[], {}]")
"""JSON, but hardly a request: a protocol may accept it or not."""
DEEP = 10_000


def with_body(request: Request, body: bytes) -> Request:
    """Return the request with another body."""
    return msgspec.structs.replace(request, body=body)


def encoded(request: Request, value: Any, **style: Any) -> Request:
    """Return the request with ``value`` as its JSON body."""
    return with_body(request, json.dumps(value, ensure_ascii=False, **style).encode())


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield (path, value) of every leaf of a JSON value: not an object or list, or an empty one."""
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from leaves(member, (*path, name))
    elif isinstance(value, list) and value:
        for place, member in enumerate(value):
            yield from leaves(member, (*path, place))
    else:
        yield path, value


def objects(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every object in a JSON value, itself included."""
    members: Any = ()
    if isinstance(value, dict):
        yield path
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for name, member in members:
        yield from objects(member, (*path, name))


def dotted(path: Path) -> str:
    """Return a path as authors write it: ``messages.0.content``."""
    return ".".join(str(step) for step in path)


def at(value: Any, path: Path) -> Any:
    """Return the value at ``path``."""
    for step in path:
        value = value[step]
    return value


def replaced(value: Any, path: Path, new: Any) -> Any:
    """Return a copy of a JSON value with ``new`` at ``path``; missing objects are created."""
    copy = json.loads(json.dumps(value))
    *parents, last = path
    inner = copy
    for step in parents:
        if isinstance(inner, dict):
            inner.setdefault(step, {})
        inner = inner[step]
    inner[last] = new
    return copy


def removed(value: Any, path: Path) -> Any:
    """Return a copy of a JSON value without the value at ``path``."""
    copy = json.loads(json.dumps(value))
    *parents, last = path
    del at(copy, tuple(parents))[last]
    return copy


def other_values(value: Any) -> Iterator[Any]:
    """Yield values that no upstream confuses with ``value``: others of its type, one of another type, null."""
    match value:
        case bool():
            others: tuple[Any, ...] = (not value, int(value))
        case int() | float():
            others = (value + 1, str(value), bool(value))
        case str():
            # Another letter, another space, another case: each may have a meaning for an upstream.
            others = (value + "x", value + " ", value.swapcase(), "", [value])
        case None:
            others = (0, "")
        case _:
            others = ([1],)
    return (other for other in (*others, None) if json.dumps(other) != json.dumps(value))


def with_raw_member(body: Any, path: Path, member: str) -> bytes:
    """Return the body with ``member``, JSON text such as ``"a": 1``, as one more member of the object at ``path``."""
    mark = "semcache-kit-member"
    target = {**at(body, path), mark: 0}
    marked = replaced(body, path, target) if path else target
    return json.dumps(marked, ensure_ascii=False).replace(f'"{mark}": 0', member).encode("utf-8", "surrogatepass")


@st.composite
def broken_copies(draw: st.DrawFn, bodies: list[bytes]) -> bytes:
    """Draw a valid body with a few bytes changed, cut out, doubled or put in."""
    body = bytearray(draw(st.sampled_from(bodies)))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(body)))
        end = min(len(body), begin + draw(st.integers(0, 8)))
        match draw(st.sampled_from(("replace", "cut", "double", "token"))):
            case "replace":
                body[begin:end] = draw(st.binary(min_size=1, max_size=4))
            case "cut":
                del body[begin:end]
            case "double":
                body[begin:begin] = body[begin:end]
            case _:
                tokens = (
                    b"{",
                    b"}",
                    b"[",
                    b"]",
                    b",",
                    b":",
                    b'"',
                    b"\\",
                    b"null",
                    b"NaN",
                    b"-0",
                    b"1e400",
                    b"\xef\xbb\xbf",
                    b"\\ud800",
                )
                body[begin:begin] = draw(st.sampled_from(tokens))
    return bytes(body)
