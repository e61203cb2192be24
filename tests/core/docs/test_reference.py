"""The reference pages say everything: each hook, each option with its default, each protocol, each error."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Annotated, Any

import pytest
from msgspec import Meta

import semcache_core
from semcache_core import errors, protocols, types
from semcache_core.runtime.registry import Registry


def _loaded(name: str) -> ModuleType:
    path = Path(__file__).parents[3] / "docs" / f"{name}.py"
    # As mkdocs does for a hook: what lies beside it can be imported.
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


REFERENCE, TABLES = _loaded("reference"), _loaded("options")
OPTIONS = [(title, field) for title, table in REFERENCE.TABLES for field in TABLES.fields(table)]
COMPONENTS = [
    (name, field) for _, name, _, factory in REFERENCE.components() for field in TABLES.fields(factory.Options)
]


@pytest.mark.parametrize(("owner", "field"), OPTIONS + COMPONENTS, ids=lambda each: getattr(each, "name", str(each)))
def test_every_option_has_a_description(owner: str, field: Any) -> None:
    assert TABLES.description(field.type), f"{owner}: {field.name} has no Meta(description=...)"


def test_every_option_stands_on_the_configuration_page() -> None:
    page = REFERENCE.configuration()
    missing = [field.name for _, field in OPTIONS + COMPONENTS if f"| `{field.encode_name}` |" not in page]
    assert not missing


@pytest.mark.parametrize(("name", "hook"), REFERENCE.hook_functions())
def test_every_hook_says_when_it_is_called(name: str, hook: Any) -> None:
    assert "Called" in (hook.__doc__ or ""), f"{name}: say when it is called and what its results do"


def test_every_hook_stands_on_its_page_with_its_parameters() -> None:
    page = REFERENCE.hooks()
    for name, _ in REFERENCE.hook_functions():
        assert f"## `{name}`" in page
    assert "semcache_may_store(query: Query, entry: EntryView) -> bool | None" in page


def test_every_reason_code_stands_on_its_page_with_its_remedy() -> None:
    page = REFERENCE.reason_page()
    for reason in Registry.installed().reasons().values():
        assert f"| `{reason.code}` | {reason.sentence} | {reason.remedy} |" in page


@pytest.mark.parametrize("module", REFERENCE.authoring_modules(), ids=lambda module: module.__name__)
def test_every_helper_for_authors_is_documented(module: ModuleType) -> None:
    bare = []
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type) and not issubclass(value, Exception):
            bare += [f"{name}.{member}" for member, method in REFERENCE.public_methods(value) if not method.__doc__]
        documented = (
            value.__doc__ if isinstance(value, type | FunctionType) else REFERENCE.constants(module)[name].meaning
        )
        bare += [] if documented else [name]
    assert not bare
    page = REFERENCE.authoring_page()
    assert f"## `{module.__name__}`" in page
    assert [name for name in module.__all__ if f"### `{name}`" not in page] == []


def test_every_public_name_of_a_helper_module_is_in_its_all() -> None:
    # What distributions may import is every name without an underscore; what is documented is what __all__ names.
    for module in REFERENCE.authoring_modules():
        tree = ast.parse(inspect.getsource(module))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assigned = (node for node in tree.body if isinstance(node, ast.Assign))
        defined |= {target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)}
        public = {name for name in defined if not name.startswith("_") and name != "T"}
        assert public <= set(module.__all__), module.__name__


@pytest.mark.parametrize("module", [errors, protocols])
def test_every_public_class_has_a_docstring(module: ModuleType) -> None:
    bare = [name for name, value in vars(module).items() if isinstance(value, type) and not value.__doc__]
    assert not bare


TYPES = [(module, name) for module, names in REFERENCE.type_names() for name in names]


@pytest.mark.parametrize(("module", "name"), TYPES, ids=lambda each: getattr(each, "__name__", each))
def test_every_type_and_each_of_its_fields_is_described(module: ModuleType, name: str) -> None:
    value = vars(module)[name]
    if not isinstance(value, type):
        assert REFERENCE.constants(module)[name].meaning, f"{name}: say below it what it is"
        return
    assert _bare(value) == []
    page = REFERENCE.types_page()
    assert f"### `{name}`" in page
    assert [each.name for each in REFERENCE.attributes(value) if f"| `{each.name}` |" not in page] == []


def test_every_public_name_of_the_types_has_its_place() -> None:
    def is_of(value: object, module: ModuleType) -> bool:
        return getattr(value, "__module__", "") == module.__name__

    assert {name for module, name in TYPES if module is types} == {
        name for name, value in vars(types).items() if name in REFERENCE.constants(types) or is_of(value, types)
    } - {*REFERENCE.BASES, *(name for name in vars(types) if name.startswith("_"))}
    placed = [name for module, name in TYPES if module is protocols]
    page = REFERENCE.protocol_page()
    classes = [
        name for name, value in vars(protocols).items() if getattr(value, "__module__", "") == protocols.__name__
    ]
    assert [name for name in classes if f"## `{name}`" not in page] == placed


@pytest.mark.parametrize(("name", "value"), REFERENCE.python_names())
def test_every_name_of_the_package_is_described(name: str, value: Any) -> None:
    assert value.__doc__
    assert f"## `{name}`" in REFERENCE.python_page()
    if isinstance(value, type):
        assert _bare(value) == []


def test_the_python_page_has_every_name_of_the_package_and_every_call() -> None:
    page = REFERENCE.python_page()
    assert {name for name, _ in REFERENCE.python_names()} == {
        *semcache_core.__all__,
        "SemanticCache.sync",
        "CallOptions",
    }
    calls = ("lookup", "store", "get_or_call", "invalidate", "reject", "stats")
    assert [name for name in calls if f"### `SemanticCache.{name}`" not in page] == []
    assert [name for name in calls if f"### `SemanticCache.sync.{name}`" not in page] == []


def _bare(kind: type) -> list[str]:
    """Return the members of a class that say nothing of themselves."""
    documented = [*REFERENCE.attributes(kind), *REFERENCE.instance_attributes(kind)]
    bare = [each.name for each in documented if not each.meaning]
    return bare + [name for name, method in REFERENCE.public_methods(kind) if not method.__doc__]


class _Told:
    """A class of which everything is said, each in another way."""

    first: int
    """Below it."""
    second: Annotated[str, Meta(description="In its Meta.")] = "b"

    def __init__(self) -> None:
        self.third = 3
        """Below it, in the constructor."""
        self._own = 4

    def call(self, first: int, /, *rest: str, last: float = 0.5) -> None:
        """Say how it is called."""


class _Untold(_Told):
    """A class of which some is not said."""

    fourth: int = 4

    def silent(self) -> None: ...


def test_what_is_not_said_is_found() -> None:
    assert _bare(_Untold) == ["fourth", "silent"]


def test_a_field_is_described_by_what_stands_below_it_or_in_its_meta() -> None:
    assert [(each.name, each.default, each.meaning) for each in REFERENCE.attributes(_Told)] == [
        ("first", "", "Below it."),
        ("second", '"b"', "In its Meta."),
    ]
    assert [(each.name, each.meaning) for each in REFERENCE.instance_attributes(_Told)] == [
        ("third", "Below it, in the constructor.")
    ]


def test_a_signature_is_shown_as_it_is_written() -> None:
    assert REFERENCE.signature("call", _Told.call) == ("def call(first: int, /, *rest: str, last: float = 0.5) -> None")


@pytest.mark.parametrize("page", REFERENCE.PAGES)
def test_the_code_of_a_reference_page_has_80_columns(page: str) -> None:
    blocks = REFERENCE.PAGES[page]().split("```")[1::2]
    assert [line for block in blocks for line in block.splitlines() if len(line) > 80] == []
