"""From names to components: load each factory, validate its options, make one instance. Nothing is opened here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from semcache_core.authoring.suggest import did_you_mean, listed
from semcache_core.config.convert import to_struct
from semcache_core.config.effects import without_effect
from semcache_core.config.load import ROUTE_OPTIONS
from semcache_core.config.model import Choice, Config
from semcache_core.config.problems import Problems
from semcache_core.errors import ConfigError, PluginError
from semcache_core.keys.identity import IdentityRule
from semcache_core.protocols import (
    Embedder,
    ExtractorRoute,
    KeyExtractor,
    ResponseStore,
    SupportsRules,
    SupportsSecret,
    VectorStore,
    Verifier,
)
from semcache_core.runtime import notices
from semcache_core.runtime.claims import without_rivals
from semcache_core.runtime.registry import NOUNS, Kind, Offer, Registry


@dataclass(frozen=True, slots=True)
class Made:
    """A component, the distribution it comes from, and its options, defaults included."""

    kind: Kind
    choice: Choice
    offer: Offer
    options: msgspec.Struct
    component: Any
    route_options: tuple[tuple[str, msgspec.Struct], ...] = ()
    """The routes' options for a key extractor, by key path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Every component of a cache, not yet opened."""

    embedder: Embedder | None
    vector_store: VectorStore
    response_store: ResponseStore
    key_extractors: tuple[KeyExtractor, ...]
    extractor_names: tuple[str, ...]
    verifiers: tuple[Verifier, ...]
    notices: tuple[str, ...]
    made: tuple[Made, ...]
    embedder_is_implied: bool
    """True if the configuration names no embedder and an installed one is used."""
    exact_only: str
    """A notice why only equal requests match; empty if similar ones may match."""


def assemble(config: Config, registry: Registry) -> Components:
    """Make every component that the configuration chooses; open none. Raises ConfigError, PluginError."""
    return Assembly(config, registry).components()


