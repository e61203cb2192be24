"""The registry: which plugins are installed, what they offer, and why some of them do not work.

It wraps pluggy and is its only caller. It walks the entry points of the group ``semcache`` itself, one by one, so that
a broken plugin never stops the others: the problem is kept as a ``Failure`` and quoted in the error for a missing
name. A component is imported only when it is requested by name.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import TYPE_CHECKING, Any, Literal, get_args

import pluggy

from semcache_core import hookspecs
from semcache_core.authoring.suggest import did_you_mean, listed
from semcache_core.errors import AmbiguousComponentError, PluginError, UnknownComponentError
from semcache_core.plugin import Component
from semcache_core.reasons import REASONS, Reason
from semcache_core.runtime import elsewhere
from semcache_core.runtime.validation import HOOKS, refusals

if TYPE_CHECKING:
    from semcache_core.types import EntryView, Event, Query

__all__ = ["GROUP", "KINDS", "NOUNS", "Failure", "Kind", "Offer", "Registry"]

GROUP = "semcache"
Kind = Literal["embedders", "vector_stores", "response_stores", "key_extractors", "verifiers", "commands"]
Stage = Literal["metadata", "import", "spec", "hook", "factory"]

KINDS: tuple[Kind, ...] = get_args(Kind)
NOUNS: dict[Kind, str] = {kind: kind[:-1].replace("_", " ") for kind in KINDS}

# A plugin's code may raise anything, sys.exit() included; only the interpreter's own signals pass.
ANYTHING = (Exception, SystemExit)


@dataclass(frozen=True, slots=True)
class Offer:
    """A component and the distribution that offers it."""

    component: Component
    distribution: str
    version: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of a plugin: its distribution, the stage, and why."""

    distribution: str
    version: str
    stage: Stage
    message: str

    def __str__(self) -> str:
        # A plugin added by hand may have no version.
        return f"{f'{self.distribution} {self.version}'.rstrip()} ({self.stage}): {self.message}"


