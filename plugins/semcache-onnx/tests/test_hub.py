"""The Hugging Face hub, through huggingface_hub itself, against a stub of the hub's HTTP interface on this machine.

Each test is a process of its own: huggingface_hub reads HF_HOME and HF_ENDPOINT when it is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import asyncio, sys, msgspec
from semcache_core.errors import SemcacheError
from semcache_onnx.embedder import OnnxEmbedder, OnnxOptions
async def run():
    async with OnnxEmbedder(msgspec.json.decode(sys.argv[1], type=OnnxOptions)) as embedder:
        print(embedder.fingerprint, (await embedder.embed(["reset my password"])).shape)
try:
    asyncio.run(run())
except SemcacheError as error:
    print(f"{type(error).__name__}: {error}")
"""


def run(options: str, *, home: Path, endpoint: str, **environment: str) -> str:
    """Open an embedder in a process of its own; return its fingerprint and shape, or the error."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, options],
        env={**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_model_is_fetched_into_the_usual_cache_and_loaded(hub: Any, tmp_path: Path) -> None:
    printed = run('{"model": "acme/tiny"}', home=tmp_path / "hf", endpoint=hub.endpoint)
    assert printed.startswith("onnx model=acme/tiny revision=")
    assert printed.endswith("dimensions=8 pooling=mean prefix='' truncation=none (1, 8)")
    assert (tmp_path / "hf/hub/models--acme--tiny/snapshots" / hub.commit / "onnx/model.onnx").is_file()


def test_only_what_is_needed_is_fetched(hub: Any, tmp_path: Path) -> None:
    run('{"model": "acme/tiny"}', home=tmp_path / "hf", endpoint=hub.endpoint)
    assert any("onnx/model.onnx" in request for request in hub.requests)
    assert not any("pytorch_model.bin" in request for request in hub.requests)


@pytest.mark.slow
def test_a_cached_model_loads_while_the_hub_is_away(hub: Any, tmp_path: Path) -> None:
    before = run('{"model": "acme/tiny"}', home=tmp_path / "hf", endpoint=hub.endpoint)
    away = run('{"model": "acme/tiny"}', home=tmp_path / "hf", endpoint="http://127.0.0.1:9")
    offline = run('{"model": "acme/tiny"}', home=tmp_path / "hf", endpoint=hub.endpoint, HF_HUB_OFFLINE="1")
    assert before == away == offline


@pytest.mark.slow
def test_a_cached_commit_needs_no_network(hub: Any, tmp_path: Path) -> None:
    options = f'{{"model": "acme/tiny", "revision": "{hub.commit}"}}'
    before = run(options, home=tmp_path / "hf", endpoint=hub.endpoint)
    assert run(options, home=tmp_path / "hf", endpoint="http://127.0.0.1:9") == before


def test_a_hub_that_is_away_says_what_else_to_do(tmp_path: Path) -> None:
    printed = run('{"model": "acme/tiny"}', home=tmp_path / "hf", endpoint="http://127.0.0.1:9")
    assert printed.startswith("EmbedderUnavailable: acme/tiny is neither in the Hugging Face cache")
    assert "embedder.path, or use the bundled model" in printed


def test_a_model_that_the_hub_does_not_have_is_a_configuration_error(hub: Any, tmp_path: Path) -> None:
    printed = run('{"model": "acme/huge"}', home=tmp_path / "hf", endpoint=hub.endpoint)
    assert printed.startswith("ConfigError: the Hugging Face hub shows no model 'acme/huge' at revision 'main'")


def test_a_revision_that_the_hub_does_not_have_is_a_configuration_error(hub: Any, tmp_path: Path) -> None:
    printed = run('{"model": "acme/tiny", "revision": "v9"}', home=tmp_path / "hf", endpoint=hub.endpoint)
    assert printed.startswith("ConfigError: the Hugging Face hub shows no model 'acme/tiny' at revision 'v9'")


def test_a_name_that_no_model_can_have_is_a_configuration_error(tmp_path: Path) -> None:
    printed = run('{"model": "a/b/c"}', home=tmp_path / "hf", endpoint="http://127.0.0.1:9")
    assert printed.startswith("ConfigError: the Hugging Face hub shows no model 'a/b/c'")


def test_a_file_that_the_repository_lacks_is_named(hub: Any, tmp_path: Path) -> None:
    printed = run('{"model": "acme/tiny", "file": "onnx/q8.onnx"}', home=tmp_path / "hf", endpoint=hub.endpoint)
    assert printed.startswith("ConfigError: no file 'onnx/q8.onnx'")
