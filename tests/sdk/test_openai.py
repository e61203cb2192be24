"""An unmodified ``openai`` SDK through the real proxy: what hits, what misses, and that hits look like answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from openai import AsyncOpenAI, InternalServerError, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

QUESTION = "How do I reset my password?"
PARAPHRASE = "I need to reset my password, how do I do that?"
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def ask(client: OpenAI, text: str = QUESTION, **options: Any) -> ChatCompletion:
    completion: ChatCompletion = client.chat.completions.create(
        **({"model": "small", "messages": [{"role": "user", "content": text}]} | options)
    )
    return completion


def asked(client: OpenAI, text: str = QUESTION, **options: Any) -> tuple[str | None, str]:
    """Return the answer's text and what X-Cache says."""
    raw = client.chat.completions.with_raw_response.create(
        **({"model": "small", "messages": [{"role": "user", "content": text}]} | options)
    )
    return raw.parse().choices[0].message.content, raw.headers["x-cache"]


def streamed(client: OpenAI, text: str = QUESTION, **options: Any) -> list[ChatCompletionChunk]:
    messages: Any = [{"role": "user", "content": text}]
    stream: Any = client.chat.completions.create(model="small", messages=messages, stream=True, **options)
    return list(stream)


def text_of(chunks: Iterable[ChatCompletionChunk], choice: int = 0) -> str:
    return "".join(picked.delta.content or "" for chunk in chunks for picked in chunk.choices if picked.index == choice)


# -- what hits --------------------------------------------------------------------------------------------------------


def test_an_equal_request_is_answered_from_the_cache(client: OpenAI, upstream: Any) -> None:
    first, again = ask(client), ask(client)
    assert again == first
    assert len(upstream.calls) == 1


def test_the_status_fields_say_miss_and_then_hit(client: OpenAI, upstream: Any) -> None:
    assert asked(client) == ("answer 1 of this server", "MISS")
    assert asked(client) == ("answer 1 of this server", "HIT")


def test_a_paraphrase_is_answered_with_an_id_of_its_own(client: OpenAI, upstream: Any) -> None:
    first, near = ask(client), ask(client, PARAPHRASE)
    assert near.choices == first.choices
    assert near.usage == first.usage
    assert near.id != first.id
    assert len(upstream.calls) == 1


def test_the_async_client_is_answered_too(async_client: Callable[[], AsyncOpenAI], upstream: Any) -> None:
    async def run() -> list[str | None]:
        async with async_client() as client:
            answers = []
            for text in (QUESTION, QUESTION, PARAPHRASE):
                made = await client.chat.completions.create(model="small", messages=[{"role": "user", "content": text}])
                answers.append(made.choices[0].message.content)
            return answers

    assert asyncio.run(run()) == ["answer 1 of this server"] * 3
    assert len(upstream.calls) == 1


def test_json_mode_hits_and_stays_json(client: OpenAI, upstream: Any) -> None:
    options: dict[str, Any] = {"response_format": {"type": "json_object"}}
    assert asked(client, **options) == ('{"answer": 1}', "MISS")
    assert asked(client, **options) == ('{"answer": 1}', "HIT")
    assert len(upstream.calls) == 1


def test_every_choice_comes_back(client: OpenAI, upstream: Any) -> None:
    first, again = ask(client, n=2), ask(client, n=2)
    assert [choice.message.content for choice in again.choices] == [
        "answer 1 of this server",
        "answer 1 of this server (choice 1)",
    ]
    assert again == first
    assert len(upstream.calls) == 1


def test_an_answer_that_calls_a_tool_is_repeated_exactly(client: OpenAI, upstream: Any) -> None:
    upstream.tool_call = {"name": "weather", "arguments": '{"city": "Lyon"}'}
    first, again = ask(client, tools=[WEATHER]), ask(client, tools=[WEATHER])
    assert again.choices[0].message.tool_calls == first.choices[0].message.tool_calls
    assert again.choices[0].finish_reason == "tool_calls"
    assert len(upstream.calls) == 1


# -- what misses ------------------------------------------------------------------------------------------------------


def test_another_key_misses(client: OpenAI, another: OpenAI, upstream: Any) -> None:
    assert asked(client)[1] == "MISS"
    assert asked(another)[1] == "MISS"
    assert [call.headers["authorization"] for call in upstream.calls] == [
        f"Bearer {client.api_key}",
        f"Bearer {another.api_key}",
    ]


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE])
@pytest.mark.parametrize(
    "changed",
    [
        {"model": "large"},
        {"temperature": 0.1},
        {"tools": [WEATHER]},
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]},
        {"seed": 7},
        {"max_tokens": 5},
        {"response_format": {"type": "json_object"}},
    ],
    ids=["model", "temperature", "tool", "system prompt", "seed", "max_tokens", "response_format"],
)
def test_another_setting_misses(client: OpenAI, upstream: Any, text: str, changed: dict[str, Any]) -> None:
    assert asked(client, text)[1] == "MISS"
    assert asked(client, **changed)[1] == "MISS"
    assert len(upstream.calls) == 2


