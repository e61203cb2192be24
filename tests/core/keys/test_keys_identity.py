"""Who asks, and where: which requests share a partition, and which are not for a cache at all."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from semcache_core.errors import ConfigError
from semcache_core.keys.digests import Digests
from semcache_core.keys.http import HttpKeys, ResolvedCaller
from semcache_core.keys.identity import Target
from semcache_core.settings import HttpOptions
from semcache_core.types import API, LLM, Bypass

DIGESTS = Digests(b"a secret of sixteen bytes or more")
KEYS = HttpKeys(DIGESTS, options=HttpOptions())
NOW = 1_800_000_000.0
TARGET = Target(
    namespace="n",
    protocol="openai-chat",
    method="POST",
    scheme="https",
    mount="",
    path=b"/v1/chat/completions",
    query=b"",
    upstream="https://llm.example",
)
GENERIC = Target(namespace="n", protocol="json", method="POST", scheme="https", mount="", path=b"/ask", traits=API)
AUTH = (b"authorization", b"Bearer sk-one")

Headers = list[tuple[bytes, bytes]]


def admitted(
    headers: Headers, *, keys: HttpKeys = KEYS, target: Target = TARGET, who: str | None = None
) -> ResolvedCaller:
    caller = keys.admit(target, headers, now=NOW, who=who)
    assert isinstance(caller, ResolvedCaller), caller
    return caller


def refused(headers: Headers, *, keys: HttpKeys = KEYS, target: Target = TARGET, who: str | None = None) -> str:
    bypass = keys.admit(target, headers, now=NOW, who=who)
    assert isinstance(bypass, Bypass), bypass
    return bypass.reason


def partition(headers: Headers, *, keys: HttpKeys = KEYS, target: Target = TARGET, who: str | None = None) -> bytes:
    return admitted(headers, keys=keys, target=target, who=who).partition


def keys_for(**options: Any) -> HttpKeys:
    return HttpKeys(DIGESTS, options=HttpOptions(**options))


def jwt(**claims: Any) -> bytes:
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return b".".join([*(urlsafe_b64encode(part).rstrip(b"=") for part in parts), b"signature"])


# -- who ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"proxy-authorization",
        b"x-api-key",
        b"api-key",
        b"x-goog-api-key",
        b"apikey",
        b"x-auth-token",
        b"x-forwarded-user",
        b"x-forwarded-email",
        b"x-forwarded-groups",
        b"x-auth-request-email",
        b"x-amzn-oidc-identity",
        b"x-ms-client-principal",
        b"x-ms-client-principal-id",
        b"cf-access-jwt-assertion",
        b"cookie",
    ],
)
@pytest.mark.parametrize("target", [TARGET, GENERIC])
def test_two_credentials_never_share_a_partition(name: bytes, target: Target) -> None:
    assert partition([(name, b"one")], target=target) != partition([(name, b"two")], target=target)


@pytest.mark.parametrize(
    "name",
    [
        b"openai-organization",
        b"openai-project",
        b"anthropic-workspace-id",
        b"anthropic-user-profile-id",
        b"x-goog-user-project",
    ],
)
def test_two_projects_of_one_key_never_share_a_partition(name: bytes) -> None:
    both = {partition([AUTH, (name, b"one")]), partition([AUTH, (name, b"two")]), partition([AUTH])}
    assert len(both) == 3
    assert refused([(name, b"one")]) == "no-identity"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b" ")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"bearer ")],
        [(b"authorization", b"Basic  ")],
        [(b"x-api-key", b"")],
        [(b"cookie", b"")],
        [(b"x-forwarded-for", b"10.0.0.1")],
        [(b"x-user", b"ann")],
    ],
)
def test_a_request_without_identity_is_not_for_the_cache(headers: Headers) -> None:
    assert refused(headers) == "no-identity"


def test_a_proxy_on_loopback_takes_requests_without_identity() -> None:
    keys = HttpKeys(DIGESTS, options=HttpOptions(), anonymous=True)
    assert partition([], keys=keys) != partition([AUTH], keys=keys)


def test_the_value_of_one_header_is_never_that_of_another() -> None:
    values = [
        [(b"x-api-key", b"one"), (b"x-auth-token", b"two")],
        [(b"x-api-key", b"two"), (b"x-auth-token", b"one")],
        [(b"x-api-key", b"onetwo"), (b"x-auth-token", b"")],
        [(b"x-api-key", b"one"), (b"x-auth-request-user", b"two")],
    ]
    assert len({partition(headers) for headers in values}) == len(values)


def test_the_order_of_headers_means_nothing() -> None:
    one, other = [AUTH, (b"openai-project", b"p"), (b"x-b", b"2"), (b"x-a", b"1")], admitted([AUTH])
    assert admitted(one) == admitted(one[::-1])
    assert other.keyed == ()


def test_the_order_of_equal_headers_means_something() -> None:
    one = [AUTH, (b"x-a", b"1"), (b"x-a", b"2")]
    assert admitted(one).keyed != admitted([AUTH, *one[:0:-1]]).keyed


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key", b"openai-project", b"x-forwarded-user"])
def test_two_values_of_an_identity_header_are_bypassed(name: bytes) -> None:
    assert refused([AUTH, (name, b"one"), (name, b"two")]) == "duplicate-identity"


def test_two_hosts_in_one_request_are_bypassed() -> None:
    assert refused([AUTH, (b"host", b"a"), (b"host", b"a")]) == "duplicate-host"


# -- cookies ------------------------------------------------------------------------------------------------------


def test_a_providers_infrastructure_cookie_makes_no_new_caller() -> None:
    assert (
        partition([AUTH, (b"cookie", b"__cf_bm=1")])
        == partition([AUTH, (b"cookie", b"__cf_bm=2")])
        == partition([AUTH])
    )


def test_a_cookie_is_identity_on_a_generic_api() -> None:
    one, other = ([AUTH, (b"cookie", value)] for value in (b"sid=1", b"sid=2"))
    assert partition(one, target=GENERIC) != partition(other, target=GENERIC)


@pytest.mark.parametrize(
    "beside",
    [
        AUTH,
        (b"authorization", b"Bearer null"),
        (b"x-csrf-token", b"1"),
        (b"x-app-token", b"web-v1"),
        (b"x-api-key", b"public"),
        (b"openai-project", b"p"),
    ],
)
def test_a_session_cookie_counts_whatever_else_is_there(beside: tuple[bytes, bytes]) -> None:
    one, other = ([beside, (b"cookie", b"__cf_bm=%b; sid=%b" % (value, value))] for value in (b"1", b"2"))
    assert partition(one) != partition(other)


def test_of_named_cookies_only_these_count() -> None:
    keys = keys_for(identity=("x-none",), cookies=("sid",))
    one = partition([(b"cookie", b"a=1; sid=x; b=2")], keys=keys)
    assert one == partition([(b"cookie", b"sid=x;a=9")], keys=keys)
    assert one != partition([(b"cookie", b"a=1; sid=y; b=2")], keys=keys)
    assert refused([(b"cookie", b"a=1; xsid=x")], keys=keys) == "no-identity"
    assert refused([(b"cookie", b"sid=")], keys=keys) == "no-identity"
    assert refused([(b"cookie", b"sid=x; sid=y")], keys=keys) == "duplicate-identity"


def test_named_cookies_count_beside_another_credential_too() -> None:
    keys = keys_for(cookies=("sid",))
    assert partition([AUTH, (b"cookie", b"sid=x")], keys=keys) != partition([AUTH, (b"cookie", b"sid=y")], keys=keys)


def test_named_cookies_warn_that_others_no_longer_keep_callers_apart() -> None:
    assert keys_for(cookies=("sid",)).notices() == (
        "http.cookies replaces the default: cookies that are not named no longer keep callers apart",
    )


# -- configured identities ----------------------------------------------------------------------------------------


def test_shared_identity_is_one_partition_for_all_callers() -> None:
    keys = keys_for(identity="shared")
    assert partition([], keys=keys) == partition([AUTH, (b"cookie", b"a=1"), (b"x-api-key", b"k")], keys=keys)
    assert admitted([AUTH], keys=keys).keyed == ()


def test_named_headers_replace_the_default_identity_and_warn() -> None:
    keys = keys_for(identity=("X-User",))
    assert refused([AUTH], keys=keys) == "no-identity"
    assert partition([AUTH, (b"x-user", b"ann")], keys=keys) == partition([(b"x-user", b"ann")], keys=keys)
    assert partition([(b"x-user", b"ann")], keys=keys) != partition([(b"x-user", b"bob")], keys=keys)
    assert keys.notices()
    assert not KEYS.notices()


def test_added_headers_tell_callers_apart_besides_the_default_ones() -> None:
    keys = keys_for(identity_add=("x-user",))
    assert partition([AUTH, (b"x-user", b"ann")], keys=keys) != partition([AUTH, (b"x-user", b"bob")], keys=keys)
    assert partition([(b"x-user", b"ann")], keys=keys)


def test_the_application_can_say_who_asks() -> None:
    keys = HttpKeys(DIGESTS, options=HttpOptions(), by_application=True)
    assert refused([AUTH], keys=keys) == "no-identity"
    assert refused([AUTH], keys=keys, who="") == "no-identity"
    assert partition([AUTH], keys=keys, who="ann") == partition([], keys=keys, who="ann")
    assert partition([AUTH], keys=keys, who="ann") != partition([AUTH], keys=keys, who="bob")


def test_an_identity_that_nobody_can_have_is_a_start_up_error() -> None:
    with pytest.raises(ConfigError, match="empty"):
        keys_for(identity=())
    with pytest.raises(ConfigError, match="pragma says how to use the cache"):
        keys_for(identity_add=("Pragma",))
    with pytest.raises(ConfigError, match="x_user"):
        keys_for(identity=("x_user",))


def test_ignoring_a_prefix_never_ignores_a_credential() -> None:
    keys = keys_for(ignore_headers=("x-*", "authorization"))
    assert partition([AUTH], keys=keys)
    assert partition([(b"x-api-key", b"1")], keys=keys) != partition([(b"x-api-key", b"2")], keys=keys)
    assert admitted([AUTH, (b"x-build", b"1")], keys=keys).keyed == ()


def test_a_named_token_that_is_no_credential_can_be_ignored() -> None:
    keys = keys_for(ignore_headers=("x-csrf-token",))
    assert partition([AUTH, (b"x-csrf-token", b"1")], keys=keys) == partition([AUTH], keys=keys)


# -- tokens that end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"authorization", b"proxy-authorization", b"x-auth-token", b"x-amzn-oidc-data"])
def test_a_jwt_that_has_ended_is_bypassed(name: bytes) -> None:
    scheme = b"Bearer " if name.endswith(b"authorization") else b""
    assert refused([(name, scheme + jwt(exp=NOW))]) == "expired-credential"
    assert refused([(name, scheme + jwt(exp=int(NOW) - 1))]) == "expired-credential"
    assert partition([(name, scheme + jwt(exp=NOW + 1))])


def test_a_jwt_ends_while_it_is_remembered() -> None:
    headers = [(b"authorization", b"bearer " + jwt(exp=NOW + 5, sub="ann"))]
    assert isinstance(KEYS.admit(TARGET, headers, now=NOW), ResolvedCaller)
    assert KEYS.admit(TARGET, headers, now=NOW + 5) == Bypass(reason="expired-credential")


@pytest.mark.parametrize(
    "token",
    [
        jwt(sub="ann"),
        jwt(exp="soon"),
        jwt(exp=None),
        b"eyJ.eyJ.x",
        b"eyJhbGciOiJub25lIn0.bm90IGpzb24.x",
        b"eyJ" * 1000,
        b"eyJ.\xff\xff.x",
        b"eyJhbGciOiJub25lIn0." + urlsafe_b64encode(b"[" * 3000) + b".x",
    ],
)
def test_a_token_that_does_not_say_when_it_ends_is_opaque(token: bytes) -> None:
    assert partition([(b"authorization", b"Bearer " + token)])


def test_a_jwt_among_ignored_cookies_ends_nothing() -> None:
    assert partition([AUTH, (b"cookie", b"__cf_bm=" + jwt(exp=1))])


@pytest.mark.parametrize("cookie", [b"sid=1; t=%b; a=b", b"t=%b", b't="%b"'])
def test_a_jwt_that_has_ended_in_a_cookie_that_counts_is_bypassed(cookie: bytes) -> None:
    assert refused([(b"cookie", cookie % jwt(exp=NOW))]) == "expired-credential"
    live = admitted([(b"cookie", cookie % jwt(exp=NOW + 5))])
    assert live.ends == NOW + 5


# -- where --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"namespace": "other"},
        {"protocol": "other"},
        {"method": "PUT"},
        {"scheme": "http"},
        {"mount": "/app"},
        {"path": b"/v2/chat/completions"},
        {"path": b"/v1/chat/Completions"},
        {"path": b"/v1/chat/completions/"},
        {"path": b"/v1/%63hat/completions"},
        {"path": b"/V1/chat/completions"},
        {"query": b"api-version=1"},
        {"query": b"?"},
        {"upstream": "https://other.example"},
        {"mount": "/v1", "path": b"/chat/completions"},
    ],
)
def test_two_places_and_raw_path_variants_never_share_a_partition(change: dict[str, Any]) -> None:
    names = ("namespace", "protocol", "method", "scheme", "mount", "path", "query", "upstream")
    other = Target(**({name: getattr(TARGET, name) for name in names} | change))
    assert partition([AUTH], target=other) != partition([AUTH])


def test_two_hosts_never_share_a_partition() -> None:
    hosts = (b"a.example", b"b.example", b"a.example:443", b"A.example", b"")
    assert len({partition([AUTH, (b"host", host)]) for host in hosts}) == len(hosts)


@pytest.mark.parametrize(
    "path",
    [
        b"//v1/chat/completions",
        b"/v1//chat/completions",
        b"/v1/./chat/completions",
        b"/v1/../chat/completions",
        b"/v1/%2e%2E/chat/completions",
        b"/v1/.%2e/chat/completions",
        b"/v1%2fchat/completions",
        b"/v1%2Fchat/completions",
        b"/v1%5cchat/completions",
        b"/v1\\chat/completions",
        b"/chat/completions/..",
        b"/.",
    ],
)
def test_a_path_that_two_servers_may_read_differently_is_bypassed(path: bytes) -> None:
    target = Target(namespace="n", protocol="p", method="POST", scheme="https", mount="", path=path)
    assert refused([AUTH], target=target) == "path-form"


@pytest.mark.parametrize("path", [b"/.well-known/x", b"/v1/...", b"/a.b/..c", b"/%41/b", b"/"])
def test_a_plain_path_is_admitted(path: bytes) -> None:
    target = Target(namespace="n", protocol="p", method="POST", scheme="https", mount="", path=path)
    assert admitted([AUTH], target=target)


# -- headers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"idempotency-key", "idempotency-key"),
        (b"x-http-method-override", "method-override"),
        (b"range", "range"),
        (b"upgrade", "upgrade"),
        (b"x_user", "header-name"),
        (b"X-User", "header-name"),
    ],
)
def test_headers_that_keep_a_request_away(name: bytes, reason: str) -> None:
    assert refused([AUTH, (name, b"1")]) == reason
    assert refused([AUTH, (name, b"1")], target=GENERIC) == reason


IGNORED = b"""
postman-token
connection keep-alive te trailer transfer-encoding proxy-connection content-length accept-encoding user-agent origin
referer date expect via priority forwarded x-forwarded-for x-forwarded-proto x-forwarded-port x-forwarded-host x-real-ip
cf-ray cf-connecting-ip cdn-loop traceparent tracestate baggage b3 x-b3-traceid sentry-trace x-datadog-trace-id
x-amzn-trace-id x-cloud-trace-context x-request-id x-correlation-id x-client-request-id x-stainless-os sec-fetch-mode
dnt http-referer x-title cache-control pragma semcache-control
""".split()


@pytest.mark.parametrize("name", IGNORED)
@pytest.mark.parametrize("target", [TARGET, GENERIC])
def test_transport_headers_never_change_a_key(name: bytes, target: Target) -> None:
    assert admitted([AUTH, (name, b"1")], target=target) == admitted([AUTH], target=target)


@pytest.mark.parametrize("name", [b"accept", b"accept-language", b"content-type"])
def test_content_headers_split_the_keys_of_generic_apis_only(name: bytes) -> None:
    assert admitted([AUTH, (name, b"1")]) == admitted([AUTH])
    assert admitted([AUTH, (name, b"1")], target=GENERIC).keyed == ((name, b"1"),)


@pytest.mark.parametrize("name", [b"openai-beta", b"anthropic-version", b"x-tenant", b"content-encoding", b"x-trace"])
def test_unknown_headers_stay_in_the_key(name: bytes) -> None:
    assert admitted([AUTH, (name, b"1")]).keyed == ((name, b"1"),)


def test_headers_can_be_ignored_by_name_and_by_prefix() -> None:
    keys = keys_for(ignore_headers=("X-Build", "x-trace*"))
    headers = [AUTH, (b"x-build", b"1"), (b"x-trace", b"1"), (b"x-trace-id", b"1")]
    assert admitted(headers, keys=keys) == admitted([AUTH], keys=keys)
    assert admitted([AUTH, (b"x-builder", b"1")], keys=keys).keyed


def test_header_names_that_callers_make_up_are_not_remembered_for_ever() -> None:
    keys = keys_for()
    for number in range(3000):
        keys.admit(TARGET, [AUTH, (b"x-%d" % number, b"")], now=NOW)
    assert len(keys._rule._plain.known) <= 1024


def test_header_names_that_callers_make_up_never_crowd_out_the_usual_ones() -> None:
    keys, body = keys_for(), b"{}"
    for number in range(3000):
        keys.admit(TARGET, [AUTH, (b"x-%d" % number, b"")], now=NOW)
    one, other = ([AUTH, (b"x-request-id", value), (b"x-stainless-os", value)] for value in (b"1", b"2"))
    one_told, other_told = (keys.canonical_head(("p",), headers, traits=LLM) for headers in (one, other))
    assert keys.digests.alias(one_told, body) == keys.digests.alias(other_told, body)
    assert keys.digests.head(one_told) == keys.digests.head(other_told)


# -- handles and credentials --------------------------------------------------------------------------------------


def test_a_handle_is_valid_in_its_partition_only() -> None:
    mine, other, entry = b"p" * 16, b"q" * 16, b"e" * 16
    handle = DIGESTS.handle(mine, entry)
    assert DIGESTS.entry_of(handle, partition=mine) == entry
    assert DIGESTS.entry_of(handle, partition=other) is None
    for forged in (
        "",
        "x",
        handle[:-1],
        handle + "A",
        handle[:-1] + ("A" if handle[-1] != "A" else "B"),
        "é" * 32,
        "!" * 32,
    ):
        assert DIGESTS.entry_of(forged, partition=mine) is None


def test_under_a_shared_identity_credentials_can_still_be_told_apart() -> None:
    keys = keys_for(identity="shared")
    digests = [keys.credential(headers) for headers in ([], [AUTH], [(b"authorization", b"Bearer sk-two")])]
    assert len(set(digests)) == 3
    assert keys.credential([AUTH, (b"x-request-id", b"1")]) == digests[1]
