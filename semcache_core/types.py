"""The values that pass between the layers: frozen structs, never dicts, never tuples by position.

Times are seconds since the epoch (float); similarity is cosine, 0 to 1, higher is closer; digests are bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from typing import Any, ClassVar, Generic, Literal, TypeVar, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from semcache_core.reasons import Code

Vector = NDArray[np.float32]
"""float32: one vector of shape (dimensions,), or several of shape (n, dimensions)."""
Headers = tuple[tuple[bytes, bytes], ...]
"""Header fields in order, names in lower case, duplicates kept (the form ASGI uses)."""

Outcome = Literal["hit", "stale", "miss", "bypass"]
"""What was decided for one request. ``stale``: answered by an expired entry that may still serve."""
Source = Literal["exact", "semantic"]
"""How an entry was found: by the equal request, or by a near text."""


class Quiet:
    """Base of what may hold a prompt, an answer or a credential: its ``repr`` shows numbers, and the sizes of the rest.

    ``_shows`` names the fields that are shown as they are: codes and names of our own, nothing of a request.
    """

    __slots__ = ()

    _shows: ClassVar[frozenset[str]] = frozenset()

    def __repr__(self) -> str:
        kind = type(self)
        names: Iterable[str] = getattr(kind, "__struct_fields__", getattr(kind, "__dataclass_fields__", ()))
        told = (
            f" {name}={value!r}" if name in self._shows else f" {name}={_outline(value)}"
            for name in names
            if (value := getattr(self, name, None)) is not None
        )
        return f"<{kind.__qualname__}{''.join(told)}>"


def _outline(value: object) -> str:
    """Return what may be told of any value: numbers, and how much of the rest there is."""
    match value:
        case Quiet() | bool() | int() | float():
            return repr(value)
        case str():
            return f"({len(value)} characters)"
        case bytes() | bytearray() | memoryview():
            return f"({len(value)} bytes)"
        case Sized():
            return f"({len(value)} items)"
        case _:
            return f"({type(value).__name__})"


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the value types."""


class Entity(msgspec.Struct, eq=False):
    """Base of stateful objects: equal only to itself, and its ``repr`` shows nothing of a request."""

    __repr__ = object.__repr__


# -- for stores and embedders -----------------------------------------------------------------------------------------


class Space(Struct, frozen=True):
    """Which vectors may be compared: an embedder's fingerprint and its number of dimensions."""

    fingerprint: str
    """``Embedder.fingerprint``."""
    dimensions: int
    """The length of every vector in the space."""


class Point(Quiet, Struct, frozen=True):
    """One vector to index: ``vector`` is float32, shape (dimensions,), length 1."""

    id: bytes
    """The entry id."""
    scope: bytes
    """The digest within which the vector may be found: partition and scope in one."""
    vector: Vector
    """The embedding of the entry's text."""
    keep_until: float | None
    """When the store may drop it; None: never."""


class Match(Struct, frozen=True):
    """One neighbour: an entry id and its cosine similarity to the query vector."""

    id: bytes
    """The entry id."""
    similarity: float
    """max(0, cosine)."""


class Stored(Quiet, Struct, frozen=True):
    """An entry of a response store, and the latest invalidation of its tags (None: none, or the store keeps none)."""

    data: bytes
    """The bytes that were stored."""
    invalidated_at: float | None = None
    """The newest stamp of the tags; an entry born at or before it is dead."""
    tags: tuple[bytes, ...] = ()
    """The tag digests it was stored with; filled by a scan only."""


# -- for key extractors -----------------------------------------------------------------------------------------------


class Request(Quiet, Struct, frozen=True):
    """An HTTP request as a key extractor sees it.

    ``path`` and ``query`` are raw, exactly as forwarded; ``body`` is complete and its content coding is removed.
    """

    method: str
    """In upper case."""
    path: bytes
    """The raw path, percent-encoding kept."""
    query: bytes = b""
    """The raw query without its question mark."""
    headers: Headers = ()
    """Those of the request, hop-by-hop ones included."""
    body: bytes = b""
    """The whole body, decoded."""


class Bypass(Struct, frozen=True):
    """The request belongs to the protocol but not to the cache: forward it unchanged.

    ``reason`` is a code of ``semcache_core.reasons``, or one that the extractor's component lists (``OwnCode``).
    """

    reason: Code
    """In ``Cache-Status`` and in the statistics."""


class Traits(Struct, frozen=True):
    """Which HTTP rules apply to a protocol. ``LLM`` and ``API`` are the two usual sets."""

    negotiated: bool
    """``Accept``, ``Accept-Language`` and ``Content-Type`` of a request may change the answer, so they split keys."""
    cookies_identify: bool
    """All cookies identify the caller. False: all but those that load balancers and bot filters set on every client."""
    keeps_headers: bool
    """An entry keeps all headers of its answer except those of one connection, caller or exchange. False: it keeps the
    content type, the content language and the headers in ``http.keep_headers``.
    """
    http_caching: bool
    """An answer's headers decide whether and how long it may be stored: ``Cache-Control``, ``Expires``, ``Age``, and
    ``Set-Cookie``, which forbids it. False: only an application's ``no-store`` and ``private`` count.
    """
    private_hits: bool
    """Hits carry ``Cache-Control: private, no-store``: no cache between semcache and the caller may keep them."""


