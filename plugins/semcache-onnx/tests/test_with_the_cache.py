"""The plugin through the front door: chosen by name in a configuration, used by a cache."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from semcache_core import Lookup, SemanticCache
from semcache_core.errors import ConfigError

MEMORY = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}}


def asked(stored: str, question: str, **embedder: Any) -> Lookup:
    """Store an answer to one question and look another up."""

    async def run() -> Lookup:
        async with SemanticCache.from_config({"embedder": {"use": "onnx", **embedder}, **MEMORY}) as cache:
            await cache.store(stored, "the answer")
            return await cache.lookup(question)

    return asyncio.run(run())


@pytest.mark.parametrize("bundled", ["bge-small-en-v1.5", "all-minilm-l6-v2"])
def test_a_paraphrase_hits_at_the_models_own_threshold(bundled: str) -> None:
    found = asked("How do I reset my password?", "How can I reset my password?", bundled=bundled)
    assert (found.source, found.value) == ("semantic", "the answer")


def test_another_question_misses() -> None:
    assert asked("How do I reset my password?", "What is the capital of France?").reason == "below-threshold"


def test_a_text_beyond_the_window_is_answered_to_its_equal_only() -> None:
    long = " ".join(["pneumonoultramicroscopicsilicovolcanoconiosis"] * 60)
    assert asked(long, long).source == "exact"
    assert not asked(long, f"{long} again")
    assert asked("How do I reset my password?", long).reason == "long-text"


def test_a_text_that_an_english_model_cannot_read_is_answered_to_its_equal_only() -> None:
    thai, other = "ฉันจะยกเลิกการสมัครสมาชิกได้อย่างไร", "กรุงเทพมีประชากรเท่าไร"
    assert asked(thai, thai).source == "exact"
    assert not asked(thai, other)
    assert asked("How do I reset my password?", other).reason == "unreadable-text"


def test_an_unknown_model_needs_a_threshold(make_model: Any) -> None:
    folder = str(make_model())
    with pytest.raises(ConfigError, match=r"semcache\.threshold"):
        asked("reset", "reset", path=folder, pooling="mean")
    thresholds = {"safe": 0.9, "balanced": 0.8, "loose": 0.7}
    assert asked("do reset", "do reset", path=folder, pooling="mean", thresholds=thresholds).hit


def test_a_misspelt_option_is_named_with_the_right_one() -> None:
    with pytest.raises(ConfigError, match=r"embedder\.poling.*'pooling'"):
        asked("a", "b", poling="cls")


PROGRAM = """
import sys
from semcache_core import SemanticCache

stores = {"use": "sqlite", "path": sys.argv[1]}
cache = SemanticCache({"embedder": {"use": "onnx"}, "vector_store": stores, "response_store": stores})
print(cache.sync.get_or_call(sys.argv[2], lambda: "called"), cache.sync.stats().hits)
"""


def test_a_program_that_just_ends_leaves_its_vectors_behind(tmp_path: Path) -> None:
    outputs = []
    for question in ("How do I reset my password?", "How can I reset my password?"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "cache.db"), question],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        outputs.append(done.stdout)
    assert "'semantic': 1" in outputs[1]
