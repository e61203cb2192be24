"""What providers really send is stored and replayed without loss: as a stream, whole, and from one to the other."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from semcache_core.protocols import Answer, AnswerHead, Framing, Refused
from semcache_core.settings import Policy
from semcache_core.types import Key, Mode, Request
from semcache_openai.chat import OpenAIChat

from .wire_cases import WireCase, chunks_in, wire_cases

CHAT = OpenAIChat()
EVERY = wire_cases()
STORED = [case for case in EVERY if not case.expected.refused]
WHOLE = [case for case in STORED if case.json is not None]
PADDING = ("obfuscation", "p")


def named(cases: list[WireCase]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def key_of(case: WireCase, *, streamed: bool = True) -> Key:
    body = {"model": "m-1", "messages": [{"role": "user", "content": "How do I reset my password?"}], **case.request}
    if streamed:
        body["stream"] = True
    else:
        body.pop("stream_options", None)
    request = Request(method="POST", path=b"/v1/chat/completions", body=json.dumps(body).encode())
    key = CHAT.extract(request)
    assert isinstance(key, Key)
    return key


def recorded(key: Key, *pieces: bytes, content_type: bytes = b"text/event-stream") -> Answer | Refused:
    head = AnswerHead(200, ((b"content-type", content_type),))
    recorder = CHAT.recorder(key, head, policy=Policy())
    assert not isinstance(recorder, Refused)
    for piece in pieces:
        recorder.feed(piece)
    return recorder.finish()


def stored(case: WireCase) -> Answer:
    answer = recorded(key_of(case), case.body())
    assert isinstance(answer, Answer), answer
    return answer


def replayed(answer: Answer, mode: Mode, *, exact: bool = True) -> bytes | None:
    framing = Framing(
        streamed=mode.streamed, required=mode.required, exact=exact, fresh_id="fresh", now=1_800_000_000.5
    )
    reply = CHAT.reply(answer, framing)
    return None if reply is None else b"".join(reply.chunks)


def as_stream(case: WireCase, answer: Answer) -> bytes:
    body = replayed(answer, key_of(case).mode)
    assert body is not None
    return body


def as_json(case: WireCase, answer: Answer) -> dict[str, Any] | None:
    body = replayed(answer, key_of(case, streamed=False).mode)
    return None if body is None else json.loads(body)


def unpadded(chunk: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in chunk.items() if name not in (*PADDING, "created")}


def said(whole: dict[str, Any]) -> Any:
    """Return what an answer says, without members that say nothing."""
    if isinstance(whole, dict):
        members = {name: said(value) for name, value in whole.items()}
        return {name: value for name, value in members.items() if value not in (None, "", [], {})}
    return [said(each) for each in whole] if isinstance(whole, list) else whole


@named([case for case in EVERY if case.expected.refused])
def test_what_is_no_whole_good_answer_is_refused(case: WireCase) -> None:
    answer = recorded(key_of(case), case.body())
    assert isinstance(answer, Refused)
    assert answer.reason == case.expected.refused


@named(STORED)
def test_a_stream_is_recorded_in_the_form_that_it_allows(case: WireCase) -> None:
    answer = stored(case)
    assert answer.form == case.expected.form
    assert answer.exact_only == (case.expected.form == "events" or not case.expected.paraphrase) or "n" in case.request


@named(STORED)
@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_a_stream_is_recorded_alike_wherever_its_pieces_end(case: WireCase, size: int) -> None:
    body = case.body()
    assert recorded(key_of(case), *(body[at : at + size] for at in range(0, len(body), size))) == stored(case)


@named(STORED)
def test_a_stream_is_replayed_chunk_by_chunk_as_it_came(case: WireCase) -> None:
    came, again = chunks_in(case.body()), chunks_in(as_stream(case, stored(case)))
    assert [unpadded(chunk) for chunk in again] == [unpadded(chunk) for chunk in came]


@named(STORED)
def test_a_paraphrase_gets_every_chunk_with_a_new_id(case: WireCase) -> None:
    body = replayed(stored(case), key_of(case).mode, exact=False)
    assert body is not None
    came, again = chunks_in(case.body()), chunks_in(body)
    about = ("id", "created", *PADDING)
    assert [{k: v for k, v in each.items() if k not in about} for each in again] == [
        {k: v for k, v in each.items() if k not in about} for each in came
    ]
    assert all(each["id"].endswith("fresh") for each, before in zip(again, came, strict=True) if before.get("id"))
    assert not any(each["id"] for each, before in zip(again, came, strict=True) if before.get("id") == "")


@named([case for case in STORED if case.asks_usage])
def test_who_did_not_ask_for_usage_gets_every_chunk_without_it(case: WireCase) -> None:
    body = replayed(stored(case), Mode(streamed=True))
    assert body is not None
    alone = [chunk for chunk in chunks_in(case.body()) if chunk.get("choices") or not chunk.get("usage")]
    expected = [{name: value for name, value in unpadded(chunk).items() if name != "usage"} for chunk in alone]
    assert [unpadded(chunk) for chunk in chunks_in(body)] == expected


@named(STORED)
def test_a_replayed_stream_is_recorded_as_the_same_answer(case: WireCase) -> None:
    answer = stored(case)
    again = recorded(key_of(case), as_stream(case, answer))
    assert isinstance(again, Answer)
    assert (again.body, again.offers) == (answer.body, answer.offers)


@named(STORED)
def test_a_caller_of_json_is_served_where_the_stream_said_all(case: WireCase) -> None:
    assert (as_json(case, stored(case)) is not None) == case.expected.json


@named([case for case in WHOLE if case.expected.json])
def test_a_caller_of_json_gets_the_providers_own_answer_as_far_as_the_stream_said_it(case: WireCase) -> None:
    content = said(as_json(case, stored(case)) or {})
    own = said(case.json or {})
    for choice, own_choice in zip(content.pop("choices"), own.pop("choices"), strict=True):
        message, own_message = choice.pop("message"), own_choice.pop("message")
        own_message.pop("name", None)  # No delta tells it.
        assert message == own_message
        assert choice.items() <= own_choice.items() or choice.get("usage") == content["usage"]
    assert content.pop("usage") == own.pop("usage")
    assert content.items() <= own.items()


@named(WHOLE)
def test_a_whole_answer_is_streamed_with_the_same_message_and_usage(case: WireCase) -> None:
    answer = recorded(key_of(case, streamed=False), msgspec.json.encode(case.json), content_type=b"application/json")
    assert isinstance(answer, Answer)
    mode = Mode(streamed=True, required=frozenset({"usage"} if (case.json or {}).get("usage") else ()))
    body = replayed(answer, mode)
    if body is None:
        assert answer.exact_only
        return
    again = recorded(Key(template=b"", mode=mode), body)
    assert isinstance(again, Answer)
    content, own = said(json.loads(again.body)), said(case.json or {})
    assert content["choices"] == [{k: v for k, v in each.items() if k != "logprobs"} for each in own["choices"]]
    assert {**content, "choices": 0} == {**own, "choices": 0}
