"""An unmodified ``openai`` SDK, the real proxy, and a real language model behind it.

The model is tiny and its answers are poor, which does not matter: what counts is that an answer comes back as it was.
Answers stop at a full stop, so that they end with ``finish_reason`` ``stop`` and may be kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionChunk

QUESTION = "How do I reset my password?"
PARAPHRASE = "I need to reset my password, how do I do that?"
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"enum": ["Lyon", "Oslo"]}}, "required": ["city"]},
    },
}
COLOUR: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "colour",
        "schema": {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]},
    },
}
USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}


def request_of(text: str, **changed: Any) -> dict[str, Any]:
    return {
        "model": "smollm2",
        "messages": [{"role": "user", "content": text}],
        "temperature": 0.0,
        "stop": ["."],
        "max_tokens": 400,
    } | changed


def asked(client: OpenAI, text: str = QUESTION, **changed: Any) -> tuple[Any, str]:
    """Return the parsed answer and what X-Cache says."""
    raw = client.chat.completions.with_raw_response.create(**request_of(text, **changed))
    return raw.parse(), raw.headers["x-cache"]


def streamed(client: OpenAI, text: str = QUESTION, **changed: Any) -> list[ChatCompletionChunk]:
    return list(client.chat.completions.create(**request_of(text, stream=True, **changed)))


def text_of(chunks: Iterable[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_an_equal_request_is_answered_with_the_same_answer(client: OpenAI) -> None:
    first, missed = asked(client)
    again, hit = asked(client)
    assert (missed, hit) == ("MISS", "HIT")
    assert again == first
    assert first.choices[0].message.content


def test_a_paraphrase_is_answered_with_the_same_text_and_usage(client: OpenAI) -> None:
    first, _ = asked(client)
    near, hit = asked(client, PARAPHRASE)
    assert hit == "HIT"
    assert near.choices[0].message.content == first.choices[0].message.content
    assert near.usage == first.usage
    assert near.id != first.id


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE])
@pytest.mark.parametrize(
    "changed",
    [
        {"model": "another"},
        {"temperature": 0.2},
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]},
        {"tools": [WEATHER], "tool_choice": "none"},
    ],
    ids=["model", "temperature", "system prompt", "tool"],
)
def test_another_setting_misses(client: OpenAI, text: str, changed: dict[str, Any]) -> None:
    assert asked(client, text)[1] == "MISS"
    assert asked(client, **changed)[1] == "MISS"


def test_another_key_misses(client: OpenAI, another: OpenAI) -> None:
    assert asked(client)[1] == "MISS"
    assert asked(another)[1] == "MISS"


def test_another_number_misses(client: OpenAI) -> None:
    assert asked(client, "Can my team of 5 users share one bill?")[1] == "MISS"
    assert asked(client, "Can my team of 50 users share one bill?")[1] == "MISS"


def test_a_stream_is_replayed_to_the_same_message(client: OpenAI) -> None:
    first, again = streamed(client, **USAGE), streamed(client, **USAGE)
    assert text_of(again) == text_of(first)
    assert again[-1].usage == first[-1].usage
    assert (again[0].id, again[0].model, again[0].created) == (first[0].id, first[0].model, first[0].created)


def test_a_stream_arrives_in_more_pieces_than_one(proxy_url: str) -> None:
    with httpx.stream(
        "POST", f"{proxy_url}/v1/chat/completions", json=request_of(QUESTION, stream=True), timeout=90
    ) as answer:
        pieces = list(answer.iter_raw())
    assert answer.headers["x-cache"] == "MISS"
    assert len(pieces) > 3
    assert pieces[-1].endswith(b"data: [DONE]\n\n")


def test_a_stream_with_usage_serves_a_whole_answer_and_the_reverse(client: OpenAI, another: OpenAI) -> None:
    chunks = streamed(client, **USAGE)
    whole, hit = asked(client)
    assert hit == "HIT"
    assert whole.choices[0].message.content == text_of(chunks)
    whole, _ = asked(another)
    assert text_of(streamed(another)) == whole.choices[0].message.content


def test_json_mode_comes_back_as_it_was(client: OpenAI) -> None:
    first, _ = asked(client, "Which colour has the sky?", response_format=COLOUR)
    again, hit = asked(client, "Which colour has the sky?", response_format=COLOUR)
    assert hit == "HIT"
    assert again == first


def test_a_request_with_tools_comes_back_as_it_was(client: OpenAI) -> None:
    # So small a model calls no tool whatever it is told; calls are replayed in the tests against the scripted server.
    first, _ = asked(client, "What is the weather like in Lyon?", tools=[WEATHER])
    again, hit = asked(client, "What is the weather like in Lyon?", tools=[WEATHER])
    assert hit == "HIT"
    assert again == first


def test_two_choices_come_back_as_they_were(client: OpenAI) -> None:
    first, _ = asked(client, n=2)
    again, hit = asked(client, n=2)
    assert hit == "HIT"
    assert again == first
    assert len(first.choices) == 2


def test_the_async_client_is_answered_too(proxy_url: str, client: OpenAI) -> None:
    whole, _ = asked(client)

    async def ask() -> str | None:
        async with AsyncOpenAI(base_url=f"{proxy_url}/v1", api_key=client.api_key, max_retries=0) as async_client:
            answer = await async_client.chat.completions.create(**request_of(QUESTION))
            content: str | None = answer.choices[0].message.content
            return content

    assert asyncio.run(ask()) == whole.choices[0].message.content


def test_an_answer_that_was_cut_short_is_not_kept(client: OpenAI) -> None:
    first, _ = asked(client, max_tokens=2)
    assert first.choices[0].finish_reason == "length"
    assert asked(client, max_tokens=2)[1] == "MISS"
