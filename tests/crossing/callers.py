"""Callers with every kind of credential, and their near twins: two people who differ in one header only."""

from __future__ import annotations

from random import Random

import jwt
import msgspec

from semcache_core.testing import FrozenClock

from .view import APPLICATION_USER, USER_HEADER

ISSUER_SECRET = "what the issuer of every token signs with, 32 bytes"
_NOW = FrozenClock().now

Pairs = tuple[tuple[bytes, bytes], ...]


class Caller(msgspec.Struct, frozen=True):
    """One person, and what their client sends with every request."""

    name: str
    headers: Pairs
    drifting: bool = False
    """Their client also sends an infrastructure cookie that changes all the time."""


def everyone(random: Random, *, identity: str, hazards: bool) -> list[Caller]:
    """Return about a dozen callers; ``identity`` says how the set-up tells them apart.

    ``hazards``: also those whose credential looks like none, or is hidden by what looks like one.
    """
    if identity == "jwt":
        return [_token(subject, serial) for subject in ("ann", "bob", "eve") for serial in (1, 2)] + [_NOBODY]
    if identity == "named":
        return [_named(user, session) for user in ("ann", "bob", "") for session in ("s1", "s2", "")]
    if identity == "application":
        return [Caller(name, ((APPLICATION_USER, name.encode()), *_key(random))) for name in ("ann", "bob")] + [_NOBODY]
    kinds = (*_KINDS, *_HAZARDS) if hazards else _KINDS
    return [caller for kind in kinds for caller in kind(random)]


_NOBODY = Caller("nobody", ())


def _key(random: Random) -> Pairs:
    return ((b"authorization", b"Bearer sk-%08x" % random.getrandbits(32)),)


def _bearers(random: Random) -> list[Caller]:
    """Three keys; one of them is used for two organisations."""
    ann, bob, eve = (_key(random) for _ in range(3))
    return [
        Caller("bearer ann", ann),
        Caller("bearer bob", bob),
        Caller("bearer eve, org 1", (*eve, (b"openai-organization", b"org-1"))),
        Caller("bearer eve, org 2", (*eve, (b"openai-organization", b"org-2"))),
    ]


def _keys(random: Random) -> list[Caller]:
    return _keyed(random, random.choice((b"api-key", b"x-api-key", b"x-goog-api-key", b"x-acme-token")))


def _vendors(random: Random) -> list[Caller]:
    return _keyed(random, b"cf-aig-authorization")


def _keyed(random: Random, name: bytes) -> list[Caller]:
    people = ("ann", "bob")
    return [Caller(f"{name.decode()} {person}", ((name, b"k-%08x" % random.getrandbits(32)),)) for person in people]


def _sessions(random: Random) -> list[Caller]:
    """Two sessions beside headers that everybody sends alike."""
    constant: tuple[bytes, bytes] = random.choice(
        [
            (b"x-csrf-token", b"app"),
            (b"authorization", b"Bearer null"),
            (b"x-app-token", b"public"),
            (b"x-request-id", b"1"),
        ]
    )
    return [
        Caller(
            f"session {person} beside {constant[0].decode()}", (constant, (b"cookie", b"session=" + person.encode()))
        )
        for person in ("ann", "bob")
    ]


def _drifters(random: Random) -> list[Caller]:
    """Two keys behind a network that sets cookies."""
    return [Caller(f"drifting {person}", _key(random), drifting=True) for person in ("ann", "bob")]


def _cookies(_: Random) -> list[Caller]:
    return [
        Caller(f"cookie {person}", ((b"cookie", f"sid={person}; theme=dark".encode()),)) for person in ("ann", "bob")
    ]


def _behind_a_gateway(random: Random) -> list[Caller]:
    name = random.choice((b"x-forwarded-user", b"x-auth-request-email", b"x-ms-client-principal-id"))
    return [Caller(f"{name.decode()} {person}", ((name, person.encode()),)) for person in ("ann", "bob")]


def _tokens(_: Random) -> list[Caller]:
    return [_token("ann", 1), _token("bob", 1), _token("eve", 1, ends=_NOW - 60)]


def _nobodies(_: Random) -> list[Caller]:
    return [_NOBODY]


def _nulls(_: Random) -> list[Caller]:
    return [Caller("null", ((b"authorization", b"Bearer null"),))]


_KINDS = (_bearers, _keys, _drifters, _cookies, _behind_a_gateway, _tokens, _nobodies)
_HAZARDS = (_vendors, _sessions, _nulls)


def _token(subject: str, serial: int, *, ends: float = _NOW + 1e7) -> Caller:
    claims = {"sub": subject, "jti": str(serial), "exp": int(ends)}
    token = jwt.encode(claims, ISSUER_SECRET, algorithm="HS256").encode()
    return Caller(f"token {subject} {serial}", ((b"authorization", b"Bearer " + token),))


def _named(user: str, session: str) -> Caller:
    headers = [(USER_HEADER, user.encode())] if user else []
    headers += [(b"cookie", b"sessionid=%s; other=%s" % (session.encode(), user.encode()))] if session else []
    return Caller(f"user {user or '-'} session {session or '-'}", tuple(headers))
