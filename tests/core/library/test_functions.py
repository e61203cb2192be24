"""``@cached``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from semcache_core import DoNotCache, SemanticCache, cached
from semcache_core.config import load
from semcache_core.testing import CountingEmbedder

MEMORY = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}}
ASKED = "How do I change the address of my order?"
REWORDED = "how do I change the address of my order"


# Functions made inside of a test are all that they would be warned of.
pytestmark = pytest.mark.filterwarnings("ignore:@cached.* uses variables of the function that made it:UserWarning")


@pytest.fixture
def cache() -> Iterator[SemanticCache]:
    made = SemanticCache(load(MEMORY), embedder=CountingEmbedder())
    yield made
    made.sync.close()


def test_a_sync_function_is_called_once_for_the_same_question_in_other_words(cache: SemanticCache) -> None:
    calls = []

    @cached(cache)
    def ask(prompt: str) -> str:
        calls.append(prompt)
        return "in your account"

    assert [ask(ASKED), ask(ASKED), ask(REWORDED)] == ["in your account"] * 3
    assert calls == [ASKED]


def test_an_async_function_is_called_once_for_the_same_question_in_other_words() -> None:
    async def scenario() -> None:
        async with SemanticCache(load(MEMORY), embedder=CountingEmbedder()) as cache:
            calls = []

            @cached(cache)
            async def ask(question: str, *, tone: str = "formal") -> str:
                calls.append(question)
                return tone

            assert await ask(ASKED) == await ask(REWORDED) == await ask(ASKED, tone="formal") == "formal"
            assert await ask(ASKED, tone="short") == "short"
            assert calls == [ASKED, ASKED]

    asyncio.run(scenario())


def test_two_functions_with_equal_arguments_share_nothing(cache: SemanticCache) -> None:
    @cached(cache)
    def french(prompt: str) -> str:
        return "bonjour"

    @cached(cache)
    def german(prompt: str) -> str:
        return "guten tag"

    assert (french(ASKED), german(ASKED), german(REWORDED)) == ("bonjour", "guten tag", "guten tag")


def test_equal_functions_of_two_programs_share_nothing(cache: SemanticCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def program(file: str, answer: str) -> Any:
        def ask(prompt: str) -> str:
            return answer

        ask.__module__, main = "__main__", ModuleType("__main__")
        main.__file__ = file
        monkeypatch.setitem(sys.modules, "__main__", main)
        return cached(cache)(ask)

    french, german = program("french.py", "bonjour"), program("german.py", "guten tag")
    assert (french(ASKED), german(ASKED)) == ("bonjour", "guten tag")
    assert program("french.py", "never")(ASKED) == "bonjour"


def test_another_version_of_a_function_does_not_get_the_old_answers(cache: SemanticCache) -> None:
    def answer(prompt: str) -> int:
        return answer.version  # type: ignore[attr-defined,no-any-return]

    for version in (1, 2):
        answer.version = version  # type: ignore[attr-defined]
        assert cached(cache, version=version)(answer)(ASKED) == version


def test_a_plain_lookup_does_not_see_a_functions_answers(cache: SemanticCache) -> None:
    @cached(cache)
    def ask(prompt: str) -> str:
        return "x"

    ask(ASKED)
    assert not cache.sync.lookup(ASKED)


def test_an_argument_that_differs_is_another_question(cache: SemanticCache) -> None:
    calls = []

    @cached(cache)
    def ask(prompt: str, options: dict[str, Any]) -> int:
        calls.append(options)
        return len(calls)

    assert [ask(ASKED, {"a": 1, "b": 2}), ask(ASKED, {"b": 2, "a": 1}), ask(ASKED, {"a": True, "b": 2})] == [1, 1, 2]


def test_key_names_the_prompt(cache: SemanticCache) -> None:
    calls = []

    @cached(cache, key="text")
    def classify(text: str, prompt: str) -> str:
        calls.append(text)
        return prompt

    assert classify(ASKED, "p") == classify(REWORDED, "p") == "p"
    assert len(calls) == 1


def test_key_computes_prompt_and_context(cache: SemanticCache) -> None:
    calls = []

    @cached(cache, key=lambda request: (request.text, {"user": request.user}))
    def ask(request: Any) -> int:
        calls.append(request)
        return len(calls)

    @dataclass
    class Request:
        text: str
        user: int
        trace: object

    assert ask(Request(ASKED, 1, object())) == ask(Request(REWORDED, 1, object())) == 1
    assert ask(Request(ASKED, 2, object())) == 2


def test_a_function_without_a_prompt_is_refused_at_decoration(cache: SemanticCache) -> None:
    with pytest.raises(TypeError, match="name it with key="):

        @cached(cache)
        def translate(source: str, target: str) -> str:
            return source + target


def test_the_only_str_parameter_is_the_prompt(cache: SemanticCache) -> None:
    calls = []

    @cached(cache)
    def summarise(document: str, length: int) -> str:
        calls.append(document)
        return "short"

    assert summarise(ASKED, 1) == summarise(REWORDED, 1)
    assert len(calls) == 1


def test_cached_without_its_cache_is_refused_at_decoration() -> None:
    bare: Any = cached
    with pytest.raises(TypeError, match=r"write @cached\(cache\)"):

        @bare
        def answer(prompt: str) -> str:
            return prompt


def test_a_threshold_that_is_no_similarity_is_refused_at_decoration(cache: SemanticCache) -> None:
    with pytest.raises(ValueError, match="a similarity from 0 to 1, not 93"):
        cached(cache, threshold=93)


def test_a_generator_is_refused_at_decoration(cache: SemanticCache) -> None:
    with pytest.raises(TypeError, match="generator"):

        @cached(cache)
        def stream(prompt: str) -> Iterator[str]:
            yield prompt


def test_self_enters_the_key_through_its_own_method_or_its_frozen_fields(cache: SemanticCache) -> None:
    class Bot:
        def __init__(self, name: str) -> None:
            self.name = name

        def __semcache_key__(self) -> str:
            return self.name

        @cached(cache)
        def ask(self, prompt: str) -> str:
            return self.name

    @dataclass(frozen=True)
    class Frozen:
        name: str

        @cached(cache)
        def ask(self, prompt: str) -> str:
            return self.name

    assert (Bot("a").ask(ASKED), Bot("b").ask(ASKED), Bot("a").ask(REWORDED)) == ("a", "b", "a")
    assert (Frozen("a").ask(ASKED), Frozen("b").ask(ASKED)) == ("a", "b")


def test_a_bound_method_answers_for_its_own_self_only(cache: SemanticCache) -> None:
    class Client:
        def __init__(self, name: str) -> None:
            self.name = name

        def ask(self, prompt: str) -> str:
            return self.name

    class Keyed(Client):
        def __semcache_key__(self) -> str:
            return self.name

    one, other = (cached(cache)(Keyed(name).ask) for name in ("one", "other"))
    assert [one(ASKED), other(ASKED), one(REWORDED)] == ["one", "other", "one"]
    with pytest.raises(TypeError, match=r"'self' of .* key="):
        cached(cache)(Client("one").ask)(ASKED)
    assert cached(cache, key=lambda prompt: prompt)(Client("mine").ask)(ASKED) == "mine"


def test_options_that_cannot_be_are_refused_where_they_are_written(cache: SemanticCache) -> None:
    with pytest.raises(ValueError, match="not a duration: 'soon'"):
        cached(cache, ttl="soon")
    with pytest.raises(ValueError, match="threshold is a similarity from 0 to 1, not 93"):
        cached(cache, threshold=93)
    with pytest.raises(TypeError, match="tags= takes a list of str, not 'orders'"):
        cached(cache, tags="orders")


def test_what_has_no_name_of_its_own_is_refused(cache: SemanticCache) -> None:
    def ask(system: str, prompt: str) -> str:
        return system

    with pytest.raises(TypeError, match=r"all lambdas of a module have one name; .* version="):
        cached(cache)(lambda prompt: "x")
    with pytest.raises(TypeError, match="a partial has no name"):
        cached(cache)(partial(ask, "be brief"))
    assert cached(cache, version="greeting")(lambda prompt: "x")(ASKED) == "x"


def test_a_self_without_a_key_raises_at_the_first_call_and_names_the_remedy(cache: SemanticCache) -> None:
    class Bot:
        @cached(cache)
        def ask(self, prompt: str) -> str:
            return "x"

    with pytest.raises(TypeError, match="key="):
        Bot().ask(ASKED)


@pytest.mark.parametrize("argument", [object(), {1, 2}, float("nan"), b"bytes", {1: "a"}])
def test_an_argument_that_is_no_json_raises_and_names_the_remedy(cache: SemanticCache, argument: object) -> None:
    @cached(cache)
    def ask(prompt: str, extra: object) -> str:
        return "x"

    with pytest.raises(TypeError, match="key="):
        ask(ASKED, argument)


def test_do_not_cache_returns_its_value_and_stores_nothing(cache: SemanticCache) -> None:
    calls = []

    @cached(cache)
    def ask(prompt: str) -> Any:
        calls.append(prompt)
        raise DoNotCache("x")

    assert [ask(ASKED), ask(ASKED)] == ["x", "x"]
    assert len(calls) == 2


def test_a_disabled_function_is_simply_called(cache: SemanticCache) -> None:
    calls = []

    @cached(cache, enabled=lambda: False)
    def ask(prompt: str) -> Any:
        calls.append(prompt)
        return DoNotCache("x")

    assert [ask(ASKED), ask(ASKED)] == ["x", "x"]
    assert len(calls) == 2
    assert not cache.lifecycle.is_open


def test_a_sync_function_runs_in_the_thread_of_its_caller(cache: SemanticCache) -> None:
    import threading

    @cached(cache)
    def ask(prompt: str) -> str:
        return threading.current_thread().name

    assert ask(ASKED) == threading.current_thread().name


def test_a_function_keeps_its_name_and_its_threshold_is_its_own(cache: SemanticCache) -> None:
    @cached(cache, threshold=0.3)
    def ask(prompt: str) -> str:
        """Ask."""
        return prompt

    assert (ask.__name__, ask.__doc__) == ("ask", "Ask.")
    ask("how can I change the delivery address")
    assert ask("please change the delivery address") == "how can I change the delivery address"
