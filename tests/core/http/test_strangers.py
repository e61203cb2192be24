"""Callers who are strangers to each other, at once and one after the other, through the whole cache.

The upstream answers each caller by name, so that an answer that reached the wrong one shows in its text.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .asgi_client import Client, chat, completion, says, serving

CALLERS: dict[str, list[tuple[bytes, bytes]]] = {
    "ann": [(b"authorization", b"Bearer ann")],
    "ann in a project": [(b"authorization", b"Bearer ann"), (b"openai-project", b"p1")],
    "bob": [(b"authorization", b"Bearer bob")],
    "carl": [(b"x-api-key", b"carl")],
    "dora": [(b"api-key", b"dora")],
    "eve, who says she is ann": [(b"x-forwarded-user", b"Bearer ann")],
    "a browser": [(b"cookie", b"session=1")],
    "another browser": [(b"cookie", b"session=2")],
    "a browser with a form": [(b"x-csrf-token", b"1"), (b"cookie", b"session=1; GCLB=7")],
    "another browser with a form": [(b"x-csrf-token", b"1"), (b"cookie", b"session=2; GCLB=7")],
    "a page that has no token yet": [(b"authorization", b"Bearer null"), (b"cookie", b"session=1")],
    "another page that has no token yet": [(b"authorization", b"Bearer null"), (b"cookie", b"session=2")],
    "fay at a gateway": [(b"x-app-token", b"web-v1"), (b"cf-aig-authorization", b"Bearer fay")],
    "guy at a gateway": [(b"x-app-token", b"web-v1"), (b"cf-aig-authorization", b"Bearer guy")],
}
QUESTIONS = st.sampled_from(["How do I reset my password?", "How do I reset my password", "Which wine goes with fish?"])
REQUESTS = st.tuples(st.sampled_from(sorted(CALLERS)), QUESTIONS, st.booleans())
STEPS = st.lists(
    st.tuples(st.lists(REQUESTS, min_size=1, max_size=6), st.sampled_from([0.0, 30.0, 70.0, 400.0])), max_size=8
)
STALE = {"ttl": 60, "stale_while_revalidate": 120, "stale_if_error": 300, "threshold": 0.8}


async def by_name(scope: Any, receive: Any, send: Any) -> None:
    # A turn of the loop, so that callers who came together are answered together.
    await asyncio.sleep(0.001)
    own = [(name, value) for name, value in scope["headers"] if name != b"host"]
    (caller,) = [caller for caller, headers in CALLERS.items() if headers == own]
    await says(completion(f"for {caller}"))(scope, receive, send)


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_no_caller_ever_gets_a_strangers_answer(steps: list[Any]) -> None:
    async def main() -> None:
        async with serving(by_name, semcache=STALE) as rig:
            for requests, pause in steps:
                clients = [(caller, Client(rig.client.app, headers=CALLERS[caller])) for caller, _, _ in requests]
                sent = (
                    client.chat(question, user="cid" if ends else "dan")
                    for (_, client), (_, question, ends) in zip(clients, requests, strict=True)
                )
                for (caller, _), response in zip(clients, await asyncio.gather(*sent), strict=True):
                    assert response.json()["choices"][0]["message"]["content"] == f"for {caller}"
                rig.clock.advance(pause)

    asyncio.run(main())


def test_a_stranger_does_not_see_in_the_embedders_work_what_was_asked_before() -> None:
    async def main() -> None:
        async with serving(by_name) as rig:
            question = "How do I reset my password?"
            for caller in ("ann", "bob", "carl"):
                client = Client(rig.client.app, headers=CALLERS[caller])
                await client.chat("Which wine goes with fish?")
                await client.chat(question)
            assert rig.embedder.texts.count(question) == 3

    asyncio.run(main())


def test_two_client_certificates_never_share_an_answer() -> None:
    async def main() -> None:
        async with serving() as rig:
            for chain, name in ((["PEM 1"], "CN=gateway"), (["PEM 2"], "CN=gateway"), ([], "CN=ann"), ([], "CN=bob")):
                tls = {"client_cert_chain": chain, "client_cert_name": name}
                scope = {"extensions": {"tls": tls}}
                body = chat()
                path = "/v1/chat/completions"
                assert [(await rig.client.send(path, body, scope=scope)).cache for _ in range(2)] == ["MISS", "HIT"]

    asyncio.run(main())
