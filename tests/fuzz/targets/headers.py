"""Headers of requests: reading them never fails, and two callers have one partition only if they are one."""

from __future__ import annotations

from semcache_core.http import coding, directives
from semcache_core.http import headers as rules
from semcache_core.http.loopback import began_here
from semcache_core.keys.digests import Digests
from semcache_core.keys.http import HttpKeys, ResolvedCaller
from semcache_core.keys.identity import Target
from semcache_core.settings import HttpOptions, JwtOptions, Policy, Secret
from semcache_core.types import API, LLM, Bypass

from ...crossing.view import credentials
from ..reader import Reader

_DIGESTS = Digests(b"0123456789abcdef0123456789abcdef")
_JWT = JwtOptions(claims=("sub",), key=Secret("a secret of 32 bytes for HS256 ok"), algorithms=("HS256",))
_KEYS = {
    "default": HttpKeys(_DIGESTS, options=HttpOptions()),
    "anonymous": HttpKeys(_DIGESTS, options=HttpOptions(), anonymous=True),
    "shared": HttpKeys(_DIGESTS, options=HttpOptions(identity="shared")),
    "named": HttpKeys(_DIGESTS, options=HttpOptions(identity=("x-user",), cookies=("sessionid",))),
    "jwt": HttpKeys(_DIGESTS, options=HttpOptions(jwt=_JWT)),
}
NAMES = (
    *(b"authorization", b"cookie", b"x-api-key", b"x-acme-token", b"x-user", b"openai-organization", b"host"),
    *(b"cache-control", b"pragma", b"semcache-control", b"semcache-debug", b"forwarded", b"x-forwarded-host"),
    *(b"via", b"content-encoding", b"content-length", b"vary", b"age", b"expires", b"date", b"x-tenant"),
    *(b"access-control-allow-origin", b"connection", b"x-forwarded-user", b"etag", b"set-cookie", b"range"),
)
"""The other names come from the fuzzer."""

Pairs = list[tuple[bytes, bytes]]


def check(data: bytes) -> None:
    """Read two lists of fields in every way in which the cache reads fields."""
    reader = Reader(data)
    traits, now = reader.pick((LLM, API)), float(reader.number(65535))
    one, two = _fields(reader), _fields(reader)
    target = Target(namespace="n", protocol="p", method="POST", scheme="https", mount="", path=b"/ask", traits=traits)
    for name, keys in _KEYS.items():
        first, second = (keys.admit(target, fields, now=now) for fields in (one, two))
        assert isinstance(first, ResolvedCaller | Bypass)
        again = keys.admit(target, sorted(one, key=lambda each: each[0]), now=now)
        if isinstance(first, ResolvedCaller):
            assert isinstance(again, ResolvedCaller), f"the order of {one} matters ({name})"
            assert again.partition == first.partition, f"the order of {one} matters ({name})"
        if name == "default" and isinstance(first, ResolvedCaller) and isinstance(second, ResolvedCaller):
            _compare(one, two, first.partition == second.partition, llm=traits is LLM)
        keys.credential(one, traits=traits)
    _read(tuple(one), now)


def _compare(one: Pairs, two: Pairs, same: bool, *, llm: bool) -> None:
    if same:
        mine, theirs = (sorted(credentials(fields, llm=llm)) for fields in (one, two))
        assert mine == theirs, f"one partition for {one} and {two}"


def _fields(reader: Reader) -> Pairs:
    count = reader.number(6)
    fields: Pairs = []
    for _ in range(count):
        at = reader.number(len(NAMES) + 4)
        name = NAMES[at] if at < len(NAMES) else reader.take(reader.number(12)).lower()
        fields.append((name, reader.take(reader.number(80))))
    return fields


def _read(fields: tuple[tuple[bytes, bytes], ...], now: float) -> None:
    loose = frozenset(("namespace", "tags", "mode"))
    for shared, traits in ((False, LLM), (True, LLM), (False, API), (True, API)):
        directives.of_request(fields, policy=Policy(), traits=traits, allow=frozenset(), shared=shared)
        directives.of_request(fields, policy=Policy(), traits=traits, allow=loose, shared=shared)
    directives.of_answer(fields)
    for traits in (LLM, API):
        directives.forbids_storing(fields, traits=traits)
        rules.kept(fields, traits=traits)
    directives.forbids_stale(fields)
    life = directives.lifetime(fields, now=now)
    assert life is None or life >= 0
    assert directives.age(fields) >= 0
    vary = rules.varies_on(fields)
    made_for = rules.values_of(vary or (), fields, digests=_DIGESTS)
    assert rules.matches(made_for, fields, digests=_DIGESTS)
    began_here(fields, http_version="1.1")
    try:
        coding.decoder_for(fields, limit=1024)
    except coding.CannotDecode:
        pass