LLM = Traits(negotiated=False, cookies_identify=False, keeps_headers=False, http_caching=False, private_hits=True)
"""The traits of a protocol in front of a language model."""
API = Traits(negotiated=True, cookies_identify=True, keeps_headers=True, http_caching=True, private_hits=False)
"""The traits of an ordinary HTTP API, whose answers follow HTTP's own caching rules."""


class Mode(Quiet, Struct, frozen=True):
    """How a caller wants its answer delivered. It does not change the content of the answer."""

    streamed: bool = False
    """The caller asked for a stream."""
    required: frozenset[str] = frozenset()
    """The members an entry must have to answer this caller, for example ``usage``: see ``Answer.offers``."""
    flight: bytes = b""
    """What separates flights besides the exact digest: stream mode, service tier."""


class Key(Quiet, Struct, frozen=True):
    """An extractor's result for a request. Only the core turns it into digests.

    ``template`` is the canonical request without the ignored fields and without the slot's text; the slot's place is
    marked out of band. Equal templates, slots and exact-only members mean the same request; with equal templates and
    end users, texts may be compared. If the template ends in a JSON object, the core can name the member that split two
    keys; there the out-of-band mark is a control byte that JSON text cannot contain (``\\x00`` for a text taken out).
    """

    template: bytes
    """The canonical request without the slot's text."""
    slot: tuple[str, ...] = ()
    """The texts that were taken out, in order; may be empty."""
    end_user: bytes = b""
    """Canonical end-user fields: part of the scope and of the flight, not of the exact digest."""
    exact_only: Code | None = None
    """Reason code why only an equal request may match; None: similar texts may match too."""
    exact_only_members: bytes = b""
    """Canonical members that only the exact digest holds: near texts are compared whatever it holds."""
    mode: Mode = Mode()
    """How to deliver the answer: part of the flight, not of any digest."""


# -- for verifiers ----------------------------------------------------------------------------------------------------


class Accept(Struct, frozen=True):
    """By this verifier, the entry's question and the caller's are the same."""


class Reject(Struct, frozen=True):
    """They differ. ``reason`` is a short reason code, for example ``numbers``, which the verifier's
    component lists.

    ``certain``: the difference is definite (another number, another name), so it says nothing about the next candidate.
    Otherwise the next one must be clearly nearer than the threshold.
    """

    reason: str
    """The reason code, for example ``numbers``."""
    certain: bool = False
    """Whether the difference can be pointed at."""


class Penalty(Struct, frozen=True):
    """They may differ: subtract ``amount`` from the similarity before comparing it with the threshold."""

    amount: float
    """What is taken off the similarity, 0 to 1."""
    reason: str
    """The reason code, for example ``negation``."""


Verdict = Accept | Reject | Penalty
"""What a verifier says of two texts."""


T = TypeVar("T")


class once(Generic[T]):
    """A property computed at its first use: ``functools.cached_property`` without its lock (Python 3.11)."""

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function
        self._name = function.__name__
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: object) -> once[T]: ...

    @overload
    def __get__(self, instance: object, owner: object) -> T: ...

    def __get__(self, instance: object | None, owner: object) -> once[T] | T:
        if instance is None:
            return self
        # From now on the attribute is found in the instance's dictionary: this runs once.
        value = instance.__dict__[self._name] = self._function(instance)
        return value


# -- for the engine ---------------------------------------------------------------------------------------------------


class Nearby(Quiet, msgspec.Struct, frozen=True):
    """The half of a query that is needed after an exact miss."""

    scope: bytes
    """See ``Query.scope``."""
    store_scope: bytes
    """See ``Query.store_scope``."""
    flight: bytes
    """See ``Query.flight``."""
    text: str = ""
    """See ``Query.text``."""
    exact_only: Code | None = None
    """See ``Query.exact_only``."""
    fields: bytes = b""
    """See ``Query.fields``."""


class Address(msgspec.Struct, frozen=True):
    """Where a request's exact answer is stored: all that an exact lookup needs. Digests, no text."""

    namespace: str
    """The namespace that the request is asked in."""
    partition: bytes
    """The digest of the caller and the place."""
    exact: bytes
    """The digest of the canonical request."""
    entry_id: bytes
    """The keyed hash of both."""


