"""What is never stored, through the driver: one test a rule. The caller always gets the answer as it came."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from semcache_core.builtin.memory.responses import MemoryResponseOptions, MemoryResponseStore
from semcache_core.engine import record_codec
from semcache_core.errors import AnswerAborted
from semcache_core.plugin import hookimpl
from semcache_core.types import EntryView

from .asgi_client import Upstream, completion, says, serving, stream, streams

ROUTE = {"route": [{"path": "/ask"}]}


def asked_twice(answer: Any, *, streamed: bool = False, headers: Any = (), **tables: Any) -> str | None:
    """Ask a chat question twice in front of this answer and return X-Cache of the second response."""

    async def main() -> str | None:
        async with serving(answer, **tables) as rig:
            members = {"stream": True} if streamed else {}
            first = await rig.client.chat(headers=headers, **members)
            assert first.complete
            assert first.cache in ("MISS", "BYPASS")
            return (await rig.client.chat(headers=headers, **members)).cache

    return asyncio.run(main())


def generic_twice(answer: Any, *, headers: Any = (), **tables: Any) -> str | None:
    """Ask a generic JSON API twice and return X-Cache of the second response."""

    async def main() -> str | None:
        async with serving(answer, **{**ROUTE, **tables}) as rig:
            body = {"question": "What is the capital of France?"}
            assert (await rig.client.send("/ask", body, headers=headers)).cache == "MISS"
            return (await rig.client.send("/ask", body, headers=headers)).cache

    return asyncio.run(main())


def test_a_good_answer_is_stored() -> None:
    assert asked_twice(says()) == "HIT"
    assert asked_twice(streams(stream("Paris")), streamed=True) == "HIT"
    assert generic_twice(says({"answer": 42})) == "HIT"


@pytest.mark.parametrize(("length", "seen"), [(b"12", "HIT"), (b"13", "MISS"), (b"11", "MISS"), (b"\xb2", "HIT")])
def test_an_answer_whose_body_has_another_length_than_it_announced_is_not_stored(length: bytes, seen: str) -> None:
    announced = says(b'{"answer":1}', headers=[(b"content-length", length)])
    assert generic_twice(announced) == seen


def test_who_waits_for_an_answer_is_not_told_that_it_is_whole_if_it_is_cut_off() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await gate.wait()
            await says(b'{"answer":1}', headers=[(b"content-length", b"99")])(scope, receive, send)

        async with serving(answer, **ROUTE) as rig:
            body = {"question": "What is the capital of France?"}
            leading = asyncio.create_task(rig.client.send("/ask", body))
            waiting = asyncio.create_task(rig.client.send("/ask", body))
            await asyncio.sleep(0.05)
            gate.set()
            await leading
            with pytest.raises(AnswerAborted):
                await waiting

    asyncio.run(main())


@pytest.mark.parametrize("text", ["What is the capital of France?", "word " * 100])
def test_where_only_equal_requests_count_no_prompt_is_stored_with_an_answer(text: str) -> None:
    async def main() -> None:
        store = MemoryResponseStore(MemoryResponseOptions())
        async with serving(components={"response_store": store}, semcache={"match": "exact"}) as rig:
            await rig.client.chat(text)
            await rig.cache.store(text, "an answer")
            records = [record_codec.decode(stored.data) for _, stored in await store.scan()]
            assert [(record.text, record.exact_only) for record in records] == [("", True)] * 2

    asyncio.run(main())


@pytest.mark.parametrize("status", [201, 204, 206, 301, 400, 404, 429, 500, 503])
def test_another_status_than_200_is_not_stored(status: int) -> None:
    assert asked_twice(says(status=status)) == "MISS"


def test_an_error_member_is_not_stored() -> None:
    assert asked_twice(says({"error": {"message": "overloaded"}})) == "MISS"
    assert generic_twice(says({"error": "overloaded"})) == "MISS"


@pytest.mark.parametrize(
    "content",
    [
        {"object": "error", "message": "engine died", "code": 500},
        {"type": "error", "message": "overloaded"},
        {"base_resp": {"status_code": 1004, "status_msg": "login fail"}},
    ],
)
def test_an_error_object_is_not_stored(content: Any) -> None:
    assert asked_twice(says(content)) == "MISS"
    assert generic_twice(says(content)) == "MISS"


def test_an_error_event_is_not_stored() -> None:
    pieces = [*stream("Paris")[:2], b'data: {"error": {"message": "x"}}\n\n', b"data: [DONE]\n\n"]
    assert asked_twice(streams(pieces), streamed=True) == "MISS"


def test_an_empty_answer_is_not_stored() -> None:
    assert asked_twice(says(completion(""))) == "MISS"
    assert generic_twice(says(b"")) == "MISS"


def test_an_answer_without_any_choice_is_not_stored() -> None:
    assert asked_twice(says(completion(choices=[]))) == "MISS"


def test_a_truncated_answer_is_not_stored() -> None:
    cut = completion()
    cut["choices"][0]["finish_reason"] = "length"
    assert asked_twice(says(cut)) == "MISS"


def test_a_filtered_answer_is_not_stored() -> None:
    filtered = completion()
    filtered["choices"][0]["finish_reason"] = "content_filter"
    assert asked_twice(says(filtered)) == "MISS"


def test_a_refused_answer_is_not_stored() -> None:
    refused = completion()
    refused["choices"][0]["message"]["refusal"] = "I cannot help with that."
    assert asked_twice(says(refused)) == "MISS"


def test_a_stream_that_ends_before_its_terminal_event_is_not_stored() -> None:
    assert asked_twice(streams(stream("Paris")[:-1]), streamed=True) == "MISS"


def test_a_stream_that_breaks_off_is_not_stored() -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"".join(stream("Paris")[:-1]), "more_body": True})

    async def main() -> None:
        async with serving(breaks) as rig:
            assert not (await rig.client.chat(stream=True)).complete
            assert (await rig.client.chat(stream=True)).cache == "MISS"

    asyncio.run(main())


def test_a_stream_is_whole_at_its_terminal_event_whatever_becomes_of_the_connection() -> None:
    # SDKs hang up there, and a server may well break off after it.
    async def lingers(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"".join(stream("Paris")), "more_body": True})

    async def main() -> None:
        async with serving(lingers) as rig:
            assert not (await rig.client.chat(stream=True)).complete
            assert (await rig.client.chat(stream=True)).cache == "HIT"

    asyncio.run(main())


def test_text_that_is_no_json_is_not_stored_where_json_was_asked_for() -> None:
    async def main() -> None:
        async with serving(says(completion("Paris"))) as rig:
            for _ in range(2):
                answer = await rig.client.chat(response_format={"type": "json_object"})
                assert answer.cache == "MISS"
            assert await rig.asked_twice() == "HIT"

    asyncio.run(main())


def test_set_cookie_is_not_stored_on_a_generic_api() -> None:
    assert generic_twice(says({"a": 1}, headers=[(b"set-cookie", b"session=1")])) == "MISS"


def test_an_answer_larger_than_max_body_is_forwarded_whole_and_not_stored() -> None:
    long = completion("word " * 1000)

    async def main() -> None:
        async with serving(says(long), semcache={"max_body": 2048}) as rig:
            for _ in range(2):
                answer = await rig.client.chat()
                assert answer.json() == long
                assert answer.cache == "MISS"

    asyncio.run(main())


def test_a_stream_that_grows_beyond_max_body_is_forwarded_whole_and_not_stored() -> None:
    pieces = stream(*["word "] * 200)

    async def main() -> None:
        async with serving(streams(pieces), semcache={"max_body": 2048}) as rig:
            for _ in range(2):
                answer = await rig.client.chat(stream=True)
                assert answer.chunks == pieces
                assert answer.cache == "MISS"

    asyncio.run(main())


def test_a_request_with_no_store_stores_nothing() -> None:
    assert asked_twice(says(), headers=[(b"cache-control", b"no-store")]) == "MISS"


def test_mode_off_neither_looks_up_nor_stores() -> None:
    assert asked_twice(says(), headers=[(b"semcache-control", b"mode=off")]) == "BYPASS"


@pytest.mark.parametrize("value", [b"no-store", b"private", b"no-cache", b"max-age=0", b"s-maxage=0, max-age=60"])
def test_cache_control_of_a_generic_answer_keeps_it_from_being_stored(value: bytes) -> None:
    assert generic_twice(says({"a": 1}, headers=[(b"cache-control", value)])) == "MISS"


def test_a_route_may_ignore_cache_control_of_answers() -> None:
    answer = says({"a": 1}, headers=[(b"cache-control", b"private")])
    assert generic_twice(answer, http={"cache_control": "ignore"}) == "HIT"


def test_vary_star_is_not_stored() -> None:
    assert generic_twice(says({"a": 1}, headers=[(b"vary", b"*")])) == "MISS"


def test_an_answer_that_varies_on_dozens_of_fields_is_not_stored() -> None:
    names = b", ".join(b"x-%d" % number for number in range(40))
    assert generic_twice(says({"a": 1}, headers=[(b"vary", names)])) == "MISS"


def test_an_application_may_forbid_storing() -> None:
    assert asked_twice(says(headers=[(b"semcache-control", b"no-store")])) == "MISS"


def test_an_applications_own_ttl_wins_over_cache_control() -> None:
    headers = [(b"cache-control", b"private, max-age=0"), (b"semcache-control", b"ttl=60")]
    assert generic_twice(says({"a": 1}, headers=headers)) == "HIT"


def test_a_ttl_of_zero_stores_nothing() -> None:
    assert asked_twice(says(), semcache={"ttl": 0}) == "MISS"
    assert asked_twice(says(headers=[(b"semcache-control", b"ttl=0")])) == "MISS"


def test_semcache_control_of_an_answer_goes_no_further() -> None:
    async def main() -> None:
        async with serving(says(headers=[(b"Semcache-Control", b"tags=a")])) as rig:
            assert (await rig.client.chat()).header("semcache-control") is None

    asyncio.run(main())


class Veto:
    """A plugin that lets nothing be stored."""

    @hookimpl
    def semcache_may_store(self, query: Any, entry: Any) -> bool:
        return False


class Watcher:
    """A plugin that looks at everything that is to be stored, and lets it."""

    def __init__(self) -> None:
        self.seen: list[EntryView] = []

    @hookimpl
    def semcache_may_store(self, entry: EntryView) -> None:
        self.seen.append(entry)


def test_a_plugin_sees_the_answer_and_not_how_it_is_kept() -> None:
    async def main() -> None:
        watcher = Watcher()
        async with serving(says(headers=[(b"semcache-control", b"tags=a")]), plugins=[watcher]) as rig:
            await rig.client.chat("what is the weather like in Paris")
            await rig.cache.store("How much is it?", {"price": 1}, tags=["b"])
        over_http, by_the_library = watcher.seen
        assert (over_http.text, over_http.kind, over_http.tags) == ("what is the weather like in Paris", "http", ("a",))
        assert json.loads(over_http.value.body) == completion()
        assert over_http.tokens == completion()["usage"]["total_tokens"]
        seen = (by_the_library.text, by_the_library.kind, by_the_library.value, by_the_library.tags)
        assert seen == ("How much is it?", "json", {"price": 1}, ("b",))
        assert "Paris" not in repr(over_http)

    asyncio.run(main())


def test_a_plugin_may_veto() -> None:
    async def main() -> None:
        async with serving(says(), plugins=[Veto()]) as rig:
            assert await rig.asked_twice() == "MISS"

    asyncio.run(main())


def test_tool_calls_answer_equal_requests_but_no_near_ones() -> None:
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    called = completion(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])

    async def main() -> None:
        async with serving(says(called)) as rig:
            assert await rig.asked_twice(text="what is the weather like in Paris") == "HIT"
            assert (await rig.client.chat("what is the weather like in Paris?")).cache == "MISS"

    asyncio.run(main())


def test_a_coding_that_cannot_be_undone_is_forwarded_and_not_stored() -> None:
    assert asked_twice(says(b"\x00\x01", headers=[(b"content-encoding", b"compress")])) == "MISS"
    assert asked_twice(says(b"not gzip", headers=[(b"content-encoding", b"gzip")])) == "MISS"


def test_a_compressed_answer_is_stored_decoded() -> None:
    packed = gzip.compress(json.dumps(completion()).encode())

    async def main() -> None:
        async with serving(says(packed, headers=[(b"content-encoding", b"gzip")])) as rig:
            first = await rig.client.chat()
            assert (first.body, first.header("content-encoding")) == (packed, "gzip")
            hit = await rig.client.chat()
            assert hit.cache == "HIT"
            assert hit.json() == completion()
            assert hit.header("content-encoding") is None
            assert hit.header("content-length") == str(len(hit.body))

    asyncio.run(main())


def test_a_gzip_bomb_is_forwarded_and_not_stored() -> None:
    bomb = gzip.compress(b" " * (20 << 20))
    assert asked_twice(says(bomb, headers=[(b"content-encoding", b"gzip")])) == "MISS"


def test_an_answer_with_trailers_or_handed_over_by_path_is_not_stored() -> None:
    async def with_trailers(scope: Any, receive: Any, send: Any) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json")],
                "trailers": True,
            }
        )
        await send({"type": "http.response.body", "body": json.dumps(completion()).encode()})
        await send({"type": "http.response.trailers", "headers": [], "more_trailers": False})

    assert asked_twice(with_trailers) == "MISS"


# -- what is kept -----------------------------------------------------------------------------------------------------


def test_infrastructure_cookies_do_not_make_llm_answers_uncacheable_and_are_not_replayed() -> None:
    cookies = [(b"set-cookie", b"__cf_bm=1"), (b"set-cookie", b"_cfuvid=2"), (b"x-request-id", b"r")]

    async def main() -> None:
        async with serving(says(headers=cookies)) as rig:
            first = await rig.client.chat()
            assert first.all("set-cookie") == ["__cf_bm=1", "_cfuvid=2"]
            hit = await rig.client.chat()
            assert hit.cache == "HIT"
            assert hit.header("set-cookie") is None
            assert hit.header("x-request-id") is None

    asyncio.run(main())


def test_llm_hits_are_private() -> None:
    async def main() -> None:
        async with serving() as rig:
            await rig.client.chat()
            assert (await rig.client.chat()).header("cache-control") == "private, no-store"

    asyncio.run(main())


def test_a_generic_hit_keeps_its_headers_and_a_weak_etag() -> None:
    headers = [(b"etag", b'"a"'), (b"cache-control", b"max-age=60"), (b"x-plan", b"free"), (b"date", b"x")]

    async def main() -> None:
        async with serving(says({"a": 1}, headers=headers), **ROUTE) as rig:
            await rig.client.send("/ask", {"question": "a b c"})
            rig.clock.advance(7)
            hit = await rig.client.send("/ask", {"question": "a b c"})
            assert hit.cache == "HIT"
            assert (hit.header("etag"), hit.header("x-plan"), hit.header("date")) == ('W/"a"', "free", None)
            assert (hit.header("cache-control"), hit.header("age")) == ("max-age=60", "7")
            rig.clock.advance(54)
            assert (await rig.client.send("/ask", {"question": "a b c"})).cache == "MISS"

    asyncio.run(main())


@pytest.mark.parametrize("near", [False, True], ids=["exact", "semantic"])
def test_vary_must_match_for_exact_and_semantic_hits(near: bool) -> None:
    question = {"question": "what is the weather like in Paris" + ("?" if near else "")}

    async def main() -> None:
        async with serving(says({"a": 1}, headers=[(b"vary", b"User-Agent")]), **ROUTE) as rig:
            await rig.client.send(
                "/ask", {"question": "what is the weather like in Paris"}, headers=[(b"user-agent", b"a")]
            )
            assert (await rig.client.send("/ask", question, headers=[(b"user-agent", b"b")])).cache == "MISS"
            assert rig.decisions[-1] == ("miss", "vary")

    asyncio.run(main())


def test_vary_that_matches_is_a_hit() -> None:
    assert generic_twice(says({"a": 1}, headers=[(b"vary", b"User-Agent")]), headers=[(b"user-agent", b"a")]) == "HIT"


def test_an_answer_for_one_origin_is_not_told_to_another() -> None:
    async def main() -> None:
        answer = says({"a": 1}, headers=[(b"access-control-allow-origin", b"https://a.example")])
        async with serving(answer, **ROUTE) as rig:
            body = {"question": "a b c"}
            await rig.client.send("/ask", body, headers=[(b"origin", b"https://a.example")])
            assert (await rig.client.send("/ask", body, headers=[(b"origin", b"https://b.example")])).cache == "MISS"

    asyncio.run(main())


def test_tags_of_an_application_invalidate() -> None:
    async def main() -> None:
        async with serving(says(headers=[(b"semcache-control", b'tags="prices news"')])) as rig:
            assert await rig.asked_twice() == "HIT"
            rig.clock.advance(1)
            await rig.cache.invalidate(tag="news")
            assert (await rig.client.chat()).cache == "MISS"

    asyncio.run(main())


def test_an_operator_may_keep_more_headers() -> None:
    async def main() -> None:
        async with serving(
            says(headers=[(b"x-model-region", b"eu")]), http={"keep_headers": ["X-Model-Region"]}
        ) as rig:
            await rig.client.chat()
            assert (await rig.client.chat()).header("x-model-region") == "eu"

    asyncio.run(main())


CUT = completion()
CUT["choices"][0]["finish_reason"] = "length"


@pytest.mark.parametrize(("answer", "plugins"), [(says(CUT), ()), (says(), (Veto(),))], ids=["refused", "vetoed"])
def test_a_refused_answer_lets_equal_requests_pass_at_once_for_a_while(answer: Any, plugins: Any) -> None:
    async def main() -> None:
        upstream = Upstream(answer)
        async with serving(upstream, plugins=plugins) as rig:
            await rig.client.chat()
            gate = asyncio.Event()

            async def waits(scope: Any, receive: Any, send: Any) -> None:
                await gate.wait()
                await says()(scope, receive, send)

            upstream.answer = waits
            asking = [asyncio.create_task(rig.client.chat()) for _ in range(3)]
            await asyncio.sleep(0.01)
            assert len(upstream.calls) == 4
            gate.set()
            await asyncio.gather(*asking)

    asyncio.run(main())
