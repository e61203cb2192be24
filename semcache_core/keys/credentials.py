"""What looks like a credential in a request: header names, cookies, and values that everybody may send alike. Pure."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator

__all__ = [
    "cookies_say_nothing",
    "counted_cookies",
    "crumbs",
    "is_anybodys",
    "is_credential_like",
    "is_personal",
    "is_unset",
    "says_nothing",
]

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

# A form's protection, an application's own token. A certificate may be that of a gateway, which all callers come
# through: it separates them from others, and names nobody.
_ANYBODYS = re.compile(
    rb"csrf|xsrf|captcha|turnstile|forgery|requestverification|authenticity|appcheck|cert|wegmsecuritytoken"
    rb"|auth-(?:domain|type|mode|method|scheme|provider|realm|level)"
    rb"|(?:\A|-)(?:app|application|vercel-oidc|device|push|fcm)-?(?:api-?key|token|secret)"
)

# sec-fetch-user says whether a person clicked.
_PERSONAL = re.compile(
    rb"cookie|session|(?<!fetch-)user|email|login|tenant|account|principal|identity|signature|groups|roles|key"
)

_INFRASTRUCTURE = re.compile(
    rb"(?:__cf_bm|_cfuvid|__cflb|AWSALB[\w-]*|ARRAffinity\w*|GCLB|incap_ses\w*|visid_incap\w*|ak_bmsc|_abck)"
    rb"\s*(?:=[!#-+./:<-\[\]-~\w-]*)?"
)
"""Cookies that load balancers and bot filters set on every client. Their values hold what RFC 6265 allows: after a
comma, which WSGI servers put between two ``Cookie`` fields, or a space another cookie may begin.
"""

# Names of schemes, what is left of a variable that nobody has set, and the keys that local servers, which check none,
# tell everybody to send. No alternative begins like another one's end, so a value is read once.
_NOTHING = re.compile(
    rb"""(?:[\s\xa0"'`,;:=-]++
    |(?:bearer|basic|token|apikey|api-key|key|jwt|digest|negotiate|ntlm
       |null|\(null\)|undefined|none|nil|nan|false|true|anonymous|\[object[ ]\w+\]
       |sk-no-key-required|no-key-required|no-key|not-needed|not-used|unused|empty|dummy|placeholder|anything
       |ollama|lm-studio|your[_-]api[_-]key
       |\$\{[^{}]*\}|\$[a-z]\w*|\{\{[^{}]*\}\}|<[^<>]*>)
     (?=[\s\xa0"'`,;:=-]|\Z))*+""",
    re.IGNORECASE | re.VERBOSE,
)
_UNSET = frozenset({b"", b"null", b"(null)", b"undefined", b"none", b"nil", b"nan"})
_BASIC = re.compile(rb"\s*basic\s+([\w+/-]+={0,2})\s*", re.IGNORECASE)
_LONGEST_NOTHING = 128
_LONGEST_JAR = 8192
"""Bytes of the longest ``Cookie`` field that is read; browsers send less, and a longer one counts as it is."""


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
    """Say whether everybody may send this credential alike: a scheme without one, ``Bearer undefined``, a dummy key."""
    if len(value) > _LONGEST_NOTHING:
        return False
    if _NOTHING.fullmatch(value):
        return True
    basic = _BASIC.fullmatch(value)
    return basic is not None and _NOTHING.fullmatch(_decoded(basic[1])) is not None


def is_unset(value: bytes) -> bool:
    """Say whether a value is empty, or what a program writes of a variable that nobody has set."""
    return value.strip(b" \t\r\n\xa0\"'").lower() in _UNSET


def counted_cookies(value: bytes) -> bytes:
    """Return a ``Cookie`` field without the cookies of infrastructure; empty if no other is in it."""
    if b'"' in value or len(value) > _LONGEST_JAR:
        return value  # A quoted value may contain ";": parsers differ in where such a cookie ends.
    return b"; ".join([crumb for crumb in crumbs(value) if not _INFRASTRUCTURE.fullmatch(crumb)])


def cookies_say_nothing(value: bytes) -> bool:
    """Say whether everybody may send this ``Cookie`` field alike: no cookie in it has a value of its own."""
    return len(value) <= _LONGEST_JAR and all(_crumb_says_nothing(crumb) for crumb in crumbs(value))


def crumbs(value: bytes) -> Iterator[bytes]:
    """Yield the cookies of a ``Cookie`` field."""
    return (stripped for crumb in value.split(b";") if (stripped := crumb.strip()))


def _crumb_says_nothing(crumb: bytes) -> bool:
    name, equals, value = crumb.partition(b"=")
    # A cookie without "=" is a value without a name.
    return says_nothing(value) or is_anybodys(name.lower()) if equals else says_nothing(name)


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_" if set(text) & set(b"-_") else None)
    except ValueError:
        return text
