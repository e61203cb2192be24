"""What providers really send, through the real proxy: every case of semcache-openai's ``wire_cases``."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from semcache_proxy import create_app
from semcache_proxy.loopback import Served

CASES_DIR = Path(__file__).parents[2] / "plugins" / "semcache-openai" / "tests" / "wire_cases"
CASES = {case["name"]: case for file in sorted(CASES_DIR.glob("*.json")) for case in json.loads(file.read_bytes())}
PATH = "/v1/chat/completions"
QUESTION = "How do I reset my password?"
PARAPHRASE = "How can I reset my password?"
TIMEOUT = 20.0


def framed(event: Any) -> str:
    if isinstance(event, str):
        return f"{event}\n\n" if event.startswith(":") else f"data: {event}\n\n"
    return f"data: {json.dumps(event)}\n\n"


def stream_of(case: dict[str, Any]) -> bytes:
    return (case.get("stream") or "".join(map(framed, case["events"]))).encode()


class Provider:
    """Answers each request as the case says whose name is the model."""

    def __init__(self) -> None:
        self.calls = 0
        self._lock = threading.Lock()

    async def complete(self, request: Request) -> Response:
        body = json.loads(await request.body())
        with self._lock:
            self.calls += 1
        case = CASES[body["model"]]
        if body.get("stream"):
            return Response(stream_of(case), media_type="text/event-stream")
        return JSONResponse(case.get("json") or {"error": {"message": "not in the case"}})


class Caller:
    """Sends requests of a case through the proxy, each test with an API key of its own."""

    def __init__(self, provider: Provider, url: str) -> None:
        self.provider = provider
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT)
        self._sdk = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=TIMEOUT)
        self._key = ""

    def renew(self) -> None:
        """Become another caller."""
        self._key = f"sk-{uuid.uuid4().hex}"

    def is_hit(self, case: dict[str, Any], question: str = QUESTION, *, streamed: bool = True) -> bool:
        """Ask, and return whether the answer came from the cache."""
        body = {**_body(case, question), "stream": streamed}
        if not streamed:
            body.pop("stream_options", None)
        answer = self._http.post(PATH, json=body, headers={"authorization": f"Bearer {self._key}"})
        return answer.headers["x-cache"] == "HIT"

    def chunks(self, case: dict[str, Any]) -> list[ChatCompletionChunk]:
        """Ask with the SDK, and return what it makes of the stream."""
        body = _body(case, QUESTION)
        own = {name: body.pop(name) for name in ("model", "messages")}
        return list(
            self._sdk.with_options(api_key=self._key).chat.completions.create(**own, stream=True, extra_body=body)
        )

    def close(self) -> None:
        self._http.close()
        self._sdk.close()


def _body(case: dict[str, Any], question: str) -> dict[str, Any]:
    return {"model": case["name"], "messages": [{"role": "user", "content": question}], **case["request"]}


@pytest.fixture(scope="module")
def only_caller() -> Iterator[Caller]:
    provider = Provider()
    config = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}, "embedder": {"use": "onnx"}}
    with (
        Served(Starlette(routes=[Route(PATH, provider.complete, methods=["POST"])])) as upstream,
        Served(create_app(upstream.url, config=config, loopback=True)) as server,
        closing(Caller(provider, server.url)) as made,
    ):
        yield made


@pytest.fixture
def caller(only_caller: Caller) -> Caller:
    only_caller.renew()
    return only_caller


def parsed(chunks: list[ChatCompletionChunk]) -> list[dict[str, Any]]:
    return [chunk.model_dump(exclude={"created", "obfuscation", "p"}) for chunk in chunks]


def accumulated(chunks: list[ChatCompletionChunk]) -> dict[str, Any]:
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chunk)
    whole = state.current_completion_snapshot.model_dump(exclude={"obfuscation"})
    return {**whole, "choices": [{**choice, "obfuscation": None} for choice in whole["choices"]]}


def named(cases: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case["name"])


EVERY = list(CASES.values())
READ = [case for case in EVERY if case["expected"]["hit"] and case["expected"]["sdk"]]


@named(EVERY)
def test_equal_requests_paraphrases_and_callers_of_json_are_hits_where_the_answer_allows_it(
    caller: Caller, case: dict[str, Any]
) -> None:
    expected = case["expected"]
    assert not caller.is_hit(case)
    assert caller.is_hit(case) == expected["hit"]
    assert caller.is_hit(case, PARAPHRASE) == expected["paraphrase"]
    assert caller.is_hit(case, streamed=False) == expected["json"]


@named(READ)
def test_the_sdk_makes_the_same_of_a_hit(caller: Caller, case: dict[str, Any]) -> None:
    first, calls = caller.chunks(case), caller.provider.calls
    second = caller.chunks(case)
    assert caller.provider.calls == calls
    assert parsed(second) == parsed(first)
    assert accumulated(second) == accumulated(first)
