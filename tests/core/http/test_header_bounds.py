"""Whatever the headers of a request or an answer hold, reading them takes time in proportion to their length."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.http import directives
from semcache_core.http import headers as rules
from semcache_core.http.coding import CannotDecode, decoder_for
from semcache_core.keys.identity import IdentityRule
from semcache_core.keys.paths import doubtful_path
from semcache_core.settings import HttpOptions, Policy
from semcache_core.types import API, LLM, Headers

POLICY = Policy()
RULE = IdentityRule(HttpOptions())
CHOSEN = IdentityRule(HttpOptions(cookies=("sessionid",)))
TOKEN = b"eyJhbGciOiJIUzI1NiJ9." + base64.urlsafe_b64encode(json.dumps({"exp": 1e18}).encode()).rstrip(b"=") + b".c2ln"


def a_request(headers: Headers) -> None:
    """Read the headers of a request in every way."""
    directives.of_request(headers, policy=POLICY, traits=API, allow=frozenset({"tags", "ttl"}), shared=False)
    for rule in (RULE, CHOSEN):
        for traits in (LLM, API):
            caller = rule.classify(headers, traits=traits, now=0.0)
            if hasattr(caller, "identity"):
                rule.ends(caller)
            rule.canonical_head(("place",), headers, traits=traits)
    with_coding(headers)


def an_answer(headers: Headers) -> None:
    """Read the headers of an answer in every way."""
    directives.of_answer(headers)
    directives.forbids_storing(headers, traits=API)
    directives.forbids_stale(headers)
    directives.lifetime(headers, now=0.0)
    directives.age(headers)
    rules.varies_on(headers)
    rules.kept(headers, traits=API)
    with_coding(headers)


def with_coding(headers: Headers) -> None:
    try:
        decoder_for(headers, limit=1000)
    except CannotDecode:
        return


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "directives": lambda n: b"max-age=1," * (n // 10),
    "open quotes": lambda n: b'a="' * (n // 3),
    "one open quote": lambda n: b'a="' + b"b," * (n // 2),
    "escaped quotes": lambda n: b'a="' + rb"\"" * (n // 2),
    "equals": lambda n: b"=" * n,
    "commas": lambda n: b"," * n,
    "spaces": lambda n: b"a" + b" " * n + b"b",
    "spaces around": lambda n: b"a " * (n // 2) + b"=",
    "digits": lambda n: b"max-age=" + b"9" * n,
    "a long name": lambda n: b"a" * n,
    "cookies": lambda n: b"; ".join(b"c%d=eyJ" % number for number in range(n // 10)),
    "tokens in cookies": lambda n: b"; ".join(b"c%d=%s" % (number, TOKEN) for number in range(n // 90)),
    "a long token": lambda n: TOKEN[:21] + base64.urlsafe_b64encode(b'{"a":' + b"[" * (n // 2)) + b".c2ln",
    "a long expiry": lambda n: TOKEN[:21] + base64.urlsafe_b64encode(b'{"exp":1' + b"0" * (n // 2) + b"}") + b".c2ln",
    "a date": lambda n: b"Mon, 01 Jan " + b"2" * n + b" 00:00:00 GMT",
    "dates": lambda n: b"Mon, 01 Jan 2026 00:00:00 GMT " * (n // 30),
    "names": lambda n: b",".join(b"x-%d" % number for number in range(n // 6)),
}
NAMES = (
    *(b"cache-control", b"semcache-control", b"pragma", b"authorization", b"cookie", b"x-api-token", b"forwarded"),
    *(b"vary", b"expires", b"date", b"age", b"connection", b"content-encoding", b"x-request-id"),
)


@pytest.mark.parametrize("read", [a_request, an_answer], ids=["request", "answer"])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_value_takes_time_in_proportion(
    case: str, read: Callable[[Headers], None], growth: Callable[..., float]
) -> None:
    def work(length: int) -> None:
        value = HOSTILE[case](length)
        for name in NAMES:
            read(((name, value),))

    # Four times the length: 16 times as long if the work were quadratic.
    assert growth(work, 8_000, 32_000) < 9


@pytest.mark.parametrize("read", [a_request, an_answer], ids=["request", "answer"])
def test_thousands_of_fields_take_time_in_proportion(
    read: Callable[[Headers], None], growth: Callable[..., float]
) -> None:
    def work(count: int) -> None:
        read(tuple((b"x-%d-token" % (number // 2), b"a") for number in range(count)))

    # More names than are remembered, in both.
    assert growth(work, 4_000, 16_000) < 9


def test_a_path_takes_time_in_proportion(growth: Callable[..., float]) -> None:
    assert growth(lambda length: doubtful_path(b"/." * length + b"./%2e" * length), 20_000, 80_000) < 9


@given(st.sampled_from(NAMES), st.binary(max_size=60) | st.text(st.sampled_from('a=",; \\0.9-:GMT'), max_size=40))
def test_no_value_makes_reading_the_headers_raise(name: bytes, value: bytes | str) -> None:
    headers = ((name, value if isinstance(value, bytes) else value.encode()),)
    a_request(headers)
    an_answer(headers)
