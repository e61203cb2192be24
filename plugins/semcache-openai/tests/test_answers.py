"""Which chat completions are stored, in which form, and how they are framed again."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.protocols import Answer, AnswerHead, ExtractorRoute, Framing, Recorder, Refused
from semcache_core.settings import Policy
from semcache_core.types import Key, Mode
from semcache_openai.chat import OpenAIChat
from semcache_openai.options import OpenAIChatOptions, OpenAIChatRoute

from .wire import chunk, completion, events_of, sse, stream

CHAT = OpenAIChat()
KEY = Key(template=b"")
ASKED_KEY = Key(template=b"", mode=Mode(streamed=True, required=frozenset({"usage"})))
JSON_KEY = Key(template=b"", mode=Mode(required=frozenset({"json"})))


def head(content_type: bytes = b"application/json") -> AnswerHead:
    """Return an answer's head of this type."""
    return AnswerHead(200, ((b"content-type", content_type),))


def recorded(
    *pieces: bytes, content_type: bytes = b"application/json", key: Key = KEY, **options: Any
) -> Answer | Refused:
    """Return what becomes of an answer that arrives in these pieces."""
    recorder = OpenAIChat(OpenAIChatOptions(**options)).recorder(key, head(content_type), policy=Policy())
    assert not isinstance(recorder, Refused)
    return finished(recorder, *pieces)


def finished(recorder: Recorder, *pieces: bytes) -> Answer | Refused:
    """Feed the pieces and finish."""
    for piece in pieces:
        recorder.feed(piece)
    return recorder.finish()


def whole(content: Any, **options: Any) -> Answer | Refused:
    """Return what becomes of a JSON answer."""
    return recorded(json.dumps(content).encode(), **options)


def streamed(pieces: list[bytes], **options: Any) -> Answer | Refused:
    """Return what becomes of a streamed answer."""
    return recorded(*pieces, content_type=b"text/event-stream", **options)


def kept(answer: Answer | Refused) -> Answer:
    """Return the answer; it must not be refused."""
    assert isinstance(answer, Answer), answer
    return answer


def reason(answer: Answer | Refused) -> str:
    """Return why it is refused."""
    assert isinstance(answer, Refused), answer
    return answer.reason


def framing(**changes: Any) -> Framing:
    """Return the framing of an exact JSON caller, with changes."""
    given: dict[str, Any] = {
        "streamed": False,
        "required": frozenset({"usage"}),
        "exact": True,
        "fresh_id": "fresh",
        "now": 1800000000.5,
    }
    return Framing(**{**given, **changes})


STREAM_TYPE = b"text/event-stream; charset=utf-8"
AS_STREAM = framing(streamed=True, required=frozenset())
AS_STREAM_WITH_USAGE = framing(streamed=True)


def body(answer: Answer | Refused, how: Framing, *, extractor: OpenAIChat = CHAT) -> bytes:
    """Return the answer framed."""
    reply = extractor.reply(kept(answer), how)
    assert reply is not None
    return b"".join(reply.chunks)


def choice(message: Any, finish: str | None = "stop", **members: Any) -> dict[str, Any]:
    """Return a completion with one choice."""
    return completion(choices=[{"index": 0, "message": message, "finish_reason": finish, **members}])


TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
TOOL_MESSAGE = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}


# -- JSON answers that are never stored -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (completion(error={"message": "overloaded"}), "error-member"),
        (completion(choices=[]), "empty-answer"),
        (completion(choices=None), "empty-answer"),
        (completion(""), "empty-answer"),
        (completion("  \n"), "empty-answer"),
        (completion(None), "empty-answer"),
        (choice({"role": "assistant", "content": "cut"}, "length"), "finish-length"),
        (choice({"role": "assistant", "content": "cut"}, "content_filter"), "finish-content_filter"),
        (choice({"role": "assistant", "content": "cut"}, "pause_turn"), "finish-reason"),
        (choice({"role": "assistant", "content": "cut"}, None), "finish-reason"),
        (choice({"role": "assistant", "content": "x", "refusal": "I cannot"}), "refusal"),
        (choice("no message"), "malformed-answer"),
        (["not", "an", "object"], "malformed-answer"),
        ({"object": "error", "message": "overloaded", "code": 503}, "error-member"),
        (completion(base_resp={"status_code": 1004, "status_msg": "login fail"}), "error-member"),
        (choice({"role": "assistant", "content": "x"}, error={"code": 502}), "error-member"),
        ({"code": 429, "message": "slow down"}, "error-member"),
        ({"detail": "Not authenticated"}, "error-member"),
        (choice({"role": "assistant", "content": "cut"}, ""), "finish-reason"),
    ],
)
def test_a_json_answer_that_is_not_a_whole_good_answer_is_refused(content: Any, expected: str) -> None:
    assert reason(whole(content)) == expected


