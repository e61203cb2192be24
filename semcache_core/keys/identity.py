"""The caller and the place: which parts of a request's head form its partition, its key, or a bypass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from semcache_core.errors import ConfigError
from semcache_core.keys.credentials import (
    cookies_say_nothing,
    counted_cookies,
    crumbs,
    is_credential_like,
    is_unset,
    says_nothing,
)
from semcache_core.keys.digests import pack
from semcache_core.keys.headers import Identity, Role, Roles
from semcache_core.keys.jwt import Expiries, Tokens
from semcache_core.settings import HttpOptions
from semcache_core.types import LLM, Bypass, Quiet, Traits

__all__ = ["Caller", "IdentityRule", "Target"]

Header = tuple[bytes, bytes]


class Target(Quiet, msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where a request goes. ``path`` and ``query`` are raw, exactly as they are forwarded."""

    namespace: str
    protocol: str
    """Name of the key extractor that claims it."""
    method: str
    scheme: str
    mount: str
    """``root_path`` (ASGI) or ``SCRIPT_NAME`` (WSGI)."""
    path: bytes
    query: bytes = b""
    upstream: str = ""
    """Base URL that a proxy forwards to; empty in middleware."""
    traits: Traits = LLM
    """The extractor's traits: which headers are part of the request, and whether cookies identify the caller."""


class Caller(Quiet, msgspec.Struct, frozen=True, array_like=True):
    """The result of classifying headers: the authority, the caller, and the fields of the request, by name."""

    authority: bytes
    identity: tuple[Header, ...]
    keyed: tuple[Header, ...]
    ends: float | None = None
    """When the verified token that names the caller expires: seconds since the epoch; None: never, or no token."""


_REASONS = {
    b"idempotency-key": Bypass(reason="idempotency-key"),
    b"x-http-method-override": Bypass(reason="method-override"),
    b"range": Bypass(reason="range"),
    b"upgrade": Bypass(reason="upgrade"),
}
_IGNORED, _READ, _HOST, _KEYED, _COOKIE = (
    Role.IGNORED,
    Role.READ,
    Role.HOST,
    Role.KEYED,
    Role.COOKIE,
)  # Checked for every header.
_HEADER_NAME = Bypass(reason="header-name")
_TWO_HOSTS = Bypass(reason="duplicate-host")
_TWO_IDENTITIES = Bypass(reason="duplicate-identity")
_NO_IDENTITY = Bypass(reason="no-identity")
_EXPIRED = Bypass(reason="expired-credential")

_WHY_NOT_IGNORED = {
    Role.BYPASS: "a request with it bypasses the cache",
    Role.HOST: "it says where a request goes, so it always counts",
    Role.READ: "the cache itself reads it",
}


