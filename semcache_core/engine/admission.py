"""Whether an answer that is fit to be stored still may be, and what is written of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from semcache_core.engine import record_codec
from semcache_core.engine.components import OpenComponents
from semcache_core.engine.decide import LATE, Found
from semcache_core.engine.embeddings import Embeddings
from semcache_core.engine.jobs import Job
from semcache_core.engine.maintenance import Maintenance
from semcache_core.engine.observe import Observatory
from semcache_core.engine.payloads import value_of
from semcache_core.engine.recent_invalidations import RecentInvalidations
from semcache_core.keys.digests import own_tags, tag_digest
from semcache_core.protocols import Refused
from semcache_core.settings import Policy
from semcache_core.types import EntryView, Query, Record

_INVALIDATED = Refused("invalidated", complete=False)
_VETOED = Refused("vetoed")
_STORE_TOO_SMALL = Refused("store-too-small")


class Admission:
    """Makes of an answer what is to be written, unless it came too late, a hook vetoes it, or it is too large."""

    def __init__(
        self,
        parts: OpenComponents,
        embeddings: Embeddings | None,
        maintenance: Maintenance,
        invalidations: RecentInvalidations,
        observatory: Observatory,
    ) -> None:
        self._parts, self._embeddings, self._maintenance = parts, embeddings, maintenance
        self._invalidations, self._observatory = invalidations, observatory
        self._largest = sys.maxsize if parts.largest is None else parts.largest.largest()

    def job_of(
        self,
        query: Query,
        record: Record,
        *,
        policy: Policy,
        tags: Sequence[str],
        found: Found,
        refreshes: bool = False,
    ) -> Job | Refused:
        """Return the write of ``record`` as the answer to ``query``, or why it may not be stored.

        ``found``: what the look-up found. ``refreshes``: the request asked upstream although an answer existed, so an
        older answer that is still under way may not replace this one.
        """
        all_tags = tags_of(query, tags)
        if self._invalidations.outdate(query, record, all_tags):
            return self._unstored(_INVALIDATED)
        if self._parts.vetoes and not self._may_store(query, record, tags):
            return self._unstored(_VETOED)
        nearby, embeddings = query.nearby, self._embeddings
        if record.text and embeddings is not None and embeddings.refuses(query.partition, nearby.text):
            # No vector will ever lead to it: only an equal request does, and that needs no text.
            record = msgspec.structs.replace(record, text="", exact_only=True)
        data = record_codec.encode(record)
        if len(data) > self._largest:
            # An earlier answer is outdated all the same.
            self._maintenance.spawn(self._maintenance.forget(query.entry_id))
            return self._unstored(_STORE_TOO_SMALL)
        if refreshes:
            self._invalidations.note_entry(query.entry_id, record.born_at)
        comparable = policy.match == "semantic" and embeddings is not None
        is_late = found.vector is None and found.reason in LATE
        return Job(
            query.entry_id,
            query.partition,
            nearby.store_scope,
            nearby.text,
            record,
            data,
            max(policy.stale_while_revalidate, policy.stale_if_error),
            all_tags,
            comparable and bool(record.text) and not record.exact_only and not is_late,
            found.vector,
        )

    def _unstored(self, refused: Refused) -> Refused:
        self._observatory.count_unstored(refused.reason)
        return refused

    def _may_store(self, query: Query, record: Record, tags: Sequence[str]) -> bool:
        try:
            value = value_of(record.kind, record.payload)
            entry = EntryView(text=query.text, kind=record.kind, value=value, tokens=record.tokens, tags=tuple(tags))
            return all(may_store(query, entry) is not False for may_store in self._parts.vetoes)
        except Exception as error:  # noqa: BLE001  the edge to plugin code: if a hook fails, do not store
            self._observatory.fault("may-store", error)
            return False


def tags_of(query: Query, tags: Sequence[str]) -> tuple[bytes, ...]:
    """Return the digests of the tags that an answer to ``query`` has: the given ones, its namespace, its partition."""
    own = own_tags(query.namespace, query.partition)
    return (*own, *(tag_digest(query.namespace, tag) for tag in tags)) if tags else own
