"""What the HTTP drivers of one open cache work with: which requests are whose, under which policy, keyed how.

``Site`` is made once when the cache opens. A driver takes a ``Desk`` from it, which knows where the driver stands: in
an application, or in a proxy in front of an upstream.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from semcache_core.extractors.json_body import JsonBody
from semcache_core.http.known import Head, Known
from semcache_core.keys.http import HttpKeys
from semcache_core.keys.identity import LONGEST_PATH
from semcache_core.protocols import KeyExtractor, SupportsAnswers
from semcache_core.recent import Recent
from semcache_core.settings import HttpOptions, Policy, RouteOptions
from semcache_core.types import Bypass

if TYPE_CHECKING:
    from semcache_core.config import Config
    from semcache_core.config.model import Policies
    from semcache_core.engine import Engine
    from semcache_core.keys.digests import Digests

_RESOLVED_KEPT = 4096
_HEADS_KEPT = 1024
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
    zero_usage: bool
    """Whether hits report no usage."""
    comparing: Route | None = None
    """The same for a caller who has near texts compared where only equal ones would be; None where nobody may."""


class Site:
    """The HTTP side of one open cache."""

    def __init__(
        self,
        *,
        config: Config,
        engine: Engine,
        digests: Digests,
        extractors: Mapping[str, KeyExtractor],
        policies: Policies,
    ) -> None:
        self.config = config
        self.engine = engine
        self.digests = digests
        self.extractors = extractors
        self.policies = policies
        self.proofs = Proofs()

    def desk(self, place: Place) -> Desk:
        """Return what a driver at ``place`` works with. Raises ConfigError for an identity that nobody could have."""
        return Desk(self, place)


class Desk:
    """What one driver works with."""

    __slots__ = (
        "_extractors",
        "_resolved",
        "aliases",
        "allow",
        "debug_token",
        "engine",
        "heads",
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
        if place.by_application:
            # What the configuration itself says of identity was told when the cache opened.
            for message in self.keys.notices():
                site.engine.observatory.notice("configuration", message)
        # Its own: two drivers may tell callers apart in two ways.
        self.aliases: Recent[Known | Bypass] = Recent(site.config.limits.alias_cache)
        self.heads: Recent[Head] = Recent(_HEADS_KEPT)
        self.proofs = site.proofs
        self.shared = options.identity == "shared"
        self.allow: frozenset[str] = frozenset(options.allow_directives)
        self.keep = frozenset(name.lower().encode("latin-1") for name in options.keep_headers)
        self.debug_token = None if options.debug_token is None else options.debug_token.reveal()
        self._extractors = _with_paths(site, place)
        self._resolved: dict[tuple[str, bytes], Route | None] = {}

    def resolve(self, method: str, path: bytes) -> Route | None:
        """Return the route of a request by its method and raw path; None: it is not ours, leave it untouched."""
        asked = (method, path)
        try:
            return self._resolved[asked]
        except KeyError:
            pass
        route = self._find(method, path)
        # Callers choose paths: long ones are not remembered, and what they made us remember is dropped at once; the few
        # real paths come back.
        if len(path) + len(method) <= LONGEST_PATH:
            if len(self._resolved) >= _RESOLVED_KEPT:
                self._resolved.clear()
            self._resolved[asked] = route
        return route

    def _find(self, method: str, path: bytes) -> Route | None:
        name = self._claimant(method, path)
        if name is None:
            return None
        extractor = self._extractors[name]
        policy = self.site.policies.of(path)
        if policy.mode == "off" or not isinstance(extractor, SupportsAnswers):
            return None
        obeys = policy.cache_control == "obey" and (extractor.generic or not self.place.upstream)
        route = Route(
            protocol=name,
            extractor=extractor,
            answers=extractor,
            policy=policy,
            generic=extractor.generic,
            obeys=obeys,
            zero_usage=policy.usage_on_hit == "zero",
        )
        if policy.match == "semantic" or "mode" not in self.allow:
            return route
        comparing = msgspec.structs.replace(policy, match="semantic")
        return msgspec.structs.replace(route, comparing=msgspec.structs.replace(route, policy=comparing))

    def _claimant(self, method: str, path: bytes) -> str | None:
        return next((name for name, one in self._extractors.items() if one.claims(method, path)), None)


def _with_paths(site: Site, place: Place) -> Mapping[str, KeyExtractor]:
    """Return the extractors, ``json`` with the paths that this driver's own settings add to the configuration's."""
    known = site.extractors.get("json")
    if not place.paths or not isinstance(known, JsonBody):
        return site.extractors
    extended = JsonBody(known.options)
    extended.follow(
        [*site.config.routes, *(RouteOptions(path=path, methods=place.methods) for path in place.paths)],
        site.config.normalise,
    )
    return {**site.extractors, "json": extended}


class Proofs:
    """Which credentials the upstream has lately accepted, and where: under ``identity = "shared"`` only these are
    answered, and only there.
    """

    def __init__(self) -> None:
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def note(self, proof: bytes, *, now: float) -> None:
        """Note that the upstream has just answered a credential with 2xx; ``proof`` names both it and the place."""
        self._until.pop(proof, None)
        if len(self._until) >= _PROOFS_KEPT:
            self._until.popitem(last=False)
        self._until[proof] = now + _PROOF_LASTS

    def withdraw(self, proof: bytes) -> None:
        """Note that the upstream has turned this credential away there."""
        self._until.pop(proof, None)

    def hold(self, proof: bytes, *, now: float) -> bool:
        """Say whether the credential was accepted there within the last hour."""
        return self._until.get(proof, 0.0) > now