class IdentityRule:
    """Identifies callers by their headers, as configured in ``[http]``.

    ``anonymous``: a request without identity may use the cache, for a proxy that only this machine can reach.
    ``by_application``: the application names the caller (``who``), no header does.
    """

    def __init__(self, options: HttpOptions, *, anonymous: bool = False, by_application: bool = False) -> None:
        identity: Identity = "caller" if by_application else options.identity
        if identity == () and not (options.identity_add or options.cookies):
            raise ConfigError(
                "http.identity is an empty list, so nobody has an identity; name headers, or say 'shared'"
            )
        self._tokens: Tokens | None = None
        if options.jwt is not None and not by_application:
            if identity != "default":
                raise ConfigError("http.jwt and http.identity both replace the default identity; leave one out")
            self._tokens = Tokens(options.jwt)
            identity = (options.jwt.header,)
        self._anonymous = anonymous or identity == "shared"
        self._by_application = by_application
        self._cookies = frozenset(name.encode("latin-1") for name in options.cookies)
        self._expiries = Expiries()
        self._replaced = identity != "default"
        cookies, add, ignore = bool(options.cookies), options.identity_add, options.ignore_headers
        self._ignore = tuple(ignore)
        self._overruled = by_application and (options.identity != "default" or options.jwt is not None)
        self._plain = Roles(identity=identity, add=add, cookies=cookies, ignore=ignore, negotiated=False)
        self._negotiated = Roles(identity=identity, add=add, cookies=cookies, ignore=ignore, negotiated=True)
        if self._tokens is not None and self._plain.of(self._tokens.header) not in (Role.IDENTITY, Role.CREDENTIAL):
            raise ConfigError(f"http.jwt.header: {self._tokens.header.decode()!r} cannot hold a token; name another")
        named = (*add, *(() if isinstance(identity, str) else identity))
        self._all_cookies = "cookie" in [name.lower() for name in named]

    def notices(self) -> Sequence[str]:
        """Return notices for the operator about this rule."""
        notices = []
        if self._replaced:
            notices.append(
                "the default identity is replaced: credentials that are not named no longer keep callers apart"
            )
        elif self._cookies:
            notices.append("http.cookies replaces the default: cookies that are not named no longer keep callers apart")
        if self._overruled:
            notices.append("http.identity and http.jwt have no effect: the application itself says who asks")
        notices += [f"http.ignore_headers: {name!r} has no effect: {why}" for name, why in self._not_ignored()]
        return tuple(notices)

    def _not_ignored(self) -> Iterator[tuple[str, str]]:
        """Yield the headers in ``ignore_headers`` that are not ignored, and why."""
        for name in self._ignore:
            role = Role.IGNORED if name.endswith("*") else self._negotiated.of(name.strip().lower().encode("latin-1"))
            if role not in (Role.IGNORED, Role.KEYED):
                yield name, _WHY_NOT_IGNORED.get(role, "it says who asks, so it always counts")

    def canonical_head(
        self, place: tuple[str | bytes | None, ...], headers: Iterable[Header], *, traits: Traits
    ) -> bytes:
        """Return the bytes that identify a request's head: ``place``, and the headers that are not ignored.

        ``place`` contains every field of the target.
        """
        ignored = (self._negotiated if traits.negotiated else self._plain).ignored
        # A new name counts until ``classify`` finds its role; the next alias may then differ.
        return pack((place, [header for header in headers if header[0] not in ignored]))

    def ends(self, caller: Caller) -> float | None:
        """Return when the first of the caller's credentials expires, if the credential says so."""
        first = caller.ends
        for header in caller.identity:
            for token in _tokens(header):
                ends = self._expiries.of(token)
                if ends is not None and (first is None or ends < first):
                    first = ends
        return first

    def classify(
        self, headers: Iterable[Header], *, traits: Traits, now: float, who: str | bytes | None = None
    ) -> Caller | Bypass:
        """Return the caller and the headers of the request, or why it bypasses the cache.

        Names are lower-case. ``now``: seconds since the epoch, for credentials that expire. ``who``: the caller, if the
        application names it.
        """
        heads = _classified(headers, self._negotiated if traits.negotiated else self._plain)
        if isinstance(heads, Bypass):
            return heads
        identity, has_identity = heads.identity, heads.has_identity
        if heads.cookies:
            cookies = self._counted(heads.cookies, traits)
            identity += cookies
            has_identity = has_identity or any(_is_callers(cookie) for cookie in cookies)
        if self._by_application and who:
            identity.append((b"", who.encode() if isinstance(who, str) else who))
            has_identity = True
        ends = None
        if self._tokens is not None:
            header = self._tokens.header
            verified = self._tokens.of([value for name, value in identity if name == header], now=now)
            if isinstance(verified, Bypass):
                return verified
            identity = [*(each for each in identity if each[0] != header), *verified.claims]
            has_identity, ends = True, verified.ends
        if not has_identity and not self._anonymous:
            return _NO_IDENTITY
        refusal = self._refusal(identity, now)
        if refusal is not None:
            return refusal
        return Caller(heads.authority, _by_name(identity), _by_name(heads.keyed), ends)

    def _counted(self, cookies: list[Header], traits: Traits) -> list[Header]:
        """Return the counted cookies as headers; if none is configured, those of a ``Cookie`` field as one."""
        if self._cookies:
            pairs = (crumb.partition(b"=") for _, value in cookies for crumb in crumbs(value))
            return [(b"cookie " + name, value) for name, _, value in pairs if name in self._cookies]
        if traits.cookies_identify or self._all_cookies:
            return cookies
        counted = ((name, counted_cookies(value)) for name, value in cookies)
        return [header for header in counted if header[1]]

    def _refusal(self, identity: list[Header], now: float) -> Bypass | None:
        if len(identity) > 1 and len({name for name, _ in identity}) != len(identity):
            return _TWO_IDENTITIES
        for header in identity:
            for token in _tokens(header):
                ends = self._expiries.of(token)
                if ends is not None and ends <= now:
                    return _EXPIRED
        return None


class _Heads(Quiet, msgspec.Struct):
    authority: bytes
    identity: list[Header]
    keyed: list[Header]
    cookies: list[Header]
    has_identity: bool


def _classified(headers: Iterable[Header], roles: Roles) -> _Heads | Bypass:
    """Group the headers by role, in one pass over names whose roles are known."""
    known, role_of = roles.known, roles.of
    identity: list[Header] = []
    keyed: list[Header] = []
    cookies: list[Header] = []
    authority, has_identity = None, False
    for header in headers:
        name = header[0]
        role = known.get(name)
        if role is None:
            role = role_of(name)
        if role is _IGNORED or role is _READ:
            continue
        if role is _HOST:
            if authority is not None:
                return _TWO_HOSTS
            authority = header[1]
        elif role is _KEYED:
            keyed.append(header)
        elif role is _COOKIE:
            cookies.append(header)
        elif role is Role.BYPASS or role is Role.MALFORMED:
            return _REASONS.get(name, _HEADER_NAME)
        else:
            has_identity = has_identity or (role is not Role.QUALIFIER and _names_caller(*header))
            identity.append(header)
    return _Heads(authority or b"", identity, keyed, cookies, has_identity)


def _tokens(header: Header) -> Sequence[bytes]:
    """Return the possible JSON Web Tokens in a header: its value, or the value of each of its cookies."""
    name, value = header
    if b"eyJ" not in value:
        return ()
    if name != b"cookie":
        return (value,)
    return [crumb.partition(b"=")[2].strip(b' "') for crumb in value.split(b";") if b"eyJ" in crumb]


def _names_caller(name: bytes, value: bytes) -> bool:
    """Say whether a header tells who asks. One that the operator named may hold any word, so that only none is none."""
    return not (says_nothing(value) if is_credential_like(name) else is_unset(value))


def _is_callers(cookie: Header) -> bool:
    """Say whether a counted cookie, or a whole ``Cookie`` field, tells who asks."""
    name, value = cookie
    return not (cookies_say_nothing(value) if name == b"cookie" else is_unset(value))


def _by_name(headers: list[Header]) -> tuple[Header, ...]:
    # The order of different headers has no meaning, the order of equal ones does: sorting is stable.
    if len(headers) > 1:
        headers.sort(key=_name)
    return tuple(headers)


def _name(header: Header) -> bytes:
    return header[0]
