"""The configuration as a value: frozen, validated, with the origin of each option."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from semcache_core.errors import ConfigError
from semcache_core.settings import CacheOptions, HttpOptions, LimitOptions, Normalise, Policy, RouteOptions

if TYPE_CHECKING:
    from semcache_core.protocols import Embedder


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A component chosen by name, and its options as configured, not yet validated.

    ``path`` is the key path of its options, for example ``vector_store`` or ``key_extractors.json``; ``named_at`` is
    the key path of its name.
    """

    use: str
    path: str
    named_at: str
    options: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<Choice {self.path}: {self.use!r}>"  # Options may be plain-text passwords.


class ExtractorChoices(msgspec.Struct, frozen=True, kw_only=True):
    """``[key_extractors]``: the ones chosen by name, and whether the installed ones are used as well."""

    named: tuple[Choice, ...]
    """The ones of ``use``, then the ones of ``add``."""
    implied: bool
    """True without ``use``: every installed extractor is used whose claims overlap with no other's."""
    options: Mapping[str, Any]
    """The options tables as configured, by name."""

    def implied_choice(self, name: str) -> Choice:
        """Return the choice of an installed extractor that is not named, with its configured options."""
        return Choice(
            use=name,
            path=f"key_extractors.{name}",
            named_at="key_extractors.use",
            options=self.options.get(name, {}),
        )

    def __repr__(self) -> str:
        return f"<ExtractorChoices {self.named!r}>"


class OwnTable(msgspec.Struct, frozen=True, kw_only=True):
    """``[[route]] NAME = {...}``: options for one route of the key extractor called NAME, not yet validated."""

    extractor: str
    route: str
    """The route's path."""
    path: str
    """The key path of the table, for example ``route[0].json``."""
    options: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<OwnTable {self.path}>"


class Policies(msgspec.Struct, frozen=True):
    """The policy of each route, and the default policy."""

    base: Policy
    routes: tuple[tuple[bytes, Policy], ...]
    """Path suffix and policy, longest suffix first."""

    def of(self, path: bytes) -> Policy:
        """Return the policy for the raw path ``path``: that of the longest route path that is a suffix of it."""
        return next((policy for suffix, policy in self.routes if path.endswith(suffix)), self.base)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A whole configuration. Component options are validated when the component is made (``runtime.assembly``)."""

    label: str
    """Names the source: a file's name, ``configuration`` for a mapping, ``defaults``."""
    cache: CacheOptions
    http: HttpOptions
    limits: LimitOptions
    embedder: Choice | None
    """None: the first installed local one."""
    vector_store: Choice
    response_store: Choice
    key_extractors: ExtractorChoices
    verifiers: tuple[Choice, ...]
    """Without ``verifiers.use``: the default, which need not be installed."""
    routes: tuple[RouteOptions, ...]
    own_tables: tuple[OwnTable, ...]
    """The routes' options for key extractors."""
    normalise: tuple[Normalise, ...]
    given: frozenset[str]
    """The key paths that were set; everything else is a default."""
    origins: Mapping[str, str]
    """The origin of each value that is not in the source itself: ``$NAME`` of an environment variable."""
    hidden: frozenset[str]
    """The key paths whose value may be a secret because it comes from a variable."""
    notices: tuple[str, ...] = ()
    """Messages about settings that nothing reads."""

    def __repr__(self) -> str:
        return f"<Config {self.label}>"

    def place_of(self, path: str) -> str:
        """Return where the value at a key path comes from: the source, a variable, or ``default``."""
        if path in self.origins:
            return self.origins[path]
        return self.label if path in self.given else "default"

    def hides(self, path: str) -> bool:
        """Say whether the value at a key path, or a part of it, must not be shown."""
        return any(each == path or each.startswith((f"{path}.", f"{path}[")) for each in self.hidden)

    def where(self, path: str) -> str:
        """Return a key path with its place, for messages: ``semcache.toml: vector_store.use``."""
        place = self.place_of(path)
        return f"{path}, by default" if place == "default" else f"{place}: {path}"

    @property
    def lets_callers_compare(self) -> bool:
        """Whether a caller's ``mode=semantic`` is honoured, also on routes with ``match = "exact"``."""
        return "mode" in self.http.allow_directives

    @property
    def compares(self) -> bool:
        """Whether texts are compared anywhere: on some route, or at a caller's request."""
        matches = (self.cache.match, *(route.match for route in self.routes))
        return "semantic" in matches or self.lets_callers_compare

    def policies(self, embedder: Embedder | None) -> Policies:
        """Return every policy, resolved once. ``embedder`` and errors: see ``policy``."""
        longest_first = sorted(self.routes, key=lambda route: -len(route.path))
        return Policies(
            base=self.policy(None, embedder),
            routes=tuple((route.path.encode(), self.policy(route, embedder)) for route in longest_first),
        )

    def policy(self, route: RouteOptions | None, embedder: Embedder | None) -> Policy:
        """Return the policy of ``route`` (None: the default), with every override applied.

        ``embedder`` is the open embedder; without one only equal requests match. Raises ConfigError if neither the
        configuration nor the embedder gives a threshold.
        """
        values = {
            name: value
            for table in (self.cache, self.http)
            for name, value in msgspec.structs.asdict(table).items()
            if name in Policy.__struct_fields__
        }
        if route is not None:
            overrides = msgspec.structs.asdict(route)
            values |= {
                name: value
                for name, value in overrides.items()
                if name in Policy.__struct_fields__
                and (value is not None or name == "ttl")
                and value is not msgspec.UNSET
            }
            values["route"] = route.path
            values["compare_after"] = None if route.compare is None else route.compare.after
        if embedder is None:
            values["match"] = "exact"
        compares = values["match"] == "semantic" or (embedder is not None and self.lets_callers_compare)
        values["threshold"] = self._threshold(values["threshold"], embedder) if compares else 1.0
        return Policy(**values)

    def _threshold(self, threshold: float | None, embedder: Embedder | None) -> float:
        recommended = embedder.recommended if embedder is not None else None
        if threshold is not None:
            return threshold
        if recommended is None:
            raise ConfigError(
                f"{self.label}: semcache.threshold: is needed, because this embedder recommends no thresholds for "
                f"preset = {self.cache.preset!r}; set threshold = 0.93 or what you have measured, or match = 'exact'"
            )
        return {"safe": recommended.safe, "balanced": recommended.balanced, "loose": recommended.loose}[
            self.cache.preset
        ]