class Query(Address, frozen=True, dict=True):
    """A request reduced to digests and the text to compare. It shows no caller's data to another.

    An exact hit needs only the address, so the rest is computed at its first use.
    """

    nearby_of: Callable[[], Nearby]
    """Computes the rest; called once."""

    def __repr__(self) -> str:
        return f"<Query {self.entry_id.hex()} in {self.namespace!r}>"  # Its parts contain the prompt: never in a log.

    @once
    def nearby(self) -> Nearby:
        """The part that is needed after an exact miss, computed once."""
        return self.nearby_of()

    @property
    def scope(self) -> bytes:
        """The canonical request without the slot's text, with the end-user fields."""
        return self.nearby.scope

    @property
    def store_scope(self) -> bytes:
        """SHA-256(partition, scope): the only scope that stores ever see."""
        return self.nearby.store_scope

    @property
    def flight(self) -> bytes:
        """The single-flight key: partition, exact, stream mode, service tier and end-user fields. It begins with the
        partition.
        """
        return self.nearby.flight

    @property
    def text(self) -> str:
        """The slot's text to embed and compare: NFC, white space folded. Never part of a key."""
        return self.nearby.text

    @property
    def exact_only(self) -> Code | None:
        """Reason code why only an equal request may match; None: similar texts may match too."""
        return self.nearby.exact_only

    @property
    def fields(self) -> bytes:
        """Each header's and member's name and a short keyed digest of its value, to say which one split two keys:
        packed, because every hit reads them and few are looked at (``keys.digests.members_of``).
        """
        return self.nearby.fields


RECORD_VERSION = 1
"""The version of the stored form; a record with another one is not read."""


class Record(Quiet, Struct, frozen=True, array_like=True, tag=RECORD_VERSION):
    """One stored answer, as written to the response store (see ``semcache_core.engine.record_codec``)."""

    partition: bytes
    """Who asked, and where; held against the query on every read."""
    scope: bytes
    """The digest of all but the text; held against the query on every read."""
    exact: bytes
    """The digest of the request; held against the query on an exact hit."""
    text: str
    """The slot's text; empty for an exact-only entry."""
    kind: str
    """The type of ``payload``: ``str``, ``bytes``, ``json``, or ``http``."""
    payload: bytes
    """The answer."""
    born_at: float
    """The time just before the upstream was called."""
    expires_at: float | None
    """Fixed at birth; None: never."""
    exact_only: bool = False
    """It may answer equal requests only."""
    tokens: int = 0
    """Tokens that the upstream counted for this answer, saved by a hit."""
    cost: float = 0.0
    """Seconds that the upstream took, saved by a hit."""
    fields: bytes = b""
    """See ``Query.fields``."""
    must_revalidate: bool = False
    """The answer's headers forbid serving it stale."""
    age_at_birth: int = 0
    """Seconds that the answer had spent in caches behind the upstream (its ``Age``)."""

    def age(self, now: float) -> float:
        """Return the answer's age at ``now``, in seconds (RFC 9111, 4.2.3)."""
        lived = now - self.born_at
        return (lived if lived > 0.0 else 0.0) + self.age_at_birth


# -- for ``semcache_may_store`` ---------------------------------------------------------------------------------------


class EntryView(Quiet, Struct, frozen=True):
    """An answer that is about to be stored, as ``semcache_may_store`` sees it."""

    text: str
    """The request's text, as compared; empty if it has none."""
    kind: str
    """The type of ``value``: ``str``, ``bytes``, ``json``, or ``http``."""
    value: Any
    """The answer: the function's result; for ``http`` a ``semcache_core.protocols.Answer``, body and headers."""
    tokens: int
    """Tokens that the upstream counted for it; 0 if it counts none."""
    tags: tuple[str, ...]
    """The tags that it will have."""


# -- for observers ----------------------------------------------------------------------------------------------------


class Decision(Struct, frozen=True):
    """The decision for one request, and why. One per request; no prompt, no answer, no credential."""

    outcome: Outcome
    """What was decided."""
    reason: str
    """A reason code: ``exact``, ``semantic``, ``empty-scope``, ``below-threshold``, ``no-identity``, ``numbers`` ..."""
    namespace: str = ""
    """The namespace that was asked in."""
    route: str = ""
    """The path of the ``[[route]]`` that held; empty where none did."""
    source: Source | None = None
    """How the entry was found; None without one."""
    similarity: float | None = None
    """Cosine to the entry's text, 1.0 for an exact hit; on a miss that of the nearest candidate, if there was one."""
    entry_id: str | None = None
    """The entry that answered, in hexadecimal digits; None without one."""
    at: float = 0.0
    """When it was decided."""
    elapsed: float = 0.0
    """Seconds from the request to the decision."""
    saved_tokens: int = 0
    """Tokens that upstream would have counted."""
    saved_seconds: float = 0.0
    """Seconds that upstream took, less those of the look-up."""
    observed: bool = False
    """True if ``mode = "observe"`` called upstream although this decision was a hit."""


class Fault(Struct, frozen=True):
    """A component behind the cache failed and the request continued without it."""

    stage: str
    """Where: ``embed``, ``search``, ``read``, ``write``, ``verify``, ``extract``, ``observe`` ..."""
    error: str
    """The exception's type name; its text could contain a prompt."""
    at: float = 0.0
    """When it happened."""


class Notice(Struct, frozen=True):
    """Something the operator should know, on which no request depends, for example a file set aside."""

    code: str
    """What it is about: a short code, or the class of the component that says it."""
    message: str
    """One sentence for the operator."""


Event = Decision | Fault | Notice
"""What ``semcache_observe`` is called with."""
