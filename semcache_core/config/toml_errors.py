"""What to say of a file that is not TOML: ``tomllib`` names the line, and not the key that stands there twice."""

from __future__ import annotations

import re
import tomllib

_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_TWICE = ("Cannot overwrite a value", "Cannot declare", "Cannot mutate immutable namespace", "Cannot redefine")
_KEY = re.compile(r"""\s*((?:[\w.\- ]|"[^"]*"|'[^']*')+?)\s*=(?!=)""")
_HEADING = re.compile(r"\s*(\[\[?[^\]]+\]\]?)\s*(?:#.*)?$")


def wrong_toml(text: str, error: tomllib.TOMLDecodeError) -> str:
    """Return the error in one line; a key or a table that is given twice is named with its lines."""
    found = _LINE.search(str(error))
    lines = text.splitlines()
    if found is None or not str(error).startswith(_TWICE):
        return f"is not TOML: {error}"
    last = int(found[1]) if found[1] else len(lines)
    return _given_twice(lines, last) or f"is not TOML: {error}"


def _given_twice(lines: list[str], last: int) -> str | None:
    """Say what stands twice. Its second place ends in line ``last``: a value may have several lines."""
    for at in range(last, 0, -1):
        heading, key = _HEADING.match(lines[at - 1]), _KEY.match(lines[at - 1])
        if heading is not None:
            return _twice(f"the table {heading[1]}", at, _headings(lines[: at - 1], heading[1]))
        if key is not None:
            table, begins = _table_of(lines, at)
            return _twice(f"the key {key[1]!r}{table}", at, _keys(lines, begins, at, key[1]))
    return None


def _twice(what: str, at: int, before: int | None) -> str:
    first = "" if before is None else f"; first in line {before}"
    return f"line {at}: {what} is given twice{first}; keep one"


def _table_of(lines: list[str], at: int) -> tuple[str, int]:
    """Return the table in which a line stands, for the message, and its first line."""
    for above in range(at - 1, 0, -1):
        heading = _HEADING.match(lines[above - 1])
        if heading is not None:
            return f" in {heading[1]}", above
    return "", 0


def _headings(lines: list[str], wanted: str) -> int | None:
    found = ((at, _HEADING.match(line)) for at, line in enumerate(lines, 1))
    return next((at for at, heading in found if heading is not None and heading[1] == wanted), None)


def _keys(lines: list[str], begins: int, ends: int, wanted: str) -> int | None:
    found = ((at, _KEY.match(lines[at - 1])) for at in range(begins + 1, ends))
    return next((at for at, key in found if key is not None and key[1] == wanted), None)
