"""What a request asks, where and for whom, as an upstream sees it: read from DESIGN's rules, never from the key code.

Both sides use it: the upstream describes the request that it answers, the oracle the request whose caller got the
answer. Two requests may share an answer only if ``difference`` finds none.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

Headers = Sequence[tuple[bytes, bytes]]
Identity = Literal["default", "shared", "jwt", "named", "application"]

CHAT = "/chat/completions"
USER_HEADER, SESSION_COOKIE = b"x-user", b"sessionid"
"""The caller under ``identity = ["x-user"]``, ``cookies = ["sessionid"]``."""
APPLICATION_USER = b"x-logged-in"
"""The caller where the application says who asks."""

_CREDENTIALS = {
    *(b"authorization", b"proxy-authorization", b"cookie"),
    *(b"x-forwarded-user", b"x-forwarded-email", b"x-forwarded-groups"),
    *(b"openai-organization", b"openai-project", b"anthropic-workspace-id", b"anthropic-user-profile-id"),
    b"x-goog-user-project",
}
_CREDENTIAL = re.compile(
    rb"^x-auth-request-|^x-amzn-oidc-|^x-ms-client-principal|^cf-access-|api-?key|token|authorization$"
)
_NARROWS_ONLY = re.compile(rb"^(openai-(organization|project)|anthropic-.*|x-goog-user-project)$|csrf|recaptcha")
_NONCES = {b"postman-token"}
_INFRASTRUCTURE = re.compile(
    rb"__cf_bm|_cfuvid|__cflb|AWSALB.*|ARRAffinity.*|GCLB|incap_ses.*|visid_incap.*|ak_bmsc|_abck"
)
_IGNORED = {
    *(b"host", b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"content-length"),
    *(b"accept-encoding", b"user-agent", b"origin", b"referer", b"date", b"expect", b"via", b"priority", b"forwarded"),
    *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-host", b"x-real-ip", b"cdn-loop"),
    *(b"traceparent", b"tracestate", b"baggage", b"b3", b"x-request-id", b"x-correlation-id", b"x-client-request-id"),
    *(b"dnt", b"http-referer", b"x-title", b"cache-control", b"pragma", b"semcache-control"),
    *(b"x-ask", b"x-build"),
}
"""``x-ask`` and ``x-build`` are ignored by every set-up's configuration."""
_IGNORED_BY_LLM = {b"accept", b"accept-language", b"content-type"}
_COUNTED_WHERE_SHARED = {b"x-forwarded-host", b"x-forwarded-proto", b"forwarded", b"origin"}
_NO_CREDENTIAL = re.compile(rb"(bearer|basic)?\s*(null|undefined)?", re.I)

_DELIVERY = {"stream", "stream_options", "prompt_cache_key", "prompt_cache_retention", "service_tier"}
_END_USER = {"user", "safety_identifier", "metadata"}
_SAMPLING = {"temperature", "top_p"}
_TEXT = ("query", "prompt", "input", "question")
_FILLERS = {"please", "kindly", "the", "a", "of", "is"}
_VOLATILE = re.compile(r"\b(today|now|latest|current|this week)\b", re.I)


class View(msgspec.Struct, frozen=True):
    """One request as its upstream sees it."""

    where: tuple[str, ...]
    """Method, host, raw path, raw query."""
    who: tuple[tuple[str, str], ...]
    kept: tuple[tuple[str, str], ...]
    """The headers that count besides: each name that no rule ignores."""
    members: str
    """The body without its text and without what is ignored, canonical."""
    end_user: str
    text: tuple[str, ...]
    exact_only: bool
    delivery: str
    """How the answer is to come: equal requests share an entry whatever they say, but never a flight."""


class Terms(msgspec.Struct, frozen=True):
    """What a set-up says about callers."""

    identity: Identity = "default"
    anonymous: bool = False
    """A proxy on loopback: requests of this machine need no identity."""
    proxied: bool = False
    """The upstream is told the host in ``X-Forwarded-Host``."""
    namespaces: bool = False
    """Callers may choose a namespace."""


def view_of(terms: Terms, method: str, host: str, target: str, headers: Headers, body: bytes) -> View:
    """Describe a request. ``target`` is the raw path with its query; header names are lower case."""
    path, _, query = target.partition("?")
    llm = path.endswith(CHAT)
    kept = [each for each in headers if _is_kept(each[0], terms, llm=llm)]
    members, end_user, text, exact_only, delivery = _body(body, llm=llm)
    return View(
        where=(method, host, path, query),
        who=_texts(sorted(who(terms, headers, llm=llm))),
        kept=_texts(sorted(kept)),
        members=members,
        end_user=end_user,
        text=text,
        exact_only=exact_only,
        delivery=delivery,
    )


def who(terms: Terms, headers: Headers, *, llm: bool) -> list[tuple[bytes, bytes]]:
    """Return what tells the caller from others under these terms."""
    if terms.identity == "shared":
        return []
    if terms.identity == "application":
        return [each for each in headers if each[0] == APPLICATION_USER]
    if terms.identity == "jwt":
        return [(b"sub", _subject(value)) for name, value in headers if name == b"authorization"]
    if terms.identity == "named":
        return [
            *(each for each in headers if each[0] == USER_HEADER),
            *(each for each in _cookies(headers) if each[0] == SESSION_COOKIE),
        ]
    return credentials(headers, llm=llm)


