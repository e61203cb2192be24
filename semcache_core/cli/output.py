"""The output of the commands: aligned tables, and values in the form of a configuration file."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence

from msgspec import UNSET, inspect
from rich import box
from rich.console import Console
from rich.table import Table

from semcache_core.config.describe import holds_secret, takes_never, unit_of
from semcache_core.reasons import Reason
from semcache_core.settings import Secret

_DURATIONS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"), (0.001, "ms"))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_WIDE = 200


def console() -> Console:
    """Return a console for standard output; if that is not a terminal, lines are not wrapped."""
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else _WIDE)


def table(*columns: str) -> Table:
    """Return an empty table."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def add_rows(made: Table, rows: Sequence[Sequence[str]]) -> Table:
    """Add rows of plain text: square brackets are not markup."""
    for row in rows:
        made.add_row(*(cell.replace("[", r"\[") for cell in row))
    return made


def meaning(reasons: Mapping[str, Reason], code: str) -> str:
    """Return the meaning and remedy of a reason code; empty for an unknown one."""
    reason = reasons.get(code)
    return "" if reason is None else f"{reason.sentence} To do: {reason.remedy}"


def reason_rows(reasons: Mapping[str, Reason], code: str) -> list[tuple[str, str]]:
    """Return the meaning and remedy as two rows; none for an unknown code."""
    reason = reasons.get(code)
    return [] if reason is None else [("that is", reason.sentence), ("to do", reason.remedy)]


def value_text(value: object, kind: inspect.Type | None = None) -> str:
    """Return a value in the form of a configuration file; a secret is masked, an absent value is "(none)"."""
    if isinstance(value, Secret) or (kind is not None and value is not None and holds_secret(kind)):
        return str(Secret(""))
    if value is None and kind is not None and takes_never(kind):
        return '"never"'
    if value is None or value is UNSET:
        return "(none)"
    unit = unit_of(kind) if kind is not None else None
    if unit == "seconds" and isinstance(value, int | float):
        return duration_text(value)
    if unit == "bytes" and isinstance(value, int):
        return size_text(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, tuple | list):
        return f"[{', '.join(value_text(item) for item in value)}]"
    if isinstance(value, str | bool):
        # A password in a URL whose option is not a Secret.
        return re.sub(r"(://[^/@\s:]*:)[^/@\s]+@", rf"\1{Secret('')}@", json.dumps(value, ensure_ascii=False))
    return str(value)


def duration_text(seconds: float) -> str:
    """Return ``"7d"``, ``"1.5h"`` or ``0``: the largest unit that gives a short number."""
    if seconds == 0:
        return "0"
    for size, unit in _DURATIONS:
        count = seconds / size
        if count >= 1 and f"{count:.6g}" == f"{count:.1f}".removesuffix(".0"):
            return f'"{count:g}{unit}"'
    return f"{seconds:g}"


def size_text(size: int) -> str:
    """Return ``"4 MiB"``, or the plain number if no unit divides it."""
    for factor, unit in _SIZES:
        if size >= factor and size % factor == 0:
            return f'"{size // factor} {unit}"'
    return str(size)
