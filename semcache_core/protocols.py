"""The protocols between the engine and its components.

A component is a class ``Factory(options)`` with a frozen ``Options`` struct; the constructor does no I/O, ``async
with`` opens and closes the component. No base class is required. All methods are async, run on the cache's event loop
and must not block it: a blocking library needs its own thread. Required methods are never added; an optional one is a
new ``Supports...`` protocol, looked up once, when the component is opened.

Every failure that is not a programming error is raised as one of ``semcache_core.errors``: the engine turns it
into a miss and an event. After cancellation a component stays usable.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import msgspec

from semcache_core.reasons import Code
from semcache_core.settings import Normalise, Policy
from semcache_core.types import (
    Bypass,
    Headers,
    Key,
    Match,
    Point,
    Quiet,
    Request,
    Space,
    Stored,
    Traits,
    Vector,
    Verdict,
)


class Options(Quiet, msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a component's options: unknown keys are errors with a did-you-mean. Fields carry their documentation::

    class RedisOptions(Options, frozen=True):
        url: Annotated[str, Meta(description="where Redis listens")] = "redis://127.0.0.1:6379"
        password: Annotated[Secret | None, Meta(description="password, where it needs one")] = None
    """


class AsyncResource(Protocol):
    """Opened and closed by the engine, which owns the lifetimes. Closing twice must be harmless."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


class Thresholds(msgspec.Struct, frozen=True):
    """The similarities at and above which a neighbour may answer, by preset."""

    safe: float
    """For ``preset = "safe"``: hardly any wrong answer."""
    balanced: float
    """For ``preset = "balanced"``, the default."""
    loose: float
    """For ``preset = "loose"``: more hits, more of them wrong."""


@runtime_checkable
class Embedder(AsyncResource, Protocol):
    """Turns texts into unit vectors whose cosine is the similarity of their meanings."""

    @property
    def fingerprint(self) -> str:
        """Names everything that affects a vector: provider, model, revision, dimensions, pooling, prefix, truncation.

        Known once open. Two embedders with equal fingerprints make comparable vectors.
        """
        ...

    @property
    def dimensions(self) -> int:
        """The length of every vector. Known once open."""
        ...

    @property
    def max_tokens(self) -> int | None:
        """The window; a longer text raises ``TextTooLong`` and is never cut. None: no bound is known."""
        ...

    @property
    def recommended(self) -> Thresholds | None:
        """The thresholds that suit this model, or None where none were measured."""
        ...

    @property
    def batch_invariant(self) -> bool:
        """False if a text's vector depends on its batch (dynamic int8): the engine then embeds one text per call."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return one float32 unit vector per text, in order: shape (len(texts), dimensions).

        Raises TextTooLong if any text is longer than the window, TextUnreadable if the model cannot distinguish its
        characters (such texts match exactly only), EmbedderUnavailable if no vectors can be computed.
        """
        ...


@runtime_checkable
class VectorStore(AsyncResource, Protocol):
    """Nearest neighbours within one scope. An index: it can be rebuilt from the response store."""

    async def prepare(self, space: Space) -> None:
        """Select the space all later calls work in. Vectors of another space are never found. Called once, after
        open.
        """
        ...

    async def upsert(self, points: Sequence[Point]) -> None:
        """Index the points; an existing id is replaced. Raises DimensionMismatch, StoreUnavailable."""
        ...

    async def search(self, vector: Vector, *, scope: bytes, limit: int, floor: float, now: float) -> Sequence[Match]:
        """Return the nearest points of ``scope``, closest first: at most ``limit``, all with similarity >= ``floor``.

        ``scope`` is a hard filter before the search, never after. Points whose ``keep_until`` is at or before ``now``
        are not returned. Similarity is max(0, cosine). Raises DimensionMismatch, StoreUnavailable.
        """
        ...

    async def delete(self, ids: Sequence[bytes]) -> None:
        """Delete the points; unknown ids are ignored. Raises StoreUnavailable."""
        ...

    async def count(self) -> int:
        """Return how many points the space holds; expired ones may be counted. Raises StoreUnavailable."""
        ...


@runtime_checkable
class ResponseStore(AsyncResource, Protocol):
    """Entries by id: the source of truth. It needs no search."""

    async def get(self, ids: Sequence[bytes], *, now: float) -> Sequence[Stored | None]:
        """Return the entry under each id, in order; None if there is none or its ``keep_until`` <= ``now``.

        A read never changes an expiry. Raises StoreUnavailable.
        """
        ...

    async def set(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        """Store ``data`` (any bytes, up to 10 MiB at least) under ``id``, replacing an existing entry.

        ``keep_until``: when it may be dropped; None: never. ``tags`` are the digests by which it can be invalidated.
        Raises StoreUnavailable.
        """
        ...

    async def delete(self, ids: Sequence[bytes]) -> None:
        """Delete the entries; unknown ids are ignored. Raises StoreUnavailable."""
        ...


@runtime_checkable
class SupportsGetNowait(Protocol):
    """A response store that can read one entry without waiting: from memory, or by one key in a local file."""

    def get_nowait(self, id: bytes, *, now: float) -> Stored | None:
        """Like ``get`` for one id, without waiting. Raises StoreUnavailable if it would have to wait."""
        ...


@runtime_checkable
class SupportsSetNowait(Protocol):
    """A response store that can write one entry without waiting, into this process's memory."""

    def set_nowait(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        """Like ``set``, without waiting. Raises StoreUnavailable, NotOpenError."""
        ...


@runtime_checkable
class SupportsLargest(Protocol):
    """A response store with a bound, in which one large value would displace much of the rest."""

    def largest(self) -> int:
        """Return how many bytes of data an entry may have, while it is open. ``set`` drops an entry that has more."""
        ...


@runtime_checkable
class SupportsInvalidation(Protocol):
    """A response store that keeps invalidation times: its ``get`` fills ``Stored.invalidated_at`` in the same trip.

    A store without it still works: the engine then keeps them as separate entries, at the price of a second trip.
    """

    async def invalidate(self, tags: Sequence[bytes], *, before: float) -> None:
        """Invalidate every entry with one of ``tags`` that was born at or before ``before``: O(1).

        An earlier time never replaces a later one.
        """
        ...


@runtime_checkable
class SupportsScopes(Protocol):
    """A vector store that knows without I/O whether a scope is empty: an empty one needs no embedding."""

    def has_scope(self, scope: bytes) -> bool:
        """Return False only if a search in ``scope`` would find nothing for any vector."""
        ...


@runtime_checkable
class SupportsScan(Protocol):
    """A response store that can walk its entries, for ``purge``, ``explain`` and rebuilding an index."""

    async def scan(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[tuple[bytes, Stored]]:
        """Return up to ``limit`` (id, stored) pairs with id > ``after``, by id; empty at the end.

        Here ``Stored.tags`` is filled: ``purge`` selects entries by it.
        """
        ...

    async def count(self) -> int:
        """Return the number of entries; expired ones may be counted."""
        ...


@runtime_checkable
class SupportsSweep(Protocol):
    """A store that deletes expired entries on request; the engine calls it about once a minute."""

    async def sweep(self, *, now: float) -> int:
        """Delete entries whose ``keep_until`` <= ``now`` and return how many."""
        ...


@runtime_checkable
class SupportsSecret(Protocol):
    """A store that is local to this machine, so that it can generate and keep the identity secret.

    With a store that lacks it (a networked one), the cache refuses to start without ``http.identity_secret`` and
    ``semcache.namespace``.
    """

    def identity_secret(self) -> bytes:
        """Return at least 32 random bytes, the same for every process that shares this store. Called once open."""
        ...


@runtime_checkable
class SupportsReady(Protocol):
    """A component that knows whether it can work right now. A store without it is read once, for a missing id."""

    async def ready(self) -> None:
        """Return if it can work, else raise one of ``semcache_core.errors``. Called once a second at most."""
        ...


@runtime_checkable
class SupportsExists(Protocol):
    """A store that creates its file or folder when it is opened. Read-only commands do not open it before it exists."""

    def exists(self) -> bool:
        """Say whether the file or folder exists. Called before the store is opened; creates nothing."""
        ...


@runtime_checkable
class SupportsReadOnly(Protocol):
    """A store that creates, repairs or marks something when it is opened or read. Commands that only look use this."""

    def read_only(self) -> Self:
        """Return a store of the same options, not open, that changes nothing. It is opened only if the store exists;
        opening raises StoreUnavailable for contents that cannot be read as they are.
        """
        ...


@runtime_checkable
class SupportsNotices(Protocol):
    """A component that has notices for the operator about its opening, for example a file set aside.

    A store is asked again about once a minute: there may be new ones while it runs.
    """

    def notices(self) -> Sequence[str]:
        """Return the sentences that were not returned before, one for each notice."""
        ...


@runtime_checkable
class Verifier(AsyncResource, Protocol):
    """Says whether an entry made for one text may answer another. An error or a timeout counts as a reject."""

    @property
    def costly(self) -> bool:
        """True if it should run only between the threshold and threshold + 0.03, within a time budget."""
        ...

    async def verify(self, query: str, candidate: str) -> Verdict:
        """Compare the query's text with the text an entry was made for. Raises VerifierUnavailable."""
        ...


@runtime_checkable
class KeyExtractor(AsyncResource, Protocol):
    """Knows one HTTP protocol: which requests belong to it, and how to derive their keys."""

    @property
    def traits(self) -> Traits:
        """Which HTTP rules apply to the protocol: ``semcache_core.types.LLM``, ``API`` or another set."""
        ...

    def claims(self, method: str, path: bytes) -> bool:
        """Say whether a request with this method and raw path is of the protocol. No I/O; called for every request."""
        ...

    def extract(self, request: Request) -> Key | Bypass | None:
        """Return the request's key, a Bypass, or None: not this protocol after all.

        Pure: the same request always gives the same key. A long body is read in another thread, while the event loop
        may call this for another request. An exception is a bypass (``extract-error``).
        """
        ...


class ExtractorRoute(Quiet, msgspec.Struct, frozen=True):
    """One ``[[route]]`` as a key extractor receives it."""

    path: str
    """The path suffix. If several routes match a request's path, the longest applies."""
    options: Any = None
    """``[[route]] NAME = {...}`` for the extractor called NAME, as ``RouteOptions`` of its class; None if absent."""
    place: str = ""
    """Where these options are, for errors about them: ``semcache.toml: route[0].json``."""


@runtime_checkable
class SupportsRules(Protocol):
    """A key extractor that uses the ``[[route]]`` and ``[[normalise]]`` tables. Called once, before it is opened.

    An extractor with route options has a class attribute ``RouteOptions``, a frozen ``Options`` struct like that of the
    component itself.
    """

    def follow(self, routes: Sequence[ExtractorRoute], normalise: Sequence[Normalise]) -> None:
        """Receive every route, also those without options for this extractor. Raises ConfigError for invalid ones."""
        ...


@runtime_checkable
class SupportsClaims(Protocol):
    """A key extractor whose methods and paths do not depend on the configuration.

    Without ``key_extractors.use``, every installed extractor is used, those with this protocol first. If two claim the
    same request, neither is used until the configuration names one.
    """

    @property
    def claimed(self) -> Sequence[tuple[str, bytes]]:
        """One (method, raw path) of each kind that ``claims`` accepts, for example ``("POST", b"/api/chat")``."""
        ...


@runtime_checkable
class SupportsPaths(Protocol):
    """A key extractor without fixed paths: the settings of a driver may add some (``paths=`` of a middleware)."""

    def with_paths(self, paths: Sequence[str], methods: Sequence[str]) -> KeyExtractor:
        """Return an open copy that also claims ``methods`` on the path suffixes ``paths``; ``self`` is unchanged."""
        ...


class AnswerHead(Quiet, msgspec.Struct, frozen=True):
    """Status and headers of an upstream's answer. ``headers`` in order, names in lower case."""

    status: int
    """The status code."""
    headers: Headers
    """Every header field, as upstream sent it."""


class Answer(Quiet, msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One complete, canonical answer: the content of an entry of an HTTP protocol."""

    status: int
    """The status code."""
    headers: Headers
    """The kept headers, already stripped."""
    body: bytes
    """The canonical body, decoded."""
    form: str = "body"
    """``body``: one canonical body for every mode whose members it has; ``events``: a raw event log."""
    offers: frozenset[str] = frozenset()
    """The members it has, compared with ``Mode.required``."""
    vary: Headers = ()
    """Names and digests of request values that must match before it may be served."""
    tokens: int = 0
    """Tokens that upstream counted; 0 where it did not say."""
    exact_only: bool = False
    """It may answer equal requests only, for example because it has tool calls."""
    stream: bytes = b""
    """How the answer came as a stream, in the extractor's own form, for callers of streams; empty: ``body`` says all.
    """


class Refused(msgspec.Struct, frozen=True):
    """An answer that may not be stored. ``complete``: the answer was complete.

    ``reason`` is a code of ``semcache_core.reasons``, or one that the extractor's component lists (``OwnCode``).
    """

    reason: Code
    """In the statistics, under ``unstored``."""
    complete: bool = True
    """Whether upstream sent all of it."""
    cut_off: bool = False
    """The answer breaks off in its middle: nobody who waits for it may take it for whole."""


class Recorder(Protocol):
    """Reads one answer while it is forwarded. Never changes or delays it."""

    def feed(self, chunk: bytes) -> None:
        """Receive the next piece of the decoded body; pieces end anywhere."""
        ...

    def finish(self) -> Answer | Refused:
        """Return the answer to store at the end of the body. The core fills ``Answer.headers`` and ``vary``.

        Pure; called in another thread where the body was long.
        """
        ...


@runtime_checkable
class SupportsTerminal(Protocol):
    """A recorder whose protocol marks the answer's end. SDKs disconnect there, before the body ends."""

    @property
    def done(self) -> bool:
        """Whether the end was seen: the answer is whole, even if the connection breaks."""
        ...


class Reply(Quiet, msgspec.Struct, frozen=True):
    """A stored answer, framed for one caller: the content type and the pieces of the body, in order."""

    content_type: bytes
    """The value of ``Content-Type``."""
    chunks: Sequence[bytes]
    """The body, in the pieces in which it is sent."""


class Framing(Quiet, msgspec.Struct, frozen=True, kw_only=True):
    """How to frame a stored answer for one caller."""

    streamed: bool
    """The caller asked for a stream."""
    required: frozenset[str]
    """The caller's ``Mode.required``: only requested members are framed, none is invented."""
    exact: bool
    """True: replay the body as stored. False (semantic): a new response id and ``created``, inner links kept."""
    fresh_id: str
    """Random text for a new id."""
    now: float
    """The time that a fresh ``created`` says."""
    route: str = ""
    """The path of the request's ``[[route]]``, as in ``Policy.route``; "" if none matches."""


@runtime_checkable
class SupportsAnswers(Protocol):
    """A key extractor that knows its protocol's answers: what may be stored, usage, streams to answers and back."""

    def recorder(self, key: Key, head: AnswerHead, *, policy: Policy) -> Recorder | Refused:
        """Return a recorder for one answer with status 200, or why no answer with such a head is stored.

        ``policy`` is the route's policy.
        """
        ...

    def reply(self, answer: Answer, framing: Framing) -> Reply | None:
        """Frame a stored answer for this caller; None if it lacks a member that the caller's mode requires.

        Pure; called in another thread where a long answer becomes a stream.
        """
        ...
