"""How the interpreter ends while the model works."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("closed", [False, True])
def test_the_interpreter_exits_cleanly_in_the_midst_of_work(closed: bool) -> None:
    code = f"""
import asyncio
from semcache_onnx.embedder import OnnxEmbedder, OnnxOptions

async def run():
    embedder = await OnnxEmbedder(OnnxOptions()).__aenter__()
    tasks = [asyncio.create_task(embedder.embed(["word " * 500] * 5)) for _ in range(100)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    if {closed}:
        await embedder.__aexit__(None, None, None)

asyncio.run(run())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
