"""A repeat is a hit whatever platform it comes through and whatever client sends it, or the page says why not and how.

The shapes are in ``shapes/``; each goes through the real driver. The recipes are the page's, as they stand there.
"""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from .asgi_client import CONFIG, Client, Response, Upstream, completion, says, serving, stream, streams

HERE = Path(__file__).parent
PAGE = (HERE.parents[2] / "docs" / "how-to" / "clients-and-platforms.md").read_text("utf-8")
PLATFORMS = tomllib.loads((HERE / "shapes" / "platforms.toml").read_text("utf-8"))["platform"]
CLIENTS = tomllib.loads((HERE / "shapes" / "clients.toml").read_text("utf-8"))["client"]
RECIPES = dict(re.findall(r"^### (.+)\n(?:(?!#).*\n)*?```toml\n((?:(?!```).*\n)*)```", PAGE, re.MULTILINE))
CHAT = "/v1/chat/completions"
GENERIC: dict[str, Any] = {"route": [{"path": "/ask", "json": {"text": "$.q"}}]}
EXACT: dict[str, Any] = {"semcache": {**CONFIG["semcache"], "match": "exact"}}


def filled(value: Any, number: int) -> Any:
    """Return a shape's value with each ``{n}`` replaced: what differs from request to request."""
    if isinstance(value, str):
        return value.replace("{n}", str(number))
    if isinstance(value, Mapping):
        return {name: filled(each, number) for name, each in value.items()}
    return [filled(each, number) for each in value] if isinstance(value, list) else value


def fields(headers: Mapping[str, str], number: int) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), filled(value, number).encode()) for name, value in headers.items()]


def body(shape: Mapping[str, Any], number: int) -> dict[str, Any]:
    system = [{"role": "system", "content": shape["system"]}] if "system" in shape else []
    asked = {"role": "user", "content": shape.get("text", "What is the capital of France?")}
    return filled({"model": "gpt-test", "messages": [*system, asked], **shape.get("body", {})}, number)


async def sent(app: Any, shape: Mapping[str, Any], number: int, *, caller: str = "alice", path: str = "") -> Response:
    name = shape.get("credential", "authorization")
    headers = [(name.encode(), f"Bearer {caller}".encode()), *fields(shape["headers"], number)]
    return await Client(app, headers=headers).send(path or shape.get("path", CHAT), body(shape, number))


def answering(shape: Mapping[str, Any]) -> Upstream:
    streamed = shape.get("body", {}).get("stream")
    return Upstream(streams(stream("Paris", ".", usage=True)) if streamed else says(completion()))


def marks(shape: Mapping[str, Any], **tables: Any) -> list[str | None]:
    """Return X-Cache of a request, of its repeat, and of the same request of another caller."""

    async def main() -> list[str | None]:
        async with serving(answering(shape), **{**EXACT, **tables}) as rig:
            app = rig.client.app
            answers = [await sent(app, shape, number) for number in (11, 12)]
            answers.append(await sent(app, shape, 13, caller="bob"))
            return [answer.cache for answer in answers]

    return asyncio.run(main())


@cache
def recipe(name: str) -> dict[str, Any]:
    """Return the configuration of a recipe of the page."""
    return tomllib.loads(RECIPES[name])


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform["name"])
def test_a_repeat_through_a_platform_is_a_hit(platform: dict[str, Any]) -> None:
    assert marks(platform) == ["MISS", "HIT", "MISS"]


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform["name"])
def test_a_repeat_at_a_generic_api_is_a_hit_too(platform: dict[str, Any]) -> None:
    async def main() -> list[str | None]:
        async with serving(says({"answer": "Paris"}), **EXACT, **GENERIC) as rig:
            return [(await asked(rig.client.app, number)).cache for number in (11, 12)]

    async def asked(app: Any, number: int) -> Response:
        client = Client(app, headers=[(b"authorization", b"Bearer alice"), *fields(platform["headers"], number)])
        return await client.send("/ask", {"q": "What is the capital of France?"})

    assert asyncio.run(main()) == ["MISS", "HIT"]


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform["name"])
def test_what_a_platform_adds_is_nobodys_identity(platform: dict[str, Any]) -> None:
    async def main() -> str | None:
        async with serving(**EXACT) as rig:
            return (await Client(rig.client.app, headers=fields(platform["headers"], 11)).chat()).cache_status

    named = {"x-credential-identifier"} & platform["headers"].keys()
    assert asyncio.run(main()) == f"semcache; fwd={'miss; detail=absent' if named else 'bypass; detail=no-identity'}"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client["name"])
def test_a_clients_repeat_is_a_hit_by_default_or_the_page_says_why_not_and_how(client: dict[str, Any]) -> None:
    by_default = client.get("hits", True) and "recipe" not in client
    assert marks(client) == ["MISS", "HIT" if by_default else "MISS", "MISS"]
    if "recipe" in client:
        assert marks(client, **recipe(client["recipe"])) == ["MISS", "HIT", "MISS"]


def test_the_page_lists_every_shape_and_how_it_was_checked() -> None:
    rows = re.findall(r"^\| (.+?) \| (docs|source|rebuilt) \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted((shape["name"], shape["checked"]) for shape in (*PLATFORMS, *CLIENTS))


def test_the_page_names_what_each_platform_changes_from_request_to_request() -> None:
    for platform in PLATFORMS:
        (row,) = re.findall(rf"^\| {re.escape(platform['name'])} \|.*$", PAGE, re.MULTILINE)
        named = re.findall(r"`([^`*]+)(\*?)`", row)
        changing = [name for name, value in platform["headers"].items() if "{n}" in value]
        assert [name for name in changing if not any(fits(name, *each) for each in named)] == []


def fits(name: str, start: str, star: str) -> bool:
    return name.startswith(start) if star else name == start


def test_every_recipe_is_run_by_a_shape() -> None:
    assert RECIPES.keys() == {client["recipe"] for client in CLIENTS if "recipe" in client}
    assert len(PLATFORMS) >= 20
    assert len(CLIENTS) >= 30
