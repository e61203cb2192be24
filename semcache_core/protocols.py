"""The protocols between the engine and everything that plugs into it.

A component is a class ``Factory(options)`` with a frozen ``Options`` struct; making one computes only, ``async with``
opens and closes it. No base class is required. All methods are async, run on the cache's event loop and must not block
it: a blocking library goes to a thread of its own. Required methods are never added; a new power is a new
``Supports...`` protocol, looked for once, when the component is opened.

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
from semcache_core.types import Bypass, Headers, Key, Match, Point, Request, Space, Stored, Traits, Vector, Verdict


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a component's options: unknown keys are errors with a did-you-mean. Fields carry their documentation::

    class RedisOptions(Options, frozen=True):
        url: Annotated[str, Meta(description="where Redis listens")] = "redis://127.0.0.1:6379"
        password: Annotated[Secret | None, Meta(description="password, where it needs one")] = None
    """


class AsyncResource(Protocol):
    """Opened and closed by the engine, which owns the lifetimes. Closing twice is harmless."""

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
    """Turns texts into unit vectors whose cosine says how near their meanings are."""

    @property
    def fingerprint(self) -> str:
        """Names everything that shapes a vector: provider, model, revision, dimensions, pooling, prefix, truncation.

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
        """False where a text's vector depends on its batch mates (dynamic int8): the engine then embeds one a call."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return one float32 unit vector per text, in order: shape (len(texts), dimensions).

        Raises TextTooLong if any text is longer than the window, TextUnreadable if the model cannot tell its characters
        apart (both match exactly only), EmbedderUnavailable if no vectors can be had.
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
        """Index the points; an id that is there already is replaced. Raises DimensionMismatch, StoreUnavailable."""
        ...

    async def search(self, vector: Vector, *, scope: bytes, limit: int, floor: float, now: float) -> Sequence[Match]:
        """Return the nearest points of ``scope``, closest first: at most ``limit``, all with similarity >= ``floor``.

        ``scope`` is a hard filter before the search, never after. Points whose ``keep_until`` is at or before ``now``
        are not returned. Similarity is max(0, cosine). Raises DimensionMismatch, StoreUnavailable.
        """
        ...

    async def delete(self, ids: Sequence[bytes]) -> None:
        """Forget the points; unknown ids are ignored. Raises StoreUnavailable."""
        ...

    async def count(self) -> int:
        """Return how many points the space holds; expired ones may be counted. Raises StoreUnavailable."""
        ...


