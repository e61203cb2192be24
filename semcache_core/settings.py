"""The options of the core, table by table: names, defaults, meanings. The configuration reference is made from these.

In a file, an option of type ``Seconds`` or ``Duration`` may be ``90``, ``"90s"``, ``"15m"``, ``"1h"`` or ``"7d"``, a
``Duration`` also ``"never"``, and one of type ``Bytes`` may be ``"4 MiB"``. Plugins may use the same types.
"""

from __future__ import annotations

import hmac
from typing import Annotated, Literal, NoReturn

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(extra={"unit": "seconds"})]
"""Seconds."""
Duration = Annotated[float | None, Meta(extra={"unit": "seconds"})]
"""Seconds; None: never ends."""
Bytes = Annotated[int, Meta(extra={"unit": "bytes"})]
"""A number of bytes."""
Similarity = Annotated[float, Meta(ge=0, le=1)]
"""Cosine, 0 to 1, higher is closer."""

_Wait = Annotated[Seconds, Meta(ge=0)]
_Count = Annotated[int, Meta(ge=0)]
_Size = Annotated[int, Meta(ge=1)]
_Body = Annotated[Bytes, Meta(ge=1024)]
_Signature = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip


class Secret:
    """A string that never prints: masked in ``repr``, ``str`` and f-strings. ``reveal()`` gives the string."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret. Call it where the secret is used, not where it is passed on."""
        return self._value

    def __repr__(self) -> str:
        return "********"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is neither pickled nor copied")


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the configuration tables."""


class CacheOptions(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[semcache]``: the defaults of every request; a ``[[route]]`` may override the options that say so."""

    namespace: Annotated[
        str, Meta(min_length=1, description="Separates caches that share a store; part of every partition.")
    ] = "default"
    mode: Annotated[
        Literal["on", "observe", "off"],
        Meta(description="`observe` decides and records but always asks upstream; `off` is the kill switch."),
    ] = "on"
    preset: Annotated[
        Literal["safe", "balanced", "loose"],
        Meta(description="Which of the embedder's recommended thresholds to use."),
    ] = "balanced"
    threshold: Annotated[
        Similarity | None,
        Meta(description="Similarity at and above which a neighbour may answer; overrides `preset`."),
    ] = None
    match: Annotated[
        Literal["semantic", "exact"], Meta(description="`exact` answers equal requests only and embeds nothing.")
    ] = "semantic"
    ttl: Annotated[Duration, Meta(description="How long an answer lives, from its birth. 0 stores nothing.")] = 86400.0
    jitter: Annotated[
        float,
        Meta(
            ge=0, le=0.5, description="Shortens each ttl by a random share up to this, so entries do not end together."
        ),
    ] = 0.05
    stale_while_revalidate: Annotated[
        _Wait, Meta(description="Time after expiry in which the old answer is served while one refresh runs.")
    ] = 0.0
    stale_if_error: Annotated[
        _Wait, Meta(description="Time after expiry in which the old answer replaces a failing upstream.")
    ] = 0.0
    min_words: Annotated[_Count, Meta(description="Texts with fewer content words match exactly only.")] = 2
    max_words: Annotated[_Size, Meta(description="Texts with more words match exactly only (`long-text`).")] = 64
    volatile: Annotated[tuple[str, ...], Meta(description="Words and phrases that make a text match exactly only.")] = (
        "today",
        "now",
        "latest",
        "current",
        "this week",
    )
    max_body: Annotated[_Body, Meta(description="A larger request or answer body is neither looked up nor stored.")] = (
        4 * 1024 * 1024
    )


