"""The page of threats names a test for every defence, and each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TESTS = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("plugins/*/tests/*.py"), *ROOT.glob("integrations/*/tests/*.py")]
DEFENDED = (ROOT / "docs/explanation/threats.md").read_text("utf-8").partition("## OWASP")[0]
LINES = re.findall(
    r"^\| (?!attack |who )([^|-][^|]*) \|[^|]*\| ([^|]*) \|$", DEFENDED.partition("## One caller")[2], re.MULTILINE
)


@pytest.fixture(scope="module")
def functions() -> set[str]:
    return {
        name for path in TESTS for name in re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text("utf-8"), re.M)
    }


@pytest.mark.parametrize(("attack", "tests"), LINES, ids=[attack[:40] for attack, _ in LINES])
def test_each_line_names_tests_that_exist(attack: str, tests: str, functions: set[str]) -> None:
    named = re.findall(r"`(test_\w+)`", tests)
    assert named, "name the test that fails if the defence goes"
    assert [name for name in named if name not in functions] == []


def test_every_table_of_attacks_is_read() -> None:
    assert len(LINES) == DEFENDED.count("`\n") + DEFENDED.count("` |\n")
