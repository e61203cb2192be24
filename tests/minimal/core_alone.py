"""Run by ``nox -s minimal`` with the core's wheel and nothing else installed: no extra, no plugin, no pytest."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semcache_core import SemanticCache
from semcache_core.config import load

ABSENT = (
    "semcache_text_guard",
    "semcache_onnx",
    "click",
    "rich",
    "pytest",
    "hypothesis",
    "onnxruntime",
    "starlette",
    "httpx",
)
CONFIGURATION: dict[str, Any] = {
    "semcache": {"threshold": 0.9},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
}


class Alike:
    """An embedder that takes all texts for one: whatever is compared by similarity matches."""

    fingerprint, dimensions, max_tokens = "alike", 2, 100
    batch_invariant, recommended = True, None

    async def __aenter__(self) -> Alike:
        return self

    async def __aexit__(self, *exit: object) -> None: ...

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.tile(np.array([1.0, 0.0], np.float32), (len(texts), 1))


async def cache_in_memory() -> None:
    """Store an answer, and get it back for the same question only, however alike another one is."""
    cache = SemanticCache(load(CONFIGURATION), embedder=Alike())
    async with cache:
        await cache.store("How do I reset my password?", "Click on Forgot password.")
        found = await cache.lookup("How do I reset my password?")
        assert found.hit, found.reason
        assert found.value == "Click on Forgot password."
        assert not await cache.lookup("How can I reset my password?")


async def matching_unchecked_is_asked_for() -> None:
    """Without a verifier similar texts match where the configuration says so."""
    cache = SemanticCache(load(CONFIGURATION | {"verifiers": {"use": []}}), embedder=Alike())
    async with cache:
        await cache.store("How do I reset my password?", "Click on Forgot password.")
        assert await cache.lookup("How can I reset my password?")


def notices_name_what_to_install() -> None:
    """What is missing is told once, with the line that mends it."""
    program = "import asyncio; from semcache_core import SemanticCache\nasync def main():\n  async with "
    program += f"SemanticCache.from_config({CONFIGURATION!r}): pass\nasyncio.run(main())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install semcache-text-guard" in done.stderr, done.stderr
    assert "pip install 'semcache-onnx[bundled]'" in done.stderr, done.stderr


def command_line_names_its_extra() -> None:
    """Without the extra, the program says what to install instead of failing to import."""
    program = Path(sys.executable).with_name("semcache")
    done = subprocess.run([program, "plugins"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "semcache-core[cli]" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


if __name__ == "__main__":
    assert not [name for name in ABSENT if importlib.util.find_spec(name)]
    asyncio.run(cache_in_memory())
    asyncio.run(matching_unchecked_is_asked_for())
    notices_name_what_to_install()
    command_line_names_its_extra()
    print("the core alone: imports, caches in memory, matches exactly, names what is missing")
