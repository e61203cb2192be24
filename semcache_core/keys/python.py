"""Keys of library calls: a prompt and its context in, a ``Query`` out.

    keys = PythonKeys(Digests(secret), policy=policy)
    query = keys.of("What is the refund window?", {"tenant": 7})

Callers of one process are one caller; to distinguish users, put the user into the context.
"""

from __future__ import annotations

from typing import Any

import msgspec

from semcache_core.authoring.json_form import sorted_names
from semcache_core.keys.digests import Digests, pack, store_scope
from semcache_core.keys.text import compared, split_after
from semcache_core.settings import Policy
from semcache_core.types import Bypass, Nearby, Query

__all__ = ["PythonKeys", "context_bytes"]

_NO_CONTEXT = b""
_AMBIGUOUS = Bypass(reason="ambiguous-text")
_SCALARS = (str, int, bool, type(None))


class FunctionIdentity(msgspec.Struct, frozen=True):
    """The names of a cached function that are part of its keys, and its threshold."""

    module: str
    qualname: str
    version: str
    threshold: float | None = None


class _Place(msgspec.Struct, frozen=True):
    """One namespace, hashed once: every query of it starts from a copy of ``hasher``."""

    namespace: str
    partition: bytes
    hasher: Any


class _Rest(msgspec.Struct, frozen=True):
    """Computes the second half of a query on demand."""

    keys: PythonKeys
    place: _Place
    exact: bytes
    prompt: str
    context: bytes

    __repr__ = object.__repr__  # It contains the prompt: never in a log.

    def __call__(self) -> Nearby:
        policy, digests = self.keys.policy, self.keys.digests
        before, raw = split_after((self.prompt,), policy.compare_after)
        text, exact_only = compared(raw, policy)
        partition = self.place.partition
        scope = digests.scope(partition, "python", self.context, before)
        return Nearby(
            scope=scope,
            store_scope=store_scope(partition, scope),
            flight=partition + self.exact,
            text=text,
            exact_only=exact_only,
            fields=digests.members(_named(self.context)) if self.context else b"",
        )


def _named(context: bytes) -> list[tuple[str, bytes | msgspec.Raw]]:
    """Name the members of a context."""
    try:
        members = msgspec.json.decode(context, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        return [("context", context)]
    return [(f"context.{name}", value) for name, value in members.items()]


class PythonKeys:
    """Makes the queries of library calls, or of one cached function (``origin``).

    ``origin`` distinguishes the users of one cache: empty for the cache's own methods; module, qualified name and
    version for a cached function, so that two functions with equal arguments share nothing.
    """

    def __init__(
        self, digests: Digests, *, policy: Policy, namespace: str = "default", origin: tuple[str, ...] = ()
    ) -> None:
        self.digests = digests
        self.policy = policy
        self._origin = origin
        self._places: dict[str, _Place] = {}
        self._home = self._place(namespace)

    def of(self, prompt: str, context: Any = None, *, namespace: str | None = None) -> Query | Bypass:
        """Return the query of a prompt in its context.

        ``context`` is any JSON value; answers are shared only between equal contexts (dicts compare without order; 1,
        1.0 and True are three values). Bypass: the text has a lone surrogate and cannot be stored. Raises TypeError
        for a prompt that is not a str, and for a context that is not JSON.
        """
        if not isinstance(prompt, str):
            raise TypeError(f"the prompt is a {type(prompt).__name__}, not a str; other arguments go into the context")
        place = self._home if namespace is None else self._places.get(namespace) or self._place(namespace)
        try:
            known = _NO_CONTEXT if context is None else context_bytes(context)
            hasher = place.hasher.copy()
            hasher.update(pack((prompt, known)))
        except UnicodeEncodeError:
            return _AMBIGUOUS
        digest = hasher.digest()
        exact = digest[16:]
        return Query(
            place.namespace,
            place.partition,
            exact,
            digest[:16],
            _Rest(self, place, exact, prompt, known),
        )

    def function(self, module: str, qualname: str, version: str = "") -> PythonKeys:
        """Return the keys of one cached function of this cache."""
        origin = ("function", module, qualname, version)
        return PythonKeys(self.digests, policy=self.policy, namespace=self._home.namespace, origin=origin)

    def _place(self, namespace: str) -> _Place:
        partition = self.digests.partition("python", namespace, self._origin)
        place = _Place(namespace, partition, self.digests.requests(partition))
        if len(self._places) < 1024:  # Namespaces made of user ids must not grow this for ever.
            self._places[namespace] = place
        return place


def context_bytes(context: Any) -> bytes:
    """Return the canonical bytes of a JSON value: equal exactly for equal values of equal types.

    Raises TypeError, naming the place, for anything that is not JSON: tuples, sets, dates, NaN, non-str names.
    """
    try:
        _check_json(context)
        return sorted_names(context)
    except _NotJson as found:
        raise TypeError(f"context{''.join(reversed(found.steps))} {found.problem}") from None
    except OverflowError:
        raise TypeError("the context holds an integer beyond 64 bits; pass it as a str") from None
    except RecursionError:
        raise TypeError("the context is nested too deeply, or holds itself") from None


class _NotJson(Exception):
    """A part of a value is not JSON."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.steps: list[str] = []
        """The way to it, from the inside; nobody pays for it before there is something to say."""


def _check_json(value: Any) -> None:
    kind = type(value)
    if kind in _SCALARS:
        return
    if kind is dict:
        for name, child in value.items():
            if type(name) is not str:
                raise _NotJson(f"has a name that is a {type(name).__name__}; names in JSON are str")
            if type(child) not in _SCALARS:
                _check_inside(child, f".{name}")
    elif kind is list:
        for index, child in enumerate(value):
            if type(child) not in _SCALARS:
                _check_inside(child, f"[{index}]")
    elif kind is not float or value != value or value in (float("inf"), float("-inf")):
        what = "not a number" if kind is float else f"a {kind.__name__}"
        raise _NotJson(f"is {what}, which is not JSON; pass str, int, float, bool, None, list or dict")


def _check_inside(value: Any, step: str) -> None:
    try:
        _check_json(value)
    except _NotJson as found:
        found.steps.append(step)
        raise
