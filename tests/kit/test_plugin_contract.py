"""Each wrong plugin breaks one rule, and is caught by the tests that are named for it and by no others.

Plugins are real ones: a package and its metadata in a folder on the path, as an installer leaves them.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from semcache_core.testing import PluginContract

from .runner import broken, promises

PLUGIN = """
from semcache_core.plugin import Component, hookimpl

@hookimpl
def semcache_verifiers():
    return [Component("nodding", factory="{package}.guard:Nodding", summary="agrees with everything")]
"""
GUARD = """
from typing import Annotated
from msgspec import Meta
from semcache_core.protocols import Options
from semcache_core.types import Accept


class NoddingOptions(Options):
    patience: Annotated[float, Meta(description="Seconds before it nods.")] = 0.0


class Nodding:
    Options = NoddingOptions
    costly = False

    def __init__(self, options):
        self.options = options

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        return None

    async def verify(self, query, candidate):
        return Accept()
"""
NUMBERS = itertools.count()


@dataclass(frozen=True)
class Files:
    """What a distribution holds, and what its author promises of it."""

    plugin: str = PLUGIN
    guard: str = GUARD
    entry_point: str = "{package}.plugin"
    typed: bool = True
    heavy: tuple[str, ...] = ()

    def with_plugin(self, old: str, new: str) -> Files:
        assert old in self.plugin
        return replace(self, plugin=self.plugin.replace(old, new))

    def with_guard(self, old: str, new: str) -> Files:
        assert old in self.guard
        return replace(self, guard=self.guard.replace(old, new))


RIGHT = Files()
RETURN = "    return [Component("
IO = "import socket\n\n\nclass NoddingOptions"
WRONG: dict[str, tuple[Files, set[str]]] = {
    "has no entry point": (
        replace(RIGHT, entry_point="{package}.elsewhere"),
        {"test_the_entry_point_is_in_the_installed_metadata"},
    ),
    "imports a third party's module": (
        RIGHT.with_plugin("from semcache_core.plugin", "import httpx\nfrom semcache_core.plugin"),
        {"test_it_loads_in_a_fresh_interpreter_without_heavy_imports"},
    ),
    "imports its own component": (
        replace(
            RIGHT.with_plugin("from semcache_core.plugin", "import {package}.guard\nfrom semcache_core.plugin"),
            heavy=("{package}.guard",),
        ),
        {"test_it_loads_in_a_fresh_interpreter_without_heavy_imports"},
    ),
    "ships no types": (replace(RIGHT, typed=False), {"test_it_ships_its_types"}),
    "has a hook that does not exist": (
        replace(RIGHT, plugin=PLUGIN + "\n@hookimpl\ndef semcache_verifier():\n    return []\n"),
        {
            "test_its_hooks_are_the_cores_hooks",
            "test_it_offers_something_sound",
        },
    ),
    "offers something twice": (
        RIGHT.with_plugin("return [", "return 2 * ["),
        {"test_it_offers_something_sound"},
    ),
    "takes a built-in's name": (
        RIGHT.with_plugin('"nodding"', '"text-guard"'),
        {"test_its_names_are_not_those_of_built_in_components"},
    ),
    "has no summary": (
        RIGHT.with_plugin("agrees with everything", ""),
        {"test_every_component_has_a_summary_of_one_line"},
    ),
    "names a factory that is not there": (
        RIGHT.with_plugin(
            RETURN, '    return [Component("gone", factory="{package}.gone:Gone", summary="s"), Component('
        ),
        {
            "test_every_factory_can_be_imported",
            "test_every_component_has_options_that_refuse_unknown_keys",
            "test_every_option_is_documented",
            "test_every_component_has_the_methods_of_its_protocol",
            "test_making_a_component_touches_nothing_outside",
        },
    ),
    "swallows unknown options": (
        RIGHT.with_guard("NoddingOptions(Options)", "NoddingOptions(Options, forbid_unknown_fields=False)"),
        {"test_every_component_has_options_that_refuse_unknown_keys"},
    ),
    "has an option without a text": (
        RIGHT.with_guard('Annotated[float, Meta(description="Seconds before it nods.")]', "float"),
        {"test_every_option_is_documented"},
    ),
    "lacks a method": (
        RIGHT.with_guard("async def verify", "async def judge"),
        {"test_every_component_has_the_methods_of_its_protocol"},
    ),
    "has a method that is not async": (
        RIGHT.with_guard("async def verify", "def verify"),
        {"test_every_component_has_the_methods_of_its_protocol"},
    ),
    "opens a socket when it is made": (
        RIGHT.with_guard("class NoddingOptions", IO).with_guard("self.options = options", "socket.socket().close()"),
        {"test_making_a_component_touches_nothing_outside"},
    ),
    "reads a file when it is made": (
        RIGHT.with_guard("self.options = options", "open(__file__).close()"),
        {"test_making_a_component_touches_nothing_outside"},
    ),
    "starts a thread when it is made": (
        RIGHT.with_guard("class NoddingOptions", IO.replace("socket", "threading")).with_guard(
            "self.options = options", "threading.Thread(target=threading.Event().wait, daemon=True).start()"
        ),
        {"test_making_a_component_touches_nothing_outside"},
    ),
}


def installed(files: Files, folder: Path, monkeypatch: pytest.MonkeyPatch) -> type[PluginContract]:
    """Put a distribution on the path, of this process and of those it starts, and return its author's contract."""
    package = f"semcache_kit_example_{next(NUMBERS)}"
    name = package.replace("_", "-")
    code = folder / package
    code.mkdir()
    (code / "__init__.py").write_text('"""An example."""\n')
    (code / "plugin.py").write_text(files.plugin.replace("{package}", package))
    (code / "guard.py").write_text(files.guard)
    if files.typed:
        (code / "py.typed").touch()
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[semcache]\nx = {files.entry_point.format(package=package)}\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    attributes = {
        "distribution": name,
        "module": f"{package}.plugin",
        "heavy": tuple(each.format(package=package) for each in files.heavy),
    }
    return type("Example", (PluginContract,), attributes)


