"""What tells two people apart by default, whatever its name; and what everybody may send alike, which names nobody."""

from __future__ import annotations

import time
from base64 import b64encode

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from semcache_core.keys.credentials import counted_cookies
from semcache_core.keys.digests import Digests
from semcache_core.keys.http import HttpKeys, ResolvedCaller
from semcache_core.settings import HttpOptions
from semcache_core.types import API, LLM, Traits

from .test_keys_identity import AUTH, GENERIC, TARGET, admitted, keys_for, partition, refused

Headers = list[tuple[bytes, bytes]]

# -- what everybody may send alike ------------------------------------------------------------------------------------

NOTHING = [
    b"",
    b" ",
    b"Bearer",
    b"bearer ",
    b"Bearer null",
    b"Bearer undefined",
    b"bearer NULL",
    b"Bearer None",
    b"Bearer nil",
    b"Bearer NaN",
    b"Bearer false",
    b"Bearer [object Object]",
    b'Bearer ""',
    b"Bearer 'null'",
    b"Bearer Bearer undefined",
    b"Bearer ${API_KEY}",
    b"Bearer $API_KEY",
    b"Bearer {{ token }}",
    b"Bearer <your key>",
    b"Bearer\xa0",
    b"Bearer EMPTY",
    b"Bearer sk-no-key-required",
    b"Bearer not-needed",
    b"Bearer lm-studio",
    b"Bearer ollama",
    b"Bearer dummy",
    b"Bearer YOUR_API_KEY",
    b"null",
    b"undefined",
    b"Token",
    b"ApiKey  ",
    b"Basic",
    b"Basic " + b64encode(b":"),
    b"Basic " + b64encode(b"undefined:undefined"),
    b"basic " + b64encode(b"null:").rstrip(b"="),
]


@pytest.mark.parametrize("value", NOTHING)
@pytest.mark.parametrize("name", [b"authorization", b"proxy-authorization", b"x-api-key", b"x-auth-token"])
def test_a_value_that_everybody_may_send_names_nobody(name: bytes, value: bytes) -> None:
    assert refused([(name, value)]) == "no-identity"
    assert refused([(name, value)], target=GENERIC) == "no-identity"


@pytest.mark.parametrize("value", NOTHING)
def test_a_cookie_whose_value_everybody_may_send_names_nobody(value: bytes) -> None:
    assert refused([(b"cookie", b"session=" + value.replace(b";", b""))]) == "no-identity"


@pytest.mark.parametrize("value", [b"", b" ", b"null", b"undefined", b"None", b'"null"', b"(null)", b"NaN"])
def test_a_header_or_cookie_that_the_operator_named_names_nobody_if_it_is_unset(value: bytes) -> None:
    assert refused([(b"x-tenant", value)], keys=keys_for(identity=("x-tenant",))) == "no-identity"
    assert refused([(b"cookie", b"session=" + value)], keys=keys_for(cookies=("session",))) == "no-identity"


@pytest.mark.parametrize("value", [b"basic", b"true", b"anonymous", b"ollama", b"key", b"0"])
def test_a_header_that_the_operator_named_may_hold_any_word(value: bytes) -> None:
    assert partition([(b"x-tenant", value)], keys=keys_for(identity=("x-tenant",)))
    assert partition([(b"x-tenant", value)], keys=keys_for(identity_add=("x-tenant",)))


@pytest.mark.parametrize("cookie", [b"csrftoken=1", b"XSRF-TOKEN=1; _csrf=2", b"session=; csrf=3"])
def test_a_cookie_against_forgery_splits_and_names_nobody(cookie: bytes) -> None:
    assert refused([(b"cookie", cookie)]) == refused([(b"cookie", cookie)], target=GENERIC) == "no-identity"
    assert partition([AUTH, (b"cookie", cookie)]) != partition([AUTH])


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer nullify",
        b"Bearer sk-undefined",
        b"Bearer 0",
        b"Bearer sk-dummy7",
        b"Bearer empty.1",
        b"Bearer ollama_ann",
        b"Bearer x",
        b"Basic " + b64encode(b"ann:"),
        b"Basic " + b64encode(b":password1"),
        b"Basic not-base64",
        b"secret",
        b"Bearer " + b"null " * 200,
    ],
)
def test_whatever_else_it_says_names_somebody(value: bytes) -> None:
    assert partition([(b"authorization", value)])


@pytest.mark.parametrize(
    "name",
    [
        b"x-csrf-token",
        b"x-csrftoken",
        b"csrf-token",
        b"x-xsrf-token",
        b"requestverificationtoken",
        b"x-recaptcha-token",
        b"g-recaptcha-token",
        b"cf-turnstile-token",
        b"x-app-token",
        b"app-token",
        b"x-application-token",
        b"x-apptoken",
        b"x-app-api-key",
        b"x-vercel-oidc-token",
        b"x-forwarded-client-cert",
        b"x-appengine-auth-domain",
    ],
)
def test_what_may_be_the_same_for_all_splits_and_is_no_identity(name: bytes) -> None:
    assert refused([(name, b"one")]) == "no-identity"
    assert partition([AUTH, (name, b"one")]) != partition([AUTH, (name, b"two")])