def test_another_number_misses(client: OpenAI, upstream: Any) -> None:
    assert asked(client, "Can my team of 5 users share one bill?")[1] == "MISS"
    assert asked(client, "Can my team of 50 users share one bill?")[1] == "MISS"
    assert len(upstream.calls) == 2


def test_another_conversation_before_the_same_last_turn_misses(client: OpenAI, upstream: Any) -> None:
    turns = [{"role": "assistant", "content": "Anything else?"}, {"role": "user", "content": QUESTION}]
    assert asked(client, messages=[{"role": "user", "content": "I am on a phone."}, *turns])[1] == "MISS"
    assert asked(client, messages=[{"role": "user", "content": "I am on a laptop."}, *turns])[1] == "MISS"


def test_an_error_reaches_the_client_and_is_not_kept(client: OpenAI, upstream: Any) -> None:
    upstream.failures = [500]
    with pytest.raises(InternalServerError):
        ask(client)
    assert asked(client) == ("answer 2 of this server", "MISS")
    assert asked(client)[1] == "HIT"


# -- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_arrives_piece_by_piece_as_it_is_made(client: OpenAI, upstream: Any) -> None:
    upstream.each_piece = made = threading.Semaphore(1)
    stream = client.chat.completions.create(
        model="small", messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    words = []
    for chunk in stream:
        # The next piece is made only now, so this one came through on its own.
        made.release()
        words.append(chunk.choices[0].delta.content)
    assert words == ["", "answer ", "1 ", "of ", "this ", "server", None]


def test_a_stream_is_replayed_to_the_same_message(client: OpenAI, upstream: Any) -> None:
    first, again = streamed(client), streamed(client)
    assert text_of(again) == text_of(first) == "answer 1 of this server"
    assert (again[0].id, again[0].created, again[0].model) == (first[0].id, first[0].created, first[0].model)
    assert again[0].choices[0].delta.role == "assistant"
    assert again[-1].choices[0].finish_reason == "stop"
    assert len(upstream.calls) == 1


def test_a_stream_is_kept_although_the_sdk_hangs_up_at_its_last_event(client: OpenAI, upstream: Any) -> None:
    upstream.lingers = threading.Event()
    # The SDK closes the connection at [DONE], before the upstream has ended its answer.
    first, again = streamed(client), streamed(client)
    upstream.lingers.set()
    assert text_of(again) == text_of(first)
    assert len(upstream.calls) == 1


def test_a_paraphrase_of_a_stream_is_streamed(client: OpenAI, upstream: Any) -> None:
    streamed(client)
    assert text_of(streamed(client, PARAPHRASE)) == "answer 1 of this server"
    assert len(upstream.calls) == 1


def test_a_stream_has_usage_only_if_asked_for(client: OpenAI, upstream: Any) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}}
    first, again = streamed(client, **options), streamed(client, **options)
    assert again[-1].usage == first[-1].usage
    assert again[-1].usage is not None
    assert all(chunk.usage is None for chunk in streamed(client))
    assert len(upstream.calls) == 1


def test_a_whole_answer_serves_a_stream(client: OpenAI, upstream: Any) -> None:
    whole = ask(client)
    assert text_of(streamed(client)) == whole.choices[0].message.content
    assert len(upstream.calls) == 1


def test_a_stream_with_usage_serves_a_whole_answer(client: OpenAI, upstream: Any) -> None:
    chunks = streamed(client, stream_options={"include_usage": True})
    whole = ask(client)
    assert whole.choices[0].message.content == text_of(chunks)
    assert whole.usage == chunks[-1].usage
    assert len(upstream.calls) == 1


def test_usage_is_never_invented_for_a_stream_that_had_none(client: OpenAI, upstream: Any) -> None:
    streamed(client)
    whole = ask(client)
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 2
    assert len(upstream.calls) == 2


def test_every_choice_of_a_stream_is_replayed(client: OpenAI, upstream: Any) -> None:
    first, again = streamed(client, n=2), streamed(client, n=2)
    assert [text_of(again, choice) for choice in (0, 1)] == [text_of(first, choice) for choice in (0, 1)]
    assert len(upstream.calls) == 1


def test_a_streamed_tool_call_is_replayed(client: OpenAI, upstream: Any) -> None:
    upstream.tool_call = {"name": "weather", "arguments": '{"city": "Lyon"}'}
    both = [streamed(client, tools=[WEATHER]) for _ in range(2)]
    for chunks in both:
        calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
        assert "".join(call.function.arguments or "" for call in calls if call.function) == '{"city": "Lyon"}'
        assert calls[0].id == "call_1"
        assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert len(upstream.calls) == 1


def test_the_async_client_streams_and_is_replayed(async_client: Callable[[], AsyncOpenAI], upstream: Any) -> None:
    async def run() -> list[str]:
        async with async_client() as client:
            texts = []
            for _ in range(2):
                stream = await client.chat.completions.create(
                    model="small", messages=[{"role": "user", "content": QUESTION}], stream=True
                )
                texts.append(text_of([chunk async for chunk in stream]))
            return texts

    assert asyncio.run(run()) == ["answer 1 of this server"] * 2
    assert len(upstream.calls) == 1