@runtime_checkable
class ResponseStore(AsyncResource, Protocol):
    """Entries by id: the truth. It needs no search."""

    async def get(self, ids: Sequence[bytes], *, now: float) -> Sequence[Stored | None]:
        """Return what is stored under each id, in order; None where there is nothing or ``keep_until`` <= ``now``.

        A read never changes an expiry. Raises StoreUnavailable.
        """
        ...

    async def set(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        """Store ``data`` (any bytes, up to 10 MiB at least) under ``id``, replacing what was there.

        ``keep_until``: when it may be forgotten; None: never. ``tags`` are the digests whose stamps bind the entry.
        Raises StoreUnavailable.
        """
        ...

    async def delete(self, ids: Sequence[bytes]) -> None:
        """Forget the entries; unknown ids are ignored. Raises StoreUnavailable."""
        ...


@runtime_checkable
class SupportsGetNowait(Protocol):
    """A response store that can read one entry at once: from this process's memory, or by one key in a local file."""

    def get_nowait(self, id: bytes, *, now: float) -> Stored | None:
        """Return what ``get`` would for one id, without waiting for anything. Raises StoreUnavailable when it would
        have to.
        """
        ...


@runtime_checkable
class SupportsSetNowait(Protocol):
    """A response store that can write one entry at once, into this process's memory."""

    def set_nowait(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        """Do what ``set`` does, without waiting for anything. Raises StoreUnavailable, NotOpenError."""
        ...


@runtime_checkable
class SupportsInvalidation(Protocol):
    """A response store that keeps stamps: its ``get`` fills ``Stored.invalidated_at`` in the same trip.

    A store without it still works: the engine then keeps stamps as entries of their own, at the price of a second trip.
    """

    async def invalidate(self, tags: Sequence[bytes], *, before: float) -> None:
        """Note that everything carrying one of ``tags`` and born at or before ``before`` is dead: O(1).

        A later mark is never replaced by an earlier one.
        """
        ...


@runtime_checkable
class SupportsScopes(Protocol):
    """A vector store that can tell without I/O whether a scope holds anything: an empty one needs no embedding."""

    def has_scope(self, scope: bytes) -> bool:
        """Return False only if a search in ``scope`` would find nothing whatever the vector."""
        ...


@runtime_checkable
class SupportsScan(Protocol):
    """A response store that can walk its entries, for ``purge``, ``explain`` and rebuilding an index."""

    async def scan(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[tuple[bytes, Stored]]:
        """Return up to ``limit`` (id, stored) pairs with id > ``after``, by id; empty at the end.

        Here ``Stored.tags`` is filled: what is to be purged is counted by it.
        """
        ...

    async def count(self) -> int:
        """Return how many entries are held; expired ones may be counted."""
        ...


@runtime_checkable
class SupportsSweep(Protocol):
    """A store that deletes what has expired when it is told to; the engine does so about once a minute."""

    async def sweep(self, *, now: float) -> int:
        """Delete entries whose ``keep_until`` <= ``now`` and return how many."""
        ...


@runtime_checkable
class SupportsSecret(Protocol):
    """A store that never leaves this machine, and so can make and keep the secret that hides identities.

    A store without it (a networked one) makes the cache refuse to start without ``http.identity_secret`` and
    ``semcache.namespace``.
    """

    def identity_secret(self) -> bytes:
        """Return at least 32 random bytes, the same for all who share this store's contents. Called once open."""
        ...


@runtime_checkable
class SupportsReady(Protocol):
    """A component that knows whether it can work right now. Without it, a store is read once, of nothing."""

    async def ready(self) -> None:
        """Return if it can work; raise one of ``semcache_core.errors`` if it cannot. Cheap: asked once a second at
        most.
        """
        ...


@runtime_checkable
class SupportsExists(Protocol):
    """A store that makes its place when it is opened: a file, a folder. Commands that only look do not open it before
    that place is there.
    """

    def exists(self) -> bool:
        """Say whether the place is there. Called before the store is opened; makes nothing."""
        ...


@runtime_checkable
class SupportsNotices(Protocol):
    """A component that has something to tell the operator about how it opened, for example a file set aside.

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
        """True for a judge worth asking only between the threshold and threshold + 0.03, within a time budget."""
        ...

    async def verify(self, query: str, candidate: str) -> Verdict:
        """Compare the text that is asked with the text an entry was made for. Raises VerifierUnavailable."""
        ...


@runtime_checkable
class KeyExtractor(AsyncResource, Protocol):
    """Knows one HTTP protocol: which requests are its own, and what of such a request is its key."""

    @property
    def traits(self) -> Traits:
        """Which of HTTP's rules hold for the protocol: ``semcache_core.types.LLM``, ``API`` or a set of its own."""
        ...

    def claims(self, method: str, path: bytes) -> bool:
        """Say whether a request with this method and raw path is this protocol's. No I/O; called for every request."""
        ...

    def extract(self, request: Request) -> Key | Bypass | None:
        """Return the request's key, why it is not for the cache, or None: not this protocol after all.

        Pure: the same request always gives the same key. An exception is a bypass (``extract-error``).
        """
        ...


class ExtractorRoute(msgspec.Struct, frozen=True):
    """One ``[[route]]`` as a key extractor follows it."""

    path: str
    """The path suffix. Of all routes the longest one that a request's path ends in counts."""
    options: Any = None
    """What ``[[route]] NAME = {...}`` says to the extractor called NAME: a ``RouteOptions`` of its class. None where
    the route has no such table.
    """
    place: str = ""
    """Where these options are, for errors about them: ``semcache.toml: route[0].json``."""


@runtime_checkable
class SupportsRules(Protocol):
    """A key extractor that follows the ``[[route]]`` and ``[[normalise]]`` tables. Told once, before it is opened.

    An extractor with options for a route has a class attribute ``RouteOptions``, a frozen ``Options`` struct like the
    one of the component itself.
    """

    def follow(self, routes: Sequence[ExtractorRoute], normalise: Sequence[Normalise]) -> None:
        """Take every route, also those that say nothing to this extractor. Raises ConfigError for what it cannot
        read.
        """
        ...


@runtime_checkable
class SupportsClaims(Protocol):
    """A key extractor whose methods and paths are known without a configuration.

    Where ``key_extractors.use`` names none, every installed one is in, those with this power first. Two that claim one
    request are left out both, until the configuration names one.
    """

    @property
    def claimed(self) -> Sequence[tuple[str, bytes]]:
        """One (method, raw path) of each kind that ``claims`` says yes to, for example ``("POST", b"/api/chat")``."""
        ...


@runtime_checkable
class SupportsPaths(Protocol):
    """A key extractor of no fixed paths: a driver's own settings may add some (``paths=`` of a middleware)."""

    def with_paths(self, paths: Sequence[str], methods: Sequence[str]) -> KeyExtractor:
        """Return an open extractor that also claims ``methods`` on the path suffixes ``paths``; this one is left as
        it is.
        """
        ...


class AnswerHead(msgspec.Struct, frozen=True):
    """The beginning of an upstream's answer. ``headers`` in order, names in lower case."""

    status: int
    """The status code."""
    headers: Headers
    """Every header field, as upstream sent it."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One complete, canonical answer: what an entry of an HTTP protocol holds."""

    status: int
    """The status code."""
    headers: Headers
    """The headers that are kept, already stripped."""
    body: bytes
    """The canonical body, decoded."""
    form: str = "body"
    """``body``: one canonical body that serves every mode it has the members for; ``events``: a raw event log."""
    offers: frozenset[str] = frozenset()
    """The members it holds, held against ``Mode.required``."""
    vary: Headers = ()
    """Names and request values that must match before it may be served."""
    tokens: int = 0
    """Tokens that upstream counted; 0 where it did not say."""
    exact_only: bool = False
    """It may answer equal requests only, for example because it holds tool calls."""


class Refused(msgspec.Struct, frozen=True):
    """An answer that may not be stored. ``complete``: it was a whole, refused answer.

    ``reason`` is a code of ``semcache_core.reasons``, or one that the extractor's component lists (``OwnCode``).
    """

    reason: Code
    """In the statistics, under ``unstored``."""
    complete: bool = True
    """Whether upstream sent all of it."""


class Recorder(Protocol):
    """Watches one answer go by. Never changes or delays it."""

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the decoded body; pieces end anywhere."""
        ...

    def finish(self) -> Answer | Refused:
        """Say, at the end of the body, what there is to store. ``Answer.headers`` and ``vary`` are filled by the
        core.
        """
        ...


@runtime_checkable
class SupportsTerminal(Protocol):
    """A recorder whose protocol marks the answer's end itself. SDKs hang up there, before the body ends."""

    @property
    def done(self) -> bool:
        """Whether the end was seen: the answer is whole, even if the connection breaks."""
        ...


class Reply(msgspec.Struct, frozen=True):
    """A stored answer, framed for one caller: the content type and the pieces of the body, in order."""

    content_type: bytes
    """The value of ``Content-Type``."""
    chunks: Sequence[bytes]
    """The body, in the pieces in which it is sent."""


class Framing(msgspec.Struct, frozen=True, kw_only=True):
    """How a stored answer is to be framed for one caller."""

    streamed: bool
    """The caller asked for a stream."""
    required: frozenset[str]
    """The caller's ``Mode.required``: nothing that it did not ask for is framed, nothing is invented."""
    exact: bool
    """True: replay the body as stored. False (semantic): a fresh response id and ``created``, inner links kept."""
    fresh_id: str
    """Random text for a fresh id."""
    now: float
    """The time that a fresh ``created`` says."""
    route: str = ""
    """The path of the ``[[route]]`` that holds for the request, as ``Policy.route`` has it; "" where none does."""


@runtime_checkable
class SupportsAnswers(Protocol):
    """A key extractor that knows its protocol's answers: admission, usage, streams to answers and back."""

    def recorder(self, key: Key, head: AnswerHead, *, policy: Policy) -> Recorder | Refused:
        """Return a recorder for one answer with status 200, or why no answer with such a head is ever stored.

        ``policy`` holds what the route admits.
        """
        ...

    def reply(self, answer: Answer, framing: Framing) -> Reply | None:
        """Frame a stored answer for this caller, or None where it lacks what the caller's mode needs."""
        ...
