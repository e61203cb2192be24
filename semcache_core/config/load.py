"""Builds a ``Config`` from its sources: every table is validated, all mistakes are raised together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, TypeVar

import msgspec

from semcache_core.authoring.suggest import did_you_mean, listed
from semcache_core.config.convert import to_struct
from semcache_core.config.invalid import invalid
from semcache_core.config.model import Choice, Config, ExtractorChoices, OwnTable
from semcache_core.config.problems import Problems, is_text
from semcache_core.config.reachable import unreachable
from semcache_core.config.sources import COMPONENT_TABLES, CORE_TABLES, PREFIX, TABLES, Sources, read
from semcache_core.settings import CacheOptions, HttpOptions, LimitOptions, Normalise, RouteOptions, Secret

S = TypeVar("S", bound=msgspec.Struct)

DEFAULT_STORE = "sqlite"
DEFAULT_VERIFIERS = ("text-guard",)
"""Used if it is installed; without a verifier only equal requests match."""
ROUTE_OPTIONS = frozenset(field.encode_name for field in msgspec.structs.fields(RouteOptions))
# Only for a better error message when one of these is set as a core option: it names the owner.
EXTRACTORS_OWN = {
    **dict.fromkeys(("text", "ignore", "methods"), "json"),
    **dict.fromkeys(("tool_calls", "finish_reasons", "usage_on_hit"), "openai-chat"),
}


def load(
    source: str | PathLike[str] | Mapping[str, Any] | None = None, *, environ: Mapping[str, str] | None = None
) -> Config:
    """Return the configuration of a TOML file or of a mapping of the same form.

    Without ``source``: the file named by ``SEMCACHE_CONFIG``, else ``semcache.toml`` in the working directory, else
    all defaults. Variables ``SEMCACHE_<TABLE>__<KEY>`` override scalars of a file; a mapping ignores the environment.
    ``environ`` defaults to that of the process. Raises ConfigError with every mistake, each with its key path.
    """
    sources = read(source, os.environ if environ is None else environ)
    return _Loader(sources).config()


class _Loader:
    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.tables = sources.tables
        self.problems = Problems(sources.place_of)

    def config(self) -> Config:
        self._check_texts(self.tables, "")
        # What is no text fails wherever it is used: nothing else is looked at.
        self.problems.raise_any()
        for name in self.tables:
            if name not in TABLES:
                self.problems.add(name, _no_table(name))
        cache = self._core("semcache", CacheOptions)
        http = self._core("http", HttpOptions)
        limits = self._core("limits", LimitOptions)
        single = {name: self._single(name) for name in COMPONENT_TABLES}
        key_extractors = self._extractors()
        verifiers = self._several("verifiers", DEFAULT_VERIFIERS)
        routes, own_tables = self._routes()
        normalise = self._list("normalise", Normalise)
        for path, told in (*unreachable(cache, http, routes), *invalid(http, routes, normalise)):
            self.problems.add(path, told)
        self.problems.raise_any()
        return Config(
            label=self.sources.label,
            cache=cache,
            http=http,
            limits=limits,
            embedder=single["embedder"],
            vector_store=single["vector_store"] or _default_store("vector_store"),
            response_store=single["response_store"] or _default_store("response_store"),
            key_extractors=key_extractors,
            verifiers=verifiers,
            routes=routes,
            own_tables=own_tables,
            normalise=normalise,
            given=frozenset(_paths(self.tables, "")),
            origins=self.sources.origins,
            hidden=frozenset(self.sources.hidden),
            notices=tuple(self.sources.notices),
        )

    def _check_texts(self, value: Any, path: str) -> None:
        match value:
            case Mapping():
                for name, item in value.items():
                    self._check_texts(str(name), path)
                    self._check_texts(item, f"{path}.{name}" if path else str(name))
            case list() | tuple():
                for place, item in enumerate(value):
                    self._check_texts(item, f"{path}[{place}]")
            case str() | Secret():
                if not is_text(value if isinstance(value, str) else value.reveal()):
                    self.problems.add(path, "is not text: it has a byte that is not UTF-8, or a NUL")

    def _core(self, name: str, kind: type[S]) -> S:
        # After a mistake use the defaults, only to find the remaining mistakes.
        table = self._without_extractors_own(name, self._table(name), under="[key_extractors] ")
        return to_struct(kind, table, path=name, problems=self.problems) or kind()

    def _table(self, name: str) -> Any:
        return self.tables.get(name, {})

    def _single(self, name: str) -> Choice | None:
        """Read a table such as ``[embedder]``; None if it is absent."""
        table = self._table(name)
        if name not in self.tables:
            return None
        if not isinstance(table, Mapping):
            self.problems.add(name, 'expected a table, for example use = "name"')
            return None
        use = _name(table.get("use"))
        if not isinstance(use, str) or not use:
            near = did_you_mean("use", [key for key in table if key != "use"])
            wrong = "is missing" if "use" not in table else "is no name"
            variables = [self.sources.origins.get(f"{name}.{key}", "") for key in table]
            own = f"{PREFIX}{name.upper()}__"
            if any(origin.startswith(f"${own}") for origin in variables):
                near += f"; a variable sets an option of it: name the component, too, for example by {own}USE"
            self.problems.add(f"{name}.use", f"{wrong}: expected the name of an installed component{near}")
            return None
        options = {key: value for key, value in table.items() if key != "use"}
        return Choice(use=use, path=name, named_at=f"{name}.use", options=options)

    def _several(self, name: str, default: tuple[str, ...]) -> tuple[Choice, ...]:
        """Read ``[verifiers]``: a list of names, and an options table for any of them."""
        table = self._table_of_several(name)
        use = self._names(table, f"{name}.use", default)
        options = {key: value for key, value in table.items() if key != "use"}
        self._check_owners(name, options, use)
        return tuple(self._one_of_several(name, "use", each, options) for each in use)

    def _extractors(self) -> ExtractorChoices:
        """Read ``[key_extractors]``: ``use`` replaces the installed ones; ``add`` adds to either."""
        table = self._table_of_several("key_extractors")
        use, add = (self._names(table, f"key_extractors.{key}", ()) for key in ("use", "add"))
        options = {key: value for key, value in table.items() if key not in ("use", "add")}
        implied = "use" not in table
        if not implied:  # Otherwise the registry has the list, and assembly reads it.
            self._check_owners("key_extractors", options, (*use, *add))
        for name in [name for name, own in options.items() if not _is_table(own)]:
            self.problems.add(f"key_extractors.{name}", "expected a table of its options")
            del options[name]
        named = [("use", each) for each in use] + [("add", each) for each in add if each not in use]
        choices = tuple(self._one_of_several("key_extractors", key, each, options) for key, each in named)
        return ExtractorChoices(named=choices, implied=implied, options=options)

    def _table_of_several(self, name: str) -> Mapping[str, Any]:
        table = self._table(name)
        if isinstance(table, Mapping):
            return table
        self.problems.add(name, 'expected a table, for example use = ["name"]')
        return {"use": ()}

    def _names(self, table: Mapping[str, Any], path: str, default: tuple[str, ...]) -> tuple[str, ...]:
        named = table.get(path.rpartition(".")[2], default)
        is_list = isinstance(named, list | tuple)
        use = [known for each in named if (known := _name(each)) is not None] if is_list else []
        if not is_list or len(use) != len(named):
            self.problems.add(path, 'expected a list of names, for example ["name"]')
            return ()
        twice = next((each for each in use if use.count(each) > 1), None)
        if twice is not None:
            self.problems.add(path, f"names {twice!r} twice; keep one")
        return tuple(use)

    def _check_owners(self, table: str, options: Mapping[str, Any], use: Sequence[str]) -> None:
        for key in options:
            if key not in use and key not in {_bare(each) for each in use}:
                hint = did_you_mean(key, use) or f"; in use: {listed(use)}"
                self.problems.add(f"{table}.{key}", f"options of a component that {table}.use does not name{hint}")

    def _one_of_several(self, table: str, named_in: str, use: str, options: Mapping[str, Any]) -> Choice:
        key = use if use in options else _bare(use)
        path = f"{table}.{key}"
        own = options.get(key, {})
        if not isinstance(own, Mapping):
            self.problems.add(path, "expected a table of its options")
            own = {}
        return Choice(use=use, path=path, named_at=f"{table}.{named_in}", options=own)

    def _routes(self) -> tuple[tuple[RouteOptions, ...], tuple[OwnTable, ...]]:
        """Read each ``[[route]]``: the core's options, and a table for each key extractor that it configures."""
        routes, own_tables = [], []
        for place, table in enumerate(self._tables("route")):
            path = f"route[{place}]"
            own = {key: value for key, value in table.items() if _is_own(key, value)} if _is_table(table) else {}
            rest = {key: value for key, value in table.items() if key not in own} if own else table
            rest = self._without_extractors_own(path, rest)
            route = to_struct(RouteOptions, rest, path=path, problems=self.problems)
            if route is not None:
                routes.append(route)
                own_tables += [
                    OwnTable(extractor=str(name), route=route.path, path=f"{path}.{name}", options=options)
                    for name, options in own.items()
                ]
        return tuple(routes), tuple(own_tables)

    def _without_extractors_own(self, path: str, table: Any, *, under: str = "") -> Any:
        """Return ``table`` without the options of a key extractor; note where they belong."""
        own = [key for key in table if key in EXTRACTORS_OWN] if _is_table(table) else []
        for key in own:
            name = EXTRACTORS_OWN[key]
            remedy = f"{under}{name} = {{ {key} = {_as_toml(table[key])} }}"
            self.problems.add(f"{path}.{key}", f"is an option of the key extractor {name!r}: write {remedy}")
        return {key: value for key, value in table.items() if key not in own} if own else table

    def _tables(self, name: str) -> Sequence[Any]:
        tables = self.tables.get(name, [])
        if isinstance(tables, list | tuple):
            return tables
        self.problems.add(name, f"expected a list of tables: write [[{name}]]")
        return ()

    def _list(self, name: str, kind: type[S]) -> tuple[S, ...]:
        made = [
            to_struct(kind, table, path=f"{name}[{place}]", problems=self.problems)
            for place, table in enumerate(self._tables(name))
        ]
        return tuple(each for each in made if each is not None)


