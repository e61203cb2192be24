"""The contract kit's promises, kept by this plugin; its README says what its options are."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from semcache_core.config import load
from semcache_core.protocols import KeyExtractor
from semcache_core.runtime.assembly import assemble
from semcache_core.runtime.registry import Registry
from semcache_core.testing import AnswerSample, KeyExtractorContract, PluginContract
from semcache_core.types import Request
from semcache_openai.chat import OpenAIChat
from semcache_openai.options import OpenAIChatOptions, OpenAIChatRoute

README = Path(__file__).parents[1] / "README.md"
OPTIONS = Path(__file__).parents[3] / "docs" / "options.py"


def chat(**members: Any) -> Request:
    body = {"model": "m-1", "messages": [{"role": "user", "content": "How do I reset my password?"}], **members}
    return Request(method="POST", path=b"/v1/chat/completions", body=json.dumps(body).encode())


DONE = b"data: [DONE]\n\n"
ABOUT = {"id": "chatcmpl-1", "created": 1700000000, "model": "m-1"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
COMPLETION = {
    **ABOUT,
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Open the settings, then « Sécurité »."},
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
}


def chunk(*choices: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {**ABOUT, "object": "chat.completion.chunk", "choices": list(choices), **members}


def delta(index: int = 0, finish: str | None = None, **members: Any) -> dict[str, Any]:
    return {"index": index, "delta": members, "finish_reason": finish}


CHUNKS = [
    chunk(delta(role="assistant", content="")),
    chunk(delta(content="Open the ")),
    chunk(delta(content="« Sécurité » page.")),
    chunk(delta(finish="stop")),
    chunk(usage=USAGE),
]
TWO_CHOICES = [
    chunk(delta(role="assistant", content="Hei"), delta(1, role="assistant", content="Moi")),
    chunk(delta(1, content=" taas")),
    chunk(delta(finish="stop"), delta(1, finish="stop")),
]


class TestOpenAIChat(KeyExtractorContract):
    ignored = {
        "stream": [True, False],
        "stream_options": [{"include_usage": True}],
        "prompt_cache_key": ["a", "b"],
        "prompt_cache_retention": ["24h"],
        "service_tier": ["auto", "flex"],
    }
    end_user = {
        "user": ["ann", "bob"],
        "safety_identifier": ["ann", "bob"],
        "metadata": [{"team": "red"}, {"team": "blue"}],
    }

    def make(self) -> KeyExtractor:
        return OpenAIChat(OpenAIChat.Options())

    def samples(self) -> Sequence[Request]:
        tool = {
            "type": "function",
            "function": {
                "name": "search_orders",
                "description": "finds orders",
                "parameters": {"type": "object", "properties": {"id": {"type": "string"}, "at": {"type": "integer"}}},
            },
        }
        turns = [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "What do you sell?"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "shoes"},
            {"role": "assistant", "content": "Shoes."},
        ]
        parts = [
            {"type": "text", "text": "Look at this picture of mine."},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8=", "detail": "low"}},
            {"type": "text", "text": "Which shoe is shown here?"},
        ]
        return [
            chat(),
            chat(temperature=0.2, top_p=0.9, seed=7, max_tokens=100, stop=["\n"], presence_penalty=0, logit_bias={}),
            chat(
                messages=[*turns, {"role": "user", "content": "Which of them are red?"}],
                tools=[tool],
                tool_choice="auto",
            ),
            chat(messages=[{"role": "user", "content": parts}], response_format={"type": "json_object"}),
            chat(messages=turns[:4]),
            chat(n=2, logprobs=True, user="cid", an_unknown_member={"k": [1, 2.5, None]}),
        ]

    def answers(self) -> Sequence[AnswerSample]:
        return [
            AnswerSample(request=chat(), content_type=b"application/json", body=json.dumps(COMPLETION).encode()),
            AnswerSample(
                request=chat(stream=True, stream_options={"include_usage": True}),
                content_type=b"text/event-stream; charset=utf-8",
                body=b": ping\n\n" + b"".join(b"data: %s\n\n" % json.dumps(each).encode() for each in CHUNKS) + DONE,
            ),
            AnswerSample(
                request=chat(stream=True, n=2),
                content_type=b"text/event-stream",
                body=b"".join(b"data: %s\r\n\r\n" % json.dumps(each).encode() for each in TWO_CHOICES) + DONE,
            ),
        ]


class TestPlugin(PluginContract):
    distribution = "semcache-openai"
    module = "semcache_openai.plugin"
    heavy = ("msgspec", "semcache_openai.chat")


@pytest.mark.parametrize("options", [OpenAIChatOptions, OpenAIChatRoute])
def test_the_readme_has_the_table_of_options_that_the_reference_has(options: type[msgspec.Struct]) -> None:
    spec = importlib.util.spec_from_file_location("options", OPTIONS)
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    (table,) = tables.options_table(options)
    assert f"<!-- options {options.__name__} -->\n{table}\n<!-- end -->" in README.read_text("utf-8")


def test_the_example_of_the_readme_makes_this_extractor(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (tmp_path / "semcache.toml").write_text(block)
    made = assemble(load(tmp_path / "semcache.toml"), Registry.installed())
    (chat_extractor,) = (one for one in made.key_extractors if isinstance(one, OpenAIChat))
    assert chat_extractor.claims("POST", b"/v1/chat/completions")
