"""``semcache explain``: what the key is, which rule decided, and which part kept the nearest entry away."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from semcache_core import SemanticCache
from semcache_core.cli.group import program
from semcache_core.http.asgi import SemanticCacheASGI

CONFIG = """
[semcache]
jitter = 0
threshold = 0.8

[embedder]
use = "words"

[vector_store]
use = "sqlite"
path = "cache.db"

[response_store]
use = "sqlite"
path = "cache.db"

[[route]]
path = "/ask"
"""
PLUGIN = """
from semcache_core.plugin import Component, hookimpl

@hookimpl
def semcache_embedders():
    return [Component("words", factory="explain_embedder:Words")]
"""
EMBEDDER = """
from semcache_core.protocols import Options
from semcache_core.testing import CountingEmbedder

class Words(CountingEmbedder):
    Options = Options

    def __init__(self, options):
        super().__init__()
"""
HEADERS = {"Host": "llm.example", "Authorization": "Bearer hunter2"}
QUESTION = "what is the capital city of France"


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install an embedder that knows words only, and ask one question through the ASGI driver."""
    info = tmp_path / "site" / "explain_words-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: explain-words\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[semcache]\nwords = explain_plugin\n")
    (tmp_path / "site" / "explain_plugin.py").write_text(PLUGIN)
    (tmp_path / "site" / "explain_embedder.py").write_text(EMBEDDER)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    Path("my.toml").write_text(CONFIG)
    asyncio.run(_ask_once())


async def _ask_once() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
        await send(head)
        await send({"type": "http.response.body", "body": b'{"answer": "Paris"}'})

    body = json.dumps({"question": QUESTION, "model": "a"}).encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.sleep(60)

    async def send(message: Any) -> None: ...

    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/ask",
        "raw_path": b"/ask",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()],
    }
    async with SemanticCache.from_toml("my.toml") as cache:
        await SemanticCacheASGI(application, cache=cache)(scope, receive, send)


def _explain(request: dict[str, Any] | str, *options: str) -> Result:
    Path("request.json").write_text(request if isinstance(request, str) else json.dumps(request))
    return CliRunner().invoke(program, ["explain", "request.json", "--config", "my.toml", *options])


def _said(
    body: Any = None, *, path: str = "/ask", headers: dict[str, str] | None = None, options: tuple[str, ...] = ()
) -> dict[str, str]:
    asked = {"path": path, "headers": HEADERS if headers is None else headers, "body": body}
    result = _explain(asked, *options)
    assert result.exit_code == 0, result.stderr
    assert "hunter2" not in result.output
    lines = [line.split("  ", 1) for line in result.output.splitlines()]
    return {line[0]: line[1].strip() for line in lines if len(line) == 2 and line[0]}


def test_an_equal_request_is_an_exact_hit() -> None:
    said = _said({"model": "a", "question": QUESTION})

    assert said["decision"] == "hit: exact, similarity 1.0000"
    assert said["claimed by"] == "json; route /ask, mode on"


def test_the_reason_code_is_said_in_a_sentence_with_the_remedy() -> None:
    assert "Nothing was stored yet under these settings" in _said({"question": QUESTION, "model": "b"})["that is"]
    assert _said({"question": QUESTION}, headers={})["to do"].startswith("Send a credential")


def test_what_differs_is_named_where_only_equal_requests_count_too() -> None:
    Path("my.toml").write_text(CONFIG.replace("threshold = 0.8", 'threshold = 0.8\nmatch = "exact"'))
    said = _said({"model": "b", "question": QUESTION})

    assert said["decision"] == "miss: absent"
    assert said["matching"] == 'equal requests only: match = "exact", or there is no embedder'
    assert "differs in: model" in said["elsewhere"]


def test_the_text_that_is_compared_and_the_threshold_are_told() -> None:
    said = _said({"question": "what is the  capital of France", "model": "a"})

    assert said["matching"] == 'by meaning, from similarity 0.8, of the text "what is the capital of France"'


def test_the_nearest_entry_is_shown_with_its_similarity_and_why_it_does_not_answer() -> None:
    said = _said({"question": "where does the ferry to Crete leave", "model": "a"})

    assert said["decision"].startswith("miss: below-threshold")
    assert f'"{QUESTION}"' in said["nearest"]
    assert said["nearest"].endswith(": below the threshold 0.8")


def test_what_a_verifier_rejects_is_told() -> None:
    said = _said({"question": "what is the capital city of Spain", "model": "a"})

    assert said["decision"].startswith("miss: ")
    assert "TextGuard rejects: " in said["nearest"]


def test_the_member_that_keeps_an_entry_away_is_named() -> None:
    said = _said({"question": QUESTION, "model": "b"})

    assert said["decision"] == "miss: empty-scope"
    assert said["elsewhere"].endswith("differs in: model")


