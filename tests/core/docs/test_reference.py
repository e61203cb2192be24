"""The reference pages say everything: each hook, each option with its default, each protocol, each error."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from semcache_core import errors, protocols
from semcache_core.runtime.registry import Registry


def _reference() -> ModuleType:
    path = Path(__file__).parents[3] / "docs" / "reference.py"
    spec = importlib.util.spec_from_file_location("reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = _reference()
OPTIONS = [(title, field) for title, table in REFERENCE.TABLES for field in REFERENCE.fields(table)]
COMPONENTS = [
    (name, field) for _, name, _, factory in REFERENCE.components() for field in REFERENCE.fields(factory.Options)
]


@pytest.mark.parametrize(("owner", "field"), OPTIONS + COMPONENTS, ids=lambda each: getattr(each, "name", str(each)))
def test_every_option_has_a_description(owner: str, field: Any) -> None:
    assert REFERENCE.description(field.type), f"{owner}: {field.name} has no Meta(description=...)"


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
        documented = value.__doc__ if isinstance(value, type | FunctionType) else REFERENCE.constants(module).get(name)
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
