"""The contract of a plugin: discoverable, light to load, valid hooks, documented, and no I/O until it is opened."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.resources
import inspect
import json
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, final, get_args, get_origin

import msgspec
import pytest

from semcache_core.protocols import Embedder, KeyExtractor, Options, ResponseStore, VectorStore, Verifier
from semcache_core.runtime import elsewhere
from semcache_core.runtime.registry import GROUP, KINDS, NOUNS, Kind, Registry
from semcache_core.runtime.validation import refusals
from semcache_core.testing._contract import Contract

PROTOCOLS: dict[Kind, type] = {
    "embedders": Embedder,
    "vector_stores": VectorStore,
    "response_stores": ResponseStore,
    "key_extractors": KeyExtractor,
    "verifiers": Verifier,
}

CORE = "semcache-core"
_MISSING = object()


class PluginContract(Contract):
    """What the registry relies on in a distribution::

    class TestPlugin(PluginContract):
        distribution = "semcache-redis"
        module = "semcache_redis.plugin"
        heavy = ("redis", "semcache_redis.vectors")
        options = {"redis": {"url": "redis://127.0.0.1:6379"}}
    """

    heavy: ClassVar[Sequence[str]] = ()
    """Modules that listing the plugin must not load. Third-party modules always count as heavy."""
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """The options without a default, by component."""

    @property
    @abstractmethod
    def distribution(self) -> str:
        """The distribution's name, as in its pyproject.toml."""

    @property
    @abstractmethod
    def module(self) -> str:
        """The module of the entry point."""

    # -- found and light ----------------------------------------------------------------------------------------------

    def test_the_entry_point_is_in_the_installed_metadata(self) -> None:
        installed = importlib.metadata.distribution(self.distribution)
        values = [each.value for each in installed.entry_points if each.group == GROUP]
        assert self.module in values, (
            f'{self.distribution} {installed.version} has no entry point of the group "{GROUP}" for {self.module}; '
            f"it has {values}. Install it again after a change of pyproject.toml"
        )

    def test_it_loads_in_a_fresh_interpreter_without_heavy_imports(self) -> None:
        loaded = _fresh({"task": "loaded", "module": self.module})
        own = self.module.partition(".")[0]
        third = {name.partition(".")[0] for name in loaded} - {*sys.stdlib_module_names, "semcache_core", own}
        heavy = {name for name in self.heavy for module in loaded if module == name or module.startswith(name + ".")}
        assert not third | heavy, (
            f"{self.module} should import only semcache_core.plugin; it loads {sorted(third | heavy)}"
        )

    def test_it_ships_its_types(self) -> None:
        package = importlib.resources.files(self.module.partition(".")[0])
        assert (package / "py.typed").is_file(), "put an empty py.typed beside __init__.py"

    # -- rightly spelt ------------------------------------------------------------------------------------------------

    def test_its_hooks_are_the_cores_hooks(self) -> None:
        assert not list(refusals(importlib.import_module(self.module)))

    def test_it_offers_something_sound(self) -> None:
        registry = self._registry()
        assert not registry.failures, str(registry.failures[0])
        assert self._offers(registry, KINDS) or registry.observers() or registry.vetoes(), "it implements no hook"

    def test_its_names_are_not_those_of_built_in_components(self) -> None:
        if self.distribution == CORE:
            return
        built_in = Registry()
        built_in.add(importlib.import_module("semcache_core.builtin.plugin"), distribution=CORE)
        taken = {(kind, name) for kind, name, _ in self._offers(built_in, KINDS)}
        for kind, name, _ in self._offers(self._registry(), KINDS):
            # Nor those of the distributions that the core knows. If both were installed, a configuration that names
            # none, or only the name, would fail to start.
            is_taken = (kind, name) in taken or elsewhere.owner(kind, name) not in (None, self.distribution)
            assert not is_taken, f"{name!r} is a {NOUNS[kind]} of semcache itself; take another name"

    def test_every_component_has_a_summary_of_one_line(self) -> None:
        for _, name, component in self._offers(self._registry(), KINDS):
            assert component.summary.strip(), f"{name!r} has no summary for `semcache plugins`"
            assert "\n" not in component.summary, f"the summary of {name!r} has more than one line"

    # -- components ---------------------------------------------------------------------------------------------------

    def test_every_factory_can_be_imported(self) -> None:
        registry = self._registry()
        for kind, name, _ in self._offers(registry, KINDS):
            registry.load(kind, name)

    def test_every_component_has_options_that_refuse_unknown_keys(self) -> None:
        for name, factory in self._factories():
            options = getattr(factory, "Options", None)
            assert inspect.isclass(options), f"{name!r}: {factory.__name__} needs a class attribute Options"
            assert issubclass(options, Options), f"{name!r}: Options must derive from semcache_core.protocols.Options"
            with pytest.raises(msgspec.ValidationError, match="unknown field"):
                _converted(options, {**self.options.get(name, {}), "an_option_of_next_year": 1})
            own = getattr(factory, "RouteOptions", None)
            if own is not None:
                assert issubclass(own, Options), f"{name!r}: RouteOptions must derive from Options, too"
                assert not [field.name for field in _fields(own) if field.required], (
                    f"{name!r}: what a route leaves out is what the component says, so RouteOptions needs defaults"
                )

    def test_every_option_is_documented(self) -> None:
        for name, factory in self._factories():
            for field in (*_fields(factory.Options), *_fields(getattr(factory, "RouteOptions", None))):
                assert _description(field.type), (
                    f"{name!r}: option {field.name!r} has no text; write Annotated[..., Meta(description=...)]"
                )

    def test_every_component_has_the_methods_of_its_protocol(self) -> None:
        for kind, name, factory in self._factories_by_kind():
            component = factory(_converted(factory.Options, self.options.get(name, {})))
            for member, promised in _members(PROTOCOLS[kind]).items():
                # Not None as the default: `recommended = None` means that no thresholds were measured.
                found = inspect.getattr_static(component, member, _MISSING)
                assert found is not _MISSING, f"{NOUNS[kind]} {name!r} has no {member}; see semcache_core.protocols"
                if inspect.isfunction(promised) and inspect.isfunction(found):
                    is_async = inspect.iscoroutinefunction(promised)
                    assert inspect.iscoroutinefunction(found) == is_async, (
                        f"{name!r}: {member} must {'be' if is_async else 'not be'} async"
                    )

    def test_making_a_component_touches_nothing_outside(self) -> None:
        components = [
            {"name": name, "factory": component.factory, "options": dict(self.options.get(name, {}))}
            for _, name, component in self._offers(self._registry())
        ]
        touched = _fresh({"task": "touched", "components": components})
        assert not touched, f"construction must only compute; open files and connections in __aenter__: {touched}"

    @final
    def _registry(self) -> Registry:
        registry = Registry()
        registry.add(importlib.import_module(self.module), distribution=self.distribution)
        return registry

    @final
    def _offers(self, registry: Registry, kinds: Iterable[Kind] = tuple(PROTOCOLS)) -> list[tuple[Kind, str, Any]]:
        return [(kind, offer.component.name, offer.component) for kind in kinds for offer in registry.offers(kind)]

    @final
    def _factories_by_kind(self) -> list[tuple[Kind, str, Any]]:
        registry = self._registry()
        return [(kind, name, registry.load(kind, name)) for kind, name, _ in self._offers(registry)]

    @final
    def _factories(self) -> list[tuple[str, Any]]:
        return [(name, factory) for _, name, factory in self._factories_by_kind()]