class Registry:
    """The offers of the installed plugins. ``Registry.installed()`` walks the entry points; ``add`` adds one more."""

    def __init__(self) -> None:
        self._pluggy = pluggy.PluginManager(GROUP)
        self._pluggy.add_hookspecs(hookspecs)
        self._offers: dict[Kind, dict[str, list[Offer]]] = {kind: defaultdict(list) for kind in KINDS}
        self._failures: list[Failure] = []

    @classmethod
    def installed(cls) -> Registry:
        """Return a registry of every installed plugin. Never raises because of a plugin; see ``failures``."""
        registry = cls()
        for distribution, entry_point in registry._entry_points():
            registry._take(distribution, entry_point)
        return registry

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failures, in the order in which they occurred."""
        return tuple(self._failures)

    def add(self, plugin: object, *, distribution: str, version: str = "") -> bool:
        """Add a plugin (a module, or any object with hook implementations); return whether it is valid."""
        reasons = self._registered(plugin, distribution)
        if reasons:
            self._failures += [Failure(distribution, version, "spec", reason) for reason in reasons]
            return False
        try:
            offers = [(kind, Offer(each, distribution, version)) for kind, each in self._ask(plugin, distribution)]
        except ANYTHING as error:
            self._pluggy.unregister(plugin)
            self._failures.append(Failure(distribution, version, "hook", _told(error)))
            return False
        for kind, offer in offers:
            self._offers[kind][offer.component.name].append(offer)
        return True

    def _registered(self, plugin: object, distribution: str) -> list[str]:
        """Register a plugin; return why that fails, or an empty list."""
        # By default pluggy uses the plugin's __name__: two distributions may both have a class called Plugin.
        name = f"{distribution} {id(plugin)}"
        try:
            reasons = list(refusals(plugin))
            if not reasons and self._pluggy.is_registered(plugin):
                return ["two entry points name the same module"]
            if not reasons:
                self._pluggy.register(plugin, name=name)
        except ANYTHING as error:  # Inspecting an object runs its code, for example properties.
            if self._pluggy.has_plugin(name):
                self._pluggy.unregister(name=name)
            return [_told(error)]
        return reasons

    def offers(self, kind: Kind) -> tuple[Offer, ...]:
        """Return every offer of a kind, by name and then by distribution."""
        found = (offer for offers in self._offers[kind].values() for offer in offers)
        return tuple(sorted(found, key=lambda offer: (offer.component.name, offer.distribution)))

    def reasons(self) -> Mapping[str, Reason]:
        """Return every possible reason code, by code: those of the core, then those that components list.

        If two components list one code, the first by kind and name is used.
        """
        listed = (reason for kind in KINDS for offer in self.offers(kind) for reason in offer.component.reasons)
        own: dict[str, Reason] = {}
        for reason in listed:
            own.setdefault(reason.code, reason)
        return {**own, **REASONS}

    def find(self, kind: Kind, name: str, *, where: str = "") -> Offer:
        """Return the offer called ``name``, which may be written ``distribution/name``.

        ``where`` is the place that names it, for the message, for example ``semcache.toml: vector_store.use``. Raises
        UnknownComponentError, and AmbiguousComponentError if two distributions offer the name.
        """
        owner, _, bare = name.rpartition("/")
        offers = [offer for offer in self._offers[kind].get(bare, ()) if _normal(owner) in ("", offer.distribution)]
        if not offers:
            raise UnknownComponentError(self._unknown(kind, name, where))
        if len(offers) > 1:
            raise AmbiguousComponentError(_ambiguous(kind, name, offers, where))
        return offers[0]

    def load(self, kind: Kind, name: str, *, where: str = "") -> Any:
        """Import and return a component's factory. Raises the errors of ``find``, and PluginError with the cause."""
        offer = self.find(kind, name, where=where)
        module, _, attribute = offer.component.factory.partition(":")
        try:
            factory = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
            if not callable(factory):
                raise TypeError(f"{offer.component.factory} is not a class or a function")
        except ANYTHING as error:
            failure = Failure(offer.distribution, offer.version, "factory", f"{name!r}: {_told(error)}")
            if failure not in self._failures:
                self._failures.append(failure)
            place = f" ({where})" if where else ""
            raise PluginError(f"{NOUNS[kind]} {name!r}{place} cannot be loaded: {failure}") from error
        return factory

    def observers(self) -> tuple[Callable[[Event], object], ...]:
        """Return every ``semcache_observe``, to be called one by one as ``observe(event)``, each guarded."""
        return self._implementations("semcache_observe")

    def vetoes(self) -> tuple[Callable[[Query, EntryView], object], ...]:
        """Return every ``semcache_may_store``, to be called one by one as ``may_store(query, entry)``, each guarded."""
        return self._implementations("semcache_may_store")

    def _implementations(self, hook: str) -> tuple[Callable[..., object], ...]:
        found = getattr(self._pluggy.hook, hook).get_hookimpls()
        # pluggy stores them in reverse call order.
        return tuple(_with_all_arguments(each.function, each.argnames, HOOKS[hook]) for each in reversed(found))

    def _entry_points(self) -> Iterator[tuple[Distribution, EntryPoint]]:
        # Not importlib.metadata.entry_points(): one malformed entry_points.txt would hide every plugin.
        seen: set[str] = set()
        for distribution in distributions():
            try:
                found = [each for each in distribution.entry_points if each.group == GROUP]
                name = _normal(distribution.name) if found else ""
            except ANYTHING as error:
                self._failures.append(Failure(_guessed_name(distribution), "?", "metadata", _told(error)))
                continue
            # The first on the path wins, as it does for imports: later ones are shadowed copies.
            if found and name not in seen:
                seen.add(name)
                yield from ((distribution, each) for each in found)

    def _take(self, distribution: Distribution, entry_point: EntryPoint) -> None:
        name, version = _normal(distribution.name), "?"
        try:
            version = distribution.version
            plugin = entry_point.load()
        except ANYTHING as error:
            message = f"{entry_point.value}: {_told(error)}"
            self._failures.append(Failure(name, version, "import", message))
            return
        self.add(plugin, distribution=name, version=version)

    def _ask(self, plugin: object, distribution: str) -> Iterator[tuple[Kind, Component]]:
        for kind in KINDS:
            hook = f"semcache_{kind}"
            for each in getattr(self._pluggy.hook, hook).get_hookimpls():
                if each.plugin is plugin:
                    for component in _checked(hook, each.function()):
                        self._refuse_repeated(kind, component.name, distribution)
                        yield kind, component

    def _refuse_repeated(self, kind: Kind, name: str, distribution: str) -> None:
        # distribution/name could not distinguish the two.
        if any(offer.distribution == distribution for offer in self._offers[kind].get(name, ())):
            raise ValueError(f"semcache_{kind} offers {name!r}, which another plugin of {distribution} offers already")

    def _unknown(self, kind: Kind, name: str, where: str) -> str:
        known = self._offers[kind]
        names = [name for name, offers in known.items() if offers]
        place = f" ({where})" if where else ""
        hint = did_you_mean(name, names)
        command = elsewhere.installs(kind, name)
        if command is not None:
            hint = f"; it comes with: {command}"
        broken = "".join(f"\n  a plugin does not work: {failure}" for failure in self._failures)
        return f"no {NOUNS[kind]} named {name!r}{place}; installed: {listed(names)}{hint}{broken}"


