"""Explains the decision for one question, step by step, in the order of the engine."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from semcache_core.cli.entries import Entry, walk
from semcache_core.cli.output import duration_text, meaning, reason_rows
from semcache_core.engine import record_codec
from semcache_core.engine.decide import Directives
from semcache_core.engine.semantic import Considered
from semcache_core.errors import SemcacheError
from semcache_core.keys.digests import members_of
from semcache_core.protocols import SupportsInvalidation, SupportsScan
from semcache_core.reasons import Reason
from semcache_core.runtime.opening import Runtime
from semcache_core.settings import Policy
from semcache_core.types import Penalty, Query, Reject, Verdict

_LONGEST_TEXT = 100

Row = tuple[str, str]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One question as the engine receives it, and how to describe it."""

    query: Query
    policy: Policy
    directives: Directives
    asked_by: str
    """The extractor that claims the request, or the library."""
    partition: str
    """What distinguishes two partitions."""

    __repr__ = object.__repr__  # It contains the prompt.


class Explanation:
    """Passes one question to the engine and describes the result."""

    def __init__(self, runtime: Runtime, question: Question, reasons: Mapping[str, Reason]) -> None:
        self._engine, self._config = runtime.engine, runtime.config
        self._question, self._query, self._policy = question, question.query, question.policy
        self._reasons = reasons

    async def rows(self) -> list[Row]:
        """Return the rows of the explanation."""
        policy, query = self._policy, self._query
        trail: list[Considered] = []
        found = await self._engine.find(query, policy=policy, directives=self._question.directives, trail=trail)
        similarity = f", similarity {found.similarity:.4f}" if found.similarity is not None else ""
        digests = (query.partition, query.exact, query.scope)
        who, request, scope = (digest.hex()[:12] for digest in digests)
        rows = [
            ("claimed by", f"{self._question.asked_by}; route {policy.route or '(none)'}, mode {policy.mode}"),
            ("key", f"who and where {who}, request {request}, scope {scope}"),
            ("matching", self._matching()),
            ("decision", f"{found.outcome}: {found.reason}{similarity}"),
            *reason_rows(self._reasons, found.reason),
        ]
        if found.source == "exact":
            return rows
        if query.exact_only is None:
            rows += await self._nearest(trail, found.reason)
        return rows if found.record is not None else [*rows, *await self._elsewhere()]

    def _matching(self) -> str:
        policy, query = self._policy, self._query
        if policy.match == "exact":
            return 'equal requests only: match = "exact", or there is no embedder'
        if query.exact_only is not None:
            return f"equal requests only: {query.exact_only}"
        return f"by meaning, from similarity {self._threshold:g}, of the text {_quoted(query.text)}"

    @property
    def _threshold(self) -> float:
        return max(self._policy.threshold, self._question.directives.threshold or 0.0)

    async def _nearest(self, trail: Sequence[Considered], reason: str) -> list[Row]:
        """Describe every entry that the search considered, nearest first."""
        if reason == "empty-scope":
            return [("nearest", "no entry has this scope: nothing was asked under these settings before")]
        if not trail:
            return [("nearest", f"not searched, or not found: {reason}")]
        ranked = sorted(trail, key=lambda each: -each.similarity)
        texts = await self._texts(ranked)
        said = [
            f"{each.similarity:.4f}  {text}  entry {each.entry_id.hex()[:12]}: {self._outcome(each)}"
            for each, text in zip(ranked, texts, strict=True)
        ]
        return [("" if place else "nearest", line) for place, line in enumerate(said)]

    async def _texts(self, ranked: Sequence[Considered]) -> list[str]:
        """Return the entries' texts, if readable: the search itself reads only entries that are near enough."""
        try:
            stored = await self._engine.parts.responses.get([each.entry_id for each in ranked], now=time.time())
            return ["(gone)" if one is None else _quoted(record_codec.decode(one.data).text) for one in stored]
        except (SemcacheError, record_codec.Undecodable, record_codec.NewerVersion) as error:
            return [f"(not known: {type(error).__name__})"] * len(ranked)

    def _outcome(self, each: Considered) -> str:
        if each.verdicts and not (each.reason is None and len(each.verdicts) == 1):
            said = [text for name, verdict in each.verdicts if (text := _spoken(name, verdict))]
            if said:
                return "; ".join(said) + ("" if each.reason is not None else "; it answers")
        if each.reason is None:
            return "it answers"
        if each.reason != "below-threshold":
            return f"{each.reason}. {meaning(self._reasons, each.reason)}"
        if each.similarity < self._threshold:
            return f"below the threshold {self._threshold:g}"
        return "not near enough after the reject of a nearer one, or not of this scope"

    async def _elsewhere(self) -> list[Row]:
        """Describe the entry of another scope that differs least."""
        responses = self._engine.parts.responses
        if not (isinstance(responses, SupportsScan) and isinstance(responses, SupportsInvalidation)):
            return [("elsewhere", "not known: this response store cannot be walked")]
        best: tuple[tuple[Any, ...], Entry, list[str]] | None = None
        async for entry in walk(responses, self._config.response_store.use):
            if entry.record.scope == self._query.scope and entry.record.partition == self._query.partition:
                continue
            differing = self._differences(entry)
            # The fewest differences; then the same text; then the youngest.
            rank = (len(differing), entry.record.text != self._query.text, -entry.record.born_at)
            if best is None or rank < best[0]:
                best = (rank, entry, differing)
        if best is None:
            return [("elsewhere", "the store holds no other entry")]
        _, entry, differing = best
        age = duration_text(float(round(time.time() - entry.record.born_at))).strip('"')
        named = ", ".join(differing) or "an unnamed part"
        return [("elsewhere", f"entry {entry.id.hex()[:12]}, {age} old, differs in: {named}")]

    def _differences(self, entry: Entry) -> list[str]:
        """Name what prevents an entry from answering: the caller, headers, members, the context."""
        record, query = entry.record, self._query
        differing = [self._question.partition] if record.partition != query.partition else []
        own, other = dict(members_of(query.fields)), dict(members_of(record.fields))
        names: Mapping[str, None] = dict.fromkeys([*own, *other])
        return differing + [name for name in names if own.get(name) != other.get(name)]


def _spoken(name: str, verdict: Verdict) -> str:
    if isinstance(verdict, Reject):
        return f"{name} rejects: {verdict.reason}"
    return f"{name} takes {verdict.amount:g} off: {verdict.reason}" if isinstance(verdict, Penalty) else ""


def _quoted(text: str) -> str:
    return json.dumps(text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}...", ensure_ascii=False)
