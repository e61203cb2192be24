"""Every reason code of the core: what it means, and what to do about it. This file is their reference.

A decision, a bypass and an answer that is not stored each carry one code. ``semcache explain`` and ``semcache stats``
print its sentence and its remedy. A plugin lists its codes on the component that uses them::

    SCRIPT = Reason("script", "miss", "The texts are written in two scripts.", "Nothing: these are two texts.")

    Component("script", factory="semcache_example.script:ScriptVerifier", summary="...", reasons=(SCRIPT,))

Inside the core a type checker refuses a code that is not listed here. In a plugin, ``OwnCode("script")`` tells it that
the code is the plugin's own; verdicts take any text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NewType

__all__ = ["REASONS", "Code", "CoreCode", "Kind", "OwnCode", "Reason"]

Kind = Literal["hit", "miss", "bypass", "unstored"]
"""``hit``: answered from the cache. ``miss``: looked up, then upstream is called. ``bypass``: recognised, but not for
the cache. ``unstored``: the answer from upstream is not stored.
"""

CoreCode = Literal[
    # hit
    "exact",
    "semantic",
    "stale-if-error",
    # miss
    "absent",
    "below-threshold",
    "embedder-busy",
    "embedder-unavailable",
    "empty-scope",
    "expired",
    "invalidated",
    "lookup-deadline",
    "max-age",
    "mismatch",
    "mode-missing",
    "newer-version",
    "no-cache",
    "not-open",
    "observe",
    "store-unavailable",
    "undecodable",
    "unproven-credential",
    "unread",
    "unreadable-text",
    "vary",
    "verifier-error",
    "vetoed",
    # miss: only an equal request may be answered
    "audio",
    "empty-text",
    "exact-mode",
    "few-words",
    "get",
    "invisible-text",
    "logprobs",
    "long-text",
    "no-text",
    "several-choices",
    "temperature",
    "tool-result",
    "volatile",
    # bypass
    "ambiguous-case",
    "ambiguous-depth",
    "ambiguous-duplicate",
    "ambiguous-json",
    "ambiguous-text",
    "body-too-complex",
    "body-too-large",
    "directive-not-allowed",
    "duplicate-host",
    "duplicate-identity",
    "expired-credential",
    "extract-error",
    "get-with-body",
    "head-too-large",
    "header-name",
    "hosted-tool",
    "idempotency-key",
    "jwt-invalid",
    "live-data",
    "malformed-directive",
    "malformed-request",
    "method-override",
    "no-identity",
    "off",
    "path-form",
    "range",
    "reader-busy",
    "request-coding",
    "store",
    "upgrade",
    # unstored
    "aborted",
    "cache-control",
    "coding",
    "content-type",
    "do-not-cache",
    "empty-answer",
    "error-event",
    "error-member",
    "finish-content_filter",
    "finish-length",
    "finish-reason",
    "invalid-json",
    "live-entry",
    "malformed-answer",
    "malformed-event",
    "no-answer",
    "no-store",
    "no-terminal-event",
    "not-json",
    "not-recordable",
    "refusal",
    "set-cookie",
    "status",
    "store-too-small",
    "too-complex",
    "too-large",
    "tool-calls",
    "trailers",
    "ttl",
]
"""The codes of the core, including those that key extractors share."""
OwnCode = NewType("OwnCode", str)
"""A code that a plugin lists."""
Code = CoreCode | OwnCode
"""A code of the core or of a plugin."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason code."""

    code: str
    """What ``Lookup.reason``, ``Cache-Status`` and the statistics say."""
    kind: Kind
    """Where it is mostly met."""
    sentence: str
    """What it means, in one sentence."""
    remedy: str
    """What to do about it, in one sentence."""


_NOTHING = "Nothing: this is the cache at work."
_UPSTREAM = "Nothing: an answer that is not whole and sound must not be repeated."
_CLIENT = "Change the client, if its requests should be cached."