def test_a_whole_answer_of_ones_own_application_may_lack_the_finish_reason() -> None:
    kept(whole(completion(choices=[{"index": 0, "message": {"role": "assistant", "content": "Paris"}}])))


def test_one_bad_choice_refuses_the_answer() -> None:
    good = completion()["choices"][0]
    cut = {**good, "index": 1, "finish_reason": "length"}
    assert reason(whole(completion(choices=[good, cut]))) == "finish-length"


def test_a_null_error_and_a_null_refusal_are_none() -> None:
    message = {"role": "assistant", "content": "Paris", "refusal": None}
    kept(whole({**choice(message), "error": None}))


def test_the_operator_may_allow_more_finish_reasons() -> None:
    kept(whole(choice({"role": "assistant", "content": "x"}, "eos"), finish_reasons=("eos",)))


@pytest.mark.parametrize(
    "finish", ["stop", "tool_calls", "function_call", "end_turn", "stop_sequence", "tool_use", "completed"]
)
def test_finish_reasons_on_the_list_are_stored(finish: str) -> None:
    kept(whole(choice({"role": "assistant", "content": "x"}, finish)))


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 20_000, b"<html>"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    assert reason(recorded(data)) == "malformed-answer"


def test_text_that_is_no_json_is_refused_where_json_was_asked_for() -> None:
    assert reason(whole(completion("Paris"), key=JSON_KEY)) == "invalid-json"
    assert reason(whole(completion('{"city": "Par'), key=JSON_KEY)) == "invalid-json"
    kept(whole(completion('{"city": "Paris"}'), key=JSON_KEY))
    kept(whole(choice(TOOL_MESSAGE, "tool_calls"), key=JSON_KEY))


@pytest.mark.parametrize("content_type", [b"text/html", b"image/png", b"", b"text/plain"])
def test_another_content_type_is_refused_at_its_head(content_type: bytes) -> None:
    assert CHAT.recorder(KEY, head(content_type), policy=Policy()) == Refused("content-type", complete=False)


def test_recording_follows_the_content_type_not_the_stream_flag() -> None:
    kept(recorded(*stream("a"), content_type=b"text/event-stream", key=Key(template=b"", mode=Mode(streamed=False))))
    kept(recorded(json.dumps(completion()).encode(), key=Key(template=b"", mode=Mode(streamed=True))))


# -- tool calls -------------------------------------------------------------------------------------------------------


def test_tool_calls_serve_equal_requests_only_by_default() -> None:
    assert kept(whole(choice(TOOL_MESSAGE, "tool_calls"))).exact_only
    assert not kept(whole(completion())).exact_only


def test_tool_calls_may_serve_near_requests_or_nobody() -> None:
    assert not kept(whole(choice(TOOL_MESSAGE, "tool_calls"), tool_calls="semantic")).exact_only
    assert reason(whole(choice(TOOL_MESSAGE, "tool_calls"), tool_calls="never")) == "tool-calls"


def test_what_nobody_here_understands_serves_equal_requests_only() -> None:
    signed = {"role": "assistant", "content": "x", "reasoning_details": [{"type": "reasoning.encrypted", "data": "a"}]}
    assert kept(whole(choice(signed))).exact_only


# -- streams that are never stored ------------------------------------------------------------------------------------


def test_a_stream_without_its_terminal_event_is_refused() -> None:
    assert streamed(stream("Paris")[:-1]) == Refused("no-terminal-event", complete=False)


