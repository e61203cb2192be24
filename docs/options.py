"""Makes the table of a component's options: names, defaults, what they take, and their descriptions."""

from __future__ import annotations

from typing import Any

import msgspec

from semcache_core.config import describe


def fields(struct: type[msgspec.Struct]) -> tuple[msgspec.inspect.Field, ...]:
    """Return what msgspec knows about the options of a struct."""
    described = msgspec.inspect.type_info(struct)
    return described.fields if isinstance(described, msgspec.inspect.StructType) else ()


def description(kind: msgspec.inspect.Type) -> str:
    """Return the text of an option, or nothing where it has none."""
    while isinstance(kind, msgspec.inspect.Metadata):
        text = (kind.extra_json_schema or {}).get("description")
        if text:
            return str(text)
        kind = kind.type
    return ""


def options_table(struct: type[msgspec.Struct]) -> list[str]:
    """Return the table of a struct's options, or a sentence where it has none."""
    rows = [
        f"| `{field.encode_name}` | {_default(field)} "
        f"| {cell(describe.expected(field.type))} | {cell(description(field.type))} |"
        for field in fields(struct)
    ]
    if not rows:
        return ["It has no options."]
    return ["\n".join(["| option | default | takes | meaning |", "|---|---|---|---|", *rows])]


def _default(field: msgspec.inspect.Field) -> str:
    if field.required:
        return "needed"
    value = field.default if field.default is not msgspec.NODEFAULT else _made(field.default_factory)
    unit = describe.unit_of(field.type)
    if value is None and field.default is None and describe.takes_never(field.type):
        return "`never`"
    if value is None or value is msgspec.UNSET or value == ():
        return "none"
    if unit == "seconds":
        return f"`{_duration(float(value))}`"
    if unit == "bytes":
        return f"`{_size(int(value))}`"
    return f"`{msgspec.json.encode(value, enc_hook=str).decode()}`"


def _made(factory: Any) -> object:
    # An option whose default is UNSET is neither required nor has a default that msgspec shows.
    return None if factory is msgspec.NODEFAULT else factory()


def _duration(seconds: float) -> str:
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def _size(number: int) -> str:
    for unit, length in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number % length == 0:
            return f"{number // length} {unit}"
    return str(number)


def cell(text: str) -> str:
    """Return a text as a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")