def test_a_right_plugin_keeps_every_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken(installed(RIGHT, tmp_path, monkeypatch)) == set()


EMBEDDER = """
from semcache_core.protocols import Options


class Nodding:
    class Options(Options):
        pass

    fingerprint = "none"
    dimensions = 8
    max_tokens = None
    recommended = None
    batch_invariant = True

    def __init__(self, options):
        self.options = options

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        return None

    async def embed(self, texts):
        raise NotImplementedError
"""


def test_what_an_embedder_does_not_know_may_be_a_plain_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = replace(RIGHT.with_plugin("semcache_verifiers", "semcache_embedders"), guard=EMBEDDER)
    assert broken(installed(files, tmp_path, monkeypatch)) == set()


@pytest.mark.parametrize(
    "hook",
    [
        "semcache_commands():\n    return [Component('hello', factory='{package}.guard:Nodding', summary='hello')]",
        "semcache_observe(event):\n    pass",
        "semcache_may_store(query):\n    return query.text != ''",
    ],
    ids=["a command", "an observer", "a veto"],
)
def test_a_plugin_without_components_keeps_every_promise(
    hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = f"from semcache_core.plugin import Component, hookimpl\n\n@hookimpl\ndef {hook}\n"
    assert broken(installed(replace(RIGHT, plugin=plugin), tmp_path, monkeypatch)) == set()


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_plugin_is_caught_by_the_tests_named_for_its_fault(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, expected = WRONG[fault]
    assert broken(installed(files, tmp_path, monkeypatch)) == expected


def test_every_promise_has_a_plugin_that_breaks_it() -> None:
    assert set().union(*(names for _, names in WRONG.values())) == set(promises(PluginContract))