def test_a_stream_with_an_error_event_is_refused() -> None:
    pieces = stream("Paris")
    assert streamed([*pieces[:2], b'data: {"error": {"message": "x"}}\n\n', *pieces[2:]]) == Refused(
        "error-event", complete=False
    )
    assert reason(streamed([b"event: error\ndata: {}\n\n", *pieces])) == "error-event"


def test_a_stream_that_was_cut_short_is_refused() -> None:
    assert reason(streamed(sse(chunk({"content": "Par"}), chunk({}, finish="length")))) == "finish-length"


def test_a_stream_without_a_finish_reason_is_refused() -> None:
    assert reason(streamed(sse(chunk({"content": "Paris"})))) == "finish-reason"


def test_a_stream_of_nothing_is_refused() -> None:
    assert reason(streamed(sse(chunk({"role": "assistant"}), chunk({}, finish="stop")))) == "empty-answer"
    assert reason(streamed([b"data: [DONE]\n\n"])) == "empty-answer"


@pytest.mark.parametrize(
    "bad", [b"data: {\n\n", b"data: []\n\n", b'data: {"choices": 7}\n\n', b'data: {"choices": [7]}\n\n']
)
def test_a_stream_with_an_event_that_is_no_chunk_is_refused(bad: bytes) -> None:
    assert reason(streamed([bad, *stream("Paris")])) == "malformed-event"


# -- a stream and a JSON answer are one entry -------------------------------------------------------------------------


def test_a_streamed_answer_is_told_to_a_json_caller_as_one_body() -> None:
    content = json.loads(body(streamed(stream("Paris", " is", " big", usage=True)), framing()))
    assert content == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-test-2",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris is big"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def test_a_stream_recorded_without_usage_cannot_answer_a_json_caller() -> None:
    assert CHAT.reply(kept(streamed(stream("Paris"))), framing()) is None


def test_a_stream_recorded_without_usage_cannot_answer_a_stream_caller_who_wants_usage() -> None:
    assert CHAT.reply(kept(streamed(stream("Paris"))), AS_STREAM_WITH_USAGE) is None


def test_a_stream_that_was_asked_for_usage_and_told_none_answers_the_caller_who_asked() -> None:
    answer = streamed(stream("Paris"), key=ASKED_KEY)
    assert body(answer, AS_STREAM_WITH_USAGE) == body(answer, AS_STREAM) == b"".join(stream("Paris"))
    assert CHAT.reply(kept(answer), framing()) is None


WHOLE_KEY = Key(template=b"", mode=Mode(required=frozenset({"usage"})))
ODD = choice({"role": "assistant", "content": "x", "annotations": [{"type": "url_citation"}]})


def test_a_caller_of_json_whom_upstream_gave_a_stream_gets_it_again() -> None:
    answer = streamed(stream("Paris"), key=WHOLE_KEY)
    reply = CHAT.reply(kept(answer), framing())
    assert reply is not None
    assert (reply.content_type, b"".join(reply.chunks)) == (STREAM_TYPE, b"".join(stream("Paris")))
    assert CHAT.reply(kept(streamed(stream("Paris"), key=ASKED_KEY)), framing()) is None


@pytest.mark.parametrize("content", [ODD, completion(usage=None)])
def test_a_caller_of_a_stream_whom_upstream_gave_json_gets_it_again(content: Any) -> None:
    answer = whole(content, key=ASKED_KEY)
    reply = CHAT.reply(kept(answer), AS_STREAM_WITH_USAGE)
    assert reply is not None
    assert (reply.content_type, json.loads(b"".join(reply.chunks))) == (b"application/json", content)
    assert CHAT.reply(kept(whole(content, key=WHOLE_KEY)), AS_STREAM_WITH_USAGE) is None


def test_usage_is_not_invented_for_a_json_answer_that_had_none() -> None:
    answer = whole({name: value for name, value in completion().items() if name != "usage"})
    assert b"usage" not in body(answer, framing())
    assert CHAT.reply(kept(answer), AS_STREAM_WITH_USAGE) is None


