"""``identity = "shared"``: whose answers take the place of an entry that lives, and who refreshes it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .asgi_client import Client, Rig, Upstream, completion, says, serving

SHARED: dict[str, Any] = {"http": {"identity": "shared", "allow_directives": ["tags", "ttl"]}}
STALE = {"ttl": 60, "stale_while_revalidate": 600, "stale_if_error": 1200}
AUTH = (b"authorization", b"Bearer alice")
MADE_UP = (b"x-made-up-token", b"1")
EXPIRED_BUT_SERVED = 100.0
STANDS_IN_ONLY = 800.0

STRANGERS = {
    "another credential": [(b"authorization", b"Bearer bob")],
    "a made-up token": [AUTH, MADE_UP],
    "a made-up token, and a life": [AUTH, MADE_UP, (b"semcache-control", b"ttl=2")],
    "a made-up authorization": [AUTH, (b"cf-aig-authorization", b"Bearer x")],
    "a cookie": [AUTH, (b"cookie", b"sid=1")],
    "another language": [AUTH, MADE_UP, (b"accept-language", b"tlh")],
    "no credential": [],
}
KNOWN = {
    "no-cache": [AUTH, (b"cache-control", b"no-cache")],
    "pragma": [AUTH, (b"pragma", b"no-cache")],
    "max-age": [AUTH, (b"cache-control", b"max-age=0")],
    "no-store": [AUTH, (b"cache-control", b"no-store")],
    "mode=off": [AUTH, (b"semcache-control", b"mode=off")],
    "a range": [AUTH, (b"range", b"bytes=0-")],
    "an idempotency key": [AUTH, (b"idempotency-key", b"1")],
    "a debug token": [AUTH, (b"semcache-debug", b"guess"), (b"cache-control", b"no-cache")],
    "ttl": [AUTH, (b"semcache-control", b"ttl=2")],
    "tags": [AUTH, (b"semcache-control", b"tags=mine")],
}


async def answered(rig: Rig, headers: list[tuple[bytes, bytes]]) -> bytes:
    return (await Client(rig.client.app, headers=headers).chat()).body


@pytest.mark.parametrize("headers", [*STRANGERS.values(), *KNOWN.values()], ids=[*STRANGERS, *KNOWN])
@pytest.mark.parametrize("passed", [1.0, EXPIRED_BUT_SERVED, STANDS_IN_ONLY], ids=["fresh", "stale", "for errors"])
def test_a_caller_who_may_not_replace_an_entry_changes_neither_its_answer_nor_its_life(
    headers: list[tuple[bytes, bytes]], passed: float
) -> None:
    async def main() -> None:
        upstream = Upstream(says(completion("alices")))
        async with serving(upstream, semcache=STALE, **SHARED) as rig:
            await rig.client.chat()
            rig.clock.advance(passed)
            upstream.answer = says(completion("anothers"))
            await answered(rig, headers)
            await asyncio.sleep(0.01)
            await rig.cache.invalidate(tag="mine")
            upstream.answer = says({"error": "down"}, status=503)
            assert b"alices" in await answered(rig, [AUTH])

    asyncio.run(main())


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_strangers_refusal_withdraws_nothing(headers: list[tuple[bytes, bytes]], status: int) -> None:
    async def main() -> None:
        upstream = Upstream(says(completion("alices")))
        async with serving(upstream, semcache=STALE, **SHARED) as rig:
            await rig.client.chat()
            rig.clock.advance(1)
            upstream.answer = says({"error": "who?"}, status=status)
            await answered(rig, headers)
            await asyncio.sleep(0.01)
            assert (await rig.client.chat()).cache == "HIT"

    asyncio.run(main())


def test_a_proven_caller_refreshes_what_is_stale() -> None:
    async def main() -> None:
        upstream = Upstream(says(completion("old")))
        async with serving(upstream, semcache=STALE, **SHARED) as rig:
            await rig.client.chat()
            rig.clock.advance(EXPIRED_BUT_SERVED)
            upstream.answer = says(completion("new"))
            assert (await rig.client.chat()).cache == "STALE"
            await asyncio.sleep(0.01)
            assert b"new" in (await rig.client.chat()).body

    asyncio.run(main())


def test_a_stranger_may_be_the_first_and_a_dead_entry_is_anybodys_to_replace() -> None:
    async def main() -> None:
        upstream = Upstream(says(completion("first")))
        async with serving(upstream, **SHARED) as rig:
            await answered(rig, STRANGERS["a made-up token, and a life"])
            upstream.answer = says(completion("second"))
            await answered(rig, [AUTH])
            assert b"first" in await answered(rig, [AUTH])
            rig.clock.advance(5)
            upstream.answer = says(completion("third"))
            await answered(rig, STRANGERS["another credential"])
            assert b"third" in await answered(rig, [AUTH])

    asyncio.run(main())


@pytest.mark.parametrize(
    "name", [b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port", b"forwarded", b"origin"]
)
def test_what_an_application_builds_links_of_is_one_callers_choice_for_that_caller_only(name: bytes) -> None:
    async def main() -> None:
        async def linking(scope: Any, receive: Any, send: Any) -> None:
            said = dict(scope["headers"]).get(name, b"ours")
            await says({"link": said.decode()})(scope, receive, send)

        async with serving(linking, route=[{"path": "/ask"}], **SHARED) as rig:
            for value in (b"evil.example", None, b"evil.example", None):
                headers = [] if value is None else [(name, value)]
                answer = await rig.client.send("/ask", {"q": "x"}, headers=headers)
                assert answer.json()["link"] == ("ours" if value is None else "evil.example")
            assert answer.cache == "HIT"

    asyncio.run(main())
