"""Keys of the OpenAI chat protocol: ``POST .../chat/completions`` under any prefix, of any provider."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Self

import msgspec

from semcache_core.authoring.json_form import (
    HASHED,
    SLOT,
    Ambiguous,
    by_value,
    check_names,
    in_order,
    parse,
    seal,
    sorted_names,
)
from semcache_core.authoring.rules import Rewrites, RouteTable, drop
from semcache_core.protocols import Answer, AnswerHead, ExtractorRoute, Framing, Recorder, Refused, Reply
from semcache_core.reasons import Code
from semcache_core.settings import Normalise, Policy
from semcache_core.types import LLM, Bypass, Key, Mode, Request

from .answers import recorder_for
from .names import END_USER, FOLDED_MESSAGE, FOLDED_PART, MESSAGE, PART
from .options import OpenAIChatOptions, OpenAIChatRoute, terms_of
from .replies import reply
from .shape import CONTAINERS, MALFORMED, Shape, is_on, shape_of, why_bypassed

__all__ = ["OpenAIChat"]

_USUAL_TURN = frozenset({"role", "content"})
_NUMBERS = (float, int, msgspec.Raw)
_WHOLE, _STREAM = b"whole", b"stream"
_USAGE, _NOTHING = frozenset({"usage"}), frozenset[str]()


_PLAIN_WHOLE = Mode(required=_USAGE, flight=_WHOLE)
_PLAIN_STREAM = Mode(streamed=True, required=_NOTHING, flight=_STREAM)


class OpenAIChat:
    """The ``openai-chat`` key extractor (``semcache_core.protocols.KeyExtractor``, ``SupportsAnswers``)."""

    Options = OpenAIChatOptions
    RouteOptions = OpenAIChatRoute
    traits = LLM
    claimed = (("POST", b"/v1/chat/completions"),)

    def __init__(self, options: OpenAIChatOptions | None = None) -> None:
        self._options = options or OpenAIChatOptions()
        self._last_turn = self._options.turns == "last-turn"
        self.follow((), ())

    def follow(self, routes: Sequence[ExtractorRoute], normalise: Sequence[Normalise]) -> None:
        """Read the routes' options for this extractor, and rewrite keys by ``normalise``. Raises ConfigError."""
        self._base = base = terms_of(self._options)
        terms = [(route.path, terms_of(self._options, route)) for route in routes]
        self._terms = RouteTable(terms, otherwise=base)
        self._rewrites = Rewrites(normalise)
        everywhere = [base, *(each for _, each in terms)]
        # Usually neither is configured, and then requests do not pay for the check.
        self._has_rules = bool(self._rewrites) or any(each.ignore for each in everywhere)
        self._zeroes = any(each.zero_usage for each in everywhere)

    def notices(self) -> Sequence[str]:
        """Return notices for the operator about these options."""
        if not self._last_turn:
            return ()
        return ('turns = "last-turn": a conversation may be answered from another one with a similar last message',)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close nothing."""

    def claims(self, method: str, path: bytes) -> bool:
        """Say whether this is a chat completion, by method and path suffix."""
        return method == "POST" and path.endswith(b"/chat/completions")

    def extract(self, request: Request) -> Key | Bypass | None:
        """Return the key of a chat request; Bypass if its answer is not a function of it, or its body is ambiguous."""
        try:
            body = parse(request.body)
            if type(body) is not dict:
                return Bypass(reason=MALFORMED)
            shape = shape_of(body)
            bypass = why_bypassed(body, shape)
            mode = _mode_of(body, shape)
            if self._has_rules and bypass is None:
                # Members that the rules remove from the key are still requested: mode and bypass use the whole body.
                body = self._ruled(body, request.path)
                shape = shape_of(body)
                bypass = why_bypassed(body, shape)
            return bypass or self._key(body, shape, mode)
        except Ambiguous as ambiguous:
            return Bypass(reason=ambiguous.reason)

    def recorder(self, key: Key, head: AnswerHead, *, policy: Policy) -> Recorder | Refused:
        """Return a recorder for this content type, or why such an answer is not stored."""
        return recorder_for(key, head, self._terms.named(policy.route) if policy.route else self._base)

    def reply(self, answer: Answer, framing: Framing) -> Reply | None:
        """Frame a stored answer for this caller; None if it lacks a member that the caller's mode requires."""
        zero_usage = self._zeroes and self._terms.named(framing.route).zero_usage
        return reply(answer, framing, zero_usage=zero_usage)

    def _ruled(self, body: dict[str, Any], path: bytes) -> dict[str, Any]:
        root = [body]
        self._rewrites.apply(root)
        drop(root, self._terms.of(path).ignore)
        return root[0]

    def _key(self, body: dict[str, Any], shape: Shape, mode: Mode) -> Key:
        end_user = _end_user(body) if shape.end_user else b""
        for name in shape.left_out:
            del body[name]
        for name in shape.sampling:
            body[name] = by_value(body[name])
        exact_only = _why_exact(body) if shape.exact else None
        for name in shape.others:
            if type(body[name]) in CONTAINERS:
                body[name] = seal(body[name])
        messages = body["messages"]
        for message in messages:
            _settle(message)
        last = messages[-1]
        slot = _take_text(last)
        if not slot and exact_only is None:
            exact_only = "tool-result" if last.get("role") in ("tool", "function") else "no-text"
        exact_only_members = self._set_aside(body, messages) if self._last_turn else b""
        return Key(
            template=sorted_names(body),
            exact_only_members=exact_only_members,
            slot=slot,
            end_user=end_user,
            exact_only=exact_only,
            mode=mode,
        )

    @staticmethod
    def _set_aside(body: dict[str, Any], messages: list[dict[str, Any]]) -> bytes:
        """Leave the system messages and the last turn in the body; return everything before the last turn."""
        *earlier, last = messages
        body["messages"] = [*(turn for turn in earlier if turn.get("role") in ("system", "developer")), last]
        return sorted_names(earlier)


