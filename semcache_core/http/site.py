"""What the HTTP drivers of one open cache work with: which requests are whose, under which policy, keyed how.

``Site`` is made once when the cache opens. A driver takes a ``Desk`` from it, which knows where the driver stands: in an
application, or in a proxy in front of an upstream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from semcache_core.keys.http import Aliases, HttpKeys
from semcache_core.protocols import KeyExtractor, SupportsAnswers
from semcache_core.settings import HttpOptions, Policy, RouteOptions

if TYPE_CHECKING:
    from semcache_core.config import Config
    from semcache_core.engine import Engine
    from semcache_core.keys.digests import Digests

_RESOLVED_KEPT = 4096
_PROOFS_KEPT = 65_536
_PROOF_LASTS = 3600.0
"""Under ``identity = "shared"``: seconds for which an upstream's 2xx proves a credential."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a driver stands."""

    upstream: str = ""
    """Base URL that a proxy forwards to; empty in middleware, which wraps the application itself."""
    anonymous: bool = False
    """A request without identity may use the cache: for a proxy that only this machine can reach."""
    by_application: bool = False
    """The application names the caller; no header does."""
    paths: tuple[str, ...] = ()
    """Further path suffixes that the ``json`` extractor claims."""
    methods: tuple[str, ...] = ("POST",)
    """The methods it claims there."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Who reads requests of one method and path, and what holds for them."""

    protocol: str
    """The extractor's name."""
    extractor: KeyExtractor
    answers: SupportsAnswers
    policy: Policy
    generic: bool
    obeys: bool
    """Whether the Cache-Control of answers counts here."""


class Site:
    """The HTTP side of one open cache."""

    def __init__(
        self,
        *,
        config: Config,
        engine: Engine,
        digests: Digests,
        extractors: Mapping[str, KeyExtractor],
        policy: Policy,
    ) -> None:
        self.config = config
        self.engine = engine
        self.digests = digests
        self.extractors = extractors
        self.policy = policy
        self.aliases = Aliases(config.limits.alias_cache)
        self.proofs = Proofs()

    def desk(self, place: Place) -> Desk:
        """Return what a driver at ``place`` works with. Raises ConfigError for an identity that nobody could have."""
        return Desk(self, place)


class Desk:
    """What one driver works with."""

    __slots__ = (
        "_resolved",
        "aliases",
        "allow",
        "debug_token",
        "engine",
        "keep",
        "keys",
        "namespace",
        "options",
        "place",
        "proofs",
        "shared",
        "site",
    )

    def __init__(self, site: Site, place: Place) -> None:
        options: HttpOptions = site.config.http
        self.site, self.place, self.engine, self.options = site, place, site.engine, options
        self.namespace = site.config.cache.namespace
        self.keys = HttpKeys(
            site.digests, options=options, anonymous=place.anonymous, by_application=place.by_application
        )
        self.aliases, self.proofs = site.aliases, site.proofs
        self.shared = options.identity == "shared"
        self.allow: frozenset[str] = frozenset(options.allow_directives)
        self.keep = frozenset(name.lower().encode("latin-1") for name in options.keep_headers)
        self.debug_token = None if options.debug_token is None else options.debug_token.reveal()
        self._resolved: dict[tuple[str, bytes], Route | None] = {}

    def resolve(self, method: str, path: bytes) -> Route | None:
        """Return the route of a request by its method and raw path; None: it is not ours, leave it untouched."""
        asked = (method, path)
        try:
            return self._resolved[asked]
        except KeyError:
            pass
        if len(self._resolved) >= _RESOLVED_KEPT:
            # Callers choose paths: what they made us remember is dropped at once, and the few real paths come back.
            self._resolved.clear()
        route = self._resolved[asked] = self._find(method, path)
        return route

    def _find(self, method: str, path: bytes) -> Route | None:
        name = self._claimant(method, path)
        if name is None:
            return None
        extractor = self.site.extractors[name]
        policy = policy_of(self.site.policy, self.site.config.routes, path)
        if policy.mode == "off" or not isinstance(extractor, SupportsAnswers):
            return None
        obeys = policy.cache_control == "obey" and (extractor.generic or not self.place.upstream)
        return Route(
            protocol=name,
            extractor=extractor,
            answers=extractor,
            policy=policy,
            generic=extractor.generic,
            obeys=obeys,
        )

    def _claimant(self, method: str, path: bytes) -> str | None:
        for name, extractor in self.site.extractors.items():
            if extractor.claims(method, path):
                return name
        if "json" in self.site.extractors and method in self.place.methods:
            text = path.decode("latin-1")
            if any(ends_with(text, suffix) for suffix in self.place.paths):
                return "json"
        return None


class Proofs:
    """Which credentials the upstream has lately accepted: under ``identity = "shared"`` only these are answered."""

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}

    def note(self, credential: bytes, *, now: float) -> None:
        """Note that the upstream has just answered this credential with 2xx."""
        self._until.pop(credential, None)
        if len(self._until) >= _PROOFS_KEPT:
            del self._until[next(iter(self._until))]
        self._until[credential] = now + _PROOF_LASTS

    def withdraw(self, credential: bytes) -> None:
        """Note that the upstream has turned this credential away."""
        self._until.pop(credential, None)

    def hold(self, credential: bytes, *, now: float) -> bool:
        """Say whether the credential was accepted within the last hour."""
        return self._until.get(credential, 0.0) > now


def ends_with(path: str, suffix: str) -> bool:
    """Say whether ``path`` ends in ``suffix`` at a segment's border: ``/v1/ask`` ends in ``/ask``, ``/task`` does not."""
    return path == suffix or path.endswith(suffix if suffix.startswith("/") else "/" + suffix)


def policy_of(base: Policy, routes: tuple[RouteOptions, ...], path: bytes) -> Policy:
    """Return what holds for a path: ``base`` with what its route overrides; the longest matching suffix counts."""
    text = path.decode("latin-1")
    matching = [route for route in routes if ends_with(text, route.path)]
    if not matching:
        return base
    route = max(matching, key=lambda one: len(one.path))
    names = Policy.__struct_fields__
    overrides = {name: value for name in names if (value := getattr(route, name, None)) not in (None, msgspec.UNSET)}
    if route.ttl is None:  # "never" is a value of its own here, not an absent one.
        overrides["ttl"] = None
    return msgspec.structs.replace(base, **overrides, route=route.path)
