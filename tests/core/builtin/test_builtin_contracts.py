"""The built-in components keep every contract, as any plugin must."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from semcache_core.builtin.memory import MemoryResponseStore, MemoryVectorStore
from semcache_core.builtin.memory.slots import MISSING
from semcache_core.builtin.sqlite import SqliteResponseStore, SqliteVectorStore
from semcache_core.extractors.json_body import JsonBody, JsonOptions
from semcache_core.extractors.openai_chat import OpenAIChat
from semcache_core.protocols import (
    KeyExtractor,
    ResponseStore,
    SupportsGetNowait,
    SupportsInvalidation,
    SupportsNotices,
    SupportsScan,
    SupportsScopes,
    SupportsSecret,
    SupportsSetNowait,
    SupportsSweep,
    VectorStore,
)
from semcache_core.testing import (
    AnswerSample,
    KeyExtractorContract,
    PluginContract,
    ResponseStoreContract,
    VectorStoreContract,
)
from semcache_core.types import Request


class TestMemoryVectors(VectorStoreContract):
    promises = (SupportsScopes, SupportsSweep)

    def make(self) -> VectorStore:
        return MemoryVectorStore(MemoryVectorStore.Options())


class TestMemoryResponses(ResponseStoreContract):
    promises = (SupportsGetNowait, SupportsSetNowait, SupportsInvalidation, SupportsScan, SupportsSweep, SupportsSecret)

    def make(self) -> ResponseStore:
        return MemoryResponseStore(MemoryResponseStore.Options())

    async def read_raw(self, store: Any, id: bytes) -> bytes | None:
        slot = store._slots.find(id)
        return None if slot == MISSING else store._data[slot]

    async def write_raw(self, store: Any, id: bytes, data: bytes, *, keep_until: float | None) -> None:
        assert store._slots.add(id, keep_until=keep_until) == len(store._data)
        store._data.append(data)
        store._tags.append(None)


class OneFile:
    """Gives each test a file of its own, which all components of the test share."""

    path: str

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = str(tmp_path / "cache" / "semcache.db")


class TestSqliteVectors(OneFile, VectorStoreContract):
    shared = True
    promises = (SupportsScopes, SupportsSweep, SupportsNotices)

    def make(self) -> VectorStore:
        return SqliteVectorStore(SqliteVectorStore.Options(path=self.path))


class TestSqliteResponses(OneFile, ResponseStoreContract):
    shared = True
    promises = (SupportsGetNowait, SupportsInvalidation, SupportsScan, SupportsSweep, SupportsSecret, SupportsNotices)

    def make(self) -> ResponseStore:
        return SqliteResponseStore(SqliteResponseStore.Options(path=self.path))

    async def read_raw(self, store: ResponseStore, id: bytes) -> bytes | None:
        with sqlite3.connect(self.path) as door:
            row = door.execute("SELECT data FROM responses WHERE id = ?", (id,)).fetchone()
        door.close()
        return None if row is None else row[0]

    async def write_raw(self, store: ResponseStore, id: bytes, data: bytes, *, keep_until: float | None) -> None:
        with sqlite3.connect(self.path) as door:
            door.execute("INSERT INTO responses (id, data, keep_until) VALUES (?, ?, ?)", (id, data, keep_until))
        door.close()


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


class TestJson(KeyExtractorContract):
    ignored = {"trace_id": ["a", "b"]}

    def make(self) -> KeyExtractor:
        return JsonBody(JsonOptions(paths=("/ask",), ignore=("trace_id",)))

    def samples(self) -> Sequence[Request]:
        bodies = [
            {"question": "Which planet is nearest?", "lang": "en"},
            {
                "query": "Which planet is nearest?",
                "k": 5,
                "filters": {"since": None, "tags": ["a", "b"], "exact": True},
            },
            {"no_text": 1.5, "trace_id": "x"},
        ]
        return [Request(method="POST", path=b"/api/ask", body=json.dumps(body).encode()) for body in bodies]

    def answers(self) -> Sequence[AnswerSample]:
        (request, *_) = self.samples()
        return [
            AnswerSample(
                request=request, content_type=b"application/json", body=b'{"answer": "Mercury", "n": [1, 2.0]}'
            )
        ]


class TestBuiltinPlugin(PluginContract):
    distribution = "semcache-core"
    module = "semcache_core.builtin.plugin"
    heavy = ("semcache_core.builtin.memory", "semcache_core.builtin.sqlite", "semcache_core.extractors.openai_chat")