def _no_table(name: str) -> str:
    for table, kind in CORE_TABLES.items():
        if any(option.encode_name == name for option in msgspec.structs.fields(kind)):
            # The keys of a TOML file before its first heading.
            return f"is an option of [{table}]: write it below that line"
    return f"unknown table{did_you_mean(name, TABLES) or f'; tables: {listed(TABLES)}'}"


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_own(key: object, value: object) -> bool:
    """Say whether a member of a route is a table for a key extractor; only the registry knows which one exists."""
    return isinstance(value, Mapping) and isinstance(key, str) and key not in ROUTE_OPTIONS


def _as_toml(value: object) -> str:
    """Return a value as TOML; only values that JSON and TOML write alike occur here."""
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return "..."


def _default_store(table: str) -> Choice:
    return Choice(use=DEFAULT_STORE, path=table, named_at=f"{table}.use", options={})


def _name(value: object) -> str | None:
    """Return a component's name, which may come from a variable; None if it is not a name."""
    if isinstance(value, Secret):
        return value.reveal()
    return str(value) if isinstance(value, str) else None


def _bare(use: str) -> str:
    return use.rpartition("/")[2]


def _paths(value: object, path: str) -> Iterator[str]:
    if path:
        yield path
    match value:
        case Mapping():
            for name, item in value.items():
                yield from _paths(item, f"{path}.{name}" if path else str(name))
        case list() | tuple():
            for place, item in enumerate(value):
                yield from _paths(item, f"{path}[{place}]")