def _ambiguous(kind: Kind, name: str, offers: list[Offer], where: str) -> str:
    owners = " and ".join(f"{offer.distribution} {offer.version}" for offer in offers)
    ways = " or ".join(repr(f"{offer.distribution}/{offer.component.name}") for offer in offers)
    place = f" ({where})" if where else ""
    return f"{NOUNS[kind]} {name!r}{place} is offered by {owners}; write {ways}"


def _checked(hook: str, offered: object) -> list[Component]:
    if not isinstance(offered, Iterable) or isinstance(offered, (str, bytes)):
        raise TypeError(f"{hook} must return a list of Component, not {type(offered).__name__}")
    components = list(offered)
    for component in components:
        if not isinstance(component, Component):
            raise TypeError(f"{hook} must return a list of Component, and one is {type(component).__name__}")
        if not re.fullmatch(r"[\w.-]+", component.name):
            raise ValueError(f"{hook}: {component.name!r} cannot be a name: letters, digits, '-', '_' and '.' only")
        if not re.fullmatch(r"[\w.]+:[\w.]+", component.factory):
            raise ValueError(f"{hook}: the factory of {component.name!r} must read 'package.module:Name'")
        _check_reasons(f"{hook}: {component.name!r}", component.reasons)
    names = [component.name for component in components]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{hook} offers {name!r} twice")
    return components


def _check_reasons(place: str, reasons: Iterable[Reason]) -> None:
    for reason in reasons:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", reason.code):
            # Codes go into headers and statistics.
            raise ValueError(f"{place} lists {reason.code!r}, which is no reason code: lower-case words and '-'")
        if reason.code in REASONS:
            raise ValueError(f"{place} lists {reason.code!r}, which is the core's: use it without listing it")


def _with_all_arguments(
    function: Callable[..., object], wanted: tuple[str, ...], offered: tuple[str, ...]
) -> Callable[..., object]:
    if tuple(wanted) == offered:
        return function
    # pluggy lets an implementation leave parameters out; the caller here always passes all of them, by position.
    places = [offered.index(name) for name in wanted]
    return lambda *arguments: function(*(arguments[place] for place in places))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _guessed_name(distribution: Distribution) -> str:
    try:
        return _normal(distribution.name)
    except ANYTHING:
        return "a distribution without a readable name"
