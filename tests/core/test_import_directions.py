"""Who may import whom. The core is read where it is installed; plugins and integrations where their sources are."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import semcache_core

CORE = Path(semcache_core.__file__).parent
REPOSITORY = Path(__file__).parents[2]
OUTSIDE = sorted(path for kind in ("plugins", "integrations") for path in (REPOSITORY / kind).glob("*/src/*"))

DEPENDENCIES = {"pluggy", "numpy", "msgspec"}
EXTRA = {"cli": {"click", "rich"}, "testing": {"pytest", "hypothesis"}}
OPTIONAL = {"semcache_core.http.coding": {"brotli", "zstandard"}, "semcache_core.keys.jwt": {"jwt"}}
"""Used where they are installed, and done without, or asked for by name, where they are not."""

SANS_IO = (
    *("types", "errors", "settings", "recent", "protocols", "decide", "freshness", "wire", "values"),
    *("keys", "extractors"),
    *(
        f"http.{name}"
        for name in ("headers", "sse", "coding", "directives", "status", "exchange", "recording", "replay")
    ),
)
"""Rules, not doing: time, randomness, the environment and the loop come in by the front door."""
DOING = {
    *("asyncio", "time", "os", "socket", "threading", "logging", "random", "secrets", "sqlite3", "subprocess"),
    *("pathlib", "datetime", "uuid", "queue", "concurrent", "select", "ssl", "tempfile", "shutil", "signal", "atexit"),
}
BELOW = (
    "types",
    "errors",
    "settings",
    "recent",
    "protocols",
    "plugin",
    "hookspecs",
    "keys",
    "decide",
    "freshness",
    "wire",
    "values",
)
ABOVE = (
    *(
        "config",
        "registry",
        "observe",
        "flights",
        "engine",
        "neighbours",
        "turn",
        "opening",
        "cache",
        "sync",
        "functions",
    ),
    *("cli", "http", "builtin"),
)
PUBLIC = {
    "semcache_core": {"SemanticCache", "Lookup", "Stats", "DoNotCache", "cached"},
    "semcache_core.cache": {"SemanticCache", "Lookup"},
    "semcache_core.errors": None,
    "semcache_core.plugin": None,
    "semcache_core.protocols": None,
    "semcache_core.settings": None,
    "semcache_core.types": None,
    "semcache_core.http.asgi": {"SemanticCacheASGI"},
    "semcache_core.http.headers": {"HOP_BY_HOP"},
    "semcache_core.http.site": {"Place"},
    "semcache_core.http.status": {"may_debug"},
}
"""What distributions of the repository besides the core may import of it; None: every name without an underscore."""


@dataclass(frozen=True)
class Import:
    """One import statement's target: a module, and the name taken from it if there is one."""

    module: str
    name: str | None
    at_start: bool
    """It runs when the importing module is loaded, not when a function of it is called."""


@dataclass(frozen=True)
class Module:
    """A source file and what it imports, what only type checkers see left out."""

    name: str
    imports: tuple[Import, ...]