def _fresh(task: Mapping[str, Any]) -> list[str]:
    """Run ``_probe`` in a new interpreter."""
    # By path and with -P, so that neither the kit nor its folder affects the plugin's imports.
    probe = Path(__file__).with_name("_probe.py")
    done = subprocess.run(  # noqa: S603  our own file, our own interpreter
        [sys.executable, "-P", str(probe), json.dumps(task)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"a fresh interpreter failed:\n{done.stderr}"
    found: list[str] = json.loads(done.stdout)
    return found


def _converted(options: Any, given: Mapping[str, Any]) -> Any:
    return msgspec.convert(dict(given), options, dec_hook=lambda kind, value: kind(value))


def _fields(options: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    return () if options is None else msgspec.structs.fields(options)


def _description(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        texts = [part.description for part in get_args(kind)[1:] if isinstance(part, msgspec.Meta) and part.description]
        return " ".join(texts) or _description(get_args(kind)[0])
    return next(filter(None, map(_description, get_args(kind))), "")


def _members(protocol: type) -> dict[str, Any]:
    """Return the members of a protocol by name: methods and properties, and the two that open and close."""
    kept: dict[str, Any] = {}
    for base in reversed(protocol.__mro__):
        if base.__module__ == protocol.__module__:
            wanted = {"__aenter__", "__aexit__"}
            kept |= {name: value for name, value in vars(base).items() if name in wanted or not name.startswith("_")}
    return kept
