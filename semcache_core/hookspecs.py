"""The hooks of semcache: this file is their reference.

A plugin implements any of them in the module that its ``semcache`` entry point names, marked with
``semcache_core.plugin.hookimpl``. Implementations are plain functions: an ``async def`` one is refused by name when the
plugin is loaded, and so is a function whose name begins with ``semcache_`` and is no hook.

The hooks that offer components are called once, when a cache is opened or the plugins are listed. They return
descriptors, so a component's module is imported only when the configuration names it. A hook that raises takes only its
own plugin out: the failure is kept, and quoted when a missing name is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from semcache_core.plugin import Component
    from semcache_core.types import EntryView, Event, Query

hookspec = pluggy.HookspecMarker("semcache")


@hookspec
def semcache_embedders() -> Iterable[Component]:  # type: ignore[empty-body]
    """Offer embedders: texts in, unit vectors out. Their protocol is ``semcache_core.protocols.Embedder``.

    Called once a start. All implementations are asked. An empty list offers nothing.
    """


@hookspec
def semcache_vector_stores() -> Iterable[Component]:  # type: ignore[empty-body]
    """Offer vector stores: nearest neighbours within one scope. Protocol: ``semcache_core.protocols.VectorStore``.

    Called once a start. All implementations are asked. An empty list offers nothing.
    """


@hookspec
def semcache_response_stores() -> Iterable[Component]:  # type: ignore[empty-body]
    """Offer response stores: entries by id, the truth. Protocol: ``semcache_core.protocols.ResponseStore``.

    Called once a start. All implementations are asked. An empty list offers nothing.
    """


@hookspec
def semcache_key_extractors() -> Iterable[Component]:  # type: ignore[empty-body]
    """Offer key extractors: what of an HTTP request is its key. Protocol: ``semcache_core.protocols.KeyExtractor``.

    Called once a start. All implementations are asked. An empty list offers nothing.
    """


@hookspec
def semcache_verifiers() -> Iterable[Component]:  # type: ignore[empty-body]
    """Offer verifiers: may this entry answer that text? Protocol: ``semcache_core.protocols.Verifier``.

    Called once a start. All implementations are asked. An empty list offers nothing.
    """


@hookspec
def semcache_commands() -> Iterable[Component]:  # type: ignore[empty-body]
    """Offer commands of the ``semcache`` program. A factory is a ``click.Command``; it is imported when it is run.

    Called when the program starts. All implementations are asked. An empty list offers nothing.
    """


@hookspec
def semcache_may_store(query: Query, entry: EntryView) -> bool | None:
    """Say whether an answer may be stored, after the core's own admission has agreed.

    Called once for each answer, before it is written, off the caller's path. ``query`` is what was asked (digests and
    the text), ``entry`` a view of the answer: text, kind, value, tokens, tags. ``False`` vetoes; ``True`` and ``None``
    agree. Every implementation is asked until one vetoes; one that raises vetoes too: an answer that could not be
    judged is not stored.
    """


@hookspec
def semcache_observe(event: Event) -> None:
    """Hear of a decision or a fault: metrics, logs, traces.

    Called on the event loop, once for each event, so it must return at once: hand slow work to a queue of your own. The
    result is ignored. An exception is counted (``stats().observer_errors``) and goes no further. Events carry no
    prompt, no answer and no credential.
    """