@pytest.mark.parametrize(
    "name",
    [
        b"x-max-tokens",
        b"x-token-limit",
        b"x-page-token",
        b"next-token",
        b"x-continuation-token",
        b"sync-token",
        b"x-tokenizer",
        b"x-author",
        b"x-concert",
        b"x-secretary",
    ],
)
def test_what_only_sounds_like_a_credential_is_part_of_the_request_in_every_partition(name: bytes) -> None:
    assert refused([(name, b"one")]) == "no-identity"
    for keys in (keys_for(), keys_for(identity="shared"), keys_for(identity=("authorization",))):
        for target in (TARGET, GENERIC):
            assert admitted([AUTH, (name, b"one")], keys=keys, target=target).keyed == ((name, b"one"),)


# -- any header spelling ----------------------------------------------------------------------------------------------

PREFIXES = st.sampled_from(
    b"x- x-my- cf- cf-aig- cf-access- sec- x-stainless- x-datadog- x-b3- x-amz- x-ms- x-azure- x-arr- fly- x-vercel- "
    b"x-railway- x-appgw- x-goog- x-instana- x-kong- helicone- x-portkey- ocp-apim- x-forwarded- proxy-".split()
) | st.just(b"")
STEMS = st.sampled_from(
    b"authorization auth authentication api-key apikey key access-key secret secret-key client-secret token auth-token "
    b"access-token id-token jwt jwt-assertion password credential credentials session session-id sessionid user "
    b"user-id subscription-key functions-key client-cert clientcert cert-serial cookie tenant account signature".split()
)
SUFFIXES = st.sampled_from([b"", b"", b"-id", b"-2", b"-v1", b"-data"])
NAMES = st.builds(lambda prefix, stem, suffix: prefix + stem + suffix, PREFIXES, STEMS, SUFFIXES)
VALUES = st.text("abcAZ09-._~+/= ", min_size=1, max_size=12).map(lambda text: text.strip().encode() or b"0")
NOISE = st.lists(
    st.sampled_from(
        [
            (b"x-csrf-token", b"1"),
            (b"x-app-token", b"web-v1"),
            (b"authorization", b"Bearer null"),
            (b"x-api-key", b"public"),
            (b"x-request-id", b"7"),
            (b"accept", b"*/*"),
        ]
    ),
    unique_by=lambda header: header[0],
)
KEYS = HttpKeys(Digests(b"a secret of sixteen bytes or more"), options=HttpOptions())
LOOPBACK = HttpKeys(Digests(b"a secret of sixteen bytes or more"), options=HttpOptions(), anonymous=True)
ALL = keys_for(ignore_headers=("x-*", "cf-*", "sec-*", "fly-*", "helicone-*", "authorization", "cookie"))
TARGETS = {LLM: TARGET, API: GENERIC}


def places(keys: HttpKeys, one: Headers, other: Headers, traits: Traits) -> tuple[object, object]:
    """Return where each request's answer is kept; something unique for one that bypasses the cache."""
    found = [keys.admit(TARGETS[traits], headers, now=1.0) for headers in (one, other)]
    kept = [(each.partition, each.keyed) if isinstance(each, ResolvedCaller) else object() for each in found]
    return kept[0], kept[1]


@settings(max_examples=400, deadline=None, database=None)
@given(NAMES, st.lists(VALUES, min_size=2, max_size=2, unique=True), NOISE, st.sampled_from([LLM, API]))
def test_two_credentials_under_any_name_never_share_an_entry_or_an_alias(
    name: bytes, values: list[bytes], noise: Headers, traits: Traits
) -> None:
    one, other = ([*(each for each in noise if each[0] != name), (name, value)] for value in values)
    for keys in (KEYS, LOOPBACK):
        mine, others = places(keys, one, other, traits)
        assert mine != others
        assert keys.canonical_head(("p",), one, traits=traits) != keys.canonical_head(("p",), other, traits=traits)