def credentials(headers: Headers, *, llm: bool) -> list[tuple[bytes, bytes]]:
    """Return every credential-like header; cookies one by one, those of infrastructure left out for LLM protocols."""
    found = [each for each in headers if each[0] != b"cookie" and _is_credential(each[0])]
    crumbs = [(b"cookie " + name, value) for name, value in _cookies(headers)]
    return found + [each for each in crumbs if not (llm and _INFRASTRUCTURE.fullmatch(each[0][7:]))]


def has_identity(terms: Terms, headers: Headers, *, llm: bool) -> bool:
    """Say whether the request names its caller: what everybody may send alike does not."""
    said = who(terms, headers, llm=llm)
    if terms.identity != "default":
        return terms.identity == "shared" or bool(said)
    return any(
        value and not (name.endswith(b"authorization") and _NO_CREDENTIAL.fullmatch(value.strip()))
        for name, value in said
        if not _NARROWS_ONLY.search(name.removeprefix(b"cookie "))
    )


def difference(own: View, other: View, *, semantic: bool) -> str | None:
    """Return why the answer to ``other`` may not go to ``own``; None if it may. ``semantic``: near texts are equal."""
    for field in ("where", "who", "kept", "members"):
        if getattr(own, field) != getattr(other, field):
            return f"{field}: {getattr(own, field)} got {getattr(other, field)}"
    if own.text == other.text:
        return None
    if not semantic:
        return f"text: {own.text} got {other.text} as an exact hit"
    if own.exact_only or other.exact_only:
        return f"text: {own.text} got {other.text}, and one of them matches exactly only"
    if meaning(own.text) != meaning(other.text):
        return f"text: {own.text} got {other.text}, which asks something else"
    if own.end_user != other.end_user:
        return f"end user: {own.end_user} got {other.end_user} as a semantic hit"
    return None


def meaning(text: Sequence[str]) -> frozenset[str]:
    """Return what a text asks: its words in any order and case, polite ones left out."""
    return frozenset(word for part in text for word in part.lower().split()) - _FILLERS


def _is_credential(name: bytes) -> bool:
    return name not in _NONCES and (name in _CREDENTIALS or _CREDENTIAL.search(name) is not None)


def _is_kept(name: bytes, terms: Terms, *, llm: bool) -> bool:
    if name == APPLICATION_USER:
        return terms.identity != "application"
    if name == USER_HEADER:
        return terms.identity != "named"
    if terms.identity == "shared" and not llm and not terms.proxied and name in _COUNTED_WHERE_SHARED:
        return True
    if _is_credential(name) or name in _IGNORED or name in _NONCES or name.startswith((b"cf-", b"sec-", b"x-b3-")):
        return False
    return not (llm and name in _IGNORED_BY_LLM)


def _cookies(headers: Headers) -> list[tuple[bytes, bytes]]:
    crumbs = [crumb.strip() for name, value in headers if name == b"cookie" for crumb in value.split(b";")]
    return [(name, value) for name, _, value in (crumb.partition(b"=") for crumb in crumbs if crumb)]


def _subject(value: bytes) -> bytes:
    parts = value.rpartition(b" ")[2].split(b".")
    if len(parts) != 3:
        return value
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
    return str(claims["sub"]).encode()


def _texts(headers: Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


def _body(body: bytes, *, llm: bool) -> tuple[str, str, tuple[str, ...], bool, str]:
    """Return members, end user, text, whether it matches exactly only, and delivery."""
    try:
        said = json.loads(body)
    except ValueError:
        return body.decode("latin-1"), "", (), True, ""
    if not isinstance(said, dict):
        return _canonical(said), "", (), True, ""
    if not llm:
        name = next((each for each in _TEXT if isinstance(said.get(each), str)), None)
        words: str = "" if name is None else said.pop(name)
        return _canonical([name, said]), "", (words,) if words else (), _is_exact_only(words), ""
    end_user = _canonical({name: said.pop(name) for name in sorted(_END_USER & said.keys())})
    delivery = _canonical([said.pop(name, None) for name in sorted(_DELIVERY)])
    said |= {name: float(said[name]) for name in _SAMPLING & said.keys()}
    text = _taken(said.get("messages") or [{}])
    one_of_a_kind = said.get("n", 1) != 1 or said.get("logprobs") or said.get("temperature", 0) > 1
    return _canonical(said), end_user, text, bool(one_of_a_kind or _is_exact_only("\n".join(text))), delivery


def _taken(messages: list[Any]) -> tuple[str, ...]:
    """Take the texts of a final user message out, and return them."""
    last = messages[-1]
    content = last.get("content")
    if last.get("role") != "user":
        return ()
    if isinstance(content, str):
        last["content"] = None
        return (content,)
    parts = [part for part in content or () if part.get("type") == "text"]
    return tuple(part.pop("text") for part in parts)


def _is_exact_only(text: str) -> bool:
    words = text.split()
    return not 2 <= len(words) <= 64 or _VOLATILE.search(text) is not None


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