def test_a_json_answer_replays_byte_for_byte_to_an_equal_request() -> None:
    raw = b'{"id":"x", "choices" : [{"index":0,"message":{"content":"\\u0050aris"},"finish_reason":"stop"}], "n":1.0}'
    assert body(recorded(raw), framing()) == raw


def test_a_json_answer_is_told_to_a_stream_caller_role_first_words_finish_last_and_done() -> None:
    events = events_of(body(whole(completion("Paris is big.")), AS_STREAM))
    assert [event["choices"][0]["delta"] for event in events[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": "Paris"},
        {"content": " is"},
        {"content": " big."},
        {},
    ]
    assert [event["choices"][0]["finish_reason"] for event in events[:-1]] == [None, None, None, None, "stop"]
    assert events[-1] == "[DONE]"
    assert {event["object"] for event in events[:-1]} == {"chat.completion.chunk"}
    assert not any("usage" in event for event in events[:-1])


def test_usage_comes_in_a_chunk_of_its_own_only_if_asked_for() -> None:
    events = events_of(body(whole(completion("Paris")), AS_STREAM_WITH_USAGE))
    assert events[-2]["choices"] == []
    assert events[-2]["usage"] == completion()["usage"]
    assert [event["usage"] for event in events[:-2]] == [None, None, None]


def test_usage_that_a_stream_tells_on_demand_is_told_on_demand_only() -> None:
    answer = streamed(stream("Paris", usage=True), key=ASKED_KEY)
    assert b"usage" not in body(answer, AS_STREAM)
    assert events_of(body(answer, AS_STREAM_WITH_USAGE))[-2]["usage"]["total_tokens"] == 8


def test_usage_that_a_stream_tells_unasked_is_told_to_every_stream() -> None:
    answer = streamed(stream("Paris", usage=True))
    assert body(answer, AS_STREAM) == body(answer, AS_STREAM_WITH_USAGE) == b"".join(stream("Paris", usage=True))


def test_every_choice_is_replayed() -> None:
    choices = [{**completion(text)["choices"][0], "index": index} for index, text in enumerate(["One.", "Two."])]
    events = events_of(body(whole(completion(choices=choices)), AS_STREAM))
    said = {0: "", 1: ""}
    for event in events[:-1]:
        part = event["choices"][0]
        said[part["index"]] += part["delta"].get("content") or ""
    assert said == {0: "One.", 1: "Two."}


def test_every_choice_of_a_stream_is_assembled() -> None:
    pieces = sse(
        chunk({"role": "assistant", "content": "On"}),
        chunk({"role": "assistant", "content": "Tw"}, index=1),
        chunk({"content": "o."}, index=1),
        chunk({"content": "e."}),
        chunk({}, finish="stop", index=1),
        chunk({}, finish="stop"),
        {**chunk({}), "choices": [], "usage": {"total_tokens": 3}},
    )
    choices = json.loads(body(streamed(pieces), framing()))["choices"]
    assert [(one["index"], one["message"]["content"]) for one in choices] == [(0, "One."), (1, "Two.")]


def tool_stream() -> list[bytes]:
    """Return a stream of two tool calls whose pieces alternate."""

    def call(index: int, **members: Any) -> dict[str, Any]:
        return chunk({"tool_calls": [{"index": index, **members}]})

    return sse(
        chunk({"role": "assistant", "content": None}),
        call(0, id="call_a", type="function", function={"name": "weather", "arguments": ""}),
        call(1, id="call_b", type="function", function={"name": "time", "arguments": ""}),
        call(0, function={"arguments": '{"city":'}),
        call(1, function={"arguments": '{"zone": "UTC"}'}),
        call(0, function={"arguments": ' "Paris"}'}),
        chunk({}, finish="tool_calls"),
        {**chunk({}), "choices": [], "usage": {"total_tokens": 3}},
    )


CALLS = [
    {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}},
    {"id": "call_b", "type": "function", "function": {"name": "time", "arguments": '{"zone": "UTC"}'}},
]


