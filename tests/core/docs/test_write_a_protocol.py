"""The how-to works when it is typed as it stands: the kit takes its extractor for right, and so does Ollama's SDK."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from semcache_proxy import create_app
from semcache_proxy.loopback import Served

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "write-a-protocol.md"
QUESTION = "How do I reset my password?"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay the page's files out as pip would, without asking a package index."""
    folder = tmp_path_factory.mktemp("typed")
    plugin, chat, answers, test = blocks("python")
    (project,) = blocks("toml")
    described = tomllib.loads(project)["project"]
    metadata = folder / "semcache_ollama_example-0.1.0.dist-info"
    package = folder / "semcache_ollama_example"
    metadata.mkdir()
    package.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: 0.1.0\n")
    points = (f"{name} = {value}\n" for name, value in described["entry-points"]["semcache"].items())
    (metadata / "entry_points.txt").write_text("[semcache]\n" + "".join(points))
    contents = {"__init__": '"""Ollama."""\n', "plugin": plugin, "chat": chat, "answers": answers}
    for name, content in contents.items():
        (package / f"{name}.py").write_text(content)
    (package / "py.typed").touch()
    (folder / "test_contract.py").write_text(test)
    return folder


class Ollama:
    """What a client of ``/api/chat`` sees of an Ollama server. It says which answer it is."""

    def __init__(self) -> None:
        self.calls = 0
        self.cut = False
        """Streams end before their last line."""

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/api/chat", self._chat, methods=["POST"])])

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.calls += 1
        text = f"Answer {self.calls}: open the settings."
        end = {"done": True, "done_reason": "stop", "total_duration": 7, "prompt_eval_count": 9, "eval_count": 4}
        if body.get("stream", True) is False:
            return JSONResponse(self._line(body, text) | end)
        return StreamingResponse(self._lines(body, text, end), media_type="application/x-ndjson")

    async def _lines(self, body: dict[str, Any], text: str, end: dict[str, Any]) -> AsyncIterator[bytes]:
        for word in re.findall(r"\s*\S+", text):
            yield json.dumps(self._line(body, word)).encode() + b"\n"
        if not self.cut:
            yield json.dumps(self._line(body, "") | end).encode() + b"\n"

    @staticmethod
    def _line(body: dict[str, Any], text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {"model": body["model"], "created_at": "2026-01-01T00:00:00.5Z", "message": message, "done": False}


@pytest.fixture
def upstream() -> Ollama:
    return Ollama()


@pytest.fixture
def url(folder: Path, upstream: Ollama, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run the proxy, with the page's extractor, in front of the server."""
    monkeypatch.syspath_prepend(folder)
    config = {
        "vector_store": {"use": "memory"},
        "response_store": {"use": "memory"},
        "key_extractors": {"use": ["ollama-example"]},
        "embedder": {"use": "onnx", "bundled": "all-minilm-l6-v2"},
    }
    with Served(upstream.app()) as server, Served(create_app(server.url, config=config, loopback=True)) as proxy:
        yield proxy.url


def asked(url: str, text: str = QUESTION, **members: Any) -> httpx.Response:
    """Ask over HTTP, and wait for the whole answer."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **members}
    return httpx.post(f"{url}/api/chat", json=body, timeout=20)


def said(response: httpx.Response) -> str:
    lines = [json.loads(line) for line in response.text.splitlines() if line]
    return "".join(line["message"]["content"] for line in lines)


def test_the_extractor_of_the_how_to_keeps_the_kits_promises(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    done = subprocess.run(
        [*command, "test_contract.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_how_to_imports_public_names_only() -> None:
    imported = set(re.findall(r"^from semcache_core\.(\w+)", "\n".join(blocks("python")), re.MULTILINE))
    assert imported == {"authoring", "plugin", "protocols", "reasons", "settings", "testing", "types"}


def test_a_stream_is_stored_and_serves_both_kinds_of_caller(url: str, upstream: Ollama) -> None:
    first = asked(url)
    assert first.headers["x-cache"] == "MISS"
    streamed, whole = asked(url, keep_alive="10m"), asked(url, stream=False, options={})
    again = asked(url, stream=False)
    assert said(streamed) == said(first) == said(again) == "Answer 1: open the settings."
    assert [each.headers["x-cache"] for each in (streamed, again)] == ["HIT", "HIT"]
    assert streamed.headers["content-type"] == "application/x-ndjson"
    assert again.headers["content-type"].startswith("application/json")
    assert again.json()["eval_count"] == 4
    assert whole.headers["x-cache"] == "MISS", "other options are another request"
    assert upstream.calls == 2


def test_a_paraphrase_is_answered_with_a_time_of_its_own(url: str, upstream: Ollama) -> None:
    asked(url, stream=False)
    near = asked(url, "How do I reset my password", stream=False)
    assert "detail=semantic" in near.headers["cache-status"]
    assert said(near) == "Answer 1: open the settings."
    assert near.json()["created_at"] > "2026-01-01T00:00:00.5Z"
    assert asked(url, "How do I reset my router?").headers["x-cache"] == "MISS"


def test_a_stream_that_breaks_off_is_not_stored(url: str, upstream: Ollama) -> None:
    upstream.cut = True
    assert asked(url).headers["x-cache"] == "MISS"
    upstream.cut = False
    assert said(asked(url)) == "Answer 2: open the settings."


def test_loading_a_model_is_left_alone(url: str) -> None:
    response = asked(url, messages=[], stream=False)
    assert response.headers["x-cache"] == "BYPASS"


def test_ollamas_own_client_gets_hits_in_both_modes(url: str, upstream: Ollama) -> None:
    messages = [{"role": "user", "content": QUESTION}]
    with ollama.Client(host=url) as client:
        whole = client.chat(model="m", messages=messages)
        pieces = [part.message.content or "" for part in client.chat(model="m", messages=messages, stream=True)]
    assert whole.message.content == "Answer 1: open the settings."
    assert "".join(pieces) == whole.message.content
    assert len(pieces) > 2
    assert upstream.calls == 1
