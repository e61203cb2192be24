"""What a subclass of a contract may do, as an author meets it: through pytest."""

from __future__ import annotations

import subprocess
import sys

import pytest

from semcache_core.remedies import pip_install
from semcache_core.testing import ContractBroken, VerifierContract, _contract

pytest_plugins = ("pytester",)

AUTHORS_FILE = """
from semcache_core.testing import VerifierContract
from semcache_core.types import Accept, Reject


class Guard:
    costly = False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        return None

    async def verify(self, query, candidate):
        return Accept() if query.split()[0:1] == candidate.split()[0:1] else Reject(reason="words")


class TestGuard(VerifierContract):
    {extra}

    def make(self):
        return Guard()

    def same(self):
        return [("a b", "a c")]

    def different(self):
        return [("a b", "b a")]
"""


def collected(pytester: pytest.Pytester, extra: str) -> pytest.RunResult:
    pytester.makepyfile(AUTHORS_FILE.format(extra=extra))
    return pytester.runpytest("-rxX", "-p", "no:cacheprovider", "-p", "no:asyncio")


def test_an_author_gets_every_promise_as_a_test_without_an_asyncio_plugin(pytester: pytest.Pytester) -> None:
    promised = [name for name in dir(VerifierContract) if name.startswith("test_")]
    # Skipped: symmetry and outages, which it does not promise, and reason codes: nothing installed offers the class.
    collected(pytester, "pass").assert_outcomes(passed=len(promised) - 3, skipped=3)


def test_a_waived_promise_shows_as_an_expected_failure_with_its_reason(pytester: pytest.Pytester) -> None:
    result = collected(
        pytester, 'seconds_a_pair = -1; waived = {"test_an_ordinary_pair_is_judged_in_time": "too slow"}'
    )
    assert result.parseoutcomes()["xfailed"] == 1
    result.stdout.fnmatch_lines(["XFAIL*test_an_ordinary_pair_is_judged_in_time*waived: too slow*"])


def test_a_waiver_that_is_no_longer_needed_fails(pytester: pytest.Pytester) -> None:
    result = collected(pytester, 'waived = {"test_cancellation_leaves_it_usable": "not yet"}')
    result.stdout.fnmatch_lines(["*XPASS(strict)*waived: not yet*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_promise_cannot_be_overridden() -> None:
    with pytest.raises(
        ContractBroken, match=r"TestMine replaces test_rubbish_gets_a_verdict_too.* another name, or say why"
    ):
        type("TestMine", (VerifierContract,), {"test_rubbish_gets_a_verdict_too": lambda self: None})


def test_a_promise_cannot_be_set_to_none() -> None:
    with pytest.raises(ContractBroken, match="test_equal_texts_are_accepted"):
        type("TestMine", (VerifierContract,), {"test_equal_texts_are_accepted": None})


def test_a_promise_cannot_be_hidden_by_another_base() -> None:
    class Easier:
        def test_equal_texts_are_accepted(self) -> None:
            return None

    with pytest.raises(ContractBroken, match="test_equal_texts_are_accepted"):
        type("TestMine", (Easier, VerifierContract), {})


def test_a_waived_promise_cannot_be_overridden_either() -> None:
    body = {"waived": {"test_equal_texts_are_accepted": "no"}, "test_equal_texts_are_accepted": lambda self: None}
    with pytest.raises(ContractBroken, match="test_equal_texts_are_accepted"):
        type("TestMine", (VerifierContract,), body)


def test_what_runs_the_promises_cannot_be_replaced() -> None:
    with pytest.raises(ContractBroken, match=r"TestMine replaces run.*another name"):
        type("TestMine", (VerifierContract,), {"run": lambda self, body: None})


def test_a_contract_cannot_be_switched_off() -> None:
    with pytest.raises(ContractBroken, match=r"TestMine sets __test__ to False"):
        type("TestMine", (VerifierContract,), {"__test__": False})


def test_a_waiver_names_a_promise_that_exists() -> None:
    with pytest.raises(ContractBroken, match="did you mean 'test_equal_texts_are_accepted'"):
        type("TestMine", (VerifierContract,), {"waived": {"test_equal_text_is_accepted": "no"}})


def test_a_waiver_gives_a_reason() -> None:
    with pytest.raises(ContractBroken, match="gives no reason"):
        type("TestMine", (VerifierContract,), {"waived": {"test_equal_texts_are_accepted": " "}})


def test_a_waiver_holds_for_subclasses_too() -> None:
    first = type("First", (VerifierContract,), {"waived": {"test_equal_texts_are_accepted": "no"}})
    second = type("Second", (first,), {})
    assert second.test_equal_texts_are_accepted.pytestmark[0].kwargs["reason"] == "waived: no"


def test_a_promise_that_never_ends_is_cut_off() -> None:
    class Slow(_contract.Contract):
        time_limit = 0.01

    async def for_ever() -> None:
        import asyncio

        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        Slow().run(for_ever)


@pytest.mark.parametrize("missing", ["pytest", "hypothesis"])
def test_without_its_extra_the_kit_says_what_to_install(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import semcache_core.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"semcache_core.testing needs {missing}: {pip_install('semcache-core[testing]')}\n" in done.stderr