_HITS = (
    Reason("exact", "hit", "An equal request was answered before.", _NOTHING),
    Reason("semantic", "hit", "The same question was answered before, in other words.", _NOTHING),
    Reason(
        "stale-if-error",
        "hit",
        "The upstream failed, and an expired answer replaced its own.",
        "Look at the upstream; `stale_if_error` says for how long that may happen.",
    ),
)
_MISSES = (
    Reason("absent", "miss", "No equal request was answered before.", _NOTHING),
    Reason(
        "below-threshold",
        "miss",
        "No entry with the same settings is as near as the threshold asks.",
        "Compare the similarity with the threshold; `semcache explain` shows the nearest entries. Lower `threshold` "
        "only after trying it with your own questions.",
    ),
    Reason(
        "embedder-busy",
        "miss",
        "Too many texts wait to be embedded, and this caller has most of them.",
        "Use a faster embedder, if `errors: embed-queue` in the statistics keeps growing.",
    ),
    Reason(
        "embedder-unavailable",
        "miss",
        "The embedder failed, was too slow, or is resting after failures.",
        "Look at `errors: embed` in the statistics; `semcache check --open` loads the embedder.",
    ),
    Reason(
        "empty-scope",
        "miss",
        "Nothing was stored yet under these settings, for this caller.",
        "Nothing for a first question. If every request says so, a header or a member differs each time: `splits` in "
        "the statistics names it.",
    ),
    Reason("expired", "miss", "The answer is past its ttl and its stale windows.", "Raise `ttl` if it should live on."),
    Reason("invalidated", "miss", "The answer was invalidated, or was under way when its tag was.", _NOTHING),
    Reason(
        "lookup-deadline",
        "miss",
        "The look-up took longer than `limits.lookup_deadline`.",
        "Look at `errors` in the statistics for the slow part; raise the deadline only if an answer is worth the wait.",
    ),
    Reason("max-age", "miss", "The answer is older than the caller accepts.", _CLIENT),
    Reason(
        "mismatch",
        "miss",
        "The entry under this id belongs to another request.",
        "Report it: two requests should never share an id.",
    ),
    Reason(
        "mode-missing",
        "miss",
        "The entry lacks what this caller's mode needs, for example the usage of a stream.",
        "Nothing: the new answer replaces the entry.",
    ),
    Reason(
        "newer-version",
        "miss",
        "The entry was written by a newer semcache.",
        "Upgrade this process; the entry stays for the newer ones.",
    ),
    Reason("no-cache", "miss", "The caller asked for a new answer.", _CLIENT),
    Reason(
        "not-open",
        "miss",
        "Something that the cache needs was down when it was opened; it tries again every ten seconds.",
        "Read the warning in the log; `semcache check --open` says what cannot be reached.",
    ),
    Reason("observe", "miss", 'Under `mode = "observe"` upstream is always asked.', 'Set `mode = "on"` to serve hits.'),
    Reason(
        "store-unavailable",
        "miss",
        "A store failed, was too slow, or is resting after failures.",
        "Look at `errors` in the statistics; `semcache check --open` reaches the stores.",
    ),
    Reason("undecodable", "miss", "What is stored, or came, cannot be decoded.", "Nothing: the entry is deleted."),
    Reason(
        "unproven-credential",
        "miss",
        'Under `identity = "shared"`, upstream has not taken this credential within the last hour.',
        "Nothing: once upstream takes it, it is served.",
    ),
    Reason("unread", "miss", "The store has to be waited for; the look-up goes on.", _NOTHING),
    Reason("unreadable-text", "miss", "The embedder cannot read this text.", "Nothing: equal requests still match."),
    Reason(
        "vary",
        "miss",
        "The answer depends on a request header (`Vary`) that is another one here, or on everything (`Vary: *`).",
        "Let the application name fewer headers in `Vary`.",
    ),
    Reason(
        "verifier-error",
        "miss",
        "A verifier failed or took too long, which counts as a reject.",
        "Look at `errors: verify` in the statistics.",
    ),
    Reason("vetoed", "miss", "Someone rejected this entry for this text, or a plugin vetoed it.", _NOTHING),
)
_EXACT_ONLY = (
    Reason("audio", "miss", "Audio is asked for, so only an equal request may be answered.", _NOTHING),
    Reason("empty-text", "miss", "There is no text to compare.", _NOTHING),
    Reason(
        "exact-mode",
        "miss",
        'Texts are not compared: `match = "exact"`, `mode=exact`, or no embedder.',
        'Set `match = "semantic"` and install an embedder: `semcache check` says which one is used.',
    ),
    Reason(
        "few-words",
        "miss",
        'The text has fewer words of content than `min_words` ("yes, cancel it").',
        "Nothing: its meaning depends on what was said before.",
    ),
    Reason("get", "miss", "A GET request has no text to compare.", _NOTHING),
    Reason(
        "invisible-text",
        "miss",
        "The text holds what is not seen but models read: zero width, control, private or unassigned characters, tags.",
        "Remove such characters before asking; equal requests still match.",
    ),
    Reason("logprobs", "miss", "Log probabilities are asked for: they belong to one text only.", _NOTHING),
    Reason(
        "long-text",
        "miss",
        "The text is longer than `max_words`, or than the embedder's window.",
        'Where the question follows a long context, compare the question alone: `compare = { after = "Question:" }`.',
    ),
    Reason("no-text", "miss", "The last message is not a user's text, or the route names no text.", _NOTHING),
    Reason("several-choices", "miss", "More than one choice is asked for.", _NOTHING),
    Reason("temperature", "miss", "A temperature above 1.0 asks for variety.", _NOTHING),
    Reason("tool-result", "miss", "The last message is the result of a tool.", _NOTHING),
    Reason(
        "volatile",
        "miss",
        "The text asks for what changes with the day (today, now, latest).",
        "Change `volatile`, the list of such words, if they mean something else in your application.",
    ),
)
_BYPASSES = (
    Reason(
        "ambiguous-case",
        "bypass",
        "A member's name differs from a known one only in case (U+212A is a `k` to some parsers).",
        _CLIENT,
    ),
    Reason("ambiguous-depth", "bypass", "The body is nested deeper than 128 levels.", _CLIENT),
    Reason("ambiguous-duplicate", "bypass", "An object in the body has a name twice, escaped or not.", _CLIENT),
    Reason("ambiguous-json", "bypass", "The body is no strict JSON: NaN, a byte order mark, invalid UTF-8.", _CLIENT),
    Reason("ambiguous-text", "bypass", "The text holds a lone surrogate, so it cannot be encoded.", _CLIENT),
    Reason(
        "body-too-complex",
        "bypass",
        "The request's JSON has more than 50,000 values: reading it would hold up everybody.",
        "Nothing: such a request is always forwarded.",
    ),
    Reason("body-too-large", "bypass", "The request is larger than `max_body`.", "Raise `max_body` of the route."),
    Reason(
        "directive-not-allowed",
        "bypass",
        "`Semcache-Control` asks for what callers may not ask.",
        "Name it in `http.allow_directives`, or leave it out of the request.",
    ),
    Reason("duplicate-host", "bypass", "The request has two `Host` headers.", _CLIENT),
    Reason(
        "duplicate-identity",
        "bypass",
        "A header that says who asks has two values, so two programs may read two callers.",
        _CLIENT,
    ),
    Reason(
        "expired-credential",
        "bypass",
        "The `exp` of the caller's JWT has passed (read, not verified).",
        "Renew the token.",
    ),
    Reason(
        "extract-error",
        "bypass",
        "The key extractor failed on this request.",
        "Look at `errors: extract` in the statistics and report it to the extractor's maker.",
    ),
    Reason("get-with-body", "bypass", "A GET request with a body has no agreed meaning.", _CLIENT),
    Reason(
        "head-too-large",
        "bypass",
        "The request has more than 256 header fields, or over 32 KiB of path, query and headers that count.",
        _CLIENT,
    ),
    Reason("header-name", "bypass", "A header's name holds `_`, which some servers take for `-`.", _CLIENT),
    Reason("hosted-tool", "bypass", "The provider runs a tool (search, code): its answer changes.", _NOTHING),
    Reason("idempotency-key", "bypass", "`Idempotency-Key` says that this very request counts.", _CLIENT),
    Reason(
        "jwt-invalid",
        "bypass",
        "The token that says who asks does not verify as [http.jwt] says, or lacks a claim.",
        "Compare the token's key, issuer and audience with [http.jwt].",
    ),
    Reason("live-data", "bypass", "The answer is made of live data (a search model, a data source).", _NOTHING),
    Reason("malformed-directive", "bypass", "`Semcache-Control` cannot be read.", _CLIENT),
    Reason("malformed-request", "bypass", "The body is not what the protocol asks for.", _CLIENT),
    Reason("method-override", "bypass", "`X-HTTP-Method-Override` makes another request of it.", _CLIENT),
    Reason(
        "no-identity",
        "bypass",
        "Nothing in the request says who asks, so its answer could reach someone else. A scheme without a credential "
        "(`Bearer`), an organisation or a project alone say nothing.",
        "Send a credential; name what tells callers apart with `http.identity_add`; or, if everyone may see every "
        'answer, set `http.identity = "shared"`.',
    ),
    Reason("off", "bypass", "The cache is off for this request.", 'Set `mode = "on"`, or leave out `mode=off`.'),
    Reason("path-form", "bypass", "The path holds dot segments, `//`, a backslash or an encoded slash.", _CLIENT),
    Reason("range", "bypass", "Only a part of the answer is asked for.", _NOTHING),
    Reason(
        "reader-busy",
        "bypass",
        "Too many long bodies wait to be read, and this caller has most of them, or its turn did not come in time.",
        "Raise `limits.body_queue` if one caller may send that many at once.",
    ),
    Reason("request-coding", "bypass", "The request's body is compressed in a way that cannot be undone.", _CLIENT),
    Reason("store", "bypass", "The provider is asked to keep the answer (`store: true`).", _NOTHING),
    Reason("upgrade", "bypass", "The request changes the protocol.", _NOTHING),
)
_UNSTORED = (
    Reason("aborted", "unstored", "The answer, or its caller, broke off before the end.", _UPSTREAM),
    Reason(
        "cache-control",
        "unstored",
        "The application's `Cache-Control` forbids it.",
        'Let the application allow it, or set `cache_control = "ignore"` on the route.',
    ),
    Reason(
        "coding",
        "unstored",
        "The answer is compressed in a way that cannot be undone here.",
        "Install `brotli` or `zstandard`, or let the upstream send gzip.",
    ),
    Reason("content-type", "unstored", "The answer is of a content type that is not kept.", _NOTHING),
    Reason("do-not-cache", "unstored", "The function said `DoNotCache`.", _NOTHING),
    Reason("empty-answer", "unstored", "The answer is empty.", _UPSTREAM),
    Reason("error-event", "unstored", "The stream holds an error.", _UPSTREAM),
    Reason("error-member", "unstored", "The answer is an error, whatever its status.", _UPSTREAM),
    Reason("finish-content_filter", "unstored", "The answer was cut by a content filter.", _UPSTREAM),
    Reason("finish-length", "unstored", "The answer was cut at its token limit.", "Raise the request's token limit."),
    Reason(
        "finish-reason",
        "unstored",
        "The answer ended for a reason that is not on the list.",
        "Add it to `finish_reasons` if such answers are whole.",
    ),
    Reason("invalid-json", "unstored", "JSON was asked for and the answer is none.", _UPSTREAM),
    Reason(
        "live-entry",
        "unstored",
        'Under `identity = "shared"` an entry lives that this caller may not replace: its credential is unproven, or '
        "it chose the life or the tags of the answer.",
        "Nothing: the entry goes on answering.",
    ),
    Reason("malformed-answer", "unstored", "The answer is not what the protocol promises.", _UPSTREAM),
    Reason("malformed-event", "unstored", "The stream holds an event that the protocol does not have.", _UPSTREAM),
    Reason("no-answer", "unstored", "The upstream sent no answer.", _UPSTREAM),
    Reason("no-store", "unstored", "The caller or the application said `no-store`.", _NOTHING),
    Reason("no-terminal-event", "unstored", "The stream ended without its last event.", _UPSTREAM),
    Reason(
        "not-json",
        "unstored",
        "The value would not come back equal: it is no str, no bytes and no plain JSON.",
        "Return str, bytes, or dicts and lists of plain values.",
    ),
    Reason("not-recordable", "unstored", "The answer came in a way that cannot be recorded.", _NOTHING),
    Reason("refusal", "unstored", "The model refused to answer.", _UPSTREAM),
    Reason(
        "set-cookie",
        "unstored",
        "The answer sets a cookie, which belongs to one caller.",
        "Let the application set cookies elsewhere.",
    ),
    Reason("status", "unstored", "The status is not 200.", _UPSTREAM),
    Reason(
        "store-too-small",
        "unstored",
        "The answer would take more than a quarter of the response store.",
        "Raise `max_bytes` of the response store.",
    ),
    Reason(
        "too-complex",
        "unstored",
        "The answer's JSON has more than 50,000 lists and objects: reading it would hold up everybody.",
        "Nothing: such an answer is always passed on.",
    ),
    Reason("too-large", "unstored", "The answer is larger than `max_body`.", "Raise `max_body` of the route."),
    Reason(
        "tool-calls",
        "unstored",
        'The answer calls a tool, and `tool_calls = "never"`.',
        'Set `tool_calls = "exact"` to answer equal requests.',
    ),
    Reason("trailers", "unstored", "The answer ends in trailers, which a stored answer has no place for.", _NOTHING),
    Reason("ttl", "unstored", "The answer may live for 0 seconds.", "Raise `ttl`, or the answer's own max-age."),
)

REASONS: Mapping[str, Reason] = {
    reason.code: reason for reason in (*_HITS, *_MISSES, *_EXACT_ONLY, *_BYPASSES, *_UNSTORED)
}
"""Every code of the core, by code."""
