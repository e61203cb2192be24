"""The values that pass between the layers: frozen structs, never dicts, never tuples by position.

Times are seconds since the epoch (float); similarity is cosine, 0 to 1, higher is closer; digests are bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, overload

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


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the value types."""


class Entity(msgspec.Struct, eq=False):
    """Base of what has a state: equal to itself alone, and its ``repr`` shows nothing of a request."""

    __repr__ = object.__repr__


# -- what stores and embedders see ------------------------------------------------------------------------------------


class Space(Struct, frozen=True):
    """Which vectors may be compared: an embedder's fingerprint and its number of dimensions."""

    fingerprint: str
    """``Embedder.fingerprint``."""
    dimensions: int
    """The length of every vector in the space."""


class Point(Struct, frozen=True):
    """One vector to index: ``vector`` is float32, shape (dimensions,), length 1."""

    id: bytes
    """The entry id."""
    scope: bytes
    """The digest within which the vector may be found: partition and scope in one."""
    vector: Vector
    """The embedding of the entry's text."""
    keep_until: float | None
    """When the store may forget it; None: never."""


class Match(Struct, frozen=True):
    """One neighbour: an entry id and its cosine similarity to what was searched."""

    id: bytes
    """The entry id."""
    similarity: float
    """max(0, cosine)."""


class Stored(Struct, frozen=True):
    """What a response store holds under an id, and the newest stamp of any of its tags (None: none, or no stamps)."""

    data: bytes
    """The bytes that were stored."""
    invalidated_at: float | None = None
    """The newest stamp of the tags; an entry born at or before it is dead."""
    tags: tuple[bytes, ...] = ()
    """The tag digests it was stored with; filled by a scan only."""


# -- what key extractors see and say ----------------------------------------------------------------------------------


class Request(Struct, frozen=True):
    """An HTTP request as a key extractor sees it.

    ``path`` and ``query`` are raw, exactly as they were forwarded; ``body`` is whole and its content coding undone.
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
    """The protocol is ours, this request is not for the cache: forward it untouched.

    ``reason`` is a code of ``semcache_core.reasons``, or one that the extractor's component lists (``OwnCode``).
    """

    reason: Code
    """In ``Cache-Status`` and in the statistics."""


class Traits(Struct, frozen=True):
    """Which of HTTP's rules hold for a protocol. ``LLM`` and ``API`` are the two usual sets."""

    negotiated: bool
    """``Accept``, ``Accept-Language`` and ``Content-Type`` of a request may change the answer, so they split keys."""
    cookies_identify: bool
    """Cookies always say who asks. False: only where no other header does, because infrastructure sets them too."""
    keeps_headers: bool
    """An entry keeps all headers of its answer but those of one connection, caller or exchange. False: it keeps the
    content type, the content language and what ``http.keep_headers`` names.
    """
    http_caching: bool
    """An answer's own headers say whether and how long it may be stored: ``Cache-Control``, ``Expires``, ``Age``, and
    ``Set-Cookie``, which keeps it out. False: only an application's ``no-store`` and ``private`` count.
    """
    private_hits: bool
    """Hits carry ``Cache-Control: private, no-store``: no cache between semcache and the caller may keep them."""


LLM = Traits(negotiated=False, cookies_identify=False, keeps_headers=False, http_caching=False, private_hits=True)
"""The traits of a protocol in front of a language model."""
API = Traits(negotiated=True, cookies_identify=True, keeps_headers=True, http_caching=True, private_hits=False)
"""The traits of an ordinary HTTP API, whose answers follow HTTP's own caching rules."""


class Mode(Struct, frozen=True):
    """How a caller wants its answer delivered. Nothing in it changes what the answer says."""

    streamed: bool = False
    """The caller asked for a stream."""
    required: frozenset[str] = frozenset()
    """The members an entry must hold to answer this caller, for example ``usage``: see ``Answer.offers``."""
    flight: bytes = b""
    """What single-flight separates besides the exact digest: stream mode, service tier."""


class Key(Struct, frozen=True):
    """What an extractor makes of a request. The core alone turns it into digests.

    ``template`` is the canonical request without the ignored fields and without the slot's text; the slot's place is
    marked out of band. Equal templates, slots and exact-only members mean the same request; equal templates and end
    users mean that texts may be compared. Where the template ends in a JSON object, the core can say which member split
    two keys; a control byte that no JSON text holds (``\\x00`` for a text taken out) is the out-of-band mark there.
    """

    template: bytes
    """The canonical request without the slot's text."""
    slot: tuple[str, ...] = ()
    """The texts that were taken out, in order; empty where there is none."""
    end_user: bytes = b""
    """Canonical end-user fields: part of the scope and of the flight, not of the exact digest."""
    exact_only: Code | None = None
    """Reason code why only an equal request may be answered; None: near texts may be, too."""
    exact_only_members: bytes = b""
    """Canonical members that only the exact digest holds: near texts are compared whatever it holds."""
    mode: Mode = Mode()
    """How the answer is to be delivered: part of the flight, and of no digest."""


# -- what verifiers say -----------------------------------------------------------------------------------------------


class Accept(Struct, frozen=True):
    """The entry's question and the caller's are the same question, as far as this verifier can tell."""


class Reject(Struct, frozen=True):
    """They differ. ``reason`` is a short reason code, for example ``numbers``, which the verifier's
    component lists.

    ``certain``: the difference can be pointed at (another number, another name), so it settles this candidate and casts
    no doubt on the next one. Otherwise the next must be nearer than the threshold asks.
    """

    reason: str
    """The reason code, for example ``numbers``."""
    certain: bool = False
    """Whether the difference can be pointed at."""