class Assembly:
    """Makes the components of one configuration. Continues after a mistake, to report all of them."""

    def __init__(self, config: Config, registry: Registry) -> None:
        self._config, self._registry = config, registry
        self.problems = Problems(lambda path: config.origins.get(path, config.label))
        self.made: list[Made] = []
        self.notices: list[str] = []
        self.exact_only = ""
        self._broken: PluginError | None = None

    def components(self) -> Components:
        """Return every component. Raises PluginError for a broken plugin, else ConfigError with all mistakes."""
        self.make_all()
        if self._broken is not None:
            raise self._broken
        self.problems.raise_any()
        stores = {made.kind: made.component for made in self.made}
        extractors = self._of("key_extractors")
        return Components(
            embedder=stores.get("embedders"),
            vector_store=stores["vector_stores"],
            response_store=stores["response_stores"],
            key_extractors=tuple(made.component for made in extractors),
            extractor_names=tuple(made.offer.component.name for made in extractors),
            verifiers=tuple(made.component for made in self._of("verifiers")),
            notices=tuple(self.notices),
            made=tuple(self.made),
            embedder_is_implied=self._config.embedder is None and "embedders" in stores,
            exact_only=self.exact_only,
        )

    def make_all(self) -> None:
        """Make every component that can be made; the problems of the rest are in ``problems``."""
        config = self._config
        self.notices += [*config.notices, *without_effect(config)]
        try:
            self.notices += IdentityRule(config.http).notices()
        except ConfigError as error:
            place = "http.identity" if config.http.jwt is None else "http.jwt"
            self.problems.note(f"{config.place_of(place)}: {error}")  # The error names the key path itself.
        embedder = self._embedder()
        if embedder is not None:
            self._make("embedders", embedder)
        self._make("vector_stores", config.vector_store)
        self._make("response_stores", config.response_store)
        self._make_extractors()
        for choice in self._verifiers():
            self._make("verifiers", choice)
        for made in self._of("response_stores"):
            check_shared_store(made.component, config, name=made.choice.use, problems=self.problems)

    def _make_extractors(self) -> None:
        """Make the named ones, in their order; then, without ``use``, the other installed ones."""
        choices = self._config.key_extractors
        for choice in choices.named:
            self._make("key_extractors", choice)
        self._refuse_equal_extractors()
        left_out: dict[str, str] = {}
        if choices.implied:
            named = self._of("key_extractors")
            implied = self._implied_extractors({made.offer.component.name for made in named}, left_out)
            names, rivals = without_rivals(
                {name: made.component for name, made in implied.items()},
                named=[made.component for made in named],
                meant={*choices.options, *(table.extractor for table in self._config.own_tables)},
            )
            self.made += [implied[name] for name in names]
            for group in rivals:
                why = f"the key extractors {listed(group)} claim the same requests, so none of them is used"
                left_out |= dict.fromkeys(group, f"{why}; put one into key_extractors.add")
        self.notices += dict.fromkeys(left_out.values())
        self._check_spoken_to(left_out)

    def _check_spoken_to(self, left_out: Mapping[str, str]) -> None:
        """Note options tables whose extractor is not in use. One that could not be made is noted already."""
        choices = self._config.key_extractors
        known = {choice.use.rpartition("/")[2] for choice in choices.named}
        if choices.implied:
            known |= {offer.component.name for offer in self._registry.offers("key_extractors")}
        known -= left_out.keys()
        tables = [(table.extractor, table.path) for table in self._config.own_tables]
        if choices.implied:
            whole_names = {choice.use for choice in choices.named}
            tables += [(name, f"key_extractors.{name}") for name in choices.options if name not in whole_names]
        for name, path in tables:
            if name not in known:
                near = did_you_mean(name, known | ROUTE_OPTIONS if path.startswith("route") else known)
                why = left_out.get(name, f"no key extractor of this name; in use: {listed(known)}{near}")
                self.problems.add(path, why)

    def _implied_extractors(self, taken: set[str], left_out: dict[str, str]) -> dict[str, Made]:
        """Make every installed extractor whose name is free. A broken one is reported and stops no other."""
        offers: dict[str, list[Offer]] = {}
        for offer in self._registry.offers("key_extractors"):
            offers.setdefault(offer.component.name, []).append(offer)
        implied: dict[str, Made] = {}
        for name in sorted(offers.keys() - taken):
            if len(offers[name]) > 1:
                ways = listed(f"{offer.distribution}/{name}" for offer in offers[name])
                why = f"the key extractor {name!r} is installed twice, so neither is used"
                left_out[name] = f"{why}; put one of {ways} into key_extractors.add"
                continue
            try:
                made = self._finished("key_extractors", self._config.key_extractors.implied_choice(name), *offers[name])
            except PluginError as error:
                left_out[name] = f"an installed key extractor is left out: {error}"
            except ConfigError as error:
                self.problems.note(str(error))
            else:
                implied |= {} if made is None else {name: made}
        return implied

    def _refuse_equal_extractors(self) -> None:
        """Note extractors of equal name: the name is the protocol in every partition, so it must be unique."""
        names = [made.offer.component.name for made in self._of("key_extractors")]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            self.problems.add("key_extractors.use", f"two of them are called {name!r}; keep one")

    def _of(self, kind: Kind) -> list[Made]:
        return [made for made in self.made if made.kind == kind]

    def _compares(self) -> bool:
        """Whether the configuration wants similar texts to match, anywhere."""
        config = self._config
        matches = (config.cache.match, *(route.match for route in config.routes))
        return "semantic" in matches or config.lets_callers_compare

    def _verifiers(self) -> tuple[Choice, ...]:
        config = self._config
        if "verifiers.use" in config.given:
            if not config.verifiers:
                self.notices.append(notices.no_verifier_is_used())
            return config.verifiers
        installed = {offer.component.name for offer in self._registry.offers("verifiers")}
        found = tuple(choice for choice in config.verifiers if choice.use in installed)
        if not found and self._compares():
            self.exact_only = notices.no_verifier_is_installed()
        return found

    def _embedder(self) -> Choice | None:
        config = self._config
        if not self._compares():
            return None
        if config.embedder is not None:
            return config.embedder
        for offer in self._registry.offers("embedders"):
            if offer.component.local:
                return Choice(use=offer.component.name, path="embedder", named_at="embedder.use", options={})
        self.notices.append(notices.no_embedder())
        return None

    def _make(self, kind: Kind, choice: Choice) -> None:
        try:
            offer = self._registry.find(kind, choice.use, where=self._config.where(choice.named_at))
            made = self._finished(kind, choice, offer)
            if made is not None:
                self.made.append(made)
        except PluginError as error:
            self._broken = self._broken or error
            self.problems.note(str(error))
        except ConfigError as error:
            # Also raised by a constructor about its options, or by an extractor about a route.
            self.problems.note(str(error))

    def _finished(self, kind: Kind, choice: Choice, offer: Offer) -> Made | None:
        """Return the component, or None if its options are wrong. Raises ConfigError, PluginError."""
        factory = self._registry.load(kind, choice.use, where=self._config.where(choice.named_at))
        named = f"{NOUNS[kind]} {choice.use!r} of {offer.distribution} {offer.version}"
        struct = getattr(factory, "Options", None)
        if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
            raise PluginError(f"{named}: {offer.component.factory} has no Options, a frozen msgspec.Struct")
        try:
            options = to_struct(struct, choice.options, path=choice.path, problems=self.problems)
            own = self._route_options(factory, offer) if kind == "key_extractors" else {}
            if options is None or own is None:
                return None
            try:
                component = factory(options)
            except ConfigError as error:
                raise ConfigError(f"{self._config.where(choice.path)}: {error}") from error
            if isinstance(component, SupportsRules):
                component.follow(self._followed(own), self._config.normalise)
        except ConfigError:
            raise
        except Exception as error:
            # Without its text, which may contain a password; the cause stays attached.
            raise PluginError(f"{named} cannot be made: its code raised {type(error).__name__}") from error
        return Made(kind, choice, offer, options, component, tuple((path, each) for path, each in own.values()))

    def _route_options(self, factory: Any, offer: Offer) -> dict[str, tuple[str, msgspec.Struct]] | None:
        """Return the routes' options for an extractor, by route, with key paths; None if any of them is wrong."""
        struct = getattr(factory, "RouteOptions", None)
        own: dict[str, tuple[str, msgspec.Struct]] = {}
        wrong = False
        for table in self._config.own_tables:
            if table.extractor != offer.component.name:
                continue
            if struct is None:
                self.problems.add(table.path, "this key extractor has no options for a route")
                made = None
            else:
                made = to_struct(struct, table.options, path=table.path, problems=self.problems)
            if made is None:
                wrong = True
            else:
                own[table.route] = (table.path, made)
        return None if wrong else own

    def _followed(self, own: Mapping[str, tuple[str, msgspec.Struct]]) -> list[ExtractorRoute]:
        routes = []
        for route in self._config.routes:
            path, options = own.get(route.path, ("", None))
            routes.append(ExtractorRoute(route.path, options, self._config.where(path) if path else ""))
        return routes


def check_shared_store(store: object, config: Config, *, name: str, problems: Problems) -> None:
    """Note what a response store shared between machines lacks: a common secret and a common namespace."""
    if isinstance(store, SupportsSecret):
        return
    reason = f"is needed with the response store {name!r}, which other machines may share; set"
    if config.http.identity_secret is None:
        problems.add("http.identity_secret", f'{reason} identity_secret = {{ env = "SEMCACHE_SECRET" }}')
    if "semcache.namespace" not in config.given | config.origins.keys():
        problems.add("semcache.namespace", f'{reason} namespace = "the-name-of-your-service"')