COOKIES = st.lists(
    st.tuples(
        st.sampled_from(b"session sid JSESSIONID auth __Host-id AWSALX x__cf_bm GCLBs connect.sid theme".split()),
        st.text("abc09%=", max_size=6).map(str.encode),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200, deadline=None, database=None)
@given(COOKIES, COOKIES, NOISE, st.sampled_from([LLM, API]))
def test_two_cookie_jars_never_share_an_entry(mine: Headers, others: Headers, noise: Headers, traits: Traits) -> None:
    one, other = (b"; ".join(name + b"=" + value for name, value in jar) for jar in (mine, others))
    assume(one != other)
    kept = places(LOOPBACK, [*noise, (b"cookie", one)], [*noise, (b"cookie", other)], traits)
    assert kept[0] != kept[1]


CREDENTIALS = st.sampled_from(
    b"authorization proxy-authorization cookie x-api-key x-auth-token cf-aig-authorization cf-access-jwt-assertion "
    b"x-forwarded-user x-ms-client-principal-id x-amzn-oidc-data ocp-apim-subscription-key".split()
)


@settings(max_examples=100, deadline=None, database=None)
@given(CREDENTIALS, st.lists(VALUES, min_size=2, max_size=2, unique=True), st.sampled_from([LLM, API]))
def test_no_prefix_that_is_ignored_takes_a_credential_along(name: bytes, values: list[bytes], traits: Traits) -> None:
    mine, others = places(ALL, [(name, values[0])], [(name, values[1])], traits)
    assert mine != others


@pytest.mark.parametrize("name", [b"cf-aig-authorization", b"ocp-apim-subscription-key", b"x-functions-key", b"x-auth"])
def test_a_credential_counts_whatever_its_vendor_prefix(name: bytes) -> None:
    assert partition([(name, b"Bearer one")]) != partition([(name, b"Bearer two")])


# -- cookies of infrastructure ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cookie",
    [
        b"__cf_bm=1",
        b"_cfuvid=1",
        b"__cflb=1",
        b"AWSALB=1",
        b"AWSALBCORS=1",
        b"AWSALBTG=1",
        b"AWSALBAPP-0=1",
        b"ARRAffinity=1",
        b"ARRAffinitySameSite=1",
        b"GCLB=1",
        b"incap_ses_1_2=1",
        b"visid_incap_2=1",
        b"ak_bmsc=1",
        b"_abck=1",
    ],
)
def test_a_cookie_of_infrastructure_makes_no_new_caller_and_no_identity(cookie: bytes) -> None:
    assert partition([AUTH, (b"cookie", cookie)]) == partition([AUTH])
    both = [AUTH, (b"cookie", cookie + b"; sid=x")]
    assert partition(both) == partition([AUTH, (b"cookie", b"sid=x; " + cookie)]) != partition([AUTH])
    assert refused([(b"cookie", cookie)]) == "no-identity"
    assert partition([AUTH, (b"cookie", cookie)], target=GENERIC) != partition([AUTH], target=GENERIC)


@pytest.mark.parametrize(
    "cookie", [b"__cf_bmx=1", b"x__cf_bm=1", b"GCLBX=1", b"gclb=1", b"_abck2=1", b'sid="1; __cf_bm=2"', b"session"]
)
def test_a_cookie_with_nearly_such_a_name_counts(cookie: bytes) -> None:
    assert counted_cookies(cookie) == cookie


@pytest.mark.parametrize("between", [b",", b", ", b" ", b"\t", b"\\"])
def test_a_cookie_that_some_parsers_see_behind_one_of_infrastructure_counts(between: bytes) -> None:
    mine, others = (b"__cf_bm=1" + between + b"sid=" + each for each in (b"alice", b"bob"))
    assert partition([AUTH, (b"cookie", mine)]) != partition([AUTH, (b"cookie", others)])


def test_a_very_long_cookie_field_counts_as_it_is() -> None:
    long = b"__cf_bm=1; " * 1000
    assert partition([(b"cookie", long)]) != partition([(b"cookie", long + b"__cf_bm=2")])


# -- shared partitions ------------------------------------------------------------------------------------------------

BUILDING = [b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port", b"forwarded", b"origin"]


@pytest.mark.parametrize("name", BUILDING)
def test_in_shared_partitions_what_an_application_builds_links_of_splits_keys_of_generic_apis(name: bytes) -> None:
    shared = keys_for(identity="shared")
    assert admitted([(name, b"evil.example")], keys=shared, target=GENERIC).keyed == ((name, b"evil.example"),)
    assert admitted([(name, b"evil.example")], keys=shared).keyed == ()
    assert admitted([AUTH, (name, b"evil.example")], target=GENERIC).keyed == ()
    told = {shared.canonical_head(("p",), [(name, value)], traits=API) for value in (b"1", b"2")}
    assert len(told) == 2


HOSTILE = [b"bearer ", b"<", b"{{", b"$", b'"', b" ", b"null", b"a;", b"__cf_bm", b"x=;", b"AWSALB-", b"\xa0"]


def seconds(headers: Headers) -> float:
    began = time.perf_counter()
    KEYS.admit(TARGET, headers, now=1.0)
    return time.perf_counter() - began


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("name", [b"authorization", b"cookie", b"x-api-key"])
def test_reading_a_hostile_value_is_linear(name: bytes, piece: bytes) -> None:
    whole, half = (piece * (size // len(piece)) + b"x" for size in (400_000, 100_000))
    # Four times the length may take four times as long; a quadratic reader takes sixteen.
    assert min(seconds([(name, whole)]) for _ in range(3)) < 10 * min(seconds([(name, half)]) for _ in range(3)) + 0.02