def test_tool_calls_are_put_together_by_index() -> None:
    message = json.loads(body(streamed(tool_stream()), framing()))["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "tool_calls": CALLS}


def test_tool_calls_replay_to_the_same_message() -> None:
    again = streamed([body(streamed(tool_stream()), AS_STREAM_WITH_USAGE)])
    assert json.loads(body(again, framing()))["choices"][0]["message"]["tool_calls"] == CALLS


def test_reasoning_and_the_old_function_call_survive_both_ways() -> None:
    message = {
        "role": "assistant",
        "content": "Four.",
        "reasoning_content": "two and two",
        "function_call": {"name": "add", "arguments": '{"a": 2}'},
    }
    replayed = streamed([body(whole(choice(message)), AS_STREAM_WITH_USAGE)])
    assert json.loads(body(replayed, framing()))["choices"][0]["message"] == message


def test_a_providers_own_members_survive_both_ways() -> None:
    content = {
        **choice({"role": "assistant", "content": "x"}, native_finish_reason="eos"),
        "provider": "P",
        "timings": {"ms": 1.5},
    }
    replayed = streamed([body(whole(content), AS_STREAM_WITH_USAGE)])
    again = json.loads(body(replayed, framing()))
    assert (again["provider"], again["timings"]) == ("P", {"ms": 1.5})
    assert again["choices"][0]["native_finish_reason"] == "eos"


WORDS = st.text(st.characters(codec="utf-8"), max_size=40)


@given(WORDS, WORDS, st.lists(st.integers(1, 500), max_size=8))
def test_an_answer_is_the_same_message_however_often_it_is_framed_and_recorded(
    text: str, reasoning: str, cuts: list[int]
) -> None:
    message = {"role": "assistant", "content": text + "!", **({"reasoning_content": reasoning} if reasoning else {})}
    stream_ = body(whole(choice(message)), AS_STREAM_WITH_USAGE)
    places = sorted({min(cut, len(stream_)) for cut in cuts})
    pieces = [stream_[a:b] for a, b in zip([0, *places], [*places, len(stream_)], strict=True)]
    assert json.loads(body(streamed(pieces), framing()))["choices"][0]["message"] == message


def test_thoughts_under_two_names_are_told_side_by_side() -> None:
    message = {"role": "assistant", "content": "Four.", "reasoning": "two and", "reasoning_content": "two and two"}
    deltas = [event["choices"][0]["delta"] for event in events_of(body(whole(choice(message)), AS_STREAM))[1:-2]]
    assert deltas == [
        {"reasoning_content": "two", "reasoning": "two"},
        {"reasoning_content": " and", "reasoning": " and"},
        {"reasoning_content": " two"},
        {"content": "Four."},
    ]


def test_thoughts_that_are_no_text_are_not_lost_in_a_stream() -> None:
    answer = kept(whole(choice({"role": "assistant", "content": "x", "reasoning": {"summary": "y"}})))
    assert answer.exact_only
    assert CHAT.reply(answer, AS_STREAM) is None


def test_the_pieces_of_a_message_in_place_of_deltas_are_not_taken_for_the_whole() -> None:
    def part(text: str, finish: str | None = None) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {**chunk({}), "choices": [{"index": 0, "message": message, "finish_reason": finish}]}

    pieces = sse(part("Paris"), part(" is"), part(" big", "stop"))
    answer = kept(streamed(pieces))
    assert (answer.form, answer.exact_only) == ("events", True)
    grown = kept(streamed(sse(part("Paris"), part("Paris is"), part("Paris is big", "stop"), {"usage": {"n": 1}})))
    assert json.loads(body(grown, framing()))["choices"][0]["message"]["content"] == "Paris is big"


def test_a_text_beside_the_delta_that_says_something_else_is_not_dropped() -> None:
    def part(text: str) -> dict[str, Any]:
        event = chunk({"role": "assistant", "content": "x"})
        event["choices"][0]["text"] = text
        return event

    last = chunk({}, finish="stop")
    assert kept(streamed(sse(part("x"), last))).form == "body"
    assert kept(streamed(sse(part("y"), last))).form == "events"


@pytest.mark.parametrize("blank", ["", "null", None])
def test_a_blank_finish_reason_sets_nothing_and_unsets_nothing(blank: str | None) -> None:
    parts = sse(chunk({"content": "Paris"}, finish=blank), chunk({}, finish="stop"), chunk({}, finish=blank))
    assert json.loads(kept(streamed(parts)).body)["choices"][0]["finish_reason"] == "stop"
    assert reason(streamed(sse(chunk({"content": "Paris"}, finish=blank)))) == "finish-reason"


# -- what cannot be framed in the other mode --------------------------------------------------------------------------


def with_logprobs() -> list[bytes]:
    """Return a stream with log probabilities."""
    part = chunk({"content": "Paris"})
    part["choices"][0]["logprobs"] = {"content": [{"token": "Paris", "logprob": -0.1}]}
    usage = {**chunk({}), "choices": [], "usage": {"total_tokens": 3}}
    return sse(chunk({"role": "assistant"}), part, chunk({}, finish="stop"), usage)


def test_log_probabilities_are_kept_as_the_event_log_and_serve_streams_only() -> None:
    answer = kept(streamed(with_logprobs()))
    assert answer.form == "events"
    assert answer.exact_only
    assert CHAT.reply(answer, framing()) is None
    assert events_of(body(answer, AS_STREAM_WITH_USAGE)) == events_of(b"".join(with_logprobs()))


def test_an_event_log_leaves_usage_out_for_who_did_not_ask() -> None:
    events = events_of(body(streamed(with_logprobs(), key=ASKED_KEY), AS_STREAM))
    assert len(events) == 4
    assert not any("usage" in event for event in events[:-1])


def test_a_json_answer_with_log_probabilities_serves_json_callers_only() -> None:
    answer = kept(whole(choice({"role": "assistant", "content": "x"}, logprobs={"content": []})))
    assert CHAT.reply(answer, AS_STREAM) is None
    assert CHAT.reply(answer, framing()) is not None


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "a"}]},
        {"audio": {"data": "a"}},
        {"text": "half"},
        {"content": [{"type": "thinking"}]},
        {"tool_calls": [{"id": "no index"}]},
        {"tool_calls": [{"index": 0, "id": "a", "extra_content": {"signature": "s"}}]},
    ],
)
def test_a_delta_that_nobody_here_understands_is_kept_as_it_was(delta: Any) -> None:
    pieces = sse(chunk({"role": "assistant", "content": "x"}), chunk(delta), chunk({}, finish="stop"))
    answer = kept(streamed(pieces))
    assert (answer.form, answer.exact_only) == ("events", True)
    assert body(answer, AS_STREAM) == b"".join(pieces)


