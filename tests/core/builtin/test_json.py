"""The json extractor: which requests it claims, what of a body is its key, which answers it keeps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from semcache_core.builtin.json import JsonBody, JsonOptions, JsonRoute
from semcache_core.errors import ConfigError
from semcache_core.protocols import (
    Answer,
    AnswerHead,
    ExtractorRoute,
    Framing,
    KeyExtractor,
    Refused,
    SupportsAnswers,
    SupportsClaims,
    SupportsPaths,
    SupportsRules,
)
from semcache_core.settings import Policy
from semcache_core.types import API, Bypass, Key, Request

KEY = Key(template=b"")


def request(body: Any, *, path: bytes, method: str = "POST") -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method=method, path=path, body=raw)


def key(body: Any, *, extractor: KeyExtractor, path: bytes, method: str = "POST") -> Key:
    said = extractor.extract(request(body, path=path, method=method))
    assert isinstance(said, Key), said
    return said


def reason(body: Any, *, extractor: KeyExtractor, path: bytes, method: str = "POST") -> str:
    said = extractor.extract(request(body, path=path, method=method))
    assert isinstance(said, Bypass), said
    return said.reason


def same_request(one: Key, other: Key) -> bool:
    return (one.template, one.exact_only_members, one.slot) == (other.template, other.exact_only_members, other.slot)


def same_scope(one: Key, other: Key) -> bool:
    return (one.template, one.end_user) == (other.template, other.end_user)


ASK = b"/api/ask"


def json_extractor(*routes: ExtractorRoute, **options: Any) -> JsonBody:
    extractor = JsonBody(JsonOptions(**options))
    extractor.follow(routes, ())
    return extractor


def test_json_claims_only_what_a_route_or_paths_name() -> None:
    extractor = json_extractor(ExtractorRoute("/api/ask", JsonRoute(methods=("GET", "POST"))), paths=("/other",))
    assert extractor.claims("POST", b"/x/api/ask")
    assert extractor.claims("GET", ASK)
    assert extractor.claims("POST", b"/other")
    for method, path in (
        ("PUT", ASK),
        ("GET", b"/other"),
        ("POST", b"/api/asks"),
        ("POST", b"/api/ask/"),
        ("POST", b"/"),
    ):
        assert not extractor.claims(method, path)
    assert not JsonBody().claims("POST", ASK)


def test_the_longest_route_counts() -> None:
    extractor = json_extractor(
        ExtractorRoute("/ask", JsonRoute(text="$.a")), ExtractorRoute("/api/ask", JsonRoute(text="$.b"))
    )
    assert key({"a": "x", "b": "y"}, extractor=extractor, path=ASK).slot == ("y",)
    assert key({"a": "x", "b": "y"}, extractor=extractor, path=b"/ask").slot == ("x",)


@pytest.mark.parametrize(
    ("body", "slot"),
    [
        ({"question": "q", "input": "i", "prompt": "p", "query": "y"}, "y"),
        ({"question": "q", "input": "i", "prompt": "p", "query": 1}, "p"),
        ({"question": "q", "input": ["i"]}, "q"),
    ],
)
def test_the_text_is_the_first_usual_name_that_holds_one(body: dict[str, Any], slot: str) -> None:
    assert key(body, extractor=json_extractor(paths=("/ask",)), path=ASK).slot == (slot,)


@pytest.mark.parametrize(
    ("path", "body", "slot"),
    [
        ("$.a.b", {"a": {"b": "t"}}, ("t",)),
        ("$.a[0]", {"a": ["t", "u"]}, ("t",)),
        ("$.a[-1].x", {"a": [{"x": "t"}, {"x": "u"}]}, ("u",)),
        ("$.a[*]", {"a": ["t", "u"]}, ("t", "u")),
        ("$['a.b']", {"a.b": "t"}, ("t",)),
        ("a", {"a": "t"}, ("t",)),
        ("$", "t", ("t",)),
        ("$[1]", ["t", "u"], ("u",)),
        ("$.a", {"query": "t"}, ()),
        ("$.a[*]", {"a": ["t", 1]}, ()),
        ("$.a.b", {"a": "t"}, ()),
    ],
)
def test_a_json_path_names_the_text(path: str, body: Any, slot: tuple[str, ...]) -> None:
    made = key(body, extractor=json_extractor(ExtractorRoute("/ask", JsonRoute(text=path))), path=ASK)
    assert made.slot == slot
    assert made.exact_only == (None if slot else "no-text")


def test_ignored_members_leave_the_key_and_all_others_stay() -> None:
    extractor = json_extractor(ExtractorRoute("/ask", JsonRoute(ignore=("trace", "$.meta.id"))), ignore=("build",))
    one = key({"query": "q", "trace": 1, "build": 1, "meta": {"id": 1, "k": 1}}, extractor=extractor, path=ASK)
    assert same_request(key({"query": "q", "trace": 2, "meta": {"k": 1}}, extractor=extractor, path=ASK), one)
    assert not same_scope(key({"query": "q", "meta": {"k": 2}}, extractor=extractor, path=ASK), one)
    assert not same_scope(key({"query": "q"}, extractor=extractor, path=ASK), one)


def test_json_sorts_the_top_level_only() -> None:
    extractor = json_extractor(paths=("/ask",))
    one = key({"query": "q", "f": {"a": 1, "b": 2}}, extractor=extractor, path=ASK)
    assert same_request(key({"f": {"a": 1, "b": 2}, "query": "q"}, extractor=extractor, path=ASK), one)
    assert not same_request(key({"query": "q", "f": {"b": 2, "a": 1}}, extractor=extractor, path=ASK), one)


def test_numbers_of_generic_apis_count_by_literal() -> None:
    extractor = json_extractor(paths=("/ask",))
    forms = (b"1", b"1.0", b"1e0", b"true", b"-0", b"0", b"-0.0")
    made = [key(b'{"query":"q","temperature":%s}' % form, extractor=extractor, path=ASK) for form in forms]
    assert len({each.template for each in made}) == len(forms)


def test_get_matches_exactly_only() -> None:
    extractor = json_extractor(ExtractorRoute("/ask", JsonRoute(methods=("GET",))))
    assert key(b"", extractor=extractor, path=ASK, method="GET").exact_only == "get"
    assert reason(b"{}", extractor=extractor, path=ASK, method="GET") == "get-with-body"
    assert extractor.extract(request({}, path=ASK)) is None


def test_two_methods_never_share_a_key() -> None:
    extractor = json_extractor(ExtractorRoute("/ask", JsonRoute(methods=("PUT", "POST"))))
    one, other = (key({"query": "q"}, extractor=extractor, path=ASK, method=method) for method in ("PUT", "POST"))
    assert not same_scope(one, other)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"a=1&b=2", "ambiguous-json"),
        (b"", "ambiguous-json"),
        (b'{"query":"a","query":"b"}', "ambiguous-duplicate"),
        (b'{"query":"a","Query":"b"}', "ambiguous-case"),
        (b'{"query":"a","Trace":"b"}', "ambiguous-case"),
    ],
)
def test_json_bodies_that_are_ambiguous_are_bypassed(raw: bytes, why: str) -> None:
    assert reason(raw, extractor=json_extractor(paths=("/ask",), ignore=("trace",)), path=ASK) == why


@pytest.mark.parametrize("path", ["$a", "$.", "$[x]", "$[0", "$..a", "$.a[1:2]"])
def test_a_json_path_that_is_not_understood_is_a_start_up_error(path: str) -> None:
    with pytest.raises(ConfigError, match="JSON path"):
        JsonBody(JsonOptions(text=path))


def test_the_extractor_has_the_powers_it_should() -> None:
    for power in (KeyExtractor, SupportsAnswers, SupportsRules, SupportsPaths):
        assert isinstance(JsonBody(), power)
    assert not isinstance(JsonBody(), SupportsClaims), "its paths come from the configuration"
    assert JsonBody().traits is API


def test_the_place_of_the_text_is_marked_by_what_no_json_can_say() -> None:
    assert key({"query": "q"}, extractor=json_extractor(paths=("/ask",)), path=b"/ask").template.count(b"\x00") == 1


def test_paths_of_a_driver_are_claimed_by_a_copy() -> None:
    extractor = json_extractor(ExtractorRoute("/ask", JsonRoute(text="$.a")), ignore=("trace",))
    extended = extractor.with_paths(["/ask", "/tell"], ["PUT"])
    assert extended.claims("PUT", b"/ask")
    assert extended.claims("POST", b"/ask")
    assert extended.claims("PUT", b"/tell")
    assert not extended.claims("POST", b"/tell")
    assert not extractor.claims("PUT", b"/ask")
    body = {"a": "x", "query": "y", "trace": 1}
    assert key(body, extractor=extended, path=b"/ask", method="PUT").slot == ("x",)
    assert key(body, extractor=extended, path=b"/tell", method="PUT").slot == ("y",)


# -- answers ---------------------------------------------------------------------------------------------------------


def recorded(data: bytes, content_type: bytes = b"application/json") -> Answer | Refused:
    """Return what becomes of an answer."""
    head = AnswerHead(200, ((b"content-type", content_type),))
    recorder = JsonBody().recorder(KEY, head, policy=Policy())
    if isinstance(recorder, Refused):
        return recorder
    recorder.feed(data)
    return recorder.finish()


def refusal(answer: Answer | Refused) -> str:
    """Return why it is refused."""
    assert isinstance(answer, Refused), answer
    return answer.reason


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty-answer"),
        (b" \n", "empty-answer"),
        (b'{"a": ', "malformed-answer"),
        (b'{"error": "x"}', "error-member"),
    ],
)
def test_a_answer_that_is_empty_broken_or_an_error_is_refused(data: bytes, expected: str) -> None:
    assert refusal(recorded(data)) == expected


def test_a_answer_is_kept_byte_for_byte() -> None:
    data = b'{"a" : 1.0, "error": null}'
    answer = recorded(data)
    assert isinstance(answer, Answer)
    framing = Framing(streamed=False, required=frozenset(), exact=True, fresh_id="fresh", now=0.0)
    assert b"".join(JsonBody().reply(answer, framing).chunks) == data


@pytest.mark.parametrize(
    "content_type", [b"text/event-stream", b"application/x-ndjson", b"multipart/mixed; boundary=x"]
)
def test_a_stream_has_no_terminal_event_and_is_refused(content_type: bytes) -> None:
    assert refusal(recorded(b"data: 1\n\n", content_type)) == "content-type"