def _mode_of(body: dict[str, Any], shape: Shape) -> Mode:
    if not shape.delivery:
        return _PLAIN_STREAM if body.get("stream") else _PLAIN_WHOLE
    streamed = bool(body.get("stream"))
    options = body.get("stream_options")
    required = set(_NOTHING if streamed else _USAGE)
    if streamed and type(options) is dict and options.get("include_usage") is True:
        required.add("usage")
    form = body.get("response_format")
    if type(form) is dict and form.get("type") in ("json_object", "json_schema"):
        required.add("json")
    flight = in_order([streamed, options, body.get("service_tier")])
    return Mode(streamed=streamed, required=frozenset(required), flight=flight)


def _why_exact(body: dict[str, Any]) -> Code | None:
    """Return why only an equal request may match. Sampling numbers already compare by value."""
    choices = body.get("n")
    if choices is not None and (type(choices) is not int or choices != 1):
        return "several-choices"
    if is_on(body.get("logprobs")) or is_on(body.get("top_logprobs")):
        return "logprobs"
    modalities = body.get("modalities")
    if body.get("audio") is not None or (type(modalities) is list and "audio" in modalities):
        return "audio"
    temperature = body.get("temperature")
    if type(temperature) in _NUMBERS and not (type(temperature) is float and temperature <= 1.0):
        return "temperature"
    return None


def _end_user(body: dict[str, Any]) -> bytes:
    """Return the end-user members: they split scopes, but equal requests of two end users share an answer."""
    return sorted_names({name: seal(body[name]) for name in END_USER & body.keys()})


def _settle(message: Any) -> None:
    """Fix a message's members, so that only the names of messages and parts are sorted."""
    if type(message) is not dict:
        raise Ambiguous(MALFORMED)
    if message.keys() == _USUAL_TURN and type(message["content"]) is str and type(message["role"]) is str:
        return
    if not message.keys() <= MESSAGE:
        check_names(message, FOLDED_MESSAGE)
    for name, value in message.items():
        if name == "content" and type(value) is list:
            message[name] = [_settled_part(part) for part in value]
        elif type(value) in CONTAINERS:
            message[name] = seal(value)


def _settled_part(part: Any) -> Any:
    if type(part) is not dict:
        return seal(part) if type(part) is list else part
    if not part.keys() <= PART:
        check_names(part, FOLDED_PART)
    part = {name: seal(value) if type(value) in CONTAINERS else value for name, value in part.items()}
    if part.get("type") == "text":
        return part
    # Images, audio and files compare by content and may be megabytes: use their hash.
    digest = blake2b(sorted_names(part), digest_size=32).hexdigest()
    return msgspec.Raw(b'"' + HASHED + digest.encode() + b'"')


def _take_text(last: dict[str, Any]) -> tuple[str, ...]:
    """Remove the text parts of a final user message, mark their places, and return them."""
    if last.get("role") != "user":
        return ()
    content = last.get("content")
    if type(content) is str:
        last["content"] = SLOT
        return (content,)
    if type(content) is not list:
        return ()
    texts = [part for part in content if type(part) is dict and type(part.get("text")) is str]
    slot = tuple(part["text"] for part in texts)
    for part in texts:
        part["text"] = SLOT
    return slot