class Penalty(Struct, frozen=True):
    """They may differ: take ``amount`` off the similarity before it is held against the threshold."""

    amount: float
    """What is taken off the similarity, 0 to 1."""
    reason: str
    """The reason code, for example ``negation``."""


Verdict = Accept | Reject | Penalty
"""What a verifier says of two texts."""


T = TypeVar("T")


class once(Generic[T]):
    """A property that is worked out at its first use: ``functools.cached_property`` without its lock (Python 3.11)."""

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
        # From now on the instance's own dictionary answers: this is asked once.
        value = instance.__dict__[self._name] = self._function(instance)
        return value


# -- what the engine works on -----------------------------------------------------------------------------------------


class Nearby(msgspec.Struct, frozen=True):
    """The half of a query that matters once the exact look-up has failed."""

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
    """Where a request's own answer is kept: all that an exact look-up needs. Digests, and no text."""

    namespace: str
    """The namespace that the request is asked in."""
    partition: bytes
    """Who asks, and where."""
    exact: bytes
    """The canonical request."""
    entry_id: bytes
    """The keyed hash of both."""


class Query(Address, frozen=True, dict=True):
    """A request reduced to digests and the text to compare. It shows no caller's data to another.

    An exact hit needs no more than its address, so the rest is worked out when it is first asked for.
    """

    nearby_of: Callable[[], Nearby]
    """Computes the rest; called once."""

    def __repr__(self) -> str:
        return f"<Query {self.entry_id.hex()} in {self.namespace!r}>"  # Its parts hold the prompt: never in a log.

    @once
    def nearby(self) -> Nearby:
        """What matters after an exact miss, computed once."""
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
        """What single-flight shares: partition, exact, stream mode, service tier and end-user fields."""
        return self.nearby.flight

    @property
    def text(self) -> str:
        """The slot's text as it is embedded and compared: NFC, white space folded. Never part of a key."""
        return self.nearby.text

    @property
    def exact_only(self) -> Code | None:
        """Reason code why only an equal request may be answered; None: near texts may be, too."""
        return self.nearby.exact_only

    @property
    def fields(self) -> bytes:
        """Each header's and member's name and a short keyed digest of its value, to say which one split two keys:
        packed, because every hit reads them and few are looked at (``keys.digests.members_of``).
        """
        return self.nearby.fields


RECORD_VERSION = 1
"""The version of the stored form; a record with another one is not read."""


class Record(Struct, frozen=True, array_like=True, tag=RECORD_VERSION):
    """One stored answer, as the response store keeps it (see ``semcache_core.engine.record_codec``)."""

    partition: bytes
    """Who asked, and where; held against the query on every read."""
    scope: bytes
    """The digest of all but the text; held against the query on every read."""
    exact: bytes
    """The digest of the request; held against the query on an exact hit."""
    text: str
    """The slot's text; empty for an exact-only entry."""
    kind: str
    """How ``payload`` is to be read: ``str``, ``bytes``, ``json``, or ``http``."""
    payload: bytes
    """The answer."""
    born_at: float
    """Just before the upstream was called."""
    expires_at: float | None
    """Fixed from birth; None: never."""
    exact_only: bool = False
    """It may answer equal requests only."""
    tokens: int = 0
    """Tokens that the upstream counted for this answer: what a hit saves."""
    cost: float = 0.0
    """Seconds that the upstream took: what a hit saves."""
    fields: bytes = b""
    """See ``Query.fields``."""
    must_revalidate: bool = False
    """The answer itself forbids that it is served stale."""
    age_at_birth: int = 0
    """Seconds that the answer had lain in caches behind the upstream (its ``Age``)."""

    def age(self, now: float) -> float:
        """Return the answer's age at ``now``, in seconds (RFC 9111, 4.2.3)."""
        lived = now - self.born_at
        return (lived if lived > 0.0 else 0.0) + self.age_at_birth


# -- what a plugin is asked about -------------------------------------------------------------------------------------


class EntryView(Struct, frozen=True):
    """An answer that is about to be stored, as ``semcache_may_store`` sees it."""

    text: str
    """The text that was asked, as it is compared; empty where the request has none."""
    kind: str
    """What ``value`` is: ``str``, ``bytes``, ``json``, or ``http``."""
    value: Any
    """The answer: what the function returned; for ``http`` a ``semcache_core.protocols.Answer``, body and headers."""
    tokens: int
    """Tokens that the upstream counted for it; 0 where it counts none."""
    tags: tuple[str, ...]
    """The tags that it is to carry."""

    __repr__ = object.__repr__  # It holds the prompt and the answer: never in a log.


# -- what observers hear ----------------------------------------------------------------------------------------------


class Decision(Struct, frozen=True):
    """What was decided for one request, and why. One a request; no prompt, no answer, no credential."""

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
    """True where ``mode = "observe"`` asked upstream although this decision was a hit."""


class Fault(Struct, frozen=True):
    """Something behind the cache failed and the request went on without it."""

    stage: str
    """Where: ``embed``, ``search``, ``read``, ``write``, ``verify``, ``extract``, ``observe`` ..."""
    error: str
    """The exception's type name; its text could hold a prompt."""
    at: float = 0.0
    """When it happened."""


class Notice(Struct, frozen=True):
    """Something an operator should know and nobody's request depends on, for example a file set aside."""

    code: str
    """What it is about: a short code, or the class of the component that says it."""
    message: str
    """One sentence for the operator."""


Event = Decision | Fault | Notice
"""What ``semcache_observe`` is called with."""
