"""Where a driver stands, and what holds for the requests of one method and path."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from semcache_core.protocols import KeyExtractor, SupportsAnswers
from semcache_core.settings import Policy
from semcache_core.types import Traits


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """Where a driver stands."""

    upstream: str = ""
    """Base URL that a proxy forwards to; empty in middleware, which wraps the application itself."""
    anonymous: bool = False
    """A request without identity may use the cache if it began on this machine (``loopback.began_here``): for a proxy
    that only this machine can reach.
    """
    by_application: bool = False
    """The application names the caller; no header does."""
    paths: tuple[str, ...] = ()
    """Further path suffixes for the extractors that take paths: ``json``, for one."""
    methods: tuple[str, ...] = ("POST",)
    """The methods it claims there."""

    def notices(self, extractors: Collection[str]) -> Iterator[str]:
        """Yield what an operator should know about ``paths`` and ``methods``; ``extractors`` are those in use."""
        if self.paths and "json" not in extractors:
            yield "paths= has no effect: the key extractor 'json', which reads it, is not in key_extractors.use"
        elif self.paths:
            yield (
                f"paths= names endings: whatever ends in {' or '.join(map(repr, self.paths))} is looked up, "
                f"also a longer path such as {'/api' + self.paths[0]!r}"
            )
        elif self.methods != ("POST",):
            yield "methods= has no effect without paths="


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Who reads requests of one method and path, and what holds for them."""

    protocol: str
    """The extractor's name."""
    extractor: KeyExtractor
    answers: SupportsAnswers
    policy: Policy
    traits: Traits
    obeys: bool
    """Whether the Cache-Control of answers counts here."""
    comparing: Route | None = None
    """The same for a caller who has near texts compared where only equal ones would be; None where nobody may."""