def test_servers_that_stamp_every_chunk_or_blank_the_first_are_understood() -> None:
    blank = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"a": 1}]}
    later = chunk({}, finish="stop", created=1700000009)
    answer = kept(streamed(sse(blank, chunk({"role": "assistant", "content": "x"}), later, done=True)))
    assert answer.form == "body"
    content = json.loads(answer.body)
    assert (content["id"], content["created"], content["model"]) == ("chatcmpl-1", 1700000000, "gpt-test-2")


# -- semantic hits ----------------------------------------------------------------------------------------------------

SEMANTIC = framing(exact=False)


def test_a_semantic_hit_has_a_fresh_id_and_created_and_the_rest_byte_for_byte() -> None:
    raw = (
        b'{"id":"chatcmpl-1","created":5,"x":1.50,"choices":[{"message":{"content":"\\u0050"},"finish_reason":"stop"}]}'
    )
    assert body(recorded(raw), SEMANTIC) == (
        b'{"id":"chatcmpl-fresh","created":1800000000,"x":1.50,'
        b'"choices":[{"message":{"content":"\\u0050"},"finish_reason":"stop"}]}'
    )


def test_a_semantic_stream_has_one_fresh_id_in_every_chunk() -> None:
    events = events_of(body(whole(completion()), framing(exact=False, streamed=True)))
    assert {(event["id"], event["created"]) for event in events[:-1]} == {("chatcmpl-fresh", 1800000000)}


def test_inner_links_are_kept() -> None:
    answer = whole(choice(TOOL_MESSAGE, "tool_calls"), tool_calls="semantic")
    assert json.loads(body(answer, SEMANTIC))["choices"][0]["message"]["tool_calls"] == [TOOL_CALL]