def modules(folder: Path, package: str) -> list[Module]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = [package, *path.relative_to(folder).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        around = name if is_package else name.rpartition(".")[0]
        found.append(Module(name, tuple(imports(ast.parse(path.read_text("utf-8")), around, at_start=True))))
    return found


def imports(node: ast.AST, around: str, *, at_start: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, None, at_start) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = ".".join(around.split(".")[: len(around.split(".")) - child.level + 1]) if child.level else ""
            module = ".".join(filter(None, (base, child.module)))
            yield from (Import(module, alias.name, at_start) for alias in child.names)
        inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from imports(child, around, at_start=at_start and not inside)


ALL = modules(CORE, "semcache_core")
NAMES = {module.name for module in ALL}


def target(found: Import) -> str:
    """Return the module that an import loads: ``from . import wire`` loads ``wire``."""
    deeper = f"{found.module}.{found.name}"
    return deeper if deeper in NAMES else found.module


def is_within(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == f"semcache_core.{part}" or name.startswith(f"semcache_core.{part}.") for part in parts)


def offences(*, of: tuple[str, ...] | None, against: tuple[str, ...]) -> list[str]:
    """Return the imports of modules within ``of`` (None: all others) that load something within ``against``."""
    importers = [module for module in ALL if is_within(module.name, of or against) == (of is not None)]
    return [
        f"{module.name} imports {target(found)}"
        for module in importers
        for found in module.imports
        if is_within(target(found), against)
    ]


def test_the_core_imports_its_three_dependencies_and_nothing_else() -> None:
    strangers = set()
    for module in ALL:
        room = module.name.split(".")[1] if "." in module.name else ""
        allowed = {
            *sys.stdlib_module_names,
            "semcache_core",
            *DEPENDENCIES,
            *EXTRA.get(room, ()),
            *OPTIONAL.get(module.name, ()),
        }
        tops = {found.module.partition(".")[0] for found in module.imports}
        strangers |= {f"{module.name} imports {top}" for top in tops - allowed}
    assert not strangers


def test_what_only_decides_imports_nothing_that_does() -> None:
    found = [
        f"{module.name} imports {each.module}"
        for module in ALL
        if is_within(module.name, SANS_IO)
        for each in module.imports
        if each.module.partition(".")[0] in DOING
    ]
    assert not found


@pytest.mark.parametrize("room", [*SANS_IO, *BELOW, *ABOVE])
def test_every_room_named_here_exists(room: str) -> None:
    assert any(is_within(module.name, (room,)) for module in ALL)


def test_the_lower_rooms_import_nothing_of_the_upper_ones() -> None:
    # The bare framing of event streams is needed by the extractors, too; it lies in http and imports nothing.
    assert not [found for found in offences(of=BELOW, against=ABOVE) if not found.endswith("http.sse")]


def test_nobody_imports_the_built_ins_but_through_the_hooks() -> None:
    assert not offences(of=None, against=("builtin",))


def test_the_test_kit_is_imported_by_tests_only() -> None:
    assert not offences(of=None, against=("testing",))


def test_nobody_imports_the_command_line() -> None:
    assert not offences(of=None, against=("cli",))


def test_only_the_registry_calls_pluggy() -> None:
    callers = {
        module.name
        for module in ALL
        for found in module.imports
        if found.module == "pluggy" and module.name not in ("semcache_core.plugin", "semcache_core.hookspecs")
    }
    assert callers == {"semcache_core.registry"}


def test_no_two_modules_need_each_other_to_be_loaded() -> None:
    needs = {
        module.name: {target(found) for found in module.imports if found.at_start and target(found) in NAMES}
        - {module.name, "semcache_core"}
        for module in ALL
        # A package's __init__ may gather its own modules.
        if not any(other.name.startswith(module.name + ".") for other in ALL)
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1]))


@pytest.mark.parametrize("folder", OUTSIDE, ids=lambda folder: folder.name)
def test_a_distribution_imports_public_names_of_the_core_only(folder: Path) -> None:
    private = [
        f"{module.name} imports {found.module}.{found.name}"
        for module in modules(folder, folder.name)
        for found in module.imports
        if found.module.partition(".")[0] == "semcache_core" and not is_public(found)
    ]
    assert not private


def is_public(found: Import) -> bool:
    if found.module not in PUBLIC:
        return False
    names = PUBLIC[found.module]
    return found.name is None or (not found.name.startswith("_") if names is None else found.name in names)


@pytest.mark.parametrize("folder", OUTSIDE, ids=lambda folder: folder.name)
def test_a_distribution_imports_no_other_distribution(folder: Path) -> None:
    others = {other.name for other in OUTSIDE} - {folder.name}
    tops = {found.module.partition(".")[0] for module in modules(folder, folder.name) for found in module.imports}
    assert not tops & others
