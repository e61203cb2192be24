"""Checks the arguments of the library's calls where they are made: also while the cache is down, and on a hit.

Each error names the argument and says what it takes. TypeError for a value of the wrong type, ValueError for another.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from numbers import Real

import msgspec

from semcache_core.authoring.suggest import did_you_mean
from semcache_core.config.problems import is_text
from semcache_core.engine.decide import check_threshold
from semcache_core.engine.freshness import check_tags, parse_duration
from semcache_core.keys.python import context_bytes
from semcache_core.library.fetch import CallOptions
from semcache_core.library.lookup import Lookup
from semcache_core.runtime.registry import Registry
from semcache_core.types import Query

ID_BYTES = 16


def check_question(prompt: object, *, context: object, namespace: object, threshold: object) -> None:
    """Check what every lookup takes."""
    if not isinstance(prompt, str):
        raise TypeError(f"the prompt is a {type(prompt).__name__}, not a str; other arguments go into the context")
    check_context(context)
    if namespace is not None:
        check_namespace(namespace)
    if threshold is not None:
        check_similarity(threshold)


def check_call(prompt: object, call: object, options: Mapping[str, object]) -> None:
    """Check the arguments of ``get_or_call``, apart from the context."""
    if not callable(call):
        if inspect.iscoroutine(call):
            call.close()
        raise TypeError(
            f"get_or_call takes a function, which it calls only on a miss, not a {type(call).__name__}: "
            "pass `lambda: fetch(prompt)`, not `fetch(prompt)`"
        )
    if not options:
        check_question(prompt, context=None, namespace=None, threshold=None)
        return
    for name in options.keys() - CallOptions.__annotations__.keys():
        raise TypeError(f"get_or_call has no option {name}={did_you_mean(name, CallOptions.__annotations__)}")
    refresh = options.get("refresh", False)
    if not isinstance(refresh, bool):
        raise TypeError(f"refresh= takes True or False, not {refresh!r}")
    check_question(prompt, context=None, namespace=options.get("namespace"), threshold=options.get("threshold"))
    check_storing(ttl=options.get("ttl", msgspec.UNSET), tags=options.get("tags", ()))


def check_storing(*, ttl: object, tags: object) -> None:
    """Check what every call takes that stores."""
    if ttl is not None and ttl is not msgspec.UNSET:
        try:
            parse_duration(ttl)
        except ValueError as error:
            raise ValueError(f"ttl=: {error}") from None
    if tags:
        check_names(tags)
    elif tags != () and tags != []:
        check_tags(tags)


def check_names(tags: object) -> None:
    """Check a list of tags."""
    check_tags(tags)
    for tag in tags:  # type: ignore[attr-defined]
        if not is_text(tag):
            raise ValueError(f"tags=: {tag!r} is not text: it holds half a character, or a NUL")


def check_context(context: object) -> None:
    """Check that a context, if there is one, is JSON. Half a character in it is a miss, as in a prompt."""
    if context is not None:
        with suppress(UnicodeEncodeError):
            context_bytes(context)


def check_namespace(namespace: object) -> None:
    """Check a namespace that is given."""
    if not isinstance(namespace, str):
        raise TypeError(f"namespace= takes a str, not {namespace!r}")
    if not namespace:
        raise ValueError("namespace= is empty; leave it out for the configured one")
    if not is_text(namespace):
        raise ValueError(f"namespace={namespace!r} is not text: it holds half a character, or a NUL")


def check_similarity(threshold: object) -> None:
    """Check a threshold that is given."""
    if isinstance(threshold, bool) or not isinstance(threshold, Real):
        raise TypeError(f"threshold= takes a similarity from 0 to 1, not {threshold!r}")
    check_threshold(float(threshold))


def check_invalidation(*, tag: object, entry_id: object, namespace: object, before: object) -> None:
    """Check the arguments of ``invalidate``."""
    if tag is not None:
        check_names((tag,))
    if namespace is not None:
        check_namespace(namespace)
    if before is not None:
        check_moment(before)
    if entry_id is not None and (tag, namespace, before) != (None, None, None):
        raise ValueError("invalidate(entry_id=) names one entry; it goes with nothing else")
    if (tag, entry_id, namespace, before) == (None, None, None, None):
        raise ValueError("invalidate() needs tag=, entry_id=, namespace= or before=")
    if entry_id is not None:
        entry_id_bytes(entry_id)


def check_rejection(lookup: object) -> tuple[Query, bytes]:
    """Return what a lookup found: its query, and the id of the entry. Raises TypeError, ValueError."""
    if not isinstance(lookup, Lookup):
        raise TypeError(f"reject() takes the Lookup that lookup() returned, not a {type(lookup).__name__}")
    if lookup.query is None or lookup.entry_id is None:
        raise ValueError("reject() takes a Lookup that was a hit")
    return lookup.query, bytes.fromhex(lookup.entry_id)


def entry_id_bytes(text: object) -> bytes:
    """Return the bytes of an entry's id."""
    if not isinstance(text, str):
        raise TypeError(f"entry_id= takes what Lookup.entry_id says, a str, not {text!r}")
    try:
        id = bytes.fromhex(text)
    except ValueError:
        id = b""
    if len(id) != ID_BYTES:
        raise ValueError(f"entry_id is what Lookup.entry_id says, {2 * ID_BYTES} hexadecimal digits, not {text!r}")
    return id


def check_moment(before: object) -> None:
    """Check a time: one that cannot be compared would make every lookup in the namespace a miss."""
    if isinstance(before, bool) or not isinstance(before, int | float) or not math.isfinite(before):
        raise TypeError(f"before is a time in seconds since the epoch, not {before!r}")


def check_components(
    embedder: object,
    vector_store: object,
    response_store: object,
    verifiers: object,
    *,
    registry: object,
    clock: object,
) -> None:
    """Check the components that a program passes: objects, not names or classes."""
    if verifiers is not None and (isinstance(verifiers, str) or not isinstance(verifiers, Sequence)):
        raise TypeError(f"SemanticCache(verifiers=) takes a list of components, not {_kind(verifiers)}")
    given = {"embedder": embedder, "vector_store": vector_store, "response_store": response_store}
    several = {f"verifiers[{place}]": each for place, each in enumerate(verifiers or ())}
    for name, component in (given | several).items():
        if component is not None and (isinstance(component, str | type) or not hasattr(component, "__aenter__")):
            raise TypeError(
                f"SemanticCache({name}=) takes a component, an object, not {_kind(component)}; "
                "a component is chosen by its name in the configuration"
            )
    if registry is not None and not isinstance(registry, Registry):
        raise TypeError(f"SemanticCache(registry=) takes a Registry, not {_kind(registry)}")
    if not callable(clock):
        raise TypeError(f"SemanticCache(clock=) takes a function such as time.time, not {_kind(clock)}")


def _kind(value: object) -> str:
    return f"the class {value.__qualname__}" if isinstance(value, type) else f"a {type(value).__name__}"