def test_a_header_that_keeps_an_entry_away_is_named() -> None:
    said = _said({"question": QUESTION, "model": "a"}, headers=HEADERS | {"X-Flavour": "plain"})

    assert said["elsewhere"].endswith("differs in: header x-flavour")


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        (HEADERS | {"Authorization": "Bearer other"}, ()),
        (HEADERS | {"Host": "other.example"}, ()),
        (HEADERS, ("--upstream", "https://api.example")),
    ],
)
def test_another_caller_or_place_is_named(headers: dict[str, str], options: tuple[str, ...]) -> None:
    said = _said({"question": QUESTION, "model": "a"}, headers=headers, options=options)

    assert said["elsewhere"].endswith("differs in: who asks, or where (credential, host, path, upstream)")


def test_a_request_without_identity_is_a_bypass_except_behind_a_proxy_on_this_machine() -> None:
    body = {"question": QUESTION, "model": "a"}

    assert _said(body, headers={})["decision"] == "bypass: no-identity"
    assert _said(body, headers={}, options=("--upstream", "http://x"))["decision"] == "miss: empty-scope"
    assert _said(body, headers={}, options=("--upstream", "http://x", "--public"))["decision"] == "bypass: no-identity"


def test_a_text_that_matches_exactly_only_says_why() -> None:
    assert _said({"question": "what is new today", "model": "a"})["matching"] == "equal requests only: volatile"


def test_a_path_that_nobody_claims_is_not_for_the_cache() -> None:
    assert _said({}, path="/other")["decision"].startswith("not for the cache: no key extractor claims")


def test_a_body_that_is_no_json_is_a_bypass() -> None:
    assert _said("{", headers=HEADERS)["decision"] == "bypass: ambiguous-json"


def test_explaining_changes_nothing() -> None:
    before = Path("cache.db").stat().st_size
    _said({"question": "an entirely new question about ferries", "model": "a"})

    counted = json.loads(CliRunner().invoke(program, ["stats", "--config", "my.toml", "--json"]).output)

    assert counted["entries"] == 1
    assert Path("cache.db").stat().st_size == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "request.json: "),
        ('{"path": "ask"}', "`$.path`; it holds method, path, headers and body"),
        ('{"path": "/ask", "headres": {}}', "unknown field `headres`"),
    ],
)
def test_a_file_that_holds_no_request_is_one_line(text: str, reason: str) -> None:
    result = _explain(text)

    assert result.exit_code == 2
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("wrong", [{"headers": {"x-name": "日本"}}, {"path": "/日本/chat"}])
def test_a_request_that_no_client_could_send_is_one_line_and_exit_status_2(wrong: dict[str, Any]) -> None:
    result = _explain({"path": "/ask", "headers": HEADERS, "body": {}} | wrong)

    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "percent-encode" in result.stderr


# -- calls of the library ---------------------------------------------------------------------------------------------


def _said_of(*options: str) -> dict[str, str]:
    result = CliRunner().invoke(program, ["explain", "--config", "my.toml", *options])
    assert result.exit_code == 0, result.stderr
    lines = [line.split("  ", 1) for line in result.output.splitlines()]
    return {line[0]: line[1].strip() for line in lines if len(line) == 2 and line[0]}


def _store(prompt: str, context: Any = None) -> None:
    async def store() -> None:
        async with SemanticCache.from_toml("my.toml") as cache:
            assert await cache.store(prompt, "Paris", context=context)

    asyncio.run(store())


def test_a_call_of_the_library_is_explained_by_its_prompt_and_context() -> None:
    _store(QUESTION, {"tenant": 7})

    assert _said_of("--prompt", QUESTION, "--context", '{"tenant": 7}')["decision"].startswith("hit: exact")
    said = _said_of("--prompt", QUESTION, "--context", '{"tenant": 8}')
    assert said["claimed by"].startswith("the library")
    assert said["decision"] == "miss: empty-scope"
    assert said["elsewhere"].endswith("differs in: context.tenant")


def test_the_nearest_entries_are_those_that_the_lookup_considered() -> None:
    _store("How do I reset router 7 in room 4?")
    _store("How do I reset router 8 in room 4?")

    result = CliRunner().invoke(
        program, ["explain", "--config", "my.toml", "--prompt", "how do I reset router 9 in room 4"]
    )

    assert "miss: numbers" in result.output
    assert result.output.count("TextGuard rejects: numbers") == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "name a file that holds a request, or give --prompt"),
        (("--prompt", "x", "--context", "{"), "--context is no JSON"),
        (("request.json", "--prompt", "x"), "name a file that holds a request, or give --prompt"),
        (("request.json", "--context", "1"), "--context goes with --prompt"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(options: tuple[str, ...], told: str) -> None:
    Path("request.json").write_text('{"path": "/ask"}')
    result = CliRunner().invoke(program, ["explain", "--config", "my.toml", *options])

    assert result.exit_code == 2
    assert told in result.stderr
