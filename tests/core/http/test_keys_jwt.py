"""Verified claims as identity: who a token names, when it stops doing so, and which tokens name nobody."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from semcache_core.config import load
from semcache_core.errors import ConfigError
from semcache_core.keys.digests import Digests
from semcache_core.keys.http import HttpKeys, ResolvedCaller
from semcache_core.keys.identity import Target
from semcache_core.remedies import pip_install
from semcache_core.settings import HttpOptions, JwtOptions, Secret
from semcache_core.types import API, Bypass

from .asgi_client import Client, serving

NOW = 1_800_000_000.0
SECRET = "a secret of the issuer, 32 bytes or more"
OTHER = "another secret that is long enough as well"
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PUBLIC = (
    PRIVATE.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
TARGET = Target(namespace="n", protocol="json", method="POST", scheme="https", mount="", path=b"/ask", traits=API)
ANN = {"sub": "ann"}


def keys(**options: Any) -> HttpKeys:
    http = {name: options.pop(name) for name in ("identity", "identity_add", "cookies") if name in options}
    told = {"claims": ("sub",), "key": Secret(SECRET), "algorithms": ("HS256",), **options}
    return HttpKeys(Digests(b"a secret of sixteen bytes or more"), options=HttpOptions(jwt=JwtOptions(**told), **http))


def token(claims: dict[str, Any], *, key: Any = SECRET, algorithm: str = "HS256") -> bytes:
    return jwt.encode(claims, key, algorithm=algorithm).encode()


def bearer(claims: dict[str, Any], **signed: Any) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + token(claims, **signed))]


def admitted(headers: list[tuple[bytes, bytes]], *, by: HttpKeys | None = None, now: float = NOW) -> str:
    """Return the partition as text, or the reason why there is none."""
    by = by or keys()
    caller = by.admit(TARGET, headers, now=now)
    return caller.reason if isinstance(caller, Bypass) else caller.partition.hex()


def is_admitted(said: str) -> bool:
    return len(said) == 32


# -- who --------------------------------------------------------------------------------------------------------------


def test_two_tokens_of_one_user_are_one_caller_and_two_users_are_two() -> None:
    tokens = [{**ANN, "jti": "1"}, {**ANN, "jti": "2", "exp": NOW + 60}, {"sub": "bob"}]
    one, other, bob = (admitted(bearer(claims)) for claims in tokens)
    assert is_admitted(one)
    assert one == other != bob


def test_every_named_claim_tells_callers_apart() -> None:
    by = keys(claims=("sub", "groups"))
    groups: list[Any] = [["a"], ["a", "b"], ["b", "a"], "a", 1, 1.0, True, {"a": 1}, []]
    said = {admitted(bearer({**ANN, "groups": group}), by=by) for group in groups}
    assert len(said) == len(groups)
    assert all(map(is_admitted, said))


def test_other_credentials_do_not_count() -> None:
    extra = [(b"x-api-key", b"k"), (b"cookie", b"a=b"), (b"openai-project", b"p")]
    assert admitted([*bearer(ANN), *extra]) == admitted(bearer(ANN))


def test_a_header_that_is_added_counts_beside_the_claims_and_never_without_them() -> None:
    by = keys(identity_add=("x-tenant",))
    one, other = (admitted([*bearer(ANN), (b"x-tenant", tenant)], by=by) for tenant in (b"a", b"b"))
    assert one != other
    assert admitted([(b"x-tenant", b"a")], by=by) == "no-identity"


def test_a_public_key_verifies_what_the_private_one_signed() -> None:
    by = keys(key=Secret(PUBLIC), algorithms=("ES256",))
    assert is_admitted(admitted(bearer(ANN, key=PRIVATE, algorithm="ES256"), by=by))
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert admitted(bearer(ANN, key=stranger, algorithm="ES256"), by=by) == "jwt-invalid"


@pytest.mark.parametrize("scheme", [b"", b"Bearer ", b"bearer  "])
def test_another_header_holds_the_token_after_a_scheme_or_alone(scheme: bytes) -> None:
    by = keys(header="X-Assertion")
    assert admitted([(b"x-assertion", scheme + token(ANN))], by=by) == admitted(
        [(b"x-assertion", token(ANN)), (b"authorization", b"Bearer x")], by=by
    )


# -- nobody -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Basic YTpi")],
        [(b"x-api-key", b"k")],
    ],
)
def test_a_request_without_a_token_is_nobodys_even_on_loopback(headers: list[tuple[bytes, bytes]]) -> None:
    assert admitted(headers) == "no-identity"
    options = HttpOptions(jwt=JwtOptions(claims=("sub",), key=Secret(SECRET), algorithms=("HS256",)))
    loopback = HttpKeys(Digests(b"a secret of sixteen bytes or more"), options=options, anonymous=True)
    assert admitted(headers, by=loopback) == "no-identity"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {**ANN, "nbf": NOW + 1},
        {**ANN, "nbf": "soon"},
        {**ANN, "exp": "never"},
        {**ANN, "exp": True},
        {**ANN, "exp": float("nan")},
        {**ANN, "exp": float("inf")},
        {**ANN, "aud": "somebody else"},
    ],
)
def test_a_token_with_claims_that_do_not_hold_names_nobody(claims: dict[str, Any]) -> None:
    signed = jwt.api_jws.encode(json.dumps(claims).encode(), SECRET, algorithm="HS256").encode()
    assert admitted([(b"authorization", b"Bearer " + signed)]) == "jwt-invalid"


@pytest.mark.parametrize(
    "value",
    [
        token(ANN, key=OTHER),
        token(ANN, key=SECRET * 2, algorithm="HS512"),
        jwt.encode(ANN, None, algorithm="none").encode(),
        token(ANN)[:-4],
        token(ANN) + b"x",
        token(ANN) + b" " + token(ANN),
        b"sk-opaque",
        b"a.b.c",
        b"\xff\xfe",
    ],
    ids=["key", "algorithm", "none", "short", "long", "two", "opaque", "dots", "bytes"],
)
def test_a_token_that_does_not_verify_names_nobody(value: bytes) -> None:
    assert admitted([(b"authorization", b"Bearer " + value)]) == "jwt-invalid"


def test_two_tokens_name_nobody() -> None:
    assert admitted([*bearer(ANN), *bearer({"sub": "bob"})]) == "duplicate-identity"


def test_audience_and_issuer_must_be_those_of_the_configuration() -> None:
    by = keys(audience="cache", issuer="https://id.example")
    right = {**ANN, "aud": ["cache", "other"], "iss": "https://id.example"}
    assert is_admitted(admitted(bearer(right), by=by))
    for wrong in ({**right, "aud": "other"}, {**right, "iss": "https://id.evil"}, ANN):
        assert admitted(bearer(wrong), by=by) == "jwt-invalid"


# -- how long ---------------------------------------------------------------------------------------------------------


def test_times_are_held_against_now_and_the_leeway() -> None:
    ends, begins = bearer({**ANN, "exp": NOW}), bearer({**ANN, "nbf": NOW})
    assert admitted(ends) == "expired-credential"
    assert is_admitted(admitted(ends, now=NOW - 1))
    assert is_admitted(admitted(ends, by=keys(leeway=5), now=NOW + 4))
    assert admitted(ends, by=keys(leeway=5), now=NOW + 5) == "expired-credential"
    assert is_admitted(admitted(begins))
    assert admitted(begins, now=NOW - 1) == "jwt-invalid"
    assert is_admitted(admitted(begins, by=keys(leeway=5), now=NOW - 5))


def test_a_forged_token_that_has_ended_is_not_told_from_another_forged_one() -> None:
    assert admitted(bearer({**ANN, "exp": NOW - 60}, key=OTHER)) == "jwt-invalid"


def test_what_is_remembered_of_a_caller_ends_with_the_token() -> None:
    caller = keys(leeway=5).admit(TARGET, bearer({**ANN, "exp": NOW + 60}), now=NOW)
    assert isinstance(caller, ResolvedCaller)
    assert caller.ends == NOW + 65


def test_a_hit_is_shared_by_a_users_tokens_and_the_same_bytes_bypass_once_the_token_has_ended() -> None:
    async def main() -> None:
        http = {"jwt": {"claims": ["sub"], "key": SECRET, "algorithms": ["HS256"]}}
        async with serving(http=http) as rig:
            begins = rig.clock()
            first = Client(rig.client.app, headers=bearer({**ANN, "exp": begins + 60, "nbf": begins}))
            second = Client(rig.client.app, headers=bearer({**ANN, "jti": "2"}))
            bob = Client(rig.client.app, headers=bearer({"sub": "bob"}))
            assert [(await each.chat()).cache for each in (first, first, second, bob)] == ["MISS", "HIT", "HIT", "MISS"]
            rig.clock.advance(60)
            assert (await first.chat()).cache_status == "semcache; fwd=bypass; detail=expired-credential"
            assert (await second.chat()).cache == "HIT"
            assert (await rig.client.chat()).cache_status == "semcache; fwd=bypass; detail=jwt-invalid"

    asyncio.run(main())


# -- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithms": ("HS256", "ES256")}, "mixes HS* with signatures of a public key"),
        ({"key": Secret("short")}, "http.jwt.key is too short for HS256: at least 32 bytes"),
        ({"key": Secret(PUBLIC)}, "http.jwt.key does not fit HS256, which needs a secret that is no PEM key"),
        ({"algorithms": ("RS256",)}, "http.jwt.key does not fit RS256, which needs a PEM public key"),
        ({"header": "cookie"}, "http.jwt.header: 'cookie' cannot hold a token"),
        ({"header": "range"}, "http.jwt.header: 'range' cannot hold a token"),
        ({"identity": "shared"}, "http.jwt and http.identity both replace the default identity"),
        ({"identity": ("x-user",)}, "http.jwt and http.identity both replace the default identity"),
    ],
)
def test_what_could_not_be_safe_stops_the_start(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        keys(**options)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"claims": ["sub"], "key": SECRET, "algorithms": ["none"]}, "http.jwt.algorithms[0]: does not fit"),
        ({"claims": ["sub"], "key": SECRET, "algorithms": []}, "http.jwt.algorithms: "),
        ({"claims": [], "key": SECRET, "algorithms": ["HS256"]}, "http.jwt.claims: "),
        ({"claims": ["sub"], "key": SECRET}, "http.jwt.algorithms: is missing"),
        ({"claims": ["sub"], "algorithms": ["HS256"]}, "http.jwt.key: is missing"),
    ],
)
def test_a_table_that_leaves_open_what_verifies_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"http": {"jwt": table}})
    assert message in str(caught.value)


def test_without_pyjwt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(ConfigError, match=re.escape(pip_install("semcache-core[jwt]"))):
        keys()


def test_claims_as_identity_are_noticed_at_the_start() -> None:
    (notice,) = keys().notices()
    assert "the default identity is replaced" in notice
