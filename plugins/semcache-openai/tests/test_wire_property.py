"""However an answer is cut into chunks and bytes, it is assembled as it was and replayed as it came."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.protocols import Answer, AnswerHead, Framing, Refused
from semcache_core.settings import Policy
from semcache_core.types import Key, Mode
from semcache_openai.chat import OpenAIChat

from .wire_cases import WireCase, chunks_in, wire_cases

CHAT = OpenAIChat()
MODE = Mode(streamed=True, required=frozenset({"usage"}))
KEY = Key(template=b"", mode=MODE)
WHOLE = Mode(required=frozenset({"usage"}))
Draw = Callable[..., Any]

# -- answers ------------------------------------------------------------------------------------------------------

# One draw each: what a text is made of matters more here than that it is random.
TEXTS = [
    "a",
    "b c",
    " d",
    "e\n\nf",
    "\r\n",
    '"',
    "\\",
    "é",
    "\U0001f389",
    "\0text\0",
    "data: [DONE]",
    "\u2028",
    "}{",
    " ",
    "g" * 40,
]
WORDS = st.sampled_from(TEXTS)
SCALARS = st.booleans() | st.integers(1, 2**40) | WORDS
VALUES = SCALARS | st.lists(SCALARS, min_size=1, max_size=3) | st.dictionaries(WORDS, SCALARS, min_size=1, max_size=3)
CALLS = st.fixed_dictionaries(
    {
        "id": WORDS,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": WORDS, "arguments": WORDS}),
    }
)
USAGE = st.fixed_dictionaries({"prompt_tokens": st.integers(1, 99), "total_tokens": st.integers(1, 99)})
MESSAGES = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": WORDS.map("{}.".format)},
    optional={
        "reasoning": WORDS,
        "reasoning_content": WORDS,
        "tool_calls": st.lists(CALLS, min_size=1, max_size=3, unique_by=lambda call: call["id"]),
    },
)
CHOICES = st.fixed_dictionaries(
    {"message": MESSAGES, "finish_reason": st.sampled_from(["stop", "tool_calls"])},
    optional={"native_finish_reason": WORDS, "filters": VALUES},
)


@st.composite
def answers(draw: Draw) -> dict[str, Any]:
    """Return an answer as a JSON caller gets it."""
    members = draw(st.fixed_dictionaries({}, optional={"provider": WORDS, "citations": VALUES, "x_own": VALUES}))
    choices = [{"index": at, **choice} for at, choice in enumerate(draw(st.lists(CHOICES, min_size=1, max_size=3)))]
    about = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "m-1"}
    return {**about, **members, "choices": choices, "usage": draw(USAGE)}


# -- the answer as a stream, in any of the ways in which servers write one ------------------------------------------


@st.composite
def streams(draw: Draw, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the answer in chunks of any size, its choices in any order, with members that pad or repeat."""
    about = {**{name: answer[name] for name in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    own = {name: value for name, value in answer.items() if name not in (*about, "choices", "usage")}
    left = [(choice["index"], deque) for choice in answer["choices"] if (deque := draw(_deltas(choice)))]
    chunks = []
    while left:
        index, parts = draw(st.sampled_from(left))
        chunks.append({**about, "choices": [{"index": index, **parts.pop(0)}], **draw(_noise(own))})
        left = [(each, rest) for each, rest in left if rest]
    chunks[draw(st.integers(0, len(chunks) - 1))].update(own)
    return [*chunks, {**about, "choices": [], "usage": answer["usage"]}]


@st.composite
def _deltas(draw: Draw, choice: dict[str, Any]) -> list[dict[str, Any]]:
    message = choice["message"]
    side_by_side = [draw(_cut(message[name])) for name in ("reasoning", "reasoning_content") if name in message]
    names = [name for name in ("reasoning", "reasoning_content") if name in message]
    deltas: list[dict[str, Any]] = [{"role": "assistant", **draw(st.sampled_from([{}, {"content": ""}]))}]
    deltas += [
        {name: part for name, part in zip(names, parts, strict=True) if part is not None}
        for parts in zip_longest(*side_by_side)
    ]
    deltas += [{"content": part} for part in draw(_cut(message["content"]))]
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        deltas.append({"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": part}}]}
            for part in draw(_cut(function["arguments"]))
        ]
    if draw(st.booleans()):  # Many servers repeat the role, and say nulls.
        deltas = [{"role": "assistant", "refusal": None, **delta} for delta in deltas]
    own = {name: value for name, value in choice.items() if name not in ("index", "message")}
    return [*({"delta": delta, "finish_reason": None} for delta in deltas), {"delta": {}, **own}]


@st.composite
def _cut(draw: Draw, text: str) -> list[str]:
    places = sorted(set(draw(st.lists(st.integers(1, max(1, len(text) - 1)), max_size=4))) & set(range(1, len(text))))
    return [text[begin:end] for begin, end in zip([0, *places], [*places, len(text)], strict=True)]


