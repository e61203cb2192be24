"""The examples of the how-to keep what it says: they run as they stand, and name everything that the kit offers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from semcache_core import testing

pytest_plugins = ("pytester",)
PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "test-a-plugin.md").read_text("utf-8")

# The slow promises run elsewhere, on the same components.
QUICK = "not 20000 and not mebibytes and not makes_it_raise and not fresh_interpreter and not touches_nothing"


@pytest.mark.slow
def test_the_examples_run_as_they_stand(pytester: pytest.Pytester) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    pytester.makepyfile(**{f"test_{number}": block for number, block in enumerate(blocks)})
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-k", QUICK)
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 0
    assert outcomes["xfailed"] == 1
    assert outcomes["passed"] > 100


@pytest.mark.parametrize("name", testing.__all__)
def test_everything_that_the_kit_offers_is_shown(name: str) -> None:
    assert name in PAGE