class JwtOptions(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[http.jwt]``: claims of a verified token identify the caller, in place of the default identity."""

    claims: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description='Claims that tell callers apart, such as `["sub"]`; a token needs them all.'),
    ]
    key: Annotated[Secret, Meta(description="What tokens are verified with: a PEM public key, or the secret of `HS*`.")]
    algorithms: Annotated[
        tuple[_Signature, ...],
        Meta(min_length=1, description="Signatures that are accepted; `HS*` never beside one with a public key."),
    ]
    audience: Annotated[
        str | None, Meta(description="The `aud` a token needs; without it, a token that has one is refused.")
    ] = None
    issuer: Annotated[str | None, Meta(description="The `iss` a token needs.")] = None
    leeway: Annotated[_Wait, Meta(description="How far the issuer's clock may be off.")] = 0.0
    header: Annotated[
        str, Meta(min_length=1, description="The header that holds the token, after `Bearer` or alone.")
    ] = "authorization"


class HttpOptions(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[http]``: identity, headers and the directives that callers may send."""

    identity_secret: Annotated[
        Secret | None,
        Meta(description="Keys the hashes that hide identities: 16 bytes at least. SQLite makes and keeps one."),
    ] = None
    identity: Annotated[
        Literal["default", "shared"] | tuple[str, ...],
        Meta(description="Header names that replace the default identity, or `shared`: one partition for all callers."),
    ] = "default"
    jwt: Annotated[
        JwtOptions | None, Meta(description="Verified claims that replace the default identity; see `[http.jwt]`.")
    ] = None
    identity_add: Annotated[tuple[str, ...], Meta(description="Further headers that tell callers apart.")] = ()
    cookies: Annotated[
        tuple[str, ...], Meta(description="With `identity` as header names: these cookies count, all others do not.")
    ] = ()
    ignore_headers: Annotated[
        tuple[str, ...], Meta(description="Further request headers that never split keys. `x-build*` is a prefix.")
    ] = ()
    keep_headers: Annotated[
        tuple[str, ...], Meta(description="Further response headers that are stored with an LLM answer.")
    ] = ()
    request_cache_control: Annotated[
        Literal["honour", "strict", "ignore"],
        Meta(
            description="Whether callers' Cache-Control is obeyed. `honour` passes over `no-cache` and `no-store` "
            "beside `Accept: text/event-stream` on LLM protocols, where clients send them by habit; `strict` obeys "
            "these, too."
        ),
    ] = "honour"
    cache_control: Annotated[
        Literal["obey", "ignore"],
        Meta(description="Whether the Cache-Control of answers is obeyed where their protocol uses it."),
    ] = "obey"
    allow_directives: Annotated[
        tuple[Literal["namespace", "tags", "mode", "ttl"], ...],
        Meta(
            description="What callers may loosen through Semcache-Control. With `mode`, `mode=semantic` has near texts "
            'compared where `match = "exact"`.'
        ),
    ] = ()
    status_headers: Annotated[bool, Meta(description="Whether bypassed requests get Cache-Status and X-Cache.")] = True
    debug_token: Annotated[
        Secret | None, Meta(description="Who sends it in Semcache-Debug sees similarity and matched text.")
    ] = None
    callers: Annotated[
        Secret | None,
        Meta(
            description="Tokens of the proxy's own, separated by commas: every caller shows one of them, in "
            "`Semcache-Key` or as its API key. Each is an identity; none is forwarded."
        ),
    ] = None
    open_relay: Annotated[
        bool,
        Meta(description="Whether the proxy may add a credential to the requests of callers that show no token."),
    ] = False

    @property
    def caller_tokens(self) -> tuple[str, ...]:
        """The tokens in ``callers``, each a caller's; spaces separate them, too."""
        return () if self.callers is None else tuple(self.callers.reveal().replace(",", " ").split())


class LimitOptions(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[limits]``: deadlines and bounds."""

    embed_deadline: Annotated[Seconds, Meta(gt=0, description="One embedding on the caller's path.")] = 2.0
    vector_deadline: Annotated[Seconds, Meta(gt=0, description="One vector store call.")] = 0.5
    response_deadline: Annotated[Seconds, Meta(gt=0, description="One response store call.")] = 0.5
    lookup_deadline: Annotated[Seconds, Meta(gt=0, description="A whole lookup.")] = 3.0
    judge_deadline: Annotated[Seconds, Meta(gt=0, description="One costly verifier call.")] = 1.0
    breaker_open: Annotated[
        Seconds, Meta(gt=0, description="How long a failing dependency rests; doubles to 10 s.")
    ] = 1.0
    write_queue: Annotated[
        _Size, Meta(description="Writes that may wait; beyond, the caller with most loses its newest.")
    ] = 10_000
    write_queue_bytes: Annotated[Bytes, Meta(ge=1, description="Bytes that may wait to be written.")] = 64 * 1024 * 1024
    drain: Annotated[_Wait, Meta(description="How long a shutdown waits for queued writes.")] = 5.0
    embed_queue: Annotated[
        _Size, Meta(description="Texts that may wait to be embedded; beyond, the caller with most loses its newest.")
    ] = 1024
    embedding_cache: Annotated[_Count, Meta(description="Embeddings kept in memory, least recently used go first.")] = (
        4096
    )
    alias_cache: Annotated[_Count, Meta(description="Raw bodies whose key is remembered.")] = 32_768
    refreshes: Annotated[
        _Size, Meta(description="Stale answers refreshed at the same time; a caller may have a quarter of them.")
    ] = 64
    body_queue: Annotated[
        _Size, Meta(description="Long bodies that may wait to be read; beyond, the caller with most loses its newest.")
    ] = 64
    waiter_patience: Annotated[
        Seconds, Meta(gt=0, description="Time without a byte after which a waiter asks alone.")
    ] = 30.0
    hit_for_miss: Annotated[_Wait, Meta(description="How long a refused answer lets equal requests pass at once.")] = (
        60.0
    )


class Normalise(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[normalise]]``: rewrites a volatile span in the key's copy of a request, never in the request itself."""

    path: Annotated[str, Meta(description="JSON path of the text, for example `$.messages[0].content`.")]
    pattern: Annotated[
        str,
        Meta(
            description="Regular expression of the span; `*` and `+` repeat up to 256 times, and its work is bounded."
        ),
    ]
    replace: Annotated[str, Meta(description="What replaces it in the key.")] = ""


class Compare(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``compare`` of a ``[[route]]``: which part of the text may be worded differently."""

    after: Annotated[
        str,
        Meta(
            min_length=1,
            description="Only what follows the last such marker is compared by meaning; the rest is scope.",
        ),
    ]


class RouteOptions(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[route]]``: overrides for the requests whose path ends in ``path``; the longest such path applies.

    What a route leaves out is what ``[semcache]`` and ``[http]`` say. A key extractor's own options for the route are
    in a table of its name: ``json = { text = "$.question" }``.
    """

    path: Annotated[
        str,
        Meta(pattern="^/", description="Path suffix, from a slash on; for the `json` extractor it claims the path."),
    ]
    compare: Annotated[
        Compare | None,
        Meta(description='Which part of the text is compared by meaning: `{ after = "Question:" }`.'),
    ] = None
    mode: Annotated[
        Literal["on", "observe", "off"] | None, Meta(description="Overrides `semcache.mode` on this route.")
    ] = None
    match: Annotated[
        Literal["semantic", "exact"] | None, Meta(description="Overrides `semcache.match` on this route.")
    ] = None
    threshold: Annotated[Similarity | None, Meta(description="Overrides `semcache.threshold` and `preset` here.")] = (
        None
    )
    ttl: Annotated[
        Duration | msgspec.UnsetType, Meta(description="Overrides `semcache.ttl`; 0 stores nothing on this route.")
    ] = msgspec.UNSET
    stale_while_revalidate: Annotated[
        _Wait | None, Meta(description="Overrides `semcache.stale_while_revalidate` on this route.")
    ] = None
    stale_if_error: Annotated[_Wait | None, Meta(description="Overrides `semcache.stale_if_error` on this route.")] = (
        None
    )
    min_words: Annotated[_Count | None, Meta(description="Overrides `semcache.min_words` on this route.")] = None
    max_words: Annotated[_Size | None, Meta(description="Overrides `semcache.max_words` on this route.")] = None
    max_body: Annotated[_Body | None, Meta(description="Overrides `semcache.max_body` on this route.")] = None
    cache_control: Annotated[
        Literal["obey", "ignore"] | None, Meta(description="Overrides `http.cache_control` on this route.")
    ] = None
    request_cache_control: Annotated[
        Literal["honour", "strict", "ignore"] | None,
        Meta(description="Overrides `http.request_cache_control` on this route."),
    ] = None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one route, with every override applied: resolved once, at open."""

    route: str = ""
    """The path of the route; "" for the default policy."""
    mode: Literal["on", "observe", "off"] = "on"
    """See ``[semcache] mode``."""
    match: Literal["semantic", "exact"] = "semantic"
    """See ``[semcache] match``."""
    threshold: float = 1.0
    """Resolved from the route, the configuration or the embedder's preset."""
    ttl: Duration = 86400.0
    """How long an answer lives."""
    jitter: float = 0.05
    """The largest share that a ttl is shortened by."""
    stale_while_revalidate: float = 0.0
    """Seconds after expiry in which the old answer is served while one refresh runs."""
    stale_if_error: float = 0.0
    """Seconds after expiry in which the old answer replaces a failing upstream."""
    min_words: int = 2
    """Texts with fewer content words match exactly only."""
    max_words: int = 64
    """Texts with more words match exactly only."""
    volatile: tuple[str, ...] = CacheOptions().volatile
    """Words and phrases that make a text match exactly only."""
    max_body: int = 4 * 1024 * 1024
    """Bytes; a larger body is neither looked up nor stored."""
    cache_control: Literal["obey", "ignore"] = "obey"
    """Whether the Cache-Control of answers is obeyed."""
    request_cache_control: Literal["honour", "strict", "ignore"] = "honour"
    """Whether the Cache-Control of callers is obeyed; ``honour`` passes over habits of LLM clients."""
    compare_after: str | None = None
    """The marker of the route's ``compare``."""

    @property
    def stale_window(self) -> float:
        """Seconds after expiry in which an entry may still be served."""
        return max(self.stale_while_revalidate, self.stale_if_error)