def test_an_id_that_was_never_there_is_not_invented() -> None:
    raw = b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}'
    assert body(recorded(raw), SEMANTIC) == raw


def test_usage_may_be_told_as_zero() -> None:
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    answer, zeroing = whole(completion()), OpenAIChat(OpenAIChatOptions(usage_on_hit="zero"))
    assert json.loads(body(answer, framing(), extractor=zeroing))["usage"] == zero
    assert events_of(body(answer, framing(streamed=True), extractor=zeroing))[-2]["usage"] == zero


def test_usage_is_told_as_zero_wherever_a_provider_tells_it() -> None:
    zeroing = OpenAIChat(OpenAIChatOptions(usage_on_hit="zero"))
    tokens = {"total_tokens": 3}
    last = chunk({}, finish="stop", x_groq={"id": "r", "usage": tokens}, usage=tokens)
    last["choices"][0]["usage"] = tokens
    events = events_of(body(streamed(sse(chunk({"content": "x"}), last)), AS_STREAM, extractor=zeroing))
    zero = {"total_tokens": 0}
    assert (events[1]["usage"], events[1]["x_groq"]["usage"], events[1]["choices"][0]["usage"]) == (zero, zero, zero)
    content = choice({"role": "assistant", "content": "x"}, usage=tokens)
    told = json.loads(body(whole(content), framing(), extractor=zeroing))
    assert told["choices"][0]["usage"] == zero


def test_a_route_says_how_its_answers_are_kept_and_replayed() -> None:
    extractor = OpenAIChat(OpenAIChatOptions(finish_reasons=("eos",)))
    own = OpenAIChatRoute(usage_on_hit="zero", tool_calls="never")
    extractor.follow([ExtractorRoute("/v1/chat/completions", own), ExtractorRoute("/other")], ())
    answer = whole(completion())
    routed = framing(route="/v1/chat/completions")
    assert json.loads(body(answer, routed, extractor=extractor))["usage"]["total_tokens"] == 0
    for other in ("/other", ""):
        assert body(answer, framing(route=other), extractor=extractor) == kept(answer).body

    def outcome(route: str, finish: str, message: Any) -> Answer | Refused:
        recorder = extractor.recorder(KEY, head(), policy=Policy(route=route))
        assert not isinstance(recorder, Refused)
        return finished(recorder, json.dumps(choice(message, finish)).encode())

    assert reason(outcome("/v1/chat/completions", "tool_calls", TOOL_MESSAGE)) == "tool-calls"
    assert kept(outcome("/other", "tool_calls", TOOL_MESSAGE)).exact_only
    kept(outcome("/v1/chat/completions", "eos", {"role": "assistant", "content": "x"}))


def test_the_tokens_of_an_answer_are_what_upstream_counted() -> None:
    assert kept(whole(completion())).tokens == 15
    assert kept(whole(completion(usage={"prompt_tokens": 2, "completion_tokens": 3}))).tokens == 5
    assert kept(whole(completion(usage=None))).tokens == 0


# -- hostile answers ------------------------------------------------------------------------------------------------


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "message",
                        "delta",
                        "index",
                        "finish_reason",
                        "tool_calls",
                        "function",
                        "arguments",
                        "content",
                        "role",
                        "usage",
                        "error",
                        "id",
                        "logprobs",
                        "name",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_makes_a_recorder_or_a_reply_raise(content: Any) -> None:
    data = json.dumps(content).encode()
    for answer in (
        recorded(data),
        recorded(b"data: " + data + b"\n\ndata: [DONE]\n\n", content_type=b"text/event-stream"),
        whole(completion(choices=[{"message": content, "finish_reason": "stop"}])),
        streamed(sse(chunk(content), chunk({"content": "a"}), chunk({}, finish="stop"))),
    ):
        if isinstance(answer, Answer):
            copy = msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Answer)
            for how in (framing(), SEMANTIC, AS_STREAM, AS_STREAM_WITH_USAGE, framing(streamed=True, exact=False)):
                CHAT.reply(copy, how)


# -- the log of a stream --------------------------------------------------------------------------------------------


