"""Who may import whom. The core is read where it is installed; plugins and integrations where their sources are."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import semcache_core

CORE = Path(semcache_core.__file__).parent
REPOSITORY = Path(__file__).parents[2]
OUTSIDE = sorted(path for kind in ("plugins", "integrations") for path in (REPOSITORY / kind).glob("*/src/*"))

DEPENDENCIES = {"pluggy", "numpy", "msgspec"}
EXTRA = {"cli": {"click", "rich"}, "testing": {"pytest", "hypothesis"}}
OPTIONAL = {"semcache_core.keys.jwt": {"jwt"}}
"""Used where they are installed, and done without, or asked for by name, where they are not."""

AUTHORING = ("suggest", "json_form", "json_paths", "rules", "sse", "ndjson", "bodies", "worker")

SANS_IO = (
    *("types", "errors", "reasons", "settings", "protocols", "keys", "builtin.json"),
    *(f"authoring.{name}" for name in AUTHORING if name != "worker"),
    *(f"engine.{name}" for name in ("decide", "freshness", "record_codec", "payloads", "proofs")),
    *(f"http.{name}" for name in ("headers", "decoders", "coding", "directives", "status", "route", "profile")),
    *("http.request", "http.recording", "http.replay"),
)
"""Rules, not doing: time, randomness, the environment and the loop come in by the front door."""
DOING = {
    *("asyncio", "time", "os", "socket", "threading", "logging", "random", "secrets", "sqlite3", "subprocess"),
    *("pathlib", "datetime", "uuid", "queue", "concurrent", "select", "ssl", "tempfile", "shutil", "signal", "atexit"),
}
TABLE = REPOSITORY / "docs" / "explanation" / "architecture.md"

PUBLIC: dict[str, set[str] | None] = {
    "semcache_core": {"SemanticCache", "Lookup", "Stats", "DoNotCache", "cached"},
    "semcache_core.library.cache": {"SemanticCache"},
    **{f"semcache_core.authoring.{name}": None for name in AUTHORING},
    "semcache_core.errors": None,
    "semcache_core.plugin": None,
    "semcache_core.protocols": None,
    "semcache_core.cli.options": {"config_option"},
    "semcache_core.reasons": None,
    "semcache_core.remedies": {"pip_install"},
    "semcache_core.settings": None,
    "semcache_core.types": None,
    "semcache_core.http.asgi": {"SemanticCacheASGI"},
    "semcache_core.http.headers": {"ANSWER_STRIPPED", "HOP_BY_HOP", "is_for_cache", "without"},
    "semcache_core.http.loopback": {"began_here"},
    "semcache_core.http.pages": {"PREFIX"},
    "semcache_core.http.route": {"Deployment"},
    "semcache_core.http.status": {"may_debug"},
}
"""What distributions of the repository besides the core may import of it; None: every name without an underscore."""


@dataclass(frozen=True)
class Import:
    """One import statement's target: a module, and the name taken from it if there is one."""

    module: str
    name: str | None


@dataclass(frozen=True)
class Module:
    """A source file and everything it imports."""

    name: str
    imports: tuple[Import, ...]


def modules(folder: Path, package: str) -> list[Module]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = [package, *path.relative_to(folder).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        around = name if is_package else name.rpartition(".")[0]
        found.append(Module(name, tuple(imports(ast.parse(path.read_text("utf-8")), around))))
    return found


def imports(node: ast.AST, around: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, None) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = ".".join(around.split(".")[: len(around.split(".")) - child.level + 1]) if child.level else ""
            module = ".".join(filter(None, (base, child.module)))
            yield from (Import(module, alias.name) for alias in child.names)
        yield from imports(child, around)


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


@pytest.mark.parametrize("room", SANS_IO)
def test_every_room_named_here_exists(room: str) -> None:
    assert any(is_within(module.name, (room,)) for module in ALL)


def table() -> list[str]:
    """Return every module in the order of the architecture page: a line is a room, then its modules."""
    block = TABLE.read_text("utf-8").partition("```text\n")[2].partition("```")[0]
    found = []
    for line in block.splitlines():
        room, *modules = line.split()
        found += [f"semcache_core.{name}" if room == "(root)" else f"semcache_core.{room}.{name}" for name in modules]
    return found


def is_gathering(module: Module) -> bool:
    """Say whether this is a package: its ``__init__`` gathers names of its own modules and nothing else."""
    return any(other.name.startswith(f"{module.name}.") for other in ALL)


def test_the_import_table_names_every_module_once() -> None:
    assert sorted(table()) == sorted(module.name for module in ALL if not is_gathering(module))


def test_a_module_imports_only_what_stands_before_it_in_the_import_table() -> None:
    # Whatever it imports: when it is loaded, inside a function, or for type checkers only.
    place = {name: at for at, name in enumerate(table())}
    wrong = []
    for module in ALL:
        for each in module.imports:
            loaded = target(each)
            if is_gathering(module):
                fits = loaded not in NAMES or loaded.startswith(f"{module.name}.") or module.name == "semcache_core"
            else:
                fits = loaded not in place or place[loaded] < place[module.name]
            if not fits:
                wrong.append(f"{module.name} imports {loaded}")
    assert not wrong


def test_a_package_of_the_core_is_imported_only_from_the_rooms_after_it() -> None:
    rooms = list(dict.fromkeys(name.split(".")[1] for name in table() if name.count(".") > 1))
    packages = {module.name: module.name.split(".")[1] for module in ALL if is_gathering(module) and "." in module.name}
    wrong = [
        f"{module.name} imports {target(each)}"
        for module in ALL
        if module.name.count(".") > 1
        for each in module.imports
        if target(each) in packages and rooms.index(packages[target(each)]) > rooms.index(module.name.split(".")[1])
    ]
    assert not wrong


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
    assert callers == {"semcache_core.runtime.registry"}


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
