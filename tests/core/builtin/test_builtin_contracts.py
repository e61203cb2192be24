"""The built-in components keep every contract, as any plugin must."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from semcache_core.builtin.json import JsonBody, JsonOptions
from semcache_core.builtin.memory import MemoryResponseStore, MemoryVectorStore
from semcache_core.builtin.memory.slots import MISSING
from semcache_core.builtin.sqlite import SqliteResponseStore, SqliteVectorStore
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
    heavy = ("semcache_core.builtin.memory", "semcache_core.builtin.sqlite", "semcache_core.builtin.json")
