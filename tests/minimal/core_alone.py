"""Run by ``nox -s minimal`` with the core's wheel and nothing else installed: no extra, no plugin, no pytest."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from pathlib import Path

from semcache_core import SemanticCache

ABSENT = ("click", "rich", "pytest", "hypothesis", "onnxruntime", "starlette", "httpx")
CONFIGURATION = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}}


async def cache_in_memory() -> None:
    """Store an answer, and get it back for the same question only."""
    async with SemanticCache.from_config(CONFIGURATION) as cache:
        await cache.store("How do I reset my password?", "Click on Forgot password.")
        found = await cache.lookup("How do I reset my password?")
        assert found.hit, found.reason
        assert found.value == "Click on Forgot password."
        assert not await cache.lookup("How do I close my account?")


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
    command_line_names_its_extra()
    print("the core alone: imports, caches in memory, names its extras")