def _noise(own: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    padding = st.fixed_dictionaries({}, optional={"obfuscation": st.text("ab", max_size=9), "p": st.text("ab")})
    empties = st.fixed_dictionaries({}, optional={name: st.sampled_from([None, {}, [], ""]) for name in own})
    repeats = st.sampled_from([{}, own, {"usage": None}])
    return st.tuples(padding, empties, repeats).map(lambda parts: parts[0] | parts[1] | parts[2])


@st.composite
def wires(draw: Draw, chunks: list[dict[str, Any]]) -> list[bytes]:
    """Return the stream as bytes, cut anywhere."""
    end = draw(st.sampled_from(["\n\n", "\r\n\r\n", "\r\r", "\n\n: ping\n\n", "\nid: 7\n\n"]))
    space = draw(st.sampled_from(["", " "]))
    lines = [*(json.dumps(chunk, ensure_ascii=False) for chunk in chunks), "[DONE]"]
    body = "".join(f"data:{space}{line}{end}" for line in lines).encode()
    places = sorted(draw(st.sets(st.integers(0, len(body)), max_size=9)))
    return [body[begin:end] for begin, end in zip([0, *places], [*places, len(body)], strict=True)]


@st.composite
def streamed_answers(draw: Draw) -> tuple[dict[str, Any], list[dict[str, Any]], list[bytes]]:
    """Return an answer, its chunks, and their bytes."""
    answer = draw(answers())
    chunks = draw(streams(answer))
    return answer, chunks, draw(wires(chunks))


# -- what holds ------------------------------------------------------------------------------------------------------


def recorded(pieces: list[bytes], *, content_type: bytes = b"text/event-stream") -> Answer:
    recorder = CHAT.recorder(KEY, AnswerHead(200, ((b"content-type", content_type),)), policy=Policy())
    assert not isinstance(recorder, Refused)
    for piece in pieces:
        recorder.feed(piece)
    answer = recorder.finish()
    assert isinstance(answer, Answer), answer
    return answer


def framed(answer: Answer, mode: Mode) -> bytes:
    how = Framing(streamed=mode.streamed, required=mode.required, exact=True, fresh_id="fresh", now=1.0)
    reply = CHAT.reply(answer, how)
    assert reply is not None
    return b"".join(reply.chunks)


def unpadded(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in chunk.items() if name not in ("obfuscation", "p")} for chunk in chunks]


@settings(max_examples=20)
@given(streamed_answers())
def test_a_stream_is_assembled_to_what_it_says_and_replayed_as_it_came(
    case: tuple[dict[str, Any], list[dict[str, Any]], list[bytes]],
) -> None:
    answer, chunks, pieces = case
    first = recorded(pieces)
    assert json.loads(framed(first, WHOLE)) == answer
    again = framed(first, MODE)
    assert unpadded(chunks_in(again)) == unpadded(chunks)
    second = recorded([again])
    assert (second.body, framed(second, MODE)) == (first.body, again)


@settings(max_examples=40)
@given(answers(), st.data())
def test_a_whole_answer_is_framed_as_a_stream_that_says_the_same(answer: dict[str, Any], data: st.DataObject) -> None:
    stream = framed(recorded([json.dumps(answer).encode()], content_type=b"application/json"), MODE)
    cut = data.draw(st.integers(0, len(stream)))
    again = recorded([stream[:cut], stream[cut:]])
    assert json.loads(framed(again, WHOLE)) == answer


# -- what providers send, changed anywhere ----------------------------------------------------------------------------

ODD: list[Any] = [None, "", [], {}, 0, True, 1.5, "x", "length", [1], {"a": 1}, {"content": "y"}, "\0text\0"]
SENT = [case for case in wire_cases() if case.events and not case.expected.refused]


@st.composite
def changed(draw: Draw, case: WireCase) -> list[Any]:
    """Return the case's events with up to three of their values replaced, and perhaps one event twice or gone."""
    events = [copy.deepcopy(event) for event in case.events if isinstance(event, dict)]
    for _ in range(draw(st.integers(1, 3))):
        spots = list(_spots(events))
        container, key = spots[draw(st.integers(0, len(spots) - 1))]
        container[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
    at = draw(st.integers(0, len(events) - 1))
    return [*events[:at], *[events[at]] * draw(st.integers(0, 2)), *events[at + 1 :]]


def _spots(value: Any) -> list[tuple[Any, Any]]:
    names = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, name) for name in names] + [spot for name in names for spot in _spots(value[name])]


def says_nothing(value: Any) -> bool:
    return all(map(says_nothing, value.values())) if isinstance(value, dict) else value in (None, "", [])


@settings(max_examples=60)
@given(st.sampled_from(SENT).flatmap(changed))
def test_no_change_of_a_providers_stream_makes_it_raise_or_replay_something_else(events: list[Any]) -> None:
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in [*events, "[DONE]"]).replace('"[DONE]"', "[DONE]")
    recorder = CHAT.recorder(KEY, AnswerHead(200, ((b"content-type", b"text/event-stream"),)), policy=Policy())
    assert not isinstance(recorder, Refused)
    recorder.feed(body.encode())
    answer = recorder.finish()
    if isinstance(answer, Answer):
        again = [_dated(chunk) for chunk in unpadded(chunks_in(framed(answer, MODE)))]
        assert again == [_dated(chunk) for chunk in unpadded(events) if not says_nothing(chunk)]


def _dated(chunk: dict[str, Any]) -> str:
    """Return the chunk as text, which tells 0 from false; a run of chunks has the date of its first."""
    return json.dumps({**chunk, "created": 0}, sort_keys=True)