def test_texts_keep_their_names_where_chunks_have_them_in_another_order() -> None:
    pieces = sse(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning": "a", "reasoning_content": "b"}),
        chunk({"reasoning_content": "d", "reasoning": "c"}),
        chunk({"content": "e"}),
        chunk({}, finish="stop"),
    )
    assert events_of(body(streamed(pieces), AS_STREAM)) == events_of(b"".join(pieces))


def test_chunks_that_only_seem_equal_are_kept_apart() -> None:
    words = [chunk({"content": "x"}, own=own) for own in (0, False, 0.0, None)]
    pieces = sse(chunk({"role": "assistant", "content": ""}), *words, chunk({}, finish="stop"))
    again = body(streamed(pieces), AS_STREAM)
    assert [json.dumps(event) for event in events_of(again)] == [
        json.dumps(event) for event in events_of(b"".join(pieces))
    ]


def test_reasoning_blocks_that_are_no_text_break_nothing() -> None:
    blocks = [{"type": "reasoning.text", "index": 0, "text": text} for text in ({"a": 1}, "b", "c")]
    pieces = sse(
        chunk({"content": "x"}), *(chunk({"reasoning_details": [b]}) for b in blocks), chunk({}, finish="stop")
    )
    assert kept(streamed(pieces)).form == "events"


def test_token_ids_that_are_no_list_break_nothing() -> None:
    first, second = chunk({"content": "a"}), chunk({"content": "b"})
    first["choices"][0]["token_ids"] = "x"
    second["choices"][0]["token_ids"] = [1]
    kept(streamed(sse(first, second, chunk({}, finish="stop"))))


@pytest.mark.parametrize("mark", ["\0text\0", '"\0text\0"', '\\"', "\n\n", "data: [DONE]"])
def test_no_value_of_a_chunk_is_taken_for_a_text(mark: str) -> None:
    words = [chunk({"content": word}, trace=mark) for word in ("Paris", mark, " is big")]
    pieces = sse(chunk({"role": "assistant", "content": ""}), *words, chunk({}, finish="stop"))
    assert events_of(body(streamed(pieces), AS_STREAM)) == events_of(b"".join(pieces))


def test_a_long_stream_is_kept_in_little_more_than_its_text() -> None:
    words = [" word"] * 1000
    answer = kept(streamed(stream(*words)))
    assert len(answer.stream) < 2 * len("".join(words)) + 2000
    assert events_of(body(answer, AS_STREAM)) == events_of(b"".join(stream(*words)))


# -- work -----------------------------------------------------------------------------------------------------------


def many_calls(n: int) -> list[bytes]:
    calls = [{"id": f"c{at}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for at in range(n)]
    return sse(*(chunk({"tool_calls": [call]}) for call in calls))


def many_choices(n: int) -> list[bytes]:
    return sse(*(chunk({"content": "x"}, index=at) for at in range(n)))


def many_names(n: int) -> list[bytes]:
    return sse(*(chunk({"content": "x"}, own={f"n{at}": at}) for at in range(n)))


def many_values(n: int) -> list[bytes]:
    return sse(chunk({"content": "x"}, own=list(range(n))), *(chunk({"content": "x"}, own=[0]) for _ in range(n)))


def many_words(n: int) -> list[bytes]:
    return sse(*(chunk({"reasoning": "x", "content": "y"}, created=1700000000 + at) for at in range(n)))


@pytest.mark.parametrize("shape", [many_calls, many_choices, many_names, many_values, many_words])
def test_recording_a_stream_is_linear_work(shape: Any) -> None:
    def seconds(pieces: list[bytes]) -> float:
        times = []
        for _ in range(3):
            begun = time.process_time()
            streamed(pieces)
            times.append(time.process_time() - begun)
        return min(times)

    assert seconds(shape(4000)) < 8 * seconds(shape(1000))


def test_an_event_that_takes_too_long_to_read_is_not_stored() -> None:
    nested = chunk({"content": "x"}, own=[[] for _ in range(60_000)])
    assert reason(streamed(sse(nested, chunk({}, finish="stop")))) == "too-complex"
