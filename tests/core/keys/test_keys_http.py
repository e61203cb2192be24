"""From a request to its query: what changes a key, what does not, and what two callers never share."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from semcache_core.builtin.json import JsonBody, JsonOptions
from semcache_core.keys.digests import Digests, members_of, namespace_tag, partition_tag, tag_digest, veto_id
from semcache_core.keys.http import HttpKeys, ResolvedCaller, Target
from semcache_core.settings import HttpOptions, Policy
from semcache_core.types import Bypass, Key, Query, Request
from semcache_openai.chat import OpenAIChat

KEYS = HttpKeys(Digests(b"a secret of sixteen bytes or more"), options=HttpOptions())
CHAT = OpenAIChat()
JSON = JsonBody(JsonOptions(paths=("/ask",)))
POLICY = Policy()
AUTH = (b"authorization", b"Bearer sk-one")
HOST = (b"host", b"llm.example")
PATH = b"/v1/chat/completions"
TEXT = "How do I reset my password?"
SYSTEM = {"role": "system", "content": "Be kind."}
USER = {"role": "user", "content": TEXT}
Headers = list[tuple[bytes, bytes]]


def target(path: bytes = PATH, **members: Any) -> Target:
    given = {
        "namespace": "n",
        "protocol": "openai-chat",
        "method": "POST",
        "scheme": "https",
        "mount": "",
        "path": path,
    }
    return Target(**(given | members))


def query(
    body: Any,
    headers: Headers | None = None,
    *,
    to: Target | None = None,
    extractor: Any = CHAT,
    policy: Policy = POLICY,
) -> Query:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    to = to or target()
    caller = KEYS.admit(to, [HOST, AUTH] if headers is None else headers, now=0.0)
    assert isinstance(caller, ResolvedCaller), caller
    key = extractor.extract(Request(method=to.method, path=to.path, body=raw))
    assert isinstance(key, Key), key
    return KEYS.query(key, caller, policy=policy)


def chat(**members: Any) -> dict[str, Any]:
    return {"model": "m-1", "messages": [SYSTEM, USER], **members}


def alias(body: bytes, headers: Headers, to: Target) -> bytes:
    assert isinstance(KEYS.admit(to, headers, now=0.0), ResolvedCaller)  # From now on it knows the names.
    place = (to.namespace, to.protocol, to.method, to.scheme, to.mount, to.path, to.query, to.upstream)
    return KEYS.digests.alias(KEYS.canonical_head(place, headers, traits=to.traits), body)


def veto(one: Query, entry: bytes = b"e" * 16) -> bytes:
    return veto_id(one, entry)


def digests(one: Query) -> dict[str, bytes]:
    names = ("partition", "exact", "entry_id", "scope", "store_scope", "flight")
    return {name: getattr(one, name) for name in names} | {"veto": veto(one)}


def assert_nothing_shared(one: Query, other: Query) -> None:
    mine, others = digests(one), digests(other)
    assert {name for name in mine if mine[name] == others[name]} == set()


# -- the traps ----------------------------------------------------------------------------------------------------


def test_equal_bodies_from_two_tenants_share_nothing() -> None:
    assert_nothing_shared(query(chat()), query(chat(), [HOST, (b"authorization", b"Bearer sk-two")]))


def test_equal_bodies_to_two_hosts_share_nothing() -> None:
    assert_nothing_shared(query(chat()), query(chat(), [(b"host", b"other.example"), AUTH]))


def test_equal_bodies_of_two_projects_share_nothing() -> None:
    one, other = (query(chat(), [HOST, AUTH, (b"openai-project", name)]) for name in (b"a", b"b"))
    assert_nothing_shared(one, other)


def test_end_users_behind_one_key_exact_yes_semantic_no() -> None:
    one, other = query(chat(user="ann")), query(chat(user="bob"))
    assert (one.partition, one.exact, one.entry_id) == (other.partition, other.exact, other.entry_id)
    assert one.store_scope != other.store_scope
    assert one.flight != other.flight
    assert veto(one) != veto(other)


def test_raw_path_variants_share_nothing() -> None:
    paths = [PATH, b"/v1/%63hat/completions", b"/V1/chat/completions", b"/x/v1/chat/completions", b"/chat/completions"]
    queries = [query(chat(), to=target(path)) for path in paths]
    assert len({each.entry_id for each in queries}) == len({each.store_scope for each in queries}) == len(paths)


def test_path_and_model_are_never_words_of_the_embedded_text() -> None:
    assert query(chat()).text == TEXT
    assert query(chat(model="m-2")).text == TEXT
    assert query(chat(model="m-2")).store_scope != query(chat()).store_scope


def test_a_long_text_that_differs_in_the_middle_matches_exactly_only() -> None:
    contracts = [f"{'Clause. ' * 100}The fee is {fee}. {'Clause. ' * 100}" for fee in (5, 6)]
    one, other = (query(chat(messages=[{"role": "user", "content": text}])) for text in contracts)
    assert one.exact_only == other.exact_only == "long-text"
    assert one.entry_id != other.entry_id


def test_where_only_equal_requests_count_no_text_may_be_compared() -> None:
    exact = Policy(match="exact")
    assert query(chat(), policy=exact).exact_only == "exact-mode"
    assert query(chat(n=2), policy=exact).exact_only == query(chat(n=2)).exact_only == "several-choices"


def test_long_fields_of_a_flight_keep_it_short_and_apart() -> None:
    one, other = (query(chat(user="x" * 200 + name)) for name in "ab")
    assert one.flight != other.flight
    assert len(one.flight) <= 128


def test_a_marker_leaves_the_question_alone_to_be_compared() -> None:
    policy = Policy(compare_after="Question:")

    def of(contract: str, asked: str) -> Query:
        return query(chat(messages=[{"role": "user", "content": f"{contract} Question: {asked}"}]), policy=policy)

    one, other = of("Clause. " * 100, "Who pays the fee?"), of("Clause. " * 101, "Who pays the fee?")
    assert one.exact_only is None
    assert one.text == "Who pays the fee?"
    assert one.store_scope == of("Clause. " * 100, "By whom is the fee paid?").store_scope
    assert one.store_scope != other.store_scope


def test_one_conversations_last_turn_never_answers_another() -> None:
    one, other = (
        query(chat(messages=[{"role": "user", "content": first}, {"role": "assistant", "content": "Sure?"}, USER]))
        for first in ("Delete A", "Delete B")
    )
    assert one.store_scope != other.store_scope
    assert one.entry_id != other.entry_id


def test_lower_casing_before_hashing_never_happens() -> None:
    one, other = (query(chat(messages=[{"role": "user", "content": text}])) for text in (TEXT, TEXT.lower()))
    assert one.exact != other.exact
    assert one.store_scope == other.store_scope


def test_white_space_and_normal_forms_are_folded_for_the_embedder_only() -> None:
    texts = ("Café  menu please now", "Cafe\u0301 menu\nplease now")
    one, other = (query(chat(messages=[{"role": "user", "content": text}])) for text in texts)
    assert one.text == other.text == "Café menu please now"
    assert one.exact != other.exact


def test_an_exact_answer_never_crosses_modes_of_delivery_but_flights_do_not_mix() -> None:
    one, other = query(chat(stream=True)), query(chat())
    assert one.entry_id == other.entry_id
    assert one.flight != other.flight


def test_keyed_headers_split_exact_and_scope() -> None:
    one, other = (query(chat(), [HOST, AUTH, (b"openai-beta", value)]) for value in (b"a", b"b"))
    assert one.partition == other.partition
    assert one.exact != other.exact
    assert one.store_scope != other.store_scope


def test_parts_moved_across_the_hole_are_another_request() -> None:
    texts = [("ab", "c"), ("a", "bc"), ("abc", ""), ("a\nb", "c")]
    made = [
        query(chat(messages=[{"role": "user", "content": [{"type": "text", "text": text} for text in pair]}]))
        for pair in texts
    ]
    assert len({each.exact for each in made}) == len(texts)


# -- tags, vetoes, aliases ----------------------------------------------------------------------------------------


def test_tags_of_two_kinds_or_namespaces_are_never_one() -> None:
    tags = [
        tag_digest("n", "a"),
        tag_digest("na", ""),
        tag_digest("", "na"),
        tag_digest("a", "n"),
        namespace_tag("n"),
        namespace_tag("a"),
        partition_tag(b"n"),
    ]
    assert len(set(tags)) == len(tags)
    assert {len(tag) for tag in tags} == {16}


def test_a_veto_binds_partition_scope_text_and_entry() -> None:
    one = query(chat())
    others = [
        veto(one, b"f" * 16),
        veto(query(chat(messages=[SYSTEM, {"role": "user", "content": "Where is my order?"}]))),
        veto(query(chat(model="m-2"))),
        veto(query(chat(), [HOST, (b"authorization", b"Bearer sk-two")])),
    ]
    assert veto(one) not in others
    assert veto(one) == veto(query(chat(stream=True)))


def test_an_alias_knows_the_very_same_bytes_of_the_very_same_caller_only() -> None:
    body = json.dumps(chat()).encode()
    aliases = [
        alias(body, [HOST, AUTH], target()),
        alias(body + b" ", [HOST, AUTH], target()),
        alias(body, [HOST, (b"authorization", b"Bearer sk-two")], target()),
        alias(body, [AUTH], target()),
        alias(body, [HOST, AUTH, (b"openai-beta", b"x")], target()),
        alias(body, [HOST, AUTH], target(b"/v2/chat/completions")),
        alias(body, [HOST, AUTH], target(namespace="m")),
    ]
    assert len(set(aliases)) == len(aliases)
    assert alias(body, [HOST, (b"traceparent", b"00-1"), AUTH], target()) == aliases[0]
    for directing in (b"cache-control", b"pragma", b"semcache-control", b"semcache-debug"):
        assert alias(body, [HOST, AUTH, (directing, b"no-cache")], target()) not in aliases


def test_a_settled_query_is_the_same_and_lets_go_of_the_request() -> None:
    one = query(chat(user="ann"))
    settled = one.settled()
    assert digests(settled) == digests(one)
    assert (settled.text, settled.fields, settled.exact_only) == (one.text, one.fields, one.exact_only)
    cells = [cell.cell_contents for cell in settled.nearby_of.__closure__ or ()]
    assert cells == [one.nearby]


def test_what_split_two_keys_is_named_and_never_shown() -> None:
    headers = [HOST, AUTH, (b"openai-beta", b"x")]
    one = dict(members_of(query(chat(temperature=0.1, user="ann"), headers).fields))
    other = dict(members_of(query(chat(temperature=0.2, user="bob"), [HOST, AUTH]).fields))
    split = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    assert split == {"temperature", "end user", "header openai-beta"}
    assert {len(digest) for digest in one.values()} == {8}


def test_the_names_of_members_are_bounded_in_number_and_length() -> None:
    fields = members_of(query(chat(**{f"{'x' * 500}{number}": number for number in range(500)})).fields)
    assert len(fields) == 64
    assert max(len(name) for name, _ in fields) == 64


def test_a_query_never_shows_its_prompt_or_its_caller() -> None:
    shown = repr(query(chat())) + repr(query(chat()).nearby_of)
    assert "password" not in shown
    assert "sk-one" not in shown


# -- properties ---------------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | WORDS
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(WORDS, v, max_size=3), max_leaves=5)
PARTS = st.fixed_dictionaries({"type": st.just("text"), "text": WORDS}) | st.fixed_dictionaries(
    {
        "type": st.just("image_url"),
        "image_url": st.fixed_dictionaries({"url": WORDS, "detail": st.sampled_from(["low", "high"])}),
    }
)
TURNS = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant", "tool"]),
        "content": WORDS | st.none() | st.lists(PARTS, max_size=3),
    },
    optional={"name": WORDS},
)
# A model that searches is never looked up.
SEARCHING = ("search", "sonar", "deep-research", "online", "compound")
MODELS = WORDS.filter(lambda model: not any(name in model.casefold() for name in SEARCHING))
BODIES = st.fixed_dictionaries(
    {
        "model": MODELS,
        "messages": st.lists(TURNS, min_size=1, max_size=4),
    },
    optional={
        "temperature": st.floats(0, 1),
        "seed": st.integers(0, 5),
        "max_tokens": st.integers(1, 5),
        "stop": st.lists(WORDS, max_size=2),
        "response_format": st.just({"type": "json_object"}),
        "tools": st.lists(
            st.fixed_dictionaries(
                {"type": st.just("function"), "function": st.dictionaries(WORDS, SCALARS, max_size=3)}
            ),
            max_size=2,
        ),
        "x_unknown": VALUES,
    },
)
DELIVERY = st.fixed_dictionaries(
    {},
    optional={
        "stream": st.booleans() | st.none(),
        "stream_options": st.just({"include_usage": True}),
        "service_tier": WORDS,
        "prompt_cache_key": WORDS,
    },
)
TRANSPORT = st.lists(
    st.tuples(
        st.sampled_from(
            [b"user-agent", b"traceparent", b"x-request-id", b"accept", b"cf-ray", b"x-stainless-os", b"via"]
        ),
        st.binary(max_size=6),
    ),
    max_size=4,
)


@given(BODIES, DELIVERY, TRANSPORT, st.randoms(use_true_random=False), st.sampled_from([None, 2]), st.booleans())
@settings(max_examples=100, deadline=None)
def test_transport_ignored_fields_white_space_and_key_order_never_change_a_key(
    body: dict[str, Any],
    delivery: dict[str, Any],
    transport: Headers,
    rng: random.Random,
    indent: int | None,
    ascii: bool,
) -> None:
    plain = query(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())
    other = shuffled({**copy.deepcopy(body), **delivery}, rng)
    for turn in other["messages"]:
        if isinstance(turn["content"], list):
            turn["content"] = [shuffled(part, rng) for part in turn["content"]]
    other["messages"] = [shuffled(turn, rng) for turn in other["messages"]]
    written = json.dumps(other, indent=indent, ensure_ascii=ascii).encode()
    again = query(written, [*transport, AUTH, HOST])
    assert (again.partition, again.exact, again.scope) == (plain.partition, plain.exact, plain.scope)


def shuffled(members: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    names = list(members)
    rng.shuffle(names)
    return {name: members[name] for name in names}


@given(BODIES, BODIES)
@settings(max_examples=150, deadline=None)
def test_two_different_bodies_never_share_an_entry(one: dict[str, Any], other: dict[str, Any]) -> None:
    assume(ordered(one) != ordered(other))
    assert query(one).entry_id != query(other).entry_id


@given(BODIES, st.data())
@settings(max_examples=150, deadline=None)
def test_any_change_but_the_final_text_changes_the_scope(body: dict[str, Any], data: st.DataObject) -> None:
    other = copy.deepcopy(body)
    name = data.draw(st.sampled_from([*sorted(other), "another_member"]))
    if name == "messages":
        index = data.draw(st.integers(0, len(other["messages"]) - 1))
        other["messages"][index] = data.draw(TURNS)
    else:
        other[name] = data.draw((MODELS if name == "model" else WORDS) | st.lists(WORDS, max_size=1))
    assume(name not in ("stream", "tools"))
    assume(without_final_text(body) != without_final_text(other))
    assert query(body).store_scope != query(other).store_scope


def ordered(body: dict[str, Any]) -> str:
    """Write a body so that equal texts are equal requests."""
    body = copy.deepcopy(body)
    if type(body.get("temperature")) in (int, float):
        body["temperature"] = float(body["temperature"]) + 0.0
    for turn in body["messages"]:
        if isinstance(turn["content"], list):
            turn["content"] = [dict(sorted(part.items())) for part in turn["content"]]
    body["messages"] = [dict(sorted(turn.items())) for turn in body["messages"]]
    return json.dumps(dict(sorted(body.items())))


def without_final_text(body: dict[str, Any]) -> str:
    body = copy.deepcopy(body)
    last = body["messages"][-1]
    if last["role"] == "user":
        if isinstance(last["content"], str):
            last["content"] = {"taken": "out"}
        elif isinstance(last["content"], list):
            for part in last["content"]:
                if part["type"] == "text":
                    part["text"] = {"taken": "out"}
    return ordered(body)


CREDENTIALS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"authorization", b"x-api-key", b"openai-project", b"x-forwarded-user", b"x-auth-request-email"]
        ),
        st.binary(min_size=1, max_size=6).filter(lambda value: bool(value.strip())),
    ),
    max_size=3,
    unique_by=lambda header: header[0],
).map(lambda headers: [HOST, (b"x-auth-token", b"t"), *headers])


@given(st.sampled_from([chat(), chat(user="u"), chat(stream=True)]), CREDENTIALS, CREDENTIALS)
@settings(max_examples=200, deadline=None)
def test_two_identities_never_share_a_partition_entry_flight_veto_or_alias(
    body: dict[str, Any], one: Headers, other: Headers
) -> None:
    assume(sorted(one) != sorted(other))
    assert_nothing_shared(query(body, one), query(body, other))
    raw = json.dumps(body).encode()
    assert alias(raw, one, target()) != alias(raw, other, target())


VALID = [
    json.dumps(chat(temperature=0.5, stop=["a"], stream=True, user="u")).encode(),
    json.dumps(
        chat(messages=[SYSTEM, {"role": "user", "content": [{"type": "text", "text": TEXT}]}], tools=[])
    ).encode(),
    json.dumps({"query": "a", "filters": {"since": None, "n": 1.5}, "question": "b"}).encode(),
]
BAD = [
    b"NaN",
    b"\x00",
    b"\\u0000",
    rb"\ud800",
    b"\xff",
    b"-0",
    b"1e999",
    b'"',
    b"{",
    b"[" * 200,
    b"null",
    b'"a":1,"a":1',
    b"]" * 3,
]


@given(st.sampled_from(VALID), st.data())
@settings(max_examples=300, deadline=None)
def test_no_mutation_of_a_valid_body_makes_an_extractor_raise(body: bytes, data: st.DataObject) -> None:
    mutant = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(mutant)))
        end = min(len(mutant), start + data.draw(st.integers(0, 12)))
        mutant[start:end] = data.draw(st.sampled_from(BAD) | st.binary(max_size=3))
    for extractor, path in ((CHAT, PATH), (JSON, b"/ask")):
        said = extractor.extract(Request(method="POST", path=path, body=bytes(mutant)))
        assert isinstance(said, (Key, Bypass))
        if isinstance(said, Key):
            caller = KEYS.admit(target(path), [HOST, AUTH], now=0.0)
            assert isinstance(caller, ResolvedCaller)
            made = KEYS.query(said, caller, policy=POLICY)
            assert len(made.entry_id) == len(made.scope) == 16
            assert made.fields is not None


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_no_json_value_makes_an_extractor_raise(value: Any) -> None:
    for body in (value, {"messages": value}, {"messages": [value]}, {"messages": [{"role": "user", "content": value}]}):
        for members in (
            {},
            {"tools": value},
            {"model": value},
            {"n": value, "modalities": value, "stream_options": value},
        ):
            whole = {**members, **body} if isinstance(body, dict) else body
            said = CHAT.extract(Request(method="POST", path=PATH, body=json.dumps(whole).encode()))
            assert isinstance(said, (Key, Bypass))


@pytest.mark.parametrize(
    "body", [b"[" * 10_000, b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000, b"NaN", b"\x00", b"", b'"' * 9]
)
def test_what_is_hardly_json_is_a_bypass(body: bytes) -> None:
    assert isinstance(CHAT.extract(Request(method="POST", path=PATH, body=body)), Bypass)
    assert isinstance(JSON.extract(Request(method="POST", path=b"/ask", body=body)), Bypass)
