"""Writes the reference pages from the code, while mkdocs builds: what they say is what runs.

Each page is made of docstrings, option descriptions and defaults. ``tests/core/docs/test_reference.py`` fails where
one is missing.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from semcache_core import authoring, errors, hookspecs, protocols, reasons, remedies, settings
from semcache_core.config import describe
from semcache_core.runtime.registry import KINDS, NOUNS, Registry

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

TABLES = (
    ("[semcache]", settings.CacheOptions),
    ("[http]", settings.HttpOptions),
    ("[http.jwt]", settings.JwtOptions),
    ("[limits]", settings.LimitOptions),
    ("[[route]]", settings.RouteOptions),
    ("[[route]] compare = {...}", settings.Compare),
    ("[[normalise]]", settings.Normalise),
)

KIND_TITLES: dict[reasons.Kind, str] = {
    "hit": "Hits",
    "miss": "Misses",
    "bypass": "Bypasses",
    "unstored": "Answers that are not stored",
}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages (called by mkdocs)."""
    from mkdocs.structure.files import File

    for name, page in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    return files


def configuration() -> str:
    """Return the page of every option: of the core's tables, then of every installed component."""
    lines = [
        "# Configuration",
        "Every table and option of `semcache.toml`. A mapping given to `SemanticCache.from_config` has the same form. "
        "Over a file, `SEMCACHE_<TABLE>__<KEY>` sets a single value. A secret is best written as a reference, "
        '`{ env = "NAME" }`. `semcache check FILE` prints what would run, every default included.',
    ]
    for title, table in TABLES:
        lines += [f"## `{title}`", _sentence(_paragraphs(table).partition(": ")[2]), *options_table(table)]
    for kind, name, summary, factory in components():
        lines += [
            f"## `{name}`, {_article(NOUNS[kind])}",
            _sentence(f"{summary}."),
            *options_table(factory.Options),
        ]
        own = getattr(factory, "RouteOptions", None)
        if own is not None:
            lines += [f"### `[[route]] {name} = {{...}}`", *options_table(own)]
    return "\n\n".join(lines) + "\n"


def hooks() -> str:
    """Return the page of every hook, in the order in which ``hookspecs.py`` has them."""
    lines = ["# Hooks", _paragraphs(hookspecs)]
    for name, hook in hook_functions():
        lines += [f"## `{name}`", _code(_signature(name, hook)), _paragraphs(hook)]
    return "\n\n".join(lines) + "\n"


def protocol_page() -> str:
    """Return the page of every protocol, with its methods and what they promise."""
    lines = ["# Protocols", _paragraphs(protocols)]
    for name, protocol in _classes(protocols):
        lines += [f"## `{name}`", _paragraphs(protocol)]
        for member, function in vars(protocol).items():
            target = function.fget if isinstance(function, property) else function
            if inspect.isfunction(target) and not member.startswith("_"):
                lines += [f"### `{name}.{member}`", _code(_signature(member, function)), _paragraphs(target)]
    return "\n\n".join(lines) + "\n"


def authoring_page() -> str:
    """Return the page of the helpers for authors: every public class with its methods, function and constant."""
    lines = ["# Authoring", _paragraphs(authoring)]
    for module in authoring_modules():
        lines += [f"## `{module.__name__}`", _paragraphs(module)]
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value):
                lines += [f"### `{name}`", _code(_class_line(name, value)), _paragraphs(value)]
                for member, function in public_methods(value):
                    lines += [f"#### `{name}.{member}`", _code(_signature(member, function)), _paragraphs(function)]
            elif inspect.isfunction(value):
                lines += [f"### `{name}`", _code(_signature(name, value)), _paragraphs(value)]
            else:
                lines += [f"### `{name}`", constants(module)[name]]
    return "\n\n".join(lines) + "\n"


def authoring_modules() -> list[ModuleType]:
    """Return the modules of the helpers for authors."""
    found = pkgutil.iter_modules(authoring.__path__, f"{authoring.__name__}.")
    return [*(importlib.import_module(each.name) for each in found), remedies]


