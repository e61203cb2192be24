"""What ``@cached`` tells the author of a function that cannot be cached as it is written."""

from __future__ import annotations

import asyncio
import dataclasses
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from semcache_core import DoNotCache, SemanticCache, cached

EXACT = {
    "semcache": {"match": "exact"},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
}


@pytest.fixture
def cache() -> Iterator[SemanticCache]:
    made = SemanticCache(EXACT)
    yield made
    made.sync.close()


@dataclasses.dataclass
class Answer:
    text: str


class Frame:
    def to_dict(self) -> dict[str, str]:
        return {}


class Model:
    def model_dump(self, mode: str) -> dict[str, str]:
        return {}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer("x"), f"{__name__}.Answer, which does not come back equal from JSON"),
        (Answer("x"), "return dataclasses.asdict(...) of it"),
        (Frame(), "return its .to_dict()"),
        (Model(), 'return its .model_dump(mode="json")'),
        (("a", "b"), "returned a tuple, "),
        (("a", "b"), "return a list"),
        (Decimal("1.5"), "return str, bytes or JSON"),
        ({"total": [1, Decimal("1.5")]}, "returned a decimal.Decimal (in a dict), "),
        ({1: "a"}, "returned a dict, "),
    ],
)
def test_an_answer_that_cannot_be_stored_is_told_with_its_type_and_a_remedy(
    answer: object, told: str, cache: SemanticCache, caplog: pytest.LogCaptureFixture
) -> None:
    @cached(cache, version="1")
    def ask(prompt: str) -> object:
        return answer

    assert ask("one?") is answer
    assert told in caplog.text
    assert "test_advice" in caplog.text


def test_it_is_told_once_for_a_function(cache: SemanticCache, caplog: pytest.LogCaptureFixture) -> None:
    @cached(cache, version="1")
    async def ask(prompt: str) -> object:
        return {prompt}

    async def main() -> None:
        for number in range(5):
            await ask(f"number {number}?")

    asyncio.run(main())
    assert [record.message for record in caplog.records if "@cached" in record.message] == [
        f"@cached: {__name__}.{ask.__qualname__} returned a set, which does not come back equal from JSON, so its "
        "answers are not stored; return a list, or return DoNotCache(...) to say that it is meant so"
    ]


def test_an_answer_that_is_meant_not_to_be_stored_is_not_told(
    cache: SemanticCache, caplog: pytest.LogCaptureFixture
) -> None:
    @cached(cache, version="1")
    def ask(prompt: str) -> object:
        return DoNotCache({prompt})

    assert ask("one?") == {"one?"}
    assert "@cached" not in caplog.text


def made_by(model: str, decorate: Callable[[Any], Any]) -> Any:
    @decorate
    def ask(prompt: str) -> str:
        return f"{model}: {prompt}"

    return ask


def test_a_closure_is_warned_of_at_decoration(cache: SemanticCache) -> None:
    with pytest.warns(UserWarning, match=r"made_by\.<locals>\.ask uses variables .* by version= or key="):
        made_by("small", cached(cache))


@pytest.mark.parametrize("options", [{"version": "small"}, {"key": "prompt"}])
def test_a_closure_that_is_told_apart_is_not_warned_of(options: dict[str, Any], cache: SemanticCache) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made_by("small", cached(cache, **options))


def program(text: str) -> Any:
    """Return the function ``ask`` that a module of this text defines."""
    names: dict[str, Any] = {"__name__": "program"}
    exec(text, names)
    return names["ask"]


def test_other_code_under_the_same_name_is_warned_of_and_the_same_code_is_not(cache: SemanticCache) -> None:
    first = "def ask(prompt: str) -> str:\n    return prompt"
    cached(cache)(program(first))
    cached(cache)(program(first))
    with pytest.warns(UserWarning, match=r"program\.ask has the name of a function with other code"):
        cached(cache)(program(first + " + '!'"))
