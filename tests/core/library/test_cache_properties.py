"""Whatever is stored, invalidated, rejected and waited for: no lookup is ever answered with what it may not have.

A model keeps what was stored and what became of it. A hit is held against the model; a miss only where the very same
question must still be there.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from semcache_core import Lookup, SemanticCache
from semcache_core.builtin.memory import MemoryResponseStore, MemoryVectorStore
from semcache_core.config import load
from semcache_core.testing import CountingEmbedder, FlakyStore, FrozenClock

TTL = 100.0
CONFIG = {
    "semcache": {"ttl": TTL, "jitter": 0, "threshold": 0.8},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
    "verifiers": {"use": []},
}
# Some of these are near each other and some are not; which are is the embedder's business.
PROMPTS = st.sampled_from(
    [
        "How do I reset my password?",
        "How do I reset my password",
        "How do I reset the password?",
        "How do I change my password?",
        "Which wine goes with fish?",
    ]
)
CONTEXTS = st.sampled_from([None, {"user": "ann"}])
NAMESPACES = st.sampled_from([None, "red"])
TAGS = st.sampled_from(["faq", "news"])


@dataclass
class Stored:
    """An answer as the model knows it. Its value is its number."""

    prompt: str
    context: Any
    namespace: str | None
    tag: str
    born: float
    dead: bool = False

    @property
    def place(self) -> tuple[str, str | None]:
        return (repr(self.context), self.namespace)


class CacheMachine(RuleBasedStateMachine):
    """Does anything to a cache, in any order. ``without`` hides powers of its stores."""

    stale = 0.0
    responses_without: tuple[str, ...] = ()
    vectors_without: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FrozenClock()
        self.answers: list[Stored] = []
        self.rejected: set[tuple[str, tuple[str, str | None], str]] = set()
        self.last_hit: Lookup | None = None
        self.asked: tuple[str, Any, str | None] = ("", None, None)

    @initialize()
    def open(self) -> None:
        self.cache = SemanticCache(
            load(CONFIG | {"semcache": CONFIG["semcache"] | {"stale_while_revalidate": self.stale}}),
            embedder=CountingEmbedder(),
            response_store=FlakyStore(
                MemoryResponseStore(MemoryResponseStore.Options()), without=self.responses_without
            ),
            vector_store=FlakyStore(MemoryVectorStore(MemoryVectorStore.Options()), without=self.vectors_without),
            clock=self.clock,
        )
        self.runner.run(self.cache.__aenter__())

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            self.runner.run(self.cache.__aexit__(None, None, None))
        self.runner.close()

    def note(self, prompt: str, context: Any, namespace: str | None, tag: str) -> int:
        """Enter the answer that the cache is about to hold in the model: it replaces an equal question's."""
        new = Stored(prompt, context, namespace, tag, self.clock())
        for old in self.answers:
            old.dead |= (old.prompt, old.place) == (prompt, new.place)
        self.answers.append(new)
        return len(self.answers) - 1

    @rule(prompt=PROMPTS, context=CONTEXTS, namespace=NAMESPACES, tag=TAGS)
    def store(self, prompt: str, context: Any, namespace: str | None, tag: str) -> None:
        value = self.note(prompt, context, namespace, tag)
        assert self.runner.run(self.cache.store(prompt, value, context=context, namespace=namespace, tags=[tag]))

    @rule(prompt=PROMPTS, context=CONTEXTS, namespace=NAMESPACES)
    def ask(self, prompt: str, context: Any, namespace: str | None) -> None:
        self.lookup(prompt, context, namespace)

    @precondition(lambda self: self.answers)
    @rule(number=st.integers(0, 7), prompt=PROMPTS)
    def ask_where_something_is(self, number: int, prompt: str) -> None:
        answer = self.answers[-1 - number % len(self.answers)]
        self.lookup(prompt, answer.context, answer.namespace)

    @precondition(lambda self: self.answers)
    @rule(number=st.integers(0, 7))
    def ask_again(self, number: int) -> None:
        answer = self.answers[-1 - number % len(self.answers)]
        self.lookup(answer.prompt, answer.context, answer.namespace)

    def lookup(self, prompt: str, context: Any, namespace: str | None) -> None:
        found = self.runner.run(self.cache.lookup(prompt, context=context, namespace=namespace))
        place = (repr(context), namespace)
        if found:
            self.check(found.value, prompt, place)
            self.last_hit, self.asked = found, (prompt, context, namespace)
        else:
            assert not self.must_be_there(prompt, place), f"{found.reason}: an equal question was answered and is alive"

    @rule(prompt=PROMPTS, context=CONTEXTS, namespace=NAMESPACES, tag=TAGS)
    def get_or_call(self, prompt: str, context: Any, namespace: str | None, tag: str) -> None:
        called = []

        async def call() -> int:
            called.append(self.note(prompt, context, namespace, tag))
            return called[-1]

        there = self.must_be_there(prompt, (repr(context), namespace))
        value = self.runner.run(self.cache.get_or_call(prompt, call, context=context, namespace=namespace, tags=[tag]))
        if called and value != called[-1]:
            # A stale answer was served, and the call refreshed the entry behind it.
            assert self.clock() >= self.answers[value].born + TTL
        elif not called:
            self.check(value, prompt, (repr(context), namespace))
        assert not (there and called), "an equal question was answered and is alive"

    @rule(tag=TAGS, namespace=NAMESPACES)
    def invalidate_tag(self, tag: str, namespace: str | None) -> None:
        self.runner.run(self.cache.invalidate(tag=tag, namespace=namespace))
        for answer in self.answers:
            answer.dead |= (answer.tag, answer.namespace) == (tag, namespace)
        self.clock.advance(0.001)

    @rule()
    def invalidate_namespace(self) -> None:
        self.runner.run(self.cache.invalidate(namespace="red"))
        for answer in self.answers:
            answer.dead |= answer.namespace == "red"
        self.clock.advance(0.001)

    @precondition(lambda self: self.last_hit is not None)
    @rule()
    def reject(self) -> None:
        prompt, context, namespace = self.asked
        place = (repr(context), namespace)
        source = self.answers[self.last_hit.value]
        self.runner.run(self.cache.reject(self.last_hit))
        if source.prompt == prompt:
            for answer in self.answers:
                answer.dead |= (answer.prompt, answer.place) == (prompt, place)
        else:
            self.rejected.add((prompt, place, source.prompt))
        self.last_hit = None
        self.lookup(prompt, context, namespace)

    @precondition(lambda self: self.last_hit is not None)
    @rule()
    def invalidate_entry(self) -> None:
        source = self.answers[self.last_hit.value]
        self.runner.run(self.cache.invalidate(entry_id=self.last_hit.entry_id))
        for answer in self.answers:
            answer.dead |= (answer.prompt, answer.place) == (source.prompt, source.place)
        self.last_hit = None

    @rule(seconds=st.sampled_from([1.0, 40.0, 120.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def let_the_background_work(self) -> None:
        self.runner.run(asyncio.sleep(0))

    def check(self, value: int, prompt: str, place: tuple[str, str | None]) -> None:
        """A hit is of this context and namespace, alive, and was not rejected for this text."""
        source = self.answers[value]
        assert source.place == place, f"{source} answers {prompt!r} of {place}"
        assert not source.dead, f"{source} was replaced, invalidated or rejected, and answers {prompt!r}"
        assert self.clock() < source.born + TTL + self.stale, f"{source} is past its life and its stale window"
        assert (prompt, place, source.prompt) not in self.rejected, f"{source} was rejected for {prompt!r}"

    def must_be_there(self, prompt: str, place: tuple[str, str | None]) -> bool:
        return any(
            (answer.prompt, answer.place) == (prompt, place) and not answer.dead and self.clock() < answer.born + TTL
            for answer in self.answers
        )


class RemoteStoresMachine(CacheMachine):
    """The same over stores that cannot peek, stamp, or tell whether a scope is empty."""

    responses_without = ("get_nowait", "invalidate", "scan", "sweep")
    vectors_without = ("has_scope", "sweep")


class StaleMachine(CacheMachine):
    """The same with answers that are served once more after their time."""

    stale = 50.0


SHORT = settings(
    max_examples=40, stateful_step_count=30, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def test_no_order_of_calls_makes_a_cache_answer_what_it_may_not() -> None:
    run_state_machine_as_test(CacheMachine, settings=SHORT)


def test_nor_does_it_over_stores_with_the_fewest_powers() -> None:
    run_state_machine_as_test(RemoteStoresMachine, settings=SHORT)


def test_nor_does_it_with_a_stale_window() -> None:
    run_state_machine_as_test(StaleMachine, settings=SHORT)
