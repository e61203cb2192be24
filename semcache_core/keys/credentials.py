"""What looks like a credential in a request: header names, cookies, and values that everybody may send alike. Pure."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator

__all__ = ["counted_cookies", "crumbs", "is_anybodys", "is_credential_like", "is_personal", "says_nothing"]

_CREDENTIAL = re.compile(
    rb"authorization|authenticat|(?:\A|-)auth(?:-|\Z)|api-?key|(?:access|subscription|functions)-key"
    rb"|token(?!i[sz]|s(?:-|\Z))|jwt|secret(?!ar)|password|credential|client-?cert|(?:\A|[-:])cert(?:ificate)?(?:-|\Z)"
)
_NO_CREDENTIAL = re.compile(
    rb"(?:page|next|continuation|cursor|sync|max)-?token|token-(?:count|limit|budget)|\Apostman-token\Z"
)
"""Where in a list a request goes on, how long an answer may be; and Postman's nonce, by which caches are to miss."""
# cf-access-* identifies the caller; every other cf-* describes the route of the request.
_PREFIXES = (b"x-auth-request-", b"x-amzn-oidc-", b"x-ms-client-principal", b"cf-access-")
_WHOLE = frozenset({b"x-forwarded-user", b"x-forwarded-email", b"x-forwarded-groups", b":remote-user", b"semcache-key"})

# A form's protection, an application's own token. A certificate may be that of a gateway, which all
# callers come through: it separates, and names nobody.
_ANYBODYS = re.compile(
    rb"csrf|xsrf|captcha|turnstile|forgery|requestverification|authenticity|appcheck|cert|wegmsecuritytoken"
    rb"|auth-(?:domain|type|mode|method|scheme|provider|realm|level)"
    rb"|(?:\A|-)(?:app|application|vercel-oidc|device|push|fcm)-?(?:api-?key|token|secret)"
)

_PERSONAL = re.compile(
    rb"cookie|session|(?<!fetch-)user|email|login|tenant|account|principal|identity|signature|groups|roles|key"
)

_INFRASTRUCTURE = re.compile(
    rb"(?:__cf_bm|_cfuvid|__cflb|AWSALB[\w-]*|ARRAffinity\w*|GCLB|incap_ses\w*|visid_incap\w*|ak_bmsc|_abck)\s*(?:=|\Z)"
)
"""Cookies that load balancers and bot filters set on every client."""

# Names of schemes, and what is left of a variable that nobody has set. No alternative begins like another one's end,
# so a value is read once.
_NOTHING = re.compile(
    rb"""(?:[\s\xa0"'`,;:=-]++
    |(?:bearer|basic|token|apikey|api-key|key|jwt|digest|negotiate|ntlm
       |null|\(null\)|undefined|none|nil|nan|false|true|anonymous|\[object[ ]\w+\]
       |\$\{[^{}]*\}|\$[a-z]\w*|\{\{[^{}]*\}\}|<[^<>]*>)
     (?=[\s\xa0"'`,;:=-]|\Z))*+""",
    re.IGNORECASE | re.VERBOSE,
)
_BASIC = re.compile(rb"\s*basic\s+([\w+/-]+={0,2})\s*", re.IGNORECASE)
_LONGEST_NOTHING = 128


def is_credential_like(name: bytes) -> bool:
    """Say whether a header of this name may hold what identifies a caller, whatever its vendor prefix."""
    if name in _WHOLE or name.startswith(_PREFIXES):
        return True
    return _CREDENTIAL.search(name) is not None and _NO_CREDENTIAL.search(name) is None


def is_anybodys(name: bytes) -> bool:
    """Say whether a header that looks like a credential may have the same value for different people."""
    return _ANYBODYS.search(name) is not None


def is_personal(name: bytes) -> bool:
    """Say whether a header that is ignored for its vendor prefix may still tell about a person, so that it counts."""
    return _PERSONAL.search(name) is not None


def says_nothing(value: bytes) -> bool:
    """Say whether everybody may send this value alike: a scheme without a credential, ``Bearer undefined``."""
    if len(value) > _LONGEST_NOTHING:
        return False
    if _NOTHING.fullmatch(value):
        return True
    basic = _BASIC.fullmatch(value)
    return basic is not None and _NOTHING.fullmatch(_decoded(basic[1])) is not None


def counted_cookies(value: bytes) -> bytes:
    """Return a ``Cookie`` field without the cookies of infrastructure; empty if no other is in it."""
    if b'"' in value:
        return value  # A quoted value may contain ";": parsers differ in where such a cookie ends.
    return b"; ".join([crumb for crumb in crumbs(value) if not _INFRASTRUCTURE.match(crumb)])


def crumbs(value: bytes) -> Iterator[bytes]:
    """Yield the cookies of a ``Cookie`` field."""
    return (stripped for crumb in value.split(b";") if (stripped := crumb.strip()))


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_" if set(text) & set(b"-_") else None)
    except ValueError:
        return text
