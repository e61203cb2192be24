"""The sources of a configuration: a mapping, a file overridden by the environment, or the environment alone."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec

from semcache_core.authoring.suggest import did_you_mean, listed, nearest
from semcache_core.config.convert import Variable
from semcache_core.config.problems import Problems, is_text
from semcache_core.config.toml_errors import wrong_toml
from semcache_core.errors import ConfigError
from semcache_core.settings import CacheOptions, HttpOptions, LimitOptions, Secret
from semcache_core.types import Quiet

FILE_NAME = "semcache.toml"
FILE_VARIABLE = "SEMCACHE_CONFIG"
PREFIX = "SEMCACHE_"
DEBUG_TOKEN_VARIABLE = "SEMCACHE_DEBUG_TOKEN"  # noqa: S105  the variable's name, not a token
OTHER_VARIABLES = (FILE_VARIABLE, DEBUG_TOKEN_VARIABLE)
"""Variables that semcache reads but that set no option."""

CORE_TABLES: dict[str, type[msgspec.Struct]] = {"semcache": CacheOptions, "http": HttpOptions, "limits": LimitOptions}
COMPONENT_TABLES = ("embedder", "vector_store", "response_store")
LIST_TABLES = ("key_extractors", "verifiers", "route", "normalise")
TABLES = (*CORE_TABLES, *COMPONENT_TABLES, *LIST_TABLES)
_DEEPEST = 32


@dataclass(frozen=True, slots=True, repr=False)
class Sources(Quiet):
    """The raw configuration: its tables, and the origin of each value.

    ``label`` names the whole: a file's name, ``configuration``, or ``defaults``. ``origins`` maps the key paths whose
    value comes from a variable to its ``$NAME``.
    """

    label: str
    tables: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    """The key paths whose value must not be shown."""
    notices: list[str] = field(default_factory=list)
    """Messages about settings that have no effect."""

    def place_of(self, path: str) -> str:
        """Return where the value at ``path`` was set."""
        return self.origins.get(path, self.label)


def read(source: str | PathLike[str] | Mapping[str, Any] | None, environ: Mapping[str, str]) -> Sources:
    """Return the raw configuration. Raises ConfigError: no file, not TOML, two files, missing or unknown variables."""
    if isinstance(source, Mapping):
        # The environment is ignored here: the settings of a test or a framework are complete.
        return _resolved(Sources("configuration", dict(source)), None)
    path = _file(source, environ)
    tables = {} if path is None else _parsed(path)
    label = "defaults" if path is None else str(path)
    return _overlaid(_resolved(Sources(label, tables), environ), environ)


def _file(source: str | PathLike[str] | None, environ: Mapping[str, str]) -> Path | None:
    named = {"the path that was passed": source, f"${FILE_VARIABLE}": environ.get(FILE_VARIABLE) or None}
    found = {who: Path(os.fsdecode(path)) for who, path in named.items() if path is not None}
    if source is None and Path(FILE_NAME).is_file():
        found["the working directory"] = Path(FILE_NAME)
    if len(found) > 1 and len({path.resolve() for path in found.values()}) > 1:
        told = " and ".join(f"{path} ({who})" for who, path in found.items())
        raise ConfigError(f"two configuration files: {told}; keep one, for example: unset {FILE_VARIABLE}")
    path = next(iter(found.values()), None)
    if path is not None and not is_text(str(path)):
        raise ConfigError(f"the path of the configuration, {str(path)!r}, has a byte that is not UTF-8")
    return path


def _parsed(path: Path) -> dict[str, Any]:
    text = ""
    try:
        # Editors on Windows prepend a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: is a folder; name the TOML file in it, as in {path / FILE_NAME}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {wrong_toml(text, error)}") from error
    except RecursionError:
        raise ConfigError(f"{path}: has brackets that are nested too deeply to be read") from None
    except ValueError as error:  # A number with thousands of digits.
        raise ConfigError(f"{path}: is not TOML that can be read: {error}") from error


def _resolved(sources: Sources, environ: Mapping[str, str] | None) -> Sources:
    """Replace every ``{ env = "NAME" }`` by a Secret."""
    problems = Problems(sources.place_of)

    def resolve(value: Any, path: str, depth: int = 0) -> Any:
        if depth > _DEEPEST:
            problems.add(path, f"is nested deeper than {_DEEPEST} levels, and no option is")
            return None
        match value:
            # A table of the configuration itself is never such a reference, whatever it contains.
            case {"env": str(name), **rest} if not rest and "." in path:
                return _secret(name, path)
            case Mapping():
                return {
                    str(name): resolve(item, f"{path}.{name}" if path else str(name), depth + 1)
                    for name, item in value.items()
                }
            case list() | tuple():
                return [resolve(item, f"{path}[{place}]", depth + 1) for place, item in enumerate(value)]
            case _:
                return value

    def _secret(name: str, path: str) -> Secret:
        if environ is None:
            problems.add(path, f"a mapping ignores the environment: pass the value of {name} itself")
        elif name not in environ:
            hint = did_you_mean(name, environ)
            problems.add(path, f"the environment variable {name} is not set{hint}")
        else:
            sources.origins[path] = f"${name}"
            sources.hidden.add(path)
            return Secret(environ[name])
        return Secret("")

    tables = resolve(sources.tables, "")
    problems.raise_any()
    return replace(sources, tables=tables)


def _overlaid(sources: Sources, environ: Mapping[str, str]) -> Sources:
    """Override scalars of the file by ``SEMCACHE_<TABLE>__<KEY>``."""
    problems = Problems(sources.place_of)
    tables = dict(sources.tables)
    for variable, table, key in _variables(environ):
        wrong = _refusal(table, key)
        if wrong is not None:
            problems.note(f"environment variable {variable}: {wrong}")
            continue
        # A component's options may be secrets, and only its plugin knows which.
        text = environ[variable]
        secret = table in COMPONENT_TABLES and key != "use"
        below = tables.get(table, {})
        if isinstance(below, Mapping):
            tables[table] = {**below, key: Secret(text) if secret else Variable(text)}
            sources.origins[f"{table}.{key}"] = f"${variable}"
            if secret:
                sources.hidden.add(f"{table}.{key}")
    problems.raise_any()
    sources.notices.extend(
        _meaningless(environ, named={origin.removeprefix("$") for origin in sources.origins.values()})
    )
    return replace(sources, tables=tables)


def _meaningless(environ: Mapping[str, str], *, named: Collection[str]) -> Iterator[str]:
    """Yield a message for each variable that looks like a setting but is none. ``named``: those the file refers to."""
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and "__" not in variable and variable not in (*named, *OTHER_VARIABLES):
            meant = _meant(variable)
            hint = f"; did you mean {meant}?" if meant else f"; settings are written {PREFIX}<TABLE>__<KEY>"
            shown = variable if is_text(variable) else ascii(variable)
            yield f"the environment variable {shown} means nothing{hint}"


def _meant(variable: str) -> str | None:
    """Return the variable that was probably meant: the table is missing, one underscore for two, or a typo."""
    said = variable.removeprefix(PREFIX).lower()
    paths = [
        (table, option.encode_name) for table, kind in CORE_TABLES.items() for option in msgspec.structs.fields(kind)
    ]
    paths += [(table, "use") for table in COMPONENT_TABLES]
    names = {f"{table}_{key}": f"{PREFIX}{table}__{key}".upper() for table, key in paths}
    bare = {key: names[f"{table}_{key}"] for table, key in reversed(paths)}
    for table in COMPONENT_TABLES:
        if said.startswith(f"{table}_"):
            return f"{PREFIX}{table}__{said.removeprefix(f'{table}_')}".upper()
    known = {**names, **bare, **{name.removeprefix(PREFIX).lower(): name for name in OTHER_VARIABLES}}
    near = nearest(said, known)
    return None if near is None else known[near]


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for variable in sorted(environ):
        table, separator, key = variable.removeprefix(PREFIX).partition("__")
        if variable.startswith(PREFIX) and separator:
            yield variable, table.lower(), key.lower()


def _refusal(table: str, key: str) -> str | None:
    """Return why a variable sets nothing; None if it is valid."""
    if table in COMPONENT_TABLES:
        return None
    if table not in CORE_TABLES:
        if table in LIST_TABLES:
            return f"[{table}] cannot be set by a variable, only scalars can; write it in the file"
        return f"there is no table [{table}]{did_you_mean(table, TABLES) or '; tables: ' + listed(TABLES)}"
    keys = [option.encode_name for option in msgspec.structs.fields(CORE_TABLES[table])]
    if key not in keys:
        return f"there is no option {table}.{key}{did_you_mean(key, keys) or '; known: ' + listed(keys)}"
    return None