def public_methods(kind: type) -> list[tuple[str, Any]]:
    """Return the methods and properties of a class that its users call, in order."""
    members = ((name, value) for name, value in vars(kind).items() if not name.startswith("_"))
    return [(name, value) for name, value in members if inspect.isfunction(value) or isinstance(value, property)]


def constants(module: ModuleType) -> dict[str, str]:
    """Return the text below each assignment of a module: what documents a constant."""
    found = {}
    for statement, text in pairwise(ast.parse(inspect.getsource(module)).body):
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
            found |= {
                target.id: inspect.cleandoc(text.value.value).replace("``", "`")
                for target in targets
                if isinstance(target, ast.Name)
            }
    return found


def error_page() -> str:
    """Return the page of every exception."""
    lines = ["# Errors", _paragraphs(errors)]
    for name, error in _classes(errors):
        lines += [f"## `{name}`", _paragraphs(error)]
    return "\n\n".join(lines) + "\n"


def reason_page() -> str:
    """Return the page of every reason code: the core's by kind, then those that installed components list."""
    lines = ["# Reason codes", _paragraphs(reasons)]
    for outcome, title in KIND_TITLES.items():
        lines += [f"## {title}", _reasons(each for each in reasons.REASONS.values() if each.kind == outcome)]
    registry = Registry.installed()
    for kind in KINDS:
        for offer in registry.offers(kind):
            if offer.component.reasons:
                title = f"## `{offer.component.name}`, {_article(NOUNS[kind])}"
                lines += [title, _reasons(offer.component.reasons)]
    return "\n\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "configuration": configuration,
    "hooks": hooks,
    "protocols": protocol_page,
    "errors": error_page,
    "authoring": authoring_page,
    "reasons": reason_page,
}


def hook_functions() -> list[tuple[str, Callable[..., Any]]]:
    """Return every hook specification, in order."""
    return [(name, hook) for name, hook in vars(hookspecs).items() if name.startswith("semcache_")]


def components() -> Iterator[tuple[str, str, str, Any]]:
    """Yield kind, name, summary and factory of every installed component that has options."""
    registry = Registry.installed()
    for kind in KINDS:
        if kind != "commands":
            for offer in registry.offers(kind):
                yield kind, offer.component.name, offer.component.summary, registry.load(kind, offer.component.name)


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
        f"| {_cell(describe.expected(field.type))} | {_cell(description(field.type))} |"
        for field in fields(struct)
    ]
    if not rows:
        return ["It has no options."]
    return ["\n".join(["| option | default | takes | meaning |", "|---|---|---|---|", *rows])]


def _reasons(listed: Iterable[reasons.Reason]) -> str:
    rows = [f"| `{each.code}` | {_cell(each.sentence)} | {_cell(each.remedy)} |" for each in listed]
    return "\n".join(["| code | what it means | what to do |", "|---|---|---|", *rows])


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


def _classes(module: Any) -> list[tuple[str, type]]:
    found = [(name, value) for name, value in vars(module).items() if inspect.isclass(value)]
    return [(name, value) for name, value in found if value.__module__ == module.__name__]


def _signature(name: str, function: Any) -> str:
    if isinstance(function, property):
        return f"{name} -> {inspect.signature(function.fget).return_annotation}"
    begin = "async def" if inspect.iscoroutinefunction(function) else "def"
    return f"{begin} {name}{inspect.signature(function)}".replace("'", "")


def _class_line(name: str, kind: type) -> str:
    """Return how a class is made, with its defaults; fields with an underscore are its own business."""
    if issubclass(kind, Exception):
        return f"class {name}(Exception)"
    signature = inspect.signature(kind)
    told = [each for each in signature.parameters.values() if not each.name.startswith("_")]
    made = signature.replace(parameters=told, return_annotation=inspect.Signature.empty)
    # Where a type comes from is told by the page of its own.
    return re.sub(r"\b(?:\w+\.)+(?=[A-Z])", "", f"class {name}{made}").replace("'", "")


def _paragraphs(documented: Any) -> str:
    """Return a docstring as Markdown: double backquotes become single ones, indented text stays a code block."""
    text = inspect.cleandoc(documented.__doc__ or "")
    return text.replace("``", "`").replace("::\n", ":\n")


def _code(text: str) -> str:
    return f"```python\n{textwrap.dedent(text)}\n```"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
