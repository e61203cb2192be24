"""Header rules, directives and status fields: what is read, what is kept, what is told."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.engine.decide import Directives, Found
from semcache_core.http import status
from semcache_core.http.directives import Asked, forbids_storing, lifetime, of_answer, of_request
from semcache_core.http.headers import kept, matches, values_of, varies_on, without
from semcache_core.keys.digests import Digests
from semcache_core.reasons import OwnCode
from semcache_core.settings import Policy
from semcache_core.types import API, LLM, Bypass, Record

POLICY = Policy(ttl=3600.0)
DIGESTS = Digests(b"0123456789abcdef")


def asked(value: bytes, *, name: bytes = b"cache-control", **options: object) -> Directives | Bypass:
    """Return what a request with one such header asks."""
    return of((name, value), **options)


def of(*headers: tuple[bytes, bytes], **options: object) -> Directives | Bypass:
    """Return what a request with these headers asks."""
    settings: dict[str, object] = {"policy": POLICY, "traits": LLM, "allow": frozenset(), "shared": False, **options}
    return of_request(headers, **settings)  # type: ignore[arg-type]


def ours(value: bytes, **options: object) -> Directives | Bypass:
    """Return what a Semcache-Control of a request asks."""
    return asked(value, name=b"semcache-control", **options)


# -- request Cache-Control --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"no-cache", Directives(lookup=False)),
        (b"no-store", Directives(store=False)),
        (b"max-age=60", Directives(max_age=60.0)),
        (b"max-age=0, no-transform", Directives(max_age=0.0)),
        (b"max-stale=5", Directives(max_stale=5.0)),
        (b"max-stale", Directives(max_stale=float("inf"))),
        (b"only-if-cached", Directives(only_if_cached=True)),
        (b"No-Cache , MAX-AGE=7", Directives(lookup=False, max_age=7.0)),
        (b"", Directives()),
        (b'private="x, no-cache"', Directives()),
    ],
)
def test_cache_control_of_a_request_is_obeyed(value: bytes, expected: Directives) -> None:
    assert asked(value) == expected


def test_an_age_that_cannot_be_read_counts_as_zero() -> None:
    assert asked(b"max-age=soon") == Directives(max_age=0.0)


def test_pragma_counts_only_without_cache_control() -> None:
    assert asked(b"no-cache", name=b"pragma") == Directives(lookup=False)
    both = ((b"pragma", b"no-cache"), (b"cache-control", b"max-age=9"))
    assert of(*both) == Directives(max_age=9.0)


def test_a_route_may_ignore_cache_control_of_requests() -> None:
    policy = msgspec.structs.replace(POLICY, request_cache_control="ignore")
    assert asked(b"no-store, no-cache", policy=policy) == Directives()


EVENTS = (b"accept", b"text/event-stream")
HABITS = [(b"cache-control", b"no-cache"), (b"cache-control", b"no-store, no-cache"), (b"pragma", b"no-cache")]


@pytest.mark.parametrize("habit", HABITS)
def test_no_cache_beside_an_event_stream_is_a_habit_of_llm_clients(habit: tuple[bytes, bytes]) -> None:
    assert of(habit, EVENTS) == of(habit, (b"accept", b"application/json, Text/Event-Stream; q=0.9")) == Directives()


@pytest.mark.parametrize("habit", HABITS)
def test_no_cache_counts_without_an_event_stream_on_generic_apis_and_where_a_route_is_strict(
    habit: tuple[bytes, bytes],
) -> None:
    strict = msgspec.structs.replace(POLICY, request_cache_control="strict")
    counts = of(habit)
    assert isinstance(counts, Directives)
    assert not counts.joins
    assert of(habit, (b"accept", b"application/json")) == counts
    assert of(habit, EVENTS, traits=API) == counts
    assert of(habit, EVENTS, policy=strict) == counts


def test_what_is_no_habit_counts_beside_an_event_stream() -> None:
    assert of((b"cache-control", b"no-cache, max-age=9, only-if-cached"), EVENTS) == Directives(
        max_age=9.0, only_if_cached=True
    )


# -- request Semcache-Control -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"mode=off", Directives(off=True)),
        (b"mode=exact, threshold=0.97", Directives(exact_only=True, threshold=0.97)),
        (b"ttl=60", Directives(ttl=60.0)),
        (b'ttl="15m"', Directives(ttl=900.0)),
        (b"ttl=7200", Directives(ttl=3600.0)),
        (b"ttl=never", Directives()),
    ],
)
def test_a_caller_may_tighten(value: bytes, expected: Directives) -> None:
    assert ours(value) == expected


@pytest.mark.parametrize("value", [b"mode=semantic", b"namespace=other", b"tags=a"])
def test_a_caller_may_not_loosen_unless_allowed(value: bytes) -> None:
    assert ours(value) == Bypass("directive-not-allowed")


def test_what_is_allowed_may_be_loosened() -> None:
    allow = frozenset({"namespace", "tags", "mode", "ttl"})
    said = ours(b'namespace=other, tags="a b", mode=semantic, ttl=7200', allow=allow)
    assert said == Directives(namespace="other", tags=("a", "b"), ttl=7200.0, semantic=True)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"mode",
        b"mode=",
        b"mode=fast",
        b"ttl=-1",
        b"ttl=soon",
        b"threshold=2",
        b"threshold=nan",
        b"threshold=high",
        b"unknown=1",
        b"mode=off mode=off",
        b"mode=off, mode=exact",
        b"mode=off;ttl=1",
        b'ttl="60',
        b"=off",
    ],
)
def test_a_malformed_directive_bypasses(value: bytes) -> None:
    assert ours(value) == Bypass("malformed-directive")


def test_a_namespace_that_is_no_name_bypasses() -> None:
    assert ours(b'namespace="a b"', allow=frozenset({"namespace"})) == Bypass("malformed-directive")


def test_in_a_shared_partition_no_caller_aims_or_overwrites() -> None:
    assert asked(b"only-if-cached", shared=True) == Directives()
    assert asked(b"no-cache", shared=True) == Directives(lookup=False, store=False)
    assert ours(b"threshold=0.99", shared=True) == Directives()


@given(st.binary(max_size=60))
def test_no_directive_raises(value: bytes) -> None:
    asked(value)
    ours(value)
    of_answer(((b"semcache-control", value),))
    lifetime(((b"cache-control", value), (b"expires", value), (b"age", value), (b"date", value)), now=0.0)


# -- what an answer says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"no-store", Asked(no_store=True)),
        (b"ttl=60", Asked(ttl=60.0)),
        (b"ttl=never", Asked(ttl=None)),
        (b'ttl=60, tags="news sport news"', Asked(ttl=60.0, tags=("news", "sport"))),
        (b"what is this", Asked(no_store=True)),
        (b"mode=off", Asked(no_store=True)),
    ],
)
def test_an_application_says_what_becomes_of_its_answer(value: bytes, expected: Asked) -> None:
    assert of_answer(((b"semcache-control", value),)) == expected


def test_an_answer_without_the_field_says_nothing() -> None:
    assert of_answer(()) is None


@pytest.mark.parametrize("value", [b"no-store", b"private", b"max-age=60, private"])
def test_cache_control_of_an_answer_forbids_storing(value: bytes) -> None:
    assert forbids_storing(((b"cache-control", value),), traits=API)
    assert forbids_storing(((b"cache-control", value),), traits=LLM)


def test_no_cache_on_an_event_stream_is_a_habit_not_a_wish() -> None:
    assert forbids_storing(((b"cache-control", b"no-cache"),), traits=API)
    assert not forbids_storing(((b"cache-control", b"no-cache"),), traits=LLM)


NOON = (b"date", b"Sat, 21 Nov 2026 12:00:00 GMT")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (((b"cache-control", b"s-maxage=10, max-age=20"),), 10.0),
        (((b"cache-control", b"max-age=20"), (b"expires", b"Sat, 21 Nov 2026 12:00:05 GMT"), NOON), 20.0),
        (((b"cache-control", b"max-age=20"), (b"age", b"15")), 5.0),
        (((b"cache-control", b"max-age=20"), (b"age", b"30")), 0.0),
        (((b"expires", b"Sat, 21 Nov 2026 12:00:05 GMT"), NOON), 5.0),
        (((b"expires", b"0"),), 0.0),
        (((b"cache-control", b"max-age=x"),), 0.0),
        ((), None),
    ],
)
def test_freshness_is_s_maxage_over_max_age_over_expires_minus_age(headers: object, expected: float | None) -> None:
    assert lifetime(headers, now=0.0) == expected  # type: ignore[arg-type]


# -- what is kept with an entry ---------------------------------------------------------------------------------------

UPSTREAM = (
    (b"content-type", b"application/json"),
    (b"content-language", b"en"),
    (b"content-length", b"9"),
    (b"content-encoding", b"gzip"),
    (b"date", b"x"),
    (b"etag", b'"abc"'),
    (b"set-cookie", b"__cf_bm=1"),
    (b"x-request-id", b"1"),
    (b"request-id", b"1"),
    (b"x-ratelimit-remaining-requests", b"1"),
    (b"openai-organization", b"acme"),
    (b"openai-processing-ms", b"12"),
    (b"cf-ray", b"1"),
    (b"server-timing", b"db;dur=1"),
    (b"traceparent", b"1"),
    (b"connection", b"x-hop"),
    (b"x-hop", b"1"),
    (b"transfer-encoding", b"chunked"),
    (b"age", b"4"),
    (b"content-security-policy", b"script-src 'nonce-abc'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-custom", b"1"),
    (b"x-custom", b"2"),
)


def test_an_llm_answer_keeps_its_type_and_language_and_what_the_operator_adds() -> None:
    assert kept(UPSTREAM, traits=LLM) == UPSTREAM[:2]
    added = kept(UPSTREAM, traits=LLM, keep=frozenset({b"x-content-type-options", b"set-cookie", b"date"}))
    assert added == (*UPSTREAM[:2], (b"x-content-type-options", b"nosniff"))


def test_a_generic_answer_keeps_all_but_what_belongs_to_one_exchange() -> None:
    assert kept(UPSTREAM, traits=API) == (
        (b"content-type", b"application/json"),
        (b"content-language", b"en"),
        (b"etag", b'W/"abc"'),
        (b"x-content-type-options", b"nosniff"),
        (b"x-custom", b"1"),
        (b"x-custom", b"2"),
    )


@pytest.mark.parametrize(
    "name",
    b"""
    cf-ray fly-request-id x-railway-request-id x-railway-edge rndr-id x-azure-ref x-arr-log-id x-vercel-id
    x-vercel-cache x-nf-request-id x-kong-request-id x-kong-upstream-latency x-varnish fastly-debug-digest akamai-grn
    x-akamai-request-id x-amz-cf-id x-amzn-requestid x-newrelic-app-data x-dynatrace-origin-url x-instana-t
    """.split(),
)
def test_what_a_platform_adds_to_one_answer_is_not_kept_for_others(name: bytes) -> None:
    assert kept(((name, b"1"), (b"x-total-count", b"7")), traits=API) == ((b"x-total-count", b"7"),)


def test_a_policy_without_a_nonce_is_kept() -> None:
    policy = ((b"content-security-policy", b"default-src 'none'"),)
    assert kept(policy, traits=API) == policy


def test_fields_are_taken_out_whatever_their_case() -> None:
    assert without([(b"Semcache-Control", b"x"), (b"a", b"1")], {b"semcache-control"}) == [(b"a", b"1")]


# -- Vary -------------------------------------------------------------------------------------------------------------


def test_vary_star_depends_on_everything() -> None:
    assert varies_on(((b"vary", b"Accept, *"),)) is None


def test_vary_names_are_gathered_and_accept_encoding_is_undone_by_decoding() -> None:
    assert varies_on(((b"vary", b"Accept-Encoding, Accept"), (b"vary", b"X-Plan"))) == (b"accept", b"x-plan")


def test_an_answer_for_one_origin_varies_on_the_origin() -> None:
    assert varies_on(((b"access-control-allow-origin", b"https://a.example"),)) == (b"origin",)
    assert varies_on(((b"access-control-allow-origin", b"*"),)) == ()


def test_an_absent_field_is_not_an_empty_one() -> None:
    vary = values_of((b"accept",), (), digests=DIGESTS)
    assert matches(vary, (), digests=DIGESTS)
    assert not matches(vary, ((b"accept", b""),), digests=DIGESTS)
    assert not matches(vary, ((b"accept", b"-"),), digests=DIGESTS)


# -- what the cache says of itself ------------------------------------------------------------------------------------

RECORD = Record(
    partition=b"p",
    scope=b"s",
    exact=b"e",
    text="what is\nthis €",
    kind="http",
    payload=b"",
    born_at=100.0,
    expires_at=400.0,
)
PLAIN = status.Disclosure()


def found(**changes: object) -> Found:
    """Return an exact hit, with changes."""
    given: dict[str, object] = {"outcome": "hit", "reason": "exact", "source": "exact", "record": RECORD, "now": 120.5}
    return Found(**{**given, **changes})  # type: ignore[arg-type]


def test_an_exact_hit_tells_ttl_age_and_handle() -> None:
    assert status.hit(found(), handle=b"h", shown=PLAIN) == [
        (b"cache-status", b"semcache; hit; ttl=279; detail=exact"),
        (b"x-cache", b"HIT"),
        (b"age", b"20"),
        (b"semcache-entry", b"h"),
    ]


def test_a_semantic_hit_says_so() -> None:
    fields = dict(status.hit(found(source="semantic"), handle=b"h", shown=PLAIN))
    assert fields[b"cache-status"] == b"semcache; hit; ttl=279; detail=semantic"


def test_an_entry_that_never_expires_has_no_ttl() -> None:
    fields = dict(status.hit(found(record=msgspec.structs.replace(RECORD, expires_at=None)), handle=b"h", shown=PLAIN))
    assert fields[b"cache-status"] == b"semcache; hit; detail=exact"


def test_a_stale_answer_has_a_negative_ttl() -> None:
    fields = dict(status.hit(found(outcome="stale", now=411.2), handle=b"h", shown=PLAIN))
    assert fields[b"cache-status"] == b"semcache; hit; ttl=-12; detail=exact"
    assert fields[b"x-cache"] == b"STALE"


def test_stale_on_error_names_what_upstream_said() -> None:
    fields = dict(status.stale_on_error(503, 500.0, shown=PLAIN))
    assert fields[b"cache-status"] == b"semcache; fwd=stale; fwd-status=503; detail=stale-if-error"
    assert fields[b"x-cache"] == b"STALE"


def test_in_a_shared_partition_neither_age_nor_ttl_is_told() -> None:
    fields = dict(status.hit(found(), handle=b"h", shown=status.Disclosure(of_others=False)))
    assert fields[b"cache-status"] == b"semcache; hit; detail=exact"
    assert b"age" not in fields


def test_a_miss_says_why() -> None:
    missed = Found(outcome="miss", reason="below-threshold", similarity=0.9012)
    assert status.missed(missed, shown=PLAIN) == (
        (b"cache-status", b"semcache; fwd=miss; detail=below-threshold"),
        (b"x-cache", b"MISS"),
    )
    assert dict(status.missed(missed, shown=status.Disclosure(matched=True)))[b"semcache-similarity"] == b"0.9012"


def test_in_a_shared_partition_a_miss_does_not_say_why() -> None:
    fields = dict(status.missed(Found(outcome="miss", reason="absent"), shown=status.Disclosure(of_others=False)))
    assert fields[b"cache-status"] == b"semcache; fwd=miss"


@pytest.mark.parametrize("reason", ["two words", "a\r\nset-cookie: b", "\ud800", "", "é"])
def test_a_reason_that_is_no_token_makes_no_header(reason: str) -> None:
    fields = dict(status.missed(Found(outcome="miss", reason=OwnCode(reason)), shown=PLAIN))
    assert fields[b"cache-status"] == b"semcache; fwd=miss"


def test_under_observe_the_debug_right_shows_what_would_have_answered() -> None:
    hit = found(source="semantic", reason="semantic", similarity=0.95)
    assert b"semcache-similarity" not in dict(status.observed(hit, shown=PLAIN))
    fields = dict(status.observed(hit, shown=status.Disclosure(matched=True)))
    assert fields[b"cache-status"] == b"semcache; fwd=miss; detail=observe"
    assert fields[b"semcache-similarity"] == b"0.9500"


def test_similarity_and_matched_text_need_the_debug_right() -> None:
    hit = found(source="semantic", similarity=0.95)
    assert b"semcache-similarity" not in dict(status.hit(hit, handle=b"h", shown=PLAIN))
    fields = dict(status.hit(hit, handle=b"h", shown=status.Disclosure(matched=True)))
    assert fields[b"semcache-similarity"] == b"0.9500"
    assert fields[b"semcache-matched"] == b"what is%0Athis %E2%82%AC"


def test_the_debug_token_must_be_right() -> None:
    assert status.may_debug(((b"semcache-debug", b"open sesame"),), "open sesame")
    assert not status.may_debug(((b"semcache-debug", b"open"),), "open sesame")
    assert not status.may_debug((), "open sesame")
    assert not status.may_debug(((b"semcache-debug", b""),), None)
    assert not status.may_debug((), "")
