"""The key half of openai-chat: what of a body is its key, what keeps it away, what matches exactly only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from semcache_core.errors import ConfigError
from semcache_core.protocols import (
    ExtractorRoute,
    KeyExtractor,
    SupportsAnswers,
    SupportsClaims,
    SupportsNotices,
    SupportsRules,
)
from semcache_core.settings import Normalise
from semcache_core.types import LLM, Bypass, Key, Request
from semcache_openai.chat import OpenAIChat
from semcache_openai.options import OpenAIChatOptions, OpenAIChatRoute

CHAT = OpenAIChat()
PATH = b"/v1/chat/completions"
TEXT = "How do I reset my password?"
USER = {"role": "user", "content": TEXT}
IMAGE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8=", "detail": "low"}}
TOOL = {
    "type": "function",
    "function": {"name": "find", "parameters": {"type": "object", "properties": {"a": {}, "b": {}}}},
}


def request(body: Any, *, path: bytes = PATH, method: str = "POST") -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method=method, path=path, body=raw)


def chat(**members: Any) -> dict[str, Any]:
    return {"model": "m-1", "messages": [USER], **members}


def key(body: Any, *, extractor: KeyExtractor = CHAT, path: bytes = PATH, method: str = "POST") -> Key:
    said = extractor.extract(request(body, path=path, method=method))
    assert isinstance(said, Key), said
    return said


def reason(body: Any, *, extractor: KeyExtractor = CHAT, path: bytes = PATH, method: str = "POST") -> str:
    said = extractor.extract(request(body, path=path, method=method))
    assert isinstance(said, Bypass), said
    return said.reason


def same_request(one: Key, other: Key) -> bool:
    return (one.template, one.exact_only_members, one.slot) == (other.template, other.exact_only_members, other.slot)


def same_scope(one: Key, other: Key) -> bool:
    return (one.template, one.end_user) == (other.template, other.end_user)


def ask(*messages: dict[str, Any], **members: Any) -> dict[str, Any]:
    return chat(messages=list(messages), **members)


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def text(value: str, **members: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **members}


# -- claims -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [PATH, b"/openai/deployments/x/chat/completions", b"/api/v1/chat/completions", b"/chat/completions"]
)
def test_chat_is_claimed_by_its_path_suffix(path: bytes) -> None:
    assert CHAT.claims("POST", path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PATH),
        ("post", PATH),
        ("POST", PATH + b"/"),
        ("POST", PATH + b"/chatcmpl-1"),
        ("POST", b"/v1/completions"),
        ("POST", b"/v1/Chat/completions"),
        ("POST", b"/v1/mychat/completions"),
        ("POST", b"/v1/embeddings"),
    ],
)
def test_other_paths_and_methods_are_not_chat(method: str, path: bytes) -> None:
    assert not CHAT.claims(method, path)


def test_the_extractors_have_the_powers_they_should() -> None:
    for power in (KeyExtractor, SupportsAnswers, SupportsRules, SupportsClaims, SupportsNotices):
        assert isinstance(CHAT, power)
    assert CHAT.traits is LLM
    assert all(CHAT.claims(*claim) for claim in CHAT.claimed)


# -- the slot -----------------------------------------------------------------------------------------------------


def test_the_final_users_text_is_the_hole() -> None:
    made = key(chat())
    assert made.slot == (TEXT,)
    assert TEXT.encode() not in made.template
    assert made.exact_only is None


def test_text_parts_are_holes_in_order_and_place() -> None:
    one = key(ask(user(text("a"), IMAGE, text("b"))))
    assert one.slot == ("a", "b")
    for other in (user(text("a"), text("b"), IMAGE), user(IMAGE, text("a"), text("b")), user(text("a"), IMAGE)):
        assert not same_scope(key(ask(other)), one)


def test_one_text_and_the_same_text_as_a_part_are_two_requests() -> None:
    assert not same_scope(key(chat()), key(ask(user(text(TEXT)))))


def test_the_place_of_the_text_is_marked_by_what_no_json_can_say() -> None:
    assert key(chat()).template.count(b"\x00") == 1
    assert key(ask(user(text("a"), IMAGE, text("b")))).template.count(b"\x00") == 2
    assert key(ask({"role": "assistant", "content": "\x00"})).template.count(b"\x00") == 0


def test_what_a_caller_writes_never_passes_for_a_hole() -> None:
    made = key(chat())
    contents: list[Any] = ["\x00", "\\u0000", "", None, {"compare": True}, [], 0]
    for content in contents:
        assert not same_scope(key(ask({"role": "user", "content": content}, USER)), key(ask(USER, USER)))
        assert key(ask({"role": "assistant", "content": content})).template != made.template


def test_what_a_caller_writes_never_passes_for_the_hash_of_a_part() -> None:
    hashed = key(ask(user(IMAGE, text("a"))))
    mark = hashed.template.split(b'"')[5].decode()
    assert len(mark) == 65
    for content in (mark, mark[1:], "\\u0001" + mark[1:]):
        assert not same_scope(key(ask(user(content, text("a")))), hashed)


def test_non_text_parts_count_by_content() -> None:
    one = key(ask(user(IMAGE, text("a"))))
    other = json.loads(json.dumps(IMAGE).replace("aGVsbG8=", "aGVsbG9="))
    assert not same_scope(key(ask(user(other, text("a")))), one)
    assert b"aGVsbG8" not in one.template
    assert same_request(key(ask(user(dict(reversed(IMAGE.items())), text("a")))), one)


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ({"role": "tool", "tool_call_id": "c", "content": "42"}, "tool-result"),
        ({"role": "function", "name": "f", "content": "42"}, "tool-result"),
        ({"role": "assistant", "content": "The answer is"}, "no-text"),
        ({"role": "system", "content": "Be kind."}, "no-text"),
        ({"role": "user", "content": None}, "no-text"),
        ({"role": "user", "content": []}, "no-text"),
        ({"role": "user", "content": [IMAGE]}, "no-text"),
        ({"role": "user", "content": [{"type": "text"}]}, "no-text"),
        ({"role": "user"}, "no-text"),
        ({"role": "User", "content": "x"}, "no-text"),
        ({"content": "x"}, "no-text"),
    ],
)
def test_without_a_final_users_text_a_request_matches_exactly_only(last: dict[str, Any], why: str) -> None:
    made = key(ask(USER, last))
    assert (made.slot, made.exact_only) == ((), why)


# -- what is ignored, what counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        {"stream": True},
        {"stream": False},
        {"stream": None},
        {"stream_options": {"include_usage": True}},
        {"prompt_cache_key": "k"},
        {"prompt_cache_retention": "24h"},
        {"service_tier": "flex"},
    ],
)
def test_ignored_fields_never_change_a_key(members: dict[str, Any]) -> None:
    assert same_request(key(chat(**members)), key(chat()))
    assert same_scope(key(chat(**members)), key(chat()))


@pytest.mark.parametrize("name", ["user", "safety_identifier", "metadata"])
def test_end_users_behind_one_key_share_exact_answers_and_no_near_ones(name: str) -> None:
    made = [key(chat(**{name: value})) for value in ("ann", "bob", None, {"a": 1, "b": 2}, {"b": 2, "a": 1})] + [
        key(chat())
    ]
    assert len({(each.template, each.slot) for each in made}) == 1
    assert len({each.end_user for each in made}) == len(made)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"temperature": 0}, {}),
        ({"temperature": None}, {}),
        ({"temperature": 0}, {"temperature": 0.1}),
        ({"max_tokens": 5}, {"max_tokens": 5.0}),
        ({"max_tokens": 1}, {"max_tokens": True}),
        ({"seed": 1}, {"seed": 2}),
        ({"seed": 0}, {"seed": None}),
        ({"tools": [TOOL]}, {}),
        ({"tools": [TOOL]}, {"tools": [TOOL, TOOL]}),
        ({"tool_choice": "auto"}, {"tool_choice": "required"}),
        ({"response_format": {"type": "text"}}, {"response_format": {"type": "json_object"}}),
        ({"stop": ["a", "b"]}, {"stop": ["b", "a"]}),
        ({"model": "m-1"}, {"model": "M-1"}),
        ({"model": "m-1"}, {"model": "m-1 "}),
        ({"a_new_member": 1}, {}),
        ({"a_new_member": {"a": 1, "b": 2}}, {"a_new_member": {"b": 2, "a": 1}}),
        ({"logit_bias": {"1": 1, "2": 2}}, {"logit_bias": {"2": 2, "1": 1}}),
    ],
)
def test_any_other_change_changes_the_scope(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not same_scope(key(chat(**one)), key(chat(**other)))


def test_sampling_numbers_compare_by_value() -> None:
    bodies = [json.dumps(chat(temperature="T")).replace('"T"', form).encode() for form in ("1", "1.0", "1e0", "0.1e1")]
    assert len({key(body).template for body in bodies}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {"tools": [TOOL]},
            {"tools": [json.loads(json.dumps(TOOL).replace('"a": {}, "b": {}', '"b": {}, "a": {}'))]},
        ),
        (
            {"functions": [{"name": "f", "parameters": {"a": 1, "b": 2}}]},
            {"functions": [{"parameters": {"b": 2, "a": 1}, "name": "f"}]},
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1, "b": 2}}}},
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"b": 2, "a": 1}}}},
        ),
    ],
)
def test_reordered_schema_properties_change_the_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not same_scope(key(chat(**one)), key(chat(**other)))


def test_key_order_at_the_top_and_in_messages_and_parts_means_nothing() -> None:
    one = ask({"role": "system", "content": "s"}, user(text("a"), IMAGE), temperature=0.5, seed=3)
    other = dict(reversed(one.items()))
    other["messages"] = [dict(reversed(message.items())) for message in one["messages"]]
    other["messages"][1]["content"] = [dict(reversed(part.items())) for part in one["messages"][1]["content"]]
    assert same_request(key(one), key(other))
    assert same_request(key(one), key(json.dumps(other, indent=3).encode()))
    assert same_request(key(one), key(json.dumps(other, separators=(",", ":"), ensure_ascii=False).encode()))


def test_key_order_inside_what_a_part_holds_counts() -> None:
    other = {**IMAGE, "image_url": dict(reversed(IMAGE["image_url"].items()))}
    assert not same_scope(key(ask(user(IMAGE, text("a")))), key(ask(user(other, text("a")))))


def test_key_order_inside_tool_calls_counts() -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    other = [{"type": "function", "id": "c", "function": {"name": "f", "arguments": "{}"}}]
    one, two = (key(ask({"role": "assistant", "content": None, "tool_calls": each}, USER)) for each in (calls, other))
    assert not same_scope(one, two)


def test_one_conversations_last_turn_in_another_is_another_scope() -> None:
    turns = [{"role": "user", "content": "Delete file A"}, {"role": "assistant", "content": "Really?"}]
    other = [{"role": "user", "content": "Delete file B"}, {"role": "assistant", "content": "Really?"}]
    assert not same_scope(key(ask(*turns, USER)), key(ask(*other, USER)))
    assert not same_scope(key(ask(*turns, USER)), key(chat()))


def test_earlier_turns_count_byte_for_byte() -> None:
    one = key(ask({"role": "user", "content": "a b"}, USER))
    for earlier in ("a  b", "A b", "a b ", "a\u00a0b", "a b\n"):
        assert not same_scope(key(ask({"role": "user", "content": earlier}, USER)), one)


# -- last-turn ----------------------------------------------------------------------------------------------------


def test_last_turn_compares_across_conversations_and_warns() -> None:
    loose = OpenAIChat(OpenAIChatOptions(turns="last-turn"))
    system, first = {"role": "system", "content": "s"}, {"role": "assistant", "content": "Hello"}
    one = key(ask(system, first, USER), extractor=loose)
    other = key(ask(system, {**first, "content": "Hi"}, USER), extractor=loose)
    assert same_scope(one, other)
    assert not same_request(one, other), "an exact hit still needs the same conversation"
    assert not same_scope(key(ask({**system, "content": "t"}, first, USER), extractor=loose), one)
    assert loose.notices()
    assert not CHAT.notices()


# -- modes --------------------------------------------------------------------------------------------------------


def test_a_caller_needs_usage_unless_it_streams_without_asking() -> None:
    assert key(chat()).mode.required == {"usage"}
    assert key(chat(stream=False)).mode.required == {"usage"}
    assert key(chat(stream=True)).mode.required == frozenset()
    assert key(chat(stream=True, stream_options={"include_usage": True})).mode.required == {"usage"}
    assert key(chat(stream=True, stream_options={"include_usage": False})).mode.required == frozenset()
    assert key(chat(stream=True, stream_options=None)).mode.required == frozenset()
    assert key(chat(response_format={"type": "json_object"})).mode.required == {"usage", "json"}
    assert [key(chat(stream=mode)).mode.streamed for mode in (True, False, None)] == [True, False, False]


def test_flights_are_apart_by_mode_and_service_tier() -> None:
    bodies = [
        chat(),
        chat(stream=True),
        chat(stream=True, stream_options={"include_usage": True}),
        chat(service_tier="flex"),
        chat(service_tier="auto"),
        chat(stream=True, service_tier="flex"),
    ]
    assert len({key(body).mode.flight for body in bodies}) == len(bodies)
    assert key(chat(stream=False)).mode.flight == key(chat()).mode.flight


# -- what keeps a request away ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["web_search_options", "search_parameters", "enable_search", "data_sources", "plugins"]
)
def test_answers_that_depend_on_the_world_are_bypassed(name: str) -> None:
    asking: list[Any] = [{}, [], True, {"mode": "auto"}, "yes", 0]
    assert {reason(chat(**{name: value})) for value in asking} == {"live-data"}
    assert key(chat(**{name: None}))
    assert key(chat(**{name: False}))


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o-search-preview",
        "gpt-5-search-api",
        "sonar-pro",
        "perplexity/sonar",
        "x/y:online",
        "o3-deep-research",
        "groq/compound-mini",
    ],
)
def test_search_models_are_bypassed(model: str) -> None:
    assert reason(chat(model=model)) == "live-data"


@pytest.mark.parametrize(
    "tool", [{"type": "web_search"}, {"type": "code_interpreter"}, {"type": ["function"]}, {"google_search": {}}, {}]
)
def test_hosted_tools_are_bypassed(tool: dict[str, Any]) -> None:
    assert reason(chat(tools=[TOOL, tool])) == "hosted-tool"


@pytest.mark.parametrize("tools", [None, [], [TOOL], [{"function": {"name": "f"}}], [{"type": "custom", "custom": {}}]])
def test_tools_that_the_caller_runs_are_keyed(tools: Any) -> None:
    assert key(chat(tools=tools))


def test_what_the_upstream_is_to_store_is_bypassed() -> None:
    assert reason(chat(store=True)) == "store"
    assert key(chat(store=False))
    assert key(chat(store=None))


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        1,
        None,
        {},
        {"messages": []},
        {"messages": None},
        {"messages": "hi"},
        {"messages": {"role": "user"}},
        {"messages": ["hi"]},
        {"messages": [None, USER]},
        chat(stream="true"),
        chat(stream=1),
        chat(tools={}),
        chat(tools=["web_search"]),
    ],
)
def test_what_is_no_chat_request_is_bypassed(body: Any) -> None:
    assert reason(body) == "malformed-request"


@pytest.mark.parametrize(
    "body",
    [
        chat(Model="x"),
        chat(Temperature=1),
        chat(STREAM=True),
        {"Messages": [USER], "model": "m", "messages": [USER]},
        {**chat(), "max_to\u212aens": 5},
        {**chat(), "ſeed": 5},
        ask({**USER, "Role": "system"}),
        ask({"role": "user", "Content": "x"}),
        ask(user({"type": "text", "Text": "x"})),
        ask(user({"Type": "text", "text": "x"})),
        chat(tools=[{"Type": "web_search", "function": {}}]),
        chat(topic=1, Topic=2),
    ],
)
def test_names_that_differ_in_case_only_are_ambiguous(body: Any) -> None:
    assert reason(body) == "ambiguous-case"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"model":"m","model":"n","messages":[{"role":"user","content":"x"}]}', "ambiguous-duplicate"),
        (rb'{"model":"m","\u006dodel":"n","messages":[{"role":"user","content":"x"}]}', "ambiguous-duplicate"),
        (b'{"messages":[{"role":"system","content":"x","role":"user"}]}', "ambiguous-duplicate"),
        (b'{"messages":[{"role":"user","content":"x"}],"temperature":NaN}', "ambiguous-json"),
        (rb'{"messages":[{"role":"user","content":"\ud800"}]}', "ambiguous-json"),
        (b'{"messages":[{"role":"user","content":' + b"[" * 10_000 + b"]" * 10_000 + b"}]}", "ambiguous-depth"),
        (b"\xef\xbb\xbf{}", "ambiguous-json"),
        (b"", "ambiguous-json"),
    ],
)
def test_ambiguous_bodies_are_bypassed(raw: bytes, why: str) -> None:
    assert reason(raw) == why


# -- what matches exactly only ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"n": 2}, "several-choices"),
        ({"n": 1.0}, "several-choices"),
        ({"n": True}, "several-choices"),
        ({"n": 1}, None),
        ({"n": None}, None),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": False}, None),
        ({"top_logprobs": 3}, "logprobs"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "audio"),
        ({"modalities": ["text"]}, None),
        ({"temperature": 1.0}, None),
        ({"temperature": 1}, None),
        ({"temperature": 1.01}, "temperature"),
        ({"temperature": 2}, "temperature"),
        ({"temperature": 2**60}, "temperature"),
        ({"temperature": 2**70}, "temperature"),
        ({"temperature": "2"}, None),
    ],
)
def test_answers_that_vary_match_exactly_only(members: dict[str, Any], why: str | None) -> None:
    assert key(chat(**members)).exact_only == why


# -- configuration ------------------------------------------------------------------------------------------------


def test_a_route_can_ignore_members_of_chat_requests() -> None:
    extractor = OpenAIChat()
    own = OpenAIChatRoute(ignore=("trace_id", "$.extra.build"))
    extractor.follow([ExtractorRoute("/v1/chat/completions", own)], ())
    body = chat(trace_id="a", extra={"build": 1, "k": 1})
    other = chat(trace_id="b", extra={"build": 2, "k": 1})
    assert same_request(key(body, extractor=extractor), key(other, extractor=extractor))
    assert not same_request(
        key(body, extractor=extractor, path=b"/v2/chat/completions"), key(other, extractor=extractor)
    )
    assert not same_request(key(body), key(other))


def test_options_can_ignore_members_of_chat_requests() -> None:
    extractor = OpenAIChat(OpenAIChatOptions(ignore=("trace_id",)))
    extractor.follow([], ())
    assert same_request(key(chat(trace_id="a"), extractor=extractor), key(chat(trace_id="b"), extractor=extractor))
    assert reason(chat(Trace_id="a", trace_id="b"), extractor=extractor) == "ambiguous-case"


@pytest.mark.parametrize(
    "members",
    [
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"response_format": {"type": "json_object"}},
        {"service_tier": "flex"},
    ],
)
def test_an_ignored_member_still_says_how_its_answer_is_wanted(members: dict[str, Any]) -> None:
    extractor = OpenAIChat(OpenAIChatOptions(ignore=tuple(members)))
    ignoring, plain = key(chat(**members), extractor=extractor), key(chat(**members))
    assert ignoring.mode == plain.mode
    assert same_request(ignoring, key(chat()))


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"store": True}, "store"),
        ({"tools": [{"type": "web_search"}]}, "hosted-tool"),
        ({"web_search_options": {}}, "live-data"),
        ({"stream": "yes"}, "malformed-request"),
        ({"model": "m-search"}, "live-data"),
    ],
)
def test_an_ignored_member_still_keeps_its_request_away(members: dict[str, Any], why: str) -> None:
    extractor = OpenAIChat(OpenAIChatOptions(ignore=tuple(members)))
    assert reason(chat(**members), extractor=extractor) == why


def test_a_request_whose_messages_are_ignored_is_none() -> None:
    assert reason(chat(), extractor=OpenAIChat(OpenAIChatOptions(ignore=("messages",)))) == "malformed-request"


def test_normalise_rewrites_the_keys_copy_only() -> None:
    extractor = OpenAIChat()
    extractor.follow([], [Normalise(path="$.messages[0].content", pattern=r"\d{4}-\d\d-\d\d", replace="DATE")])
    requests = [
        request(ask({"role": "system", "content": f"It is {day}."}, USER)) for day in ("2026-01-01", "2026-01-02")
    ]
    one, other = (extractor.extract(each) for each in requests)
    assert isinstance(one, Key)
    assert isinstance(other, Key)
    assert same_request(one, other)
    assert b"2026-01-02" in requests[1].body
    assert not same_request(key(json.loads(requests[0].body)), key(json.loads(requests[1].body)))


@pytest.mark.parametrize(
    "rule",
    [
        Normalise(path="$.a[", pattern="x"),
        Normalise(path="$.a", pattern="("),
        Normalise(path="$.a", pattern="x", replace=r"\9"),
    ],
)
def test_a_rule_that_cannot_be_read_is_a_start_up_error(rule: Normalise) -> None:
    with pytest.raises(ConfigError):
        OpenAIChat().follow([], [rule])
