"""Writes the reference pages from the code, while mkdocs builds: what they say is what runs.

Each page is made of docstrings, option descriptions and defaults. ``tests/core/docs/test_reference.py`` fails where
one is missing.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from documented import (
    Attribute,
    assignment,
    attributes,
    class_line,
    constants,
    docstring,
    instance_attributes,
    public_methods,
    signature,
)
from options import cell, options_table

import semcache_core
from semcache_core import authoring, errors, hookspecs, plugin, protocols, reasons, remedies, settings, types
from semcache_core.library.blocking import BlockingCache
from semcache_core.library.fetch import CallOptions
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

BASES = ("Entity", "Struct", "Table", "once", "T")
"""Names of the types' modules that hold no data of their own."""
RETURNED = (semcache_core.Lookup, semcache_core.Stats, BlockingCache, CallOptions)
"""What a program gets from the cache and never makes."""
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
        lines += [f"## `{title}`", _sentence(docstring(table).partition(": ")[2]), *options_table(table)]
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
    lines = ["# Hooks", docstring(hookspecs)]
    for name, hook in hook_functions():
        lines += [f"## `{name}`", _code(signature(name, hook)), docstring(hook)]
    return "\n\n".join(lines) + "\n"


def protocol_page() -> str:
    """Return the page of every protocol, with its methods and what they promise."""
    lines = ["# Protocols", docstring(protocols)]
    for name, protocol in _classes(protocols):
        if not attributes(protocol):
            lines += [f"## `{name}`", docstring(protocol), *_methods(name, protocol, "###")]
    return "\n\n".join(lines) + "\n"


def python_page() -> str:
    """Return the page of what a Python program uses: every name of the package, and the blocking calls."""
    lines = ["# Python", "```python\nfrom semcache_core import SemanticCache, cached, DoNotCache\n```"]
    for name, value in python_names():
        made = class_line(name, value) if inspect.isclass(value) else signature(name, value)
        shown = [] if inspect.isclass(value) and value in RETURNED else [_code(made)]
        lines += [f"## `{name}`", *shown, docstring(value)]
        if inspect.isclass(value):
            own = getattr(value, "__init__", None)
            lines += [docstring(own)] if inspect.isfunction(own) and own.__doc__ else []
            lines += fields_table(attributes(value))
            for each in instance_attributes(value):
                lines += [f"### `{name}.{each.name}`", each.meaning]
            lines += _methods(name, value, "###")
    return "\n\n".join(lines) + "\n"


def python_names() -> list[tuple[str, Any]]:
    """Return what a Python program uses, by the name under which it is met."""
    first = ("SemanticCache", "cached")
    names = [*first, *(name for name in semcache_core.__all__ if name not in first)]
    return [
        *((name, getattr(semcache_core, name)) for name in names),
        ("SemanticCache.sync", BlockingCache),
        ("CallOptions", CallOptions),
    ]


def types_page() -> str:
    """Return the page of the values that pass between the core and a component, with every field."""
    lines = ["# Types", docstring(types)]
    for module, names in type_names():
        lines += [f"## `{module.__name__}`"]
        for name in names:
            value = vars(module)[name]
            if not inspect.isclass(value):
                alias = constants(module)[name]
                lines += [f"### `{name}`", _code(assignment(alias)), alias.meaning]
                continue
            bases = [base.__name__ for base in value.__bases__ if base.__module__ == module.__name__]
            based = [f"Extends `{bases[0]}`."] if bases and bases[0] not in ("Struct", "Options") else []
            lines += [f"### `{name}`", *based, docstring(value)]
            lines += [*fields_table(attributes(value)), *_methods(name, value, "####")]
    return "\n\n".join(lines) + "\n"


def type_names() -> list[tuple[ModuleType, list[str]]]:
    """Return the modules of the authors' types, each with the names that the page has."""
    tables = {table for _, table in TABLES}
    in_types = [name for name in _public(types) if name not in BASES]
    in_settings = [name for name in _public(settings) if vars(settings)[name] not in tables and name not in BASES]
    in_protocols = [name for name, kind in _classes(protocols) if attributes(kind)]
    return [
        (types, in_types),
        (protocols, in_protocols),
        (settings, in_settings),
        (plugin, ["Component"]),
        (reasons, ["Reason", "Kind", "Code", "OwnCode"]),
    ]


def authoring_page() -> str:
    """Return the page of the helpers for authors: every public class with its methods, function and constant."""
    lines = ["# Authoring", docstring(authoring)]
    for module in authoring_modules():
        lines += [f"## `{module.__name__}`", docstring(module)]
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value):
                lines += [f"### `{name}`", _code(class_line(name, value)), docstring(value)]
                lines += _methods(name, value, "####")
            elif inspect.isfunction(value):
                lines += [f"### `{name}`", _code(signature(name, value)), docstring(value)]
            else:
                lines += [f"### `{name}`", constants(module)[name].meaning]
    return "\n\n".join(lines) + "\n"


def authoring_modules() -> list[ModuleType]:
    """Return the modules of the helpers for authors."""
    found = pkgutil.iter_modules(authoring.__path__, f"{authoring.__name__}.")
    return [*(importlib.import_module(each.name) for each in found), remedies]


def error_page() -> str:
    """Return the page of every exception."""
    lines = ["# Errors", docstring(errors)]
    for name, error in _classes(errors):
        lines += [f"## `{name}`", docstring(error)]
    return "\n\n".join(lines) + "\n"


def reason_page() -> str:
    """Return the page of every reason code: the core's by kind, then those that installed components list."""
    lines = ["# Reason codes", docstring(reasons)]
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
    "types": types_page,
    "python": python_page,
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


def _reasons(listed: Iterable[reasons.Reason]) -> str:
    rows = [f"| `{each.code}` | {cell(each.sentence)} | {cell(each.remedy)} |" for each in listed]
    return "\n".join(["| code | what it means | what to do |", "|---|---|---|", *rows])


def fields_table(found: list[Attribute]) -> list[str]:
    """Return the table of a class's fields, or nothing where it has none."""
    rows = [
        f"| `{each.name}` | `{each.type}` | {f'`{each.default}`' if each.default else ''} | {cell(each.meaning)} |"
        for each in found
    ]
    return ["\n".join(["| field | type | default | meaning |", "|---|---|---|---|", *rows])] if rows else []


def _methods(owner: str, kind: type, heading: str) -> list[str]:
    lines = []
    for name, function in public_methods(kind):
        lines += [f"{heading} `{owner}.{name}`", _code(signature(name, function)), docstring(function)]
    return lines


def _public(module: ModuleType) -> list[str]:
    """Return the names that a module defines, classes and documented assignments, in order."""
    classes = {name for name, _ in _classes(module)}
    return [name for name in vars(module) if name in classes or (name in constants(module) and name[0] != "_")]


def _classes(module: Any) -> list[tuple[str, type]]:
    found = [(name, value) for name, value in vars(module).items() if inspect.isclass(value)]
    return [(name, value) for name, value in found if value.__module__ == module.__name__]


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
